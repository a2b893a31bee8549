"""A stream can be watched: in a file, by Prometheus, and by a person."""

from __future__ import annotations

import datetime
import io
import json
import logging
import socket
import threading
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
import pytest
from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricResults
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from stream_factory import ScriptedStream, failed_reading, passed, quiet_poll

from pipelines.beam_metrics import (
    Distribution,
    EngineQuestions,
    Measured,
    from_plain,
    hand_on,
    read_metrics,
)
from pipelines.committing import in_a_thread
from pipelines.config import UsageError
from pipelines.dataset import Commit
from pipelines.live import FeedCounts
from pipelines.local import local_runner
from pipelines.metrics_server import EXPOSED, Endpoint, parse_endpoint, serving_metrics
from pipelines.run import RunReport
from pipelines.stream_metrics import MetricsLog, StreamMetrics, StreamObserver
from pipelines.stream_view import (
    StreamWatch,
    commit_line,
    picture,
    span,
    to_stream_watch,
    watching_stream,
)
from schemas.records import Balance, Tally, WrittenFile
from transforms.enrichment import EnrichArticles
from transforms.extraction import ExtractArticles
from transforms.measures import (
    LAG_BOUNDS_SECONDS,
    MEASURES,
    NAMESPACE,
    quantile_of_counts,
    summed_lags,
)

ROOT = Path(__file__).resolve().parent.parent
NOON = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)
UNITS = {"seconds", "milliseconds", "bytes", "total", "info", "subscribed", "failing"}
"""With what the name of a metric may end; the last two count feeds, as their names say."""


class HandClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime.datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


def commit_of(
    number: int,
    *tallies: Tally,
    rows: int = 0,
    failed_feeds: int = 0,
    feed_lags: Sequence[float] = (),
    measured: Measured | None = None,
    until: datetime.datetime = NOON,
) -> Commit:
    """A commit of a stream of four feeds, with details as a run's report has them."""
    units = sum(tally.count for tally in tallies)
    report = RunReport(
        run_id=f"run-{number}",
        output="news",
        started_at=NOON,
        seconds=1.5,
        balance=Balance(3, 5, units, tallies, (), 0, (), 0),
        files=[WrittenFile("articles", "articles/date=2026-11-20/a.parquet", rows, 100)],
        feeds=FeedCounts(subscribed=4, polled=3, unchanged=1, failed=failed_feeds, links=2),
    )
    stream = {
        "id": "stream-1",
        "until_micros": round(until.timestamp() * 1e6),
        "watermark_lag_seconds": 2.25,
        "polls": {"count": 3, "unchanged": 1, "failed": failed_feeds},
        "feeds_failing": failed_feeds,
        "observed_lag_seconds": summed_lags(feed_lags),
        "feed_lag_seconds": summed_lags(feed_lags),
        "measured": (measured or Measured()).plain(),
    }
    return Commit(number, "ingest", f"run-{number}", details={**report.summary(), "stream": stream})


def begun(clock: HandClock | None = None) -> StreamMetrics:
    metrics = StreamMetrics(clock or HandClock())
    metrics.begin("stream-1", "PrismRunner", 4)
    return metrics


# ── what is counted ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_begins_with_what_it_counts_or_ends_with_its_unit(name: str) -> None:
    measure = MEASURES[name]
    if measure.kind == "counter":
        assert measure.unit.endswith("s")
        assert name.startswith(f"{measure.unit}_")
    else:
        assert measure.unit in {"bytes", "milliseconds"}
        assert name.endswith(f"_{measure.unit}")


def told_by(module: str) -> set[tuple[str, str]]:
    """Kind and name of what a module of ``transforms`` counts."""
    import ast

    path = ROOT / "transforms" / f"{module}.py"
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    return {
        (call.func.attr, ast.literal_eval(call.args[1]))
        for call in calls
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).startswith("Metrics.")
        and ast.unparse(call.args[0]) == "NAMESPACE"
    }


def test_what_stages_count_is_what_is_listed() -> None:
    counted = {
        (module.stem, *told)
        for module in (ROOT / "transforms").glob("*.py")
        for told in told_by(module.stem)
    }
    listed = {
        (stage, measure.kind, measure.name)
        for measure in MEASURES.values()
        for stage in measure.stage.split(", ")
        if stage != "committing"
    }
    assert counted == listed


def test_every_metric_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert {name for name in (*MEASURES, *EXPOSED) if f"`{name}`" not in text} == set()


# ── lags ────────────────────────────────────────────────────────────────────────────────────────


def test_lags_are_counted_up_to_each_bound() -> None:
    summed = summed_lags([0.5, 1.0, 59.0, 20_000.0])
    assert summed["count"] == 4
    assert summed["sum"] == 20_060.5
    assert summed["max"] == 20_000.0
    counts = dict(zip(LAG_BOUNDS_SECONDS, summed["up_to"], strict=True))
    assert (counts[1], counts[45], counts[60], counts[14_400]) == (2, 2, 3, 3)


def test_of_no_lags_there_are_no_quantiles() -> None:
    assert set(summed_lags([])) == {"count", "sum", "up_to"}
    assert quantile_of_counts(summed_lags([])["up_to"], 0, 0.5) is None


LAGS = st.lists(st.floats(0, 14_400), min_size=1, max_size=50)


@given(LAGS, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_of_counts_lies_between_the_bounds_of_the_true_one(
    lags: list[float], share: float
) -> None:
    summed = summed_lags(lags)
    found = quantile_of_counts(summed["up_to"], summed["count"], share)
    ordered = sorted(lags)
    true = next(lag for place, lag in enumerate(ordered, 1) if place >= share * len(lags))
    bounds = (0, *LAG_BOUNDS_SECONDS)
    low = max(bound for bound in bounds if bound < true or bound == 0)
    high = min(bound for bound in bounds[1:] if bound >= true)
    assert found is not None
    assert low <= found <= high


# ── Beam's counters ─────────────────────────────────────────────────────────────────────────────


def count_pages(page: int) -> int:
    Metrics.counter(NAMESPACE, "pages_extracted").inc()
    Metrics.distribution(NAMESPACE, "page_bytes").update(page)
    Metrics.counter("another", "pages_extracted").inc(1_000)
    return page


def run_in_process(build: Any) -> MetricResults:
    pipeline = beam.Pipeline(runner=local_runner(1))
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    return result.metrics()


def test_what_several_steps_count_under_one_name_is_added_up() -> None:
    def build(pipeline: beam.Pipeline) -> None:
        pages = pipeline | beam.Create([10, 20, 60]) | "One" >> beam.Map(count_pages)
        _ = pages | "Two" >> beam.Map(count_pages)

    measured = read_metrics(run_in_process(build))
    assert measured.counters == {"pages_extracted": 6}
    assert measured.distributions == {"page_bytes": Distribution(6, 180, 10, 60)}


def test_what_a_graph_within_a_step_counts_is_handed_on_to_the_step() -> None:
    def within(_: int) -> int:
        measured = in_a_thread(
            lambda: read_metrics(
                run_in_process(lambda inner: inner | beam.Create([1, 5]) | beam.Map(count_pages))
            )
        )
        hand_on(measured)
        return 0

    measured = read_metrics(
        run_in_process(lambda outer: outer | beam.Create([0]) | beam.Map(within))
    )
    assert measured == Measured({"pages_extracted": 2}, {"page_bytes": Distribution(2, 6, 1, 5)})


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40))
def test_a_distribution_is_told_by_as_many_values_that_come_to_the_same(values: list[int]) -> None:
    distribution = Distribution(len(values), sum(values), min(values), max(values))
    told = list(distribution.values())
    assert Distribution(len(told), sum(told), min(told), max(told)) == distribution


COUNTS = st.dictionaries(st.sampled_from(["pages_extracted", "rows_staged"]), st.integers(0, 9))
DISTRIBUTIONS = st.dictionaries(
    st.sampled_from(["page_bytes", "file_bytes"]),
    st.integers(1, 99).map(lambda value: Distribution(1, value, value, value)),
)
MEASURED = st.builds(Measured, COUNTS, DISTRIBUTIONS)


@given(MEASURED, MEASURED)
def test_it_does_not_matter_in_which_order_is_added(one: Measured, other: Measured) -> None:
    assert one + other == other + one
    assert one + Measured() == one


@given(MEASURED)
def test_measured_values_come_back_from_json(measured: Measured) -> None:
    assert from_plain(json.loads(json.dumps(measured.plain()))) == measured


@pytest.mark.parametrize("stage", [ExtractArticles(), EnrichArticles()])
def test_a_stage_that_counts_can_be_sent_to_a_worker(stage: beam.PTransform) -> None:
    import pickle

    assert isinstance(pickle.loads(pickle.dumps(stage)), type(stage))


# ── asking an engine ────────────────────────────────────────────────────────────────────────────


class _Answers(MetricResults):
    def query(self, filter: Any = None) -> dict[str, list[Any]]:
        return {self.COUNTERS: [], self.DISTRIBUTIONS: []}


class Job:
    """A job's result that, as Beam's portable one, keeps its first answer for good."""

    questions = 0

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self._answer: MetricResults | None = None

    def metrics(self) -> MetricResults:
        if self._answer is None:
            type(self).questions += 1
            if self._error is not None:
                raise self._error
            self._answer = _Answers()
        return self._answer


def test_an_engine_is_asked_anew_each_time() -> None:
    job, before = Job(), Job.questions
    questions = EngineQuestions(monotonic=iter([0.0, 6.0]).__next__)
    assert questions.ask(job) == Measured()  # type: ignore[arg-type]
    assert questions.ask(job) == Measured()  # type: ignore[arg-type]
    assert Job.questions == before + 2


def test_an_engine_is_asked_every_few_seconds_at_most() -> None:
    questions = EngineQuestions(every_seconds=5, monotonic=iter([0.0, 4.9, 4.9, 9.9]).__next__)
    job = Job()
    answers = [
        questions.ask(job),  # type: ignore[arg-type]
        questions.ask(job),  # type: ignore[arg-type]
        questions.ask(job, at_once=True),  # type: ignore[arg-type]
        questions.ask(job),  # type: ignore[arg-type]
    ]
    assert [answer is not None for answer in answers] == [True, False, True, True]


@pytest.mark.parametrize("error", [grpc.RpcError("deadline exceeded"), NotImplementedError()])
def test_an_engine_that_does_not_answer_ends_no_stream(error: Exception) -> None:
    assert EngineQuestions().ask(Job(error)) is None  # type: ignore[arg-type]


def test_a_bug_in_asking_is_seen() -> None:
    with pytest.raises(TypeError):
        EngineQuestions().ask(Job(TypeError()))  # type: ignore[arg-type]


# ── what a stream has come to ───────────────────────────────────────────────────────────────────


def test_commits_add_up() -> None:
    metrics = begun()
    metrics.update_commit(commit_of(1, Tally("article", "", 3), Tally("duplicate", "near", 1)))
    metrics.update_commit(
        commit_of(2, Tally("article", "", 2), Tally("failed", "http-error", 1), rows=2)
    )
    shot = metrics.snapshot()
    assert shot["commits"] == 2
    assert shot["outcomes"]["article"] == 5
    assert shot["duplicates_by_kind"] == {"near": 1}
    assert shot["failed_by_reason"] == {"http-error": 1}
    assert shot["new_rows"]["articles"] == 2
    assert (shot["feeds_subscribed"], shot["polls"], shot["links_followed"]) == (4, 6, 4)
    assert shot["last_commit"]["number"] == 2


def test_the_watermark_falls_behind_while_nothing_is_committed() -> None:
    clock = HandClock()
    metrics = begun(clock)
    assert metrics.snapshot()["watermark_lag_seconds"] is None
    clock.pass_by(10)
    metrics.update_commit(commit_of(1, until=NOON))
    assert metrics.snapshot()["watermark_lag_seconds"] == 10
    clock.pass_by(50)
    assert metrics.snapshot()["watermark_lag_seconds"] == 60
    assert metrics.snapshot()["last_commit_age_seconds"] == 50


def test_the_rate_is_that_of_the_last_ten_minutes() -> None:
    clock = HandClock()
    metrics = begun(clock)
    clock.pass_by(60)
    metrics.update_commit(commit_of(1, Tally("article", "", 3), Tally("revision", "", 1)))
    assert metrics.snapshot()["articles_per_minute"] == 4
    clock.pass_by(3_600)
    assert metrics.snapshot()["articles_per_minute"] == 0


def test_of_what_both_tell_the_manifests_count() -> None:
    metrics = begun()
    metrics.update_engine(Measured({"articles_enriched": 5, "pages_extracted": 9}))
    metrics.update_commit(commit_of(1, measured=Measured({"articles_enriched": 2})))
    metrics.update_commit(commit_of(2, measured=Measured({"articles_enriched": 1})))
    assert metrics.snapshot()["stages"]["counters"] == {
        "pages_extracted": 9,
        "articles_enriched": 3,
    }


def test_lags_are_those_of_the_last_commit_that_has_any_and_of_the_stream() -> None:
    metrics = begun()
    metrics.update_commit(commit_of(1, feed_lags=[5, 5, 5]))
    metrics.update_commit(commit_of(2, feed_lags=[90]))
    metrics.update_commit(commit_of(3))
    lags = metrics.snapshot()["feed_lag_seconds"]
    assert lags["of_last_commit"]["p50"] == 90
    assert lags["of_stream"]["count"] == 4
    assert 2 <= lags["of_stream"]["p50"] <= 5


def test_it_can_be_told_and_asked_from_many_threads() -> None:
    metrics = begun()
    commit = commit_of(1, Tally("article", "", 1), feed_lags=[1.0])

    def tell() -> None:
        for _ in range(50):
            metrics.update_commit(commit)
            metrics.snapshot()

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.snapshot()["outcomes"]["article"] == 200


def test_what_a_stream_really_commits_can_be_watched(tmp_path: Path) -> None:
    stream = ScriptedStream(tmp_path / "news")
    stream.play_readings(failed_reading("gone", 10), quiet_poll(20), passed(60))
    (commit,) = stream.commits()
    metrics = begun()
    metrics.update_commit(commit)
    shot = metrics.snapshot()
    assert shot["failed_by_reason"] | shot["rejected_by_reason"] == {"not-found": 1}
    assert (shot["polls"], shot["polls_unchanged"], shot["feeds_failing"]) == (1, 1, 0)
    assert shot["stages"]["counters"]["rows_written"] == 1
    assert shot["stages"]["counters"]["commits_published"] == 1
    assert commit_line(commit).startswith("commit 1: 1 rejected; 1 poll; ")


def test_a_snapshot_can_be_written_as_json() -> None:
    metrics = begun()
    metrics.update_commit(commit_of(1, feed_lags=[1.0], measured=Measured({"rows_staged": 1})))
    shot = metrics.snapshot()
    assert json.loads(json.dumps(shot)) == shot


# ── JSON lines ──────────────────────────────────────────────────────────────────────────────────


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_commit_and_the_end_are_a_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with watching_stream(StreamWatch(log=path), None, print) as observer:
        observer.begin("stream-1", "PrismRunner", 4)
        observer.tell(commit_of(7, Tally("article", "", 2), rows=2))
        assert [line["event"] for line in lines_of(path)] == ["commit"]  # flushed
        observer.look(Job(), is_last=True)  # type: ignore[arg-type]
        observer.end()
    first, last = lines_of(path)
    assert first["commit"]["number"] == 7
    assert first["commit"]["new_rows"]["articles"] == 2
    assert first["commit"]["stream"]["watermark_lag_seconds"] == 2.25
    assert first["totals"]["outcomes"]["article"] == 2
    assert (last["event"], last["commit"], last["totals"]["is_over"]) == ("end", None, True)


def test_a_log_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for number in (1, 2):
        log = MetricsLog(path, begun())
        log.hear(commit_of(number))
        log.close()
    assert [line["commit"]["number"] for line in lines_of(path)] == [1, 2]


def test_a_log_that_cannot_be_opened_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "metrics.jsonl"
    with pytest.raises(UsageError, match=r"cannot write --metrics-log .*No such file"):
        MetricsLog(path, begun())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' /dev/full")
def test_a_full_disk_is_told_of_and_ends_no_stream(caplog: pytest.LogCaptureFixture) -> None:
    log = MetricsLog(Path("/dev/full"), begun())
    with caplog.at_level(logging.WARNING, logger="newsbeam"):
        log.hear(commit_of(1))
    log.close()
    assert caplog.messages == ["no line was added to /dev/full: No space left on device"]


# ── Prometheus ──────────────────────────────────────────────────────────────────────────────────


def ask(endpoint: Endpoint) -> str:
    with urllib.request.urlopen(endpoint.url, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        return str(answer.read().decode())


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextmanager
def served(metrics: StreamMetrics) -> Iterable[Endpoint]:
    with serving_metrics(metrics, parse_endpoint("0")) as endpoint:
        yield endpoint


def test_prometheus_reads_what_was_committed() -> None:
    metrics = begun()
    metrics.update_commit(
        commit_of(
            1,
            Tally("article", "", 3),
            Tally("duplicate", "near", 1),
            Tally("rejected", "empty", 2),
            rows=3,
            failed_feeds=1,
            feed_lags=[4.0, 70.0, 99_999.0],
            measured=Measured(
                {"articles_enriched": 3}, {"enrich_milliseconds": Distribution(2, 500, 100, 400)}
            ),
        )
    )
    with served(metrics) as endpoint:
        found = samples(ask(endpoint))
    assert found["newsbeam_stream_info", ("PrismRunner", "stream-1")] == 1
    assert found["newsbeam_articles_total", ("article",)] == 3
    assert found["newsbeam_duplicates_total", ("near",)] == 1
    assert found["newsbeam_units_rejected_total", ("empty",)] == 2
    assert found["newsbeam_rows_total", ("articles",)] == 3
    assert found["newsbeam_feeds_failing", ()] == 1
    assert found["newsbeam_commit_delay_seconds", ()] == 2.25
    assert found["newsbeam_feed_lag_seconds_bucket", ("5.0",)] == 1
    assert found["newsbeam_feed_lag_seconds_bucket", ("90.0",)] == 2
    assert found["newsbeam_feed_lag_seconds_bucket", ("+Inf",)] == 3
    assert found["newsbeam_feed_lag_seconds_sum", ()] == 100_073
    assert found["newsbeam_stage_articles_enriched_total", ()] == 3
    assert found["newsbeam_stage_enrich_seconds_sum", ()] == 0.5


def test_prometheus_reads_anew_each_time() -> None:
    metrics = begun()
    with served(metrics) as endpoint:
        assert samples(ask(endpoint))["newsbeam_commits_total", ()] == 0
        metrics.update_commit(commit_of(1))
        assert samples(ask(endpoint))["newsbeam_commits_total", ()] == 1


def test_every_metric_that_is_served_is_listed_and_its_name_carries_its_unit() -> None:
    metrics = begun()
    every = Measured(
        {name: 1 for name, one in MEASURES.items() if one.kind == "counter"},
        {
            name: Distribution(1, 1, 1, 1)
            for name, one in MEASURES.items()
            if one.kind == "distribution"
        },
    )
    metrics.update_engine(every)
    with served(metrics) as endpoint:
        text = ask(endpoint)
    named = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert named == list(EXPOSED)
    for name, one in EXPOSED.items():
        assert name.startswith("newsbeam_")
        assert name.rpartition("_")[2] in UNITS - {"milliseconds"}, name
        assert name.endswith("_total") == (one.kind == "counter")


def test_the_server_is_gone_with_the_stream() -> None:
    with served(begun()) as endpoint:
        ask(endpoint)
    with socket.socket() as probe:
        assert probe.connect_ex((endpoint.address, endpoint.port)) != 0


def test_a_port_that_is_taken_is_a_mistake_of_the_caller() -> None:
    with served(begun()) as taken:
        sentence = f"cannot listen at 127.0.0.1, port {taken.port}: Address already in use"
        with pytest.raises(UsageError, match=sentence), serving_metrics(begun(), taken):
            pass


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("9464", Endpoint("127.0.0.1", 9464)),
        ("0.0.0.0:9464", Endpoint("0.0.0.0", 9464)),
        ("[::1]:0", Endpoint("::1", 0)),
        ("metrics.example:80", Endpoint("metrics.example", 80)),
    ],
)
def test_a_port_stands_for_this_machine_alone_and_an_address_may_stand_before_it(
    text: str, endpoint: Endpoint
) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize("text", ["", "http", "65536", "-1", ":80", "0.0.0.0:", "٣", "1" * 5_000])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no port"):
        parse_endpoint(text)


# ── the picture ─────────────────────────────────────────────────────────────────────────────────


def shown(metrics: StreamMetrics) -> str:
    out = io.StringIO()
    Console(file=out, width=110).print(picture(metrics.snapshot()))
    return out.getvalue()


def test_the_picture_tells_how_the_stream_does() -> None:
    clock = HandClock()
    metrics = begun(clock)
    clock.pass_by(120)
    metrics.update_engine(Measured({"feeds_polled": 12, "rows_staged": 40}))
    metrics.update_commit(
        commit_of(
            4,
            Tally("article", "", 30),
            Tally("revision", "", 2),
            Tally("duplicate", "near", 5),
            Tally("failed", "http-error", 1),
            failed_feeds=1,
            feed_lags=[12.0] * 30,
            until=NOON + datetime.timedelta(seconds=100),
        )
    )
    clock.pass_by(8)
    lines = [" ".join(line.split()) for line in shown(metrics).splitlines()]
    assert lines[0] == (
        "newsbeam stream stream-1 on PrismRunner, for 2 min 8 s, since 2026-11-20T12:00:00+00:00"
    )
    assert lines[1:] == [
        "commits 1 the last, 4, 8.0 s ago; it took 1.5 s",
        "articles 30 15.0 a minute, with revisions",
        "revisions 2",
        "duplicates 5 near 5",
        "unchanged 0",
        "rejected 0",
        "failed 1 http-error 1",
        "feeds 4 3 polls, 2 links followed, 1 failing",
        "watermark 28 s behind, as committed",
        "published → Parquet 15 s p50 · p95 20 s · p99 20 s; last commit: p50 12 s · p95 12 s · "
        "p99 12 s",
        "fetched → Parquet 15 s p50 · p95 20 s · p99 20 s; last commit: p50 12 s · p95 12 s · "
        "p99 12 s",
        "stages 12 feeds polled, 40 rows staged",
    ]


def test_before_the_first_commit_the_picture_says_so() -> None:
    text = shown(begun())
    assert "none yet" in text
    assert "no row yet whose time is known" in text


def test_on_a_terminal_the_picture_stays_at_the_end() -> None:
    out = io.StringIO()
    console = Console(file=out, width=110, force_terminal=True)
    with watching_stream(StreamWatch(), console, print) as observer:
        observer.begin("stream-1", "PrismRunner", 4)
        observer.tell(commit_of(1, Tally("article", "", 3)))
        observer.end()
    assert "newsbeam stream" in out.getvalue()
    assert out.getvalue().count("articles") >= 1


def test_where_there_is_no_terminal_each_commit_is_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with (
        caplog.at_level(logging.INFO, logger="newsbeam"),
        watching_stream(StreamWatch(), console, print) as observer,
    ):
        observer.tell(
            commit_of(3, Tally("article", "", 1), Tally("duplicate", "near", 2), feed_lags=[42])
        )
        observer.end()
    assert caplog.messages == [
        "commit 3: 1 article, 2 duplicates; 3 polls; 2.2 s after its window, "
        "published 42 s before (p50)"
    ]


def test_a_commit_with_nothing_new_says_so() -> None:
    assert commit_line(commit_of(3, failed_feeds=2)) == (
        "commit 3: nothing new; 3 polls, 2 of them failed; 2.2 s after its window"
    )


def test_where_prometheus_may_ask_is_said() -> None:
    told: list[str] = []
    with watching_stream(to_stream_watch(None, "0"), None, told.append):
        pass
    assert told[0].startswith("metrics are at http://127.0.0.1:")


def test_an_observer_may_have_nobody_to_tell() -> None:
    observer = StreamObserver()
    observer.begin("stream-1", "FlinkRunner", 4)
    observer.tell(commit_of(1))
    observer.end()
    assert observer.metrics.snapshot()["commits"] == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.84, "0.8 s"), (42, "42 s"), (200, "3 min 20 s"), (18_720, "5 h 12 min")],
)
def test_a_time_is_told_in_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert span(seconds) == text
