"""The lines of a text dump, and what each is by its own shape and its repetition.

Prose, a caption, a notice, a heading over links … are told apart by how a line ends, how long it
is, how often it is printed, and by the words of buttons, notices and credits in many languages.
What becomes of the lines is decided elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from transforms.bylines import is_desk_signature, is_photo_credit, parse_agency


class Kind(Enum):
    """What a line is by its own shape and its repetition."""

    PROSE = "prose"
    SHORT = "short"
    CRUMB = "crumb"
    CAPTION = "caption"
    CREDIT = "credit"
    NOTICE = "notice"
    LINK_HEADING = "link-heading"
    CONTACT = "contact"
    PROMOTION = "promotion"
    SEPARATOR = "separator"
    DESK = "desk"


@dataclass(slots=True)
class Line:
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


# Scripts written without spaces: their characters are counted instead, by the mean length of a
# word (Chinese and Japanese about two, Thai, Lao, Khmer and Burmese about five).
IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")

SENTENCE_END = re.compile(r"[.!?…。！？｡।॥؟۔።၊။:](?:\s?[\"'”’»)\]」』›]){0,3}$")
_CLOSING_QUOTE = re.compile(r"[\"”»」』]$")
_INNER_END = re.compile(r"(?:[^\W\d_]{2}[.!?…।؟۔።][\"'”’»)]{0,2}\s|[。！？၊။].)")
_FULL_STOP = re.compile(r"[.。।۔።။](?:\s?[\"'”’»)\]」』›]){0,3}$")
_MAX_WEAK_WORDS = 22
MAX_HEADLINE_WORDS = 25
_LINE_BREAK = re.compile(r"\r\n|[\n\r\f\v\u2028\u2029]")
_LETTERS = re.compile(r"[^\W\d_]")

MIN_PROSE_WORDS = 6
_MIN_OPEN_PROSE_WORDS = 25
"""A line so long is prose even where it ends in no full stop."""

_MAX_CAPITALISED_SHARE = 0.6

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
    r"|tt|a{1,2}[+-]?(?: a{1,2}[+-]?){0,2}|font size|text size"
    r"|\d+ (?:shares?|views?|min(?:ute)?s?(?: read)?)"
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
    r"©|\(c\) ?(?:19|20)\d\d|^\W{0,3}copyright\b|\bcopyright (?:©|\(c\)|by\b|(?:19|20)\d\d)"
    r"|all rights? reserved|alle rechte vorbehalten|tous droits réservés|(?:todos los"
    r"|reservados todos"
    r" los) derechos(?: reservados)?|todos os direitos reservados|tutti i diritti riservati"
    r"|diritti riservati|alle rechten voorbehouden|все права защищены|всі права захищені"
    r"|wszelkie prawa zastrzeżone|všechna práva vyhrazena|minden jog fenntartva"
    r"|tüm hakları saklıdır"
    r"|hak cipta|جميع الحقوق محفوظة|版权所有|版權所有|無断転載|무단\s?전재|सर्वाधिकार सुरक्षित"
    r"|may not be (?:reproduced|published|broadcast|copied|republished|redistributed)"
    r"|without (?:the )?(?:prior )?(?:express )?written (?:consent|permission)\b"
    r"|(?:we|this (?:web)?site|site|our partners) uses? (?:\w+ )?cookies|cookie (?:policy|settings"
    r"|preferences)|accept (?:all )?cookies|(?:verwendet|nutzen|verwenden) cookies"
    r"|cookies? (?:zu|para"
    r"|pour|et|und) |utilis\w+ (?:des|les) cookies|usamos cookies|utiliza\w* cookies"
    r"|utilizz\w+ (?:i )?cookie|protected by recaptcha|your (?:email|e-mail) address will not"
    r"|required fields are marked|(?:sign|signed) up (?:to|for) (?:our|the|receive|get)\b"
    r"|subscribe to (?:our|the|receive|get|continue)\b|(?:enter|submit) your e-?mail"
    r"|enable javascript|javascript (?:is|to be) (?:disabled|enabled)",
    re.IGNORECASE,
)
# What a notice says as well as a sentence does: it is a notice in a short line.
_SHORT_NOTICE = re.compile(
    r"\bcopyright\b|without (?:the )?(?:consent|permission)\b"
    r"|privacy (?:policy|notice|statement)|terms (?:of (?:use|service)|(?:&|and) conditions)"
    r"|datenschutz(?:erklärung|hinweise)|politique de confidentialité"
    r"|política de privaci?dade?|informativa sulla privacy|политик\w+ конфиденциальности",
    re.IGNORECASE,
)
# Each alternative of the two holds one of these: looking for them first takes a tenth of the time.
_NOTICE_STEMS = (
    *("©", "(c)", "copyright", "right", "recht", "droit", "derech", "direit", "diritt", "права"),
    *("prawa", "práva", "jog fenn", "hak", "الحقوق", "版", "無断", "무단", "सर्वाधिकार"),
    *("may not be", "without", "cookie", "recaptcha", "e-mail", "email", "required fields"),
    *("sign up", "signed up", "subscribe to", "javascript", "priva", "terms", "datenschutz"),
    *("confidential", "конфиденциал"),
)
_MAX_SHORT_NOTICE_WORDS = 35
_PICTURE_RIGHTS = re.compile(r"©|copyright", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_MAX_PICTURE_RIGHTS_WORDS = 15
RIGHTS = re.compile(
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
# "… at the quay.Photo: Ann Lee", "… at the quayCredit: AP": a credit that lost its line break.
_GLUED_CREDIT = re.compile(
    r"[^\W_][.!?”\"»)]?(?<![\s/-])(?:(?:Credits?|Photo|Image|Picture|Foto|Bild|Quelle|Getty"
    r"|Unsplash|Pexels|Pixabay|Shutterstock|Imago|IMAGO)\s?[:/©][^.!?]{2,60}"
    r"|(?:Getty Images|Shutterstock|iStock|Unsplash|Pixabay)[^.!?]{0,40})\.?$"
)
_CAPTION_LABEL = re.compile(
    r"^(?:image |photo |picture )?(?:caption|legend|legende|légende|bildunterschrift|bildtext"
    r"|pie de foto|legenda|didascalia|bijschrift|bildbeschreibung|подпись)\s*:",
    re.IGNORECASE,
)
# "… at the quay. ANN LEE / REUTERS": behind the sentence, a few words in nothing but capitals.
_CAPITALS_TAIL = re.compile(r"[.!?”\"»)]\s+((?:[^\W\d_]\.[\s-]?){0,3}[^\W\d_][^.!?:;\d]{2,40})$")
_MAX_CAPITALS_WORDS = 6
_MAX_CAPTION_WORDS = 90
_MAX_CAPITALS_CAPTION_WORDS = 50

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}")
_MAX_CONTACT_WORDS = 60

_SEPARATOR_MARKS = frozenset("*＊⁂•·∙◆◇■□●○★☆~_=#—–―─━-§")
# Lines that ask the reader for something: to subscribe, follow, sign in, enlarge a picture.
_PROMOTION = re.compile(
    r"^\W{0,3}(?:(?:subscribe|sign (?:up|in)|log ?in (?:to|or)|follow (?:us|our|me)|donate"
    r"|follow .{2,40} on (?:x|twitter|facebook|instagram|threads|google|whatsapp)"
    r"|join (?:us on|the (?:conversation|discussion)|.{0,40}(?:whatsapp|telegram|newsletter))"
    r"|download our|get (?:our|unlimited|all the latest|the latest|breaking|the day['’]s)"
    r"|support (?:our|independent|local|quality)|register (?:now|for free)|already a (?:sub|mem)\w+"
    r"|become an? (?:member|subscriber|patron|supporter)|stay (?:up to date|connected)"
    r"|(?:to )?(?:keep|continue) reading|to (?:read|view|access|unlock) (?:the full|this)"
    r"|(?:don['’]t|do not) have an account|create (?:an?|your) (?:free )?account"
    r"|you (?:can|must|need to|have to) (?:save this|be logged|sign|log|register|subscribe)"
    r"|(?:do you )?have (?:a|any) (?:news )?(?:tips?|story)|send us"
    r"|(?:please )?(?:contact|email) us"
    r"|(?:please )?(?:let us know|tell us)|share your (?:thoughts|views|opinions?|stor\w+)"
    r"|th(?:is|e) (?:article|story|post|piece|report) (?:was |has been )?(?:first|originally"
    r"|previously) (?:appeared|published)|add .{2,40} (?:to|as) (?:your|a) .{0,30}(?:google|feed"
    r"|preferred)|advertisement|this advertisement|ad ?block|view this post|a post shared by"
    r"|(?:open|click|tap|enlarge) (?:this |the |to )?(?:photo|image|picture|gallery|in gallery)"
    r"|(?:we|our \w+) may (?:earn|receive|get) (?:an? )?(?:\w+ )?commission|your support"
    r"|please (?:consider|subscribe|enable)|thank you for (?:reading|subscribing|your (?:support"
    r"|patience))|previous article|next article|read (?:more|also|next) (?:here|on|from|:)"
    r"|submit a (?:correction|comment)"
    # German
    r"|jetzt (?:abonnieren|anmelden|registrieren|kostenlos|testen)|melden sie sich|abonnieren sie"
    r"|abonniere|folgen sie uns|folge uns|folgst du|hier (?:können sie|kannst du|anmelden"
    r"|abonnieren)|um eingebettete|mit (?:meiner|ihrer|der) anmeldung|bereits abonnent"
    r"|lesen sie (?:hier|auch|weiter|jetzt)|lest (?:hier|auch)|schreib(?:en sie|t)? uns"
    # French
    r"|abonnez-vous|inscrivez-vous|suivez[- ](?:nous|toute l['’])|recevez|téléchargez"
    r"|rejoignez(?:-nous)?|connectez-vous|créez votre compte|déjà abonné|il vous reste"
    # Spanish, Portuguese, Italian
    r"|suscríb\w+|regístrate|inicia sesión|síguenos|sigue (?:a|toda|nuestr\w+)|únete|assine"
    r"|inscreva-se|cadastre-se|siga (?:o|a|no|nosso)|receba|clique (?:aqui|para)|já é assinante"
    r"|iscriviti|abbonati|segui(?:ci|te)|scarica|clicca (?:qui|per)"
    # Dutch, Nordic, Polish, Czech
    r"|abonneer|schrijf je in|volg ons|meld je aan|prenumerera|följ oss|logga in|abonner"
    r"|følg oss|følg os|meld deg på|tilaa|zapisz się|subskrybuj|obserwuj nas|dołącz do|zaloguj"
    r"|pozostało jeszcze|czytaj dalej|odebírejte|sledujte nás|přihlaste"
    # Russian, Ukrainian, Turkish, Indonesian, Vietnamese
    r"|подпис(?:ывайтесь|аться|ывайся)|присоединяйтесь|следите за|читайте (?:нас|больше|далее)"
    r"|скачайте|зарегистрируйтесь|підпис(?:уйтесь|атися)|приєднуйтесь|слідкуйте за|читайте нас"
    r"|abone ol\w*|takip edin|bizi takip|ikuti|gabung|đăng ký|theo dõi)\b|登録|订阅|訂閱|구독)",
    re.IGNORECASE,
)
_MAX_PROMOTION_WORDS = 25

# What one only writes of where one addresses the reader, and the words that do.
_CHANNEL = re.compile(
    r"newsletters?\b|\b(?:subscribe|abonnier\w*|abonne[zr]\b|suscr[ií]b\w+|assine\b)"
    r"|(?:whatsapp|telegram)[- ](?:channel|kanal|canale?|chaîne|groups?)|(?:chaîne|canal|kanał"
    r"|канал\w*) (?:de |no |do |на |в )?(?:whatsapp|telegram)|google (?:news|discover)|\binbox\b"
    r"|push-?(?:notification|nachricht|mitteilung)|news-?app\b",
    re.IGNORECASE,
)
_CHANNEL_STEMS = (
    *("newsletter", "subscribe", "abonn", "suscr", "assine", "whatsapp", "telegram", "google "),
    *("inbox", "push", "app"),
)
ADDRESS = re.compile(
    r"\b(?:you|your|our|us|sie|ihr|ihre[nm]?|uns|unser\w*|du|dein\w*|dir|vous|votre|vos|notre"
    r"|nos|tu|tus|te|usted|nuestr\w+|seu|sua|você|noss\w+|vostr\w+|nostr\w+|je|jouw|uw|onze"
    r"|din|dig|deg|vår\w*|twoj\w*|nasz\w*|ваш\w*|наш\w*|нас|вас|siz\w*|anda|kami|bạn)\b",
    re.IGNORECASE,
)
SPEECH = re.compile(r"[\"“”«»„]")
_MAX_CHANNEL_WORDS = 40

# What is left of an embedded post: its picture's address, its writer with account and date.
_EMBED = re.compile(r"pic\.twitter\.com/|^[—–-]\s?.{2,60}\(@\w{2,30}\)")

# A rule, three asterisks, a row of dots: what parts two texts, or two parts of one.
_SEPARATOR = re.compile(r"(?:[*＊⁂•·∙◆◇■□●○★☆~_=#—–―─━-]\s?){3,}|[⁂§]")


def word_count(text: str) -> int:
    """How many words a text has; in scripts without spaces, about as many as it would have."""
    words = len(text.split())
    if text.isascii():
        return words
    ideographs = len(IDEOGRAPHS.findall(text))
    unspaced = len(_UNSPACED.findall(text))
    return max(words, ideographs // 2 + unspaced // 5)


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())


_MAX_COPIES = 2


def read_lines(text: str) -> list[Line]:
    """The lines of a text that are not empty, with kinds, copies and blocks."""
    lines: list[Line] = []
    group = 0
    blanks = 0
    for raw in _LINE_BREAK.split(text):
        stripped = raw.strip(" \t\u00a0\u200b\ufeff")
        if not stripped:
            blanks += 1
            continue
        group += blanks > 0
        folded, words = _fold(stripped), word_count(stripped)
        lines.append(Line(stripped, folded, words, len(lines), blanks, group))
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


def _doubled(lines: Sequence[Line]) -> set[str]:
    """Texts printed twice in a row, as captions are: once for the eye, once for the reader."""
    found: set[str] = set()
    for one, two in pairwise(lines):
        if one.folded == two.folded and 3 <= one.words <= _MAX_CAPTION_WORDS:
            closed = one.words >= MIN_PROSE_WORDS and (
                SENTENCE_END.search(one.text) or one.text[-1] in ")）]"
            )
            if closed or one.words > MAX_HEADLINE_WORDS:
                found.add(one.folded)
    return found


def _kind(line: Line) -> Kind:
    """The first kind whose test a line passes."""
    return next((kind for kind, test in _TESTS if test(line)), Kind.SHORT)


def _is_crumb(line: Line) -> bool:
    text = line.text
    if line.words <= 12 and (
        len(text) <= 2 or not _LETTERS.search(text) or _CRUMB.match(text) is not None
    ):
        return True
    return line.words <= 40 and _LINK_LINE.match(text) is not None


def _holds(line: Line, stems: tuple[str, ...]) -> bool:
    return any(map(line.folded.__contains__, stems))


def _is_notice(line: Line) -> bool:
    if len(line.text) > _MAX_NOTICE_CHARS or not _holds(line, _NOTICE_STEMS):
        return False
    if line.words <= _MAX_SHORT_NOTICE_WORDS and _SHORT_NOTICE.search(line.text):
        return True
    return _NOTICE.search(line.text) is not None


def _is_picture_right(line: Line) -> bool:
    """Whether a line says whose a picture is ("Copyright Ann Lee/AP"), not whose the page is."""
    return (
        line.words <= _MAX_PICTURE_RIGHTS_WORDS
        and _PICTURE_RIGHTS.search(line.text) is not None
        and _CREDIT_WORDS.search(line.text) is not None
        and _YEAR.search(line.text) is None
    )


def _is_link_heading(line: Line) -> bool:
    return line.words <= _MAX_LINK_HEADING_WORDS and _LINK_HEADING.match(line.text) is not None


def _is_caption(text: str) -> bool:
    credit = _END_CREDIT.search(text)
    if credit and len(text) > len(credit[0]) + 12:
        inside = credit[1]
        if parse_agency(inside) or (_CREDIT_WORDS.search(inside) and len(inside.split()) <= 9):
            return True
    if (
        _PHOTO_TAIL.search(text[-120:])
        or _CAPTION_LABEL.match(text)
        or _GLUED_CREDIT.search(text[-100:])
    ):
        return True
    capitals = _CAPITALS_TAIL.search(text[-80:])
    return (
        capitals is not None
        and capitals[1].isupper()
        and len(capitals[1].split()) <= _MAX_CAPITALS_WORDS
        and len(text.split()) <= _MAX_CAPITALS_CAPTION_WORDS
    )


def _is_promotion(line: Line) -> bool:
    """Whether a line asks the reader to subscribe, follow, sign in …, or is an embedded post."""
    text = line.text
    if line.words <= _MAX_PROMOTION_WORDS and _PROMOTION.match(text):
        return True
    channel = line.words <= _MAX_CHANNEL_WORDS and _holds(line, _CHANNEL_STEMS)
    if channel and _CHANNEL.search(text):
        return ADDRESS.search(text) is not None and SPEECH.search(text) is None
    return _EMBED.search(text) is not None


def _is_separator(line: Line) -> bool:
    return line.text[0] in _SEPARATOR_MARKS and _SEPARATOR.fullmatch(line.text) is not None


def _is_contact(line: Line) -> bool:
    """Whether a line tells how to reach its author or the newsroom."""
    return "@" in line.text and line.words <= _MAX_CONTACT_WORDS and bool(_EMAIL.search(line.text))


def _is_prose(line: Line) -> bool:
    if line.words >= _MIN_OPEN_PROSE_WORDS:
        return bool(_FULL_STOP.search(line.text)) or not _is_run_of_names(line.text)
    if line.words >= MIN_PROSE_WORDS and SENTENCE_END.search(line.text):
        return True
    if line.words >= 12 and (_CLOSING_QUOTE.search(line.text) or _INNER_END.search(line.text)):
        return True
    return line.words >= 3 and line.text[-1] in ".。।۔" and line.text[0] in '“"«„—–-'


_TESTS: tuple[tuple[Kind, Callable[[Line], bool]], ...] = (
    (Kind.SEPARATOR, _is_separator),
    (Kind.CRUMB, _is_crumb),
    (Kind.DESK, lambda line: line.words == 1 and is_desk_signature(line.text)),
    (Kind.LINK_HEADING, _is_link_heading),
    (Kind.CREDIT, _is_picture_right),
    (Kind.NOTICE, _is_notice),
    (Kind.CONTACT, _is_contact),
    (Kind.CREDIT, lambda line: line.words <= 25 and is_photo_credit(line.text)),
    (Kind.PROMOTION, _is_promotion),
    (Kind.CAPTION, lambda line: line.words <= _MAX_CAPTION_WORDS and _is_caption(line.text)),
    (Kind.PROSE, _is_prose),
)


def _is_run_of_names(text: str) -> bool:
    """Whether most words are capitalised, as in a menu whose entries were joined to one line."""
    words = text.split()
    return sum(word[0].isupper() for word in words) > _MAX_CAPITALISED_SHARE * len(words)


def _is_weak(line: Line) -> bool:
    return (
        line.words <= _MAX_WEAK_WORDS
        and not _FULL_STOP.search(line.text)
        and not _INNER_END.search(line.text)
    )
