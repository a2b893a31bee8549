"""The command line: what it refuses, what it says, and with which exit code it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import BAD_USAGE, DONE, main, make_parser, to_config
from pipelines.config import IngestConfig, UsageError, parse_duration_seconds, parse_size_bytes

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


def test_an_option_that_only_beam_knows_goes_to_beam() -> None:
    assert config("--job_name=nightly").beam_options == ("--job_name=nightly",)


def test_any_runner_can_be_named() -> None:
    assert config("--runner=PrismRunner").beam_options == ("--runner=PrismRunner",)
    assert not config("--runner=PrismRunner").is_local


def test_small_inputs_are_not_worth_a_second_process() -> None:
    assert config().local_workers(input_bytes=100_000) == 1


def test_workers_can_be_set() -> None:
    assert config("--workers=3").local_workers(input_bytes=1) == 3


def test_an_output_on_an_object_store_is_refused_for_now(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ingest", GOOD, "--output", "s3://bucket/news"]) == BAD_USAGE
    assert "not a local folder" in capsys.readouterr().err


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


def test_the_command_starts_without_a_word_on_standard_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("newsbeam ")
    assert done.stderr == ""
