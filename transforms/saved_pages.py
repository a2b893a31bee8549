"""Saved pages and feed items → articles.

``Page`` of kind ``html`` or ``feed-item`` → one ``Article``, or the ``Failure`` that says why there
is none. The main text of a page is trafilatura's; what of it is not body is taken off here, and
read where it says who wrote the article and when. The page's metadata, with the sources that their
provenance may name, are those of ``page_metadata``. Pure and bounded by its input.

``Article.hints`` holds the page's date of modification with the source ``modified``: it is never
taken for the date of publication.

What shows that a page is no article is told by ``interstitials``. A page that was fetched for an
item of a live feed holds the item: what the feed knows of it is added by ``fed_fields``.
"""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
import re
from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

import trafilatura
from lxml import etree
from lxml.html import HtmlElement
from trafilatura.utils import load_html

from schemas.records import (
    Article,
    Extraction,
    Failure,
    FeedItem,
    Page,
    Provenance,
)
from transforms.bylines import Byline, is_photo_credit, parse_byline, parse_dateline
from transforms.dates import (
    DateLine,
    DatelineDay,
    date_article,
    parse_date_line,
)
from transforms.decoding import Decoded, UndecodableText, decode_text
from transforms.fed_fields import (
    add_feed_item,
    agency_of,
    change_hints,
    day_of,
    fed_date,
    first_seen,
)
from transforms.interstitials import (
    ASKS_FOR_SUBSCRIPTION,
    MAX_BEGINNING_WORDS,
    error_sign,
    interstitial_sign,
    leads_on,
    lines_with_buttons,
    paywall_sign,
    visible_text,
)
from transforms.lines import Kind, read_lines
from transforms.page_metadata import (
    PageMetadata,
    TextLine,
    clean_authors,
    host_of,
    http_url,
    is_home,
    read_metadata,
    text_lines,
    url_date,
)
from transforms.prose import (
    MIN_BODY_WORDS,
    PROSE_WORDS,
    count_words,
    is_prose,
    line_key,
    prose_share,
    title_words,
    words_in,
)

MAX_PAYLOAD_BYTES = 1024 * 1024
"""How much of a page a failure keeps."""

# ── pages ───────────────────────────────────────────────────────────────────────────────────────


def extract_page(page: Page) -> list[Article | Failure]:
    """Take the article out of a saved page, or out of one that was fetched for a feed's item.

    Returns:
        One value: the article; or a failure, rejected as ``no-article``, ``challenge-page`` or
        ``paywall``, or failed as ``undecodable`` or ``unparsable``.
    """
    try:
        decoded = decode_text(page.content, page.charset, html=True)
    except UndecodableText as error:
        return [_failure(page, "failed", "undecodable", str(error))]
    try:
        return [_extract(page, decoded)]
    except (etree.LxmlError, RecursionError, _Unparsable) as error:
        # What lxml and trafilatura raise for hostile markup; anything else is a bug.
        return [_failure(page, "failed", "unparsable", _parse_message(error))]


def _parse_message(error: Exception) -> str:
    words = " ".join(str(error).split())[:200] or type(error).__name__
    return f"its markup cannot be parsed: {words}"


class _Unparsable(ValueError):  # noqa: N818 - becomes a Failure
    """The markup gives no tree."""


def _extract(page: Page, decoded: Decoded) -> Article | Failure:
    if not decoded.text.strip():
        return _failure(page, "rejected", "no-article", "it is empty")
    tree = load_html(_XML_DECLARATION.sub("", decoded.text, count=1))
    if tree is None:
        raise _Unparsable(f"{len(decoded.text):,} characters hold no HTML document")
    lines = list(text_lines(tree))
    about = read_metadata(tree, decoded.text, page.url, page.observed_at, lines)
    visible = visible_text(tree)
    headings = [*about.headings, *([about.title] if about.title else [])]
    paragraphs = _main_text(tree, about.page_url, lines)
    anchors = ["".join(anchor.itertext()) for anchor in _links_out(tree)]
    refusal = (
        _before_the_page(headings, paragraphs, visible, is_gate=leads_on(tree))
        or _instead_of_the_page(page, about, headings, paragraphs)
        or _list_of_links(page, about, paragraphs, anchors)
    )
    if refusal is not None:
        return _failure(page, "rejected", *refusal)
    body = clean_body(paragraphs, link_keys(lines, anchors), about)
    refusal = _behind_a_paywall(tree, about, body.paragraphs) or _too_short(body.paragraphs)
    if refusal is not None:
        return _failure(page, "rejected", *refusal)
    article = _article(page, decoded, about, body)
    return article if page.item is None else add_feed_item(article, page.item)


class _Refusal(NamedTuple):
    reason: str
    """One of ``REASONS``."""
    message: str


def _before_the_page(
    headings: Iterable[str], paragraphs: list[str], visible: str, *, is_gate: bool
) -> _Refusal | None:
    sign = interstitial_sign(headings, paragraphs, visible, is_gate=is_gate)
    if sign is None:
        return None
    reason = "paywall" if sign == ASKS_FOR_SUBSCRIPTION else "challenge-page"
    return _Refusal(reason, f"it is a page before the page, not an article: {sign}")


def _instead_of_the_page(
    page: Page, about: PageMetadata, headings: Iterable[str], paragraphs: list[str]
) -> _Refusal | None:
    sign = error_sign(headings, paragraphs)
    if sign is not None:
        return _Refusal("no-article", f"it is an error page: {sign}")
    if page.url and is_home(page.url) and _is_of_another(page.item, about):
        message = f"{page.url} is a front page, and not of {(page.item or FeedItem()).title!r}"
        return _Refusal("no-article", message)
    return None


def _list_of_links(
    page: Page, about: PageMetadata, paragraphs: list[str], anchors: list[str]
) -> _Refusal | None:
    is_dated = about.published is not None and not _is_of_another(page.item, about)
    sign = link_list_sign(paragraphs, anchors, is_dated=is_dated)
    return _Refusal("no-article", f"it is a list of links: {sign}") if sign else None


def _behind_a_paywall(
    tree: HtmlElement, about: PageMetadata, paragraphs: list[str]
) -> _Refusal | None:
    if words_in(paragraphs) >= MAX_BEGINNING_WORDS:
        return None
    sign = paywall_sign(
        paragraphs,
        lines_with_buttons(tree),
        is_free=about.is_free,
        stated_words=about.stated_words,
    )
    return _Refusal("paywall", f"it is the beginning of an article: {sign}") if sign else None


def _too_short(paragraphs: list[str]) -> _Refusal | None:
    words = words_in(paragraphs)
    if words >= MIN_BODY_WORDS:
        return None
    if not words:
        return _Refusal("no-article", "no main text was found in it")
    message = f"its main text has {words} words; an article has at least {MIN_BODY_WORDS}"
    return _Refusal("no-article", message)


def _is_of_another(item: FeedItem | None, about: PageMetadata) -> bool:
    """Whether no word of the item's title stands in a title of the page."""
    wanted = title_words(item.title) if item and item.title else set()
    shown = [title for title in (about.title, *about.headings) if title]
    return bool(wanted and shown) and all(wanted.isdisjoint(title_words(one)) for one in shown)


def _article(page: Page, decoded: Decoded, about: PageMetadata, body: Body) -> Article:
    """The article of a page, as far as the page itself tells."""
    authors, agency = about.authors, about.agency
    published, provenance = about.published, list(about.provenance)
    if not authors and (authors := clean_authors(body.authors, [about.site or ""])):
        provenance.append(Provenance("authors", "byline"))
    if agency is None and (agency := body.agency):
        provenance.append(Provenance("agency", body.agency_source))
    if body.dateline:
        provenance.append(Provenance("dateline", "dateline"))
    if published is None:
        published, _ = date_article(body.date_lines, body.days, [], [], page.observed_at)
        provenance += [Provenance("published", published.source)] if published else []
    return Article(
        origin=page.origin,
        page_origin=page.origin,
        source_uri=page.source_uri,
        body="\n\n".join(body.paragraphs),
        observed_at=page.observed_at,
        extraction=Extraction(
            method="trafilatura",
            versions=_versions("trafilatura"),
            quality=prose_share(body.paragraphs),
            encoding=decoded.encoding,
            repaired=decoded.repaired,
        ),
        title=about.title,
        url=page.url or about.page_url,
        canonical_url=about.canonical_url,
        site=about.site,
        feed_url=page.feed_url,
        authors=authors,
        agency=agency,
        dateline=body.dateline,
        declared_language=about.language,
        description=about.description,
        image_url=about.image_url,
        tags=about.tags,
        section=about.section,
        published=published,
        hints=about.hints,
        rights=about.rights,
        provenance=tuple(sorted(provenance, key=lambda entry: entry.field)),
    )


_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")


def _failure(page: Page, kind: str, reason: str, message: str) -> Failure:
    return Failure(
        kind=kind,
        stage="extract",
        reason=reason,
        message=message,
        origin=page.origin,
        source_uri=page.source_uri,
        observed_at=page.observed_at,
        payload=page.content[:MAX_PAYLOAD_BYTES],
        url=page.url,
    )


@functools.cache
def _versions(*names: str) -> str:
    return " ".join(f"{name}=={importlib.metadata.version(name)}" for name in names)


def _main_text(tree: HtmlElement, url: str | None, lines: Iterable[TextLine]) -> list[str]:
    """The paragraphs that trafilatura takes for the page's main text.

    Where its quick mode leaves out most of the prose that the page shows, its thorough mode, which
    compares several extractors, is asked as well; and where neither finds any, its lenient one.
    """
    quick = _trafilatura(tree, url, fast=True)
    shown = [line.text for line in lines if line.linked < _MAX_PROSE_LINKED]
    if words_in(quick) >= _MIN_SHARE_OF_PROSE * words_in(filter(is_prose, shown)):
        return quick
    thorough = _trafilatura(tree, url, fast=False)
    longest = max(quick, thorough, key=words_in)
    return longest or _trafilatura(tree, url, fast=True, favor_recall=True)


_MAX_PROSE_LINKED = 0.5
_MIN_SHARE_OF_PROSE = 0.3


def _trafilatura(tree: HtmlElement, url: str | None, **options: bool) -> list[str]:
    document: Any = trafilatura.bare_extraction(
        tree, url=url, include_comments=False, with_metadata=False, **options
    )
    return _paragraphs_of((document.text if document is not None else None) or "")


def _paragraphs_of(text: str) -> list[str]:
    """The lines of a text, each a paragraph, without the empty ones."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return [line for line in lines if line]


# ── pages of links ──────────────────────────────────────────────────────────────────────────────

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_LINK_SHARE = 0.8
"""A line is a link if so much of it is."""

_MIN_LINKS = 5
_MIN_LINK_WORDS = 3
_LINKED_WORDS_SHARE = 0.5
_LINKED_LINES_SHARE = 0.4
_MAX_TEASER_PARAGRAPHS = 2


def _links_out(tree: HtmlElement) -> Iterator[HtmlElement]:
    """The links of a page that lead to another place than a part of it."""
    for anchor in tree.iter("a"):
        if not (anchor.get("href") or "#").strip().startswith("#"):
            yield anchor


def link_keys(lines: Iterable[TextLine], anchors: Iterable[str]) -> set[str]:
    """Keys of the lines of a page that are links wherever they stand.

    A heading is none, and neither is a line of a table of contents, which stands again as one.

    Args:
        lines: of the page, as it is laid out.
        anchors: the texts of its links, which may be lines of their own to an extractor.
    """
    links = {line_key(text) for text in anchors}
    others: set[str] = set()
    for line in lines:
        is_link = line.linked >= _LINK_SHARE and line.tag not in _HEADINGS
        (links if is_link else others).add(line_key(line.text))
    return links - others


def link_list_sign(
    paragraphs: list[str], anchors: Iterable[str], *, is_dated: bool = False
) -> str | None:
    """What shows that a main text is the list of links of a section's front page, if anything.

    On such a page most words are links, or there is no more than a sentence or two under each; an
    article has paragraphs that follow each other.

    Args:
        paragraphs: the main text that was found.
        anchors: the texts of the page's links.
        is_dated: whether the page states when it was published: then it may be an article that
            lists things, each under its link.
    """
    text = line_key("".join(paragraphs))
    links = {
        key: words
        for anchor in anchors
        if (words := count_words(anchor)) >= _MIN_LINK_WORDS and (key := line_key(anchor)) in text
    }
    if len(links) < _MIN_LINKS:
        return None
    linked_words, words = sum(links.values()), words_in(paragraphs)
    if linked_words >= _LINKED_WORDS_SHARE * words:
        return f"{linked_words} of its {words} words are those of {len(links)} links"
    are_links = [line_key(paragraph) in links for paragraph in paragraphs]
    runs = itertools.groupby(zip(are_links, paragraphs, strict=True), key=lambda pair: pair[0])
    longest = max(
        (sum(is_prose(line) for _, line in run) for is_link, run in runs if not is_link), default=0
    )
    count = sum(are_links)
    is_front = count >= max(_MIN_LINKS, _LINKED_LINES_SHARE * len(paragraphs))
    if is_front and not is_dated and longest <= _MAX_TEASER_PARAGRAPHS:
        return f"{count} of its {len(paragraphs)} lines are links, with a few words to each"
    return None


# ── body ────────────────────────────────────────────────────────────────────────────────────────

_MAX_LEAD_LINES = 10
_MAX_LEAD_PROSE = 1
_MIN_LINKED_WORDS, _MIN_LINKED_ITEM_WORDS = 4, 8

_FURNITURE = frozenset({Kind.CRUMB, Kind.PROMOTION, Kind.SEPARATOR, Kind.NOTICE, Kind.LINK_HEADING})


class Body(NamedTuple):
    """The paragraphs of an article, and what the lines around them say of it."""

    paragraphs: list[str]
    authors: tuple[str, ...] = ()
    agency: str | None = None
    agency_source: str = "byline"
    """``byline`` or ``dateline``."""
    dateline: str | None = None
    """Place that the text starts with."""
    date_lines: tuple[DateLine, ...] = ()
    days: tuple[DatelineDay, ...] = ()
    """Day of the dateline."""


def is_furniture(line: str) -> bool:
    """Whether a line is the page's and not the article's: button, advertisement, offer, notice.

    What begins with a quotation mark is speech, and no heading over links ends as a sentence does.
    """
    if line.startswith(_OPENING_QUOTES):
        return False
    kinds = {part.kind for part in read_lines(line)}
    if Kind.LINK_HEADING in kinds and line.endswith("."):
        return False
    return not kinds.isdisjoint(_FURNITURE)


_OPENING_QUOTES = ("“", "„", "«", "»", '"', "‘", "「")


def clean_body(paragraphs: list[str], linked: Container[str], about: PageMetadata) -> Body:
    """Take from a main text what is not body, and read it.

    That is: lines at its beginning that repeat the title or are nothing but byline, date, section
    or credit; labels of advertisements, calls to sign up, notices, links to other pages and second
    copies of a paragraph anywhere; links at its end; and the dateline of a dispatch.

    A standfirst stays. On public sets of annotated pages it is part of the body nine times in ten
    (and without it body F1 falls by half a point).

    Args:
        paragraphs: the main text, in order.
        linked: keys of the page's lines that are links.
        about: the page's metadata.
    """
    lead = _Lead(about)
    kept: list[str] = []
    seen: set[str] = set()
    prose = 0
    for number, line in enumerate(paragraphs):
        words, key = count_words(line), line_key(line)
        if is_furniture(line) or key in seen or _leads_elsewhere(line, words, key in linked):
            continue
        if words >= PROSE_WORDS:
            seen.add(key)
        if number < _MAX_LEAD_LINES and prose <= _MAX_LEAD_PROSE and lead.takes(line, prose):
            continue
        prose += is_prose(line)
        kept.append(line)
    while len(kept) > 1 and line_key(kept[-1]) in linked:
        kept.pop()
    body = Body(kept, tuple(lead.authors), lead.agency, date_lines=tuple(lead.date_lines))
    dateline = parse_dateline(kept[0]) if kept else None
    # A label in capitals ("ANALYSIS — …") looks the same as a bare place.
    if dateline is None or not (dateline.agency or dateline.day):
        return body
    first = kept[0][dateline.end :].strip()
    return body._replace(
        paragraphs=[first, *kept[1:]] if first else kept[1:],
        agency=body.agency or dateline.agency,
        agency_source="byline" if body.agency else "dateline",
        dateline=dateline.place,
        days=(dateline.day,) if dateline.day else (),
    )


class _Lead:
    """Reads the lines above a body: title again, byline, date, section, credit."""

    def __init__(self, about: PageMetadata) -> None:
        self._titles = {line_key(text) for text in (about.title, *about.headings) if text}
        self._labels = {line_key(text) for text in (about.section, about.site, *about.tags) if text}
        self._known_names = {name.casefold() for name in about.authors}
        self.authors: list[str] = []
        self.agency: str | None = None
        self.date_lines: list[DateLine] = []

    def takes(self, line: str, prose: int) -> bool:
        """Whether a line is no body; what it says is kept.

        Args:
            line: one of the first of a main text.
            prose: how many paragraphs of prose stand before it: a standfirst, or none.
        """
        text = line.removeprefix("- ")
        key = line_key(text)
        if key in self._titles or is_photo_credit(text) or (key in self._labels and not prose):
            return True
        if is_prose(text):
            return False
        dated = parse_date_line(text)
        if dated is not None:
            self.date_lines.append(dated)
        byline = parse_byline(dated.rest if dated else text)
        if byline is not None and (byline.explicit or dated or self._is_known(byline)):
            self.authors += [name for name in byline.authors if name not in self.authors]
            self.agency = self.agency or byline.agency
            return True
        return dated is not None

    def _is_known(self, byline: Byline) -> bool:
        """Whether a list of names, which might be a subheading, names the authors stated."""
        return {name.casefold() for name in byline.authors} <= self._known_names


def _leads_elsewhere(line: str, words: int, is_link: bool) -> bool:
    """Whether a line is a link to another story; a short one in a list may be the list's matter."""
    least = _MIN_LINKED_ITEM_WORDS if line.startswith("- ") else _MIN_LINKED_WORDS
    return is_link and words >= least


# ── feed items ──────────────────────────────────────────────────────────────────────────────────


def extract_feed_item(page: Page) -> list[Article | Failure]:
    """Make an article of what a feed gives of an item.

    Returns:
        One value: the article; or a failure, rejected as ``teaser-only`` where the feed gives
        less text than an article has, or failed as ``unparsable``.
    """
    item = page.item
    if item is None:
        raise ValueError(f"the page {page.origin} is of kind {page.kind!r} and holds no feed item")
    text = page.content.decode("utf-8", "replace")
    try:
        paragraphs = feed_paragraphs(text)
    except (etree.LxmlError, RecursionError) as error:
        return [_failure(page, "failed", "unparsable", _parse_message(error))]
    words = words_in(paragraphs)
    if words < MIN_BODY_WORDS:
        message = (
            f"the feed gives {words} words of it; an article has at least {MIN_BODY_WORDS}, and "
            "its page would have to be fetched"
        )
        return [_failure(page, "rejected", "teaser-only", message)]
    published = fed_date(item.published, "feed", page.observed_at)
    if published is None:
        published = fed_date(url_date(http_url(page.url)), "url", page.observed_at)
    if published is None:
        published = day_of(first_seen(item, page.observed_at))
    site = item.feed_title or host_of(http_url(page.url))
    authors = clean_authors(item.authors, [site] if site else [])
    agency = agency_of(item)
    known = {
        "title": item.title,
        "authors": authors,
        "agency": agency,
        "tags": item.tags,
        "description": item.summary,
        "image_url": item.image_url,
        "declared_language": item.language,
        "rights": item.rights,
        "site": item.feed_title,
    }
    provenance = [Provenance(field, "feed") for field, value in known.items() if value]
    provenance += [Provenance("published", published.source)] if published else []
    provenance += [Provenance("section", "subscription")] if item.topic_hint else []
    return [
        Article(
            origin=page.origin,
            page_origin=page.origin,
            source_uri=page.source_uri,
            body="\n\n".join(paragraphs),
            observed_at=page.observed_at,
            extraction=Extraction(
                method="feed",
                versions=_versions("feedparser"),
                quality=prose_share(paragraphs),
                encoding="utf-8",
            ),
            title=item.title,
            url=page.url,
            site=site,
            feed_url=page.feed_url,
            guid=item.guid,
            authors=authors,
            agency=agency,
            declared_language=item.language,
            description=item.summary,
            image_url=item.image_url,
            tags=item.tags,
            section=item.topic_hint,
            published=published,
            hints=change_hints(item, page.observed_at),
            rights=item.rights,
            provenance=tuple(sorted(provenance, key=lambda entry: entry.field)),
        )
    ]


_FEED_TRAILER = re.compile(
    r"^(?:the post .{1,300} (?:appeared first on|first appeared on) .{1,200}"
    r"|(?:continue reading|read more|read the (?:full|rest|whole)|weiterlesen|lire la suite"
    r"|leer más|seguir leyendo|continua a leggere|lees verder|läs mer)\b.{0,200}"
    r"|\[?(?:…|\.\.\.|&hellip;)\]?"
    r"|(?:share|tweet|comments?|email|print)(?: this)?)$",
    re.IGNORECASE,
)


def feed_paragraphs(markup: str) -> list[str]:
    """The paragraphs of an item's HTML, without captions and what feed makers append."""
    if not markup.strip():
        return []
    tree = load_html(f"<html><body><div>{markup}</div><div></div></body></html>")
    if tree is None:
        return []
    return [line.text for line in text_lines(tree) if not _FEED_TRAILER.match(line.text)]
