"""The canonical row takes what its copies know better, in an order that no arrival decides."""

from __future__ import annotations

from collections.abc import Callable

from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Article, Extraction, Provenance, PublicationDate
from transforms.merging import merge_article

DAY = PublicationDate(Timestamp.from_rfc3339("2026-02-13T00:00:00Z"), "day", "date-line")
LATER = PublicationDate(Timestamp.from_rfc3339("2026-02-14T09:30:00Z"), "minute", "meta")


def test_what_the_canonical_text_lacks_is_taken_with_its_provenance(
    make_article: Callable[..., Article],
) -> None:
    bare = make_article("text", "a", title="Title")
    copy = make_article("text", "b", authors=("Ada Writer",), agency="LNS", published=DAY)
    merged = merge_article(bare, [("exact", copy)])
    assert (merged.title, merged.authors, merged.agency) == ("Title", ("Ada Writer",), "LNS")
    assert merged.published == PublicationDate(DAY.at, "day", "sibling")
    assert Provenance("authors", "sibling", "b") in merged.provenance
    assert Provenance("published", "sibling", "b") in merged.provenance


def test_what_the_canonical_text_knows_is_kept(make_article: Callable[..., Article]) -> None:
    own = make_article("text", "a", authors=("Own Author",), published=DAY)
    copy = make_article("text", "b", authors=("Other Author",), published=LATER)
    merged = merge_article(own, [("exact", copy)])
    assert (merged.authors, merged.published, merged.provenance) == (("Own Author",), DAY, ())


def test_a_whole_copy_is_asked_before_an_abridged_one(
    make_article: Callable[..., Article],
) -> None:
    bare = make_article("text", "a")
    cut = make_article("te", "b", agency="CUT", published=LATER)
    whole = make_article("text", "c", agency="WHOLE")
    assert merge_article(bare, [("abridged", cut), ("near", whole)]).agency == "WHOLE"


def test_a_date_beyond_the_observation_is_not_taken(make_article: Callable[..., Article]) -> None:
    early = make_article("text", "a", observed_at=Timestamp.from_rfc3339("2026-02-01T00:00:00Z"))
    assert (
        merge_article(early, [("exact", make_article("text", "b", published=DAY))]).published
        is None
    )


@given(order=st.permutations(range(5)))
def test_the_order_of_copies_does_not_matter(order: list[int]) -> None:
    extraction = Extraction("test", "", 1.0, "utf-8")
    copies = [
        ("near", Article("b", "b", "b", "", Timestamp(10**10), extraction, agency="B")),
        ("exact", Article("c", "c", "c", "", Timestamp(10**10), extraction, published=DAY)),
        ("exact", Article("d", "d", "d", "", Timestamp(10**10), extraction, published=LATER)),
        ("abridged", Article("e", "e", "e", "", Timestamp(10**10), extraction, agency="E")),
        ("near", Article("f", "f", "f", "", Timestamp(10**10), extraction, agency="F", title="T")),
    ]
    bare = Article("a", "a", "a", "text", Timestamp(10**10), extraction)
    expected = merge_article(bare, copies)
    assert merge_article(bare, [copies[place] for place in order]) == expected
    assert (expected.agency, expected.published) == (
        "F",
        PublicationDate(LATER.at, "minute", "sibling"),
    )


def test_a_copy_that_knows_more_is_asked_before_one_that_knows_less(
    make_article: Callable[..., Article],
) -> None:
    early = make_article("text", "a", title="Early", published=DAY)
    rich = make_article("text", "b", title="Rich", agency="LNS", tags=("x",), published=LATER)
    merged = merge_article(make_article("text", "c"), [("exact", early), ("exact", rich)])
    assert merged.title == "Rich"


def test_of_copies_that_know_as_much_the_agency_s_own_is_asked_first(
    make_article: Callable[..., Article],
) -> None:
    reprint = make_article("text", "a", title="Reprint", site="Courier", published=DAY)
    wire = make_article("text", "b", title="Wire", site="Lorne News", published=LATER)
    canonical = make_article("text", "c", agency="LORNE NEWS")
    assert merge_article(canonical, [("near", reprint), ("near", wire)]).title == "Wire"


def test_of_copies_that_know_as_much_the_earliest_published_is_asked_first(
    make_article: Callable[..., Article],
) -> None:
    later = make_article("text", "a", title="Later", published=LATER)
    first = make_article("text", "b", title="First", published=DAY)
    merged = merge_article(make_article("text", "c"), [("near", later), ("near", first)])
    assert merged.title == "First"


def test_a_copy_of_which_bytes_were_damaged_is_asked_last(
    make_article: Callable[..., Article],
) -> None:
    extraction = Extraction("test", "test==1", 1.0, "utf-8", repaired=True)
    damaged = make_article("text", "a", title="Caf\ufffd", agency="LNS", extraction=extraction)
    clean = make_article("text", "b", title="Café")
    merged = merge_article(make_article("text", "c"), [("exact", damaged), ("exact", clean)])
    assert (merged.title, merged.agency) == ("Café", "LNS")


def test_the_best_dated_copy_gives_the_date_however_little_else_it_knows(
    make_article: Callable[..., Article],
) -> None:
    rich = make_article("text", "a", title="Title", authors=("Ada Writer",), published=DAY)
    dated = make_article("text", "b", published=LATER)
    merged = merge_article(make_article("text", "c"), [("exact", rich), ("exact", dated)])
    assert merged.published == PublicationDate(LATER.at, "minute", "sibling")
