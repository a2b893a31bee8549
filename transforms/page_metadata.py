"""What a saved page says about its article, and where it says so.

A parsed page → ``PageMetadata``. Each field is taken from the best place that states it: JSON-LD
(schema.org) before OpenGraph before other ``meta`` elements, microdata and markup, what stands
beside the headline, and trafilatura's heuristics last. Pure, and bounded by the page.

``PageMetadata.provenance`` says for each field which of them it was:

================  ==================================================================================
``json-ld``       the page's JSON-LD
``opengraph``     a ``meta`` element of the Open Graph protocol (``og:…``, ``article:…``)
``meta``          another ``meta`` or ``link`` element, the document's ``title``, or a ``time``
                  element
``markup``        an attribute of the markup (``lang``, ``rel``, ``itemprop``)
``headline``      the page's first heading
``byline``        a line that names the authors, or, for an agency, the authors themselves
``date-line``     a line beside the headline that states the date
``url``           the page's address
``trafilatura``   trafilatura's search for bylines by class names
================  ==================================================================================

A date of modification is never the publication date: it is a hint, with the source ``modified``.
"""

from __future__ import annotations

import difflib
import html
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from apache_beam.utils.timestamp import Timestamp
from lxml import etree
from lxml.html import HtmlElement
from trafilatura.metadata import extract_author

from schemas.records import DateHint, Provenance, PublicationDate
from transforms.bylines import parse_agency, parse_byline
from transforms.dates import (
    date_article,
    find_dates,
    find_day_without_year,
    parse_date_line,
    parse_metadata_date,
)

_MAX_JSON_LD_CHARS = 2_000_000
_MAX_JSON_LD_NODES = 2_000
_MAX_AUTHOR_CHARS = 60
_MAX_AUTHOR_WORDS = 6
_MAX_AUTHORS = 20
_MAX_BYLINE_CHARS = 200
_MAX_TAGS = 50
_MAX_TAG_CHARS = 100
_MAX_HEADINGS = 10
_MAX_COMPARED_CHARS = 200
_MIN_CUT_TITLE_CHARS = 95
_MIN_COMPARED_CHARS = 8
_MAX_SCANNED_LINES = 3_000
_LINES_BELOW_HEADLINE = 8
_LINES_ABOVE_HEADLINE = 3
_MAX_VALUE_CHARS = 2_000


class _Candidate(NamedTuple):
    """A value that a page states for a field, and where."""

    value: str
    source: str


# ── metadata ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class PageMetadata:
    """What a page says about its article, and where it says so."""

    title: str | None
    headings: tuple[str, ...]
    """What the page shows or names as its title: the document's title and first headings."""
    page_url: str | None
    canonical_url: str | None
    site: str | None
    authors: tuple[str, ...]
    agency: str | None
    language: str | None
    description: str | None
    image_url: str | None
    tags: tuple[str, ...]
    section: str | None
    published: PublicationDate | None
    hints: tuple[DateHint, ...]
    rights: str | None
    provenance: tuple[Provenance, ...]
    is_free: bool | None = None
    """Whether the page states that all may read its article, or None where it does not say."""
    stated_words: int = 0
    """How many words the page says that its article has; 0 where it does not say."""


def read_metadata(
    tree: HtmlElement,
    text: str,
    url: str | None,
    observed_at: Timestamp,
    lines: Sequence[TextLine] | None = None,
) -> PageMetadata:
    """Read what a page states about its article.

    Args:
        tree: the parsed page.
        text: its markup, for what parsing drops.
        url: where the page was, if that is known.
        observed_at: when it was seen; no date is later.
        lines: ``text_lines`` of the tree, where the caller has them.
    """
    lines = list(text_lines(tree)) if lines is None else lines
    metas = _Metas(tree)
    nodes = json_ld_nodes(tree)
    saved_from = _SAVED_FROM.search(text[:5000])
    page_url = http_url(url) or (http_url(saved_from.group(1)) if saved_from else None)
    canonical = _canonical(tree, metas, nodes, page_url)
    address = page_url or (canonical.value if canonical else None)
    story = _story(nodes, address, metas)
    base = _base(tree, address)
    found: dict[str, _Candidate | None] = {}

    sites = _site_candidates(metas, story, nodes)
    site_names = [candidate.value for candidate in sites]
    host = host_of(address)
    found["site"] = sites[0] if sites else (_Candidate(host, "url") if host else None)
    found["canonical_url"] = canonical
    found["title"] = _title(tree, metas, story, [*site_names, *_host_names(host)])
    found["description"] = _first(
        metas.candidates(_DESCRIPTION_METAS), _json_texts(story, "description")
    )
    found["image_url"] = _absolute_candidate(
        itertools.chain(_json_images(story), metas.candidates(_IMAGE_METAS)), base
    )
    found["section"] = _first(
        _json_texts(story, "articleSection"), metas.candidates(_SECTION_METAS)
    )
    found["language"] = _language(tree, metas, story)
    found["rights"] = _rights(tree, metas, story)
    stated = _Stated(tree, metas, nodes, story, _lines_beside_headline(lines, story, metas))
    authors, author_source = _authors(stated, site_names)
    agency = _agency(story, authors)
    tags, tag_source = _tags(metas, story)
    published, hints = _published(stated, address, observed_at)

    provenance = [
        Provenance(field, candidate.source)
        for field, candidate in found.items()
        if candidate is not None
    ]
    provenance += [Provenance("authors", author_source)] if authors else []
    provenance += [Provenance("tags", tag_source)] if tags else []
    provenance += [Provenance("agency", agency.source)] if agency else []
    provenance += [Provenance("published", published.source)] if published else []
    values = {name: candidate.value if candidate else None for name, candidate in found.items()}
    return PageMetadata(
        title=values["title"],
        headings=_headings(tree),
        page_url=page_url,
        canonical_url=values["canonical_url"],
        site=values["site"],
        authors=authors,
        agency=agency.value if agency else None,
        language=values["language"],
        description=values["description"],
        image_url=values["image_url"],
        tags=tags,
        section=values["section"],
        published=published,
        hints=hints,
        rights=values["rights"],
        provenance=tuple(sorted(provenance, key=lambda item: item.field)),
        is_free=_is_free(metas, nodes, story),
        stated_words=_stated_words(story),
    )


_SAVED_FROM = re.compile(r"<!--\s*saved from url=\(\d+\)(\S+)\s*-->", re.IGNORECASE)
_DESCRIPTION_METAS = (
    ("opengraph", "og:description"),
    ("meta", "description"),
    ("meta", "twitter:description"),
    ("meta", "dc.description"),
)
_IMAGE_METAS = (
    ("opengraph", "og:image"),
    ("opengraph", "og:image:url"),
    ("opengraph", "og:image:secure_url"),
    ("meta", "twitter:image"),
    ("meta", "twitter:image:src"),
)
_SECTION_METAS = (
    ("opengraph", "article:section"),
    ("meta", "section"),
    ("meta", "parsely-section"),
    ("meta", "sailthru.section"),
    ("meta", "dc.subject"),
)
_TITLE_METAS = (
    ("opengraph", "og:title"),
    ("meta", "twitter:title"),
    ("meta", "parsely-title"),
    ("meta", "sailthru.title"),
    ("meta", "dc.title"),
    ("meta", "headline"),
    ("meta", "title"),
)
_SITE_METAS = (
    ("opengraph", "og:site_name"),
    ("meta", "application-name"),
    ("meta", "apple-mobile-web-app-title"),
    ("meta", "dc.publisher"),
)
_AUTHOR_METAS = (
    ("meta", "author"),
    ("meta", "parsely-author"),
    ("meta", "sailthru.author"),
    ("opengraph", "article:author"),
    ("opengraph", "og:article:author"),
    ("meta", "dc.creator"),
    ("meta", "dcterms.creator"),
    ("meta", "byl"),
    ("meta", "citation_author"),
    ("meta", "article.author"),
    ("meta", "twitter:data1:author"),
)
_PUBLISHED_METAS = (
    ("meta", "article:published_time"),
    ("meta", "og:article:published_time"),
    ("meta", "og:published_time"),
    ("meta", "datepublished"),
    ("meta", "article:published"),
    ("meta", "parsely-pub-date"),
    ("meta", "sailthru.date"),
    ("meta", "pubdate"),
    ("meta", "publishdate"),
    ("meta", "publish-date"),
    ("meta", "publish_date"),
    ("meta", "published_date"),
    ("meta", "publication_date"),
    ("meta", "publication-date"),
    ("meta", "cxenseparse:recs:publishtime"),
    ("meta", "dc.date.issued"),
    ("meta", "dcterms.issued"),
    ("meta", "dcterms.created"),
    ("meta", "dc.date.created"),
    ("meta", "dcterms.date"),
    ("meta", "dc.date"),
    ("meta", "citation_publication_date"),
    ("meta", "originalpublicationdate"),
    ("meta", "article_date_original"),
    ("meta", "created"),
    ("meta", "date"),
)
_MODIFIED_METAS = (
    ("meta", "article:modified_time"),
    ("meta", "og:updated_time"),
    ("meta", "og:modified_time"),
    ("meta", "datemodified"),
    ("meta", "last-modified"),
    ("meta", "dcterms.modified"),
)


class _Metas:
    """The ``meta`` elements of a page by name, whichever attribute they state it in."""

    def __init__(self, tree: HtmlElement) -> None:
        self._values: dict[str, list[str]] = {}
        for element in tree.iter("meta"):
            content = element.get("content") or element.get("value")
            if not content or len(content) > 10 * _MAX_VALUE_CHARS:
                continue
            for attribute in ("property", "name", "itemprop", "http-equiv"):
                for name in (element.get(attribute) or "").lower().split():
                    self._values.setdefault(name, []).append(content)

    def all(self, name: str) -> list[str]:
        """Every value stated under a name, in the order of the page."""
        return self._values.get(name, [])

    def candidates(self, names: Iterable[tuple[str, str]]) -> Iterator[_Candidate]:
        """The values under names, in the order of the names."""
        for source, name in names:
            for value in self.all(name):
                cleaned = _clean(value)
                if cleaned:
                    yield _Candidate(cleaned, source)


def _clean(value: Any) -> str | None:
    """One line of text out of a value that may hold entities or tags; None for an empty one."""
    if not isinstance(value, str) or len(value) > 10 * _MAX_VALUE_CHARS:
        return None
    # Content systems escape what is escaped already, so "&amp;#8217;" is no rarity.
    text = html.unescape(html.unescape(value)) if "&" in value else value
    if "<" in text:
        text = _TAG.sub(" ", text)
    return " ".join(text.replace("\u200b", "").split())[:_MAX_VALUE_CHARS] or None


_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


def _first(*candidates: Iterable[_Candidate]) -> _Candidate | None:
    return next(itertools.chain(*candidates), None)


# ── JSON-LD ─────────────────────────────────────────────────────────────────────────────────────

_ARTICLE_TYPES = re.compile(r"(?:Article|BlogPosting|^Report|^Review)$")
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_JSON_WRAPPING = re.compile(
    r"\A\s*(?:<!--|//\s*<!\[CDATA\[|<!\[CDATA\[)|(?://\s*)?(?:\]\]>|-->)\s*;?\s*\Z"
)


def json_ld_nodes(tree: HtmlElement) -> list[dict[str, Any]]:
    """Every object in the page's JSON-LD (W3C JSON-LD 1.1), outer before inner.

    A script that is not JSON is passed over; one with a trailing comma or raw line ends is read.
    """
    nodes: list[dict[str, Any]] = []
    for script in tree.iter("script"):
        if "ld+json" not in (script.get("type") or "").lower():
            continue
        source = (script.text or "")[: _MAX_JSON_LD_CHARS + 1]
        if len(source) > _MAX_JSON_LD_CHARS:
            continue
        _collect(_parse_json(source), nodes)
    return nodes


def _parse_json(source: str) -> Any:
    source = _JSON_WRAPPING.sub("", source).strip().rstrip(";")
    for attempt in (source, _TRAILING_COMMA.sub(r"\1", source), html.unescape(source)):
        try:
            return json.loads(attempt, strict=False)
        except (json.JSONDecodeError, RecursionError):
            continue
    return None


def _collect(value: Any, nodes: list[dict[str, Any]]) -> None:
    """Add the objects in a JSON value, breadth first, up to a number of them."""
    queue = [value]
    for current in queue:
        if len(nodes) >= _MAX_JSON_LD_NODES or len(queue) > 20 * _MAX_JSON_LD_NODES:
            return
        if isinstance(current, dict):
            nodes.append(current)
            queue.extend(part for part in current.values() if isinstance(part, dict | list))
        elif isinstance(current, list):
            queue.extend(part for part in current if isinstance(part, dict | list))


def _types(node: dict[str, Any]) -> list[str]:
    stated = node.get("@type") or node.get("type")
    types = stated if isinstance(stated, list) else [stated]
    return [kind.rpartition("/")[2] for kind in types if isinstance(kind, str)]


def _is_article(node: dict[str, Any]) -> bool:
    return any(_ARTICLE_TYPES.search(kind) for kind in _types(node))


def _story(nodes: list[dict[str, Any]], url: str | None, metas: _Metas) -> dict[str, Any]:
    """The node that describes the page's article, among those of others it lists; else empty."""
    articles = [node for node in nodes if _is_article(node)]
    if not articles:
        # A page that calls its article a WebPage still dates it.
        articles = [
            node
            for node in nodes
            if "WebPage" in _types(node) and ("datePublished" in node or "headline" in node)
        ]
    titles = {title.casefold() for _, title in _titles(metas)}

    def score(node: dict[str, Any]) -> tuple[bool, bool, int]:
        own = {_without_query(value) for value in _urls_of(node)}
        headline = (_clean(node.get("headline") or node.get("name")) or "").casefold()
        known = sum(
            1 for name in ("headline", "datePublished", "author", "publisher") if node.get(name)
        )
        return (
            url is not None and _without_query(url) in own,
            bool(headline) and any(headline in title or title in headline for title in titles),
            known,
        )

    # max keeps the first of equals: the outermost.
    return max(articles, key=score, default={})


def _titles(metas: _Metas) -> Iterator[tuple[str, str]]:
    for candidate in metas.candidates(_TITLE_METAS[:2]):
        yield candidate.source, candidate.value


def _urls_of(node: dict[str, Any]) -> list[str]:
    """What a node gives as its address: ``url``, ``@id`` or the page that it is the matter of."""
    values = [node.get("url"), node.get("@id")]
    main = node.get("mainEntityOfPage")
    values += [main.get("@id"), main.get("url")] if isinstance(main, dict) else [main]
    return [value for value in values if isinstance(value, str) and value]


def _without_query(url: str) -> str:
    return (
        url.partition("#")[0].partition("?")[0].partition("://")[2].removeprefix("www.").rstrip("/")
    )


def _json_texts(node: dict[str, Any], name: str) -> Iterator[_Candidate]:
    value = node.get(name)
    for part in value if isinstance(value, list) else [value]:
        text = _clean(part.get("@value") if isinstance(part, dict) else part)
        if text:
            yield _Candidate(text, "json-ld")


def _json_images(node: dict[str, Any]) -> Iterator[_Candidate]:
    for name in ("image", "thumbnailUrl"):
        value = node.get(name)
        for part in value if isinstance(value, list) else [value]:
            link = (part.get("url") or part.get("contentUrl")) if isinstance(part, dict) else part
            if isinstance(link, str) and link.strip():
                yield _Candidate(link.strip(), "json-ld")


def _names(value: Any, nodes: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Names with types of the persons and organisations in a value, references resolved."""
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str):
            name = _clean(part)
            if name:
                yield name, "Person"
        elif isinstance(part, dict):
            named = part
            if not part.get("name") and isinstance(part.get("@id"), str):
                named = next(
                    (node for node in nodes if node.get("@id") == part["@id"] and node.get("name")),
                    part,
                )
            types = _types(named)
            if not named.get("name"):
                parts = (_clean(named.get("givenName")), _clean(named.get("familyName")))
                named = {**named, "name": " ".join(part for part in parts if part)}
            for name in (
                named["name"] if isinstance(named.get("name"), list) else [named.get("name")]
            ):
                cleaned = _clean(name)
                if cleaned:
                    yield cleaned, types[0] if types else "Person"


# ── the fields ──────────────────────────────────────────────────────────────────────────────────


def http_url(value: str | None, base: str | None = None) -> str | None:
    """An absolute HTTP(S) URL without fragment, or None."""
    if not value or len(value) > _MAX_VALUE_CHARS:
        return None
    try:
        url = urljoin(base or "", html.unescape(value.strip())).partition("#")[0]
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:  # such as an unclosed bracket in the host
        return None
    return url if valid else None


def host_of(url: str | None) -> str | None:
    """The host of a URL, without "www."."""
    return (urlsplit(url).hostname or "").removeprefix("www.") or None if url else None


def _host_names(host: str | None) -> list[str]:
    """What a host may be called: the whole of it, and the labels that are no suffix or generic."""
    labels = (host or "").split(".")
    return [host, *(label for label in labels[:-1] if len(label) > 3)] if host else []


def _base(tree: HtmlElement, url: str | None) -> str | None:
    element = tree.find(".//base[@href]")
    return (http_url(element.get("href"), url) if element is not None else None) or url


def _absolute_candidate(candidates: Iterable[_Candidate], base: str | None) -> _Candidate | None:
    for candidate in candidates:
        url = http_url(candidate.value, base)
        if url is not None:
            return _Candidate(url, candidate.source)
    return None


def _canonical(
    tree: HtmlElement, metas: _Metas, nodes: list[dict[str, Any]], url: str | None
) -> _Candidate | None:
    """The address that the page calls its own; a home page is never the address of an article."""
    links = [
        _Candidate(link.get("href") or "", "meta")
        for link in tree.iter("link")
        if "canonical" in (link.get("rel") or "").lower().split()
    ]
    stated = itertools.chain(links, metas.candidates((("opengraph", "og:url"),)))
    of_articles = (
        _Candidate(value, "json-ld")
        for node in itertools.islice(filter(_is_article, nodes), 1)
        for value in _urls_of(node)
    )
    for candidate in itertools.chain(stated, of_articles):
        address = http_url(candidate.value, url)
        if address is not None and not is_home(address):
            return _Candidate(address, candidate.source)
    return None


_HOME_PATHS = re.compile(
    r"/?(?:[a-z]{2}(?:-[a-z]{2})?/?)?(?:index\.\w{2,5}|home|default\.\w{3,4})?", re.IGNORECASE
)


def is_home(url: str) -> bool:
    """Whether a URL is that of a site's front page, of the site itself or of one language."""
    parts = urlsplit(url)
    return not parts.query and _HOME_PATHS.fullmatch(parts.path) is not None


def _site_candidates(
    metas: _Metas, story: dict[str, Any], nodes: list[dict[str, Any]]
) -> list[_Candidate]:
    """Names of the publishing site, the best first."""
    found = list(metas.candidates(_SITE_METAS[:1]))
    found += [_Candidate(name, "json-ld") for name, _ in _names(story.get("publisher"), nodes)]
    found += [
        candidate
        for node in nodes
        if "WebSite" in _types(node)
        for candidate in _json_texts(node, "name")
    ]
    found += metas.candidates(_SITE_METAS[1:])
    return [candidate for candidate in found if not candidate.value.startswith(("http", "@"))]


_TITLE_SEPARATOR = re.compile(r"\s+[|–—\-·•»«:/~]+\s+|\s*(?:\||::|»)\s*|:\s+")


def _title(
    tree: HtmlElement, metas: _Metas, story: dict[str, Any], site_names: list[str]
) -> _Candidate | None:
    """The headline, without the name of the site that many titles carry at an end."""
    stated = [*_json_texts(story, "headline"), *metas.candidates(_TITLE_METAS)]
    document = [_Candidate(text, "meta") for text in _element_texts(tree, "title", 1)]
    headings = [_Candidate(text, "headline") for text in _element_texts(tree, "h1", _MAX_HEADINGS)]
    # Which of several headings is the headline, or whether it is only the site's banner, the
    # document's title tells.
    shown = [
        heading
        for heading in headings
        if any(_is_alike(heading.value, other.value) for other in document)
    ]
    lone = headings if len(headings) == 1 else []
    candidates = [*stated, *shown[:1], *lone, *document]
    headings_keys = {name_key(heading.value) for heading in headings}
    for candidate in candidates:
        title = without_site_name(candidate.value, site_names)
        for separator in _TITLE_SEPARATOR.finditer(title):
            if name_key(title[: separator.start()]) in headings_keys:
                title = title[: separator.start()]
                break
        if title:
            others = (without_site_name(other.value, site_names) for other in candidates)
            return _Candidate(_in_full(title, others), candidate.source)
    return None


def _in_full(title: str, others: Iterable[str]) -> str:
    """A title, or one that goes on where it was cut: search engines take some 110 characters."""
    cut = title.rstrip(" .…")
    if len(title) < _MIN_CUT_TITLE_CHARS and not title.endswith(("…", "...")):
        return title
    longer = (
        other
        for other in others
        if other.startswith(cut) and other[len(cut) :].lstrip()[:1].isalnum()
    )
    return max(longer, key=len, default=title)


def _element_texts(tree: HtmlElement, tag: str, limit: int) -> Iterator[str]:
    for element in itertools.islice(tree.iter(tag), limit):
        if text := _clean(" ".join(element.itertext())):
            yield text


def _headings(tree: HtmlElement) -> tuple[str, ...]:
    return (
        *_element_texts(tree, "title", 1),
        *_element_texts(tree, "h1", _MAX_HEADINGS),
    )


def _is_alike(one: str, other: str) -> bool:
    """Whether two titles are likely to be of one article: half of what they say is the same."""
    a, b = one[:_MAX_COMPARED_CHARS].casefold(), other[:_MAX_COMPARED_CHARS].casefold()
    if len(a) < _MIN_COMPARED_CHARS:
        return a == b
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    return matcher.real_quick_ratio() >= 0.5 and matcher.ratio() >= 0.5


def without_site_name(title: str, site_names: Iterable[str]) -> str:
    """A title without a first or last part that is the name of the site; empty if it is no more.

    >>> without_site_name("Floods recede – The Daily Example", ["The Daily Example"])
    'Floods recede'
    """
    names = {key for name in site_names if (key := name_key(name))}
    while name_key(title) not in names:
        breaks = list(_TITLE_SEPARATOR.finditer(title))
        if breaks and name_key(title[breaks[-1].end() :]) in names:
            title = title[: breaks[-1].start()].strip()
        elif breaks and name_key(title[: breaks[0].start()]) in names:
            title = title[breaks[0].end() :].strip()
        else:
            return title
    return ""


def name_key(name: str) -> str:
    """A site's name as one compares it: ``The Example.com`` is ``Example``."""
    key = re.sub(
        r"\.(?:com|org|net|info|news|co\.[a-z]{2}|com\.[a-z]{2}|[a-z]{2})$",
        "",
        name.strip().casefold(),
    )
    return re.sub(r"[\W_]+", "", key.removeprefix("www.").removeprefix("the "))


_BY = re.compile(
    r"^(?:(?:more about|view (?:all )?posts by|(?:written|story|reported|posted|words|text"
    r"|published) by)|by|von|par|por|di|af|av|od"
    r"|door|autor(?:in)?|author|från|tekst|text|redaktion|reporter)\b\s*:?\s+|^(?:by|author)\s*:",
    re.IGNORECASE,
)
_AUTHOR_SEPARATOR = re.compile(
    r"\s*(?:[,;|/•·]|\s(?:&|and|und|et|och|og|und|with)\s)\s*", re.IGNORECASE
)
# These join persons as well as the surnames of one: only between two full names are they "and".
_SURNAME_JOINER = re.compile(r"(?<=\S )\b(?:y|e|i|en)\b(?= \S)")
_NO_NAME = re.compile(
    r"https?:|www\.|@|\b[a-z]\w*\.[a-z]\w+\b|\.(?:com|org|net)\b|\d{3}|\w-\w+-\w+-\w|^[\W\d]*$"
    r"|[<>{}\[\]=]"
    r"|\b(?:image|photo|photograph|picture|credit|foto|bild)s?\s*:|\bgetty images\b",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"^(?:staff|admin|administrator|user|editors?|editorial|newsroom|news desk|web ?desk|online"
    r"|desk|correspondent|contributor|guest (?:author|writer)|(?:the )?author|unknown|last updated"
    r"|anonymous|none|null|undefined|redaktion|redacción|rédaction|redazione|redactie|redakcja"
    r"|(?:senior|sr\.?|chief|managing|deputy|vice) .{1,40}|c[eftoim]o(?: of .{1,40})?|founder"
    r"|m\.?d\.?|ph\.?d\.?|.{1,30} (?:editor|reporter|correspondent|writer|staff|journalist))$",
    re.IGNORECASE,
)


def clean_authors(names: Iterable[str], site_names: Iterable[str] = ()) -> tuple[str, ...]:
    """Persons' names out of bylines: split, without "By", addresses, roles and the site's own name.

    >>> clean_authors(["By Ana Example and Bo Sample", "The Daily Example"], ["Daily Example"])
    ('Ana Example', 'Bo Sample')
    """
    sites = {key for name in site_names if (key := name_key(name))}
    cleaned: dict[str, str] = {}
    for name in names:
        if _NO_NAME.search(name) and not _AUTHOR_SEPARATOR.search(name):
            continue
        dated = [date.start for date in find_dates(name)]
        if day := find_day_without_year(name):
            dated.append(day[0])
        byline = name[: min(dated)] if dated else name
        for part in _split_names(_BY.sub("", _URL.sub(" ", byline).strip())):
            person = _BY.sub("", part.strip(" \t.,;:-–—()\"'")).strip()
            if (
                not person
                or len(person) > _MAX_AUTHOR_CHARS
                or len(person.split()) > _MAX_AUTHOR_WORDS
                or _NO_NAME.search(person)
                or _ROLE.match(person)
                or _is_phrase(person)
                or name_key(person) in sites
            ):
                continue
            cleaned.setdefault(person.casefold(), person)
    return tuple(itertools.islice(cleaned.values(), _MAX_AUTHORS))


def _split_names(byline: str) -> Iterator[str]:
    for part in _AUTHOR_SEPARATOR.split(byline):
        halves = _SURNAME_JOINER.split(part)
        if len(halves) > 1 and all(len(half.split()) > 1 for half in halves):
            yield from halves
        else:
            yield part


_PARTICLES = frozenset(
    {"abu", "af", "al", "av", "bin", "bint", "d", "da", "das", "de", "del", "della", "den", "der"}
    | {"di", "do", "dos", "e", "el", "i", "ibn", "la", "las", "le", "les", "los", "mac", "mc", "o"}
    | {"st", "ten", "ter", "van", "von", "y", "zu", "zum", "'t", "’t"}
)


def _is_phrase(name: str) -> bool:
    """Whether a name begins as no name does: in small letters, unless with "van" or the like."""
    words = name.split()
    first = words[0]
    return len(words) > 1 and first.islower() and first.casefold() not in _PARTICLES


_URL = re.compile(r"\bhttps?:\S*|\bwww\.\S+", re.IGNORECASE)


class _Stated(NamedTuple):
    """Where a page may state who wrote its article and when."""

    tree: HtmlElement
    metas: _Metas
    nodes: list[dict[str, Any]]
    """Its JSON-LD."""
    story: dict[str, Any]
    """The node of the article itself, or an empty one."""
    beside: Sequence[TextLine]
    """The lines around the headline, nearest first."""


def _authors(stated: _Stated, site_names: list[str]) -> tuple[tuple[str, ...], str]:
    """The authors and where they were found."""
    tree, metas, nodes, story, beside = stated
    from_json = [name for name, _ in _names(story.get("author") or story.get("creator"), nodes)]
    authors = clean_authors(from_json, site_names)
    if authors:
        return authors, "json-ld"
    for source, name in _AUTHOR_METAS:
        authors = clean_authors((c.value for c in metas.candidates([(source, name)])), site_names)
        if authors:
            return authors, source
    marked = [
        text
        for element in tree.xpath("(.//*[@itemprop='author'] | .//a[@rel='author'])[position()<=5]")
        # An author's name may stand in a box that tells of the author's life.
        for named in element.xpath("(.//*[@itemprop='name'])[1]") or [element]
        if (text := _clean(named.get("content") or " ".join(named.itertext())))
        and len(text) <= _MAX_BYLINE_CHARS
    ]
    authors = clean_authors(marked, site_names)
    if authors:
        return authors, "markup"
    authors = clean_authors(named_beside(beside), site_names)
    if authors:
        return authors, "byline"
    guessed = extract_author(tree)
    return clean_authors((guessed or "").split(";"), site_names), "trafilatura"


def named_beside(lines: Sequence[TextLine]) -> tuple[str, ...]:
    """Names in the nearest line that is a byline.

    It says so itself ("By …"), or it is nothing but names and has the date beside it.

    Args:
        lines: those around the headline, nearest first.
    """
    dated = [line.time is not None or parse_date_line(line.text) is not None for line in lines]
    for number, line in enumerate(lines):
        dates = find_dates(line.text) if dated[number] else []
        byline = parse_byline(line.text[: dates[0].start] if dates else line.text)
        if byline is None or not byline.authors:
            continue
        beside_date = any(dated[max(0, number - 1) : number + 3])
        whole = all(" " in name for name in byline.authors) and line.tag not in _SUBHEADINGS
        if byline.explicit or (number < _MAX_NAME_LINES and whole and beside_date):
            return byline.authors
    return ()


_MAX_NAME_LINES = 5
_SUBHEADINGS = frozenset({"h2", "h3", "h4", "h5", "h6"})


def _agency(story: dict[str, Any], authors: tuple[str, ...]) -> _Candidate | None:
    """The news agency that the page names as its source or among its authors."""
    for field in ("sourceOrganization", "provider", "creditText", "author"):
        for name, _ in _names(story.get(field), []):
            if agency := parse_agency(name):
                return _Candidate(agency, "json-ld")
    for name in authors:
        if agency := parse_agency(name):
            return _Candidate(agency, "byline")
    return None


def _tags(metas: _Metas, story: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    """Keywords and where they were found; those about the article before those for searches."""
    sources: list[tuple[str, list[str]]] = [
        ("json-ld", [candidate.value for candidate in _json_texts(story, "keywords")]),
        ("opengraph", metas.all("article:tag")),
        ("meta", metas.all("news_keywords")),
        ("meta", metas.all("parsely-tags")),
        ("meta", metas.all("keywords")),
    ]
    for source, values in sources:
        parts = (part for value in values for part in re.split(r"[,;|]", _clean(value) or ""))
        tags: dict[str, str] = {}
        for part in parts:
            if (tag := part.strip()) and len(tag) <= _MAX_TAG_CHARS:
                tags.setdefault(tag.casefold(), tag)
        if tags:
            return tuple(itertools.islice(tags.values(), _MAX_TAGS)), source
    return (), ""


_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


def _language(tree: HtmlElement, metas: _Metas, story: dict[str, Any]) -> _Candidate | None:
    """The declared language as a BCP 47 tag."""
    root = tree.getroottree().getroot()
    stated = [
        *_json_texts(story, "inLanguage"),
        _Candidate(
            root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or "",
            "markup",
        ),
        *metas.candidates(
            (
                ("opengraph", "og:locale"),
                ("meta", "content-language"),
                ("meta", "dc.language"),
                ("meta", "inlanguage"),
                ("meta", "language"),
            )
        ),
    ]
    for candidate in stated:
        if _LANGUAGE_TAG.fullmatch(candidate.value.strip()):
            return _Candidate(candidate.value.strip().replace("_", "-"), candidate.source)
    return None


def _rights(tree: HtmlElement, metas: _Metas, story: dict[str, Any]) -> _Candidate | None:
    """The notice of rights or the licence that the page states."""
    licences = (
        _Candidate(link.get("href"), "markup")
        for link in tree.iter("link", "a")
        if "license" in (link.get("rel") or "").lower().split() and link.get("href")
    )
    return _first(
        _json_texts(story, "license"),
        _json_texts(story, "copyrightNotice"),
        metas.candidates(
            (
                ("meta", "dcterms.rights"),
                ("meta", "dc.rights"),
                ("meta", "rights"),
                ("meta", "copyright"),
            )
        ),
        licences,
    )


def _is_free(metas: _Metas, nodes: list[dict[str, Any]], story: dict[str, Any]) -> bool | None:
    """Whether all may read the article (schema.org's ``isAccessibleForFree``), as far as stated.

    An article of which a part is not free is not; nor is one that the Open Graph protocol's
    ``article:content_tier`` calls locked. What other articles of the page cost says nothing.
    """
    wholes = [story, *(node for node in nodes if "WebPage" in _types(node))]
    parts = [part for whole in wholes for part in _parts_of(whole)]
    stated = [_truth(node.get("isAccessibleForFree")) for node in (*wholes, *parts)]
    stated += [_truth(value) for value in metas.all("isaccessibleforfree")]
    tiers = {value.strip().casefold() for value in metas.all("article:content_tier")}
    if "locked" in tiers or False in stated:
        return False
    return True if "free" in tiers or True in stated else None


def _parts_of(node: dict[str, Any]) -> list[dict[str, Any]]:
    """What a node has as its parts, and is no article itself."""
    value = node.get("hasPart")
    parts = value if isinstance(value, list) else [value]
    return [part for part in parts if isinstance(part, dict) and not _is_article(part)]


def _truth(value: Any) -> bool | None:
    """A boolean of JSON-LD, or one written out: ``"False"``, ``https://schema.org/True``."""
    if isinstance(value, bool):
        return value
    word = value.rpartition("/")[2].strip().casefold() if isinstance(value, str) else ""
    return {"true": True, "false": False}.get(word)


def _stated_words(story: dict[str, Any]) -> int:
    digits = str(story.get("wordCount") or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 7 else 0


_URL_DATE = re.compile(
    r"(?:^|[/_\-.])((?:19|20)\d{2})[/\-_.]?(0[1-9]|1[0-2])[/\-_.]?(0[1-9]|[12]\d|3[01])(?=$"
    r"|[/_\-.])"
)


def url_date(url: str | None) -> str | None:
    """The date in a URL's path, as ISO 8601; only one with year, month and day is one.

    >>> url_date("https://example.org/news/2020/01/14/floods.html")
    '2020-01-14'
    """
    match = _URL_DATE.search(unquote(urlsplit(url).path)) if url else None
    return "-".join(match.groups()) if match else None


_PRECISIONS = ("year", "month", "day", "hour", "minute", "second")


def _published(
    stated: _Stated, url: str | None, observed_at: Timestamp
) -> tuple[PublicationDate | None, tuple[DateHint, ...]]:
    """When the page says it was published; a date of modification is only a hint."""
    tree, metas, _, story, beside = stated
    marked = [
        _Candidate(element.get("datetime") or element.get("content") or "", "meta")
        for element in tree.xpath(
            "(.//*[@itemprop='datePublished'][@datetime or @content]"
            " | .//time[@pubdate][@datetime])[position()<=3]"
        )
    ]
    candidates = [
        *_json_texts(story, "datePublished"),
        *metas.candidates(_PUBLISHED_METAS),
        *marked,
        *_json_texts(story, "dateCreated"),
        *([_Candidate(date, "url")] if (date := url_date(url)) else []),
    ]
    dates = [
        parsed
        for candidate in candidates
        if (parsed := parse_metadata_date(candidate.value, candidate.source, observed_at))
    ]
    modified = _first(_json_texts(story, "dateModified"), metas.candidates(_MODIFIED_METAS))
    changed = modified and parse_metadata_date(modified.value, modified.source, observed_at)
    day = changed.at.to_utc_datetime().date().isoformat() if changed else None
    hints = [DateHint(day, "modified")] if day else []
    if not dates:
        return _date_beside_headline(beside, observed_at), tuple(hints)
    best = dates[0]
    # The first place wins, but another that agrees with it may know the time of day.
    for other in dates[1:]:
        apart_seconds = abs(float(other.at) - float(best.at))
        if _is_finer(other, best) and apart_seconds < 36 * 3600:
            best = other
            break
    return best, tuple(hints)


def _lines_beside_headline(
    lines: Sequence[TextLine], story: dict[str, Any], metas: _Metas
) -> list[TextLine]:
    """The lines around the headline, nearest first, those below it before those above."""
    scanned = lines[:_MAX_SCANNED_LINES]
    headings = [number for number, line in enumerate(scanned) if line.tag == "h1"]
    if not headings:
        return []
    titles = [*_json_texts(story, "headline"), *metas.candidates(_TITLE_METAS)]
    at = next(
        (n for n in headings if any(_is_alike(scanned[n].text, t.value) for t in titles)),
        headings[0],
    )
    below = scanned[at + 1 : at + 1 + _LINES_BELOW_HEADLINE]
    above = scanned[max(0, at - _LINES_ABOVE_HEADLINE) : at]
    return [*below, *reversed(above)]


def _date_beside_headline(
    beside: Sequence[TextLine], observed_at: Timestamp
) -> PublicationDate | None:
    """The date of the ``time`` element or the date line nearest to the headline."""
    for line in beside:
        if line.time and (date := parse_metadata_date(line.time, "meta", observed_at)):
            return date
    date_lines = [parsed for line in beside if (parsed := parse_date_line(line.text))]
    return date_article(date_lines, [], [], [], observed_at)[0]


def _is_finer(one: PublicationDate, other: PublicationDate) -> bool:
    return _PRECISIONS.index(one.precision) > 2 >= _PRECISIONS.index(other.precision)


# ── lines ───────────────────────────────────────────────────────────────────────────────────────

_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "br", "dd", "div", "dl", "dt", "footer"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre"}
    | {"section", "table", "td", "th", "tr", "ul"}
)
_NOT_TEXT = frozenset(
    {"audio", "button", "figcaption", "figure", "form", "iframe", "noscript", "object", "script"}
    | {"select", "style", "svg", "video", "head", "template"}
)


class TextLine(NamedTuple):
    """A line of a page as it is laid out: the text of a block, or of a part of one."""

    text: str
    tag: str
    """The block element that it begins, or the empty string."""
    time: str | None
    """``datetime`` of a ``time`` element in it."""
    linked: float
    """Share of its characters that are the text of links, 0 to 1."""


def text_lines(tree: HtmlElement) -> Iterator[TextLine]:
    """The lines of text of a page or fragment, in order, without captions, scripts and forms."""
    text, tag, time = "", "", None
    linked_chars = left_out = links = 0
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        name = element.tag if isinstance(element.tag, str) else ""
        is_start = event == "start"
        if name in _BLOCKS:
            if line := " ".join(text.split()):
                yield TextLine(line, tag, time, min(1.0, linked_chars / len(line)))
            text, tag, time, linked_chars = "", name if is_start else "", None, 0
        if name in _NOT_TEXT:
            left_out += 1 if is_start else -1
        if name == "a":
            links += 1 if is_start else -1
        if is_start and name == "time":
            time = time or element.get("datetime")
        if not left_out:
            part = (element.text if is_start else element.tail) or ""
            text += part
            if links:
                linked_chars += len(" ".join(part.split()))
    if line := " ".join(text.split()):
        yield TextLine(line, tag, time, min(1.0, linked_chars / len(line)))
