"""The command line: what it refuses, what it says, and with which exit code it ends."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import BAD_USAGE, DONE, FAILED, INTERRUPTED, main, make_parser, to_config
from pipelines.config import IngestConfig, UsageError, parse_duration_seconds, parse_size_bytes
from pipelines.dataset import local_dataset
from pipelines.steps import Outcome, Steps

ROOT = Path(__file__).resolve().parent.parent
GOOD = str(ROOT / "seeds" / "020_dump_date_line_and_byline.txt")


def config(*arguments: str) -> IngestConfig:
    parsed, rest = make_parser().parse_known_args(["ingest", "a.txt", "--output", "o", *arguments])
    return to_config(parsed, rest)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("36h", 129_600), ("7d", 604_800), ("2w", 1_209_600)],
)
def test_a_duration_has_a_unit(text: str, seconds: int) -> None:
    assert parse_duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["7", "", "d", "-1d", "0d", "a week"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="no duration"):
        parse_duration_seconds(text)


@pytest.mark.parametrize(
    ("text", "size"), [("500000", 500_000), ("64M", 64 << 20), ("64MiB", 64 << 20), ("2g", 2 << 30)]
)
def test_a_size_is_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size_bytes(text) == size


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dedup-threshold=1.5"],
        ["--dedup-threshold=0"],
        ["--dedup-horizon=soon"],
        ["--dedup-horizon=" + "9" * 400 + "d"],
        ["--max-input-bytes=lots"],
        ["--slice-size=0"],
        ["--publish-every=much"],
        ["--compact-after=1"],
        ["--wait-timeout=long"],
        ["--workers=0"],
        ["--workers=2", "--runner=FlinkRunner"],
    ],
)
def test_a_value_out_of_range_is_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        config(*arguments)


def test_a_misspelt_option_is_refused_rather_than_passed_to_beam() -> None:
    with pytest.raises(UsageError, match="--dedup-treshold"):
        config("--dedup-treshold=0.6")


def test_a_value_that_beam_cannot_use_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", GOOD, "--output", "o", "--direct_num_workers=abc"]) == BAD_USAGE
    said = capsys.readouterr().err
    assert "--direct_num_workers" in said
    assert "'abc'" in said


@pytest.mark.parametrize(
    ("options", "name"),
    [({"slice_bytes": 0}, "--slice-size 0"), ({"publish_every_bytes": 0}, "--publish-every 0")],
)
def test_a_size_out_of_range_is_named_as_its_option(options: dict[str, int], name: str) -> None:
    with pytest.raises(UsageError, match=name):
        IngestConfig(("a.txt",), "o", **options)  # type: ignore[arg-type]


def test_an_option_that_only_beam_knows_goes_to_beam() -> None:
    assert config("--job_name=nightly").beam_options == ("--job_name=nightly",)


def test_any_runner_can_be_named() -> None:
    assert config("--runner=PrismRunner").beam_options == ("--runner=PrismRunner",)
    assert not config("--runner=PrismRunner").is_local


def test_small_inputs_are_not_worth_a_second_process() -> None:
    assert config().local_workers(input_bytes=100_000) == 1


def test_a_run_waits_for_another_only_if_it_is_told_to() -> None:
    assert config().wait_seconds == 0
    assert config("--wait").wait_seconds == 3600
    assert config("--wait", "--wait-timeout=90s").wait_seconds == 90


def test_sizes_of_slices_and_parts_can_be_set() -> None:
    assert config("--slice-size=8M").slice_bytes == 8 << 20
    assert (config().publish_every_bytes, config("--publish-every=1G").publish_every_bytes) == (
        None,
        1 << 30,
    )
    assert (config().compact_after, config("--compact-after=3").compact_after) == (None, 3)


def test_an_output_may_lie_in_an_object_store() -> None:
    parsed, rest = make_parser().parse_known_args(["ingest", "a.txt", "--output", "s3://b/news"])
    assert to_config(parsed, rest).output == "s3://b/news"


def test_workers_can_be_set() -> None:
    assert config("--workers=3").local_workers(input_bytes=1) == 3


@pytest.mark.parametrize("output", ["ftp://host/news", "https://host/news", "s3:///news"])
def test_an_output_at_an_address_of_another_kind_is_refused(
    capsys: pytest.CaptureFixture[str], output: str
) -> None:
    assert main(["ingest", GOOD, "--output", output]) == BAD_USAGE
    assert output in capsys.readouterr().err


@pytest.mark.parametrize("output", ["", "x" * 300, "bad-\udce9-name"])
def test_an_output_that_cannot_be_a_folder_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, output: str
) -> None:
    assert main(["ingest", GOOD, "--output", output and f"{tmp_path}/{output}"]) == BAD_USAGE
    assert "newsbeam: " in capsys.readouterr().err


def test_a_source_after_an_unknown_option_is_not_swallowed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["ingest", GOOD, "--runner=FlinkRunner", "--output", "o", "late.txt"])
    assert code == BAD_USAGE
    assert "'late.txt' is out of place" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_quietly_and_adds_nothing(
    tmp_path: Path, workers: str, sign: signal.Signals
) -> None:
    output = tmp_path / "news"
    command = [sys.executable, "-m", "pipelines", "ingest", str(ROOT / "seeds")]
    command += ["--output", str(output), "--workers", workers]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr
        first = run.stderr.readline()
        assert "reading" in first  # the graph is being run from here on
        run.send_signal(sign)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert "interrupted" in errors
    assert not list(output.glob("**/*.parquet"))


def test_missing_arguments_are_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ingest"])
    assert ended.value.code == BAD_USAGE
    assert "SOURCE" in capsys.readouterr().err


def test_quiet_prints_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["ingest", GOOD, "--output", str(tmp_path / "news"), "--quiet"]) == DONE
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_the_picture_shows_the_account_the_rows_and_a_query_that_works(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pipelines",
        "ingest",
        GOOD,
        "--output",
        str(tmp_path / "news"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "balanced" in done.stdout
    assert "2026-02-13" in done.stdout
    assert "reading 1 files" in done.stderr  # plain log lines, for it is no terminal
    query = done.stdout.split("query   ")[1].strip()
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    answer = subprocess.run(
        ["/bin/sh", "-c", query], env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert "Lisbon" in answer.stdout


def test_json_is_the_only_thing_on_standard_output(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["ingest", GOOD, "--output", str(tmp_path / "news"), "--json"]) == DONE
    summary = json.loads(capfd.readouterr().out)
    assert summary["outcomes"]["article"] == 1
    assert summary["balanced"]


def test_a_source_whose_name_is_not_utf_8_is_published(tmp_path: Path) -> None:
    source = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")
    shutil.copy(GOOD, source)
    output = tmp_path / "news"
    assert main(["ingest", source, "--output", str(output), "--quiet"]) == DONE
    [commit] = local_dataset(str(output)).commits()
    assert commit.details["options"]["sources"] == [source]


def test_json_is_sound_on_an_output_that_knows_no_utf_8(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "caf\u00e9.txt"
    source.touch()
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["ingest", str(source), "--output", str(tmp_path / "\u00e9"), "--json"]) == DONE
    sys.stdout.flush()
    assert json.loads(written.getvalue())["output"] == str(tmp_path / "\u00e9")


def test_the_command_starts_without_a_word_on_standard_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("newsbeam ")
    assert done.stderr == ""


# ── the other commands ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def news(tmp_path: Path) -> Path:
    """A dataset of schema version 1."""
    return shutil.copytree(ROOT / "tests" / "data" / "dataset_v1", tmp_path / "news")


def test_a_sound_dataset_verifies(news: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(news)]) == DONE
    assert "is clean" in capsys.readouterr().out
    assert main(["verify", str(news), "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["clean"]


def test_a_damaged_dataset_does_not_verify(news: Path, capsys: pytest.CaptureFixture[str]) -> None:
    victim = next((news / "articles").rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:100])
    assert main(["verify", str(news)]) == FAILED
    assert victim.name in capsys.readouterr().out
    assert main(["verify", str(news), "--json"]) == FAILED
    found = json.loads(capsys.readouterr().out)
    assert not found["clean"]
    assert found["checks"]["files"]["fault_count"] == found["fault_count"] > 0


def test_compact_says_what_it_made_of_the_files(
    news: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compact", str(news), "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["rewritten"] > 0
    assert main(["compact", str(news)]) == DONE
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--min-files=1", "--target-size=tiny", "--wait-timeout=0s"])
def test_a_compaction_that_means_nothing_is_refused(news: Path, option: str) -> None:
    before = sorted(news.rglob("*"))
    assert main(["compact", str(news), option, "--quiet"]) == BAD_USAGE
    assert sorted(news.rglob("*")) == before


@pytest.mark.parametrize("command", ["compact", "verify", "replay"])
def test_a_command_on_no_dataset_is_bad_usage(command: str, tmp_path: Path) -> None:
    assert main([command, str(tmp_path / "nothing"), "--quiet"]) == BAD_USAGE


def test_a_second_writer_is_told_who_is_at_work(
    news: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with local_dataset(str(news)).writing("newsbeam ingest"):
        assert main(["compact", str(news)]) == FAILED
    said = capsys.readouterr().err
    assert "newsbeam ingest" in said
    assert "--wait" in said


class Errors(io.StringIO):
    """Standard error, which tells when something is said."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self._awaited = awaited
        self.said = threading.Event()

    def write(self, text: str) -> int:
        if self._awaited in text:
            self.said.set()
        return super().write(text)


def test_a_writer_that_waits_is_told_for_whom_and_follows(news: Path) -> None:
    errors = Errors("waiting for ")
    holds = threading.Event()

    def hold() -> None:
        with local_dataset(str(news)).writing("newsbeam ingest"):
            holds.set()
            assert errors.said.wait(60)

    with ThreadPoolExecutor(1) as pool, contextlib.redirect_stderr(errors):
        first = pool.submit(hold)
        assert holds.wait(60)
        code = main(["compact", str(news), "--wait", "--wait-timeout", "1m"])
        first.result()
    assert code == DONE
    assert f"waiting for {news}: " in errors.getvalue()
    assert "(newsbeam ingest) has been writing to it" in errors.getvalue()
    [manifest] = (news / "_newsbeam/commits").iterdir()
    assert json.loads(manifest.read_bytes())["kind"] == "compact"


def test_a_writer_waits_no_longer_than_it_is_told(
    news: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with local_dataset(str(news)).writing("newsbeam ingest"):
        code = main(["compact", str(news), "--wait", "--wait-timeout", "1s", "--quiet"])
    assert code == FAILED
    assert "in vain" in capsys.readouterr().err


def test_an_option_that_a_command_does_not_have_is_refused(news: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(news), "--job_name=x"])
    assert ended.value.code == BAD_USAGE


# ── parts of a run ──────────────────────────────────────────────────────────────────────────────

IN_PARTS = ("--publish-every", "8k", "--compact-after", "2", "--workers", "1", "--quiet")


@pytest.fixture
def parts(tmp_path: Path) -> list[str]:
    """A command that publishes a run in three parts."""
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("The bridge is open again.\n" * 300)
    return ["ingest", str(tmp_path), "--output", str(tmp_path / "news"), *IN_PARTS]


def strike_in_part(
    monkeypatch: pytest.MonkeyPatch, part: int, strike: Callable[[Outcome], Outcome]
) -> None:
    """Have something happen in the last step of a part, once its outcome is known."""
    finish, begun = Steps.finish, itertools.count(1)

    def struck(steps: Steps, *given: Any, **named: Any) -> Outcome:
        outcome = finish(steps, *given, **named)
        return strike(outcome) if next(begun) == part else outcome

    monkeypatch.setattr(Steps, "finish", struck)


def unbalanced(outcome: Outcome) -> Outcome:
    return replace(outcome, balance=replace(outcome.balance, faults=("lost",), fault_count=1))


def kinds(parts: list[str]) -> list[str]:
    """What was committed to the dataset."""
    return [commit.kind for commit in local_dataset(parts[3]).commits()]


def test_after_a_part_that_does_not_balance_the_run_ends(
    parts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strike_in_part(monkeypatch, 2, unbalanced)
    assert main(parts) == FAILED
    assert kinds(parts) == ["ingest"]
    said = " ".join(capsys.readouterr().err.split())
    assert "parts of the run that are published: 1; nothing more was added" in said


def test_of_a_run_that_does_not_balance_nothing_is_said_to_be_added(
    parts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strike_in_part(monkeypatch, 1, unbalanced)
    assert main([*parts, "--json"]) == FAILED
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert (summary["parts"], summary["new_rows"]["articles"]) == (0, 0)
    assert "does not balance; nothing was added to the dataset" in said.err
    assert kinds(parts) == []


def test_an_interrupt_after_a_part_tells_that_it_is_published(
    parts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: Outcome) -> Outcome:
        raise KeyboardInterrupt

    strike_in_part(monkeypatch, 2, interrupt)
    assert main(parts) == INTERRUPTED
    said = capsys.readouterr().err
    assert "interrupted; 1 of 3 parts are published; nothing more was added" in said
    assert kinds(parts) == ["ingest"]


def test_a_failure_after_a_part_does_not_say_that_nothing_was_added(
    parts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill_disk(_: Outcome) -> Outcome:
        raise OSError(errno.ENOSPC, "No space left on device")

    strike_in_part(monkeypatch, 2, fill_disk)
    assert main(parts) == FAILED
    said = capsys.readouterr().err
    assert "1 of 3 parts are published; then: No space left on device" in said
    assert "nothing more was added to the dataset" in said
    assert "nothing was added" not in said
