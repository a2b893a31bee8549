"""Write the parts of the documentation that the code knows: ``make docs``.

Each part stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` in a Markdown file. The tests hold
that the files are as this script would write them.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa

from docs.queries import ACROSS_SCHEMAS, FINISHED_RUNS, OPENING, READING
from pipelines.metrics_server import EXPOSED
from schemas.arrow import ARTICLES, DUPLICATES, FAILURES
from schemas.records import REASONS
from transforms import http_caching
from transforms.http_client import HttpSettings
from transforms.measures import MEASURES
from transforms.parsed_feeds import MAX_ITEMS
from transforms.robots import MAX_ROBOTS_BYTES, MAX_ROBOTS_REDIRECTS

ROOT = Path(__file__).resolve().parent.parent


def type_name(kind: pa.DataType) -> str:
    """An Arrow type as a reader of the table would write it."""
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{field.name} {type_name(field.type)}" for field in kind) + "}"
    if pa.types.is_list(kind):
        return f"{type_name(kind.value_type)}[]"
    if pa.types.is_timestamp(kind):
        return f"timestamp({kind.unit}, {kind.tz})"
    return {"bool": "boolean", "float": "float32"}.get(str(kind), str(kind))


def column_table(schema: pa.Schema) -> str:
    """A Markdown table of a schema's columns."""
    lines = ["| column | type | null | meaning |", "|---|---|---|---|"]
    for field in schema:
        meaning = field.metadata[b"description"].decode()
        null = "yes" if field.nullable else "no"
        lines.append(f"| `{field.name}` | {type_name(field.type)} | {null} | {meaning} |")
    return "\n".join(lines)


def reason_table() -> str:
    """A Markdown table of the reasons for rejections and failures."""
    lines = ["| reason | meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{slug}` | {text} |" for slug, text in REASONS.items())])


_LANGUAGES = {"duckdb": "sql", "polars": "python", "pandas": "python", "pyarrow": "python"}
_SHOWN = ("a topic on a day", "the undated", "copies with what they copy")


def reader_lines() -> str:
    """What a user of each reader writes, as code blocks."""
    blocks = []
    for reader, opening in OPENING.items():
        language = _LANGUAGES.get(reader, "python")
        mark, end = ("--", ";") if language == "sql" else ("#", "")
        lines = [f"{mark} {question}\n{READING[question][reader]}{end}" for question in _SHOWN]
        name = {"duckdb": "DuckDB", "pyarrow": "PyArrow"}.get(reader, reader.capitalize())
        code = "\n\n".join([opening, *lines])
        blocks.append(f"{name.replace('Pandas', 'pandas')}:\n\n```{language}\n{code}\n```")
    return "\n\n".join(blocks)


def across_lines() -> str:
    """How each reader reads files of several schema versions, as code blocks."""
    lines = {
        "DuckDB": ("sql", "duckdb"),
        "Polars": ("python", "polars"),
        "Spark": ("python", "spark"),
    }
    blocks = (
        f"{name}:\n\n```{language}\n{ACROSS_SCHEMAS[reader]}\n```"
        for name, (language, reader) in lines.items()
    )
    return "\n\n".join(blocks) + "\n\npandas and PyArrow need nothing else."


def revision_lines() -> str:
    """How the last text of each work, and all its texts, are read, as a code block."""
    view = ACROSS_SCHEMAS["duckdb"].replace("\n", "\n  ")
    shown = {
        "newest revisions": "the latest only",
        "history": "the history of the works that were changed; of one: AND article_id = '…'",
    }
    queries = (f"-- {what}\n{READING[question]['duckdb']};" for question, what in shown.items())
    return "\n\n".join(["```sql\nCREATE VIEW articles AS\n  " + view + ";", *queries]) + "\n```"


def duration(seconds: float) -> str:
    """A duration in the largest unit that it is a whole number of."""
    for unit, unit_seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds > unit_seconds and not seconds % unit_seconds:
            return f"{seconds / unit_seconds:.0f} {unit}s"
        if seconds == unit_seconds:
            return f"1 {unit}"
    return f"{seconds:g} seconds"


def limits_table() -> str:
    """A Markdown table of how the HTTP client is bounded."""
    settings = HttpSettings()
    rows = [
        ("requests at a time, in all", f"{settings.requests_in_all}", "`--requests`"),
        (
            "requests at a time to one host and port",
            f"{settings.requests_per_host}",
            "`--requests-per-host`",
        ),
        ("a connection, and TLS", f"{duration(settings.connect_seconds)} each", ""),
        ("between two pieces of an answer", duration(settings.read_seconds), ""),
        (
            "one request with its redirects, waiting for its turn not counted",
            duration(settings.whole_seconds),
            "`--request-timeout`",
        ),
        (
            "a body, as sent and decompressed",
            f"{settings.max_body_bytes >> 20} MiB",
            "`--max-body-bytes`",
        ),
        ("redirects of one request", f"{settings.max_redirects}", ""),
        (
            "a host that does not answer is left alone for the run after",
            f"{settings.max_host_failures} failures in a row",
            "",
        ),
        (
            "one host in one run, of time in which it is asked",
            duration(settings.max_host_seconds),
            "",
        ),
        (
            "a longer `Crawl-delay` is taken for",
            duration(settings.max_crawl_delay_seconds),
            "",
        ),
        (
            "a robots.txt",
            f"{MAX_ROBOTS_BYTES >> 10} KiB, {MAX_ROBOTS_REDIRECTS} redirects",
            "",
        ),
        ("items of one feed", f"{MAX_ITEMS:,}", "`limit`, for a feed"),
    ]
    lines = ["| what | at most | set by |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def waits_table() -> str:
    """A Markdown table of when a feed or page is asked for again."""
    hint, most = (
        duration(http_caching.MAX_HINT_SECONDS),
        duration(http_caching.MAX_BACKOFF_SECONDS),
    )
    second = duration(2 * http_caching.LEAST_RETRY_SECONDS)
    asked = duration(http_caching.MAX_RETRY_AFTER_SECONDS)
    rows = [
        ("a feed was read", "once its `interval` is over; without one, with the next run"),
        (
            "… and its server states `Cache-Control: max-age` or `Expires`, or the feed a `ttl` "
            "(RSS) or an update period (RSS 1.0)",
            f"after the longest of these and the interval; hints count for {hint} at most",
        ),
        (
            "… and the feed states `skipHours` or `skipDays`",
            "then, moved to the first hour that it does not ask to skip",
        ),
        ("a feed failed once", "once its interval is over; without one, with the next run"),
        (
            "a feed failed again and again",
            f"after {second}, or twice the interval where that is longer, doubled with each "
            f"further failure to {most} at most; chance takes off up to half of it, but never of "
            "the interval. It is never given up",
        ),
        (
            "a server states `Retry-After` with a failure (408, 425, 429, any 5xx)",
            f"after that, {asked} at most, and not before the interval is over",
        ),
        ("a feed is gone (410)", f"after {duration(http_caching.RETIRED_SECONDS)}"),
        ("a page failed once", "with the next run, or after `Retry-After`"),
        (
            "a page failed again",
            f"after {second}, doubled with each further failure to "
            f"{duration(http_caching.MAX_ATTEMPT_SECONDS)} at most, less up to half by chance, or "
            "after `Retry-After` where that is longer; given up after "
            f"{http_caching.MAX_ATTEMPTS} attempts, but not before "
            f"{duration(http_caching.MAX_AGE_SECONDS)} are over since it was first listed",
        ),
    ]
    lines = ["| if | it is asked for again |", "|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def metrics_table() -> str:
    """A Markdown table of what Prometheus is told, but for the stages."""
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for one in EXPOSED.values():
        if not one.name.startswith("newsbeam_stage_"):
            labels = ", ".join(f"`{label}`" for label in one.labels)
            lines.append(f"| `{one.name}` | {one.kind} | {labels} | {one.meaning} |")
    return "\n".join(lines)


def stages_table() -> str:
    """A Markdown table of what the stages count, and as what Prometheus is told of it."""
    lines = ["| in Beam | kind | counted in | meaning | for Prometheus |", "|---|---|---|---|---|"]
    told = [name for name in EXPOSED if name.startswith("newsbeam_stage_")]
    for measure, name in zip(MEASURES.values(), told, strict=True):
        lines.append(
            f"| `{measure.name}` | {measure.kind} | {measure.stage} | {measure.meaning} "
            f"| `{name}` |"
        )
    return "\n".join(lines)


COMMANDS = ("ingest", "stream", "feeds", "compact", "replay", "verify")


def help_text(command: str) -> str:
    """The help of a command as a code block."""
    from pipelines.cli import make_parser  # noqa: PLC0415 - importing it takes a second

    parser = make_parser()
    commands = next(action for action in parser._actions if action.dest == "command")
    assert set(commands.choices) == set(COMMANDS)
    with patch.dict(os.environ, COLUMNS="92"):  # argparse measures the terminal
        text = commands.choices[command].format_help()
    return f"```text\n{text.rstrip()}\n```"


def parts() -> dict[str, str]:
    """The generated parts by name."""
    return {
        "articles": column_table(ARTICLES),
        "duplicates": column_table(DUPLICATES),
        "failures": column_table(FAILURES),
        "reasons": reason_table(),
        "metrics": metrics_table(),
        "stages": stages_table(),
        "http-limits": limits_table(),
        "feed-waits": waits_table(),
        "readers": reader_lines(),
        "finished": f"```sql\n{FINISHED_RUNS}\n```",
        "across": across_lines(),
        "revisions": revision_lines(),
        **{f"help-{command}": help_text(command) for command in COMMANDS},
    }


def with_parts(text: str) -> str:
    """A document with its generated parts as they should be."""
    for name, part in parts().items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = pattern.sub(lambda match, part=part: f"{match[1]}{part}\n{match[2]}", text)
    return text


def documents() -> list[Path]:
    """The Markdown files that may hold generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main() -> int:
    """Rewrite the documents."""
    for path in documents():
        path.write_text(with_parts(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
