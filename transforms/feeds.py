"""Feeds: the items of an RSS, RDF or Atom document, of a JSON Feed or of a sitemap.

Bytes of one feed → ``ParsedFeed`` (``parse_feed``), or one ``Page`` of kind ``feed-item`` per item
of a saved feed (``read_feed``).

    first character, root element ─┬─ {                    ─► transforms.json_feeds
                                   ├─ urlset, sitemapindex ─► transforms.sitemaps
                                   └─ rss, rdf, feed …     ─► transforms.feed_markup ─► feedparser

feedparser also gives the items of feeds that are not well-formed. An item's content is what the
feed gives most fully (``content:encoded`` or Atom's ``content`` before a summary), as HTML. What
a feed may cost is bounded before it is parsed: its items, elements and entities.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import feedparser
from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, FeedItem, Page
from transforms.archives import PartOrigins
from transforms.decoding import UndecodableText, decode_text
from transforms.feed_markup import CAPTION_KEY, ISSUED_KEY, repaired
from transforms.json_feeds import parse_json_feed
from transforms.parsed_feeds import (
    MAX_ITEMS,
    EmptyFeed,
    FeedEntry,
    MalformedFeed,
    ParsedFeed,
    absolute_url,
    name_without_guid,
    normal_date,
    paragraphs,
    plain_summary,
    plain_text,
    plain_title,
    without_forbidden,
)
from transforms.sitemaps import SITEMAP_ROOTS, parse_sitemap

__all__ = [
    "EmptyFeed",
    "FeedEntry",
    "MalformedFeed",
    "ParsedFeed",
    "holds_feed",
    "is_whole_article",
    "parse_feed",
    "read_feed",
]

_IMAGE_NAME = re.compile(r"\.(?:avif|gif|jpe?g|png|webp)(?:[?#]|$)", re.IGNORECASE)
_RECORDING_NAME = re.compile(
    r"\.(?:aac|flac|m4[av]|mov|mp[34]|og[gv]|opus|wav|webm)(?:[?#]|$)", re.I
)
_ANY_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_EMPTY_BRACKETS = re.compile(r"\(\s*\)|<\s*>|\[\s*\]")
_IN_BRACKETS = re.compile(r"\(([^()]*)\)")
_ACCOUNT = re.compile(r"(?:^|(?<=\s))@[\w.]+")
_MAX_ID_CHARS = 500
_MAX_ELEMENTS = 500_000
_MAX_ATTRIBUTES = 1_000
_MAX_DEPTH = 50_000
_MAX_ENTITY_CHARS = 10_000_000
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PERIOD_SECONDS = {
    "hourly": 3_600,
    "daily": 86_400,
    "weekly": 7 * 86_400,
    "monthly": 30 * 86_400,
    "yearly": 365 * 86_400,
}
_ROOT_NAMES = {"rss": "RSS", "channel": "RSS", "rdf": "RDF", "feed": "Atom", "entry": "Atom"}
"""Names of formats whose version feedparser does not know, by root element."""
_MAX_TTL_SECONDS = 366 * 86_400
_FEED_ROOTS = frozenset({"rss", "rdf", "feed"}) | SITEMAP_ROOTS
_FEED_START = re.compile(
    r"<\?xml\b|<(?:[A-Za-z_][\w.\-]{0,40}:)?(?:rss|rdf|feed|urlset|sitemapindex)(?=[\s>])",
    re.IGNORECASE,
)
_MAX_STRAY_CHARS = 64 * 1024
_MAX_STARTS = 20
_RSS_10 = "http://purl.org/rss/1.0/"
_RSS_11 = "http://purl.org/net/rss1.1#"
_JSON_START = re.compile(r'\s*+(?:\{\s*+["}]|\[\s*+[\[{"\]])')
_PROLOG = re.compile(r"\s*+(?:<(\?|!--|!DOCTYPE\b)|<([A-Za-z_][\w.:\-]{0,200}))", re.IGNORECASE)
_PROLOG_ENDS = {"?": "?>", "!--": "-->"}
_DOCTYPE = re.compile(r"""[^>\["']*+(?:"[^"]*+"[^>\["']*+|'[^']*+'[^>\["']*+)*+(\[)?""")
# What is never closed reaches to the end, so that no end is looked for again and again.
_CDATA = re.compile(r"<!\[CDATA\[.*?(?:\]\]>|\Z)", re.DOTALL)
_LONG_TAG = re.compile(r"""<[A-Za-z_](?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+""")
_TAG_ENDS = re.compile(r"<(/)?[A-Za-z_][^<>/]*+(?:/(?!>)[^<>/]*+)*+(/)?")
_ELEMENT_START = re.compile(r"<[A-Za-z_]")
_ENTITY = re.compile(r"""<!ENTITY\s+(\w+)\s+(?:"([^"]*)"|'([^']*)')""")
_REFERENCE = re.compile(r"&(\w+);")
_ITEM_START = re.compile(r"<(?:[A-Za-z_][\w.\-]{0,40}:)?(?:item|entry)[\s/>]")
_ITEM_END = re.compile(r"</(?:[A-Za-z_][\w.\-]{0,40}:)?(?:item|entry)\s*>|/>")
_SKIP_HOURS = re.compile(r"<skipHours\b[^<>]*>(.*?)(?:</skipHours|\Z)", re.DOTALL | re.IGNORECASE)
_SKIP_DAYS = re.compile(r"<skipDays\b[^<>]*>(.*?)(?:</skipDays|\Z)", re.DOTALL | re.IGNORECASE)
_BLOCK_BREAK = re.compile(
    r"</?(?:p|div|li|ul|ol|h[1-6]|blockquote|section|article|table|tr|figure|figcaption|hr|pre"
    r"|header|footer|aside)\b[^<>]*>|(?:<br\b[^<>]*>\s*){2,}",
    re.IGNORECASE,
)
_LINE_BREAK = re.compile(r"<br\b[^<>]*>", re.IGNORECASE)
_NOT_TEXT = re.compile(
    r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.DOTALL | re.IGNORECASE
)
_LINK = re.compile(r"<a\b[^<>]*>(.*?)(?:</a\s*>|(?=<a\b)|\Z)", re.DOTALL | re.IGNORECASE)
# Scripts written without spaces: two of their characters are about a word.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_CUT_OFF = re.compile(
    r"(?:…|\.\.\.|\.\s\.\s\.|[\[(]\s*(?:…|\.{2,}|more|mehr)\s*[\])])"
    r"(?:\s*\([^()]{0,80}\))?[\s»›→>]*\Z",
    re.IGNORECASE,
)
_CUT_BEFORE_LINK = re.compile(
    r"(?:…|&hellip;|&#8230;|\.\.\.|\[…\])(?:\s*+\])?\s*+<a\b", re.IGNORECASE
)
_ARROW_END = re.compile(r"(?:[→⟶➔➜➞⇒▶►]|»|›|>>)\s*\Z")
_QUOTE_START = re.compile(r"[«‹]")
_READ_ON = re.compile(
    r"\b(?:read (?:more|on|the (?:full|whole|entire|rest)|full|it all|in full|here|at"
    r"|(?:this |the )?(?:article|story|post|report))"
    r"|continues? (?:reading|to read|at|on|here|below|in|over)"
    r"|listen to (?:this|the|our)|watch (?:this|the|our)|(?:this|latest) episode|show ?notes"
    r"|hosted by|abridged|visit (?:our|the) (?:web)?site|on our (?:web)?site"
    r"|keep reading|full (?:story|article|text)|click here|more at|view (?:the )?(?:full|original)"
    r"|(?:sign in|log in|register) to"
    r"|subscribe to (?!(?:our|the|this) (?:\w+ )?(?:blog|channel|newsletter|podcast)s?\b)"
    r"|see the (?:full|rest)|learn more|find out more"
    r"|(?:weiter|mehr) ?lesen|lesen sie (?:mehr|weiter|den)|zum (?:ganzen )?artikel|mehr dazu"
    r"|lire (?:la suite|plus|l['’]article|aussi)|en savoir plus|suite de l['’]article"
    r"|lee(?:r)? (?:más|mas|el|la)|seguir leyendo|sigue leyendo|continuar leyendo|ver más"
    r"|leggi (?:tutto|di più|l['’]articolo)|continua a leggere|l['’]articolo completo"
    r"|(?:leia|ler|saiba|veja) mais|leia a|continue a ler|continue lendo"
    r"|(?:lees|bekijk) (?:meer|verder|het)|verder lezen|läs (?:mer|vidare|hela)"
    r"|les (?:mer|videre|hele)|læs (?:mere|videre|hele)|lue (?:lisää|koko)|czytaj (?:więcej|dalej)"
    r"|więcej na|číst (?:dále|více|dál)|čítať ďalej|tovább|olvass tovább|citește (?:mai|tot)"
    r"|devamını oku|devamı için|baca (?:selengkapnya|juga)|selengkapnya|xem thêm"
    r"|đọc (?:thêm|tiếp))\b"
    r"|читать (?:далее|полностью|дальше)|подробнее|читати (?:далі|повністю)|докладніше|прочети"
    r"|διαβάστε|περισσότερα|اقرأ|للمزيد|المزيد|ادامه مطلب|קרא עוד|המשך|और पढ़ें|पूरा पढ़ें"
    r"|อ่านต่อ|อ่านเพิ่มเติม|続きを読む|全文を読む|続きは|阅读全文|閱讀全文"
    r"|继续阅读|繼續閱讀|查看全文|더 ?보기|기사 ?전문",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"\b(?:full|whole|entire|complete|remainder|rest|unabridged|original)\b.{0,30}?\b(?:analysis|article"
    r"|column|coverage|essay|episode|interview|piece|post|report|review|story|text|transcript|version"
    r"|video)\b|\b(?:ganze|gesamte|komplette|vollständige)[nrsm]?\b.{0,30}?\b(?:artikel|bericht"
    r"|beitrag|geschichte|interview|text)|\bhier (?:geht es )?weiter|\bgeht(?: es|'s) weiter"
    r"|\b(?:analyse|article|dossier|entretien|reportage|texte) (?:complet|entier|intégral)"
    r"|\bintégralité|\b(?:artículo|historia|nota|noticia|reportaje|texto) complet"
    r"|\b(?:articolo|testo) (?:completo|integrale|intero)|\bintero articolo"
    r"|\b(?:artigo|matéria|notícia|reportagem|texto) complet"
    r"|\bna íntegra|\b(?:hele|volledige) (?:artikel|bericht|tekst|verhaal)"
    r"|\b(?:hela|hele) (?:artikeln|artikkelen|artiklen|historien|saken|texten|teksten)"
    r"|\b(?:cały|pełny) (?:artykuł|tekst)|\bpełna wersja|\bcelý (?:článek|text)"
    r"|\bteljes (?:cikk|szöveg)"
    r"|полн(?:ая|ую) верси|полн(?:ый|ого) текст|повн(?:ий|ого) текст|повну версі|πλήρες|النص الكامل"
    r"|المقال كامل|הכתבה המלאה|पूरी खबर|全文|原文|続き|전문|원문",
    re.IGNORECASE,
)
_PAID = re.compile(
    r"\b(?:paid|paying|premium)\b.{0,20}?\b(?:content|member|post|reader|subscri)"
    r"|\b(?:member|patron|subscriber|supporter)s?[ -](?:only|exclusive)"
    r"|\b(?:available|exclusive|for|only|open|reserved|restricted|to) (?:to |for )?(?:our |all )?"
    r"(?:paid |paying |premium )?(?:members|patrons|subscribers|supporters)\b"
    r"|\bbecome an? (?:\w+ )?(?:member|patron|subscriber|supporter)|\bupgrade to\b|\bpaywall"
    r"|\balready a (?:member|subscriber)|\b(?:access|unlock) (?:all|full|the|this|unlimited)\b"
    r"|\bfree trial|\babonn|\babo\b|\be-?paper\b|\bbezahl(?:schranke|inhalt)|\bréservée? aux"
    r"|\bsuscr(?:i[pt]|í)|\bexclusivo para|\bsolo para"
    r"|\babbonat|\bassinante|\bassine\b|\bprenumer|\bsubskryb|\bpředplat|\bpredplat|\belőfizet"
    r"|\babonaț|\babone (?:ol|gir)|\bberlangganan|\bpelanggan\b|\btilaaj|подписчик|по подписке"
    r"|передплат|абонат|συνδρομητ|للمشتركين|المشتركين|למנויים|有料|会員限定|購読|付费|付費|订阅会员"
    r"|會員限定|会员专享|유료|구독자",
    re.IGNORECASE,
)
_OWN_LINK = re.compile(
    r"\W*(?:\d+ )?(?:comments?|kommentare?|commentaires?|comentarios?|commenti|permalink|share)\W*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?。！？؟।۔…][\s\"'”’»›)\]」』]*\Z")
_MIN_WORDS = 150
_MIN_PARAGRAPHS = 3
_MIN_WORDS_OF_DESCRIPTION = 300
_MIN_PARAGRAPHS_OF_DESCRIPTION = 5
_MIN_PARAGRAPH_WORDS = 10
_MAX_READ_ON_WORDS = 25
_MAX_LINKED_SHARE = 0.4
_TRAILING_BLOCKS = 4
_MOSTLY_LINKED_SHARE = 0.8
_MAX_LINKED_HEADLINES = 2
_MIN_HEADLINE_WORDS = 3
_LONG_SUMMARY_CHARS = 1_800
_TIMES_THE_SUMMARY = 2.0
_SAME_TEXT_RATIO = 0.9
_HOUR = re.compile(r"<hour>\s*(\d{1,2})\s*</hour>", re.IGNORECASE)
_DAY = re.compile(r"<day>\s*(\w{6,9})\s*</day>", re.IGNORECASE)
# feedparser's handlers of rare elements (geometry, chapters, text inputs) take for granted that
# their tags come in pairs and with all attributes, and fail in these ways where they do not.
_PARSER_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_TAG_OF_NO_CONCERN = re.compile(
    r"</?(?:(?!(?:atom|content|dc|dcterms|feedburner|media|rdf|rss|xhtml)\d*:)[a-z][\w.\-]{0,40}:\w"
    r"|textinput\b)[^<>]*>",
    re.IGNORECASE,
)
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]{0,300}\?>")


def parse_feed(content: bytes, *, charset: str | None = None, url: str | None = None) -> ParsedFeed:
    """Read a feed of any format.

    Args:
        content: the feed, decompressed.
        charset: stated outside the feed.
        url: where it was fetched from: the base of relative links, after ``xml:base`` and what the
            feed says of its own address and its site's.

    Raises:
        MalformedFeed: it is no feed, or no item of it can be read, with what is wrong and where.
            A feed that has no items is none of that.
    """
    try:
        decoded = decode_text(content, charset, html=True)
    except UndecodableText as error:
        raise MalformedFeed(str(error)) from error
    feed = _parse_text(decoded.text, url)
    if not decoded.repaired:
        return feed
    note = f"some of its bytes are not {decoded.encoding}: they were dropped or read in another way"
    return replace(feed, notes=(*feed.notes, note))


def _parse_text(text: str, url: str | None) -> ParsedFeed:
    text = text.lstrip("\ufeff")  # a second byte-order mark
    if not text.strip():
        raise MalformedFeed("it holds nothing but white space" if text else "it is empty")
    if _JSON_START.match(text):
        return parse_json_feed(text, url=url)
    stray = _stray_chars(text)
    text = text[stray:]
    root = _root_element(text)
    if root in SITEMAP_ROOTS:
        feed = parse_sitemap(text, url=url)
    elif root == "html":
        raise MalformedFeed("it is an HTML page, not a feed")
    else:
        feed = _parse_xml(text, root, url)
    if not stray:
        return feed
    note = f"{stray:,} characters before it were left out, which do not belong to it"
    return replace(feed, notes=(note, *feed.notes))


def holds_feed(text: str) -> bool:
    """Whether a feed in XML begins in a text, or after what a broken server put before it."""
    return _root_element(text[_stray_chars(text) :]) in _FEED_ROOTS


def _stray_chars(text: str) -> int:
    """How many characters stand before a feed that begins later on, as warnings of a server do.

    Of a whole page only an XML declaration in it can begin another document.
    """
    root = _root_element(text)
    if root in _FEED_ROOTS:
        return 0
    for match in islice(_FEED_START.finditer(text, 0, _MAX_STRAY_CHARS), _MAX_STARTS):
        is_declared = match[0].startswith("<?")
        if (is_declared or root != "html") and _root_element(text[match.start() :]) in _FEED_ROOTS:
            return match.start()
    return 0


def _root_element(text: str) -> str:
    """Local name of the first element in lower case; empty where anything else comes first."""
    at = 0
    while (match := _PROLOG.match(text, at)) is not None:
        if match[2]:
            return match[2].rpartition(":")[2].lower()
        opened = match[1].lower()
        end = _PROLOG_ENDS.get(opened, ">")
        at = match.end()
        if opened == "!doctype":
            declared = _DOCTYPE.match(text, at)
            assert declared is not None  # it matches nothing, too
            at = declared.end()
            if declared[1]:
                end = "]"
        at = text.find(end, at)
        if at < 0:
            return ""
        at += len(end)
        if end == "]":
            at = text.find(">", at) + 1
            if at == 0:
                return ""
    return ""


def _parse_xml(text: str, root: str, url: str | None) -> ParsedFeed:
    """An RSS, RDF or Atom feed, or what feedparser takes for one."""
    markup = _XML_DECLARATION.sub("", without_forbidden(text), count=1)
    markup, left_out = _with_bounded_items(markup)
    _check_cost(markup)
    is_rss11 = _RSS_11 in markup
    if is_rss11:  # of which feedparser knows no namespace, and the elements of RSS 1.0 by theirs
        markup = markup.replace(_RSS_11, _RSS_10)
    skipped = _skip_hours(markup), _skip_days(markup)
    escaped = markup.count("&amp;")
    markup = repaired(markup)
    parsed = _parse(markup)
    feed = parsed.feed
    if not parsed.entries and (not parsed.version or _is_fatal(parsed)):
        raise MalformedFeed(_what_is_wrong(parsed, root))
    self_url = _link(feed, "self", url)
    # Where a feed says that it is may be an old address of its, or a service's.
    base = absolute_url(_string(feed, "link"), url or self_url) or url or self_url
    is_atom = str(parsed.version).startswith("atom")
    entries = tuple(_read_entry(entry, feed, base, is_atom) for entry in parsed.entries[:MAX_ITEMS])
    notes = [_not_a_feed(root)] if not parsed.version and root not in _ROOT_NAMES else []
    if _is_fatal(parsed):
        notes.append(f"it is not well-formed: {_fault(parsed.bozo_exception)}")
    if markup.count("&amp;") > escaped:
        notes.append("it is not well-formed: an ampersand in it is not written as &amp;")
    if left_out:
        notes.append(f"only its first {MAX_ITEMS:,} of {MAX_ITEMS + left_out:,} items are read")
    name = _format_name(parsed.version) if parsed.version else _ROOT_NAMES.get(root, "feed")
    return ParsedFeed(
        format="RSS 1.1" if is_rss11 and name == "RSS 1.0" else name,
        title=_title(feed, is_atom),
        self_url=self_url,
        entries=entries,
        notes=tuple(notes),
        ttl_seconds=_ttl_seconds(feed),
        skip_hours=skipped[0],
        skip_days=skipped[1],
    )


def _check_cost(markup: str) -> None:
    """Raise for what is small to send and huge to parse."""
    elements = markup.count("<") - markup.count("</")
    if elements > _MAX_ELEMENTS:
        # Those in CDATA cost nothing; it is only looked for where it might matter.
        elements = len(_ELEMENT_START.findall(_CDATA.sub("", markup)))
    if elements > _MAX_ELEMENTS:
        raise MalformedFeed(
            f"it has {elements:,} elements; a feed of more than {_MAX_ELEMENTS:,} is not read"
        )
    if elements > _MAX_DEPTH and _depth(markup) > _MAX_DEPTH:
        raise MalformedFeed(f"its elements are nested more than {_MAX_DEPTH:,} deep")
    # The parser's time grows with the square of an element's attributes.
    for match in _LONG_TAG.finditer(markup):
        if len(match[0]) > _MAX_ATTRIBUTES and match[0].count("=") > _MAX_ATTRIBUTES:
            line = markup.count("\n", 0, match.start()) + 1
            raise MalformedFeed(
                f"an element has more than {_MAX_ATTRIBUTES:,} attributes, at line {line}"
            )
    chars = _entity_chars(markup)
    if chars > _MAX_ENTITY_CHARS:
        raise MalformedFeed(
            f"its entities stand for {chars:,} characters; at most {_MAX_ENTITY_CHARS:,} are read"
        )


def _depth(markup: str) -> int:
    """How deep elements are nested at most, those counted that are never closed."""
    deepest = depth = 0
    for match in _TAG_ENDS.finditer(_CDATA.sub("", markup)):
        if match[1]:
            depth -= 1
        elif not match[2]:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


def _entity_chars(markup: str) -> int:
    """About how many characters the references to the document's own entities stand for.

    Entities may refer to those declared before them, as in an attack; to later ones they may as
    well, and such references count as many characters as they have.
    """
    chars_of: dict[str, int] = {}
    for name, one, other in _ENTITY.findall(markup):
        value = one or other
        chars_of.setdefault(name, len(value) + _referred_chars(value, chars_of))
    return _referred_chars(markup, chars_of) if chars_of else 0


def _referred_chars(text: str, chars_of: dict[str, int]) -> int:
    return sum(chars_of.get(match[1], 0) for match in _REFERENCE.finditer(text))


def _with_bounded_items(markup: str) -> tuple[str, int]:
    """A feed without its items beyond those that are taken, and the number of these."""
    starts = [match.start() for match in _ITEM_START.finditer(markup)]
    if len(starts) <= MAX_ITEMS:
        return markup, 0
    end = _ITEM_END.search(markup, starts[-1])
    rest = markup[end.end() :] if end is not None else ""
    return markup[: starts[MAX_ITEMS]] + rest, len(starts) - MAX_ITEMS


def read_feed(
    content: bytes,
    uri: str,
    observed_at: Timestamp,
    *,
    max_payload_bytes: int,
    charset: str | None = None,
) -> Iterator[Page | Failure]:
    """Give the items of a feed as pages, and a failure for each that has nothing to read.

    Args:
        content: the feed, decompressed.
        uri: of the file, for the origins.
        observed_at: when the feed was seen.
        max_payload_bytes: how much of an item's text a failure keeps.
        charset: stated outside the feed.

    Raises:
        MalformedFeed: no item can be read, with what is wrong and where.
        EmptyFeed: it is a feed, and holds no item.
    """
    parsed = parse_feed(content, charset=charset)
    if not parsed.entries:
        name = parsed.format
        is_named = name.lower().endswith(("feed", "sitemap", "index")) or "Feed" in name
        raise EmptyFeed(f"the {name}{'' if is_named else ' feed'} has no items")
    origins = PartOrigins(uri)
    for entry in parsed.entries:
        origin = origins.of(entry.item_id[:_MAX_ID_CHARS])
        if entry.url is None and not plain_text(entry.content):
            named = f"the item {entry.about.title!r}" if entry.about.title else "an item"
            yield Failure(
                kind="rejected",
                stage="read",
                reason="empty-item",
                message=f"{named} has neither a link nor text",
                origin=origin,
                source_uri=uri,
                observed_at=observed_at,
                payload=(entry.about.title or "").encode()[:max_payload_bytes],
            )
            continue
        yield Page(
            origin=origin,
            source_uri=uri,
            kind="feed-item",
            content=entry.content.encode("utf-8", "replace"),
            observed_at=observed_at,
            charset="utf-8",
            url=entry.url,
            feed_url=parsed.self_url,
            item=entry.about,
        )


class _Block(NamedTuple):
    """A paragraph, heading or list item of a text."""

    text: str
    words: int
    linked_share: float
    is_cut_before_link: bool
    """Whether a sign of a cut stands before a link in it."""


def is_whole_article(entry: FeedEntry) -> bool:
    """Whether the feed's own text is a whole article, so that its page need not be fetched.

    Judged on the text alone, and with precision first: a teaser taken for the article is worse
    than one page fetched in vain. All of these must hold:

    - It has 150 words in at least three paragraphs of ten words or more; a text from a summary or
      description, which is not meant to be all, 300 words in five. Of scripts without spaces two
      characters count as a word.
    - No recording is attached to it: its text is then about that.
    - None of its last blocks, from the last but one paragraph on, ends in a sign of a cut ("…",
      "[...]", "(more)"), and no short one invites to read on ("Read more", "Weiterlesen",
      "続きを読む"), ends in an arrow, or speaks of the full text or of those who pay for it.
    - Its last paragraph ends as a sentence does, and neither what follows it nor the last block
      is little but a link. What follows of partly linked text, as in "The post … appeared first
      on …", is passed over.
    - Not more than 40 % of it is linked: a list of links is no article; nor is a text in which
      several linked headlines have their own paragraphs.
    - Where the item has a summary of its own, the text has twice its words. A summary that is
      about as long as the text is the same text again, of which either may be cut: the text must
      then be as long as a description has to be.
    """
    blocks = _blocks(entry.content)
    words = sum(block.words for block in blocks)
    prose = [at for at, block in enumerate(blocks) if _is_prose(block)]
    if entry.has_recording or words < _MIN_WORDS or len(prose) < _MIN_PARAGRAPHS:
        return False
    linked = sum(block.words * block.linked_share for block in blocks)
    if linked > _MAX_LINKED_SHARE * words or _goes_on(blocks, prose) or _is_digest(blocks, prose):
        return False
    summary = entry.about.summary or ""
    summary_words = _words(summary)
    # Of a long summary not all is kept: it may have been as long as the text.
    is_twofold = summary_words >= _SAME_TEXT_RATIO * words or len(summary) >= _LONG_SUMMARY_CHARS
    if not is_twofold and words < _TIMES_THE_SUMMARY * summary_words:
        return False
    is_copy = is_twofold and _letters(summary) == _letters(" ".join(block.text for block in blocks))
    if entry.is_full_text and (not is_twofold or is_copy):
        return True
    return words >= _MIN_WORDS_OF_DESCRIPTION and len(prose) >= _MIN_PARAGRAPHS_OF_DESCRIPTION


def _is_prose(block: _Block) -> bool:
    return block.words >= _MIN_PARAGRAPH_WORDS and block.linked_share <= _MAX_LINKED_SHARE


def _goes_on(blocks: list[_Block], prose: list[int]) -> bool:
    """Whether the end of a text, from its last but one paragraph on, points beyond it."""
    ending = blocks[max(0, min(prose[-2], len(blocks) - _TRAILING_BLOCKS)) :]
    if not _SENTENCE_END.search(blocks[prose[-1]].text) or any(_is_cut(one) for one in ending):
        return True
    after = blocks[prose[-1] + 1 :]
    return bool(after) and (_is_link(after[0]) or _is_link(after[-1]))


def _is_link(block: _Block) -> bool:
    """Whether a block is little but a link, and to something else than what readers say."""
    if block.linked_share < _MOSTLY_LINKED_SHARE:
        return False
    return _OWN_LINK.fullmatch(block.text) is None


def _is_digest(blocks: list[_Block], prose: list[int]) -> bool:
    """Whether linked headlines stand over its paragraphs: parts of other texts."""
    headlines = sum(
        block.linked_share >= _MOSTLY_LINKED_SHARE and block.words >= _MIN_HEADLINE_WORDS
        for block in blocks[: prose[-1]]
    )
    return headlines > _MAX_LINKED_HEADLINES


def _blocks(content: str) -> list[_Block]:
    blocks = []
    markup = _NOT_TEXT.sub(" ", content)
    pieces = _BLOCK_BREAK.split(markup)
    if len(pieces) < _MIN_PARAGRAPHS:  # where nothing else parts them, lines are paragraphs
        pieces = _LINE_BREAK.split(markup)
    for piece in pieces:
        text = plain_text(piece)
        if text is not None:
            linked = sum(len(plain_text(link) or "") for link in _LINK.findall(piece))
            is_cut = _CUT_BEFORE_LINK.search(piece) is not None
            blocks.append(_Block(text, _words(text), linked / len(text), is_cut))
    return blocks


def _words(text: str) -> int:
    unspaced = len(_UNSPACED.findall(text))
    return len(_UNSPACED.sub(" ", text).split()) + unspaced // 2


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def _is_cut(block: _Block) -> bool:
    """Whether a block says that the text goes on elsewhere."""
    if block.is_cut_before_link or _CUT_OFF.search(block.text):
        return True
    if block.words > _MAX_READ_ON_WORDS:
        return False
    # Quotation marks of some languages are the arrows of others.
    has_arrow = _ARROW_END.search(block.text) is not None and not _QUOTE_START.search(block.text)
    return has_arrow or any(pattern.search(block.text) for pattern in (_READ_ON, _FULL, _PAID))


def _parse(markup: str) -> Any:
    """What feedparser makes of a feed, for a second time without the tags of no concern here."""
    try:
        return _parse_once(markup)
    except _PARSER_FAULTS as error:
        what = f"{type(error).__name__}: {error}"
        fault = MalformedFeed(f"the feed parser cannot take its markup ({what[:200]})")
    try:
        parsed = _parse_once(_TAG_OF_NO_CONCERN.sub("", markup))
    except _PARSER_FAULTS:
        raise fault from None
    if not parsed.entries:
        raise fault
    return parsed


def _parse_once(markup: str) -> Any:
    # Never a string: feedparser would take one that names a file or a URL for that. And never its
    # own reading of the encoding, which trips over declarations that state none.
    encoded = io.BytesIO(f'<?xml version="1.0" encoding="utf-8"?>{markup}'.encode())
    headers = {"content-type": "application/xml; charset=utf-8"}
    return feedparser.parse(encoded, sanitize_html=False, response_headers=headers)


def _is_fatal(parsed: Any) -> bool:
    return bool(parsed.bozo) and not isinstance(
        parsed.bozo_exception, feedparser.CharacterEncodingOverride | feedparser.NonXMLContentType
    )


def _what_is_wrong(parsed: Any, root: str) -> str:
    error = parsed.get("bozo_exception")
    if not parsed.version and not _is_fatal(parsed):
        return _not_a_feed(root)
    name = _format_name(parsed.version) if parsed.version else "feed"
    return f"no item of the {name} can be read: {_fault(error)}"


def _not_a_feed(root: str) -> str:
    named = f"its root element <{root}>" if root else "its root element"
    return f"{named} is not one of RSS, Atom, RDF or a sitemap"


def _fault(error: Any) -> str:
    """What is wrong with markup, and where."""
    get_line = getattr(error, "getLineNumber", None)
    if get_line is None:
        return str(error)
    return f"{error.getMessage()} at line {get_line()}, column {error.getColumnNumber()}"


def _ttl_seconds(feed: Any) -> int | None:
    """How long the feed asks not to be polled again: RSS 2.0 ``ttl``, else RSS 1.0 syndication."""
    minutes = str(feed.get("ttl") or "").strip()
    if minutes.isdecimal() and len(minutes) < 9 and int(minutes):
        return min(int(minutes) * 60, _MAX_TTL_SECONDS)
    period = _PERIOD_SECONDS.get(str(feed.get("sy_updateperiod") or "").strip().lower())
    if period is None:
        return None
    times = str(feed.get("sy_updatefrequency") or "").strip()
    is_count = times.isdecimal() and len(times) < 9 and int(times) > 0
    return max(1, period // int(times)) if is_count else period


def _skip_hours(markup: str) -> tuple[int, ...]:
    """RSS 0.91 counts the hours from 1 to 24, RSS 2.0 from 0 to 23: 24 is 0 in both."""
    element = _SKIP_HOURS.search(markup)
    hours = (
        {int(hour) % 24 for hour in _HOUR.findall(element[1]) if int(hour) <= 24} if element else ()
    )
    return tuple(sorted(hours))


def _skip_days(markup: str) -> tuple[str, ...]:
    element = _SKIP_DAYS.search(markup)
    named = {day.capitalize() for day in _DAY.findall(element[1])} if element else set()
    return tuple(day for day in _DAYS if day in named)


def _format_name(version: str) -> str:
    """``rss20`` as people write it."""
    match = re.fullmatch(r"(rss|atom|cdf)(\d)?(\d+)?.*", version)
    if match is None:
        return version
    number = ".".join(part for part in match.groups()[1:] if part)
    name = "Atom" if match.group(1) == "atom" else match.group(1).upper()
    return f"{name} {number}".strip()


def _read_entry(entry: Any, feed: Any, base: str | None, is_atom: bool) -> FeedEntry:
    """What an entry says, its relative links resolved against the feed's own address."""
    content, language, is_full_text = _content(entry)
    url = absolute_url(_string(entry, "feedburner_origlink"), base) or absolute_url(
        _page_link(entry), base
    )
    guid = _string(entry, "id")
    title = _title(entry, is_atom)
    about = FeedItem(
        guid=guid,
        title=title,
        authors=_authors(entry),
        published=_date(entry, "published", "created", ISSUED_KEY),
        summary=_summary(entry, content, is_atom),
        tags=_tags(entry),
        image_url=_image_url(entry, url or base),
        language=language or _string(feed, "language"),
        feed_title=_title(feed, is_atom),
        rights=plain_text(_string(entry, "rights")) or plain_text(_string(feed, "rights")),
        updated=_date(entry, "updated"),
    )
    name = guid or url or name_without_guid(title, _string(entry, "published") or "", content)
    return FeedEntry(name, url, content, is_full_text, about, _has_recording(entry))


def _string(element: Any, key: str) -> str | None:
    """A string of feedparser's, which makes data of another type of some unknown elements."""
    # Not element.get: feedparser would stand in one date for the other.
    value = dict.get(element, key)
    return value if isinstance(value, str) and value else None


def _detail(element: Any, key: str) -> Any:
    """One of feedparser's dictionaries; an empty one where it has none of this name."""
    value = dict.get(element, key)
    return value if isinstance(value, dict) else {}


def _details(element: Any, key: str) -> list[Any]:
    """Of one of feedparser's lists the dictionaries."""
    value = dict.get(element, key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _is_markup(element: Any, key: str, is_atom: bool) -> bool:
    """Whether a text may hold tags; in Atom it states that it does (RFC 4287, 3.1.1)."""
    return not is_atom or _string(_detail(element, f"{key}_detail"), "type") != "text/plain"


def _title(element: Any, is_atom: bool) -> str | None:
    is_markup = _is_markup(element, "title", is_atom)
    return plain_title(_string(element, "title"), is_markup=is_markup)


def _summary(entry: Any, content: str, is_atom: bool) -> str | None:
    is_markup = _is_markup(entry, "summary", is_atom)
    return plain_summary(_string(entry, "summary"), content, is_markup=is_markup)


def _page_link(entry: Any) -> str | None:
    """The link of an entry; a guid in its stead only where it is an address itself."""
    link = _string(entry, "link")
    return None if dict.get(entry, "guidislink") and absolute_url(link) is None else link


def _content(entry: Any) -> tuple[str, str | None, bool]:
    """The fullest text of an item as HTML, its language, and whether it is meant to be all."""
    full = [part for part in _details(entry, "content") if _string(part, "value")]
    candidates = list(full)
    if (summary := _string(entry, "summary")) is not None:
        detail = _detail(entry, "summary_detail")
        candidates.append(detail if _string(detail, "value") else {"value": summary})
    if not candidates:
        caption = _string(entry, CAPTION_KEY)
        is_text = caption is not None and not _ANY_TAG.search(caption)
        return (paragraphs(caption) if caption and is_text else caption or ""), None, False
    # A feed that carries both may put the teaser in either element: the longer one is the text.
    best = max(candidates, key=lambda part: len(plain_text(_string(part, "value")) or ""))
    value = _string(best, "value") or ""
    if _string(best, "type") == "text/plain":
        value = paragraphs(value)
    return value, _string(best, "language"), any(best is part for part in full)


def _date(entry: Any, *names: str) -> str | None:
    """The first date of these elements that can be read, in ISO 8601 and UTC.

    As it is written: feedparser fills what is missing from the day on which it runs.
    """
    dates = (normal_date(_string(entry, name) or "") for name in names)
    return next((date for date in dates if date is not None), None)


def _link(element: Any, relation: str, base: str | None) -> str | None:
    for link in _details(element, "links"):
        if link.get("rel") == relation:
            return absolute_url(_string(link, "href"), base)
    return None


def _authors(entry: Any) -> tuple[str, ...]:
    names = [_author_name(_string(author, "name")) for author in _details(entry, "authors")]
    if not any(names):
        names = [_author_name(_string(entry, "author"))]
    return tuple(dict.fromkeys(name for name in names if name))


def _author_name(written: str | None) -> str | None:
    """A name without the remnants of an address, and without the account that follows it."""
    name = _ACCOUNT.sub("", _EMPTY_BRACKETS.sub("", plain_text(written) or "")).strip(" ,;")
    if (inner := _IN_BRACKETS.fullmatch(name)) is not None:
        name = inner[1].strip()
    return None if "@" in name else name or None


def _tags(entry: Any) -> tuple[str, ...]:
    tags = _details(entry, "tags")
    terms = (plain_text(_string(tag, "label") or _string(tag, "term")) for tag in tags)
    return tuple(dict.fromkeys(term for term in terms if term))


def _enclosures(entry: Any) -> list[Any]:
    return [link for link in _details(entry, "links") if link.get("rel") == "enclosure"]


def _has_recording(entry: Any) -> bool:
    return any(
        (_string(part, "type") or "").lower().startswith(("audio/", "video/"))
        or _RECORDING_NAME.search(_string(part, "href") or "") is not None
        for part in _enclosures(entry)
    )


def _image_url(entry: Any, base: str | None) -> str | None:
    media = [
        *_details(entry, "media_content"),
        *_details(entry, "media_thumbnail"),
        *_enclosures(entry),
    ]
    for part in media:
        link = _string(part, "url") or _string(part, "href")
        kind = (_string(part, "medium") or _string(part, "type") or "").lower()
        # A thumbnail states no type; a video says that it is one.
        if not kind.startswith("image") and (kind or not _IMAGE_NAME.search(link or "")):
            continue
        url = absolute_url(link, base)
        if url is not None:
            return url
    return absolute_url(_string(_detail(entry, "image"), "href"), base)
