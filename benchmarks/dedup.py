"""How well copies are found, and how fast: ``python -m benchmarks.dedup``.

Runs the project's own pure functions (fingerprint, LSH and anchor buckets, verification) over the
Reuters wires of ``../shared/data/dedup``, whose near pairs (Jaccard of three-word shingles) were
found exhaustively, and prints for a row of thresholds how many of them are linked, and how many of
the links are no pairs at 0.4 or above. The default threshold is read off this table: at 0.5 all
pairs of the set are found. Skips, saying so, where the material is missing.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from schemas.records import Article, Extraction, Fingerprint
from transforms.deduplication import (
    bucket_keys,
    copy_kind,
    likeness,
    lsh_shape,
    member_of,
    pack_keys,
    pairs_of_shard,
)
from transforms.fingerprints import fingerprint_article

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "dedup"
HORIZON_MICROS = 24 * 3600 * 1_000_000
THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8)


def rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def article(identity: str, body: str, observed_at: Timestamp) -> Article:
    extraction = Extraction("benchmark", "", 1.0, "utf-8")
    return Article(identity, identity, identity, body, observed_at, extraction)


def links(
    fingerprints: dict[str, Fingerprint], threshold: float, horizon_micros: int
) -> dict[tuple[str, str], str]:
    bands, band_rows = lsh_shape(threshold)
    texts = list(fingerprints.values())
    block = pack_keys(
        [
            (number, member_of(text), bucket_keys(text, bands, band_rows))
            for number, text in enumerate(texts)
        ]
    )
    pairs = (
        sorted((texts[left].origin, texts[right].origin))
        for left, right in pairs_of_shard([block], horizon_micros).tolist()
    )
    kinds = {}
    for left, right in pairs:
        a, b = fingerprints[left], fingerprints[right]
        kind = copy_kind(likeness(a, b), a, b, threshold)
        if kind:
            kinds[left, right] = kind
    return kinds


def main() -> int:
    if not DATA.is_dir():
        print(f"skipped: the material for this benchmark is not at {DATA.name}")
        return 0
    began = time.perf_counter()
    fingerprints = {}
    for row in rows("reuters_docs.jsonl.gz"):
        observed_at = Timestamp.from_rfc3339(row["observed_at"] + "Z")
        fingerprint = fingerprint_article(article(f"{row['id']:06d}", row["body"], observed_at))
        if fingerprint.signature:  # headlines without a body are no texts to compare
            fingerprints[fingerprint.origin] = fingerprint
    seconds = time.perf_counter() - began
    print(f"{len(fingerprints):,} Reuters wires, {len(fingerprints) / seconds:,.0f} fingerprints/s")
    truth = {
        tuple(sorted((f"{row['a']:06d}", f"{row['b']:06d}"))): row["jaccard"]
        for row in rows("reuters_pairs.jsonl.gz")
        if row["hours_apart"] <= 24
    }
    print(
        "threshold  links  near  exact  abridged  found of pairs >= threshold  jaccard < .4"
        "  seconds"
    )
    for threshold in THRESHOLDS:
        began = time.perf_counter()
        found = links(fingerprints, threshold, HORIZON_MICROS)
        seconds = time.perf_counter() - began
        wanted = {pair for pair, jaccard in truth.items() if jaccard >= max(threshold, 0.5)}
        kinds = list(found.values())
        low = sum(
            kind == "near" and likeness(fingerprints[a], fingerprints[b]).jaccard < 0.4
            for (a, b), kind in found.items()
        )
        recall = len(wanted & set(found)) / len(wanted)
        print(
            f"{threshold:9}  {len(found):5}  {kinds.count('near'):4}  {kinds.count('exact'):5}"
            f"  {kinds.count('abridged'):8}  {recall:27.3f}  {low:12}  {seconds:7.1f}"
        )
    plagiarised = {}
    for row in rows("plagiarised_docs.jsonl.gz"):
        fingerprint = fingerprint_article(article(row["id"], row["body"], Timestamp(0)))
        plagiarised[fingerprint.origin] = fingerprint
    pairs = {tuple(sorted((row["a"], row["b"]))) for row in rows("plagiarised_pairs.jsonl.gz")}
    found = links(plagiarised, 0.5, HORIZON_MICROS)
    print(
        f"plagiarised: {len(pairs & set(found))} of {len(pairs)} found,"
        f" {len(set(found) - pairs)} others"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
