"""Pages before the page, pages instead of it, and beginnings of what must be paid for.

A page's headings, main text and visible lines → what shows that it is no article, or None: a
challenge, a request for consent, an error page (``interstitial_sign``, ``error_sign``), or but the
beginning of an article (``paywall_sign``). Pure, and bounded by its input.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from lxml.html import HtmlElement

from transforms.page_metadata import text_lines
from transforms.prose import (
    MIN_BODY_WORDS,
    count_unspaced,
    count_words,
    is_prose,
    line_key,
    tells_what_was_said,
    words_in,
)

_MAX_INTERSTITIAL_WORDS = 200
_MIN_STORY_WORDS = 60
"""With so many words of prose a page may be an article whose title begins as such a page's does."""

# ── pages before the page ───────────────────────────────────────────────────────────────────────

_INTERSTITIAL_TITLE = re.compile(
    r"^(?:just a moment\b|attention required\b|access (?:to this page )?(?:has been )?denied\b"
    r"|are you (?:a )?(?:human|robot)\b|(?:please )?(?:verify|check|confirm)(?:ing)? (?:that )?you"
    r"(?: are|['’]re) (?:a )?(?:human|not a (?:ro)?bot)|pardon our interruption|security check\b"
    r"|checking your browser|bot (?:verification|check)|human verification|robot check"
    r"|(?:just )?(?:one|a) moment,? please|please wait|request (?:blocked|rejected|denied)"
    r"|you have been blocked|before you continue|cookie consent|ddos[- ]guard"
    r"|(?:please )?(?:disable|turn off|switch off|pause) your ad[- ]?block\w*"
    r"|ad[- ]?block(?:er)? (?:detected|erkannt|détecté|detectado)"
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
ASKS_FOR_SUBSCRIPTION = "it asks for a subscription"
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
        r"|\b(?:un|not )available\b.{0,30}\b(?:visitors|users|readers|europe|european|eu|eea)\b"
        r"|\b(?:our|from) european (?:visitors|users|readers)\b"
        r"|\bto your (?:market|country|region|location)\b"
        r"|\b(?:aus|in) (?:ihrem land|ihrer region) nicht (?:verfügbar|erreichbar)"
        r"|\bpas (?:disponible|accessible) (?:dans|depuis) votre (?:pays|région)"
        r"|\bno (?:está )?disponible en (?:su|tu) (?:país|región)"
        r"|zugriff .{0,40}\b(?:verweigert|gesperrt)|accès .{0,40}\b(?:refusé|interdit|bloqué)"
        r"|acceso .{0,40}\b(?:denegado|bloqueado)|acesso .{0,40}\b(?:negado|bloqueado)"
        r"|accesso .{0,40}\b(?:negato|bloccato)|доступ .{0,40}\b(?:запрещ|огранич|заблок)",
        re.IGNORECASE,
    ),
    "it asks to see advertisements": re.compile(
        r"\b(?:us(?:e|ing)|have|detected|disable|turn(?:ed)? off|switch(?:ed)? off|pause|deactivate"
        r"|whitelist)\b.{0,40}\bad[- ]?block\w*|\bad[- ]?block\w*.{0,40}\b(?:detected|enabled|on"
        r"|active|disable|turn|switch|pause)\b"
        r"|\b(?:disable|turn|switch|pause)\b (?:it|them)\b.{0,20}\b(?:off|for (?:our|this) (?:web)?"
        r"site)\b|\b(?:allow|add|whitelist) (?:our|this) (?:web)?site\b|\ballow ads\b"
        r"|\b(?:ad-?blocker|werbeblocker)\b.{0,60}\b(?:erkannt|deaktivier\w*|aus(?:schalten)?|aktiv)"
        r"|\bbloqueurs? de (?:publicité|pub)\b|\bbloqueador(?:es)? de (?:anuncios|publicidad)"
        r"|\bad-?block(?:er)?\b.{0,40}\b(?:désactiv|desactiv|disattiv|uitschakel|wyłącz|отключ)"
        r"|\b(?:désactiv|desactiv|disattiv|schakel|wyłącz|отключ)\w*.{0,40}\bad-?block"
        r"|\bbloqueador de anúncios|\breclameblok|\badvertentieblok|блокировщик\w* рекламы"
        r"|广告(?:拦截|屏蔽)|廣告攔截|広告ブロック",
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
    ASKS_FOR_SUBSCRIPTION: re.compile(
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
_GATE_SHARE, _TITLED_SHARE, _SENTENCES_SHARE = 0.2, 0.35, 0.5


def interstitial_sign(
    headings: Iterable[str], paragraphs: list[str], visible: str, *, is_gate: bool = False
) -> str | None:
    """What shows that a page stands in front of another (challenge, consent, paywall), if anything.

    Only a page with little text can be one, and none that tells what others said: an article may
    well be about captchas or cookies. But one that asks for consent goes on at length, in sentences
    that address the reader. Of a page with some prose, a title that only begins as a sign does
    ("Access denied: …") is none unless a third of the sentences shows a sign as well.

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
        is_short = words < _MAX_CONSENT_WORDS
        return (
            _sign_of_sentences(body, (_ASKS_FOR_CONSENT,), _SENTENCES_SHARE) if is_short else None
        )
    titles = [heading for heading in headings if _INTERSTITIAL_TITLE.search(heading)]
    is_story = _may_be_story(paragraphs)
    for title in titles:
        if not is_story or _is_all_sign(title):
            return f"its title is {title[:80]!r}"
    if words < MIN_BODY_WORDS and count_words(visible) >= _MAX_INTERSTITIAL_WORDS:
        return None
    text = body if words >= MIN_BODY_WORDS else visible
    least_share = _GATE_SHARE if is_gate else _TITLED_SHARE if titles else _SENTENCES_SHARE
    return _sign_of_sentences(text, tuple(_INTERSTITIAL_SENTENCES), least_share)


def _may_be_story(paragraphs: list[str]) -> bool:
    """Whether a main text has some prose, or with less of it tells what was said."""
    prose = [line for line in paragraphs if is_prose(line)]
    words = words_in(prose)
    tells = any(map(tells_what_was_said, prose))
    return words >= (MIN_BODY_WORDS if tells else _MIN_STORY_WORDS)


def _sign_of_sentences(text: str, signs: tuple[str, ...], least_share: float) -> str | None:
    """The sign that most words show, where those that show any have a share in the text."""
    said, total = _words_of_signs(text, signs)
    if not total or said[_REPORTED] > _MAX_REPORTED_SHARE * total:
        return None
    sign = max(signs, key=lambda key: said[key])
    return sign if said[_OF_ANY] >= least_share * total else None


_MAX_CONSENT_WORDS = 1_000
_OF_ANY, _REPORTED = "any", "reported"
_MAX_REPORTED_SHARE = 0.2
"""A text that tells more of what others said is news, whatever it is about."""

_END_OF_WORD = re.compile(r"^[^\W\d_\u3040-\u9fff]{1,6}(?!\w)")


def _is_all_sign(title: str) -> bool:
    """Whether a title says no more than what is shown before a page: it may name the site."""
    for part in (title, *title.split(" | ")[:1]):
        found = _INTERSTITIAL_TITLE.search(part.strip())
        # Where the sign is the stem of a word, the rest of the word adds nothing.
        if found and not count_words(_END_OF_WORD.sub("", part.strip()[found.end() :])):
            return True
    return False


def _words_of_signs(text: str, signs: tuple[str, ...]) -> tuple[dict[str, int], int]:
    """Words in sentences that show each sign, and any, in those that report, and in all."""
    said = dict.fromkeys((*signs, _OF_ANY, _REPORTED), 0)
    total = 0
    for sentence in _SENTENCE_BREAK.split(text):
        if (words := count_words(sentence)) < 3:
            continue
        total += words
        if tells_what_was_said(sentence):
            said[_REPORTED] += words
            continue
        shown = [sign for sign in signs if _INTERSTITIAL_SENTENCES[sign].search(sentence)]
        for sign in [*shown, *([_OF_ANY] if shown else [])]:
            said[sign] += words
    return said, total


def leads_on(tree: HtmlElement) -> bool:
    """Whether a page reloads or leaves by itself, or keeps out of indexes and asks for an answer.

    The sign is weak: live pages reload as well, and many an article may not be indexed.
    """
    metas = {
        (meta.get("http-equiv") or meta.get("name") or "").lower(): meta.get("content") or ""
        for meta in tree.iter("meta")
    }
    hidden = "noindex" in metas.get("robots", "").lower()
    return "refresh" in metas or (hidden and next(tree.iter("form"), None) is not None)


def visible_text(tree: HtmlElement) -> str:
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
    first sentences; an article that tells of lost pages has more. Of a page with some prose and no
    such sentence, the title must say nothing else; then it may go on with up to 400 words of other
    stories.

    Args:
        headings: the title and the headings of the page.
        paragraphs: the main text that was found in it.
    """
    words = words_in(paragraphs)
    headings = list(headings)
    titles = {line_key(heading) for heading in headings}
    lines = [line for line in paragraphs[:2] if not is_prose(line) and _NOT_THERE.search(line)]
    lines = [line for line in lines if line_key(line) not in titles]
    is_story = _may_be_story(paragraphs) and not lines
    if words < MAX_BEGINNING_WORDS:
        strictly = is_story or words >= _MAX_INTERSTITIAL_WORDS
        for heading in headings:
            if _is_error_title(heading, strictly=strictly):
                return f"its title is {heading[:80]!r}"
    if words < _MAX_ERROR_WORDS and lines:
        return f"it says {lines[0][:80]!r}"
    return None


def _is_error_title(title: str, *, strictly: bool) -> bool:
    """Whether a title says that there is no such page; strictly, whether it says nothing else."""
    if strictly:
        return any(_is_all_error(part.strip()) for part in (title, *_SITE_PART.split(title)))
    for part in (title, *_TITLE_PART.split(title)):
        is_short = count_words(part) <= _MAX_ERROR_TITLE_WORDS
        if is_short and (_ERROR_NUMBER.search(part.strip()) or _NOT_THERE.search(part)):
            return True
    return False


_SITE_PART = re.compile(r"\s+[|–—\-·•»«]+\s+")
_ONLY_ERROR_NUMBER = re.compile(
    r"(?:http )?(?:(?:error|fehler|erreur|errore|erro|fout|feil|fel|błąd|ошибка|hata)\W*)?"
    r"(?:404|410|50[0-2]|504)(?:[\s:–—-]+(?:error|page|file|seite|página|pagina|not|found|gone"
    r"|fehler|erreur|internal|server|bad|gateway|timeout))*\W*",
    re.IGNORECASE,
)
_LEAD_OF_ERROR = re.compile(r"^(?:(?:sorry|oops|leider|désolé|lo sentimos)\W+)?\w{0,5}\s*$", re.I)
_MAX_BARE_ERROR_WORDS = 5
_TO_THE_READER = re.compile(
    r"\b(?:you|sie|du|vous|tu|busc\w+|solicit\w+|procur\w+|cerc\w+|hai|u|je|letar|leter|szukasz"
    r"|вы|ви)\b",
    re.IGNORECASE,
)


def _is_all_error(part: str) -> bool:
    """Whether a part of a title is the sign of an error, with no word of what else is missing."""
    if _ONLY_ERROR_NUMBER.fullmatch(part):
        return True
    found = _NOT_THERE.search(part)
    if not found or re.search(r"[\d?]", part) or count_words(part) > _MAX_ERROR_TITLE_WORDS:
        return False
    is_bare = count_words(found[0]) <= _MAX_BARE_ERROR_WORDS or _TO_THE_READER.search(found[0])
    is_lead = _LEAD_OF_ERROR.match(part[: found.start()])
    return bool(is_bare and is_lead and not count_words(_END_OF_WORD.sub("", part[found.end() :])))


# ── paywalls ────────────────────────────────────────────────────────────────────────────────────

_MAX_TEASER_WORDS = 150
MAX_BEGINNING_WORDS = 400
"""A longer text is an article, whatever the page says of itself."""

_LINES_AFTER_BODY = 4
_LINES_BETWEEN = 2
"""How far from each other the two lines of a prompt may stand."""

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
_TO_CONTINUE = re.compile(
    r"(?:^|[.!?] )\W*to (?:continue|go on|keep going|proceed)(?: \w+)?,? (?:please |just )?"
    r"(?:subscribe|sign (?:in|up)|log ?in|register|become a(?:n)? (?:\w+ )?(?:member|subscriber))\b"
    r"|^.{0,24}\b(?:subscribe|register|sign (?:in|up)|log ?in)(?: now)? to continue\W*$"
    r"|^um fortzufahren\b.{0,40}\b(?:abonnier|anmeld|melden sie|registrier)",
    re.IGNORECASE,
)
_CALL_TO_PAY = re.compile(
    r"^\W*(?:(?:please|now|today|jetzt|gleich|hier)\s+)?(?:subscribe|become a(?:n)? (?:\w+ )?"
    r"(?:member|subscriber)|start your (?:\w+ ){0,2}(?:trial|subscription)|choose (?:a|your) plan"
    r"|abonnieren|abo (?:abschließen|testen)|(?:\w*-?)?plus (?:testen|abonnieren)"
    r"|freischalten"
    r"|abonnez-vous|s['’]abonner|je m['’]abonne|suscr[ií]bete|suscribirse|assine|abbonati"
    r"|word (?:lid|abonnee)|neem een abonnement|bli abonnent|bli prenumerant|kjøp abonnement"
    r"|subskrybuj|wykup|подписаться|оформ\w+ подписку|abone ol|購読する|订阅|訂閱|구독)\w*\b"
    r"|\b(?:unlimited|full|digital) (?:digital )?access\b"
    r"|\bwith (?:a|your|our) (?:\w+ )?subscription\b|\bmit (?:\w+ )?(?:\w*-?abo|plus)\b"
    r"|\bavec (?:un|votre|notre) abonnement\b|\bcon (?:una|tu|su) suscripción\b"
    r"|\bunbegrenzte[rn]? zugang\b"
    r"|\baccès illimité\b|\bacceso ilimitado\b|\bacesso ilimitado\b|\baccesso illimitato\b",
    re.IGNORECASE,
)
_NOT_OF_THE_ARTICLE = re.compile(
    r"newsletter|\barchives?\b|\binbox\b|\balerts?\b|notification|\brss\b|podcast|whatsapp"
    r"|telegram|youtube|\bcomment(?:s|ed|ing)?\b|\bdiscussions?\b|\boffline\b|\bbookmark"
    r"|\bsave\b(?! \d| up to)|\b(?:read|reading) (?:it )?later\b|\bkommentar\w*|\bmerkliste\b"
    r"|\bcommentaires?\b|\bcomentar\w*|\bcommenti\b|\breacties?\b|\bkommentti|\bkomentar\w*"
    r"|комментар\w*|コメント|评论|評論|댓글",
    re.IGNORECASE,
)
_OF_OTHERS = re.compile(
    r"\b(?:readers|users|customers|visitors|they|leser\w*|nutzer\w*|kunden|lecteurs|utilisateurs"
    r"|lectores|usuarios|leitores|usuários|lettori|utenti|lezers|gebruikers)\b.{0,30}"
    r"\b(?:must|will|would|had to|have to|müssen|sollen|mussten|doivent|devront|deberán|tendrán"
    r"|deverão|terão|dovranno|moeten)\b",
    re.IGNORECASE,
)
_MIN_ADDRESSED_WORDS = 20
_TO_ONE = re.compile(
    r"\b(?:you|your|we|our|please|sie|ihre?[mnrs]?|wir|unser\w*|du|dein\w*|bitte|vous|votre|vos|nous"
    r"|nos|notre|tu|tus|su|sus|usted|nuestr\w+|você|seu|sua|noss\w+|tuo|tua|ti|nostr\w+|je|jouw|uw|wij"
    r"|onze|du|din|ditt|dig|vi|vår\w*|sinu\w*|ty|twoj\w*|państw\w*|nasz\w*|váš|vaš\w*|náš|вы|вам|ваш\w*"
    r"|нас|наш\w*|siz\w*|sen\w*|anda|kami|bạn|chúng tôi|σας|μας|ön|az ön)\b"
    r"|[\u0600-\u06ff\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]",
    re.IGNORECASE,
)
"""A long sentence that asks the reader for something speaks to somebody, or for somebody; of the
scripts in which pronouns are left out or joined to words, any will do."""

_OTHER_OFFER = re.compile(
    r"\bchannels?\b|\bkanal\b|\bchaîne\b|\bcanal\b|\blettre\b|\be-?mails?\b|facebook|instagram"
    r"|tiktok|\b(?:our|unser\w*|notre|nuestr[oa]) (?:\w+ )?(?:brief\w*|feed|magazin\w*)\b",
    re.IGNORECASE,
)


def is_prompt_to_pay(line: str) -> bool:
    """Whether a line asks for a subscription or an account before one can read on.

    What tells of somebody who said so is none, nor what is about comments or reading offline.

    >>> is_prompt_to_pay("Already a reader? Log in to continue reading.")
    True
    >>> is_prompt_to_pay("Subscribe to our newsletter")
    False
    """
    words = count_words(line)
    is_addressed = words < _MIN_ADDRESSED_WORDS or _TO_ONE.search(line) is not None
    if not (is_addressed and _may_be_prompt(line)):
        return False
    both = _READ_ON.search(line) and _PAY.search(line)
    return bool(both or _FOR_SUBSCRIBERS.search(line) or _TO_CONTINUE.search(line))


def _may_be_prompt(line: str) -> bool:
    return (
        count_words(line) <= _MAX_PROMPT_WORDS
        and not _NOT_OF_THE_ARTICLE.search(line)
        and not _OF_OTHERS.search(line)
        and not tells_what_was_said(line)
    )


def _calls_to_pay(line: str) -> bool:
    return _CALL_TO_PAY.search(line) is not None and not _OTHER_OFFER.search(line)


def paywall_sign(
    paragraphs: list[str],
    shown: Iterable[str],
    *,
    is_free: bool | None = None,
    stated_words: int = 0,
) -> str | None:
    """What shows that a text is but the beginning that those see who do not pay, if anything.

    The page states that the article is not free, or asks for a subscription, and there is little
    of it: less than 150 words; or less than 400 where the text breaks off, where a prompt to pay
    stands right below it, where a prompt further below and the page's statement agree, or where the
    page shows fewer words than it states. An article that is there in full is one, whoever was
    meant to read it: one that is not short, and one that is as long as the page says.

    Args:
        paragraphs: the body that was found.
        shown: the lines of the page that a reader sees, with those of buttons.
        is_free: whether all may read the article, where the page states it.
        stated_words: how many words the page says that its article has; 0 where it does not.
    """
    body = _without_prompts(paragraphs)
    words, lines = words_in(body), list(shown)
    breaks_off = bool(body and _CUT_OFF.search(body[-1]))
    if words >= MAX_BEGINNING_WORDS or _is_whole(body, words, stated_words):
        return None
    if is_free and not breaks_off:
        return None
    below = _lines_below(body, lines)
    prompt_below = _prompt_below(below, breaks_off=breaks_off)
    prompt = prompt_below or _prompt_outside(paragraphs[len(body) :], body, lines)
    if prompt is None and is_free is not False:
        return None
    is_marked = (
        breaks_off
        or prompt_below is not None
        or (is_free is False and _follows(prompt, below))
        or _shown_words(lines) < _WHOLE_SHARE * stated_words
    )
    if words >= _MAX_TEASER_WORDS and not is_marked:
        return None
    of_it = f"{words} words of it are there"
    if stated_words:
        of_it = f"{words} of the {stated_words} words that the page states are there"
    if prompt is None:
        return f"{of_it}, and the page states that it is not free"
    return f"{of_it}, and it says {prompt[:80]!r}"


def _without_prompts(paragraphs: list[str]) -> list[str]:
    """A body without the prompts to pay below its last prose, and what follows them.

    A line that prose follows is part of what is told, whatever it is about.
    """
    prompts = [_is_of_prompt(line) for line in paragraphs]
    prose = (n for n, line in enumerate(paragraphs) if is_prose(line) and not prompts[n])
    last = max(prose, default=-1)
    first = next((n for n in range(last + 1, len(paragraphs)) if prompts[n]), len(paragraphs))
    return paragraphs[:first]


def _is_of_prompt(line: str) -> bool:
    """Whether a line is a prompt to pay, or the part of one that stands in a line of its own."""
    if is_prompt_to_pay(line):
        return True
    is_part = _calls_to_pay(line) or _READ_ON.search(line) is not None
    return is_part and not is_prose(line) and _may_be_prompt(line)


def _shown_words(lines: list[str]) -> int:
    """Number of words, or of unspaced characters, in the prose of a page."""
    prose = [line for line in lines if is_prose(line)]
    return max(words_in(prose), count_unspaced(prose))


def _follows(prompt: str | None, below: list[str]) -> bool:
    """Whether a prompt follows a body, and not the rest of it, which was not taken for body."""
    if prompt is None or prompt not in below:
        return False
    between = below[: below.index(prompt)]
    return words_in(filter(is_prose, between)) < _MIN_STORY_WORDS


def _is_whole(body: list[str], words: int, stated_words: int) -> bool:
    """Whether a text has nearly all the words that the page states: or characters, if unspaced."""
    most = max(words, count_unspaced(body))
    return most >= _WHOLE_SHARE * stated_words > 0


def _lines_below(body: list[str], shown: list[str]) -> list[str]:
    """The lines of a page below its body."""
    last = line_key(body[-1]) if body else ""
    if not last:
        return []
    at = None
    for number, line in enumerate(map(line_key, shown)):
        if line == last or (len(last) >= _MIN_PART_CHARS and last in line):
            at = number
    return [] if at is None else shown[at + 1 :]


def _prompt_below(below: list[str], *, breaks_off: bool) -> str | None:
    """A prompt to pay right below a body: in a line, or in one to read on and another to pay."""
    below = [line for line in below if _may_be_prompt(line)]
    for line in below[:_LINES_AFTER_BODY]:
        if is_prompt_to_pay(line) and not _is_label_of_cards(line, below.count(line)):
            return line
    below = below[:_LINES_AFTER_BODY]
    for at, line in enumerate(below):
        beside = [*below[max(0, at - _LINES_BETWEEN) : at], *below[at + 1 :][:_LINES_BETWEEN]]
        if _calls_to_pay(line) and (breaks_off or any(map(_READ_ON.search, beside))):
            return line
    return None


def _prompt_outside(tail: list[str], body: list[str], shown: list[str]) -> str | None:
    """A prompt to pay at the end of a main text, or in a line of the page that is none of it."""
    for line in tail:
        if is_prompt_to_pay(line) and not _may_be_label(line):
            return line
    keys = {line_key(line) for line in body}
    prompts = [line for line in shown if is_prompt_to_pay(line) and line_key(line) not in keys]
    counts = Counter(prompts)
    return next((line for line in prompts if not _is_label_of_cards(line, counts[line])), None)


def _is_label_of_cards(prompt: str, count: int) -> bool:
    """Whether a line stands on a page as often as the label of a card for another article.

    A call to subscribe may stand above its button and on it.
    """
    return count > (1 if _may_be_label(prompt) else _MAX_SAME_CALLS)


def _may_be_label(prompt: str) -> bool:
    """Whether a prompt says of no certain article, and to nobody, whom it is for."""
    return _FOR_SUBSCRIBERS.search(prompt) is not None and not _THIS_ONE.search(prompt)


_THIS_ONE = re.compile(
    r"\b(?:this|you|your|diese[rs]?|sie|vous|cet|ce|este|esta|esse|você|quest[oa]|dit|u|je|denne|detta"
    r"|den här|tego|ten|tento|эт\w+)\b|この|本記事|本文|这|這",
    re.IGNORECASE,
)
_MAX_SAME_CALLS = 2
_MIN_PART_CHARS = 40
"""A shorter line may be a part of another by chance."""

_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_BESIDE = frozenset({"aside", "footer", "nav"})
_WITHIN = frozenset({"article", "main"})


def lines_with_buttons(tree: HtmlElement) -> list[str]:
    """The lines of a page with those of forms and buttons, without what its markup hides.

    Where it marks its article or main part, what it has beside that is about other things.
    """
    shown = copy.deepcopy(tree)
    is_marked = next(shown.iter(*_WITHIN), None) is not None
    for element in list(shown.iter("*")):
        is_hidden = element.get("hidden") is not None or _HIDDEN.search(element.get("style") or "")
        is_beside = is_marked and element.tag in _BESIDE and _stands_alone(element)
        is_inner = element.tag not in {"html", "body"} and element.getparent() is not None
        if is_inner and (is_hidden or is_beside):
            element.drop_tree()
        elif element.tag in {"button", "form"}:
            element.tag = "div"
    return [line.text for line in text_lines(shown)]


def _stands_alone(element: HtmlElement) -> bool:
    """Whether an element neither holds the article of its page nor is a part of it."""
    is_part = any(parent.tag in _WITHIN for parent in element.iterancestors())
    return not is_part and next(element.iter(*_WITHIN), None) is None
