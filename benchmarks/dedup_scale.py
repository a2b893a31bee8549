"""How time and memory of the deduplication grow: ``python -m benchmarks.dedup_scale``.

Makes fingerprints of synthetic news, 10,000, 100,000 and 1,000,000 texts of 250 to 400 words over
30 days, and runs ``FindCandidates`` and ``AssignCopies`` over them, each size in a process of its
own with one worker. Words follow Zipf's law, and a third of each text are three-word phrases that
follow it, too, so that unrelated texts share shingles as English ones do. One text in 20 is a copy
of another that was observed within seven days of it: exact, with 3 % of its words replaced, or cut
to its first half. Prints for each size

- seconds, and microseconds of processor time for each text (which what else the machine does
  changes little); the ratio of the latter to that of the size before;
- the highest resident memory of the process, and how much of it is above that of an idle one;
- candidate pairs, and how many of the planted copies are in one cluster with their original.

Fails if a text takes more than 1.5 times as long as at the size before, if memory goes beyond its
bound, or if a planted copy is not found.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.utils.timestamp import Timestamp

from pipelines.local import local_runner
from schemas.records import Fingerprint, StagedBlock
from transforms.candidates import FindCandidates
from transforms.deduplication import AssignCopies
from transforms.likeness import DEFAULT_THRESHOLD
from transforms.shingles import anchor_hashes, minhash, shingle_hashes
from transforms.staging import ref_of, write_prints
from transforms.storage import LocalStore

SIZES = (10_000, 100_000, 1_000_000)
SEED = 20_240_229
BLOCK_ROWS = 500
COPIES_PER_BLOCK = BLOCK_ROWS // 20
WORDS = 60_000
PHRASES = 5_000
PHRASES_PER_TEXT = (25, 45)
LENGTHS = (250, 400)
REPLACED_SHARE = 0.03
KINDS = ("exact", "edited", "cut")
DAY_MICROS = 86_400 * 1_000_000
START_MICROS = 1_750_000_000 * 1_000_000
SPAN_DAYS = 30
MAX_RATIO = 1.5
"""Of the time a text takes to that at the size before."""
MAX_PEAK_MIB = 512
"""What a worker holds at most, by the bound in ``transforms.candidates``, with its programs."""
HORIZON_DAYS = 7

Words = npt.NDArray[np.int64]


# ── texts ───────────────────────────────────────────────────────────────────────────────────────


def chances(count: int, exponent: float) -> npt.NDArray[np.float64]:
    """Cumulated chances by Zipf's law."""
    weights = np.arange(1, count + 1) ** -exponent
    return np.cumsum(weights / weights.sum())


@functools.cache
def language() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The hash of each word, and the words of each phrase."""
    chance = np.random.default_rng(SEED)
    hashes = chance.integers(0, 2**64, WORDS, np.uint64)
    phrases = np.searchsorted(chances(WORDS, 0.9), chance.random((PHRASES, 3)))
    return hashes, phrases


@functools.cache
def written() -> tuple[Words, Words]:
    """Words and phrases as often as they are written; drawing from them is fast."""
    chance = np.random.default_rng(SEED + 1)
    return (
        np.searchsorted(chances(WORDS, 0.9), chance.random(1 << 22)),
        np.searchsorted(chances(PHRASES, 1.0), chance.random(1 << 20)),
    )


@functools.lru_cache(maxsize=2)
def originals(number: int) -> tuple[list[Words], Words]:
    """The words and times of observation of a block's texts that are no copies."""
    chance = np.random.default_rng([SEED, number])
    words_written, phrases_written = written()
    rows = BLOCK_ROWS - COPIES_PER_BLOCK
    lengths = chance.integers(*LENGTHS, rows)
    drawn = words_written[chance.integers(0, words_written.size, (rows, LENGTHS[1]))]
    texts = []
    for words, length in zip(drawn, lengths, strict=True):
        count = int(chance.integers(*PHRASES_PER_TEXT))
        phrases = phrases_written[chance.integers(0, phrases_written.size, count)]
        places = chance.choice(length // 5, count, replace=False) * 5
        words[places[:, None] + np.arange(3)] = language()[1][phrases]
        texts.append(words[:length])
    return texts, START_MICROS + chance.integers(0, SPAN_DAYS * DAY_MICROS, rows)


def copied(words: Words, kind: str, chance: np.random.Generator) -> Words:
    """What one publisher makes of another's text."""
    if kind == "edited":
        words = words.copy()
        places = chance.random(words.size) < REPLACED_SHARE
        words[places] = chance.integers(0, WORDS, int(places.sum()))
    return words[: words.size // 2] if kind == "cut" else words


def make_print(words: Words, origin: str, observed_micros: int) -> Fingerprint:
    hashes = language()[0][words]
    shingles = shingle_hashes(hashes)
    digest = hashlib.sha256(words.tobytes()).hexdigest()
    return Fingerprint(
        origin=origin,
        article_id=hashlib.sha256(origin.encode()).hexdigest()[:32],
        content_hash=digest,
        source_uri=origin,
        observed_at=Timestamp(micros=observed_micros),
        word_count=words.size,
        signature=minhash(shingles).astype("<u4").tobytes(),
        shingles=shingles.astype("<u4").tobytes(),
        anchors=anchor_hashes(hashes).astype("<u8").tobytes(),
    )


def make_block(folder: str, number: int) -> tuple[StagedBlock, list[tuple[int, int, str]]]:
    """Stage a block; and its planted copies: reference, that of the original, kind."""
    texts, observed = originals(number)
    prints = [
        make_print(words, f"{number}/{row}", when)
        for row, (words, when) in enumerate(zip(texts, observed.tolist(), strict=True))
    ]
    chance = np.random.default_rng([SEED, number, 1])
    source = int(chance.integers(0, number + 1))
    texts, observed = originals(source)
    planted = []
    for copy in range(COPIES_PER_BLOCK):
        row, kind = int(chance.integers(0, len(texts))), KINDS[copy % len(KINDS)]
        apart = int(chance.integers(-HORIZON_DAYS * DAY_MICROS, HORIZON_DAYS * DAY_MICROS))
        planted.append((ref_of(number, len(prints)), ref_of(source, row), kind))
        words = copied(texts[row], kind, chance)
        prints.append(make_print(words, f"{number}/{len(prints)}", int(observed[row]) + apart))
    block = write_prints(LocalStore(folder), "blocks", prints)
    return dataclasses.replace(block, kind="articles", number=number), planted


def make_texts(folder: Path, texts: int) -> None:
    """Stage about so many texts, and write down what was planted."""
    with multiprocessing.Pool() as pool:
        make = functools.partial(make_block, str(folder))
        made = pool.map(make, range(texts // BLOCK_ROWS), chunksize=4)
    (folder / "made.json").write_text(
        json.dumps(
            {
                "blocks": [dataclasses.astuple(block) for block, _ in made],
                "planted": [copy for _, planted in made for copy in planted],
            }
        )
    )


# ── the run ─────────────────────────────────────────────────────────────────────────────────────


def peak_mib() -> float:
    """The highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(folder: Path) -> None:
    """Deduplicate what is staged; print what was measured, as JSON."""
    made = json.loads((folder / "made.json").read_text())
    blocks = [StagedBlock(*block) for block in made["blocks"]]
    texts = sum(block.rows for block in blocks)
    store = LocalStore(str(folder))
    before = peak_mib()
    began, began_cpu = time.perf_counter(), time.process_time()
    with beam.Pipeline(runner=local_runner(1)) as pipeline:
        created = pipeline | "Blocks" >> beam.Create(blocks).with_output_types(StagedBlock)
        none = pipeline | "None" >> beam.Create([]).with_output_types(tuple[str, int])
        candidates = (
            created
            | "Whole"
            >> beam.Map(lambda block: (block, b"")).with_output_types(tuple[StagedBlock, bytes])
            | FindCandidates(
                store, "keys", texts, DEFAULT_THRESHOLD, HORIZON_DAYS * DAY_MICROS // 1_000_000
            )
        )
        verdicts = candidates | AssignCopies(store, created, none)
        path = str(folder)
        _ = (
            candidates
            | "Sizes" >> beam.Map(lambda group: len(group[1]) // 16)
            | beam.CombineGlobally(sum)
            | "Count" >> beam.Map(lambda count: write_json(path, "pairs", count))
        )
        _ = (
            verdicts
            | "Refs" >> beam.Map(lambda one: (one.ref, one.canonical_ref))
            | beam.combiners.ToList()
            | "Verdicts" >> beam.Map(lambda refs: write_json(path, "verdicts", refs))
        )
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    peak = peak_mib()
    canonical = dict(json.loads((folder / "verdicts.json").read_text()))
    found = dict.fromkeys(KINDS, 0)
    for copy, original, kind in made["planted"]:
        one, other = (
            canonical[ref] if canonical.get(ref, -1) >= 0 else ref for ref in (copy, original)
        )
        found[kind] += one == other
    print(
        json.dumps(
            {
                "texts": texts,
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "peak_mib": peak,
                "growth_mib": peak - before,
                "pairs": json.loads((folder / "pairs.json").read_text()),
                "planted": len(made["planted"]),
                "found": found,
                "copies": sum(ref >= 0 for ref in canonical.values()),
                "key_bytes": sum(file.stat().st_size for file in (folder / "keys").iterdir()),
            }
        )
    )


def write_json(folder: str, name: str, value: object) -> None:
    (Path(folder) / f"{name}.json").write_text(json.dumps(value))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of texts")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run)
        return 0
    print(
        "    texts  seconds  µs/text  ratio  peak MiB  growth MiB      pairs  links to a text"
        "  planted  found: exact  edited  cut"
    )
    before = 0.0
    missed = []
    for size in map(int, arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            make_texts(Path(folder), size)
            command = [sys.executable, "-m", "benchmarks.dedup_scale", "--run", folder]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        row = json.loads(output.splitlines()[-1])
        each = row["cpu_seconds"] / row["texts"] * 1e6
        ratio = f"{each / before:5.2f}" if before else "    –"
        if before and each > MAX_RATIO * before:
            missed.append(f"{size:,} texts take {each / before:.2f} times as long each")
        before = each
        found = row["found"]
        if sum(found.values()) < row["planted"]:
            missed.append(f"of {size:,} texts not all copies are found")
        if row["peak_mib"] > MAX_PEAK_MIB:
            missed.append(f"{size:,} texts take {row['peak_mib']:,.0f} MiB")
        print(
            f"{row['texts']:9,}  {row['seconds']:7.1f}  {each:7.0f}  {ratio}"
            f"  {row['peak_mib']:8,.0f}  {row['growth_mib']:10,.0f}  {row['pairs']:9,}"
            f"  {row['copies']:15,}  {row['planted']:7,}  {found['exact']:12,}"
            f"  {found['edited']:6,}  {found['cut']:3,}",
            flush=True,
        )
    if missed:
        print("\nmissed what is needed:\n    " + "\n    ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
