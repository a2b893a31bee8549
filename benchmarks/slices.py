"""Memory follows the slice, not the input: ``python -m benchmarks.slices [ARTICLES ...]``.

Writes archives (WARC) of generated pages, ingests them into a fresh dataset with the command line
as a user would, and prints for each number of articles the peak of the resident memory of all its
processes together (sampled five times a second; pages that processes share count in each), with
the ratio to the smallest input. One page in twenty is a near copy of another. The texts
are short, and nine of ten are in a language without an entity model: what is measured is not the
models.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

PAGES_PER_ARCHIVE = 5_000
_SAMPLE_SECONDS = 0.2
_SENTENCES = {
    "en": (
        ("The council of", "A court in", "The harbour of", "The school of", "A museum in"),
        ("opened", "counted", "repaired", "sold", "measured", "closed", "visited"),
        "{who} {place} {did} the {a} bridge with the {b} on Monday, and {number} people from {c} "
        "came to the {d} because of the {e}.",
    ),
    "de": (
        ("Der Rat von", "Ein Gericht in", "Der Hafen von", "Die Schule von", "Ein Museum in"),
        ("eröffnete", "zählte", "reparierte", "verkaufte", "vermaß", "schloss", "besuchte"),
        "{who} {place} {did} am Montag die {a} Brücke mit dem {b}, und {number} Leute aus {c} "
        "kamen wegen der {e} bis an den {d}.",
    ),
}
_PLACES = ("Oslo", "Lagos", "Quito", "Hanoi", "Leeds", "Porto", "Izmir", "Tunis", "Perth", "Lima")
_SYLLABLES = ("ba", "do", "ki", "lu", "mer", "na", "or", "pel", "ri", "sun", "ta", "vo", "zen")


def sentence(chance: random.Random, language: str) -> str:
    """A sentence that shares hardly a run of three words with any other."""
    who, did, frame = _SENTENCES[language]
    words = {slot: "".join(chance.choices(_SYLLABLES, k=3)) for slot in "abcde"}
    return frame.format(
        who=chance.choice(who),
        place=chance.choice(_PLACES),
        did=chance.choice(did),
        number=chance.randrange(2, 900),
        **words,
    )


def seen(number: int) -> str:
    """The day of a page: neighbours have the same, so that copies lie within the horizon."""
    group = number // 20
    return f"2025-{1 + group % 12:02d}-{1 + group // 12 % 28:02d}"


def page(number: int) -> bytes:
    """A page by its number; every twentieth repeats its neighbour's text but for a sentence."""
    is_copy = number % 20 == 19
    language = "en" if number // 20 % 10 == 0 else "de"
    chance = random.Random(number - 1 if is_copy else number)
    paragraphs = [" ".join(sentence(chance, language) for _ in range(2)) for _ in range(2)]
    if is_copy:
        paragraphs.append(sentence(random.Random(-number), language))
    day = seen(number)
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return (
        f"<html><head><title>{sentence(chance, language)}</title>"
        f'<meta property="article:published_time" content="{day}T08:00:00Z">'
        f'<link rel="canonical" href="https://news{number % 97}.example/{number}"></head>'
        f"<body><article><h1>Report {number}</h1>{body}</article></body></html>"
    ).encode()


def record(number: int) -> bytes:
    """The page as a WARC response record."""
    html = page(number)
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html
    header = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Target-URI: https://news{number % 97}.example/{number}\r\n"
        f"WARC-Date: {seen(number)}T09:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{number:012d}>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    return header.encode() + http + b"\r\n\r\n"


def write_archives(folder: Path, articles: int) -> None:
    for start in range(0, articles, PAGES_PER_ARCHIVE):
        with (folder / f"pages-{start:07d}.warc").open("wb") as file:
            for number in range(start, min(start + PAGES_PER_ARCHIVE, articles)):
                file.write(record(number))


def resident_bytes(process: psutil.Process) -> Iterator[int]:
    for one in (process, *process.children(recursive=True)):
        try:
            yield one.memory_info().rss
        except psutil.NoSuchProcess:
            continue


def measure(articles: int, workers: int, slice_size: str) -> dict[str, float]:
    """Ingest that many generated articles; gives what the table shows of it."""
    with tempfile.TemporaryDirectory(prefix="newsbeam-slices-") as name:
        folder = Path(name)
        (folder / "in").mkdir()
        write_archives(folder / "in", articles)
        began = time.monotonic()
        command = [sys.executable, "-m", "pipelines", "ingest", str(folder / "in"),
                   "--output", str(folder / "news"), "--json", f"--workers={workers}",
                   f"--slice-size={slice_size}"]  # fmt: skip
        with (folder / "report.json").open("w", encoding="utf-8") as out:
            process = psutil.Popen(command, stdout=out)
            peak = 0
            while process.poll() is None:
                try:
                    peak = max(peak, sum(resident_bytes(process)))
                except psutil.NoSuchProcess:
                    break
                time.sleep(_SAMPLE_SECONDS)
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return {
            "articles": articles,
            "slices": report["slices"],
            "rows": report["new_rows"]["articles"],
            "duplicates": report["new_rows"]["duplicates"],
            "seconds": time.monotonic() - began,
            "peak_bytes": peak,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("articles", nargs="*", type=int, default=[20_000, 100_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slice-size", default="16M")
    arguments = parser.parse_args()
    print("articles   slices      rows  duplicates  seconds  articles/s  peak MiB  ratio")
    least = 0.0
    for articles in arguments.articles:
        row = measure(articles, arguments.workers, arguments.slice_size)
        least = least or row["peak_bytes"]
        print(
            f"{articles:8,}  {row['slices']:7,}  {row['rows']:8,}  {row['duplicates']:10,}"
            f"  {row['seconds']:7.0f}  {articles / row['seconds']:10.1f}"
            f"  {row['peak_bytes'] / 2**20:8,.0f}  {row['peak_bytes'] / least:5.2f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
