"""Saved pages and feed items → articles.

``Page`` of kind ``html`` or ``feed-item`` → one ``Article``, or the ``Failure`` that says why there
is none. The body of a page is trafilatura's. Its metadata are read here, each from the best place
that states it, and the place is noted: JSON-LD (schema.org) before OpenGraph before other ``meta``
elements, microdata and markup, and trafilatura's heuristics last. Pure and bounded by its input.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from typing import Any

import trafilatura
from lxml import etree
from lxml.html import HtmlElement
from trafilatura.utils import load_html

from schemas.records import Article, Extraction, Failure, Page, Provenance
from transforms.bylines import parse_agency
from transforms.dates import parse_metadata_date
from transforms.decoding import Decoded, UndecodableText, decode_text
from transforms.page_metadata import (
    clean_authors,
    host_of,
    http_url,
    read_metadata,
    text_lines,
    url_date,
)

MIN_BODY_WORDS = 25
"""A text with fewer words is no article: a caption, a notice, a page's furniture."""

MAX_PAYLOAD_BYTES = 1024 * 1024
"""How much of a page a failure keeps."""

_MAX_INTERSTITIAL_WORDS = 200
_PROSE_WORDS = 12

# ── pages ───────────────────────────────────────────────────────────────────────────────────────


def extract_page(page: Page) -> list[Article | Failure]:
    """Take the article out of a saved page.

    Returns:
        One value: the article; or a failure, rejected as ``no-article`` or ``challenge-page``, or
        failed as ``undecodable`` or ``unparsable``.
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
    about = read_metadata(tree, decoded.text, page.url, page.observed_at)
    visible = _visible_text(tree)
    document: Any = trafilatura.bare_extraction(
        tree, url=about.page_url, fast=True, include_comments=False, with_metadata=False
    )
    paragraphs = _paragraphs_of((document.text if document is not None else None) or "")
    words = sum(map(count_words, paragraphs))
    sign = interstitial_sign(about.title, paragraphs, visible)
    if sign is not None:
        message = f"it is a page before the page, not an article: {sign}"
        return _failure(page, "rejected", "challenge-page", message)
    if words < MIN_BODY_WORDS:
        message = (
            f"its main text has {words} words; an article has at least {MIN_BODY_WORDS}"
            if words
            else "no main text was found in it"
        )
        return _failure(page, "rejected", "no-article", message)
    return Article(
        origin=page.origin,
        page_origin=page.origin,
        source_uri=page.source_uri,
        body="\n\n".join(paragraphs),
        observed_at=page.observed_at,
        extraction=Extraction(
            method="trafilatura",
            versions=_versions("trafilatura"),
            quality=prose_share(paragraphs),
            encoding=decoded.encoding,
            repaired=decoded.repaired,
        ),
        title=about.title,
        url=page.url or about.page_url,
        canonical_url=about.canonical_url,
        site=about.site,
        feed_url=page.feed_url,
        authors=about.authors,
        agency=about.agency,
        declared_language=about.language,
        description=about.description,
        image_url=about.image_url,
        tags=about.tags,
        section=about.section,
        published=about.published,
        hints=about.hints,
        rights=about.rights,
        provenance=about.provenance,
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


def _paragraphs_of(text: str) -> list[str]:
    """The lines of a text, each a paragraph, without the empty ones."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return [line for line in lines if line]


# ── words and prose ─────────────────────────────────────────────────────────────────────────────

_WORD = re.compile(r"[^\W_]+(?:['’\-.][^\W_]+)*")
# Scripts that are written without spaces; two characters make a word, roughly.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SENTENCE_END = re.compile('[.!?…。！？।؟]["\'”’»«)\\]]*$|["”’»]$')


def count_words(text: str) -> int:
    """Number of words; in a script without spaces, half the number of characters."""
    unspaced, spaced_only = len(_UNSPACED.findall(text)), text
    if unspaced:
        spaced_only = _UNSPACED.sub(" ", text)
    return sum(1 for _ in _WORD.finditer(spaced_only)) + (unspaced + 1) // 2


def prose_share(paragraphs: Iterable[str]) -> float:
    """Share of the words that stand in prose: paragraphs of a dozen words that end a sentence."""
    words = prose = 0
    for paragraph in paragraphs:
        count = count_words(paragraph)
        words += count
        if count >= _PROSE_WORDS and _SENTENCE_END.search(paragraph):
            prose += count
    return round(prose / words, 3) if words else 0.0


# ── pages before the page ───────────────────────────────────────────────────────────────────────

_INTERSTITIAL_TITLE = re.compile(
    r"^(?:just a moment\b|attention required\b|access (?:to this page )?(?:has been )?denied\b"
    r"|are you (?:a )?(?:human|robot)\b|(?:please )?verify(?:ing)? (?:that )?you are (?:a )?human"
    r"|pardon our interruption|security check\b|checking your browser|bot (?:verification|check)"
    r"|human verification|robot check|one moment,? please|request (?:blocked|rejected|denied)"
    r"|you have been blocked|before you continue|cookie consent|ddos[- ]guard"
    r"|(?:40[134]|410|429|50[0-4])\b[\s:–-]*(?:forbidden|unauthorized|not found|gone|error"
    r"|too many requests|service|bad gateway|gateway|internal|page|$)"
    r"|(?:page|seite|página|pagina) (?:not found|nicht gefunden|no encontrada|non trovata))",
    re.IGNORECASE,
)
_INTERSTITIAL_SENTENCES = {
    "it asks for proof that the reader is human": re.compile(
        r"(?:verify|confirm|prove|make sure|ensure|checking if)\b.{0,40}"
        r"\b(?:you(?:'|’)?re|you are|are)\b.{0,20}\b(?:human|robot|bot)\b"
        r"|\b(?:complete|solve)\b.{0,40}\bcaptcha\b|unusual (?:traffic|activity) from your"
        r"|checking your browser|\bas you were browsing\b|not a robot\b"
        r"|(?:performance|security).{0,20}\bby cloudflare\b|\bray id\b"
        r"|\bthis (?:may|might|could|will) take (?:a )?(?:few|some|moment)|\bprocess is automatic\b"
        r"|\byou will be redirected\b|^please (?:wait|stand by)",
        re.IGNORECASE,
    ),
    "it asks for JavaScript or cookies": re.compile(
        r"(?:enable|activate|turn on|requires?|allow)\b.{0,30}\b(?:java ?script|cookies)\b"
        r"|\bjava ?script\b.{0,40}\b(?:aktiv|activ|habilit|abilit|inschakel|włącz|включ)"
        r"|\b(?:aktiv|activ|habilit|abilit|schakel|włącz|включ)\w*\b.{0,30}\bjava ?script\b"
        r"|(?:java ?script|cookies)\b.{0,30}\b(?:(?:is|are|must be|to be) )"
        r"(?:enabled|disabled|required)",
        re.IGNORECASE,
    ),
    "it denies access": re.compile(
        r"you (?:do not|don(?:'|’)t) have permission to access"
        r"|\baccess (?:to .{0,40})?(?:is |was |has been )?(?:denied|blocked|forbidden)\b"
        r"|(?:your|this) (?:ip|request) .{0,40}\bblocked\b"
        r"|not available in your (?:country|region|location)"
        r"|unavailable (?:for legal reasons|in your)|reference #[\da-f.]{8,}",
        re.IGNORECASE,
    ),
    "it asks for consent": re.compile(
        r"\b(?:we|our partners|partners|us)\b.{0,80}\b(?:cookies?|personal data|privacy)\b"
        r"|\b(?:accept|reject|manage|consent)\b.{0,60}\b(?:cookies?|consent|choices|preferences"
        r"|partners|purposes|tracking)\b|\byour (?:privacy|consent|choices)\b"
        r"|\blegitimate interest|\bvendors?\b.{0,40}\b(?:data|consent)\b",
        re.IGNORECASE,
    ),
    "it asks for a subscription": re.compile(
        r"\b(?:subscribe|sign up|sign in|log in|register|subscription)\b.{0,60}"
        r"\b(?:to (?:continue|read|keep|unlock|access|get)|continue reading|full (?:access|article"
        r"|story)|unlimited|required)\b|\balready (?:a |have a )?(?:subscriber|subscription|member)"
        r"|this (?:article|content|story) is (?:for|only|reserved|exclusive)\b"
        r"|\b(?:free articles?|article limit)\b.{0,40}\b(?:left|month|remaining|reached)"
        r"|\bcancel (?:at )?any ?time\b",
        re.IGNORECASE,
    ),
}
_SENTENCE_BREAK = re.compile(r"(?<=[.!?…])\s+|\n+")


def interstitial_sign(title: str | None, paragraphs: list[str], visible: str) -> str | None:
    """What shows that a page stands in front of another (challenge, consent, paywall), if anything.

    Only a page with little text can be one: an article may well be about captchas or cookies.

    Args:
        title: of the page.
        paragraphs: the main text that was found in it.
        visible: all text of the page.
    """
    body = "\n".join(paragraphs)
    words = count_words(body)
    if words >= _MAX_INTERSTITIAL_WORDS:
        return None
    if title and _INTERSTITIAL_TITLE.search(title):
        return f"its title is {title[:80]!r}"
    text = body if words >= MIN_BODY_WORDS else visible
    if words < MIN_BODY_WORDS and count_words(visible) >= _MAX_INTERSTITIAL_WORDS:
        return None
    sentences = [part for part in _SENTENCE_BREAK.split(text) if count_words(part) >= 3]
    total = sum(map(count_words, sentences))
    if not total:
        return None
    said = {
        sign: sum(count_words(part) for part in sentences if pattern.search(part))
        for sign, pattern in _INTERSTITIAL_SENTENCES.items()
    }
    sign = max(said, key=lambda key: said[key])
    of_any = sum(
        count_words(part)
        for part in sentences
        if any(pattern.search(part) for pattern in _INTERSTITIAL_SENTENCES.values())
    )
    return sign if of_any * 2 >= total else None


def _visible_text(tree: HtmlElement) -> str:
    """The text of a tree, a line for each text node, up to what an interstitial would have."""
    pieces: list[str] = []
    length = 0
    for text in _texts(tree):
        pieces.append(text)
        length += len(text)
        if length > 12 * _MAX_INTERSTITIAL_WORDS:
            break
    return "\n".join(pieces)


def _texts(tree: HtmlElement) -> Iterator[str]:
    for node in tree.xpath(".//text()[not(ancestor::script or ancestor::style or ancestor::head)]"):
        text = " ".join(str(node).split())
        if text:
            yield text


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
    words = sum(map(count_words, paragraphs))
    if words < MIN_BODY_WORDS:
        message = (
            f"the feed gives {words} words of it; an article has at least {MIN_BODY_WORDS}, and "
            "its page would have to be fetched"
        )
        return [_failure(page, "rejected", "teaser-only", message)]
    published = (
        parse_metadata_date(item.published, "feed", page.observed_at) if item.published else None
    )
    if published is None and (date := url_date(http_url(page.url))):
        published = parse_metadata_date(date, "url", page.observed_at)
    site = item.feed_title or host_of(http_url(page.url))
    authors = clean_authors(item.authors, [site] if site else [])
    agency = next((agency for name in item.authors if (agency := parse_agency(name))), None)
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
            published=published,
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
