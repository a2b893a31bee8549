"""Saved pages and feed items → articles.

``Page`` of kind ``html`` or ``feed-item`` → one ``Article``, or the ``Failure`` that says why there
is none. The main text of a page is trafilatura's; what of it is not body is taken off here, and
read where it says who wrote the article and when. The page's metadata, with the sources that their
provenance may name, are those of ``page_metadata``. Pure and bounded by its input.

``Article.hints`` holds the page's date of modification with the source ``modified``: it is never
taken for the date of publication.
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

from schemas.records import Article, Extraction, Failure, Page, Provenance
from transforms.bylines import Byline, is_photo_credit, parse_agency, parse_byline, parse_dateline
from transforms.dates import (
    DateLine,
    DatelineDay,
    date_article,
    parse_date_line,
    parse_metadata_date,
)
from transforms.decoding import Decoded, UndecodableText, decode_text
from transforms.lines import Kind, read_lines
from transforms.page_metadata import (
    PageMetadata,
    TextLine,
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
    lines = list(text_lines(tree))
    about = read_metadata(tree, decoded.text, page.url, page.observed_at, lines)
    visible = _visible_text(tree)
    is_gate = _is_gate(tree)
    paragraphs = _main_text(tree, about.page_url, lines)
    sign = interstitial_sign(about.headings, paragraphs, visible, is_gate=is_gate)
    if sign is not None:
        message = f"it is a page before the page, not an article: {sign}"
        return _failure(page, "rejected", "challenge-page", message)
    anchors = ["".join(anchor.itertext()) for anchor in _links_out(tree)]
    sign = link_list_sign(paragraphs, anchors, is_dated=about.published is not None)
    if sign is not None:
        return _failure(page, "rejected", "no-article", f"it is a list of links: {sign}")
    body = clean_body(paragraphs, link_keys(lines, anchors), about)
    words = _words(body.paragraphs)
    if words < MIN_BODY_WORDS:
        message = (
            f"its main text has {words} words; an article has at least {MIN_BODY_WORDS}"
            if words
            else "no main text was found in it"
        )
        return _failure(page, "rejected", "no-article", message)
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
    if _words(quick) >= _MIN_SHARE_OF_PROSE * _words(filter(is_prose, shown)):
        return quick
    thorough = _trafilatura(tree, url, fast=False)
    longest = max(quick, thorough, key=_words)
    return longest or _trafilatura(tree, url, fast=True, favor_recall=True)


_MAX_PROSE_LINKED = 0.5
_MIN_SHARE_OF_PROSE = 0.3


def _trafilatura(tree: HtmlElement, url: str | None, **options: bool) -> list[str]:
    document: Any = trafilatura.bare_extraction(
        tree, url=url, include_comments=False, with_metadata=False, **options
    )
    return _paragraphs_of((document.text if document is not None else None) or "")


def _words(texts: Iterable[str]) -> int:
    return sum(map(count_words, texts))


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


def is_prose(line: str) -> bool:
    """Whether a line is prose: a dozen words or more that end a sentence."""
    return count_words(line) >= _PROSE_WORDS and _SENTENCE_END.search(line) is not None


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
    r"|are you (?:a )?(?:human|robot)\b|(?:please )?(?:verify|check|confirm)(?:ing)? (?:that )?you"
    r"(?: are|['’]re) (?:a )?(?:human|not a (?:ro)?bot)|pardon our interruption|security check\b"
    r"|checking your browser|bot (?:verification|check)|human verification|robot check"
    r"|(?:just )?(?:one|a) moment,? please|please wait|request (?:blocked|rejected|denied)"
    r"|you have been blocked|before you continue|cookie consent|ddos[- ]guard"
    r"|einen (?:augenblick|moment)(?:,? bitte| noch)?|bitte warten|zugriff verweigert"
    r"|sind sie ein (?:mensch|roboter)|sicherheitsüberprüfung|bevor sie fortfahren"
    r"|un (?:instant|moment)(?:,? s['’]il (?:vous|te) pla[iî]t)?\W*$|veuillez patienter"
    r"|accès (?:refusé|interdit)|êtes-vous un (?:humain|robot)|vérification (?:de sécurité"
    r"|en cours)"
    r"|un momento(?:,? por favor)?\W*$|espere (?:un momento|por favor)|acceso denegado"
    r"|verificación de seguridad|um momento\b|só um momento|acesso negado|aguarde\b|attendere\b"
    r"|accesso negato|verifica di sicurezza|een ogenblik|even geduld|toegang geweigerd|et øyeblikk"
    r"|et øjeblik|ett ögonblick|chwileczkę|proszę czekać|odmowa dostępu|okamžik|prosím čekejte"
    r"|один момент|подождите|проверка (?:браузера|безопасности|подключения)|доступ (?:запрещ"
    r"|огранич)"
    r"|зачекайте|lütfen bekleyin|bir dakika lütfen|erişim engellendi|mohon tunggu|vui lòng chờ"
    r"|请稍[候等]|請稍[候等]|安全(?:验证|驗證|检查|檢查)|人机验证|访问(?:被拒绝|受限)|少々お待ち"
    r"|しばらくお待ち|アクセス拒否|잠시만 기다|접근.{0,4}거부"
    r"|يرجى الانتظار|لحظة من فضلك|تم رفض الوصول"
    r"|(?:40[134]|410|429|50[0-4])\b[\s:–-]*(?:forbidden|unauthorized|not found|gone|error"
    r"|too many requests|service|bad gateway|gateway|internal|page|$)"
    r"|(?:page|seite|página|pagina|sida|side|pagina) (?:not found|nicht gefunden|no encontrada"
    r"|não encontrada|non trovata|niet gevonden)|page (?:introuvable|non trouvée)"
    r"|страница не найдена)",
    re.IGNORECASE,
)
_INTERSTITIAL_SENTENCES = {
    "it asks for proof that the reader is human": re.compile(
        r"(?:verify|confirm|prove|make sure|ensure|check(?:ing)?(?: if| that)?)\b.{0,40}"
        r"\b(?:you(?:'|’)?re|you are|are)\b.{0,20}\b(?:human|robot|bot)\b"
        r"|\b(?:complete|solve)\b.{0,40}\bcaptcha\b|unusual (?:traffic|activity) from your"
        r"|checking your browser|\bas you were browsing\b|not a robot\b"
        r"|(?:performance|security|protection|protected).{0,20}\bby\b|\bray id\b"
        r"|\b(?:request|incident|reference|event|support) (?:number|id|no)\b"
        r"|\byour (?:ip )?address\b"
        r"|\bthis (?:may|might|could|will|usually|only)?\s?takes? (?:a |only )*(?:few|some|moment)"
        r"|\bprocess is automatic\b|\byou will be redirected\b|^please (?:wait|stand by)"
        r"|kein roboter|ein mensch sind|sie werden (?:weitergeleitet|umgeleitet)"
        r"|(?:pas|non) un robot|êtes (?:bien )?(?:un )?humain|vous (?:serez|allez être) redirigé"
        r"|no (?:eres|es|soy) un robot|(?:eres|es|sea) (?:un )?(?:ser )?humano|será redirigid"
        r"|não é um robô|é (?:um )?humano|será redirecionad|non sei un robot|verrai reindirizzat"
        r"|geen robot|ikke (?:er )?en robot|inte (?:är )?en robot|nie jeste\w+ robotem"
        r"|не робот|человек,? а не|вы будете перенаправлены|не є роботом|robot olmadığ"
        r"|bukan robot|không phải (?:là )?(?:robot|người máy)|不是机器人|不是機器人|真人"
        r"|ロボットではない|로봇이 아|لست (?:روبوت|برنامج)",
        re.IGNORECASE,
    ),
    "it asks for JavaScript or cookies": re.compile(
        r"(?:enable|activate|turn on|switch on|requires?|allow|needs?)\b.{0,30}"
        r"\b(?:java ?script|cookies)\b"
        r"|\bjava ?script\b.{0,40}\b(?:aktiv|activ|habilit|abilit|inschakel|włącz|включ|увімкн)"
        r"|\b(?:aktiv|activ|habilit|abilit|schakel|włącz|включ|увімкн)\w*\b.{0,30}\bjava ?script\b"
        r"|(?:java ?script|cookies)\b.{0,30}\b(?:(?:is|are|must be|to be) )"
        r"(?:enabled|disabled|required)|(?:启用|啟用|开启|有効)\S{0,12}java ?script"
        r"|java ?script\S{0,6}(?:有効|启用|啟用|활성화|허용)",
        re.IGNORECASE,
    ),
    "it denies access": re.compile(
        r"you (?:do not|don(?:'|’)t) have permission to access"
        r"|\baccess (?:to .{0,40})?(?:is |was |has been )?(?:denied|blocked|forbidden)\b"
        r"|(?:your|this) (?:ip|request) .{0,40}\bblocked\b"
        r"|not available in your (?:country|region|location)"
        r"|unavailable (?:for legal reasons|in your)|reference #[\da-f.]{8,}"
        r"|zugriff .{0,40}\b(?:verweigert|gesperrt)|accès .{0,40}\b(?:refusé|interdit|bloqué)"
        r"|acceso .{0,40}\b(?:denegado|bloqueado)|acesso .{0,40}\b(?:negado|bloqueado)"
        r"|accesso .{0,40}\b(?:negato|bloccato)|доступ .{0,40}\b(?:запрещ|огранич|заблок)",
        re.IGNORECASE,
    ),
    "it asks for consent": re.compile(
        r"\b(?:we|our partners|partners|us)\b.{0,80}\b(?:cookies?|personal data|privacy)\b"
        r"|\b(?:accept|reject|manage|consent)\b.{0,60}\b(?:cookies?|consent|choices|preferences"
        r"|partners|purposes|tracking)\b|\byour (?:privacy|consent|choices)\b"
        r"|\blegitimate interest|\bvendors?\b.{0,40}\b(?:data|consent)\b"
        r"|\b(?:wir|unsere partner)\b.{0,80}\b(?:cookies?|personenbezogen\w*|einwilligung)\b"
        r"|\b(?:nous|nos partenaires)\b.{0,80}\b(?:cookies?|données|traceurs)\b"
        r"|\b(?:nosotros|nuestros socios|utilizamos|usamos)\b.{0,80}\b(?:cookies?|datos)\b"
        r"|\b(?:nós|nossos parceiros|noi|nostri partner|wij|onze partners|vi och våra|vi og våre)\b"
        r".{0,80}\bcookies?\b|\b(?:alle )?cookies? (?:akzeptieren|zulassen|ablehnen)"
        r"|\b(?:accepter|refuser|aceptar|rechazar|aceitar|rejeitar|accetta|rifiuta)\b.{0,30}"
        r"\b(?:cookies?|tou[st]|tod[oa]s|tutt[io])\b",
        re.IGNORECASE,
    ),
    "it asks for a subscription": re.compile(
        r"\b(?:subscribe|sign up|sign in|log in|register|subscription)\b.{0,60}"
        r"\b(?:to (?:continue|read|keep|unlock|access|get)|continue reading|full (?:access|article"
        r"|story)|unlimited|required)\b|\balready (?:a |have a )?(?:subscriber|subscription|member)"
        r"|this (?:article|content|story) is (?:for|only|reserved|exclusive)\b"
        r"|\b(?:free articles?|article limit)\b.{0,40}\b(?:left|month|remaining|reached)"
        r"|\bcancel (?:at )?any ?time\b|\b(?:jetzt )?weiterlesen\b.{0,40}\b(?:abo|anmelden|mit)\b"
        r"|\b(?:bereits|schon) (?:abonnent|registriert)|\bpour (?:lire|continuer"
        r"|poursuivre)\b.{0,40}"
        r"|\bdéjà abonné|\bréservé (?:à nos|aux) abonnés|\bpara (?:seguir|continuar) (?:leyendo"
        r"|lendo"
        r"|a ler|a leitura)|\bya (?:eres|es) suscriptor|\bjá é assinante|\bsolo para suscriptores"
        r"|\bexclusivo para assinantes|\bper continuare a leggere|\bsei già abbonato"
        r"|\bom verder te lezen|\bfor å lese (?:hele|videre)|\bför att läsa (?:hela|vidare)"
        r"|\baby (?:czytać|przeczytać)|\bчтобы (?:читать|продолжить)",
        re.IGNORECASE,
    ),
}
_SENTENCE_BREAK = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+|\s·\s")
_GATE_SHARE, _SENTENCES_SHARE = 0.2, 0.5


def interstitial_sign(
    headings: Iterable[str], paragraphs: list[str], visible: str, *, is_gate: bool = False
) -> str | None:
    """What shows that a page stands in front of another (challenge, consent, paywall), if anything.

    Only a page with little text can be one: an article may well be about captchas or cookies.

    Args:
        headings: the title and the headings of the page.
        paragraphs: the main text that was found in it.
        visible: all text of the page.
        is_gate: whether the markup leads on by itself or hides itself from search engines; then
            a fifth of the sentences is enough, else it takes half of them.
    """
    body = "\n".join(paragraphs)
    words = count_words(body)
    if words >= _MAX_INTERSTITIAL_WORDS:
        return None
    for heading in headings:
        if _INTERSTITIAL_TITLE.search(heading):
            return f"its title is {heading[:80]!r}"
    text = body if words >= MIN_BODY_WORDS else visible
    if words < MIN_BODY_WORDS and count_words(visible) >= _MAX_INTERSTITIAL_WORDS:
        return None
    sentences = [part for part in _SENTENCE_BREAK.split(text) if count_words(part) >= 3]
    total = _words(sentences)
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
    return sign if of_any >= (_GATE_SHARE if is_gate else _SENTENCES_SHARE) * total else None


def _is_gate(tree: HtmlElement) -> bool:
    """Whether a page reloads or leaves by itself, or keeps out of indexes and asks for an answer.

    The sign is weak: live pages reload as well, and many an article may not be indexed.
    """
    metas = {
        (meta.get("http-equiv") or meta.get("name") or "").lower(): meta.get("content") or ""
        for meta in tree.iter("meta")
    }
    hidden = "noindex" in metas.get("robots", "").lower()
    return "refresh" in metas or (hidden and next(tree.iter("form"), None) is not None)


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
    links = {_key(text) for text in anchors}
    others: set[str] = set()
    for line in lines:
        is_link = line.linked >= _LINK_SHARE and line.tag not in _HEADINGS
        (links if is_link else others).add(_key(line.text))
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
    text = _key("".join(paragraphs))
    links = {
        key: words
        for anchor in anchors
        if (words := count_words(anchor)) >= _MIN_LINK_WORDS and (key := _key(anchor)) in text
    }
    if len(links) < _MIN_LINKS:
        return None
    linked_words, words = sum(links.values()), _words(paragraphs)
    if linked_words >= _LINKED_WORDS_SHARE * words:
        return f"{linked_words} of its {words} words are those of {len(links)} links"
    are_links = [_key(paragraph) in links for paragraph in paragraphs]
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


def _key(text: str) -> str:
    """A line as it is compared with others: its letters and digits, without case."""
    return _NOT_ALNUM.sub("", text.casefold())


_NOT_ALNUM = re.compile(r"[\W_]+")


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
        words, key = count_words(line), _key(line)
        if is_furniture(line) or key in seen or _leads_elsewhere(line, words, key in linked):
            continue
        if words >= _PROSE_WORDS:
            seen.add(key)
        if number < _MAX_LEAD_LINES and prose <= _MAX_LEAD_PROSE and lead.takes(line, prose):
            continue
        prose += is_prose(line)
        kept.append(line)
    while len(kept) > 1 and _key(kept[-1]) in linked:
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
        self._titles = {_key(text) for text in (about.title, *about.headings) if text}
        self._labels = {_key(text) for text in (about.section, about.site, *about.tags) if text}
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
        key = _key(text)
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
    words = _words(paragraphs)
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
