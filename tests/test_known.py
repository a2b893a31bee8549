"""What the dataset holds is found again by keys and times; bodies are read where texts meet."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest import KnownDataset, RunPlan, build_decision
from pipelines.local import local_runner
from schemas.arrow import TABLES
from schemas.records import (
    Article,
    Duplicate,
    EnrichedArticle,
    Fingerprint,
    FingerprintedArticle,
    KnownFile,
    KnownMatches,
    StagedBlock,
    UniqueArticle,
)
from transforms.compaction import DamagedFileError, write_files
from transforms.dataset_rows import (
    Found,
    Sought,
    hex_keys,
    is_among,
    is_within,
    look_into,
    merge_ranges,
    print_rows,
    reread_keys,
    time_ranges,
    unpack_keys,
    what_is_sought,
)
from transforms.fingerprints import fingerprint_article
from transforms.known import (
    SIGNED,
    KeysOfRun,
    Known,
    PrintedKnown,
    PrintKnown,
    ReadKnown,
    SetAsideFar,
    choose_original,
    is_reread,
    keys_of_block,
)
from transforms.merging import NumberBlocks
from transforms.reading import ReadLimits
from transforms.staging import (
    PRINTS,
    compared_prints,
    read_columns,
    ref_of,
    write_articles,
)
from transforms.storage import LocalStore
from transforms.verdicts import BlockVerdicts, read_verdicts
from transforms.works import WORK
from transforms.writing import stage_article, stage_duplicate

DAY_SECONDS = 86_400
HORIZON_SECONDS = 7 * DAY_SECONDS
HORIZON_MICROS = HORIZON_SECONDS * 1_000_000
NOW = Timestamp.from_rfc3339("2026-06-30T12:00:00Z")
VOCABULARY = [f"word{number}" for number in range(3_000)]
RUN_ID = "20260630T120000Z-0a1b2c"


def story(seed: int, words: int = 120) -> str:
    chance = random.Random(seed)
    return " ".join(chance.choice(VOCABULARY) for _ in range(words))


def days_ago(days: float) -> Timestamp:
    return Timestamp(micros=NOW.micros - int(days * DAY_SECONDS * 1e6))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path))


def article_row(article: Article, revision: int = 0) -> dict[str, object]:
    """A row of ``articles``, as a run writes it."""
    printed = fingerprint_article(article)
    unique = UniqueArticle(
        article=article,
        article_id=printed.article_id,
        revision=revision,
        content_hash=printed.content_hash,
        fingerprint=printed.signature,
        anchors=printed.anchors,
        word_count=printed.word_count,
        copies=0,
    )
    enriched = EnrichedArticle(unique, None, None, "unclassified", (), (), None, None, None, None)
    return stage_article(enriched, RUN_ID).row


def copy_row(article: Article, canonical: Article) -> dict[str, object]:
    """A row of ``duplicates``, as a run writes it."""
    printed = fingerprint_article(article)
    duplicate = Duplicate(
        article,
        printed.content_hash,
        printed.article_id,
        fingerprint_article(canonical).article_id,
        "near",
        0.9,
        printed.signature,
        printed.anchors,
    )
    return stage_duplicate(duplicate, RUN_ID).row


class Written:
    """Files of a dataset, numbered in the order in which they were written."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.files: list[KnownFile] = []

    def add(
        self, table: str, rows: Sequence[dict[str, object]], group: int = 1_000, **known: object
    ) -> KnownFile:
        whole = pa.Table.from_pylist(list(rows), schema=TABLES[table])
        number = len(self.files)
        groups = [whole.slice(start, group) for start in range(0, len(rows), group)]
        name = f"{number}-{{}}.parquet".format
        folder = f"{table}/date=2026-06-30"
        [file] = write_files(self.store, "dataset", folder, name, groups, table)
        path = f"dataset/{file.path}"
        added = KnownFile(number, table, path, **{"may_hold": True, "is_near": True, **known})
        self.files.append(added)
        return added

    def path(self, file: KnownFile) -> Path:
        return Path(self.store.root) / file.path


@pytest.fixture
def written(store: LocalStore) -> Written:
    return Written(store)


def without_columns(path: Path, *columns: str) -> None:
    """Make a file one of an older schema, which lacked these columns."""
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.drop_columns(list(columns)), path)


def spoil_column(path: Path, column: str) -> None:
    """Overwrite all that a file has of a column with bytes that nothing can be read from."""
    content = bytearray(path.read_bytes())
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            if chunk.path_in_schema == column:
                first = chunk.dictionary_page_offset or chunk.data_page_offset
                content[first : first + chunk.total_compressed_size] = (
                    b"\xff" * chunk.total_compressed_size
                )
    path.write_bytes(bytes(content))


def stage(store: LocalStore, articles: Iterable[Article], number: int = 0) -> StagedBlock:
    """A block of texts of a run."""
    printed = [FingerprintedArticle(one, fingerprint_article(one)) for one in articles]
    return dataclasses.replace(write_articles(store, "run", printed), number=number)


def look(store: LocalStore, file: KnownFile, block: StagedBlock) -> list[Found]:
    return list(look_into(store, file, what_is_sought_of(store, [block])))


def what_is_sought_of(
    store: LocalStore, blocks: Iterable[StagedBlock], canonical_ids: bytes = b""
) -> Sought:
    keys = [keys_of_block(store, block, HORIZON_MICROS) for block in blocks]
    return what_is_sought(keys, HORIZON_MICROS, canonical_ids)


def near_rows(found: Iterable[Found]) -> list[dict[str, object]]:
    return [row for one in found for row in one.near.to_pylist()]


MakeArticle = Callable[..., Article]


# ── texts that were read before ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("title_there", "title_read", "is_unchanged"),
    [
        ("The bridge is open", "The bridge is open", True),
        ("The bridge is open", "THE BRIDGE – is open!", True),
        ("The bridge is open", None, True),
        ("The bridge is open", "The bridge is closed", False),
        (None, "The bridge is open", False),
        (None, None, True),
    ],
)
def test_a_text_is_unchanged_unless_it_has_a_title_that_the_row_has_not(
    written: Written,
    make_article: MakeArticle,
    title_there: str | None,
    title_read: str | None,
    is_unchanged: bool,
) -> None:
    row = article_row(make_article(story(1), title=title_there, observed_at=days_ago(30)))
    file = written.add("articles", [row])
    block = stage(written.store, [make_article(story(1), title=title_read)])
    rereads = unpack_keys(found.rereads for found in look(written.store, file, block))
    assert is_reread(written.store, block, rereads).tolist() == [is_unchanged]


def test_the_same_words_from_another_file_are_not_unchanged(
    written: Written, make_article: MakeArticle
) -> None:
    file = written.add("articles", [article_row(make_article(story(1), "a.txt#1"))])
    texts = [make_article(story(1), "a.txt#9"), make_article(story(1), "b.txt#1")]
    block = stage(written.store, texts)
    rereads = unpack_keys(found.rereads for found in look(written.store, file, block))
    assert is_reread(written.store, block, rereads).tolist() == [True, False]


def test_a_copy_that_was_read_before_is_known_by_its_own_text(
    written: Written, make_article: MakeArticle
) -> None:
    copy = make_article(story(1) + " and more", "b.txt")
    file = written.add("duplicates", [copy_row(copy, make_article(story(1)))])
    block = stage(written.store, [copy])
    [found] = look(written.store, file, block)
    assert is_reread(written.store, block, unpack_keys([found.rereads])).tolist() == [True]
    assert found.works == b""


@given(st.text(max_size=5), st.text(max_size=5), st.sampled_from(["", "0123456789abcdef"]))
def test_a_row_is_known_by_one_key_or_two(content: str, uri: str, title: str) -> None:
    assert len(reread_keys(content, uri, title)) == (32 if title else 16)


def test_rows_of_a_work_of_the_run_say_where_they_are(
    written: Written, make_article: MakeArticle
) -> None:
    url = "https://example.org/story"
    texts = [make_article(story(seed), f"{seed}.txt", title=f"t{seed}") for seed in range(6)]
    texts[4] = dataclasses.replace(texts[4], canonical_url=url)
    written.add("articles", [article_row(texts[0])])
    rows = [article_row(one, revision=seed) for seed, one in enumerate(texts)]
    file = written.add("articles", rows, group=2)
    block = stage(written.store, [make_article(story(9), canonical_url=url)])
    works = b"".join(found.works for found in look(written.store, file, block))
    [work] = np.frombuffer(works, WORK)
    printed = fingerprint_article(texts[4])
    assert work["article_id"].tobytes().hex() == printed.article_id
    assert work["content_hash"].tobytes().hex() == printed.content_hash[:32]
    assert work["title_key"].tobytes().hex() == printed.title_key
    assert (work["revision"], work["file"], work["row"]) == (4, 1, 4)


def test_a_file_that_holds_nothing_of_the_run_is_not_looked_into_for_it(
    written: Written, make_article: MakeArticle
) -> None:
    article = make_article(story(1))
    file = written.add("articles", [article_row(article)], may_hold=False)
    [found] = look(written.store, file, stage(written.store, [article]))
    assert (found.rereads, found.works, found.near.num_rows) == (b"", b"", 1)


# ── rows near in time ───────────────────────────────────────────────────────────────────────────


def test_a_near_row_has_what_candidates_are_found_by_and_its_place(
    written: Written, make_article: MakeArticle
) -> None:
    article = make_article(story(1), "a.txt", observed_at=days_ago(2))
    others = [make_article(story(9), f"{number}.txt") for number in range(5)]
    rows = [article_row(one) for one in [*others, article]]
    file = written.add("articles", rows, group=2)
    block = stage(written.store, [make_article(story(2))])
    row = near_rows(look(written.store, file, block))[-1]
    printed = fingerprint_article(article)
    for column in ("article_id", "content_hash", "signature", "anchors"):
        assert row[column] == getattr(printed, column)
    assert row["observed_micros"] == article.observed_at.micros
    assert (row["table"], row["path"], row["row"], row["is_far"]) == (
        "articles", file.path, 5, False,
    )  # fmt: skip


def test_a_row_of_duplicates_has_the_id_of_what_it_copies(
    written: Written, make_article: MakeArticle
) -> None:
    canonical = make_article(story(1), "a.txt")
    copy = make_article(story(1) + " more", "b.txt")
    file = written.add("duplicates", [copy_row(copy, canonical)])
    [row] = near_rows(look(written.store, file, stage(written.store, [make_article(story(2))])))
    assert row["article_id"] == fingerprint_article(canonical).article_id
    assert row["signature"] == fingerprint_article(copy).signature


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_row_is_near_if_a_text_of_the_run_was_observed_within_the_horizon(
    written: Written, make_article: MakeArticle, blocks: int
) -> None:
    """Also if a late text is in one block with a fresh one: what lies in between is not near."""
    ages = [0, 6.9, 7.1, 12, 20, 22.9, 23.1, 60]
    rows = [
        article_row(make_article(story(number), f"{number}", observed_at=days_ago(age)))
        for number, age in enumerate(ages)
    ]
    file = written.add("articles", rows, group=3)
    texts = [make_article(story(9), f"n{age}", observed_at=days_ago(age)) for age in (0, 30)]
    staged = [stage(written.store, texts[number::blocks]) for number in range(blocks)]
    sought = what_is_sought_of(written.store, staged)
    near = near_rows(look_into(written.store, file, sought))
    assert [ages[row["row"]] for row in near] == [0, 6.9, 23.1]


def test_no_body_is_read_of_rows_that_meet_nothing(
    written: Written, make_article: MakeArticle
) -> None:
    file = written.add("articles", [article_row(make_article(story(1)))])
    spoil_column(written.path(file), "body")
    block = stage(written.store, [make_article(story(2)), make_article(story(1))])
    [found] = look(written.store, file, block)
    assert found.near.num_rows == 1
    assert found.rereads
    with pytest.raises(DamagedFileError):
        list(print_rows(written.store, file.path, "articles", [0]))


def test_of_a_file_that_is_not_near_no_signature_is_read(
    written: Written, make_article: MakeArticle
) -> None:
    file = written.add("articles", [article_row(make_article(story(1)))], is_near=False)
    spoil_column(written.path(file), "fingerprint")
    [found] = look(written.store, file, stage(written.store, [make_article(story(1))]))
    assert found.rereads
    assert not found.near.num_rows


@pytest.mark.parametrize("table", ["articles", "duplicates"])
def test_rows_of_an_older_schema_are_printed_from_their_bodies(
    written: Written, make_article: MakeArticle, table: str
) -> None:
    texts = [make_article(story(1), "a"), make_article(story(2), "b", observed_at=days_ago(30))]
    texts.append(make_article("Too short to be compared.", "c"))
    rows = [article_row(one) if table == "articles" else copy_row(one, one) for one in texts]
    file = written.add(table, rows)
    lacking = {"articles": ["anchors", "changes"], "duplicates": ["article_id", "fingerprint"]}
    without_columns(written.path(file), *{"anchors", *lacking[table]})
    block = stage(written.store, [make_article(story(3))])
    near = near_rows(look(written.store, file, block))
    printed = [fingerprint_article(texts[0]), fingerprint_article(texts[2])]
    assert [(row["signature"], row["anchors"]) for row in near] == [
        (one.signature, one.anchors) for one in printed
    ]


def test_in_a_file_of_both_schemas_only_the_older_rows_are_printed(
    written: Written, make_article: MakeArticle
) -> None:
    rows = [article_row(make_article(story(seed), f"{seed}")) for seed in range(3)]
    expected = [row["anchors"] for row in rows]
    rows[1]["anchors"] = None
    rows[2]["body"] = "Not what it was."
    file = written.add("articles", rows)
    near = near_rows(look(written.store, file, stage(written.store, [make_article(story(9))])))
    assert [row["anchors"] for row in near] == expected


def test_a_canonical_row_from_before_the_horizon_is_found_by_its_id_and_far(
    written: Written, make_article: MakeArticle
) -> None:
    texts = [make_article(story(seed), f"{seed}", observed_at=days_ago(30)) for seed in range(3)]
    sought_id = bytes.fromhex(fingerprint_article(texts[1]).article_id)
    rows = [article_row(one) for one in texts]
    file = written.add("articles", rows, is_near=False, canonical_ids=sought_id)
    near = near_rows(look(written.store, file, stage(written.store, [make_article(story(9))])))
    assert [(row["row"], row["is_far"]) for row in near] == [(1, True)]


def test_rows_from_before_the_horizon_are_found_by_ids_that_are_sent_once_for_all_files(
    written: Written, make_article: MakeArticle
) -> None:
    texts = [make_article(story(seed), f"{seed}", observed_at=days_ago(30)) for seed in range(4)]
    ids = bytes.fromhex(id_of(texts[1]) + id_of(texts[2]))
    rows = [article_row(one) for one in texts]
    written.add("articles", rows[:2], is_near=False, may_hold_canonicals=True)
    written.add("articles", rows[2:3], is_near=False, may_hold_canonicals=True)
    written.add("articles", rows[1:], is_near=False)
    block = stage(written.store, [make_article(story(9))])
    sought = what_is_sought_of(written.store, [block], ids)
    far = [near_rows(look_into(written.store, file, sought)) for file in written.files]
    assert [[row["row"] for row in rows] for rows in far] == [[1], [0], []]
    assert all(row["is_far"] for rows in far for row in rows)


def test_a_row_that_is_near_is_not_far_though_its_id_is_asked_for(
    written: Written, make_article: MakeArticle
) -> None:
    article = make_article(story(1))
    identity = bytes.fromhex(fingerprint_article(article).article_id)
    file = written.add("articles", [article_row(article)], canonical_ids=identity)
    near = near_rows(look(written.store, file, stage(written.store, [make_article(story(9))])))
    assert [row["is_far"] for row in near] == [False]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=6),
    st.lists(st.integers(-5, 70), max_size=20),
)
def test_times_lie_within_merged_ranges_as_within_any_of_them(
    drawn: list[tuple[int, int]], times: list[int]
) -> None:
    ranges = [(least, least + length) for least, length in drawn]
    expected = [any(a <= time <= b for a, b in ranges) for time in times]
    assert is_within(np.array(times, np.int64), merge_ranges(ranges)).tolist() == expected


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(0, 9))
def test_grouped_times_are_near_what_each_of_them_is_near(times: list[int], horizon: int) -> None:
    grouped = time_ranges(np.array(times, np.int64), 2 * horizon).tolist()
    ranges = [(least - horizon, greatest + horizon) for least, greatest in grouped]
    asked = np.arange(-12, 75)
    expected = [any(abs(time - one) <= horizon for one in times) for time in asked]
    assert is_within(asked, ranges).tolist() == expected


@given(
    st.lists(st.binary(min_size=16, max_size=16), max_size=8),
    st.lists(st.binary(min_size=16, max_size=16), max_size=8),
)
def test_keys_are_compared_byte_for_byte(some: list[bytes], others: list[bytes]) -> None:
    looked_for = [*some[:3], *others]
    column = pa.chunked_array([[key.hex() + "00" for key in looked_for]], pa.string())
    found = is_among(hex_keys(column), unpack_keys(some)).tolist()
    assert found == [key in some for key in looked_for]


# ── single rows ─────────────────────────────────────────────────────────────────────────────────


def test_a_row_has_the_fingerprint_of_the_text_it_was_made_from(
    written: Written, make_article: MakeArticle
) -> None:
    article = make_article(
        story(1) + " 1,234 and 17", "a", title="A bridge", agency="L.N.S.", site="The Example",
        observed_at=days_ago(1),
    )  # fmt: skip
    file = written.add("articles", [article_row(article)])
    [row] = print_rows(written.store, file.path, "articles", [0])
    expected = fingerprint_article(article)
    left_out = {"origin": row.origin, "table": "articles", "completeness": 0}
    assert row == dataclasses.replace(expected, **left_out)


def test_rows_are_printed_in_the_order_they_are_asked_for(
    written: Written, make_article: MakeArticle
) -> None:
    texts = [make_article(story(seed), f"{seed}") for seed in range(9)]
    file = written.add("duplicates", [copy_row(one, texts[0]) for one in texts], group=2)
    printed = print_rows(written.store, file.path, "duplicates", [1, 2, 3, 8])
    assert [one.content_hash for one in printed] == [
        fingerprint_article(texts[place]).content_hash for place in (1, 2, 3, 8)
    ]


# ── the stages ──────────────────────────────────────────────────────────────────────────────────

Check = Callable[[list[object]], None]


def read_known(
    pipeline: beam.Pipeline, written: Written, block: StagedBlock, first: int = 1
) -> Known:
    """What ``ReadKnown`` gives of the files, its blocks numbered from ``first`` on."""
    files = pipeline | "Files" >> beam.Create(written.files).with_output_types(KnownFile)
    blocks = pipeline | "Run" >> beam.Create([block]).with_output_types(StagedBlock)
    keys = blocks | KeysOfRun(written.store, HORIZON_SECONDS)
    no_ids = pipeline | "NoIds" >> beam.Create([b""])
    known = files | ReadKnown(written.store, "decided", keys, HORIZON_SECONDS, no_ids)
    return Known(known.matches, known.blocks | NumberBlocks(first))


def print_known(written: Written, block: StagedBlock, met: Sequence[str], check) -> None:
    """Print the known rows that are in candidate pairs with row 0 of the run, named by origin."""
    store = written.store

    def pairs(known: StagedBlock) -> Iterable[tuple[int, bytes]]:
        origins = read_columns(store, known.path + PRINTS, ["origin"])["origin"].to_pylist()
        for row, origin in enumerate(origins):
            if origin.split(":")[3] in met:
                yield 0, np.array([0, ref_of(known.number, row)], "<i8").tobytes()

    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        known = read_known(pipeline, written, block)
        candidates = known.blocks | "Pairs" >> beam.FlatMap(pairs).with_output_types(
            tuple[int, bytes]
        )
        printed = candidates | PrintKnown(store, known.blocks, first=1)
        check(printed)


def names_of_texts(store: LocalStore, blocks: Sequence[StagedBlock]) -> dict[int, str]:
    """The content hashes of all rows that were printed, by reference."""
    cache = compared_prints(store, blocks)
    found = {}
    for block in blocks:
        whole = read_columns(store, block.path + ".texts.arrow", ["origin"])["origin"]
        assert len(whole) == block.rows
        for row, origin in enumerate(whole.to_pylist()):
            if origin is not None:
                found[ref_of(block.number, row)] = cache.get(ref_of(block.number, row)).content_hash
    return found


def test_only_rows_in_candidate_pairs_are_printed(
    written: Written, make_article: MakeArticle
) -> None:
    texts = [make_article(story(seed), f"{seed}.txt") for seed in range(200)]
    written.add("articles", [article_row(one) for one in texts], group=50)
    block = stage(written.store, [make_article(story(900))])
    store = written.store

    def check(printed: PrintedKnown) -> None:
        def compare(blocks: list[StagedBlock]) -> None:
            hashes = [fingerprint_article(texts[place]).content_hash for place in (3, 170)]
            assert list(names_of_texts(store, blocks).values()) == hashes

        assert_that(printed.blocks, compare)

    print_known(written, block, ["3.txt", "170.txt"], check)


def test_nothing_is_printed_where_nothing_meets(
    written: Written, make_article: MakeArticle
) -> None:
    file = written.add("articles", [article_row(make_article(story(1)))])
    spoil_column(written.path(file), "body")
    block = stage(written.store, [make_article(story(2))])

    def check(printed: PrintedKnown) -> None:
        assert_that(printed.blocks, lambda blocks: _equal(blocks, []))

    print_known(written, block, [], check)


def _equal(found: object, expected: object) -> None:
    assert found == expected


def test_of_a_copy_that_is_met_what_it_was_made_from_is_printed_too(
    written: Written, make_article: MakeArticle
) -> None:
    original = make_article(story(1), "a.txt", observed_at=days_ago(30))
    copy = make_article(story(1) + " more", "b.txt")
    identity = bytes.fromhex(fingerprint_article(original).article_id)
    rows = [article_row(original), article_row(make_article(story(2), "c.txt"))]
    written.add("articles", rows, canonical_ids=identity)
    written.add("duplicates", [copy_row(copy, original)])
    block = stage(written.store, [make_article(story(900))])
    store = written.store

    def check(printed: PrintedKnown) -> None:
        def compare(found: list[object]) -> None:
            blocks = [one for one in found if isinstance(one, StagedBlock)]
            [canonical] = [one for one in found if not isinstance(one, StagedBlock)]
            hashes = names_of_texts(store, blocks)
            assert set(hashes.values()) == {
                fingerprint_article(one).content_hash for one in (original, copy)
            }
            assert canonical[0] == identity.hex()
            assert hashes[canonical[1]] == fingerprint_article(original).content_hash

        together = (
            printed.blocks | "B" >> beam.Map(lambda one: one),
            printed.canonicals | "C" >> beam.Map(lambda one: one),
        ) | beam.Flatten()
        assert_that(together, compare)

    print_known(written, block, ["b.txt"], check)


def test_far_rows_are_left_out_of_the_search(written: Written, make_article: MakeArticle) -> None:
    texts = [
        make_article(story(age), f"{age}.txt", observed_at=days_ago(age)) for age in (30, 1, 40)
    ]
    ids = b"".join(bytes.fromhex(fingerprint_article(one).article_id) for one in texts)
    written.add("articles", [article_row(one) for one in texts], canonical_ids=ids)
    block = stage(written.store, [make_article(story(900))])
    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        known = read_known(pipeline, written, block)
        masks = known.blocks | SetAsideFar(written.store) | beam.Map(lambda masked: masked[1])
        assert_that(masks, lambda found: _equal(found, [b"\1\0\1"]))


def test_files_without_matches_say_nothing(written: Written, make_article: MakeArticle) -> None:
    written.add("articles", [article_row(make_article(story(1)))])
    block = stage(written.store, [make_article(story(2))])
    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        known = read_known(pipeline, written, block)
        matches: beam.PCollection[KnownMatches] = known.matches
        assert_that(matches, lambda found: _equal(found, []))


# ── what a copy was made from ───────────────────────────────────────────────────────────────────


def signed(fingerprint: Fingerprint, revision: int = 0) -> np.ndarray:
    row = np.zeros(1, SIGNED)
    row["content_hash"] = np.void(bytes.fromhex(fingerprint.content_hash[:32]))
    if fingerprint.signature:
        row["signature"] = np.frombuffer(fingerprint.signature, "<u4")
    row["revision"] = revision
    return row


def test_a_copy_was_made_from_the_revision_that_it_is_most_like(make_article: MakeArticle) -> None:
    texts = [story(1), story(1) + " " + story(2, 60), story(3)]
    printed = [fingerprint_article(make_article(text)) for text in texts]
    revisions = np.concatenate([signed(one, place) for place, one in enumerate(printed)])
    for place, text in enumerate(texts):
        copy = signed(fingerprint_article(make_article(f"{text} and so on")))
        assert choose_original(revisions, copy) == place


def test_a_short_copy_was_made_from_the_revision_with_its_words(make_article: MakeArticle) -> None:
    texts = ["Rates stay.", "Rates rise.", "Rates fall."]
    printed = [fingerprint_article(make_article(text)) for text in texts]
    revisions = np.concatenate([signed(one, place) for place, one in enumerate(printed)])
    assert choose_original(revisions, signed(printed[1])) == 1


def test_of_revisions_that_are_alike_a_copy_is_held_against_the_newest(
    make_article: MakeArticle,
) -> None:
    printed = fingerprint_article(make_article(story(1)))
    revisions = np.concatenate([signed(printed, revision) for revision in (1, 2, 0)])
    assert choose_original(revisions, signed(fingerprint_article(make_article(story(9))))) == 1


# ── a decision ──────────────────────────────────────────────────────────────────────────────────


def decide(
    written: Written, blocks: Sequence[StagedBlock], canonical_ids: bytes = b""
) -> list[BlockVerdicts]:
    """What is decided about each block, against the files."""
    plan = RunPlan("run", written.store, "staging", ReadLimits(), 0.5, HORIZON_SECONDS)
    known = KnownDataset(written.files, canonical_ids, near_rows=1_000)
    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        build_decision(pipeline, plan, blocks, known, "decided")
    return [read_verdicts(written.store, "decided", block) for block in blocks]


def id_of(article: Article) -> str:
    return fingerprint_article(article).article_id


def test_texts_are_held_against_the_rows_they_meet_and_no_other_body_is_read(
    written: Written, make_article: MakeArticle
) -> None:
    known = [make_article(story(seed), f"{seed}.txt", title="T") for seed in range(3)]
    written.add("articles", [article_row(one) for one in known])
    unread = written.add("articles", [article_row(make_article(story(7), "7.txt"))])
    spoil_column(written.path(unread), "body")
    texts = [
        known[0],
        dataclasses.replace(known[0], title="Another", observed_at=days_ago(-1)),
        make_article(story(1), "exact.txt", observed_at=days_ago(-1)),
        make_article(story(2) + " and the end", "near.txt"),
        make_article(story(1, 50), "cut.txt"),
        make_article(story(90), "new.txt"),
    ]
    blocks = [stage(written.store, texts[:3], 0), stage(written.store, texts[3:], 1)]
    first, second = decide(written, blocks)
    assert first.set_aside == {0}
    assert (first.of_row[1].kind, first.of_row[1].revision) == ("revision", 1)
    assert (first.of_row[2].kind, first.of_row[2].canonical_id) == ("exact", id_of(known[1]))
    assert (second.of_row[0].kind, second.of_row[0].canonical_id) == ("near", id_of(known[2]))
    assert (second.of_row[1].kind, second.of_row[1].canonical_id) == ("abridged", id_of(known[1]))
    assert 2 not in second.of_row


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_copy_of_a_copy_is_held_against_what_that_was_made_from(
    written: Written, make_article: MakeArticle, is_listed: bool
) -> None:
    """The original was observed before the horizon: only its copy meets the text of the run."""
    original = make_article(story(1), "a.txt", observed_at=days_ago(12))
    copy = make_article(story(1) + " more of it", "b.txt", observed_at=days_ago(6))
    identity = bytes.fromhex(id_of(original))
    looked_for = {"canonical_ids": identity} if is_listed else {"may_hold_canonicals": True}
    written.add("articles", [article_row(original)], is_near=False, **looked_for)
    written.add("duplicates", [copy_row(copy, original)])
    block = stage(written.store, [make_article(story(1) + " more", "c.txt")])
    [verdicts] = decide(written, [block], identity)
    assert (verdicts.of_row[0].kind, verdicts.of_row[0].canonical_id) == ("near", identity.hex())
    assert verdicts.of_row[0].canonical_ref == -1


def test_without_its_copy_a_row_from_before_the_horizon_is_not_met(
    written: Written, make_article: MakeArticle
) -> None:
    original = make_article(story(1), "a.txt", observed_at=days_ago(12))
    identity = bytes.fromhex(id_of(original))
    written.add("articles", [article_row(original)], is_near=False, canonical_ids=identity)
    block = stage(written.store, [make_article(story(1) + " more", "c.txt")])
    [verdicts] = decide(written, [block])
    assert verdicts.of_row == {}


def test_against_an_empty_dataset_texts_are_compared_with_each_other(
    written: Written, make_article: MakeArticle
) -> None:
    texts = [make_article(story(1), "a.txt", title="T"), make_article(story(1), "b.txt")]
    block = stage(written.store, texts)
    [verdicts] = decide(written, [block])
    assert {row: one.kind for row, one in verdicts.of_row.items()} == {0: "canonical", 1: "exact"}
