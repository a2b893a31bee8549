"""Measure how many items are recovered from the feeds of public conformance corpora.

Run from the repository's root as ``python -m benchmarks.feeds``; it reads ``../shared/data/feeds``
(or the folder given) and prints, for each corpus: its feeds, how many of them could be read, and
the items recovered of those that the corpus's index counts, well-formed feeds and malformed ones
apart. Of a feed with more items than counted, those counted are recovered. Lists of subscriptions
(OPML), which some corpora hold beside feeds, are measured as such.

The exit code is 1 if anything but ``MalformedFeed`` (or ``UsageError``, of a list) came out, or if
less than 99.5 % of the items in well-formed feeds were recovered.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.config import UsageError
from pipelines.subscriptions import parse_opml
from transforms.feeds import MalformedFeed, parse_feed

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "feeds"
LEAST_RATE = 0.995
LISTS = "listparser_opml"
LISTS_FOLDER = "opml"
"""What the corpus of lists is called inside of its archive."""


def documents(folder: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The rows of the index with the files they are about."""
    rows = defaultdict(list)
    for line in (folder / "index.jsonl").read_text(encoding="utf-8").strip().split("\n"):
        row = json.loads(line)
        corpus, _, path = row["path"].partition("/")
        rows[f"{LISTS_FOLDER if corpus == LISTS else corpus}/{path}"].append(row)
    for archive in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(archive) as members:
            for member in members:
                file = members.extractfile(member)
                if file is None:  # a folder
                    continue
                content = file.read()
                for row in rows.pop(member.name, []):
                    yield row, content
    for missing in sorted(rows):
        print(f"not in any archive: {missing}")


def is_list(row: dict[str, Any]) -> bool:
    return row["fmt"] == "opml" or row["corpus"] == LISTS


def measure_feed(
    row: dict[str, Any], content: bytes, counts: Counter[str], formats: Counter[str]
) -> str | None:
    """Count what a feed gives; what there is to say of it, if anything."""
    group = "well" if row["wellformed"] else "bad"
    counts["feeds"] += 1
    counts[f"{group} counted"] += row["items"]
    try:
        feed = parse_feed(content)
    except MalformedFeed as error:
        counts[f"{group} exact"] += not row["items"]
        return f"{row['items']} counted, malformed: {error}" if row["items"] else None
    except Exception as error:  # noqa: BLE001 - they are what is counted
        counts["exceptions"] += 1
        return f"EXCEPTION {type(error).__name__}: {error}"
    found = len(feed.entries)
    formats[feed.format] += 1
    counts["parsed"] += 1
    counts["noted"] += bool(feed.notes)
    counts[f"{group} recovered"] += min(found, row["items"])
    counts[f"{group} exact"] += found == row["items"]
    return None if found == row["items"] else f"{row['items']} counted, {found} found"


def measure_list(row: dict[str, Any], content: bytes, counts: Counter[str]) -> str | None:
    """Count what a list of subscriptions gives."""
    counts["lists"] += 1
    try:
        found = parse_opml(content, row["path"])
    except UsageError:
        return None
    except Exception as error:  # noqa: BLE001 - they are what is counted
        counts["exceptions"] += 1
        return f"EXCEPTION {type(error).__name__}: {error}"
    counts["parsed"] += 1
    counts["subscriptions"] += len(found.feeds)
    return None


def rate(counts: Counter[str], group: str) -> float:
    counted = counts[f"{group} counted"]
    return counts[f"{group} recovered"] / counted if counted else 1.0


def print_row(name: str, counts: Counter[str]) -> None:
    cells = [
        f"{counts[f'{group} recovered']:,}/{counts[f'{group} counted']:,} {rate(counts, group):.4f}"
        for group in ("well", "bad")
    ]
    exact = counts["well exact"] + counts["bad exact"]
    print(
        f"{name:18} feeds {counts['feeds']:5,}  parsed {counts['parsed']:5,}"
        f"  noted {counts['noted']:4,}  items, well-formed {cells[0]:20}  malformed {cells[1]:14}"
        f"  exact {exact:5,}  exceptions {counts['exceptions']}"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--differences", action="store_true", help="list feeds with other counts")
    options = parser.parse_args(arguments)
    if not (options.folder / "index.jsonl").is_file():
        print(f"skipped: no corpora of feeds at {options.folder}")
        return 0
    feeds: defaultdict[str, Counter[str]] = defaultdict(Counter)
    lists: defaultdict[str, Counter[str]] = defaultdict(Counter)
    formats = Counter[str]()
    remarks = []
    seconds = 0.0
    for row, content in documents(options.folder):
        began = time.perf_counter()
        if is_list(row):
            remark = measure_list(row, content, lists[row["corpus"]])
        else:
            remark = measure_feed(row, content, feeds[row["corpus"]], formats)
            seconds += time.perf_counter() - began
        if remark is not None and (options.differences or remark.startswith("EXCEPTION")):
            kind = "well-formed" if row["wellformed"] else "malformed"
            remarks.append(f"    {kind} {row['fmt']} {row['path']}: {remark}")
    for name, counts in sorted(feeds.items()):
        print_row(name, counts)
    total = sum(feeds.values(), Counter[str]())
    print_row("all", total)
    for name, counts in sorted(lists.items()):
        print(
            f"{name:18} lists {counts['lists']:5,}  parsed {counts['parsed']:5,}"
            f"  subscriptions {counts['subscriptions']:5,}  exceptions {counts['exceptions']}"
        )
    print(", ".join(f"{name} {count:,}" for name, count in formats.most_common()))
    print(f"{total['feeds'] / max(seconds, 1e-9):,.0f} feeds a second")
    print("\n".join(remarks))
    exceptions = total["exceptions"] + sum(counts["exceptions"] for counts in lists.values())
    return int(exceptions > 0 or rate(total, "well") < LEAST_RATE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
