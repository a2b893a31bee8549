"""News-like stories of our own making, what becomes of a story on its way, and files that hold it.

A story is a function of its number, and shares hardly three words in a row with any other. What
others make of it (``VARIANTS``) is what newsrooms do to a wire: they credit, update, edit, cut,
retitle and reorder it, or put it into a round-up.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

_PEOPLE = (
    *("the harbour master", "a retired teacher", "the deputy mayor", "two young engineers"),
    *("a group of farmers", "the night watchman", "an elderly beekeeper", "the chief surveyor"),
    *("several shopkeepers", "the museum's director", "a visiting judge", "the ferry's captain"),
    *("a neighbour's daughter", "the parish council", "one of the auditors", "a local historian"),
)
_DEEDS = (
    *("measured", "repainted", "inherited", "auctioned", "photographed", "mapped", "dismantled"),
    *("insured", "flooded", "rebuilt", "catalogued", "leased", "inspected", "reopened", "sealed"),
)
_THINGS = (
    *("wooden footbridge", "disused cinema", "granite quarry", "tram depot", "herb garden"),
    *("lighthouse lamp", "village library", "copper roof", "sluice gate", "weather station"),
    *("grain elevator", "marble staircase", "fish market", "bell tower", "paper mill"),
)
_PLACES = (
    *("Arnford", "Belcastle", "Corvinia", "Dunmere", "Eastholm", "Farrowby", "Gransted"),
    *("Hollin Bay", "Istrava", "Jorvik Hill", "Kestrelton", "Lomvale", "Merrow", "Northam"),
)
_REASONS = (
    *("because the {c} insurers asked for it", "although no {c} had voted on it"),
    *("while the {c} orchestra rehearsed", "after a {c} and windy spring"),
    *("in spite of the {c} petition", "as the {c} contract demands"),
    *("without telling the {c} owners", "at the request of the {c} schools"),
    *("since the old {c} permit lapsed", "when the {c} fell", "under the eyes of the {c} press"),
)
_ENDINGS = (
    *("and the {c} bill came to {n} crowns", "which took {c} {n} hours longer than planned"),
    *("so that {n} {c} families had to wait", "and {n} {c} visitors came to see it"),
    *("though only {n} {c} parts were found", "for which {n} {c} signatures were needed"),
    *("and the {c} report of {n} pages says so", "as {n} {c} witnesses told the inquiry"),
)
_FRAMES = (
    "On {day} {who} {deed} the {thing} of {place} {reason}, {end}.",
    "In {place}, {who} {deed} a {thing} {reason}, {end}.",
    "According to {who}, the {thing} near {place} was {deed} {reason}, {end}.",
    "It was {who} from {place} who {deed} the {thing} {reason}, {end}.",
    "The {thing}, {deed} by {who} in {place} {reason}, is to be shown again, {end}.",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SYLLABLES = ("bar", "del", "fin", "gor", "hal", "jun", "kel", "mor", "nes", "pol", "rin", "tav")
_AUTHORS = ("Ana Barros", "Joseph Carter", "Marta Quintela", "David Okafor", "Helen Lindqvist")
NOTICE = (
    "This newspaper is owned by its readers, who meet once a year in the old customs house to "
    "elect the editors, to hear the accounts, and to argue about the crossword; whoever wants to "
    "join them may write to the office in the market square, or come by on any working day "
    "between nine and five, except in August, when everybody is away and the cat keeps the door."
)
"""A paragraph that different stories share."""


@dataclass(frozen=True)
class Story:
    """A text, and what is said about it."""

    title: str
    paragraphs: tuple[str, ...]
    author: str
    published: datetime | None = None
    """In UTC; nothing is said of it if None."""

    @property
    def words(self) -> list[str]:
        """The words of its paragraphs, with their punctuation."""
        return " ".join(self.paragraphs).split()


def _coined(chance: random.Random) -> str:
    return "".join(chance.choices(_SYLLABLES, k=2)).capitalize()


def _sentence(chance: random.Random) -> str:
    return chance.choice(_FRAMES).format(
        day=chance.choice(_DAYS),
        who=f"{chance.choice(_PEOPLE)} {_coined(chance)}",
        deed=chance.choice(_DEEDS),
        thing=f"{_coined(chance)} {chance.choice(_THINGS)}",
        place=f"{_coined(chance)} {chance.choice(_PLACES)}",
        reason=chance.choice(_REASONS).format(c=_coined(chance)),
        end=chance.choice(_ENDINGS).format(c=_coined(chance), n=chance.randrange(3, 9_000)),
    )


def make_story(number: int, published: datetime | None = None, sentences: int = 15) -> Story:
    """The story of a number, of about 20 words a sentence and three sentences a paragraph."""
    chance = random.Random(f"story {number}")
    told = [_sentence(chance) for _ in range(sentences)]
    paragraphs = tuple(" ".join(told[start : start + 3]) for start in range(0, sentences, 3))
    thing, place = chance.choice(_THINGS), chance.choice(_PLACES)
    title = f"What {_coined(chance)} saw at the {thing} of {place} on day {number}"
    return Story(title, paragraphs, chance.choice(_AUTHORS), published)


# ── what becomes of a story ─────────────────────────────────────────────────────────────────────


def credited(story: Story, chance: random.Random) -> Story:
    """With the lines that tell which agency it is of."""
    by = f"Reporting by {chance.choice(_AUTHORS)}; additional work by the {_coined(chance)} office."
    first, *rest = story.paragraphs
    place = chance.choice(_PLACES).upper()
    return replace(story, paragraphs=(f"{place} (Wirenet) - {first}", *rest, by))


def updated(story: Story, chance: random.Random) -> Story:
    """With a line above it that tells what is new."""
    line = (
        f"This story was updated at {chance.randrange(6, 22)}:30 with what {_coined(chance)} said."
    )
    return replace(story, paragraphs=(line, *story.paragraphs))


def edited(story: Story, chance: random.Random, share: float = 0.03) -> Story:
    """With a share of its words replaced, here and there, by words that are nowhere else."""
    counts = [len(paragraph.split()) for paragraph in story.paragraphs]
    words = story.words
    for place in chance.sample(range(len(words)), max(1, round(share * len(words)))):
        mark = words[place][-1] if words[place][-1] in ".,;" else ""
        words[place] = "".join(chance.choices(_SYLLABLES, k=3)) + mark
    starts = [sum(counts[:number]) for number in range(len(counts))]
    paragraphs = (
        " ".join(words[start : start + count]) for start, count in zip(starts, counts, strict=True)
    )
    return replace(story, paragraphs=tuple(paragraphs))


def trimmed(story: Story, share: float) -> Story:
    """Its first sentences, cut from the end as desks cut."""
    sentences = [re.findall(r"[^.]+\.", paragraph) for paragraph in story.paragraphs]
    left = round(share * sum(map(len, sentences)))
    kept = []
    for paragraph in sentences:
        taken, left = paragraph[:left], left - len(paragraph[:left])
        if taken:
            kept.append("".join(taken).strip())
    return replace(story, paragraphs=tuple(kept))


def teaser(story: Story) -> Story:
    """Its first two sentences, as front pages and feeds give them."""
    return trimmed(story, 2 / len(re.findall(r"\.", " ".join(story.paragraphs))))


def retitled(story: Story, chance: random.Random) -> Story:
    """Under another headline."""
    return replace(
        story, title=f"Why {_coined(chance)} will talk about {_coined(chance)} for years"
    )


def reordered(story: Story, chance: random.Random) -> Story:
    """With its paragraphs in another order."""
    paragraphs = list(story.paragraphs)
    while tuple(paragraphs) == story.paragraphs:
        chance.shuffle(paragraphs)
    return replace(story, paragraphs=tuple(paragraphs))


def glued(story: Story, other: Story) -> Story:
    """One text after another, as in a round-up."""
    return replace(story, paragraphs=story.paragraphs + other.paragraphs)


def with_notice(story: Story) -> Story:
    """With the paragraph that different stories share."""
    return replace(story, paragraphs=(*story.paragraphs, NOTICE))


VARIANTS: dict[str, Callable[[Story, random.Random], Story]] = {
    "same": lambda story, _: story,
    "credited": credited,
    "updated": updated,
    "edited-3": edited,
    "edited-10": lambda story, chance: edited(story, chance, 0.1),
    "trimmed-80": lambda story, _: trimmed(story, 0.8),
    "trimmed-50": lambda story, _: trimmed(story, 0.5),
    "teaser": lambda story, _: teaser(story),
    "retitled": retitled,
    "reordered": reordered,
    "glued": lambda story, chance: glued(story, make_story(100_000 + chance.randrange(10**6))),
    "with-notice": lambda story, _: with_notice(story),
}
"""By name, each of a story and the chance that it is left to."""


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def dump(story: Story) -> bytes:
    """The story as plain text, below a menu."""
    date = [f"{story.published:%Y-%m-%d %H:%M} GMT"] if story.published else []
    lines = ["Front page", "World", "Sport", story.title, *date, f"By {story.author}", ""]
    return "\n".join([*lines, "\n\n".join(story.paragraphs), ""]).encode()


def page(story: Story, url: str) -> bytes:
    """The story as a saved page of an address."""
    meta = f'<link rel="canonical" href="{url}"><meta name=author content="{story.author}">'
    if story.published:
        at = f"{story.published:%Y-%m-%dT%H:%M:%SZ}"
        meta += f'<meta property="article:published_time" content="{at}">'
    text = "".join(f"<p>{paragraph}</p>" for paragraph in story.paragraphs)
    return (
        f"<!DOCTYPE html><html lang=en><head><title>{story.title}</title>{meta}</head><body>"
        f"<nav><a href='/'>Home</a></nav><article><h1>{story.title}</h1>{text}</article>"
        "<footer>© Example Press</footer></body></html>"
    ).encode()


@dataclass(frozen=True)
class Seen:
    """A page as it was seen at some time."""

    story: Story
    url: str
    at: datetime
    """In UTC."""


def archive(pages: Iterable[Seen]) -> bytes:
    """Pages as a web archive keeps them: each with when it was seen (WARC 1.1, ISO 28500)."""
    records = []
    for seen in pages:
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        block = http + page(seen.story, seen.url)
        name = random.Random(f"{seen.url} {seen.at}").getrandbits(48)
        records.append(
            f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Date: {seen.at:%Y-%m-%dT%H:%M:%SZ}\r\n"
            f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{name:012x}>\r\n"
            f"WARC-Target-URI: {seen.url}\r\nContent-Type: application/http; msgtype=response\r\n"
            f"Content-Length: {len(block)}\r\n\r\n".encode()
            + block
            + b"\r\n\r\n"
        )
    return b"".join(records)
