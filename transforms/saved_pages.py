"""Saved pages and feed items → articles.

``Page`` of kind ``html`` or ``feed-item`` → one ``Article``, or the ``Failure`` that says why there
is none. The main text of a page is trafilatura's; what of it is not body is taken off here, and
read where it says who wrote the article and when. The page's metadata, with the sources that their
provenance may name, are those of ``page_metadata``. Pure and bounded by its input.

``Article.hints`` holds the page's date of modification with the source ``modified``: it is never
taken for the date of publication.

A page that was fetched for an item of a live feed holds the item: what the feed knows of it fills
what the page leaves open, with the source ``feed``, and ``reconcile_dates`` tells which of two
dates is the surer. What the subscription says of its items stands as ``section`` where the page has
none, with the source ``subscription``, and reaches the classification of topics as such.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib.metadata
import itertools
import re
from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

import trafilatura
from apache_beam.utils.timestamp import Timestamp
from lxml import etree
from lxml.html import HtmlElement
from trafilatura.utils import load_html

from schemas.records import (
    Article,
    DateHint,
    Extraction,
    Failure,
    FeedItem,
    Page,
    Provenance,
    PublicationDate,
)
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
    is_home,
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
    visible = _visible_text(tree)
    is_gate = _is_gate(tree)
    paragraphs = _main_text(tree, about.page_url, lines)
    anchors = ["".join(anchor.itertext()) for anchor in _links_out(tree)]
    refusal = (
        _before_the_page(about.headings, paragraphs, visible, is_gate=is_gate)
        or _instead_of_the_page(page, about, paragraphs)
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
    reason = "paywall" if sign == _ASKS_FOR_SUBSCRIPTION else "challenge-page"
    return _Refusal(reason, f"it is a page before the page, not an article: {sign}")


def _instead_of_the_page(page: Page, about: PageMetadata, paragraphs: list[str]) -> _Refusal | None:
    sign = error_sign(about.headings, paragraphs)
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
    if _words(paragraphs) >= _MAX_CUT_TEASER_WORDS:
        return None
    sign = paywall_sign(
        paragraphs,
        _lines_with_buttons(tree),
        is_free=about.is_free,
        stated_words=about.stated_words,
    )
    return _Refusal("paywall", f"it is the beginning of an article: {sign}") if sign else None


def _too_short(paragraphs: list[str]) -> _Refusal | None:
    words = _words(paragraphs)
    if words >= MIN_BODY_WORDS:
        return None
    if not words:
        return _Refusal("no-article", "no main text was found in it")
    message = f"its main text has {words} words; an article has at least {MIN_BODY_WORDS}"
    return _Refusal("no-article", message)


def _is_of_another(item: FeedItem | None, about: PageMetadata) -> bool:
    """Whether no word of the item's title stands in a title of the page."""
    wanted = _title_words(item.title) if item and item.title else set()
    shown = [title for title in (about.title, *about.headings) if title]
    return bool(wanted and shown) and all(wanted.isdisjoint(_title_words(one)) for one in shown)


def _title_words(title: str) -> set[str]:
    """The words of a title that may tell it from others; in unspaced scripts its characters."""
    folded = title.casefold()
    words = (match.group() for match in _WORD.finditer(_UNSPACED.sub(" ", folded)))
    return {word for word in words if len(word) > 3} | set(_UNSPACED.findall(folded))


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
    r"|(?:40[13]|429|503)\b[\s:–-]*(?:forbidden|unauthorized|error|too many requests|service|$)"
    r"|(?:(?:we (?:value|respect|care about) )?your privacy(?: choices| settings)?"
    r"|(?:cookies?|privacy|consent)(?: and privacy)? (?:settings|preferences|notice|banner|consent)"
    r"|manage (?:your )?(?:cookies?|consent|privacy)(?: (?:settings|preferences))?"
    r"|(?:cookie|datenschutz|privatsphäre)-?\s?einstellungen|einwilligung"
    r"|zustimmung(?: erforderlich)?"
    r"|wir (?:brauchen|benötigen|bitten um) ihre (?:zustimmung|einwilligung)"
    r"|(?:le respect de )?votre vie privée|nous (?:respectons|accordons de l['’]importance à)"
    r" votre vie privée|gestion des cookies|(?:valoramos|respetamos) (?:su|tu) privacidad"
    r"|(?:su|tu|sua|a sua) privacid?ade?|(?:rispettiamo )?la tua privacy|(?:uw|jouw) privacy"
    r"|(?:wij|we) (?:respecteren|waarderen) (?:uw|jouw|je) privacy|(?:cenimy|szanujemy) "
    r"(?:twoją|państwa) prywatność|gizliliğinize (?:önem|değer) veriyoruz|同意の管理"
    r"|隐私(?:设置|偏好)|プライバシー設定)(?=\W*$|\s+[|–—\-·:]))",
    re.IGNORECASE,
)
_ASKS_FOR_SUBSCRIPTION = "it asks for a subscription"
_ASKS_FOR_CONSENT = "it asks for consent"
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
    _ASKS_FOR_CONSENT: re.compile(
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
        r"\b(?:cookies?|tou[st]|tod[oa]s|tutt[io])\b"
        r"|\bstor(?:e|ing) (?:and/or|and|or) access(?:ing)? information on\b"
        r"|\b(?:withdraw|change|manage|give|revoke)\b.{0,30}\b(?:consent|choices?|preferences)\b"
        r"|\b(?:personalised|personalized) (?:ads|advertising|content)\b.{0,60}\b(?:measurement"
        r"|research|development)\b"
        r"|\b(?:ihre|deine) (?:einwilligung|zustimmung|auswahl|privatsphäre)\b"
        r"|\b(?:mit werbung|zustimmen (?:und|&)|akzeptieren (?:und|&)) weiter"
        r"|\b(?:personalisierte|auf ihr surfverhalten) .{0,30}(?:werbung|anzeigen|inhalte)\b"
        r"|\b(?:votre|vos) (?:consentement|choix|vie privée|préférences)\b|\bsans accepter\b"
        r"|\bpublicités? (?:et contenus? )?personnalisée?s?\b"
        r"|\b(?:su|tu) (?:consentimiento|privacidad|elección)\b|\b(?:o|il) (?:seu|tuo) consens"
        r"|\b(?:seu|teu|o seu) consentimento\b|\b(?:la tua|le tue) (?:privacy|preferenze|scelte)\b"
        r"|\b(?:uw|jouw|je) (?:toestemming|privacy|keuze|voorkeuren)\b"
        r"|\b(?:ditt|dit) samt(?:y|yk)kel?\b|\bdin(?:e|a)? (?:personvern|integritet|valg|val)\b"
        r"|\b(?:używamy|korzystamy z|stosujemy)\b.{0,40}\b(?:plików cookies?|ciasteczek)\b"
        r"|\b(?:twoja|swoją|państwa|twojej) zgod\w+|\b(?:používáme|používame)\b.{0,40}\bcookies?"
        r"|\bмы (?:используем|обрабатываем)\b.{0,60}\b(?:cookies?|куки|файлы|данные)"
        r"|\bваш\w* соглас|\b(?:çerez\w*)\b.{0,40}\b(?:kullan|kabul|izin)"
        r"|cookie.{0,20}(?:同意|使用|許可)|(?:同意|使用).{0,12}cookie|쿠키.{0,20}(?:동의|사용)"
        r"|ملفات تعريف الارتباط",
        re.IGNORECASE,
    ),
    _ASKS_FOR_SUBSCRIPTION: re.compile(
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

    Only a page with little text can be one: an article may well be about captchas or cookies. But
    one that asks for consent goes on at length, in sentences that address the reader.

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
        if words >= _MAX_CONSENT_WORDS:
            return None
        said, total = _words_of_signs(body, (_ASKS_FOR_CONSENT,))
        return _ASKS_FOR_CONSENT if 0 < _SENTENCES_SHARE * total <= said[_OF_ANY] else None
    for heading in headings:
        if _INTERSTITIAL_TITLE.search(heading):
            return f"its title is {heading[:80]!r}"
    text = body if words >= MIN_BODY_WORDS else visible
    if words < MIN_BODY_WORDS and count_words(visible) >= _MAX_INTERSTITIAL_WORDS:
        return None
    said, total = _words_of_signs(text, tuple(_INTERSTITIAL_SENTENCES))
    if not total:
        return None
    sign = max(_INTERSTITIAL_SENTENCES, key=lambda key: said[key])
    return sign if said[_OF_ANY] >= (_GATE_SHARE if is_gate else _SENTENCES_SHARE) * total else None


_MAX_CONSENT_WORDS = 1_000
_OF_ANY = "any"


def _words_of_signs(text: str, signs: tuple[str, ...]) -> tuple[dict[str, int], int]:
    """Words in sentences that show each sign, and any, and in all sentences."""
    said = dict.fromkeys((*signs, _OF_ANY), 0)
    total = 0
    for sentence in _SENTENCE_BREAK.split(text):
        if (words := count_words(sentence)) < 3:
            continue
        total += words
        shown = [sign for sign in signs if _INTERSTITIAL_SENTENCES[sign].search(sentence)]
        for sign in [*shown, *([_OF_ANY] if shown else [])]:
            said[sign] += words
    return said, total


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


# ── pages instead of the page ───────────────────────────────────────────────────────────────────

_MAX_ERROR_WORDS = 100
_ERROR_NUMBER = re.compile(
    r"^(?:(?:http )?(?:error|fehler|erreur|errore|erro|fout|feil|fel|błąd|ошибка|hata)\W*)?"
    r"(?:404|410|50[0-2]|504)\b[\s:–—-]*(?:(?:error|page|file|seite|página|pagina|not found|gone"
    r"|fehler|erreur|internal|bad gateway|gateway)\b.*|\W*)$",
    re.IGNORECASE,
)
_NOT_THERE = re.compile(
    r"(?:\b(?:page|article|url|content)\b.{0,50}\b(?:(?:was|were|is|are|could|can|does|do|did)"
    r"(?:\s?not|n['’]t)|cannot|no longer|not)\b.{0,12}\b(?:found|exists?|available)\b"
    r"|\b(?:page|article) missing\b|\b(?:page|article)\b.{0,30}\bhas been (?:removed|deleted)\b"
    r"|\b(?:can(?:['’]t|not)|could(?:n['’]t| not)|unable to) find\b.{0,12}\b(?:page|article)\b"
    r"|\bseite\b.{0,40}\b(?:nicht (?:gefunden|vorhanden|verfügbar|mehr verfügbar|mehr vorhanden)"
    r"|existiert (?:leider )?nicht|nicht existiert|gibt es nicht)\b"
    r"|\bpage\b.{0,50}(?:\bintrouvable|n['’]existe (?:pas|plus)|n['’]est (?:pas|plus) disponible"
    r"|\bnon trouvée|n['’]a pas été trouvée|a été supprimée)\b"
    r"|\b(?:página|pàgina)\b.{0,40}\b(?:no|não) (?:\w+ ){0,3}(?:encontr\w+|exist\w+|disponíve\w+"
    r"|disponible)\b"
    r"|\bpagina\b.{0,40}\b(?:non (?:\w+ ){0,3}(?:trovata|esiste|disponibile)|inesistente"
    r"|(?:kan )?niet (?:\w+ )?(?:gevonden|beschikbaar)|bestaat (?:niet|helaas niet)"
    r"|nu (?:a fost găsită|există))"
    r"|\bsiden\b.{0,20}\b(?:(?:ble|blev|kunne) ikke fun[dn]\w*|fin[nd]es ikke|kunne ikke findes"
    r"|eksisterer ikke|ikke funnet)|\bsidan\b.{0,20}\b(?:(?:kunde )?inte hitta\w+|finns inte"
    r"|hittades inte)|\bsivua ei löy\w+"
    r"|\bstrona\b.{0,40}\bnie (?:\w+ )?(?:istnieje|została znaleziona)|\bnie znaleziono strony"
    r"|\bstránka\b.{0,30}\b(?:neexistuje|nebyla nalezena|nenájdená|nebola nájdená)"
    r"|\bstranica\b.{0,30}\b(?:nije pronađena|ne postoji)|\baz oldal nem található"
    r"|страниц\w*.{0,40}не (?:найден|существует|доступн)|сторінк\w*.{0,40}не (?:знайден|існує)"
    r"|\bsayfa\b.{0,40}\b(?:bulunamadı|mevcut değil)"
    r"|\bhalaman (?:ini |yang \w+ cari )?tidak (?:di)?temukan|\bkhông tìm thấy trang"
    r"|(?:页面|頁面|网页|網頁).{0,12}(?:不存在|未找到|找不到)|找不到.{0,8}(?:页面|頁面|网页|網頁)"
    r"|ページ.{0,12}(?:見つかりません|存在しません)|페이지.{0,12}(?:찾을 수 없|없습니다)"
    r"|الصفحة.{0,20}(?:غير موجودة|لم يتم العثور))",
    re.IGNORECASE,
)
_TITLE_PART = re.compile(r"\s+[|–—\-·•»«:/]+\s+|\s*\|\s*|:\s+")
_MAX_ERROR_TITLE_WORDS = 10


def error_sign(headings: Iterable[str], paragraphs: list[str]) -> str | None:
    """What shows that a page is the server's word that there is no such page, if anything.

    Servers answer so with the status of a success, too. Its title says it, or with few words its
    first sentences; an article that tells of lost pages has more.

    Args:
        headings: the title and the headings of the page.
        paragraphs: the main text that was found in it.
    """
    words = _words(paragraphs)
    if words < _MAX_INTERSTITIAL_WORDS:
        for heading in headings:
            for part in (heading, *_TITLE_PART.split(heading)):
                is_short = count_words(part) <= _MAX_ERROR_TITLE_WORDS
                if is_short and (_ERROR_NUMBER.search(part.strip()) or _NOT_THERE.search(part)):
                    return f"its title is {heading[:80]!r}"
    if words < _MAX_ERROR_WORDS:
        for line in paragraphs[:2]:
            if not is_prose(line) and _NOT_THERE.search(line):
                return f"it says {line[:80]!r}"
    return None


# ── paywalls ────────────────────────────────────────────────────────────────────────────────────

_MAX_TEASER_WORDS = 150
_MAX_CUT_TEASER_WORDS = 400
_MAX_PROMPT_WORDS = 40
_WHOLE_SHARE = 0.8
"""A text with so many of the words that the page states is all of it."""

_CUT_OFF = re.compile(r"(?:…|\.\.\.)[\])\s\W]{0,4}$")
_READ_ON = re.compile(
    r"\b(?:continue|keep|go on|finish) reading\b|\bread on\b"
    r"|\b(?:read|see|view|access|unlock|finish)\b.{0,12}\b(?:(?:full|whole|entire|complete|rest of"
    r" (?:the|this)|remainder of (?:the|this)) (?:\w+ )?(?:article|story|text|report|piece|post)"
    r"|this (?:\w+ )?(?:article|story|text|report|piece|post))\b"
    r"|\bweiter(?:zu)?lesen\b|\blesen sie\b.{0,60}\bweiter\b"
    r"|\b(?:ganzen?|vollständigen?|kompletten?|gesamten?|diesen) (?:artikel|text|beitrag)\b.{0,30}"
    r"\b(?:lesen|freischalten|freizuschalten)\b"
    r"|\b(?:lire la suite|(?:poursuivre|continuer) (?:la |votre |sa )?lecture|continuer à lire"
    r"|(?:lire|accéder à|débloquer|découvrir) (?:cet article|(?:l['’]intégralité|la totalité"
    r"|la suite)"
    r" de (?:cet |l['’])article|l['’]article (?:complet|en entier|en intégralité)))\b"
    r"|\b(?:(?:seguir|sigue|continuar|continúa) (?:leyendo|con la lectura|la lectura)"
    r"|leer (?:el|este) (?:artículo|contenido)|leer (?:la|esta) (?:nota|noticia))\b"
    r"|\b(?:(?:continu(?:ar|e)|seguir) (?:lendo|a ler|a leitura|a sua leitura)"
    r"|ler (?:o|este) (?:artigo|texto|conteúdo)|ler (?:a|esta) (?:matéria|reportagem|notícia))\b"
    r"|\b(?:(?:continua(?:re)?|prosegui(?:re)?) (?:a leggere|la lettura)|leggere (?:tutto "
    r"|l['’]intero"
    r" |questo |l['’])articolo)\b"
    r"|\b(?:verder(?: te)? lezen|lees (?:verder|dit artikel)|(?:hele|volledige|dit) artikel(?: te)?"
    r" lezen|lees het (?:hele|volledige) artikel)\b"
    r"|\b(?:læs(?:e)?|lese|les) (?:videre|hele (?:artik\w+|saken|historien))\b"
    r"|\bläs(?:a)? (?:vidare|hela (?:artikeln|texten))\b|\b(?:lukemista|lue koko (?:artikkeli"
    r"|juttu))\b"
    r"|\bczyta(?:ć|j) dalej\b|\b(?:przeczytać|czytać) (?:cały|całość|ten) ?(?:artykuł|tekst)?"
    r"|\b(?:číst dál|pokračovat ve čtení|celý článek)\b|\b(?:čítať ďalej|pokračovať v čítaní)\b"
    r"|(?:читать|прочитать) (?:дальше|далее|полностью|статью)|продолжить чтение|полный текст статьи"
    r"|(?:читати|прочитати) (?:далі|повністю|статтю)|\b(?:okumaya devam|haberin devamını)\b"
    r"|\b(?:continu[aă] (?:să citești|lectura)|tovább olvas\w*|a teljes cikk\w*)\b"
    r"|\b(?:συνεχίσετε|συνέχεια) (?:την |της )?ανάγνωση\w*|\b(?:melanjutkan|lanjutkan"
    r"|terus) membaca\b"
    r"|\bđọc tiếp\b|続き(?:を|は)(?:読|お読|ご覧|見る)|全文(?:を|は)?(?:読|お読|閲覧|表示)"
    r"|(?:继续|繼續)(?:阅读|閱讀)|阅读全文"
    r"|閱讀全文|(?:기사|글).{0,6}(?:전문|전체)|계속 (?:읽|보)|(?:متابعة|مواصلة|إكمال) القراءة",
    re.IGNORECASE,
)
_PAY = re.compile(
    r"\b(?:subscri(?:be|bing|ber|bers|ption|ptions)|sign(?:ing)? (?:in|up)|log(?:ging)? ?in"
    r"|register"
    r"(?:ed|ing)?|(?:become|becoming) a(?:n)? (?:\w+ )?member|membership|premium|free trial"
    r"|create (?:a|an|your) (?:\w+ )?account)\b"
    r"|\b(?:\w*abos?|\w*abonnements?|abonnent\w*|abonnier\w*|anmeld\w*|einlogg\w*|registrier\w*"
    r"|mitglied\w*|plus-?zugang|freischalten|probemonat|testen)\b"
    r"|\b(?:abonn\w+|inscri\w+|connect(?:ez|er)\w*|identifiez|créez un compte|adhérent\w*)\b"
    r"|\b(?:suscr[ií]\w+|regístr\w+|registr\w+|inici[ae]r? sesión|hazte socio|socios)\b"
    r"|\b(?:assin[ae]\w*|cadastr\w+|faça (?:seu |o )?login|entre na sua conta)\b"
    r"|\b(?:abbon\w+|accedi|registrati|iscriviti)\b|\b(?:word lid|log in|inloggen|meld je aan)\b"
    r"|\b(?:prenumer\w+|logga in|logg inn|log ind|kjøp tilgang|bli (?:abonnent|medlem)|köp|tilaa\w*"
    r"|tilaus|kirjaudu)\b"
    r"|\b(?:prenumerat\w*|subskry\w+|wykup\w*|zaloguj\w*|dostęp|předplat\w*|přihla[sš]\w*"
    r"|predplat\w*|prihlás\w*|előfizet\w*|belép\w*|jelentkez\w*|abona\w*|conecta\w*)\b"
    r"|подпи[сш]\w*|войдите|авторизу\w*|зарегистр\w*|передплат\w*|увійдіть|συνδρομ\w*|εγγραφ\w*"
    r"|συνδεθ\w*|\babone\w*|\büye\b|\bgiriş yap\w*|\b(?:berlangganan|langganan|masuk)\b"
    r"|đăng (?:ký|nhập)|会員|登録|ログイン|購読|有料|订阅|訂閱|登录|登入|付费|會員"
    r"|구독|로그인|회원|유료"
    r"|اشترك|الاشتراك|اشتراك|تسجيل الدخول|للمشتركين",
    re.IGNORECASE,
)
_FOR_SUBSCRIBERS = re.compile(
    r"\b(?:this|the (?:full|rest of (?:the|this)|whole|remainder of (?:the|this)))\b.{0,20}"
    r"\b(?:article|story|content|post|text|report)\b.{0,12}\b(?:is|are)\b.{0,12}\b(?:for|to"
    r"|exclusive"
    r"|available|reserved|restricted|limited|locked)\b.{0,30}\b(?:subscri\w+|members?|paying"
    r"|premium)\b"
    r"|\bthis is a (?:premium|(?:subscriber|member)s?[- ](?:only|exclusive))\b"
    r"|\byou(?:['’]ve| have) (?:read|reached|used|hit)\b.{0,40}\b(?:last|limit|all)\b.{0,30}"
    r"\b(?:free )?(?:articles?|stor(?:y|ies))\b"
    r"|\b(?:artikel|text|beitrag|inhalt)\b.{0,20}\b(?:nur|exklusiv|ausschließlich)\b.{0,30}"
    r"\b(?:abo\b|abonnent\w*|mitglied\w*|plus-)|\b(?:artikel|text|beitrag"
    r"|inhalt) ist kostenpflichtig"
    r"|\bsie haben (?:bereits|schon) ein(?:en)? (?:\w*-?abo|\w*-?abonnement|digitalzugang)\b"
    r"|\b(?:article|contenu|texte|suite|lecture)\b.{0,30}\b(?:réservée?s?|accessible uniquement)"
    r" (?:à|aux) (?:nos |tous les )?abonné|\bil vous reste \d+ ?%.{0,30}\bà (?:lire|découvrir)"
    r"|\b(?:artículo|contenido|nota|noticia)\b.{0,20}\b(?:solo|sólo|exclusiv[oa]|reservad[oa])\b"
    r".{0,12}\b(?:para|a)\b.{0,12}\b(?:suscriptor\w*|socios)"
    r"|\b(?:artigo|conteúdo|matéria|texto|notícia)\b.{0,20}\b(?:só|exclusiv[oa]"
    r"|reservad[oa])\b.{0,12}"
    r"\b(?:para|a)\b.{0,12}\bassinantes"
    r"|\b(?:articolo|contenuto)\b.{0,20}\b(?:riservat[oa]|solo|esclusiv[oa])\b.{0,16}\babbonati"
    r"|\bartikel\b.{0,20}\b(?:alleen|exclusief|enkel)\b.{0,12}\bvoor\b.{0,12}\b(?:abonnees|leden)"
    r"|\b(?:artikk?el\w*|saken|innholdet)\b.{0,20}\b(?:kun|bare|endast|bara|forbeholdt)\b.{0,16}"
    r"\b(?:abonnent\w*|prenumerant\w*|medlem\w*)"
    r"|\b(?:artykuł|tekst|treść)\b.{0,30}\b(?:tylko|wyłącznie)\b.{0,12}\bdla\b.{0,16}"
    r"\b(?:prenumerator\w*|subskrybent\w*|abonent\w*)"
    r"|\bčlánek\b.{0,20}\b(?:jen|pouze)\b.{0,12}\bpředplatitel\w*"
    r"|(?:статья|материал|текст).{0,20}(?:только|доступ).{0,20}(?:подписчик|по подписке)"
    r"|(?:この|本)?記事は.{0,8}(?:有料|会員)|会員(?:限定|専用)(?:の)?記事"
    r"|(?:本文|文章|内容).{0,8}(?:仅限|僅限|仅供|僅供).{0,8}(?:会员|會員|订阅|訂閱)",
    re.IGNORECASE,
)
_NOT_OF_THE_ARTICLE = re.compile(
    r"newsletter|\barchives?\b|\binbox\b|\balerts?\b|notification|\brss\b|podcast|whatsapp"
    r"|telegram|youtube",
    re.IGNORECASE,
)


def is_prompt_to_pay(line: str) -> bool:
    """Whether a line asks for a subscription or an account before one can read on.

    >>> is_prompt_to_pay("Already a reader? Log in to continue reading.")
    True
    >>> is_prompt_to_pay("Subscribe to our newsletter")
    False
    """
    if count_words(line) > _MAX_PROMPT_WORDS or _NOT_OF_THE_ARTICLE.search(line):
        return False
    both = _READ_ON.search(line) and _PAY.search(line)
    return bool(both) or _FOR_SUBSCRIBERS.search(line) is not None


def paywall_sign(
    paragraphs: list[str],
    shown: Iterable[str],
    *,
    is_free: bool | None = None,
    stated_words: int = 0,
) -> str | None:
    """What shows that a text is but the beginning that those see who do not pay, if anything.

    The page states that the article is not free, or asks for a subscription, and there is little
    of it. An article that is there in full is one, whoever was meant to read it: one that is not
    short, unless it breaks off, and one that is as long as the page says.

    Args:
        paragraphs: the body that was found.
        shown: the lines of the page that a reader sees, with those of buttons.
        is_free: whether all may read the article, where the page states it.
        stated_words: how many words the page says that its article has; 0 where it does not.
    """
    body = [line for line in paragraphs if not is_prompt_to_pay(line)]
    words = _words(body)
    breaks_off = bool(body and _CUT_OFF.search(body[-1]))
    is_whole = words >= _WHOLE_SHARE * stated_words > 0
    if words >= (_MAX_CUT_TEASER_WORDS if breaks_off else _MAX_TEASER_WORDS):
        return None
    if is_whole or (is_free and not breaks_off):
        return None
    prompts = [line for line in shown if is_prompt_to_pay(line)]
    # The label of a card that leads to another article stands on many of them.
    prompt = next(
        (line for line in prompts if prompts.count(line) == 1 or line in paragraphs), None
    )
    of_it = f"{words} words of it are there"
    if prompt is not None:
        return f"{of_it}, and it says {prompt[:80]!r}"
    return f"{of_it}, and the page states that it is not free" if is_free is False else None


_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def _lines_with_buttons(tree: HtmlElement) -> list[str]:
    """The lines of a page with those of forms and buttons, without what its markup hides."""
    shown = copy.deepcopy(tree)
    for element in list(shown.iter("*")):
        is_hidden = element.get("hidden") is not None or _HIDDEN.search(element.get("style") or "")
        if is_hidden and element.tag not in {"html", "body"} and element.getparent() is not None:
            element.drop_tree()
        elif element.tag in {"button", "form"}:
            element.tag = "div"
    return [line.text for line in text_lines(shown)]


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


# ── what a feed knows ───────────────────────────────────────────────────────────────────────────

_DAY_SECONDS = 86_400
_PERIOD_SECONDS = {
    "year": 366 * _DAY_SECONDS,
    "month": 31 * _DAY_SECONDS,
    "day": _DAY_SECONDS,
    "hour": 3_600,
    "minute": 60,
    "second": 1,
}
"""How long the period is, at most, that a date of each precision states."""

_PRECISIONS = tuple(_PERIOD_SECONDS)
_EAST_SECONDS, _WEST_SECONDS = 14 * 3_600, 8 * 3_600
"""How long before a day of UTC it begins somewhere, and how long after it goes on in the west of
America; what is later yet is rather an update of the next day than the last hours of an island."""

_STATED = frozenset({"json-ld", "meta"})
FIRST_SEEN = "first-seen"


def reconcile_dates(
    stated: PublicationDate | None, fed: PublicationDate | None, seen: PublicationDate | None = None
) -> PublicationDate | None:
    """Tell which of two dates of publication is the surer: the page's or its feed item's.

    1. Where only one of them is known, that.
    2. No item was published more than a day after a poll first listed it: such a date is that of
       a later edition, and gives way to the other.
    3. Where one may lie within the other (a day of which no zone is stated may have begun up to
       14 hours before that of UTC, or end 8 hours after it), they agree: the finer is taken, of
       two that are as fine the page's.
    4. Where they differ, what the page states in its markup for machines (``json-ld``, ``meta``)
       is taken: a feed's later date is often that of an update, and an earlier one of the time
       zone left out. A date in its address is taken where the feed's is later, else the feed's.
       A line of text (``date-line``, ``dateline``, ``relative-day``) may be about anything: the
       feed's is taken.

    Dates in the future of the observation are none: ``parse_metadata_date`` gives none of them.

    Args:
        stated: what the page says.
        fed: what the feed says.
        seen: when a poll first listed the item, for an item of a live feed.
    """
    if stated is None or fed is None:
        return stated or fed
    if seen is not None:
        latest = float(seen.at) + _DAY_SECONDS
        if float(stated.at) > latest >= float(fed.at):
            return fed
        if float(fed.at) > latest >= float(stated.at):
            return stated
    if _agree(stated, fed):
        is_finer = _PRECISIONS.index(fed.precision) > _PRECISIONS.index(stated.precision)
        return fed if is_finer else stated
    if stated.source in _STATED or (stated.source == "url" and fed.at > stated.at):
        return stated
    return fed


def _agree(one: PublicationDate, other: PublicationDate) -> bool:
    """Whether the periods that two dates state overlap, in some time zone where none is stated."""
    (start, end), (other_start, other_end) = _period(one), _period(other)
    return start < other_end and other_start < end


def _period(date: PublicationDate) -> tuple[float, float]:
    """Between which moments a date may lie, in seconds since 1970."""
    start = float(date.at)
    end = start + _PERIOD_SECONDS[date.precision]
    if date.precision in {"year", "month", "day"}:
        return start - _EAST_SECONDS, end + _WEST_SECONDS
    return start, end


def _fed_date(value: str | None, source: str, observed_at: Timestamp) -> PublicationDate | None:
    return parse_metadata_date(value, source, observed_at) if value else None


def _first_seen(item: FeedItem, observed_at: Timestamp) -> PublicationDate | None:
    """When a poll first listed an item; None for an item of a saved feed."""
    return _fed_date(item.first_seen, FIRST_SEEN, observed_at)


def _day_of(date: PublicationDate | None) -> PublicationDate | None:
    """A date by its day alone: that day at 00:00 UTC."""
    if date is None:
        return None
    day_micros = date.at.micros - date.at.micros % (_DAY_SECONDS * 1_000_000)
    return PublicationDate(Timestamp(micros=day_micros), "day", date.source)


def add_feed_item(article: Article, item: FeedItem) -> Article:
    """Fill what a page leaves open with what the feed knows of its item.

    The page is asked first: feeds cut titles, and name the desk for the author. Tags are united.
    The date is that of ``reconcile_dates``; where neither page, feed nor text gives one, an item of
    a live feed is dated by the day on which it was first seen, with the source ``first-seen``. When
    the feed says that the item was changed is a hint. What the subscription says of its items is
    the section where the page names none.
    """
    fed = _fed_fields(article, item)
    added = [Provenance(field, "feed") for field in fed]
    tags = _united(article.tags, item.tags)
    if tags != article.tags:
        fed["tags"] = tags
        added.append(Provenance("tags", "feed"))
    if article.section is None and item.topic_hint:
        fed["section"] = item.topic_hint
        added.append(Provenance("section", "subscription"))
    seen = _first_seen(item, article.observed_at)
    stated = _fed_date(item.published, "feed", article.observed_at)
    published = reconcile_dates(article.published, stated, seen) or _day_of(seen)
    if published is not None and published is not article.published:
        fed["published"] = published
        added.append(Provenance("published", published.source))
    replaced = {"published", "site"} & fed.keys()
    kept = [entry for entry in article.provenance if entry.field not in replaced]
    return dataclasses.replace(
        article,
        guid=item.guid,
        hints=_with_change(article, item),
        provenance=tuple(sorted([*kept, *added], key=lambda entry: entry.field)),
        **fed,  # type: ignore[arg-type]
    )


def _fed_fields(article: Article, item: FeedItem) -> dict[str, object]:
    """What the feed says where the page says nothing."""
    names = [name for name in (article.site, item.feed_title) if name]
    fed: dict[str, object] = {
        "title": item.title,
        "authors": clean_authors(item.authors, names),
        "agency": _agency_of(item),
        "description": item.summary,
        "image_url": item.image_url,
        "declared_language": item.language,
        "rights": item.rights,
        "site": item.feed_title,
    }
    # A host's name only stands in where the page does not name its site.
    open_fields = {"site"} if Provenance("site", "url") in article.provenance else set()
    return {
        field: value
        for field, value in fed.items()
        if value and (field in open_fields or not getattr(article, field))
    }


def _united(tags: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """The tags of one list, then those of another that it does not have in any case."""
    tags = tuple(tags)
    united = {tag.casefold() for tag in tags}
    added = {tag.casefold(): tag for tag in others if tag.casefold() not in united}
    return (*tags, *added.values())


def _agency_of(item: FeedItem) -> str | None:
    return next((agency for name in item.authors if (agency := parse_agency(name))), None)


def _with_change(article: Article, item: FeedItem) -> tuple[DateHint, ...]:
    """The hints of an article with the day on which the feed says that its item was changed."""
    changed = _day_of(_fed_date(item.updated, "feed", article.observed_at))
    if changed is None:
        return article.hints
    hint = DateHint(changed.at.to_rfc3339()[:10], "modified")
    return article.hints if hint in article.hints else (*article.hints, hint)


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
    published = _fed_date(item.published, "feed", page.observed_at)
    if published is None:
        published = _fed_date(url_date(http_url(page.url)), "url", page.observed_at)
    if published is None:
        published = _day_of(_first_seen(item, page.observed_at))
    site = item.feed_title or host_of(http_url(page.url))
    authors = clean_authors(item.authors, [site] if site else [])
    agency = _agency_of(item)
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
