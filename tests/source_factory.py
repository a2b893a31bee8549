"""A few hundred source files of our own making, of several kinds, the same ones each time.

Dumps, saved pages, an archive and a feed; copies whole, changed and shortened, which by their names
lie far from what they copy; and files that hold no article. What a page said ``earlier`` differs
from what it says now, so that a dataset that was made of the earlier files gets revisions.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_THEMES = (
    (
        ("striker", "goalkeeper", "coach", "referee", "midfielder", "captain"),
        ("scored in", "missed", "watched", "won", "lost", "stopped"),
        ("the cup final", "the league match", "the penalty shoot-out", "the second half"),
    ),
    (
        ("nurse", "surgeon", "patient", "hospital", "midwife", "health minister"),
        ("treated", "asked for", "tested", "paid for", "feared", "recommended"),
        ("the new vaccine", "an operation", "the flu epidemic", "a cheaper medicine"),
    ),
    (
        ("bank", "shareholder", "exporter", "shipping company", "factory", "finance minister"),
        ("sold", "bought", "taxed", "priced", "borrowed against", "wrote off"),
        ("its shares", "the bonds", "a quarter of the profits", "the loan", "all its exports"),
    ),
    (
        ("forester", "meteorologist", "river warden", "beekeeper", "glaciologist", "village"),
        ("measured", "photographed", "was spared by", "warned of", "counted", "survived"),
        ("the storm", "the drought", "a heat wave", "the melting snow", "the flooded meadows"),
    ),
)
_PEOPLE = ("Ana Barros", "Joseph Carter", "Marta Quintela", "David Okafor", "Helen Lindqvist")
_PLACES = ("Lisbon", "Nairobi", "Chicago", "Oslo", "Manila", "Toronto", "Vienna", "Lima")
_DAYS = ("2019-06-23", "2019-06-25", "2019-06-26", None)
"""When stories were published, before whatever day a test takes for today; None says nothing."""


@dataclass(frozen=True)
class Story:
    """What one source file tells."""

    number: int
    title: str
    paragraphs: tuple[str, ...]
    author: str
    place: str
    day: str | None
    """ISO 8601."""


def _sentence(chance: random.Random, number: int) -> str:
    who, does, what = (chance.choice(words) for words in _THEMES[number % len(_THEMES)])
    return (
        f"In {chance.choice(_PLACES)} the {who} {does} {what} {chance.randrange(2, 900)} times, "
        f"said {chance.choice(_PEOPLE)}, and the {chance.choice(('news', 'word', 'bill'))} "
        f"reached {chance.randrange(2, 900)} {chance.choice(('homes', 'offices', 'schools'))}."
    )


def make_story(number: int) -> Story:
    """The story of a number."""
    chance = random.Random(number)
    who, does, what = (chance.choice(words) for words in _THEMES[number % len(_THEMES)])
    place = chance.choice(_PLACES)
    return Story(
        number,
        f"How the {who} of {place} {does} {what} {number} times",
        tuple(_sentence(chance, number) for _ in range(4)),
        chance.choice(_PEOPLE),
        place,
        _DAYS[number // len(_THEMES) % len(_DAYS)],
    )


def _dump(story: Story) -> str:
    lines = ["Front page", "World", "Sport", story.title]
    lines += [f"{story.day} 11:20 GMT"] if story.day else []
    return "\n".join([*lines, f"By {story.author}", "", "\n\n".join(story.paragraphs), ""])


def _page(story: Story, site: str = "press.example") -> str:
    url = f'<link rel="canonical" href="https://{site}/stories/{story.number}">'
    date = f'<meta property="article:published_time" content="{story.day}T11:20:00Z">'
    text = "".join(f"<p>{paragraph}</p>" for paragraph in story.paragraphs)
    return (
        f"<!DOCTYPE html><html lang=en><head><title>{story.title}</title>{url}"
        f"{date if story.day else ''}<meta name=author content='{story.author}'></head><body>"
        f"<nav><a href='/'>Home</a></nav><article><h1>{story.title}</h1>{text}</article>"
        "<footer>© Example Press</footer></body></html>"
    )


def _changed(story: Story) -> Story:
    first, *rest = story.paragraphs
    return Story(**{**vars(story), "paragraphs": (first.replace("said", "told us", 1), *rest)})


def _shortened(story: Story) -> Story:
    return Story(**{**vars(story), "paragraphs": story.paragraphs[:3]})


def _archive(numbers: range) -> bytes:
    records = []
    for number in numbers:
        page = _page(make_story(number), "archive.example").encode()
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page
        records.append(
            f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Date: 2019-06-26T10:20:30Z\r\n"
            f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{number:012}>\r\n"
            f"WARC-Target-URI: https://archive.example/stories/{number}\r\n"
            "Content-Type: application/http; msgtype=response\r\n"
            f"Content-Length: {len(block)}\r\n\r\n".encode()
            + block
            + b"\r\n\r\n"
        )
    return b"".join(gzip.compress(record, mtime=0) for record in records)


def _feed(numbers: range) -> str:
    items = []
    for story in map(make_story, numbers):
        text = "".join(f"<p>{paragraph}</p>" for paragraph in story.paragraphs)
        items.append(
            f"<item><title>{story.title}</title><guid>{story.number}</guid>"
            f"<link>https://feed.example/{story.number}</link>"
            f"<content:encoded><![CDATA[{text}]]></content:encoded></item>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"'
        ' xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>Feed</title>'
        f"<link>https://feed.example/</link>{''.join(items)}</channel></rss>"
    )


def _file_of(story: Story) -> tuple[str, str]:
    if story.number % 2:
        return f"b-page-{story.number:03d}.html", _page(story)
    return f"a-dump-{story.number:03d}.txt", _dump(story)


def _files(stories: int) -> Iterator[tuple[str, str | bytes]]:
    for number in range(stories):
        story = make_story(number)
        yield _file_of(story)
        if number % 6 == 0:
            yield f"m-copy-{number:03d}.html", _page(story, "copied.example")
        if number % 9 == 1:
            yield f"n-near-{number:03d}.html", _page(_changed(story), "near.example")
        if number % 14 == 2:
            yield f"o-short-{number:03d}.html", _page(_shortened(story), "short.example")
        if number % 25 == 3:
            yield f"p-empty-{number:03d}.txt", ""
            # Of another length each, for what is equal is one failure.
            cut = gzip.compress(_page(story).encode(), mtime=0)[: 200 + number]
            yield f"p-cut-{number:03d}.html.gz", cut
    yield "q-archive.warc.gz", _archive(range(1000, 1000 + max(2, stories // 16)))
    yield "q-archive-again.warc.gz", _archive(range(1000, 1002))
    yield "r-feed.xml", _feed(range(2000, 2000 + max(2, stories // 16)))


def example_files() -> list[tuple[str, bytes]]:
    """A dump and a page."""
    return [(name, content.encode()) for name, content in map(_file_of, map(make_story, (0, 1)))]


def write_sources(folder: Path, stories: int) -> None:
    """Write the files of so many stories, and of what was made of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _files(stories):
        encoded = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(encoded)


def write_earlier_sources(folder: Path, stories: int) -> None:
    """Write what an earlier run found there: part of the files, and of them pages as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(0, stories, 3):
        story = make_story(number)
        name, content = _file_of(_changed(story) if number % 9 == 3 else story)
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "p-empty-003.txt").write_bytes(b"")


def mend_sources(folder: Path, stories: int) -> None:
    """Write whole what was cut, with stories that are nowhere else, and what was empty."""
    for number in range(stories):
        if number % 25 == 3:
            page, dump = _page(make_story(3000 + number)), _dump(make_story(4000 + number))
            (folder / f"p-cut-{number:03d}.html.gz").write_bytes(gzip.compress(page.encode()))
            (folder / f"p-empty-{number:03d}.txt").write_text(dump, encoding="utf-8")
