"""What a live feed knows of an item → the fields that its page leaves open.

A page that was fetched for an item of a live feed holds the item: what the feed knows of it fills
what the page leaves open, with the source ``feed``, and ``reconcile_dates`` tells which of two
dates is the surer. What the subscription says of its items stands as ``section`` where the page has
none, with the source ``subscription``, and reaches the classification of topics as such. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from apache_beam.utils.timestamp import Timestamp

from schemas.records import Article, DateHint, FeedItem, Provenance, PublicationDate
from transforms.bylines import parse_agency
from transforms.dates import parse_metadata_date
from transforms.page_metadata import clean_authors

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


def fed_date(value: str | None, source: str, observed_at: Timestamp) -> PublicationDate | None:
    """A date as an item has it; None where it has none, or one after the observation."""
    return parse_metadata_date(value, source, observed_at) if value else None


def first_seen(item: FeedItem, observed_at: Timestamp) -> PublicationDate | None:
    """When a poll first listed an item; None for an item of a saved feed."""
    return fed_date(item.first_seen, FIRST_SEEN, observed_at)


def day_of(date: PublicationDate | None) -> PublicationDate | None:
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
    seen = first_seen(item, article.observed_at)
    stated = fed_date(item.published, "feed", article.observed_at)
    published = reconcile_dates(article.published, stated, seen) or day_of(seen)
    if published is not None and published is not article.published:
        fed["published"] = published
        added.append(Provenance("published", published.source))
    replaced = {"published", "site"} & fed.keys()
    kept = [entry for entry in article.provenance if entry.field not in replaced]
    return dataclasses.replace(
        article,
        guid=item.guid,
        hints=tuple(dict.fromkeys([*article.hints, *change_hints(item, article.observed_at)])),
        provenance=tuple(sorted([*kept, *added], key=lambda entry: entry.field)),
        **fed,  # type: ignore[arg-type]
    )


def _fed_fields(article: Article, item: FeedItem) -> dict[str, object]:
    """What the feed says where the page says nothing."""
    names = [name for name in (article.site, item.feed_title) if name]
    fed: dict[str, object] = {
        "title": item.title,
        "authors": clean_authors(item.authors, names),
        "agency": agency_of(item),
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


def agency_of(item: FeedItem) -> str | None:
    """The first news agency among the authors of an item."""
    return next((agency for name in item.authors if (agency := parse_agency(name))), None)


def change_hints(item: FeedItem, observed_at: Timestamp) -> tuple[DateHint, ...]:
    """The day on which the feed says that its item was changed: never its date of publication."""
    changed = day_of(fed_date(item.updated, "feed", observed_at))
    return (DateHint(changed.at.to_rfc3339()[:10], "modified"),) if changed else ()
