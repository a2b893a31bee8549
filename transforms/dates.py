"""Publication dates: from machine-written metadata, and out of the lines of a text.

All functions are pure. A date is never invented: it carries the precision that its evidence has,
and what is too weak to date an article by is kept as a hint. Names of months and weekdays come
from the Unicode CLDR (through Babel), for all its languages at once: a text's language need not
be known.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache

from apache_beam.utils.timestamp import Timestamp
from babel import localedata
from babel.dates import get_day_names, get_month_names

from schemas.records import DateHint, PublicationDate

MIN_YEAR = 1600
"""No newspaper is older (the first was printed in 1605): an earlier date is a placeholder."""

MAX_ZONE_HOURS = 14
"""The largest offset from UTC in use (UTC+14, Kiribati)."""

MAX_METADATA_CHARS = 100
"""No way to write one date is longer."""

# RFC 5322 section 4.3: the only zone names with a meaning everywhere.
_ZONE_HOURS = {
    "Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5,
    "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
}  # fmt: skip

# What prose adds to them. "CST", "IST", "BST" and "AST" mean several zones to readers: no zone.
_TEXT_ZONE_HOURS = {
    **_ZONE_HOURS, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2,
    "EEST": 3, "MSK": 3, "SAST": 2, "CAT": 2, "EAT": 3, "WAT": 1, "PKT": 5, "WIB": 7, "HKT": 8,
    "SGT": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
}  # fmt: skip
del _TEXT_ZONE_HOURS["CST"]


@dataclass(frozen=True)
class _Stated:
    """The parts of a date as stated; None for what is not."""

    year: int
    month: int | None = None
    day: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    micros: int = 0
    zone: timezone | None = None

    def dated(self, source: str, observed_at: Timestamp) -> PublicationDate | None:
        """The date in UTC, or None where it is impossible, too old or in the future."""
        end_of_day = self.hour == 24 and not self.minute and not self.second  # ISO 8601
        timed = self.hour is not None and self.zone is not None
        if self.year < MIN_YEAR or (self.second or 0) > 60:
            return None
        try:
            at = datetime(
                self.year,
                self.month or 1,
                self.day or 1,
                0 if end_of_day else self.hour or 0,
                self.minute or 0,
                min(self.second or 0, 59),  # a leap second
                self.micros,
                tzinfo=self.zone or UTC,
            )
            at = at.astimezone(UTC) + timedelta(days=int(end_of_day and timed))
        except (ValueError, OverflowError):
            return None
        if timed:
            precision = (
                "hour" if self.minute is None else "minute" if self.second is None else "second"
            )
            leeway_hours = 0
        else:
            at = at.replace(hour=0, minute=0, second=0, microsecond=0)
            precision = "year" if not self.month else "month" if not self.day else "day"
            leeway_hours = MAX_ZONE_HOURS
        stamp = Timestamp(micros=(at - _EPOCH) // timedelta(microseconds=1))
        if stamp.micros > observed_at.micros + leeway_hours * 3_600_000_000:
            return None
        return PublicationDate(stamp, precision, source)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# ── metadata ─────────────────────────────────────────────────────────────────────────────────────

_ENGLISH_MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip

_ISO_8601 = re.compile(
    r"(?P<year>\d{4})"
    r"(?:(?P<sep>[-/.]?)(?P<month>\d{2})(?:(?P=sep)(?P<day>\d{2})"
    r"(?:(?:[Tt_]|\s+)(?P<hour>\d{2})"
    r"(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"\s*(?P<zone>[Zz]|[A-Z]{3}|[+\-\u2212]\d{2}(?::?\d{2})?)?(?:\[[\w/+\-]+\])?)?"
    r")?)?",
    re.ASCII,
)
_RFC_5322 = re.compile(
    r"(?:[A-Za-z]{3,9},?\s+)?(?P<day>\d{1,2})[\s-]+(?P<month>[A-Za-z]{3})[a-z]*\.?[\s-]+"
    r"(?P<year>\d{4}|\d{2})"
    r"(?:\s+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    r"\s*(?P<zone>[+\-]\d{4}|[A-Za-z]{1,5})?(?:\s*\(\w+\))?)?",
    re.ASCII,
)
_ASCTIME = re.compile(
    r"[A-Za-z]{3}\s+(?P<month>[A-Za-z]{3})\s+(?P<day>\d{1,2})\s+"
    r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})\s+"
    r"(?:(?P<zone>[+\-]\d{4}|[A-Z]{1,5})\s+)?(?P<year>\d{4})",
    re.ASCII,
)


def parse_metadata_date(value: str, source: str, observed_at: Timestamp) -> PublicationDate | None:
    """Read a machine-written date (JSON-LD, meta tag, feed, URL) as far as it can be trusted.

    Understands ISO 8601 in all its precisions, basic or extended, the dates of RFC 5322 (2822,
    822), of C's ``asctime``, and year/month/day as in a URL. A stated offset is converted to UTC.
    A time whose zone is not stated says no more than its day: such a date has precision ``day``
    and stands at 00:00 UTC of the stated day.

    Args:
        value: the date as written.
        source: what to put in ``PublicationDate.source``.
        observed_at: when the page was seen; a date is never later, except that a day without
            zone may have begun up to 14 hours earlier at the publisher's.

    Returns:
        The date, or None for anything else: no date, an impossible one, one before 1600 or in
        the future of its observation, and the moment 0 of Unix time, which is what programs write
        that know no date.
    """
    value = value.strip()
    if not value or len(value) > MAX_METADATA_CHARS:
        return None
    match = _ISO_8601.fullmatch(value) or _RFC_5322.fullmatch(value) or _ASCTIME.fullmatch(value)
    if match is None:
        return None
    found = match.groupdict()
    month = None
    if found["month"]:
        if found["month"].isdigit():
            month = int(found["month"])
        elif found["month"].lower() in _ENGLISH_MONTHS:
            month = _ENGLISH_MONTHS.index(found["month"].lower()) + 1
        else:
            return None
    # Six digits in a row are a year and month to nobody: ISO 8601 forbids them as well.
    if month == 0 or (match.re is _ISO_8601 and found["day"] is None and found["sep"] == ""):
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:  # RFC 5322 section 4.3
        year += 2000 if year < 50 else 1900
    zone = None
    if found["zone"]:
        zone = _zone(found["zone"], _ZONE_HOURS)
        if zone is None and not found["zone"].isalpha():
            return None  # an offset no place has: the writer was broken
    stated = _Stated(
        year,
        month,
        _number(found["day"]),
        _number(found["hour"]),
        _number(found["minute"]),
        _number(found["second"]),
        int((found.get("fraction") or "0").ljust(6, "0")[:6]),
        zone,
    )
    dated = None if stated.day == 0 else stated.dated(source, observed_at)
    is_unset = dated is not None and stated.day is not None and dated.at.micros == 0
    return None if is_unset else dated


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


def _zone(text: str | None, names: dict[str, int]) -> timezone | None:
    """The offset that a zone's name or number states; None where it states none we know."""
    if not text:
        return None
    text = text.upper().replace("\u2212", "-").replace(" ", "")
    if text in names:
        return timezone(timedelta(hours=names[text]))
    digits = text.lstrip("UTCGM")
    if digits[:1] not in ("+", "-"):
        return None
    sign, digits = digits[0], digits[1:].replace(":", "")
    if not digits.isdigit():
        return None
    hours, minutes = (int(digits), 0) if len(digits) < 3 else (int(digits[:-2]), int(digits[-2:]))
    if minutes > 59 or hours * 60 + minutes > MAX_ZONE_HOURS * 60:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(offset if sign == "+" else -offset)


# ── names of months and weekdays ─────────────────────────────────────────────────────────────────

# Shorter names are everyday words in some language ("ma", "so").
_MIN_NAME_CHARS = 3

# Where one spelling names different months in different languages, the month is taken that this
# share of the languages agree on.
_AGREEMENT = 0.75


@cache
def _names() -> tuple[dict[str, tuple[int, ...]], dict[str, frozenset[int]], frozenset[str]]:
    """Months (1–12) and weekdays (0 = Monday) by name, and the Thai names of months."""
    months: defaultdict[str, Counter[int]] = defaultdict(Counter)
    days: defaultdict[str, set[int]] = defaultdict(set)
    for language in localedata.locale_identifiers():
        if "_" in language:  # territories and scripts: the language itself is listed as well
            continue
        for width in ("wide", "abbreviated"):
            for context in ("format", "stand-alone"):
                names = {
                    (key, month)
                    for month, name in get_month_names(width, context, language).items()
                    for key in _keys(name)
                }
                for key, month in names:
                    months[key][month] += 1
                for day, name in get_day_names(width, context, language).items():
                    for key in _keys(name):
                        days[key].add(day)
    agreed: dict[str, tuple[int, ...]] = {}
    for key, votes in months.items():
        month, count = votes.most_common(1)[0]
        agreed[key] = (month,) if count >= _AGREEMENT * votes.total() else tuple(sorted(votes))
    thai = frozenset(
        key for name in get_month_names("wide", "format", "th").values() for key in _keys(name)
    )
    return agreed, {key: frozenset(found) for key, found in days.items()}, thai


def _keys(name: str) -> set[str]:
    """The spellings by which a name is looked up: in full, and without its preposition."""
    full = " ".join(name.casefold().replace("’", "'").split()).strip(".")
    keys = {full, full.rpartition("d'")[2]}
    head, _, tail = full.partition(" ")
    if tail and len(head) <= 3:  # "de gener"
        keys.add(tail)
    return {
        key
        for key in keys
        if not key.isdigit() and (len(key) >= _MIN_NAME_CHARS or not key.isascii())
    }


def _month_numbers(word: str) -> tuple[int, ...]:
    """The months that a word may mean: one, several where languages differ, or none."""
    key = " ".join(word.casefold().replace("’", "'").split()).strip(".")
    months = _names()[0]
    if key in months:
        return months[key]
    # "Sept", "Marc": an abbreviation that CLDR has in another length.
    if key[:3] in _ENGLISH_MONTHS and len(key) == 4 and key.isascii():
        return (_ENGLISH_MONTHS.index(key[:3]) + 1,)
    return ()


def weekday_numbers(word: str) -> frozenset[int]:
    """The weekdays (0 = Monday) that a word names in some language; empty for other words."""
    return _names()[1].get(
        " ".join(word.casefold().replace("’", "'").split()).strip(".,"), frozenset()
    )


def is_calendar_word(word: str) -> bool:
    """Whether a word is the name of a month or a weekday in some language."""
    return bool(_month_numbers(word) or weekday_numbers(word))


# ── dates in text ────────────────────────────────────────────────────────────────────────────────

MAX_DATE_LINE_CHARS = 200
"""A longer line is a paragraph: it is no date line."""

_MAX_SCANNED_CHARS = 2_000
"""Dates are looked for in so much of a line."""

_MAX_OTHER_WORDS = 9
"""Words a date line may hold beside its dates: a label, a name, a reading time."""

_LETTER = r"[^\W\d_]"
_WORD = rf"{_LETTER}[^\s\d,;:()\[\]/|·•–—_-]{{1,24}}"
_MONTH = rf"(?P<month>{_WORD}(?:\s\d{{1,2}}(?!\d))?)"
_YEAR = r"(?P<year>(?:1[6-9]|2[0-9])\d{2})(?!\d)"
_DAY = r"(?<![\d/.:,-])(?P<day>\d{1,2})(?!\d)"
_ORDINAL = r"(?:st|nd|rd|th|er|º|ª|\.)?"
_JOIN = rf"(?:{_LETTER}{{1,4}}[.'’]?\s{{1,2}})?"  # "de", "of", "del", "на"

_NAMED = (
    re.compile(rf"{_DAY}{_ORDINAL}[\s-]{{1,3}}{_JOIN}{_MONTH}[\s,.-]{{1,3}}{_JOIN}{_YEAR}"),
    re.compile(
        rf"(?<!\w){_MONTH}\.?\s{{0,2}}(?P<day>\d{{1,2}})(?!\d){_ORDINAL},?\s{{0,2}}{_JOIN}{_YEAR}"
    ),
    re.compile(rf"(?<!\d){_YEAR}[.,]?\s{{0,2}}{_JOIN}{_MONTH}\s{{1,2}}(?P<day>\d{{1,2}})(?!\d)"),
)
_NAMED_MONTH_YEAR = re.compile(rf"(?<!\w){_MONTH}[\s,]{{1,2}}{_JOIN}{_YEAR}")
_NAMED_NO_YEAR = (
    re.compile(rf"(?<!\w){_MONTH}\.?\s{{1,2}}(?P<day>\d{{1,2}})(?!\d){_ORDINAL}"),
    re.compile(rf"{_DAY}{_ORDINAL}\s{{1,2}}{_JOIN}{_MONTH}"),
)
_YEAR_FIRST = re.compile(
    r"(?<![\d./-])(?P<year>(?:1[6-9]|20)\d{2})(?:(?P<sep>[-/.])\s?(?P<month>\d{1,2})(?P=sep)\s?"
    r"(?P<day>\d{1,2})(?!\d)"
    r"|\s?[年년]\s?(?P<month2>\d{1,2})\s?[月월]\s?(?P<day2>\d{1,2})\s?[日일號号])"
)
_YEAR_LAST = re.compile(
    r"(?<!\d)(?<!\d[./-])(?P<one>\d{1,2})(?P<sep>[-/.])\s?(?P<two>\d{1,2})(?P=sep)\s?"
    r"(?P<year>(?:1[6-9]|20)\d{2})(?!\d|[/-]\d{1,2}(?![\d:]))"
)
_TIME = re.compile(
    r"(?<![\d:.,/-])(?P<hour>[01]?\d|2[0-4])\s?[:.hH時시]\s?(?P<minute>[0-5]\d)(?!\d)"
    r"(?::(?P<second>[0-5]\d)(?!\d))?(?:\s?(?P<half>[apAP])\.?\s?[mM]\b\.?)?"
    r"(?:\s?\(?(?P<zone>(?:UTC|GMT)\s?[+\-\u2212]\s?\d{1,2}(?::?\d{2})?|Z\b"
    r"|[+\-\u2212]\d{2}:?\d{2}(?!\d)|[A-Z]{2,5}\b)\)?)?"
)
_DIGIT = re.compile(r"\d")
_WORDS = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*")

# Stems of "updated" in the languages of most pages; "published" needs none, being the default.
_UPDATED = re.compile(
    r"updat|modif|edited|aktuali|actuali|atualiz|aggiorna|mis(?:e)? à jour|ändert|geändert"
    r"|uppdat|oppdat|opdat|bijgewerkt|güncel|обнов|оновл|zaktual|naposled|frissít|ενημέρ"
    r"|diperbarui|cập nhật|更新|업데이트|수정|تحديث|به‌?روز|अपडेट|আপডেট|imesasishwa",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class DateMention:
    """A calendar date as it stands in a line.

    ``start`` and ``end`` are character offsets; ``day`` is None for a mere month; ``hour`` and
    ``minute`` are None where no time stands beside it, ``zone`` where no zone is stated;
    ``updated`` says that its label speaks of an update.
    """

    start: int
    end: int
    year: int
    month: int
    day: int | None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    zone: timezone | None = None
    updated: bool = False

    def iso(self) -> str:
        """The date in ISO 8601, as far as it is stated."""
        day = "" if self.day is None else f"-{self.day:02}"
        return f"{self.year:04}-{self.month:02}{day}"

    def dated(self, source: str, observed_at: Timestamp) -> PublicationDate | None:
        """The date in UTC; day-precise where no zone is stated; None if in the future."""
        stated = _Stated(
            self.year, self.month, self.day, self.hour, self.minute, self.second, 0, self.zone
        )
        return stated.dated(source, observed_at)


@dataclass(frozen=True)
class DateLine:
    """A line whose business is to date the text around it.

    ``published`` and ``updated`` are its first date of either kind, ``weekday`` a weekday that
    stands for a date of its own ("Published on Wednesday"), and ``rest`` what it holds beside
    dates and times, such as an author's name.
    """

    published: DateMention | None
    updated: DateMention | None
    weekday: int | None
    rest: str


def find_dates(text: str) -> list[DateMention]:
    """Find the calendar dates with a year in a line of text, in order.

    Day and month as mere numbers count only where their order is beyond doubt: year first,
    separated by dots (day first in every locale of CLDR that writes dots), one of them over 12,
    both the same, or one order alone fitting the weekday beside it. A date whose weekday is
    stated and wrong is left out: one of the two is a mistake.
    """
    text = _with_ascii_digits(text[:_MAX_SCANNED_CHARS])
    if not _DIGIT.search(text):
        return []
    found: list[DateMention] = []
    for pattern in _NAMED:
        for match in pattern.finditer(text):
            year = _christian_year(int(match["year"]), match["month"])
            months = _month_numbers(match["month"])
            readings = [(year, month, int(match["day"])) for month in months]
            found.extend(_checked(text, match, readings))
    for match in _YEAR_FIRST.finditer(text):
        month, day = int(match["month"] or match["month2"]), int(match["day"] or match["day2"])
        found.extend(_checked(text, match, [(int(match["year"]), month, day)]))
    for match in _YEAR_LAST.finditer(text):
        year, one, two = int(match["year"]), int(match["one"]), int(match["two"])
        orders = [(year, two, one)]
        if match["sep"] != "." and one != two:
            orders.append((year, one, two))
        found.extend(_checked(text, match, orders))
    found.sort(key=lambda mention: (mention.start, -mention.end))
    return _with_times(text, _disjoint(found))


def _with_ascii_digits(text: str) -> str:
    """Write decimal digits of other scripts (Arabic, Devanagari …) as ASCII, each in its place."""
    if text.isascii():
        return text
    return _DIGIT.sub(lambda digit: str(int(digit[0])), text)


def _christian_year(year: int, month_name: str) -> int:
    """Thai pages count years from the Buddha's death, 543 years earlier."""
    thai = month_name.strip(".") in _names()[2]
    return year - 543 if thai and year > 2400 else year


def _checked(
    text: str, match: re.Match[str], readings: list[tuple[int, int, int]]
) -> list[DateMention]:
    """The one reading that is a day of the calendar and fits the weekday beside it, if any."""
    possible = [reading for reading in readings if _is_day(*reading)]
    stated = _weekday_beside(text, match.start(), match.end())
    if stated:
        possible = [reading for reading in possible if date(*reading).weekday() in stated]
    if len(possible) != 1:
        return []
    return [DateMention(match.start(), match.end(), *possible[0])]


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return year >= MIN_YEAR


def _weekday_beside(text: str, start: int, end: int) -> frozenset[int]:
    """Weekdays named by the word before a date, or after it in brackets or behind a comma."""
    before = re.search(
        rf"({_WORD}(?:-feira)?)[\s,.]{{0,3}}(?:(?:the|den|le|el|a)\s)?$", text[:start][-40:]
    )
    if before and (days := weekday_numbers(before[1])):
        return days
    after = re.match(rf"\s?[,(（]\s?({_WORD})", text[end : end + 30])
    if after and (days := weekday_numbers(after[1])):
        return days
    return frozenset()


def _disjoint(found: list[DateMention]) -> list[DateMention]:
    kept: list[DateMention] = []
    for mention in found:
        if not kept or mention.start >= kept[-1].end:
            kept.append(mention)
    return kept


def _with_times(text: str, mentions: list[DateMention]) -> list[DateMention]:
    """Give each date the time of day beside it and the label before it."""
    timed: list[DateMention] = []
    previous_end = 0
    for index, mention in enumerate(mentions):
        following = mentions[index + 1].start if index + 1 < len(mentions) else len(text)
        label = text[previous_end : mention.start]
        updated = _UPDATED.search(label) is not None
        # A time after the date, else one before it ("20:00, 29 Jan 2024").
        time = _TIME.search(text, mention.end, min(following, mention.end + 40))
        if time and _UPDATED.search(text, mention.end, time.start()):
            time = None  # the time of an update that fell on the same day
        if time is None:
            time = _TIME.search(text, max(previous_end, mention.start - 20), mention.start)
        previous_end = mention.end
        if time is None:
            timed.append(replace(mention, updated=updated))
            continue
        previous_end = max(mention.end, time.end())
        hour = int(time["hour"])
        if time["half"] and hour <= 12:
            hour = hour % 12 + (12 if time["half"] in "pP" else 0)
        timed.append(
            replace(
                mention,
                start=min(mention.start, time.start()),
                end=previous_end,
                hour=hour,
                minute=int(time["minute"]),
                second=_number(time["second"]),
                zone=_zone(time["zone"], _TEXT_ZONE_HOURS),
                updated=updated,
            )
        )
    return timed


def parse_date_line(line: str) -> DateLine | None:
    """Read a line that does little more than state dates; None for any other line.

    "Tuesday, 14 January, 2020 - 07:15", "By Ann Lee | Updated on 3 Jan 2024 | 5 min read" and
    "3 janvier 2024 à 10h30" are such lines; a sentence or a caption with a date in it is not.
    """
    line = _with_ascii_digits(line.strip())
    if not line or len(line) > MAX_DATE_LINE_CHARS or line.startswith(("©", "(c)", "(C)")):
        return None
    mentions = find_dates(line)
    rest = line
    for mention in reversed(mentions):
        rest = f"{rest[: mention.start]} {rest[mention.end :]}"
    if not mentions:
        return _month_line(line)
    rest = _TIME.sub(" ", rest)
    words = _WORDS.findall(rest)
    others = [word for word in words if not weekday_numbers(word)]
    is_sentence = len(others) > 4 and line.endswith((".", "!", "?", "。", "।"))
    if len(others) > _MAX_OTHER_WORDS or is_sentence:
        return None
    published = next((mention for mention in mentions if not mention.updated), None)
    updated = next((mention for mention in mentions if mention.updated), None)
    weekday = None
    if published is None:
        weekday = _lone_weekday(words, updated)
    return DateLine(published, updated, weekday, _tidy(rest))


_MIN_WEEKDAY_CHARS = 5
"""By itself a shorter word is as well a name ("Ann", "Lee", "Min") as an abbreviated weekday."""


def _lone_weekday(words: list[str], updated: DateMention | None) -> int | None:
    """The first weekday named that does not merely belong to the date of the update."""
    full = [word for word in words if len(word) >= _MIN_WEEKDAY_CHARS or not word.isascii()]
    named = [min(days) for days in map(weekday_numbers, full) if len(days) == 1]
    if updated and updated.day:
        own = date(updated.year, updated.month, updated.day).weekday()
        if own in named:
            named.reverse()
            named.remove(own)
            named.reverse()
    return named[0] if named else None


def _month_line(line: str) -> DateLine | None:
    """A line that is nothing but a month and its year."""
    match = _NAMED_MONTH_YEAR.search(line)
    months = _month_numbers(match["month"]) if match else ()
    if match is None or len(months) != 1:
        return None
    rest = f"{line[: match.start()]} {line[match.end() :]}"
    if len(_WORDS.findall(rest)) > 2 or _DIGIT.search(rest):
        return None
    year = _christian_year(int(match["year"]), match["month"])
    mention = DateMention(match.start(), match.end(), year, months[0], None)
    if _UPDATED.search(rest):
        return DateLine(None, mention, None, _tidy(rest))
    return DateLine(mention, None, None, _tidy(rest))


def _tidy(rest: str) -> str:
    return re.sub(r"\s+", " ", rest).strip(" \t-–—|·•,;:/()")


def find_day_without_year(text: str) -> tuple[int, int, int, int] | None:
    """Find the first day and month named without a year: (start, end, month, day), or None."""
    text = text[:_MAX_SCANNED_CHARS]
    for pattern in _NAMED_NO_YEAR:
        for match in pattern.finditer(text):
            months = _month_numbers(match["month"])
            if len(months) == 1 and _is_day(2000, months[0], int(match["day"])):
                return match.start(), match.end(), months[0], int(match["day"])
    return None


def previous_weekday(weekday: int, anchor: date) -> date:
    """The last such weekday (0 = Monday) on or before a day: what "on Friday" means in news."""
    return anchor - timedelta(days=(anchor.weekday() - weekday) % 7)


# ── dating an article ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class DatelineDay:
    """Day and month of a dateline, with the year where its own line states one."""

    month: int
    day: int
    year: int | None = None


def date_article(
    date_lines: Sequence[DateLine],
    datelines: Sequence[DatelineDay],
    captions: Iterable[str],
    paragraphs: Iterable[str],
    observed_at: Timestamp,
) -> tuple[PublicationDate | None, tuple[DateHint, ...]]:
    """Date an article by the evidence in its text, and keep the rest of it as hints.

    The trust order is date line, then dateline; publication comes before update. A weekday alone
    in a date line is resolved against a full date beside it, and a dateline without a year takes
    the year of a date line or none. Captions and sentences date nothing: a file photo is older
    than its story, and a story tells of other days.

    Args:
        date_lines: those of the article, nearest to its headline first.
        datelines: day and month from datelines, in order.
        captions: the article's captions.
        paragraphs: its body.
        observed_at: when the page was seen; no later date is taken.

    Returns:
        The publication date, or None without evidence, and hints in the order captions, body,
        disagreeing date lines; each day once.
    """
    published, stated = _date_by_lines(date_lines, observed_at)
    for dateline in datelines:
        year = dateline.year
        if year is None and stated is not None and stated.month == dateline.month:
            year = stated.year
        coarse = published is None or published.precision in ("month", "year")
        if year is not None and coarse and _is_day(year, dateline.month, dateline.day):
            day = _Stated(year, dateline.month, dateline.day)
            published = day.dated("dateline", observed_at) or published
    own = {stated.iso()} if stated else set()
    if published:
        own.add(published.at.to_rfc3339()[:10])
    evidence = [
        *((mention, "caption") for text in captions for mention in find_dates(text)),
        *((mention, "body") for text in paragraphs for mention in find_dates(text)),
        *((line.published, "date-line") for line in date_lines),
        *((line.updated, "date-line") for line in date_lines),
    ]
    hints: dict[str, DateHint] = {}
    for other, source in evidence:
        if other and other.iso() not in own and other.dated(source, observed_at):
            hints.setdefault(other.iso(), DateHint(other.iso(), source))
    return published, tuple(hints.values())


def _date_by_lines(
    date_lines: Sequence[DateLine], observed_at: Timestamp
) -> tuple[PublicationDate | None, DateMention | None]:
    """The date that the date lines give, and the mention it was read from."""
    for line in date_lines:
        if line.published and (published := line.published.dated("date-line", observed_at)):
            return published, line.published
    for line in date_lines:
        updated = line.updated
        published = updated.dated("date-line", observed_at) if updated else None
        if updated is None or published is None:
            continue
        if line.weekday is not None and updated.day is not None:
            anchor = date(updated.year, updated.month, updated.day)
            day = previous_weekday(line.weekday, anchor)
            stated = _Stated(day.year, day.month, day.day)
            return stated.dated("relative-day", observed_at), updated
        return published, updated
    return None, None
