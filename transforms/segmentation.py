"""Find the articles in a text dump, keep their bodies and read what stands around them.

Input is one page as plain text, as a browser's "select all" or a naive converter leaves it: one
article or several, among navigation, captions (often twice), widgets, notices and lists of
links. Output is one ``Article`` for each story, or one ``Failure`` where there is none.

The rules look at the shape of lines, their repetition and their neighbours, and at the language
of bylines and notices; none knows a site. In four steps:

1. every line gets a kind (prose, short, caption, date line, notice …) and a score;
2. runs of lines whose score adds up are stretches of body text (a maximal scoring subsequence
   with a bounded drop, found in one pass);
3. stretches are joined into stories: a new one begins where a headline stands;
4. within a story, the lines that belong to the body are kept and the rest read for metadata.

All steps take time linear in the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import version
from itertools import pairwise

from schemas.records import Article, Extraction, Failure, Page, Provenance
from transforms.bylines import (
    Byline,
    Dateline,
    is_desk_signature,
    is_photo_credit,
    parse_agency,
    parse_byline,
    parse_dateline,
    parse_reporting_credit,
)
from transforms.dates import DateLine, DatelineDay, date_article, parse_date_line

MAX_PAYLOAD_BYTES = 64 * 1024
"""So much of a rejected text is kept in its failure."""

MIN_BODY_WORDS = 30
"""Less prose than this is no article."""

MIN_SECOND_BODY_WORDS = 80
"""A second story needs so much prose: less is a teaser."""

MIN_SECOND_PARAGRAPHS = 3
"""And so many paragraphs of it."""


class Kind(Enum):
    """What a line is by its own shape and its repetition."""

    PROSE = "prose"
    SHORT = "short"
    CRUMB = "crumb"
    CAPTION = "caption"
    CREDIT = "credit"
    NOTICE = "notice"
    LINK_HEADING = "link-heading"
    DESK = "desk"


@dataclass(slots=True)
class _Line:
    """A line that is not empty, with what is known of it."""

    text: str
    folded: str
    words: int
    line: int
    """Its number among the lines that are not empty."""
    blanks: int
    """Empty lines before it."""
    group: int
    """Number of the block of lines without an empty one between them."""
    kind: Kind = Kind.SHORT
    copies: int = 1
    """How often the same text stands in the dump."""
    loose: bool = False
    """Whether it stands in the dump three times or more, each time in other company: a slogan or
    a banner is repeated so, while a story printed again brings its neighbours along."""
    weak: bool = False
    """Whether it is prose that might be a headline: one short sentence without a full stop."""
    shorts_in_group: int = 0
    """How many lines of its block are no prose: a menu has many."""


@dataclass
class _Stretch:
    """Lines ``start`` to ``end`` (exclusive) that are mostly body text."""

    start: int
    end: int
    words: int = 0
    paragraphs: int = 0


@dataclass
class _Story:
    """The stretches of one story, and where the lines about it begin."""

    first: int
    stretches: list[_Stretch]
    terms: Counter[str]
    headline: int | None = None
    parted: bool = False
    """Whether a headline or a break, not only a notice or a gap, parts it from the one before."""

    def add(self, stretch: _Stretch, terms: Counter[str]) -> None:
        """Go on with a further stretch."""
        self.stretches.append(stretch)
        if self.terms.total() < _MAX_TERMS:
            self.terms += terms

    @property
    def words(self) -> int:
        return sum(stretch.words for stretch in self.stretches)


@dataclass
class _Matter:
    """What the lines around a body say of it."""

    title: str | None = None
    description: str | None = None
    authors: list[str] = field(default_factory=list)
    agency: str | None = None
    place: str | None = None
    site: str | None = None
    rights: str | None = None
    date_lines: list[DateLine] = field(default_factory=list)
    days: list[DatelineDay] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, source: str) -> None:
        """Remember where a field's value comes from; the first source stands."""
        self.provenance.setdefault(name, source)


# ── lines ────────────────────────────────────────────────────────────────────────────────────────

# Scripts written without spaces: their characters are counted instead, by the mean length of a
# word (Chinese and Japanese about two, Thai, Lao, Khmer and Burmese about five).
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")

_SENTENCE_END = re.compile(r"[.!?…。！？｡।॥؟۔።၊။:](?:\s?[\"'”’»)\]」』›]){0,3}$")
_CLOSING_QUOTE = re.compile(r"[\"”»」』]$")
_INNER_END = re.compile(r"(?:[^\W\d_]{2}[.!?…।؟۔።][\"'”’»)]{0,2}\s|[。！？၊။].)")
_FULL_STOP = re.compile(r"[.。।۔።။](?:\s?[\"'”’»)\]」』›]){0,3}$")
_MAX_WEAK_WORDS = 22
_MAX_HEADLINE_WORDS = 25
_LINE_BREAK = re.compile(r"\r\n|[\n\r\f\v\u2028\u2029]")
_LETTERS = re.compile(r"[^\W\d_]")

_MIN_PROSE_WORDS = 6
_MIN_OPEN_PROSE_WORDS = 25
"""A line so long is prose even where it ends in no full stop."""

_CRUMB_WORDS = (
    r"advertisements?|advert|ads?|annonce|annons|anzeige|werbung|publicidad|publicidade|pubblicità"
    r"|publicité|реклама|reklam\w*|広告|广告|廣告|إعلان|إعلانات|iklan|विज्ञापन|quảng cáo"
    r"|sponsored(?: content)?|promoted(?: content)?|story continues below(?: \w+){0,2}"
    r"|(?:share|teilen|partager|compartir|compartilhar|condividi|delen|del|dela|udostępnij|paylaş"
    r"|поделиться|поділитися|分享|シェア|공유|شارك|مشاركة|bagikan|chia sẻ)"
    r"(?: (?:this|on|via|to|with|the|article|story|post|artikel|artikkel|facebook|twitter|x"
    r"|whatsapp|email|sur|en|auf|link)){0,5}"
    r"|(?:follow|like|find|join)(?: us)?(?: (?:on|in|at|to|our|the|facebook|twitter|x|instagram"
    r"|whatsapp|channel|telegram|google|news)){0,6}"
    r"|facebook|twitter|x|whats?app|telegram|instagram|linkedin|youtube|pinterest|reddit|tumblr"
    r"|threads|bluesky|tiktok|flipboard|rss|messenger|viber|line|vk|e-?mail|mail|print|drucken"
    r"|imprimer|imprimir|copy(?: link)?(?: copied)?|link kopiert!?|copier le lien|copiar enlace"
    r"|comments?(?: \(?\d+\)?)?|\d+ comments?|kommentare?|commentaires?|comentarios|comentários"
    r"|leave a comment|subscribe(?: now)?|sign (?:up|in)|log ?in|login|register|anmelden|abonnieren"
    r"|s['’]abonner|suscríbete|assine|подписаться|subscribe to our newsletters?|newsletters?"
    r"|read (?:more|less|full (?:story|article))|show (?:more|less|all)|see (?:more|all)|load more"
    r"|view (?:more|all|gallery)|learn more|les mer|vis mer|mehr(?: lesen)?|weiterlesen"
    r"|mehr anzeigen|lire plus|lire la suite|leer más|ver más|leia mais|ler mais|ver mais"
    r"|leggi tutto|lees meer|läs mer|подробнее|читать далее|もっと見る|查看更多|더보기|devamını oku"
    r"|open in app|download(?: the)?(?: our)? app|back to top|skip to (?:main )?content|menu|search"
    r"|close|home|next|previous|prev|gallery|enlarge(?: image)?|click to enlarge|bild vergrößern"
    r"|play(?: video)?|watch(?: (?:now|video|live))?|video|audio|listen(?: to (?:this )?article)?"
    r"|live|loading(?:\.{3}|…)?|save|bookmark|gift (?:this )?article|tags?:?|topics?:?|themen:?"
    r"|tt|aa|a[+-]|font size|text size|\d+ (?:shares?|views?|min(?:ute)?s?(?: read)?)"
    r"|(?:reading time|lesezeit|tempo de leitura|temps de lecture):?(?: \d+ \w+)?"
)
_CRUMB = re.compile(rf"^(?:{_CRUMB_WORDS})[.:!…›»]?$", re.IGNORECASE)

_LINK_HEADING_WORDS = (
    r"(?:also|further|recommended) read(?:ing|s)?|read (?:also|next|this next|more(?: (?:on"
    r"|about|from)"
    r"\b.*)?)|more (?:from|on|in|about|stories|news|like this|to explore)\b.*|related\b.*"
    r"|(?:most|top) (?:read|popular|viewed|commented|searched|shared|stories|news|picks"
    r"|headlines)\b.*"
    r"|editor['’s]{0,2} (?:picks?|choice)|(?:our|staff) picks|latest\b.*|trending\b.*|popular\b.*"
    r"|recommended\b.*|recent (?:posts|articles|news|stories|comments)|(?:you )?(?:may|might) also"
    r" (?:like|be interested in|enjoy)|you['’]?ll also like|what to read next|up next|next up"
    r"|don['’]t miss|in case you missed it|around the web|from (?:the|our) (?:web|partners|archive)"
    r"|in this (?:story|article|section)|see also|sponsored(?: links| stories)?|promoted stories"
    r"|partner content|news in pictures|today['’]s (?:paper|headlines|top stories)"
    r"|leave a (?:reply|comment)|join the (?:conversation|discussion)|comments? \(\d+\)|about the"
    r" authors?|.{0,20}news coverage"
    r"|lest auch|lesen sie (?:auch|mehr).{0,20}|mehr (?:zum thema|aus|von|dazu)\b.*"
    r"|auch interessant"
    r"|meistgelesen\w*|verwandte artikel|(?:weitere|ähnliche|aktuelle) (?:artikel|themen|news"
    r"|meldungen"
    r"|nachrichten)|empfehlungen|das könnte (?:sie|dich) auch interessieren|zum thema"
    r"|(?:à )?lire (?:aussi|également)\b.*|sur le même (?:sujet|thème)|(?:les )?plus (?:lus|de)\b.*"
    r"|articles (?:liés|similaires|recommandés)|dans la même rubrique|voir aussi"
    r"|(?:lea|lee|leer|ver|vea|mira) (?:también|además)\b.*|noticias? relacionadas?"
    r"|lo más (?:leído|visto)\b.*"
    r"|te puede interesar|últimas noticias|más (?:noticias|temas|información|sobre|en)\b.*"
    r"|(?:leia|veja|confira|saiba) (?:também|mais)\b.*|notícias relacionadas|mais (?:lidas"
    r"|notícias|sobre)\b.*"
    r"|relacionad[ao]s|leggi anche|(?:potrebbe|ti potrebbe) interessar\w*.*|articoli correlati"
    r"|lees ook|meer (?:over|nieuws|van)\b.*|gerelateerd\w*|meest gelezen|les også|läs (?:också"
    r"|även|mer)\b.*"
    r"|læs også|mer om\b.*|flere (?:saker|nyheter)|lue myös|lisää aiheesta|czytaj (?:też|także"
    r"|również)\b.*"
    r"|zobacz (?:też|także|również)\b.*|czytejte (?:také|též)|související(?: články)?"
    r"|přečtěte si také"
    r"|kapcsolódó\b.*|olvasta már\??|citește și|(?:știri|articole) similare|прочетете (?:още|и)\b.*"
    r"|читайте (?:также|також|ещё|далі)\b.*|(?:материалы |новости )?по теме|(?:последние"
    r"|главные) новости"
    r"|похожие (?:статьи|новости)|популярное|самое читаемое|διαβάστε (?:επίσης|ακόμα)|σχετικά\b.*"
    r"|ilgili (?:haberler|konular)|(?:son dakika|çok okunanlar|bunlar da ilginizi çekebilir)"
    r"|baca juga|berita terkait|artikel terkait|terpopuler|berita (?:terkini|lainnya)|xem thêm"
    r"|tin liên quan"
    r"|đọc thêm|関連(?:記事|ニュース|リンク)|おすすめ(?:記事)?|人気記事|ランキング"
    r"|相关(?:新闻|阅读|文章|链接)"
    r"|相關(?:新聞|文章|報導)|延伸閱讀|推荐阅读|热门\S{0,6}"
    r"|관련\s?(?:기사|뉴스)|인기\s?기사|많이 본 뉴스"
    r"|اقرأ (?:أيضا|أيضاً|المزيد)|مواضيع ذات صلة|(?:أخبار|مقالات) ذات صلة|الأكثر قراءة|מומלצים"
    r"|بیشتر بخوانید|اخبار مرتبط|यह भी पढ़ें|ये भी पढ़ें|संबंधित खबरें|আরও পড়ুন|soma zaidi"
    r"|soma pia"
)
_LINK_HEADING = re.compile(rf"^\W{{0,3}}(?:{_LINK_HEADING_WORDS})[:.…›»>]?$", re.IGNORECASE)
_LINK_LINE = re.compile(
    r"^\W{0,3}(?:also read|read (?:also|more|next|here)|related(?: (?:article|story|stories))?"
    r"|see also"
    r"|watch|lesen sie auch|lest auch|mehr dazu|lire aussi|à lire aussi|lea también|lee también"
    r"|leia também|leia mais|veja também|leggi anche|lees ook|les også|läs också|läs mer|læs også"
    r"|lue myös|czytaj (?:też|także|również)|zobacz (?:też|także)|čtěte také|читайте также"
    r"|читайте також|ilgili haber|baca juga|xem thêm|اقرأ أيضا|اقرأ أيضاً|यह भी पढ़ें|আরও পড়ুন"
    r"|関連記事)"
    r"\s*[:：|–—›»-]\s*\S",
    re.IGNORECASE,
)
_MAX_LINK_HEADING_WORDS = 8

_NOTICE = re.compile(
    r"©|\(c\) ?(?:19|20)\d\d|\bcopyright\b(?! (?:law|infring|claim|case|holder|act\b|protect|suit))"
    r"|all rights? reserved|alle rechte vorbehalten|tous droits réservés|(?:todos los"
    r"|reservados todos"
    r" los) derechos(?: reservados)?|todos os direitos reservados|tutti i diritti riservati"
    r"|diritti riservati|alle rechten voorbehouden|все права защищены|всі права захищені"
    r"|wszelkie prawa zastrzeżone|všechna práva vyhrazena|minden jog fenntartva"
    r"|tüm hakları saklıdır"
    r"|hak cipta|جميع الحقوق محفوظة|版权所有|版權所有|無断転載|무단\s?전재|सर्वाधिकार सुरक्षित"
    r"|may not be (?:reproduced|published|broadcast|copied|republished|redistributed)"
    r"|without (?:the )?(?:prior )?(?:express )?(?:written )?(?:consent|permission)\b"
    r"|(?:we|this (?:web)?site|site|our partners) uses? (?:\w+ )?cookies|cookie (?:policy|settings"
    r"|preferences)|accept (?:all )?cookies|(?:verwendet|nutzen|verwenden) cookies"
    r"|cookies? (?:zu|para"
    r"|pour|et|und) |utilis\w+ (?:des|les) cookies|usamos cookies|utiliza\w* cookies"
    r"|utilizz\w+ (?:i )?cookie|privacy (?:policy|notice|statement)|terms (?:of (?:use|service)"
    r"|(?:&|and) conditions)|datenschutz(?:erklärung|hinweise)|politique de confidentialité"
    r"|política de privaci?dad|política de privacidade|informativa sulla privacy"
    r"|политик\w+ конфиденциальности|protected by recaptcha|your (?:email|e-mail) address will not"
    r"|required fields are marked|(?:sign|signed) up (?:to|for) (?:our|the|receive|get)\b"
    r"|subscribe to (?:our|the|receive|get|continue)\b|(?:enter|submit) your e-?mail"
    r"|enable javascript|javascript (?:is|to be) (?:disabled|enabled)",
    re.IGNORECASE,
)
_RIGHTS = re.compile(
    r"©|\(c\) ?(?:19|20)\d\d|copyright|rights? reserved|rechte|droits|derechos|direitos|diritti"
    r"|rechten|права|prawa|práva|jog fenntartva|hakları|الحقوق|版权|版權|may not be reproduced",
    re.IGNORECASE,
)
_MAX_NOTICE_CHARS = 1_500

_END_CREDIT = re.compile(r"[(（\[]([^()（）\[\]]{2,80})[)）\]]\.?$")
_CREDIT_WORDS = re.compile(
    r"\b(?:photos?|foto|fotos|images?|picture|file|handout|courtesy|getty|shutterstock|alamy"
    r"|wikimedia"
    r"|via|archiv|archivbild|illustration|credit|reuters|afp|ap|epa|dpa)\b|фото|صورة|写真|图",
    re.IGNORECASE,
)
_PHOTO_TAIL = re.compile(
    r"(?:(?:[.!?)”\"]|\s[-–—|/]|\|)\s*(?:photo(?:graph)?s?|fotos?|images?|picture|credits?|bild"
    r"|фото"
    r"|crédit(?:o|s)?|imagem|imagen|source|quelle|fuente)\s*(?:by|credit|:|©|/|\|)\s*.{2,60}"
    r"|(?:/\s?|\bvia\s)?(?:getty images|shutterstock|istock|alamy|wikimedia commons"
    r"|picture alliance"
    r"|imago images|unsplash)\S{0,20})\.?$",
    re.IGNORECASE,
)
_MAX_CAPTION_WORDS = 90


def _word_count(text: str) -> int:
    words = len(text.split())
    if text.isascii():
        return words
    ideographs = len(_IDEOGRAPHS.findall(text))
    unspaced = len(_UNSPACED.findall(text))
    return max(words, ideographs // 2 + unspaced // 5)


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())


_MAX_COPIES = 2


def _lines(text: str) -> list[_Line]:
    """The lines of a text that are not empty, with kinds, copies and blocks."""
    lines: list[_Line] = []
    group = 0
    blanks = 0
    for raw in _LINE_BREAK.split(text):
        stripped = raw.strip(" \t\u00a0\u200b\ufeff")
        if not stripped:
            blanks += 1
            continue
        group += blanks > 0
        folded, words = _fold(stripped), _word_count(stripped)
        lines.append(_Line(stripped, folded, words, len(lines), blanks, group))
        blanks = 0
    copies = Counter(line.folded for line in lines)
    pairs = Counter((one.folded, two.folded) for one, two in pairwise(lines))
    doubled = _doubled(lines)
    shorts: Counter[int] = Counter()
    for line in lines:
        line.copies = copies[line.folded]
        line.kind = Kind.CAPTION if line.folded in doubled else _kind(line)
        line.weak = line.kind is Kind.PROSE and _is_weak(line)
        if line.copies > _MAX_COPIES:
            near = lines[max(0, line.line - 1) : line.line + 2]
            company = max(pairs[one.folded, two.folded] for one, two in pairwise(near))
            line.loose = company < line.copies
        shorts[line.group] += line.kind is not Kind.PROSE
    for line in lines:
        line.shorts_in_group = shorts[line.group]
    return lines


def _doubled(lines: Sequence[_Line]) -> set[str]:
    """Texts printed twice in a row, as captions are: once for the eye, once for the reader."""
    found: set[str] = set()
    for one, two in pairwise(lines):
        if one.folded == two.folded and 3 <= one.words <= _MAX_CAPTION_WORDS:
            closed = one.words >= _MIN_PROSE_WORDS and (
                _SENTENCE_END.search(one.text) or one.text[-1] in ")）]"
            )
            if closed or one.words > _MAX_HEADLINE_WORDS:
                found.add(one.folded)
    return found


def _kind(line: _Line) -> Kind:
    """The first kind whose test a line passes."""
    return next((kind for kind, test in _TESTS if test(line)), Kind.SHORT)


def _is_crumb(line: _Line) -> bool:
    text = line.text
    if line.words <= 12 and (
        len(text) <= 2 or not _LETTERS.search(text) or _CRUMB.match(text) is not None
    ):
        return True
    return line.words <= 40 and _LINK_LINE.match(text) is not None


def _is_notice(line: _Line) -> bool:
    return len(line.text) <= _MAX_NOTICE_CHARS and _NOTICE.search(line.text) is not None


def _is_link_heading(line: _Line) -> bool:
    return line.words <= _MAX_LINK_HEADING_WORDS and _LINK_HEADING.match(line.text) is not None


def _is_caption(text: str) -> bool:
    credit = _END_CREDIT.search(text)
    if credit and len(text) > len(credit[0]) + 12:
        inside = credit[1]
        if parse_agency(inside) or (_CREDIT_WORDS.search(inside) and len(inside.split()) <= 9):
            return True
    return _PHOTO_TAIL.search(text[-120:]) is not None


def _is_prose(line: _Line) -> bool:
    if line.words >= _MIN_OPEN_PROSE_WORDS:
        return True
    if line.words >= _MIN_PROSE_WORDS and _SENTENCE_END.search(line.text):
        return True
    if line.words >= 12 and (_CLOSING_QUOTE.search(line.text) or _INNER_END.search(line.text)):
        return True
    return line.words >= 3 and line.text[-1] in ".。।۔" and line.text[0] in '“"«„—–-'


_TESTS: tuple[tuple[Kind, Callable[[_Line], bool]], ...] = (
    (Kind.CRUMB, _is_crumb),
    (Kind.DESK, lambda line: line.words == 1 and is_desk_signature(line.text)),
    (Kind.LINK_HEADING, _is_link_heading),
    (Kind.NOTICE, _is_notice),
    (Kind.CREDIT, lambda line: line.words <= 25 and is_photo_credit(line.text)),
    (Kind.CAPTION, lambda line: line.words <= _MAX_CAPTION_WORDS and _is_caption(line.text)),
    (Kind.PROSE, _is_prose),
)


def _is_weak(line: _Line) -> bool:
    return (
        line.words <= _MAX_WEAK_WORDS
        and not _FULL_STOP.search(line.text)
        and not _INNER_END.search(line.text)
    )


# ── stretches of body ────────────────────────────────────────────────────────────────────────────

_MAX_LINE_SCORE = 40
_SCORES = {
    Kind.SHORT: -3,
    Kind.CRUMB: -2,
    Kind.CAPTION: 0,
    Kind.CREDIT: -1,
    Kind.NOTICE: -25,
    Kind.LINK_HEADING: -12,
    Kind.DESK: -12,
}
_MAX_DROP = 60
"""A stretch ends where its score has fallen so far below its peak: some twenty short lines."""


_WEAK_SCORE = 2
_MIN_ALONE_WORDS = 30
_ALONE_SHARE = 0.25
"""A shorter paragraph without another beside it counts so much: teasers stand like that."""


def _scores(lines: Sequence[_Line]) -> list[int]:
    """How much each line speaks for a body around it, in words."""
    scores: list[int] = []
    strong = [line.kind is Kind.PROSE and not line.weak for line in lines]
    for index, line in enumerate(lines):
        if line.kind is not Kind.PROSE:
            scores.append(_SCORES[line.kind])
        elif line.loose:
            scores.append(0)
        elif line.weak:
            scores.append(_WEAK_SCORE)
        else:
            alone = not (
                (index > 0 and strong[index - 1]) or (index + 1 < len(lines) and strong[index + 1])
            )
            words = min(line.words, _MAX_LINE_SCORE)
            short = line.words < _MIN_ALONE_WORDS
            scores.append(int(words * _ALONE_SHARE) if alone and short else words)
    return scores


def _stretches(lines: Sequence[_Line], cuts: set[int]) -> list[_Stretch]:
    """Runs of lines whose score adds up; a new one begins at each of the cuts."""
    found: list[_Stretch] = []
    start = end = total = peak = 0
    for index, score in enumerate(_scores(lines)):
        if total > 0 and (index in cuts or peak - total > _MAX_DROP):
            found.append(_measured(lines, start, end))
            total = 0
        if total == 0:
            if score <= 0:
                continue
            start, peak = index, 0
        total += score
        if total > peak:
            peak, end = total, index + 1
        if total <= 0:
            found.append(_measured(lines, start, end))
            total = 0
    if total > 0:
        found.append(_measured(lines, start, end))
    return found


def _measured(lines: Sequence[_Line], start: int, end: int) -> _Stretch:
    prose = [line for line in lines[start:end] if line.kind is Kind.PROSE]
    return _Stretch(start, end, sum(line.words for line in prose), len(prose))


_MENU_LINES = 6
"""A block with more lines that are no prose is a menu or a list."""

_MAX_HEAD_LINES = 14
"""Between a headline and its text stand at most so many lines."""


def _heads(lines: Sequence[_Line]) -> set[int]:
    """Where a story begins: a headline printed twice with no prose between, then prose."""
    heads: set[int] = set()
    last_seen: dict[str, int] = {}
    prose_before = 0
    counts: list[int] = []
    for line in lines:
        counts.append(prose_before)
        prose_before += line.kind is Kind.PROSE
    counts.append(prose_before)
    next_prose = len(lines)
    follows = [0] * len(lines)
    for index in range(len(lines) - 1, -1, -1):
        follows[index] = next_prose
        if lines[index].kind is Kind.PROSE:
            next_prose = index
    chained: dict[int, int] = {}
    for index, line in enumerate(lines):
        if not _is_headline_shape(line) or line.copies < 2 or line.shorts_in_group > _MENU_LINES:
            continue
        before = last_seen.get(line.folded)
        last_seen[line.folded] = index
        if (
            before is not None
            and index - before <= _MAX_HEAD_LINES
            and counts[index] - counts[before] == (line.kind is Kind.PROSE)
        ):
            chained[index] = chained.get(before, before)
            if follows[index] - index <= _MAX_HEAD_LINES:
                heads.add(chained[index])
    return heads


def _is_headline_shape(line: _Line) -> bool:
    return line.kind in (Kind.SHORT, Kind.PROSE) and 3 <= line.words <= 30 and len(line.text) <= 250


# ── stories ──────────────────────────────────────────────────────────────────────────────────────

_MAX_PAUSE_LINES = 25
"""A story goes on after so many lines of other matter at most."""

_MAX_TIGHT_LINES = 2
"""With so few lines between, the story goes on in whatever words."""

_BREAK_BLANKS = 3
"""So many empty lines in a row may part two pages, …"""

_MAX_BREAK_SHARE = 0.05
"""… where no larger share of the lines stand behind so many."""

_MAX_KIN = 0.2
"""Two stretches whose terms are less alike than this may be two stories."""

_MAX_KIN_ACROSS_BREAK = 0.3

_MIN_KIN_TO_GO_ON = 0.12
"""A story goes on after a pause only with a stretch that shares this much with it."""


def _stories(lines: Sequence[_Line], heads: set[int]) -> list[_Story]:
    """Join the stretches into stories.

    A new one begins where a headline stands, or behind a notice, a wide gap or many empty lines,
    in other words than the story before: a page goes on about one thing.
    """
    stories: list[_Story] = []
    previous_end = 0
    head_places = sorted(heads)
    notices = [line.line for line in lines if line.kind is Kind.NOTICE]
    breaks = _breaks(lines)
    for stretch in _stretches(lines, heads.union(breaks)):
        terms = _terms(lines, stretch)
        if not stories:
            stories.append(_Story(0, [stretch], terms))
            previous_end = stretch.end
            continue
        gap = stretch.start - previous_end
        kin = _likeness(stories[-1].terms, terms)
        head = _first_between(head_places, previous_end, stretch.start + 1)
        notice = _first_between(notices, previous_end, stretch.start) is not None
        broken = _first_between(breaks, previous_end, stretch.start + 1) is not None
        full = (
            stretch.words >= MIN_SECOND_BODY_WORDS and stretch.paragraphs >= MIN_SECOND_PARAGRAPHS
        )
        wide = notice or broken or gap > _MAX_PAUSE_LINES
        far = kin < (_MAX_KIN_ACROSS_BREAK if broken else _MAX_KIN)
        if full and (head is not None or (wide and far)):
            first = previous_end if head is None else head
            stories.append(_Story(first, [stretch], terms, parted=head is not None or broken))
        elif (
            kin >= _MAX_KIN
            or (gap <= _MAX_TIGHT_LINES and not notice)
            or (gap <= _MAX_PAUSE_LINES and not notice and kin >= _MIN_KIN_TO_GO_ON)
        ):
            stories[-1].add(stretch, terms)
        elif stretch.words > stories[-1].words:
            # What came before was no story of its own: a teaser, a banner.
            stories[-1] = _Story(stories[-1].first, [stretch], terms)
        else:
            continue
        previous_end = stretch.end
    return _told(lines, stories, heads)


_MAX_TERMS = 2_000
_TERM = re.compile(r"[^\s\d.,;:!?\"'()\[\]{}«»“”‘’„…।。、！？：；—–/|-]{6,}")
_TERM_STEM_CHARS = 7
_MAX_TERM_COUNT = 6


def _terms(lines: Sequence[_Line], stretch: _Stretch) -> Counter[str]:
    """What a stretch is about: stems of its longer words, or pairs of its ideographs."""
    terms: Counter[str] = Counter()
    taken = 0
    for line in lines[stretch.start : stretch.end]:
        if line.kind is not Kind.PROSE:
            continue
        found = _line_terms(line)
        terms.update(found)
        taken += len(found)
        if taken > _MAX_TERMS:
            break
    return terms


def _line_terms(line: _Line) -> list[str]:
    ideographs = "" if line.text.isascii() else "".join(_IDEOGRAPHS.findall(line.text))
    if len(ideographs) * 2 > len(line.text):
        return [ideographs[at : at + 2] for at in range(len(ideographs) - 1)]
    return [word[:_TERM_STEM_CHARS] for word in _TERM.findall(line.folded)]


def _likeness(one: Counter[str], two: Counter[str]) -> float:
    """Cosine of two bags of terms, 0 to 1, each term counted six times at most."""
    left = {term: min(count, _MAX_TERM_COUNT) for term, count in one.items()}
    right = {term: min(count, _MAX_TERM_COUNT) for term, count in two.items()}
    shared = sum(count * right[term] for term, count in left.items() if term in right)
    norms = sum(n * n for n in left.values()) * sum(n * n for n in right.values())
    return float(shared / norms**0.5) if norms else 0.0


def _breaks(lines: Sequence[_Line]) -> list[int]:
    """The lines that stand behind an unusual number of empty ones."""
    counts = Counter(line.blanks for line in lines)
    least = _BREAK_BLANKS
    while sum(n for blanks, n in counts.items() if blanks >= least) > max(
        2, _MAX_BREAK_SHARE * len(lines)
    ):
        least = min(blanks for blanks in counts if blanks >= least) + 1
    return [line.line for line in lines if line.blanks >= least and line.line > 0]


def _first_between(places: Sequence[int], start: int, end: int) -> int | None:
    """The first of some sorted places in ``range(start, end)``, or None."""
    at = bisect_left(places, start)
    return places[at] if at < len(places) and places[at] < end else None


_MIN_SHARE = 0.25
"""A story without headline of its own needs this share of the longest one's words."""


def _told(lines: Sequence[_Line], stories: list[_Story], heads: set[int]) -> list[_Story]:
    """Those of the candidates that are stories, with their headlines."""
    longest = max((story.words for story in stories), default=0)
    kept: list[_Story] = []
    for number, story in enumerate(stories):
        if story.words < MIN_BODY_WORDS:
            continue
        story.headline = _headline(lines, story, heads)
        following = stories[number + 1] if number + 1 < len(stories) else None
        parted = story.parted or (number == 0 and following is not None and following.parted)
        large = story.words >= (MIN_SECOND_BODY_WORDS if parted else _MIN_SHARE * longest)
        if story.words == longest or (story.headline is not None and large):
            kept.append(story)
    return kept


_MAX_HEADLINE_DISTANCE = 40
_MAX_LINES_TO_HEADLINE = 15
"""A headline stands so far above the first prose at most, or so far below it."""

_MAX_LINES_TO_COMPARE = 80
_WORD = re.compile(r"[^\W_]{2,}")
_SEPARATORS = re.compile(r"[|›»>/→]")


def _headline(lines: Sequence[_Line], story: _Story, heads: set[int]) -> int | None:
    """The line that is the story's headline, or None.

    Each line around the start of the body is weighed by what tells headlines apart: its words
    come back in the body, a date line or byline follows, it stands alone, it has some length.
    The weights are rounded from a softmax regression over public pages.
    """
    start = story.stretches[0].start
    body: set[str] = set()
    for line in lines[start : min(story.stretches[-1].end, start + _MAX_LINES_TO_COMPARE)]:
        if line.kind is Kind.PROSE:
            body.update(_WORD.findall(line.folded))
    floor = max(story.first, start - _MAX_HEADLINE_DISTANCE)
    ceiling = min(start + _MAX_LINES_TO_HEADLINE, story.stretches[-1].end)
    signed = {index for index in range(floor, ceiling + 4) if _is_signed(lines, index)}
    best: tuple[float, int] | None = None
    prose_before = 0
    for index in range(floor, ceiling):
        line = lines[index]
        plain = line.kind is Kind.SHORT or line.weak
        if plain and 2 <= line.words <= _MAX_HEADLINE_WORDS + 5 and index not in signed:
            value = _headline_value(line, body)
            value += 0.75 * (index in heads)
            value -= 0.06 * max(0, start - index) + 1.8 * min(prose_before, 5)
            value += 2.2 * any(at in signed for at in range(index + 1, index + 5))
            value += 0.4 * any(at in signed for at in range(index - 2, index))
            if best is None or value > best[0]:
                best = (value, index)
        prose_before += line.kind is Kind.PROSE and not line.weak and index >= start
    return best[1] if best and best[0] > _MIN_HEADLINE_VALUE else None


_MIN_HEADLINE_VALUE = 0.0


def _is_signed(lines: Sequence[_Line], index: int) -> bool:
    """Whether a line says when or by whom."""
    if index >= len(lines) or lines[index].words > _MAX_HEADLINE_WORDS:
        return False
    text = lines[index].text
    if parse_date_line(text) or parse_dateline(text):
        return True
    byline = parse_byline(text)
    return byline is not None and byline.explicit


def _headline_value(line: _Line, body: set[str]) -> float:
    """How much a line looks like the headline of a body with these words."""
    words = set(_WORD.findall(line.folded))
    if not words:
        return -9.0
    shared = len(words & body) / len(words)
    rare = sum(1 for word in words & body if len(word) > 4) / len(words)
    count = len(line.text.split())
    value = 2.4 * shared + 2.7 * shared * min(len(words), 8) / 8 + 0.8 * rare
    value += 0.3 * (line.copies > 2) + 0.6 * (count >= 6) - 1.6 * (count < 4)
    value -= 0.7 * (line.words > 18) + 0.7 * line.text[0].islower()
    value -= 1.4 * bool(_SEPARATORS.search(line.text)) + 0.7 * (line.kind is Kind.PROSE)
    value -= 0.3 * line.text.endswith((".", "!", ":"))
    value += 0.35 * line.text.endswith("?") + 0.6 * line.text[0].isdigit()
    if line.shorts_in_group > _MENU_LINES:
        return value - 2.1
    return value - 1.2 * (line.shorts_in_group >= 3)


# ── one story ────────────────────────────────────────────────────────────────────────────────────

_MAX_MATTER_LINES = 12
_MAX_TAIL_LINES = 12
_MAX_DESCRIPTION_WORDS = 70
_MAX_SUBHEADING_WORDS = 16


def _body(
    lines: Sequence[_Line], story: _Story, start: int, matter: _Matter
) -> tuple[list[str], float]:
    """The body's paragraphs and the share of its words that stand in prose."""
    headline = lines[story.headline].folded if story.headline is not None else None
    kept: list[_Line] = []
    pending: list[_Line] = []
    in_links = False
    seen: set[str] = set()
    for stretch in story.stretches:
        for line in lines[max(stretch.start, start) : stretch.end]:
            if line.folded == headline:
                continue
            if line.kind is Kind.PROSE:
                if line.folded in seen:
                    continue
                if not in_links or line.words >= _MIN_PROSE_WORDS * 2:
                    if len(pending) <= _MAX_LIST_LINES:
                        kept.extend(pending)
                    in_links = False
                    kept.append(line)
                    seen.add(line.folded)
                pending = []
            elif line.kind is Kind.LINK_HEADING:
                in_links, pending = True, []
            elif line.kind is Kind.CAPTION:
                matter.captions.append(line.text)
            elif (
                line.kind is Kind.SHORT
                and not in_links
                and not line.loose
                and line.folded not in seen
            ):
                pending.append(line)
    _trim_tail(kept)
    total = sum(line.words for line in kept)
    prose = sum(line.words for line in kept if line.kind is Kind.PROSE)
    return [line.text for line in kept], prose / total if total else 0.0


_MAX_LIST_LINES = 12


def _trim_tail(kept: list[_Line]) -> None:
    """Cut short last lines that share no term with the rest: teasers of other stories.

    Only lines that stand by themselves, in a dump whose paragraphs do not, are cut.
    """
    counts: Counter[str] = Counter()
    own = [_line_terms(line) for line in kept]
    for terms in own:
        counts.update(set(terms))
    while len(kept) > MIN_SECOND_PARAGRAPHS:
        line, terms = kept[-1], own[-1]
        beside = kept[-2].kind is Kind.PROSE and kept[-2].line + 1 == line.line
        if line.kind is Kind.PROSE and (
            beside or line.words >= _MIN_ALONE_WORDS or any(counts[term] > 1 for term in terms)
        ):
            return
        counts.subtract(set(terms))
        kept.pop()
        own.pop()


_MAX_LINES_ABOVE_HEADLINE = 5
_MAX_STANDFIRST_PARAGRAPHS = 2


def _read_above(lines: Sequence[_Line], story: _Story, matter: _Matter) -> int:
    """Read the lines around the headline; returns the index at which the body may begin."""
    start = story.stretches[0].start
    top = start - 4 if story.headline is None else story.headline + 1
    if story.headline is not None:
        matter.title = lines[story.headline].text
        matter.note("title", "headline")
        start = max(start, story.headline + 1)
    end = min(max(start, top) + _MAX_MATTER_LINES, story.stretches[-1].end)
    prose: list[int] = []
    last = start
    for index in range(max(top, story.first), end):
        line = lines[index]
        if line.kind is Kind.PROSE and not line.weak:
            if len(prose) == _MAX_STANDFIRST_PARAGRAPHS or parse_dateline(line.text):
                break
            prose.append(index)
        elif _reads(lines, index, matter, after_prose=bool(prose)):
            last = index + 1
    lead = [index for index in prose if index < last]
    if lead and sum(lines[index].words for index in lead) <= _MAX_DESCRIPTION_WORDS:
        # Prose above the byline or date line is a standfirst.
        matter.description = " ".join(lines[index].text for index in lead)
        matter.note("description", "standfirst")
        start = last
    for index in range(top - 2, max(story.first, top - 2 - _MAX_LINES_ABOVE_HEADLINE) - 1, -1):
        if 0 <= index < len(lines) and (date_line := _date_line(lines[index])):
            matter.date_lines.append(date_line)
    return start


def _date_line(line: _Line) -> DateLine | None:
    if line.kind in (Kind.NOTICE, Kind.CAPTION, Kind.CREDIT) or line.words > 25:
        return None
    return parse_date_line(line.text)


def _reads(lines: Sequence[_Line], index: int, matter: _Matter, *, after_prose: bool) -> bool:
    """Read a line for metadata; whether it says when or by whom."""
    line = lines[index]
    if line.kind is Kind.CAPTION:
        matter.captions.append(line.text)
        return False
    if line.kind is Kind.SHORT and (dateline := parse_dateline(line.text)):
        _take_dateline(dateline, matter)
        return True
    if date_line := _date_line(line):
        matter.date_lines.append(date_line)
        byline = parse_byline(date_line.rest) if date_line.rest else None
        if byline and len(matter.authors) < _MAX_AUTHORS:
            _take_byline(byline, matter)
        return True
    if line.kind is not Kind.SHORT or line.words > 25 or line.shorts_in_group > _MENU_LINES:
        return False
    byline = parse_byline(line.text)
    if byline is None or len(matter.authors) >= _MAX_AUTHORS:
        return False
    # A bare name is an author's between headline and text, or beside a date line.
    beside = any(
        0 <= at < len(lines) and _date_line(lines[at])
        for at in (index - 2, index - 1, index + 1, index + 2)
    )
    if byline.explicit or beside or not (after_prose or matter.authors):
        _take_byline(byline, matter)
    return byline.explicit


_MAX_AUTHORS = 6


def _take_byline(byline: Byline, matter: _Matter) -> None:
    for author in byline.authors:
        if author not in matter.authors:
            matter.authors.append(author)
            matter.note("authors", "byline")
    if byline.agency and not matter.agency:
        matter.agency = byline.agency
        matter.note("agency", "byline")
    if byline.place and not matter.place:
        matter.place = byline.place
        matter.note("dateline", "byline")


def _take_dateline(dateline: Dateline, matter: _Matter) -> None:
    if not matter.place:
        matter.place = dateline.place
        matter.note("dateline", "dateline")
    if dateline.agency and not matter.agency:
        matter.agency = dateline.agency
        matter.note("agency", "dateline")
    if dateline.day:
        matter.days.append(dateline.day)


def _read_below(lines: Sequence[_Line], end: int, limit: int, matter: _Matter) -> None:
    """Read the lines after a body: reporters, agency, notices."""
    for line in lines[end : min(end + _MAX_TAIL_LINES, limit)]:
        if credit := parse_reporting_credit(line.text):
            _take_byline(credit, matter)
        elif (agency := parse_agency(line.text)) and not matter.agency:
            matter.agency = agency
            matter.note("agency", "credit")
    for line in lines[end:limit]:
        if line.kind is Kind.NOTICE and _RIGHTS.search(line.text):
            matter.rights = line.text
            matter.note("rights", "notice")
            break


_MASTHEAD = re.compile(r"^(.{2,40}?)\s(?:[-–—|:])\s.{2,80}$")


def _read_masthead(lines: Sequence[_Line], story: _Story, matter: _Matter) -> None:
    """A first line such as "Rocket News - Your Rockets Today" names the site."""
    top = story.headline if story.headline is not None else story.stretches[0].start
    if not 0 < top - story.first <= 3:
        return
    line = lines[story.first]
    if line.kind is not Kind.SHORT or line.folded == lines[top].folded:
        return
    if parse_byline(line.text) or parse_date_line(line.text) or parse_dateline(line.text):
        return
    match = _MASTHEAD.match(line.text)
    if match and not _SENTENCE_END.search(line.text):
        matter.site = match[1].strip()
        matter.note("site", "masthead")


def segment_dump(page: Page, text: str, encoding: str, repaired: bool) -> list[Article | Failure]:
    """Find the articles in a page's text.

    Args:
        page: the page; its own ``content`` is not read again.
        text: the page's decoded text.
        encoding: the character encoding it was decoded with.
        repaired: whether decoding had to repair it.

    Returns:
        The articles in the order of the text, or one ``Failure`` of kind ``rejected`` with the
        reason ``empty`` or ``no-article``; never an empty list.
    """
    lines = _lines(text)
    if not lines:
        return [_rejected(page, text, "empty", "The text holds nothing but white space.")]
    heads = _heads(lines)
    stories = _stories(lines, heads)
    articles: list[Article | Failure] = []
    for number, story in enumerate(stories):
        limit = stories[number + 1].first if number + 1 < len(stories) else len(lines)
        matter = _Matter()
        paragraphs, quality = _read_story(lines, story, limit, matter)
        if not paragraphs:
            continue
        extraction = Extraction(
            method="text-dump",
            versions=f"newsbeam=={version('newsbeam')}",
            quality=round(quality, 4),
            encoding=encoding,
            repaired=repaired,
        )
        articles.append(_article(page, len(articles) + 1, matter, paragraphs, extraction))
    if articles:
        return articles
    words = sum(line.words for line in lines if line.kind is Kind.PROSE)
    message = (
        f"No article found: {words} words of prose in {len(lines)} lines, where a body of at"
        f" least {MIN_BODY_WORDS} words is needed."
    )
    return [_rejected(page, text, "no-article", message)]


def _read_story(
    lines: Sequence[_Line], story: _Story, limit: int, matter: _Matter
) -> tuple[list[str], float]:
    """Read a story into ``matter``; its paragraphs, none where they are too few, and quality.

    ``limit`` is the line at which the next story begins.
    """
    start = _read_above(lines, story, matter)
    _read_masthead(lines, story, matter)
    paragraphs, quality = _body(lines, story, start, matter)
    if paragraphs and (dateline := parse_dateline(paragraphs[0])):
        _take_dateline(dateline, matter)
        paragraphs[0] = paragraphs[0][dateline.end :].strip()
    paragraphs = [paragraph for paragraph in paragraphs if paragraph]
    if sum(map(_word_count, paragraphs)) < MIN_BODY_WORDS:
        return [], 0.0
    _read_below(lines, story.stretches[-1].end, limit, matter)
    return paragraphs, quality


def _article(
    page: Page, number: int, matter: _Matter, paragraphs: Sequence[str], extraction: Extraction
) -> Article:
    published, hints = date_article(
        matter.date_lines, matter.days, matter.captions, paragraphs, page.observed_at
    )
    if published:
        matter.note("published", published.source)
    return Article(
        origin=f"{page.origin}#{number}",
        page_origin=page.origin,
        source_uri=page.source_uri,
        body="\n\n".join(paragraphs),
        observed_at=page.observed_at,
        extraction=extraction,
        title=matter.title,
        url=page.url,
        site=matter.site,
        feed_url=page.feed_url,
        authors=tuple(matter.authors),
        agency=matter.agency,
        dateline=matter.place,
        description=matter.description,
        published=published,
        hints=hints,
        rights=matter.rights,
        provenance=tuple(
            Provenance(field=name, source=source) for name, source in matter.provenance.items()
        ),
    )


def _rejected(page: Page, text: str, reason: str, message: str) -> Failure:
    payload = text[:MAX_PAYLOAD_BYTES].encode("utf-8", "replace")[:MAX_PAYLOAD_BYTES]
    return Failure(
        kind="rejected",
        stage="extract",
        reason=reason,
        message=message,
        origin=page.origin,
        source_uri=page.source_uri,
        observed_at=page.observed_at,
        payload=payload.decode("utf-8", "ignore").encode(),
        url=page.url,
    )
