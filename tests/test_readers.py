"""DuckDB, Polars, pandas, PyArrow and Spark read the dataset as its users do.

``OPENING`` and ``READING`` are what a user of each reader writes, run here as they stand in the
folder that holds the dataset as ``news``; the documentation quotes them. All readers answer the
same questions with the same rows.

That a query opens no partition but those it asks for is shown by destroying the others: on a copy
of the dataset every other file is overwritten, and the answer stays. The one thing left is the
footer of the first file, in which each reader looks up the schema.
"""

from __future__ import annotations

import datetime
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_factory import (
    DATES,
    RUN_ID,
    TOPICS,
    WrittenDataset,
    make_dated_article,
    publication_day,
    write_dataset,
    write_rows,
)

from docs.queries import ACROSS_SCHEMAS, FINISHED_RUNS, OPENING, READING
from pipelines.dataset import Commit, DataFile
from schemas.arrow import ARTICLES, NULL_PARTITION
from schemas.records import UniqueArticle
from transforms.writing import article_partition, stage_article

Row = dict[str, Any]
Ask = Callable[[str], list[Row]]
RunLine = Callable[[str], Any]


# ── the readers ─────────────────────────────────────────────────────────────────────────────────

READERS = ["duckdb", "polars", "pandas", "pyarrow", "spark"]


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session on this machine alone.

    It talks to itself over the loopback address, for a host's own name need not resolve, and
    reads and shows times in UTC, where its default is the machine's time zone.
    """
    sql = pytest.importorskip("pyspark.sql", reason="PySpark is not installed (group spark)")
    session = (
        sql.SparkSession.builder.master("local[1]")
        .appName("newsbeam")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")  # destroyed files are meant to be complained about
    yield session
    session.stop()


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.spark) if name == "spark" else name for name in READERS
    ]
)
def reader(request: pytest.FixtureRequest) -> str:
    """Each reader in turn, by name."""
    return str(request.param)


@pytest.fixture
def run_line(reader: str, request: pytest.FixtureRequest) -> RunLine:
    """Run a line in the current folder, after the reader's opening; gives its native answer."""
    session = request.getfixturevalue("spark") if reader == "spark" else None

    def run(line: str) -> Any:
        if reader == "duckdb":
            connection = duckdb.connect()
            request.addfinalizer(connection.close)
            connection.execute(OPENING["duckdb"])
            return connection.sql(line)
        opening = OPENING[reader]
        if session:  # its paths start where its JVM was started, not in the current folder
            opening, line = (
                code.replace('"news/', f'"{Path.cwd()}/news/') for code in (opening, line)
            )
        names: dict[str, Any] = {"spark": session}
        exec(opening, names)
        return eval(line, names)

    return run


@pytest.fixture
def ask(reader: str, run_line: RunLine) -> Ask:
    """Ask a question in the current folder; gives the rows of the answer as plain values."""
    return lambda question: rows_of(run_line(READING[question][reader]))


def rows_of(answer: Any) -> list[Row]:
    """The rows of any reader's answer, in Python's own types, so that they can be compared."""
    if isinstance(answer, duckdb.DuckDBPyRelation):
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]
    elif isinstance(answer, pl.DataFrame):
        rows = answer.to_dicts()
    elif isinstance(answer, pd.DataFrame):
        rows = answer.to_dict("records")
    elif isinstance(answer, pa.Table):
        rows = answer.to_pylist()
    else:  # a Spark DataFrame
        rows = [row.asDict(recursive=True) for row in answer.collect()]
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def plain(value: Any) -> Any:
    """A value in Python's own types: None for every kind of null, times in UTC."""
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, pd.Timestamp):
        value = value.to_pydatetime()
    if isinstance(value, datetime.datetime):  # Spark's are naive, in the local time of Python
        return value.astimezone(datetime.UTC)
    return value.item() if isinstance(value, np.generic) else value


def by_revision(row: Row) -> tuple[str, int]:
    """The key of ``articles``: what tells its rows apart."""
    return row["article_id"], row["revision"]


def ids(rows: list[Row]) -> list[str]:
    """Article ids, sorted."""
    return sorted(row["article_id"] for row in rows)


# ── the datasets ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenDataset:
    """The sample dataset; tests that change it copy it first."""
    return write_dataset(tmp_path_factory.mktemp("sample") / "news")


@pytest.fixture
def news(written: WrittenDataset, monkeypatch: pytest.MonkeyPatch) -> WrittenDataset:
    """The sample dataset as ``news`` in the current folder."""
    monkeypatch.chdir(written.root.parent)
    return written


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def footer_bytes(path: Path) -> int:
    """Length of a Parquet file's footer with its length and magic number."""
    return int.from_bytes(path.read_bytes()[-8:-4], "little") + 8


def destroy(path: Path, start: int, stop: int) -> None:
    """Overwrite a stretch of a file."""
    content = bytearray(path.read_bytes())
    content[start:stop] = b"\xff" * (stop - start)
    path.write_bytes(content)


def partition_of(path: Path) -> tuple[datetime.date | None, str]:
    """The date and topic that a file's folders name."""
    date, topic = (folder.name.partition("=")[2] for folder in (path.parents[1], path.parent))
    return None if date == NULL_PARTITION else datetime.date.fromisoformat(date), topic


DAY = datetime.date(2026, 3, 1)
NEXT_DAY = datetime.date(2026, 3, 2)
IN_PARTITIONS: dict[str, Callable[[datetime.date | None, str], bool]] = {
    "a day": lambda date, _: date == DAY,
    "days from to": lambda date, _: date in (DAY, NEXT_DAY),
    "a topic": lambda _, topic: topic == "health",
    "a topic on a day": lambda date, topic: (date, topic) == (DAY, "health"),
    "the undated": lambda date, _: date is None,
}
"""The questions that partitions answer, each with the partitions it may open."""


# ── the tests ───────────────────────────────────────────────────────────────────────────────────


def test_every_value_of_every_row_is_read_as_it_was_written(news: WrittenDataset, ask: Ask) -> None:
    expected = [
        {**stage_article(a, RUN_ID).row, "date": publication_day(a), "topic": a.topic}
        for a in news.articles
    ]
    rows = ask("every article")
    assert sorted(rows, key=by_revision) == sorted(expected, key=by_revision)


@pytest.mark.filterwarnings("ignore:Series.values returning:DeprecationWarning")  # PyArrow's doing
def test_columns_have_the_schema_s_types_and_date_is_a_date(
    news: WrittenDataset, reader: str, run_line: RunLine
) -> None:
    """Where a reader has types of its own, they are those that Arrow's become.

    ``date`` is DATE in DuckDB, ``Date`` in Polars, ``date32`` in PyArrow, ``DateType`` in Spark;
    in pandas, which has no such type, an object column of ``datetime.date``. pandas' records in
    lists are dicts, of which there is nothing to compare here.
    """
    answer = run_line(READING["every article"][reader])
    if reader == "duckdb":
        schema = answer.limit(0).to_arrow_table().schema
    elif reader == "polars":
        schema = answer.to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    elif reader == "pandas":
        schema = pa.Table.from_pandas(answer, preserve_index=False).schema
    elif reader == "pyarrow":
        schema = answer.schema
    else:
        schema = answer.limit(0).toArrow().schema
    expected = {field.name: field.type for field in ARTICLES}
    expected |= {"date": pa.date32(), "topic": pa.string()}
    assert schema.names == list(expected)
    for name, kind in expected.items():
        if reader != "pandas" or not pa.types.is_nested(kind):
            assert plain_type(schema.field(name).type) == plain_type(kind), name


def plain_type(kind: pa.DataType) -> str:
    """A type but for what readers are free to choose: widths of offsets, names of zones, items."""
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{field.name}: {plain_type(field.type)}' for field in kind)}>"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{plain_type(kind.value_type)}>"
    if pa.types.is_timestamp(kind):
        return f"timestamp<{kind.unit}, {'UTC' if kind.tz in ('Etc/UTC', 'UTC') else kind.tz}>"
    return str(kind).removeprefix("large_")


def test_an_undated_article_has_no_date(news: WrittenDataset, ask: Ask) -> None:
    rows = ask("the undated")
    assert ids(rows) == news.ids(IN_PARTITIONS["the undated"])
    assert {(row["date"], row["published_at"]) for row in rows} == {(None, None)}


def test_what_a_run_has_staged_is_not_read(news: WrittenDataset, ask: Ask) -> None:
    staged = list((news.root / "_newsbeam").rglob("articles/**/*.parquet"))
    assert staged, "the sample holds nothing staged"
    assert {row["run_id"] for row in ask("every article")} == {RUN_ID}


def test_the_files_of_finished_commits_can_be_read_alone(
    written: WrittenDataset, workplace: Path
) -> None:
    """A file that a killed run had already renamed into place is left out."""
    news = shutil.copytree(written.root, workplace / "news")
    (staging,) = (news / "_newsbeam" / "staging").glob("*/files")
    (staged,) = staging.rglob("*.parquet")
    published = news / staged.relative_to(staging).with_name("0123456789abcdef.parquet")
    staged.replace(published)
    with duckdb.connect() as connection:
        rows = rows_of(connection.sql(FINISHED_RUNS))
        everything = rows_of(connection.sql("FROM 'news/articles/**/*.parquet'"))
    assert ids(rows) == written.ids(lambda *_: True)
    assert len(everything) == len(rows) + 1


def test_what_a_commit_removed_is_not_read(written: WrittenDataset, workplace: Path) -> None:
    """As after a compaction that was killed before it had deleted what it replaced."""
    news = shutil.copytree(written.root, workplace / "news")
    replaced = sorted(path.relative_to(news) for path in (news / "articles").rglob("*.parquet"))[0]
    new = replaced.with_name("compact-000.parquet")
    shutil.copy(news / replaced, news / new)
    commit = Commit(2, "compact", "c", files=(DataFile(str(new)),), removed=(str(replaced),))
    (news / "_newsbeam" / "commits" / commit.name).write_bytes(commit.encode())
    with duckdb.connect() as connection:
        rows = rows_of(connection.sql(FINISHED_RUNS))
    assert ids(rows) == written.ids(lambda *_: True)


@pytest.mark.parametrize("question", IN_PARTITIONS)
def test_a_question_about_partitions_opens_no_other_file(
    question: str, written: WrittenDataset, workplace: Path, ask: Ask
) -> None:
    wanted = IN_PARTITIONS[question]
    destroy_all_but(wanted, shutil.copytree(written.root, workplace / "news"))
    expected = written.ids(wanted)
    assert 0 < len(expected) < len(written.articles)
    assert ids(ask(question)) == expected


def destroy_all_but(wanted: Callable[[datetime.date | None, str], bool], news: Path) -> None:
    """Overwrite the files of all other partitions; of the very first file all but the footer."""
    files = sorted(news.glob("articles/**/*.parquet"))
    for file in files:
        if not wanted(*partition_of(file)):
            size = file.stat().st_size
            destroy(file, 0, size - footer_bytes(file) if file == files[0] else size)


def test_a_question_that_opens_a_destroyed_file_fails(
    written: WrittenDataset, workplace: Path, reader: str, ask: Ask
) -> None:
    """What the test above rests on."""
    destroy_all_but(IN_PARTITIONS["a day"], shutil.copytree(written.root, workplace / "news"))
    with pytest.raises(read_error(reader)):
        ask("every article")


def read_error(reader: str) -> type[Exception] | tuple[type[Exception], ...]:
    """What a reader raises at a file that is not Parquet."""
    if reader == "spark":
        return (
            pytest.importorskip("py4j.protocol").Py4JJavaError,
            pytest.importorskip("pyspark.errors").PySparkException,
        )
    errors: dict[str, type[Exception] | tuple[type[Exception], ...]] = {
        "duckdb": duckdb.Error,
        "polars": pl.exceptions.PolarsError,
        "pandas": (pa.ArrowException, OSError),
        "pyarrow": (pa.ArrowException, OSError),
    }
    return errors[reader]


def test_a_question_about_time_reads_only_the_row_groups_that_can_hold_it(
    written: WrittenDataset, workplace: Path, ask: Ask
) -> None:
    """Rows are sorted by publication and have statistics: earlier row groups are not touched."""
    articles = [make_dated_article(hour, NEXT_DAY, "health", hour) for hour in range(24)]
    file = write_rows(
        article_partition(articles[0]),
        [stage_article(article, RUN_ID) for article in articles],
        workplace / "news",
        rows_per_group=4,
    )
    shutil.copytree(written.root / "duplicates", workplace / "news" / "duplicates")
    metadata = pq.read_metadata(file)
    starts = [metadata.row_group(number).column(0) for number in range(metadata.num_row_groups)]
    offsets = [chunk.dictionary_page_offset or chunk.data_page_offset for chunk in starts]
    assert len(offsets) == 6
    destroy(file, offsets[0], offsets[3])
    assert ids(ask("since a moment")) == [f"{hour:032x}" for hour in range(12, 24)]


def test_entities_can_be_counted(news: WrittenDataset, ask: Ask) -> None:
    expected: dict[str, int] = {}
    for article in news.articles:
        for entity in article.entities:
            if entity.type == "place":
                expected[entity.name] = expected.get(entity.name, 0) + entity.count
    answer = {row["name"]: row["mentions"] for row in ask("places by mentions")}
    assert answer == expected
    assert len(expected) > 1


def test_the_newest_revision_of_each_article_can_be_told(news: WrittenDataset, ask: Ask) -> None:
    expected: dict[str, int] = {}
    for unique in (article.unique for article in news.articles):
        expected[unique.article_id] = max(unique.revision, expected.get(unique.article_id, 0))
    answer = ask("newest revisions")
    assert sorted(map(by_revision, answer)) == sorted(expected.items())
    assert len(answer) < len(news.articles)


def test_the_history_of_the_works_that_were_changed_can_be_told(
    news: WrittenDataset, ask: Ask
) -> None:
    uniques = [article.unique for article in news.articles]
    changed = {unique.article_id for unique in uniques if unique.revision}
    assert changed
    assert [(*by_revision(row), row["changes"]) for row in ask("history")] == sorted(
        (unique.article_id, unique.revision, changes_of(unique))
        for unique in uniques
        if unique.article_id in changed
    )


def changes_of(unique: UniqueArticle) -> dict[str, Any] | None:
    """What the row of a text says of it in ``changes``."""
    if not unique.revision:
        return None
    kept = unique.shingles_kept if unique.shingles_kept >= 0 else None
    return {"title": unique.title_changed, "shingles_kept": kept}


def test_copies_meet_what_they_copy_in_one_join(news: WrittenDataset, ask: Ask) -> None:
    """A copy meets each revision of what it copies."""
    expected = [
        {
            "origin": copy.article.origin,
            "kind": copy.kind,
            "article_id": copy.canonical_id,
            "title": article.unique.article.title,
        }
        for copy in news.duplicates
        for article in news.articles
        if article.unique.article_id == copy.canonical_id
    ]
    answer = ask("copies with what they copy")
    assert sorted(answer, key=lambda row: row["origin"]) == expected
    assert len(expected) > len(news.duplicates)


@pytest.mark.parametrize("older", ["first", "last"])
def test_a_dataset_begun_under_an_older_schema_is_read_whole(
    older: str, written: WrittenDataset, workplace: Path, reader: str, run_line: RunLine
) -> None:
    """Columns are only ever added. A file from before has nulls there, wherever it stands."""
    news = shutil.copytree(written.root, workplace / "news")
    files = sorted(news.glob("articles/**/*.parquet"))
    file = files[0] if older == "first" else files[-1]
    pq.write_table(pq.ParquetFile(file).read().drop_columns(["rights"]), file)
    rows = rows_of(run_line(ACROSS_SCHEMAS[reader]))
    assert ids(rows) == written.ids(lambda *_: True)
    titles = {a.unique.article_id: a.unique.article.title for a in written.articles}
    assert {row["article_id"]: row["title"] for row in rows} == titles


def test_date_is_a_date_where_every_article_is_undated(
    written: WrittenDataset, workplace: Path, ask: Ask
) -> None:
    """A folder of dumps may hold no date at all; the questions are still answered."""
    shutil.copytree(written.root, workplace / "news")
    for folder in (workplace / "news" / "articles").iterdir():
        if folder.name != f"date={NULL_PARTITION}":
            shutil.rmtree(folder)
    assert ids(ask("the undated")) == written.ids(IN_PARTITIONS["the undated"])
    assert ask("a day") == []


def test_the_sample_has_a_partition_for_each_date_and_topic(news: WrittenDataset) -> None:
    folders = {file.parent for file in news.root.glob("articles/**/*.parquet")}
    assert {partition_of(folder / "file") for folder in folders} == {
        (date, topic) for date in DATES for topic in TOPICS
    }
