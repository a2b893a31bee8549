"""Handing a graph to an engine of the user's choice, and what is said where that cannot be had.

The local runner is part of Beam and always there (``pipelines.local``). Prism, Flink and the others
are programs of their own: not installed, not reachable, or not willing. That is no bug of newsbeam,
and a person should hear it in a sentence.
"""

from __future__ import annotations

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from pipelines.config import UsageError

_REFUSALS = (RuntimeError, ValueError, OSError, grpc.FutureTimeoutError, grpc.RpcError)
"""What Beam raises when it cannot get, start or reach an engine. It has no errors of its own."""
_OWN_FAULTS = ("Unable to pickle", "Cannot pickle", "A transform with label")
"""How texts of ``_REFUSALS`` begin that are about the graph."""


class EngineError(RuntimeError):
    """The engine could not be had, or did not take the job; the message says why."""


def make_pipeline(options: PipelineOptions) -> beam.Pipeline:
    """An empty graph for the engine that the options name.

    Raises:
        UsageError: if they name none that Beam knows.
    """
    try:
        return beam.Pipeline(options=options)
    except ValueError as error:
        raise UsageError(f"Beam cannot use its options as given: {error}") from error


def start_job(pipeline: beam.Pipeline) -> PipelineResult:
    """Hand a graph to its engine; it is under way then.

    Raises:
        EngineError: if the engine cannot be had.
    """
    try:
        return pipeline.run()
    except _REFUSALS as error:
        said = (str(error).strip().splitlines() or [""])[-1] or type(error).__name__
        if said.startswith(_OWN_FAULTS):
            raise
        raise EngineError(
            f"the engine did not take the job: {said} (docs/runners.md has what each engine needs)"
        ) from error
