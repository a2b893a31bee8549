"""Pages in the shape of the real thing, for the tests of saved pages and of their metadata."""

from __future__ import annotations

import json
from typing import Any

from apache_beam.utils.timestamp import Timestamp

SEEN = Timestamp.from_rfc3339("2026-06-30T12:00:00Z")
URL = "https://www.news.example/city/bridge-reopens"
PARAGRAPHS = [
    "The old bridge over the river opened to traffic again on Monday, two years after a flood "
    "had washed away its middle arch and cut the town in two.",
    "Engineers tested the new arch with eleven lorries full of gravel, and the mayor walked "
    "across it first, together with the oldest and the youngest inhabitant.",
    "Buses will follow next week. The ferry, which carried some four thousand people a day in "
    "the meantime, goes back to the lake where it came from.",
]


def html(head: str = "", body: str | None = None, *, language: str = "") -> str:
    """A page in the shape of the real thing: menu, article, widgets, footer."""
    story = "".join(f"<p>{paragraph}</p>" for paragraph in PARAGRAPHS)
    main = body if body is not None else f"<h1>Bridge reopens</h1>{story}"
    return (
        f"<!DOCTYPE html><html{f' lang={language}' if language else ''}><head>{head}</head><body>"
        "<nav><a href='/'>Home</a> <a href='/sport'>Sport</a></nav>"
        f"<article>{main}</article>"
        "<aside><h3>Most read</h3><ul><li><a href='/1'>Ferry sold</a></li></ul></aside>"
        "<footer>© Example Media</footer></body></html>"
    )


def json_ld(*nodes: dict[str, Any]) -> str:
    value = nodes[0] if len(nodes) == 1 else list(nodes)
    return f'<script type="application/ld+json">{json.dumps(value)}</script>'


def meta(**values: str) -> str:
    return "".join(
        f'<meta property="{name.replace("__", ":")}" content="{value}">'
        for name, value in values.items()
    )
