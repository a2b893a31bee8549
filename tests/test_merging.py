"""The canonical row takes what its copies know better, and works are numbered through."""

from __future__ import annotations

from collections.abc import Callable

from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import (
    Article,
    Extraction,
    Fingerprint,
    Provenance,
    PublicationDate,
    Verdict,
)
from transforms.merging import KnownWork, merge_article, number_revisions

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
        "B",
        PublicationDate(LATER.at, "minute", "sibling"),
    )


HASH_A, HASH_B = "a" * 64, "b" * 64
WORK = "0" * 32


def text(
    ref: int, content_hash: str, *, seen: int = 100, words: int = 100
) -> tuple[Verdict, Fingerprint]:
    fingerprint = Fingerprint(
        f"{ref}.txt", WORK, content_hash, f"{ref}.txt", Timestamp(seen), words, b""
    )
    return Verdict(ref, "canonical", WORK, 1.0), fingerprint


def known(revision: int, *hashes: str) -> KnownWork:
    return KnownWork(revision, frozenset(bytes.fromhex(one)[:16] for one in hashes))


def revisions(*texts: tuple[Verdict, Fingerprint]) -> dict[int, int]:
    return {verdict.ref: verdict.revision for verdict in number_revisions(texts, None)}


def test_texts_of_one_work_are_numbered_in_the_order_they_were_seen() -> None:
    assert revisions(text(1, HASH_B, seen=200), text(2, HASH_A, seen=100)) == {2: 0, 1: 1}


def test_of_texts_seen_at_one_time_the_fuller_is_the_newest_revision() -> None:
    assert revisions(text(1, HASH_A, words=600), text(2, HASH_B, words=80)) == {2: 0, 1: 1}


def test_numbers_go_on_from_what_the_dataset_holds() -> None:
    [revision] = number_revisions([text(1, HASH_B)], known(3, HASH_A))
    assert (revision.kind, revision.revision) == ("canonical", 4)


def test_a_text_that_the_work_already_has_in_the_dataset_is_a_copy_of_its_row() -> None:
    [copy] = number_revisions([text(1, HASH_A)], known(0, HASH_A))
    assert (copy.kind, copy.canonical_id, copy.canonical_ref) == ("exact", WORK, -1)


def test_a_text_that_the_work_already_has_in_this_run_is_counted_as_its_copy() -> None:
    first, copy = number_revisions([text(1, HASH_A, seen=100), text(2, HASH_A, seen=200)], None)
    assert (first.ref, first.revision, first.copies) == (1, 0, 1)
    assert (copy.kind, copy.canonical_ref) == ("exact", 1)
