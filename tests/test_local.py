"""The engine of a local run, and what becomes of it when a worker process dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipelines.local import WorkerLostError, local_runner, noticing_lost_workers
from pipelines.steps import RunFailedError, noticing_refusals
from transforms.storage import open_store


def run(work: Callable[[int], object], runner: FnApiRunner) -> None:
    options = PipelineOptions([])
    options.view_as(DirectOptions).direct_num_workers = 2
    with (
        noticing_lost_workers(),
        beam.Pipeline(runner=runner, options=options) as pipeline,
    ):
        _ = pipeline | beam.Create(range(10)) | beam.Reshuffle() | beam.Map(work)


def test_a_worker_that_is_killed_at_its_work_ends_the_run() -> None:
    def work(number: int) -> int:
        if number == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(WorkerLostError, match=r"killed \(SIGKILL\).* memory runs out"):
        run(work, local_runner(2))


def test_a_worker_that_is_killed_before_it_begins_ends_the_run() -> None:
    environment = SubprocessSDKEnvironment.from_command_string("kill -9 $$")
    with pytest.raises(WorkerLostError, match="SIGKILL"):
        run(abs, FnApiRunner(environment))


def test_a_worker_that_cannot_start_ends_the_run_as_a_bug_does() -> None:
    environment = SubprocessSDKEnvironment.from_command_string("exit 3")
    with pytest.raises(RuntimeError, match="worker process has ended") as raised:
        run(abs, FnApiRunner(environment))
    assert not isinstance(raised.value, WorkerLostError)


def test_a_bug_in_a_worker_is_raised_as_it_is() -> None:
    def work(number: int) -> float:
        return 1 / (number - 7)

    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run(work, local_runner(2))


def test_a_lost_worker_is_a_reason_why_a_run_failed() -> None:
    with (
        pytest.raises(RunFailedError, match="killed; nothing was added to the dataset"),
        noticing_refusals(open_store("none")),
    ):
        raise WorkerLostError("killed")
