"""Measure ``classify_topics`` on labelled news of others.

    python -m benchmarks.topics [--half tune|held-out] [--errors N] [--folder ../shared/data/topics]

Prints, for each set: accuracy on the classes it shares with IPTC Media Topics, the share left
unclassified (counted as wrong), and articles a second of CPU time.

The sets are split in two by a hash of the text. The ``tune`` half was looked at while the lexicon
and its constants were written: errors and missing words were read there, and no weight was
computed. The numbers to quote are those of the ``held-out`` half (the default), which no choice
rests on. Both halves are of the same years and publishers, so a set of others may score lower.

Classes map to concepts in two ways. ``strict`` takes one concept a class (two for AG's ``world``:
conflict and politics). ``mapped`` follows the vocabulary where it files apart what a newspaper
files together: strikes and pay are ``labour`` there and business here, wildlife and climate are
``environment`` there and science here, royals are ``human-interest`` there and entertainment
here, and news from abroad is also of trials and disasters. IPTC files computing *companies* under
the economy and video games under leisure; all three sets file them under technology, and so do we.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from transforms.topics import TopicModel, classify_topics

ARTS = "arts-culture-entertainment-and-media"
CONFLICT = "conflict-war-and-peace"
ECONOMY = "economy-business-and-finance"
TECHNOLOGY = "science-and-technology"

STRICT: dict[str, frozenset[str]] = {
    "business": frozenset({ECONOMY}),
    "entertainment": frozenset({ARTS}),
    "health": frozenset({"health"}),
    "politics": frozenset({"politics"}),
    "scitech": frozenset({TECHNOLOGY}),
    "sport": frozenset({"sport"}),
    "sports": frozenset({"sport"}),
    "tech": frozenset({TECHNOLOGY}),
    "technology": frozenset({TECHNOLOGY}),
    "world": frozenset({CONFLICT, "politics"}),
}
MAPPED = STRICT | {
    "business": STRICT["business"] | {"labour"},
    "entertainment": STRICT["entertainment"] | {"human-interest"},
    "scitech": STRICT["scitech"] | {"environment"},
    "world": STRICT["world"]
    | {"crime-law-and-justice", "disaster-accident-and-emergency-incident"},
}
SETS = ("ag", "bbc", "masakha_eng")


def held_out(text: str) -> bool:
    """Say whether a text belongs to the half that nothing was tuned on."""
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 1


def texts(path: Path, half: str) -> Iterator[tuple[str, str, str]]:
    """Yield (title, body, label); the first line of a text is its headline."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if held_out(row["text"]) == (half == "held-out"):
                title, _, body = row["text"].partition("\n")
                yield title, body, row["label"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--half", choices=("tune", "held-out"), default="held-out")
    parser.add_argument("--errors", type=int, default=0, metavar="N", help="confusions to show")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(__file__).parent.parent.parent / "shared" / "data" / "topics",
    )
    options = parser.parse_args()
    model = TopicModel.load()
    for name in SETS:
        path = options.folder / f"{name}.jsonl.gz"
        if not path.exists():
            print(f"skipped: no labelled set at {path}")
            continue
        articles = list(texts(path, options.half))
        started = time.process_time()
        found = [classify_topics(model, title, body, "en").best for title, body, _ in articles]
        seconds = time.process_time() - started
        labels = [label for _, _, label in articles]
        pairs = list(zip(found, labels, strict=True))
        right = [best in MAPPED[label] for best, label in pairs]
        strict = sum(best in STRICT[label] for best, label in pairs)
        print(
            f"{name} ({options.half}, {len(pairs)} texts): accuracy {sum(right) / len(pairs):.3f}"
            f" mapped, {strict / len(pairs):.3f} strict,"
            f" unclassified {found.count('unclassified') / len(pairs):.3f},"
            f" {len(pairs) / seconds:,.0f} articles/s"
        )
        for label in sorted(set(labels)):
            answers = collections.Counter(best for best, its in pairs if its == label)
            total = sum(answers.values())
            good = sum(count for best, count in answers.items() if best in MAPPED[label])
            wrong = dict(
                [pair for pair in answers.most_common() if pair[0] not in MAPPED[label]][:5]
            )
            print(f"  {label:14} {good / total:.3f} of {total:5}  wrong: {wrong}")
        errors = [i for i, good in enumerate(right) if not good]
        for i in errors[:: max(1, len(errors) // options.errors)] if options.errors else []:
            title, body, label = articles[i]
            print(f"    {label} → {found[i]}: {title[:90]} | {body[:160]!r}")


if __name__ == "__main__":
    main()
