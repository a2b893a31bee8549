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
from schemas.arrow import ARTICLES, DUPLICATES, FAILURES
from schemas.records import REASONS

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


COMMANDS = ("ingest", "compact", "replay", "verify")


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
        "readers": reader_lines(),
        "finished": f"```sql\n{FINISHED_RUNS}\n```",
        "across": across_lines(),
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
