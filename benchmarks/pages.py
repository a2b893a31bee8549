"""How well saved pages are extracted: body F1, title, date and authors, over a public set.

Reads ``../shared/data/extraction`` beside the checkout. Body F1 is that of the public article
extraction benchmark (scrapinghub/article-extraction-benchmark): precision and recall over the
multiset of a page's 4-word shingles, averaged over pages, then the F1 of the averages.

    python -m benchmarks.pages --set news
    python -m benchmarks.pages --set wcxb --limit 100 --misses date
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from benchmarks.body_score import precision_recall
from schemas.records import Article, Failure, Page
from transforms.saved_pages import extract_page

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "extraction"
OBSERVED_AT = Timestamp.from_rfc3339("2026-11-20T00:00:00Z")


def normalised(text: str | None) -> str:
    """A title or name as it is compared: words only, without case and accents."""
    plain = unicodedata.normalize("NFKD", text or "")
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return " ".join(re.findall(r"\w+", plain.casefold()))


def pages(name: str, limit: int | None) -> Iterator[dict[str, Any]]:
    """The labelled pages of a set."""
    with (DATA / "pages.jsonl").open(encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["set"] == name]
    # Spread over the set, which is sorted by country or site.
    step = max(1, len(rows) // limit) if limit else 1
    yield from rows[::step][:limit]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--set", default="news", choices=["news", "wcxb"])
    parser.add_argument("--limit", type=int, help="only so many pages, spread over the set")
    parser.add_argument("--misses", choices=["title", "date", "authors", "body", "failed"])
    parser.add_argument("--no-url", action="store_true", help="as a file saved without its URL")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped: no pages at {DATA}")
        return
    precisions, recalls = [], []
    right: Counter[str] = Counter()
    stated: Counter[str] = Counter()
    given: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    seconds = 0.0
    for row in pages(arguments.set, arguments.limit):
        content = gzip.decompress((DATA / "html" / f"{row['page']}.html.gz").read_bytes())
        page = Page(
            origin=row["page"],
            source_uri=row["page"],
            kind="html",
            content=content,
            observed_at=OBSERVED_AT,
            url=None if arguments.no_url else row["url"],
        )
        started = time.perf_counter()
        (result,) = extract_page(page)
        seconds += time.perf_counter() - started
        article = result if isinstance(result, Article) else None
        if isinstance(result, Failure):
            refused[result.reason] += 1
        if isinstance(result, Failure) and arguments.misses == "failed":
            print(f"{row['page']} {row['url']}\n   {result.reason}: {result.message}")
        precision, recall = precision_recall(article.body if article else "", row["body"])
        precisions.append(precision)
        recalls.append(recall)
        if arguments.misses == "body" and min(precision, recall) < 0.8:
            print(f"{row['page']} P {precision:.2f} R {recall:.2f} {row['url']}")
        true_authors = row.get("authors") or ([row["author"]] if row.get("author") else [])
        found_date = (
            article.published.at.to_utc_datetime().date().isoformat()
            if article and article.published
            else None
        )
        checks = {
            "title": (row.get("title"), article.title if article else None),
            "date": (row.get("date"), found_date),
            "authors": (
                " | ".join(sorted(map(normalised, true_authors))),
                " | ".join(sorted(map(normalised, article.authors if article else ()))),
            ),
        }
        for field, (true, found) in checks.items():
            if found:
                given[field] += 1
            if not true:
                continue
            stated[field] += 1
            if normalised(true) == normalised(found):
                right[field] += 1
            elif arguments.misses == field:
                source = (
                    [p.source for p in article.provenance if p.field in {field, "published"}]
                    if article
                    else None
                )
                print(f"{row['page']}\n   true  {true}\n   found {found} {source}")
    count = len(precisions)
    mean_precision, mean_recall = sum(precisions) / count, sum(recalls) / count
    f1 = 2 * mean_precision * mean_recall / (mean_precision + mean_recall)
    print(f"{arguments.set}: {count} pages, {seconds / count * 1000:.0f} ms a page")
    print(f"  body     P {mean_precision:.3f}  R {mean_recall:.3f}  F1 {f1:.3f}")
    reasons = ", ".join(f"{count} {reason}" for reason, count in refused.most_common())
    print(f"  refused  {reasons or 'none'}")
    for field, total in stated.items():
        print(f"  {field:8} {right[field] / total:.3f} right of {total}, {given[field]} given")


if __name__ == "__main__":
    main()
