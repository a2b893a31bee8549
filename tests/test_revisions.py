"""The same work with a changed text, or title, is a revision, which says what changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import apache_beam as beam
import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipelines.local import local_runner
from schemas.arrow import ARTICLES, to_table
from schemas.records import Fingerprint, StagedBlock, Verdict
from transforms.merging import NumberRevisions, number_revisions, settle_article
from transforms.shingles import print_text, title_key
from transforms.staging import ref_of, write_prints
from transforms.storage import LocalStore
from transforms.verdicts import Sibling, read_verdicts, write_verdicts
from transforms.works import (
    NO_TITLE,
    WORK,
    KnownRow,
    Revision,
    pack_title_key,
    shingles_kept,
    unpack_works,
)

OLD_BODY = "The harbour board of Lorne meets on Friday to vote on the new pier."
NEW_BODY = "The harbour board of Lorne meets on Monday to vote on the new pier."
TITLE = "Board to vote on pier"
WORK_ID = "ab" * 16


def fingerprint(
    body: str = OLD_BODY,
    title: str | None = TITLE,
    *,
    seen: int = 100,
    origin: str = "a",
    work: str = WORK_ID,
) -> Fingerprint:
    text = print_text(body)
    return Fingerprint(
        origin=origin,
        article_id=work,
        content_hash=text.content_hash,
        source_uri=origin,
        observed_at=Timestamp(seen),
        word_count=text.word_count,
        signature=text.signature,
        shingles=text.shingles,
        title_key=title_key(title),
    )


def known(number: int, body: str = OLD_BODY, title: str | None = TITLE) -> Revision:
    text = fingerprint(body, title)
    content = bytes.fromhex(text.content_hash[:32])
    return Revision(number, content, pack_title_key(text.title_key), place=KnownRow(0, number))


def numbered(*texts: Fingerprint, rows: tuple[Revision, ...] = ()) -> list[Verdict]:
    """The verdicts on texts with the references 0, 1, 2 and so on, by reference."""
    own = [(Verdict(ref, "canonical", WORK_ID, 1.0), text) for ref, text in enumerate(texts)]
    found = [verdict for verdict, _ in number_revisions(own, rows)]
    return sorted(found, key=lambda verdict: verdict.ref)


# ── which text is a revision ────────────────────────────────────────────────────────────────────


def test_texts_of_one_work_are_numbered_in_the_order_they_were_seen() -> None:
    later, earlier = numbered(fingerprint(NEW_BODY, seen=200), fingerprint(OLD_BODY, seen=100))
    assert (earlier.kind, earlier.revision) == ("canonical", 0)
    assert (later.kind, later.revision) == ("revision", 1)


def test_of_texts_seen_at_one_time_the_fuller_is_the_newest_revision() -> None:
    whole, cut = numbered(fingerprint(OLD_BODY), fingerprint("The harbour board of Lorne meets."))
    assert (cut.revision, whole.revision) == (0, 1)


def test_numbers_go_on_from_what_the_dataset_holds() -> None:
    [verdict] = numbered(fingerprint(NEW_BODY), rows=(known(3), known(2, "Before.")))
    assert (verdict.kind, verdict.revision) == ("revision", 4)


def test_a_corrected_comma_changes_nothing() -> None:
    corrected = OLD_BODY.replace("Friday to", "Friday, to").replace("Lorne", "LORNE")
    [verdict] = numbered(fingerprint(corrected, "Board to vote on pier!"), rows=(known(0),))
    assert (verdict.kind, verdict.canonical_id, verdict.canonical_ref) == ("exact", WORK_ID, -1)


def test_a_changed_title_is_a_revision() -> None:
    [verdict] = numbered(fingerprint(title="Board votes"), rows=(known(0),))
    assert (verdict.kind, verdict.revision, verdict.title_changed) == ("revision", 1, True)


@pytest.mark.parametrize(("before", "now"), [(TITLE, None), (None, TITLE)])
def test_a_title_that_was_lost_or_found_is_no_change(before: str | None, now: str | None) -> None:
    [copy] = numbered(fingerprint(title=now), rows=(known(0, title=before),))
    assert copy.kind == "exact"
    [revised] = numbered(fingerprint(NEW_BODY, now), rows=(known(0, title=before),))
    assert (revised.kind, revised.title_changed) == ("revision", False)


def test_a_title_that_goes_back_to_an_earlier_one_adds_nothing() -> None:
    rows = (known(0), known(1, title="Board votes"))
    [verdict] = numbered(fingerprint(title=TITLE), rows=rows)
    assert verdict.kind == "exact"


def test_a_text_that_goes_back_to_an_earlier_one_adds_nothing() -> None:
    [verdict] = numbered(fingerprint(OLD_BODY), rows=(known(0), known(1, NEW_BODY)))
    assert verdict.kind == "exact"


def test_titles_that_differ_at_one_moment_are_no_change() -> None:
    first, second = numbered(
        fingerprint(title="In the feed", origin="a"), fingerprint(title="On the page", origin="b")
    )
    assert (first.revision, first.copies) == (0, 1)
    assert (second.kind, second.canonical_ref) == ("exact", 0)


@given(
    texts=st.lists(
        st.tuples(
            st.sampled_from([OLD_BODY, NEW_BODY, "Three more words."]),
            st.sampled_from([None, "One", "Two"]),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=8,
    ),
    data=st.data(),
)
def test_numbers_have_no_gap_and_do_not_depend_on_the_order_of_arrival(
    texts: list[tuple[str, str | None, int]], data: st.DataObject
) -> None:
    prints = [
        fingerprint(body, title, seen=seen, origin=f"{place}")
        for place, (body, title, seen) in enumerate(texts)
    ]
    places = data.draw(st.permutations(range(len(prints))))
    expected = numbered(*prints)
    moved = numbered(*(prints[place] for place in places))

    def by_origin(verdicts: list[Verdict], order: list[int]) -> dict[int, tuple[str, int, int]]:
        return {order[v.ref]: (v.kind, v.revision, v.copies) for v in verdicts}

    assert by_origin(moved, places) == by_origin(expected, list(range(len(prints))))
    rows = [verdict for verdict in expected if verdict.kind != "exact"]
    assert sorted(row.revision for row in rows) == list(range(len(rows)))
    assert sum(row.copies for row in rows) == len(prints) - len(rows)


@given(
    texts=st.lists(
        st.tuples(
            st.sampled_from([OLD_BODY, NEW_BODY]), st.sampled_from([None, "One", "Two", "ONE!"])
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_was_seen_before_adds_nothing_when_it_is_seen_again(
    texts: list[tuple[str, str | None]],
) -> None:
    prints = [fingerprint(*text, seen=moment) for moment, text in enumerate(texts)]
    rows = tuple(
        known(verdict.revision, *texts[verdict.ref])
        for verdict in numbered(*prints)
        if verdict.kind != "exact"
    )
    assert {verdict.kind for verdict in numbered(*prints, rows=rows)} == {"exact"}


# ── copies of a work that repeats itself ────────────────────────────────────────────────────────


def test_a_text_that_the_work_already_has_in_this_run_is_counted_as_its_copy() -> None:
    first, copy = numbered(fingerprint(seen=100), fingerprint(seen=200, origin="b"))
    assert (first.ref, first.revision, first.copies) == (0, 0, 1)
    assert (copy.kind, copy.canonical_ref) == ("exact", 0)


def test_copies_of_a_text_that_becomes_a_copy_go_on_to_what_it_copies() -> None:
    texts = [
        (Verdict(0, "canonical", WORK_ID, 1.0, copies=1), fingerprint(seen=100)),
        (Verdict(1, "canonical", WORK_ID, 1.0, copies=2), fingerprint(seen=200, origin="b")),
    ]
    copies = [
        Verdict(5, "near", WORK_ID, 0.8, canonical_ref=0),
        Verdict(6, "near", WORK_ID, 0.7, canonical_ref=1),
        Verdict(7, "exact", WORK_ID, 1.0, canonical_ref=1),
    ]
    found = {verdict.ref: verdict for verdict, _ in number_revisions(texts, (), copies)}
    assert found[0].copies == 4
    assert {ref: found[ref].canonical_ref for ref in (1, 5, 6, 7)} == dict.fromkeys((1, 5, 6, 7), 0)
    assert (found[6].kind, found[6].similarity) == ("near", 0.7)


def test_copies_of_a_text_that_the_dataset_has_are_copies_of_its_row() -> None:
    texts = [(Verdict(0, "canonical", WORK_ID, 1.0, copies=1), fingerprint())]
    copies = [Verdict(5, "near", WORK_ID, 0.8, canonical_ref=0)]
    found = [verdict for verdict, _ in number_revisions(texts, (known(0),), copies)]
    assert {(verdict.canonical_id, verdict.canonical_ref) for verdict in found} == {(WORK_ID, -1)}


# ── what changed ────────────────────────────────────────────────────────────────────────────────


def test_shingles_kept_is_a_share_of_the_distinct_shingles_before() -> None:
    before = print_text("one two three four one two three four").shingles
    now = print_text("one two three and more words").shingles
    assert shingles_kept(before, now) == 1 / 4
    assert shingles_kept(before, before) == 1.0


def test_of_a_text_that_is_too_short_nothing_is_kept_or_lost() -> None:
    short = print_text("Two words").shingles
    assert shingles_kept(short, print_text(OLD_BODY).shingles) == -1.0


def test_rows_of_the_dataset_are_read_from_their_packed_form() -> None:
    row = np.zeros(1, WORK)
    row["content_hash"] = np.frombuffer(b"c" * 16, "V16")
    row["revision"], row["file"], row["row"] = 2, 3, 70_000
    assert unpack_works([row.tobytes()]) == [
        Revision(2, b"c" * 16, NO_TITLE, place=KnownRow(3, 70_000))
    ]


# ── carried out ─────────────────────────────────────────────────────────────────────────────────


def test_a_revision_is_no_sibling_of_the_text_it_revises(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    block = StagedBlock("articles", "blocks/a", 3, number=0)
    verdicts = [
        Verdict(0, "canonical", WORK_ID, 1.0, copies=1),
        Verdict(1, "revision", WORK_ID, 0.9, 0, 0, 1, title_changed=True, shingles_kept=0.75),
        Verdict(2, "near", WORK_ID, 0.9, canonical_ref=0),
    ]
    write_verdicts(store, "verdicts", block, [], verdicts)
    found = read_verdicts(store, "verdicts", block)
    assert found.siblings == {0: [Sibling("near", 2)]}
    assert list(found.of_row.values()) == verdicts


def test_the_row_of_a_revision_says_what_changed(make_article) -> None:
    verdict = Verdict(
        1, "revision", WORK_ID, 0.9, revision=1, title_changed=True, shingles_kept=0.75
    )
    settled = settle_article(make_article(NEW_BODY), fingerprint(NEW_BODY), verdict, [])
    assert (settled.revision, settled.title_changed, settled.shingles_kept) == (1, True, 0.75)


def staged(store: LocalStore, number: int, *texts: Fingerprint) -> StagedBlock:
    block = write_prints(store, f"blocks-{number}", texts)
    return StagedBlock("articles", block.path, block.rows, number)


def row_of(work: str, body: str, **columns: object) -> dict[str, Any]:
    """A row of ``articles`` with what no row is without, and some more columns."""
    return {
        "article_id": work,
        "revision": 0,
        "origin": "file#1",
        "source_uri": "file",
        "body": body,
        "title": TITLE,
        "observed_at": Timestamp(50).to_utc_datetime(has_tz=True),
        "word_count": 1,
        "content_hash": print_text(body).content_hash,
        "copies": 0,
        "run_id": "r",
        **columns,
    }


def dataset_file(root: Path, name: str, rows: list[tuple[str, str]]) -> str:
    """A file of ``articles`` with these (work, body), a row group each; gives its path."""
    written = [row_of(*row) for row in rows]
    pq.write_table(to_table(written, ARTICLES), root / name, row_group_size=1)
    return name


def packed_work(work: str, body: str, file: int, row: int) -> bytes:
    packed = np.zeros(1, WORK)
    packed["article_id"] = np.frombuffer(bytes.fromhex(work), "V16")
    packed["content_hash"] = np.frombuffer(bytes.fromhex(print_text(body).content_hash), "V16")[:1]
    packed["title_key"] = np.frombuffer(pack_title_key(title_key(TITLE)), "V8")
    packed["file"], packed["row"] = file, row
    return packed.tobytes()


def test_the_graph_numbers_works_of_the_run_and_of_the_dataset(tmp_path: Path) -> None:
    """Three works: one in the dataset, in the second of two files; one in the run; a third alone.

    The copy is one of a text that the dataset turns out to have.
    """
    other, alone = "cd" * 16, "ef" * 16
    store = LocalStore(str(tmp_path))
    files = [
        dataset_file(tmp_path, "0.parquet", [(alone, "Not of this run.")]),
        dataset_file(tmp_path, "1.parquet", [(other, "Some other."), (WORK_ID, OLD_BODY)]),
    ]
    blocks = [
        staged(
            store,
            0,
            fingerprint(NEW_BODY, "Board votes", origin="revised"),
            fingerprint(OLD_BODY, origin="as-it-was"),
            fingerprint("Left out, as the dataset has it.", origin="left-out"),
        ),
        staged(
            store,
            1,
            fingerprint(OLD_BODY, origin="copy", work="01" * 16),
            fingerprint(OLD_BODY, origin="first", work=other),
            fingerprint(NEW_BODY, origin="second", work=other, seen=200),
            fingerprint("A text of its own.", origin="alone", work="02" * 16),
        ),
    ]
    settled = [
        Verdict(ref_of(0, 1), "canonical", WORK_ID, 1.0, copies=1),
        Verdict(ref_of(1, 0), "exact", WORK_ID, 1.0, canonical_ref=ref_of(0, 1)),
    ]

    def check(found: list[Verdict]) -> None:
        kept = shingles_kept(print_text(OLD_BODY).shingles, print_text(NEW_BODY).shingles)
        assert 0.5 < kept < 1
        assert sorted(found, key=lambda verdict: verdict.ref) == [
            Verdict(ref_of(0, 0), "revision", WORK_ID, 1.0, 0, -1, 1, True, kept),
            Verdict(ref_of(0, 1), "exact", WORK_ID, 1.0),
            Verdict(ref_of(1, 0), "exact", WORK_ID, 1.0),
            Verdict(ref_of(1, 1), "canonical", other, 1.0),
            Verdict(ref_of(1, 2), "revision", other, 1.0, 0, -1, 1, False, kept),
        ]

    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        masked = [(blocks[0], b"\0\0\1"), (blocks[1], b"")]
        compared = pipeline | "Compared" >> beam.Create(masked).with_output_types(
            tuple[StagedBlock, bytes]
        )
        every_block = pipeline | "Blocks" >> beam.Create(blocks).with_output_types(StagedBlock)
        works = pipeline | "Works" >> beam.Create(
            [packed_work(WORK_ID, OLD_BODY, file=1, row=1)]
        ).with_output_types(bytes)
        verdicts = pipeline | "Verdicts" >> beam.Create(settled).with_output_types(Verdict)
        assert_that(verdicts | NumberRevisions(store, compared, works, every_block, files), check)


# ── read ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def revised_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset ``news`` in the current folder: a work of two revisions, and a work of one.

    They lie in different files, the first of which is older than ``changes``.
    """
    monkeypatch.chdir(tmp_path)
    changes = {"title": True, "shingles_kept": 0.75}
    first = to_table([row_of(WORK_ID, OLD_BODY), row_of("cd" * 16, "Alone.")], ARTICLES)
    second = row_of(WORK_ID, NEW_BODY, title="Board votes", revision=1, changes=changes)
    for day, table in (
        ("2026-03-01", first.drop_columns(["anchors", "changes"])),
        ("2026-03-02", to_table([second], ARTICLES)),
    ):
        folder = tmp_path / "news" / "articles" / f"date={day}" / "topic=politics"
        folder.mkdir(parents=True)
        pq.write_table(table, folder / "run-000.parquet")


def readme_query(what: str) -> duckdb.DuckDBPyRelation:
    """Run the query of the README that is headed so, after the view before it."""
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"<!-- revisions -->\n```sql\n(.*?)```", readme, re.DOTALL)
    view, *queries = block.split(";\n")
    connection = duckdb.connect()
    connection.execute(view)
    [query] = [query for query in queries if query.strip().startswith(f"-- {what}")]
    return connection.sql(query)


@pytest.mark.usefixtures("revised_news")
def test_the_latest_only_is_a_row_for_each_work() -> None:
    latest = readme_query("the latest only").select("article_id, revision").fetchall()
    assert sorted(latest) == [(WORK_ID, 1), ("cd" * 16, 0)]


@pytest.mark.usefixtures("revised_news")
def test_the_history_is_every_text_of_a_changed_work_with_what_it_changed() -> None:
    history = readme_query("the history").select("revision, title, changes").fetchall()
    assert history == [
        (0, TITLE, None),
        (1, "Board votes", {"title": True, "shingles_kept": 0.75}),
    ]
