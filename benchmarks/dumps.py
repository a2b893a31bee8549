"""Measure the segmentation of text dumps on the public page sets.

Run from the repository's root as ``python benchmarks/dumps.py``; it reads
``../shared/data/text_pages`` (or the folder given) and prints, for each set, the body F1 of the
public article-extraction benchmark (multisets of 4-word shingles, averaged over pages), the rate
of exact titles and of dates on the true day, the pages split into more than one article, and the
same for dumps made of two and three pages joined. Rules are tuned on the pages with an even hash
only: the odd ones, reported apart, tell how far a gain carries.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from benchmarks.body_score import f1, precision_recall
from schemas.records import Article, Page
from transforms.decoding import decode_text
from transforms.segmentation import segment_dump

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "text_pages"
_WORD = re.compile(r"\w+")
OBSERVED_AT = Timestamp.from_rfc3339("2026-11-20T00:00:00Z")


def segment(text: str) -> list[Article]:
    page = Page("bench", "bench", "text", b"", OBSERVED_AT)
    return [one for one in segment_dump(page, text, "utf-8", False) if isinstance(one, Article)]


def same_title(found: str | None, truth: str) -> bool:
    return " ".join(_WORD.findall((found or "").lower())) == " ".join(_WORD.findall(truth.lower()))


def day(article: Article) -> str | None:
    return article.published.at.to_rfc3339()[:10] if article.published else None


def pages(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    for line in (folder / "pages.jsonl").read_text(encoding="utf-8").strip().split("\n"):
        row = json.loads(line)
        with gzip.open(folder / f"{row['page']}.txt.gz") as file:
            yield row, decode_text(file.read()).text


def is_even(row: dict[str, Any]) -> bool:
    return zlib.crc32(row["page"].encode()) % 2 == 0


def report(name: str, rows: list[tuple[dict[str, Any], str]], worst: int) -> None:
    began = time.perf_counter()
    scores, titles, dated, split, none = [], 0, Counter[str](), 0, 0
    ranked = []
    for row, text in rows:
        found = segment(text)
        best = max(found, key=lambda article: len(article.body), default=None)
        split += len(found) > 1
        none += not found
        score = precision_recall(best.body if best else "", row["body"])
        scores.append(score)
        ranked.append((f1([score]), score, len(found), row["page"]))
        titles += same_title(best.title if best else None, row["title"])
        if row["date"]:
            value = day(best) if best else None
            right = value == row["date"][:10]
            dated["same day" if right else "none" if value is None else "other day"] += 1
    seconds = time.perf_counter() - began
    precision = sum(score[0] for score in scores) / len(scores)
    recall = sum(score[1] for score in scores) / len(scores)
    print(
        f"{name}: {len(rows)} pages, body F1 {f1(scores):.4f} (P {precision:.3f} R {recall:.3f}),"
        f" title exact {titles / len(rows):.3f}, dates {dict(dated)}, split {split}, none {none},"
        f" {seconds:.1f} s"
    )
    for rank, score, count, page in sorted(ranked)[:worst]:
        print(f"    {rank:.3f} P {score[0]:.2f} R {score[1]:.2f} n={count} {page}")


SEPARATORS = {
    "a line break": "\n",
    "an empty line": "\n\n",
    "three empty lines": "\n\n\n\n",
    "a rule": "\n\n---\n\n",
}


def report_joined(
    name: str, rows: list[tuple[dict[str, Any], str]], count: int, separator: str
) -> None:
    order = random.Random(1).sample(rows, len(rows))
    groups = [order[at : at + count] for at in range(0, len(order) - count + 1, count)]
    scores, right, fewer, more = [], 0, 0, 0
    for group in groups:
        found = segment(SEPARATORS[separator].join(text for _, text in group))
        right += len(found) == count
        fewer += len(found) < count
        more += len(found) > count
        bodies = [article.body for article in found]
        for row, _ in group:
            best = max(
                (precision_recall(body, row["body"]) for body in bodies),
                key=lambda score: f1([score]),
                default=(0.0, 0.0),
            )
            scores.append(best)
    print(
        f"{name} x{count} parted by {separator}: {len(groups)} dumps, right number of articles"
        f" {right / len(groups):.3f} (fewer {fewer}, more {more}), body F1 {f1(scores):.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--worst", type=int, default=0, help="list so many of the worst pages")
    parser.add_argument("--no-joined", action="store_true")
    options = parser.parse_args()
    if not options.folder.is_dir():
        print(f"skipped: no dumps at {options.folder}")
        return
    every = list(pages(options.folder))
    for name in ("news", "wcxb"):
        rows = [(row, text) for row, text in every if row["page"].startswith(name)]
        report(name, rows, options.worst)
        report(f"{name} even", [row for row in rows if is_even(row[0])], 0)
        report(f"{name} odd", [row for row in rows if not is_even(row[0])], 0)
        if not options.no_joined:
            for separator in SEPARATORS:
                report_joined(name, rows, 2, separator)
            report_joined(name, rows, 3, "three empty lines")


if __name__ == "__main__":
    main()
