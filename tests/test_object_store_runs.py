"""Whole runs on object stores: MinIO for S3, fake-gcs-server for Google's.

What a run does on a local disk it does here: the same rows, once each, whatever kills it and
whoever else writes. The runs are real, and so are the servers (see ``object_servers``).
"""

from __future__ import annotations

import datetime
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from object_servers import (
    GCSFS_SENDS_BYTES,
    ObjectServer,
    free_port,
    in_environment,
    run_minio,
)
from pyarrow import fs
from source_factory import write_sources
from store_runs import ROOT, Ending, Runs, Stop, command, command_without, ingest_at, running

from docs.queries import FINISHED_RUNS
from pipelines.compact import CompactReport, compact
from pipelines.config import IngestConfig
from pipelines.dataset import PENDING, STAGING, Dataset, DatasetError
from pipelines.lock import FOLDER as LEASES
from pipelines.run import RunReport, ingest
from pipelines.verify import verify
from schemas.arrow import TABLES
from transforms.storage import Store, client_of, open_store

pytest_plugins = ["object_servers"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(GCSFS_SENDS_BYTES)]

SEEDS = str(ROOT / "seeds")
FEW = f"{SEEDS}/0*"
NOW = datetime.datetime(2026, 6, 30, 12, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(hours=5)
DUCKDB = "1.5.5"
"""The newest version of DuckDB whose httpfs extension is in the Python package index."""

Rows = dict[str, list[str]]


def run(output: str, *sources: str, now: datetime.datetime = NOW, **options: Any) -> RunReport:
    config = IngestConfig(sources, output, **{"workers": 1, **options})
    return ingest(config, clock=lambda: now)


def rows(output: str, without: Sequence[str] = ()) -> Rows:
    """Every row of every table, with its folder, but for what is another in every run."""
    store = open_store(output)
    left_out = {"run_id", "resolved_by", *without}
    return {table: sorted(_rows_of(store, table, left_out)) for table in TABLES}


def _rows_of(store: Store, table: str, left_out: Set[str]) -> Iterator[str]:
    for file in store.list_files(table):
        folder = file.path.rpartition("/")[0]
        with store.open(file.path) as opened:
            for row in pq.read_table(opened).to_pylist():
                kept = {name: value for name, value in row.items() if name not in left_out}
                yield json.dumps({"folder": folder, **kept}, sort_keys=True, default=str)


def faults(output: str) -> list[str]:
    """What ``newsbeam verify`` finds."""
    checks = verify(Dataset(open_store(output))).checks
    return [fault for check in checks for fault in check.faults]


def left_over(output: str) -> list[str]:
    """What no run should leave behind."""
    store = open_store(output)
    return [file.path for folder in (STAGING, PENDING) for file in store.list_files(folder)]


def copied(output: str, target: str) -> str:
    """A copy of a dataset, as it stands."""
    store = open_store(output)
    keys = [f"{store.url}/{file.path}" for file in store.list_files("")]
    client_of("s3").copy(keys, [key.replace(store.url, target, 1) for key in keys])
    return target


def options(output: str, *sources: str, **others: Any) -> dict[str, Any]:
    return {"sources": sources, "output": output, "workers": 1, "slice_files": 9, **others}


@pytest.fixture(scope="module")
def runs(minio: ObjectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with running(minio.environment, tmp_path_factory.mktemp("runs")) as started:
        yield started


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows that the seeds give in a local folder, worked through at once."""
    output = str(tmp_path_factory.mktemp("local") / "news")
    run(output, SEEDS)
    return rows(output)


# ── the same as on a disk ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("workers", "slice_files"), [(1, 5), (2, 100)])
def test_a_run_to_a_bucket_gives_the_rows_of_a_local_one(
    minio: ObjectServer, expected: Rows, workers: int, slice_files: int
) -> None:
    output = minio.new_url()
    report = run(output, SEEDS, workers=workers, slice_files=slice_files)
    assert report.slices == (6 if slice_files == 5 else 1)
    assert rows(output) == expected
    assert not faults(output)
    assert not left_over(output)


def test_the_same_files_again_add_nothing_to_a_bucket(minio: ObjectServer, expected: Rows) -> None:
    output = minio.new_url()
    run(output, SEEDS)
    again = run(output, SEEDS, now=LATER)
    assert again.count("unchanged") == len(expected["articles"]) + len(expected["duplicates"])
    assert rows(output) == expected
    assert not faults(output)
    assert not left_over(output)


def put(url: str, *files: Path) -> None:
    for file in files:
        client_of("s3").pipe_file(f"{url}/{file.name}", file.read_bytes())


def test_what_lies_in_a_bucket_is_read_as_what_lies_on_a_disk(
    minio: ObjectServer, expected: Rows
) -> None:
    sources, output = minio.new_url(), minio.new_url()
    put(sources, *Path(SEEDS).iterdir())
    run(output, f"{sources}/", slice_files=9)
    found = rows(output, ["failure_id"])
    assert {
        table: sorted(row.replace(sources, SEEDS) for row in of_table)
        for table, of_table in found.items()
    } == {table: sorted(map(_without_failure_id, expected[table])) for table in TABLES}
    assert not faults(output)
    again = run(output, f"{sources}/*", now=LATER)
    assert again.count("article") == again.count("duplicate") == 0
    assert rows(output, ["failure_id"]) == found


def _without_failure_id(row: str) -> str:
    """A failure's id holds where it was found."""
    return json.dumps({k: v for k, v in json.loads(row).items() if k != "failure_id"})


# ── killed ──────────────────────────────────────────────────────────────────────────────────────

BEFORE_THE_COMMIT = [
    Stop("lease"),
    Stop("plan"),
    Stop("extract"),
    Stop("extract", 5),
    Stop("decide", 1),
    Stop("enrich", 2),
    Stop("assemble", 3),
    Stop("seal", 1),
]
IN_THE_COMMIT = [
    Stop("pending"),
    Stop("copy"),
    Stop("copy", 5),
    Stop("unstage", 5),
    Stop("commit"),
    Stop("clear", 3),
    Stop("done", 1),  # the first is that of the seal
]
IN_A_COMPACTION = [
    Stop("rewrite", 2),
    Stop("pending"),
    Stop("copy", 1),
    Stop("remove"),
    Stop("remove", 5),
    Stop("commit"),
    Stop("done"),
]


def test_a_run_killed_in_phase_after_phase_gives_the_rows_of_an_undisturbed_one(
    minio: ObjectServer, runs: Runs, expected: Rows
) -> None:
    output = minio.new_url()
    for stop in BEFORE_THE_COMMIT:
        killed = runs.run(ingest_at, NOW, options(output, SEEDS), output=output, stop=stop)
        assert killed.exit_code == -signal.SIGKILL, f"{stop}: {killed.said}"
        assert sum(map(len, rows(output).values())) == 0
    report = run(output, SEEDS, slice_files=9)
    assert report.resumed_slices == report.slices == 3
    assert rows(output) == expected
    assert not faults(output)
    assert not left_over(output)


@pytest.fixture(scope="module")
def expected_of_few(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    output = str(tmp_path_factory.mktemp("few") / "news")
    run(output, FEW)
    return rows(output)


@pytest.fixture(scope="module")
def staged(minio: ObjectServer, runs: Runs) -> str:
    """A dataset whose only run was killed when all was staged."""
    output = minio.new_url()
    stop = Stop("pending")
    killed = runs.run(ingest_at, NOW, options(output, FEW), output=output, stop=stop)
    assert killed.exit_code == -signal.SIGKILL, killed.said
    return output


@pytest.mark.parametrize("stop", IN_THE_COMMIT, ids=str)
def test_a_commit_that_was_killed_is_finished_by_the_next_run(
    minio: ObjectServer, runs: Runs, staged: str, expected_of_few: Rows, stop: Stop
) -> None:
    output = copied(staged, minio.new_url())
    killed = runs.run(ingest_at, NOW, options(output, FEW), output=output, stop=stop)
    assert killed.exit_code == -signal.SIGKILL, killed.said
    again = runs.run(ingest_at, LATER, options(output, FEW), output=output)
    assert again.exit_code == 0, again.said
    assert rows(output) == expected_of_few
    assert not faults(output)
    assert not left_over(output)


# ── compaction ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Source files that in several runs give several files in a partition."""
    folder = tmp_path_factory.mktemp("sources")
    write_sources(folder, 24)
    return sorted(map(str, folder.iterdir()))


def scatter(output: str, files: Sequence[str]) -> None:
    for number in range(3):
        run(output, *files[number::3], now=NOW + datetime.timedelta(hours=number))


@pytest.fixture(scope="module")
def scattered(minio: ObjectServer, files: Sequence[str]) -> str:
    """A dataset that three runs have made."""
    output = minio.new_url()
    scatter(output, files)
    return output


def files_of(output: str) -> Counter[str]:
    """How many files each table has."""
    store = open_store(output)
    return Counter({table: len(store.list_files(table)) for table in TABLES})


def compacted(output: str) -> CompactReport:
    dataset = Dataset(open_store(output))
    with dataset.writing("newsbeam compact"):
        return compact(dataset)


def test_compaction_leaves_every_row_in_fewer_files(minio: ObjectServer, scattered: str) -> None:
    output = copied(scattered, minio.new_url())
    before, found = files_of(output), rows(output)
    report = compacted(output)
    after = files_of(output)
    for table in TABLES:
        change = report.tables[table]
        assert (change.files_before, change.files_after) == (before[table], after[table])
    assert after.total() < before.total()
    assert rows(output) == found
    assert not faults(output)
    assert not left_over(output)


@pytest.mark.parametrize("stop", IN_A_COMPACTION, ids=str)
def test_a_compaction_that_was_killed_is_finished_by_the_next(
    minio: ObjectServer, runs: Runs, scattered: str, stop: Stop
) -> None:
    output = copied(scattered, minio.new_url())
    found = rows(output)
    killed = runs.run(command, "compact", output, output=output, stop=stop)
    assert killed.exit_code == -signal.SIGKILL, killed.said
    for table in TABLES:  # readers that look now may see a row twice, and miss none
        assert set(rows(output)[table]) == set(found[table])
    compacted(output)
    assert rows(output) == found
    assert not faults(output)
    assert not left_over(output)


# ── two writers ─────────────────────────────────────────────────────────────────────────────────


def test_the_second_of_two_writers_is_told_who_the_first_is(
    minio: ObjectServer, runs: Runs, expected: Rows
) -> None:
    output = minio.new_url()
    stop = Stop("extract", kill=False)
    first = runs.start(ingest_at, NOW, options(output, SEEDS), output=output, stop=stop)
    first.wait_until_it_stops()
    who = rf"is locked: process {first.process_id} on .* \(newsbeam ingest\) has been writing"
    with pytest.raises(DatasetError, match=who):
        run(output, SEEDS)
    first.let_go_on()
    assert first.end().exit_code == 0
    assert rows(output) == expected


def test_a_writer_that_waits_follows_the_first(
    minio: ObjectServer, runs: Runs, expected: Rows
) -> None:
    output = minio.new_url()
    stop = Stop("extract", kill=False)
    first = runs.start(ingest_at, NOW, options(output, SEEDS), output=output, stop=stop)
    first.wait_until_it_stops()
    told: list[str] = []

    def let_go_on(sentence: str) -> None:
        told.append(sentence)
        first.let_go_on()

    config = IngestConfig((SEEDS,), output, workers=1, wait_seconds=300)
    second = ingest(config, clock=lambda: LATER, notify=let_go_on)
    assert f"waiting for {output}: process {first.process_id} on" in told[0]
    assert first.end().exit_code == 0
    assert second.count("article") == 0
    assert rows(output) == expected
    assert not faults(output)


def test_of_two_writers_that_race_for_a_new_dataset_one_waits_for_the_other(
    minio: ObjectServer, runs: Runs
) -> None:
    output = minio.new_url()
    sources = [f"{SEEDS}/010*", f"{SEEDS}/050*"]
    stop = Stop("lease", kill=False)  # both have seen that there is none
    racing = [
        runs.start(ingest_at, NOW, options(output, one, wait_seconds=300), output=output, stop=stop)
        for one in sources
    ]
    for one in racing:
        one.wait_until_it_stops()
    for one in racing:
        one.let_go_on()
    for one in racing:
        ending = one.end()
        assert ending.exit_code == 0, ending.said
    alone = minio.new_url()
    run(alone, *sources)
    assert rows(output) == rows(alone)
    assert not faults(output)
    assert len(open_store(output).names("_newsbeam/commits")) == 2


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (Stop("pending", kill=False), "another run has written to {output} since this one began"),
        (Stop("assemble", 2, kill=False), "{output}/_newsbeam/staging/"),  # what it read is gone
    ],
    ids=["before it committed", "before it had staged all"],
)
def test_a_writer_that_slept_while_another_took_over_commits_nothing(
    minio: ObjectServer, runs: Runs, expected: Rows, stop: Stop, said: str
) -> None:
    output = minio.new_url()
    asleep = runs.start(ingest_at, NOW, options(output, SEEDS), output=output, stop=stop)
    asleep.wait_until_it_stops()
    os.kill(asleep.process_id, signal.SIGSTOP)  # with its heartbeat
    _let_it_seem_long_ago(open_store(output))
    run(output, SEEDS, slice_files=9)
    os.kill(asleep.process_id, signal.SIGCONT)
    asleep.let_go_on()
    ending = asleep.end()
    assert ending.exit_code == 1
    assert said.format(output=output) in ending.said
    assert rows(output) == expected
    run(output, SEEDS, now=LATER)
    assert rows(output) == expected
    assert not faults(output)
    assert not left_over(output)


def _let_it_seem_long_ago(store: Store) -> None:
    """Make the last sign of life of whoever writes to a dataset an hour older."""
    path = f"{LEASES}/{store.names(LEASES)[-1]}"
    lease = json.loads(store.read(path))
    beat = datetime.datetime.fromisoformat(lease["beat"]) - datetime.timedelta(hours=1)
    store.write(path, json.dumps({**lease, "beat": beat.isoformat()}).encode())


# ── verify and replay ───────────────────────────────────────────────────────────────────────────


def test_verify_finds_a_flipped_bit(minio: ObjectServer, runs: Runs, scattered: str) -> None:
    output = copied(scattered, minio.new_url())
    store = open_store(output)
    path = store.list_files("articles")[3].path
    content = bytearray(store.read(path))
    content[len(content) // 2] ^= 1
    store.write(path, bytes(content))
    verified = runs.run(command, "verify", output)
    assert verified.exit_code == 1
    assert path.rpartition("/")[2] in verified.said


def test_verify_finds_that_an_object_is_missing(
    minio: ObjectServer, runs: Runs, scattered: str
) -> None:
    output = copied(scattered, minio.new_url())
    store = open_store(output)
    path = store.list_files("duplicates")[0].path
    store.delete([path])
    verified = runs.run(command, "verify", output)
    assert verified.exit_code == 1
    assert path.rpartition("/")[2] in verified.said
    ingested = runs.run(command, "ingest", SEEDS, "--output", output, "--quiet")
    assert ingested.exit_code == 1
    assert f"{path} is missing, which a manifest lists" in ingested.said


def test_a_source_that_was_mended_in_its_bucket_is_replayed(
    minio: ObjectServer, runs: Runs
) -> None:
    sources, output = minio.new_url(), minio.new_url()
    page = (Path(SEEDS) / "100_page_with_metadata.html").read_bytes()
    client_of("s3").pipe_file(f"{sources}/page.html.gz", gzip.compress(page)[:300])
    assert run(output, f"{sources}/").details("failed") == {"truncated": 1}
    client_of("s3").pipe_file(f"{sources}/page.html.gz", gzip.compress(page))
    replayed = runs.run(command, "replay", output, "--json")
    assert replayed.exit_code == 0, replayed.said
    summary = json.loads(replayed.said)
    assert (summary["resolved"], summary["still_open"]) == (1, 0)
    assert len(rows(output)["articles"]) == 1
    assert not faults(output)
    assert not left_over(output)


# ── readers ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def duckdb_folder() -> Path:
    """DuckDB with its httpfs extension, put in the cache of the tests where it is not there yet.

    DuckDB fetches its extensions from a site of its own, which tests do not reach. The package
    index has this one too, but not for every version, and an extension fits just one.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "newsbeam-tests" / f"duckdb-{DUCKDB}"
    if not folder.is_dir():
        beside = folder.with_name(f"installing-{uuid.uuid4().hex}")
        wanted = [f"duckdb=={DUCKDB}", f"duckdb-extension-httpfs=={DUCKDB}"]
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(beside)]
        done = subprocess.run([*install, *wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(beside, ignore_errors=True)
            pytest.skip(f"DuckDB's httpfs cannot be installed: {done.stderr.splitlines()[-1]}")
        beside.replace(folder)
    return folder


_ANSWERING = """
import duckdb, json, sys
connection = duckdb.connect()
for statement in sys.argv[1:]:
    answer = connection.execute(statement)
print(json.dumps(answer.fetchall(), default=str))
"""


def ask_duckdb(folder: Path, server: ObjectServer, *statements: str) -> list[list[Any]]:
    """What DuckDB answers to the last statement, with httpfs and a secret for the server."""
    (extension,) = folder.glob("**/httpfs.duckdb_extension")
    secret = (
        f"CREATE SECRET (TYPE s3, KEY_ID '{server.environment['AWS_ACCESS_KEY_ID']}',"
        f" SECRET '{server.environment['AWS_SECRET_ACCESS_KEY']}',"
        f" ENDPOINT '{server.endpoint.removeprefix('http://')}',"
        " USE_SSL false, URL_STYLE 'path', REGION 'us-east-1')"
    )
    done = subprocess.run(
        [sys.executable, "-c", _ANSWERING, f"LOAD '{extension}'", secret, *statements],
        env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    answer: list[list[Any]] = json.loads(done.stdout)
    return answer


def titles(expected_rows: Rows) -> list[tuple[str, str | None]]:
    """(topic, title) of all articles."""
    found = map(json.loads, expected_rows["articles"])
    return sorted((row["folder"].partition("topic=")[2], row["title"] or "") for row in found)


@pytest.fixture(scope="module")
def seeded(minio: ObjectServer) -> str:
    output = minio.new_url()
    run(output, SEEDS)
    return output


def test_duckdb_reads_a_dataset_over_s3(
    duckdb_folder: Path, minio: ObjectServer, seeded: str, expected: Rows
) -> None:
    query = (
        "SELECT topic, coalesce(title, '') FROM read_parquet("
        f"'{seeded}/articles/**/*.parquet', hive_types = {{'date': DATE}}) ORDER BY ALL"
    )
    answer = ask_duckdb(duckdb_folder, minio, query)
    assert sorted(map(tuple, answer)) == titles(expected)


def test_duckdb_reads_what_is_committed_and_no_more_over_s3(
    duckdb_folder: Path, minio: ObjectServer, runs: Runs, scattered: str
) -> None:
    output = copied(scattered, minio.new_url())
    halfway = runs.run(command, "compact", output, output=output, stop=Stop("remove"))
    assert halfway.exit_code == -signal.SIGKILL, halfway.said
    both = FINISHED_RUNS.replace("news/", f"{output}/").split(";")[:2]
    committed = ask_duckdb(duckdb_folder, minio, both[0], f"SELECT count(*) {both[1]}")
    glob = f"SELECT count(*) FROM read_parquet('{output}/articles/**/*.parquet')"
    seen = ask_duckdb(duckdb_folder, minio, glob)
    there = len(rows(scattered)["articles"])
    assert committed == [[there]]
    assert seen[0][0] > there


def test_duckdb_reads_a_dataset_through_fsspec(seeded: str, expected: Rows) -> None:
    with duckdb.connect() as connection:
        connection.register_filesystem(client_of("s3"))
        answer = connection.sql(
            "SELECT topic, coalesce(title, '') FROM read_parquet("
            f"'{seeded}/articles/**/*.parquet', hive_types = {{'date': DATE}})"
        ).fetchall()
    assert sorted(answer) == titles(expected)


def test_polars_reads_a_dataset_over_s3(seeded: str, expected: Rows) -> None:
    articles = pl.scan_parquet(
        f"{seeded}/articles/",
        hive_schema={"date": pl.Date, "topic": pl.String},
        storage_options={"aws_allow_http": "true"},
    )
    answer = articles.select("topic", pl.col("title").fill_null("")).collect().rows()
    assert sorted(answer) == titles(expected)


def test_pyarrow_reads_a_dataset_over_s3(minio: ObjectServer, seeded: str, expected: Rows) -> None:
    store = fs.S3FileSystem(endpoint_override=minio.endpoint)
    hive = ds.partitioning(pa.schema({"date": pa.date32(), "topic": pa.string()}), flavor="hive")
    folder = f"{seeded.removeprefix('s3://')}/articles"
    articles = ds.dataset(folder, filesystem=store, partitioning=hive).to_table()
    answer = zip(articles["topic"].to_pylist(), articles["title"].to_pylist(), strict=True)
    assert sorted((topic, title or "") for topic, title in answer) == titles(expected)


# ── Google's ────────────────────────────────────────────────────────────────────────────────────


def test_a_dataset_in_google_cloud_storage_is_made_added_to_compacted_and_verified(
    fake_gcs: ObjectServer, scattered: str, files: Sequence[str]
) -> None:
    output, found = fake_gcs.new_url(), rows(scattered)
    scatter(output, files)
    assert rows(output) == found
    again = run(output, *files, now=LATER)
    assert again.count("article") == again.count("duplicate") == 0
    before = files_of(output)
    compacted(output)
    assert rows(output) == found
    assert files_of(output).total() < before.total()
    assert not faults(output)
    assert not left_over(output)


# ── a store that refuses ────────────────────────────────────────────────────────────────────────

WRONG = {
    "a wrong key": ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "signature"),
    "a profile that does not exist": ({"AWS_PROFILE": "nobody"}, "(nobody)"),
    "a server that is gone": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:{port}"}, "{port}"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_store_that_cannot_be_used_as_given_is_bad_usage_of_every_command(
    minio: ObjectServer, runs: Runs, wrong: str
) -> None:
    change, said = WRONG[wrong]
    port = free_port()
    environment = {**minio.environment, **{k: v.format(port=port) for k, v in change.items()}}
    url = minio.new_url()
    started = [
        runs.start(command, *argv, environment=environment)
        for argv in (
            ["ingest", SEEDS, "--output", url],
            ["ingest", f"{url}/in/", "--output", "news"],
            ["compact", url],
            ["replay", url],
            ["verify", url],
        )
    ]
    for one in started:
        ending = one.end()
        assert_refused(ending, 2, url, said.format(port=port))


def assert_refused(ending: Ending, exit_code: int, *said: str) -> None:
    """That a command ended with one line for a person."""
    assert ending.exit_code == exit_code, ending.said
    assert len(ending.said.splitlines()) == 1
    assert ending.said.startswith("newsbeam: ")
    for part in said:
        assert part in ending.said


@pytest.mark.parametrize("name", ["compact", "replay", "verify"])
def test_where_there_is_no_bucket_there_is_no_dataset(runs: Runs, name: str) -> None:
    ending = runs.run(command, name, "s3://no-such-bucket/news")
    assert_refused(ending, 2, "s3://no-such-bucket/news")


def test_a_bucket_that_does_not_exist_is_named(runs: Runs, tmp_path: Path) -> None:
    into = runs.start(command, "ingest", SEEDS, "--output", "s3://no-such-bucket/news", "--quiet")
    out_of = runs.start(command, "ingest", "s3://no-such-bucket/in", "--output", str(tmp_path))
    for ending in (into.end(), out_of.end()):
        assert_refused(ending, 2, "s3://no-such-bucket/", "bucket does not exist")


@pytest.mark.parametrize(
    ("url", "client", "extra"), [("s3://b/news", "s3fs", "s3"), ("gs://b/news", "gcsfs", "gcs")]
)
def test_without_the_client_of_a_store_its_extra_is_named(
    runs: Runs, url: str, client: str, extra: str
) -> None:
    into = runs.run(command_without, client, "ingest", SEEDS, "--output", url)
    out_of = runs.run(command_without, client, "ingest", url, "--output", "news")
    for ending in (into, out_of):
        assert_refused(ending, 2, f"pip install 'newsbeam[{extra}]'")


@pytest.mark.parametrize("phase", ["extract", "pending", "copy"])
def test_a_run_whose_server_goes_away_is_gone_on_with_when_it_is_back(
    runs: Runs, expected: Rows, tmp_path: Path, phase: str
) -> None:
    output = "s3://away/news"
    arguments = ("ingest", SEEDS, "--output", output, "--quiet")
    with run_minio(tmp_path) as server, in_environment(server):
        client_of("s3").mkdir("away")
        left = runs.start(
            command, *arguments,
            output=output, stop=Stop(phase, 1 if phase == "copy" else 0, kill=False),
            environment=server.environment,
        )  # fmt: skip
        left.wait_until_it_stops()
    left.let_go_on()
    assert_refused(left.end(), 1, output, "Could not connect")
    with run_minio(tmp_path) as server, in_environment(server):
        back = runs.run(command, *arguments, environment=server.environment)
        assert back.exit_code == 0, back.said
        assert how_many(rows(output)) == how_many(expected)
        assert not faults(output)
        assert not left_over(output)


def how_many(found: Rows) -> dict[str, int]:
    return {table: len(of_table) for table, of_table in found.items()}
