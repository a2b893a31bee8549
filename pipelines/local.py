"""The engine of a local run: Beam's in-process runner, with worker processes where they pay.

This is the half of Beam's ``DirectRunner`` that runs batches. ``DirectRunner`` itself first tries
to download Prism and runs in process only where it cannot, so that one command would run on two
engines on two machines. Any other runner is named on the command line with ``--runner``.
"""

from __future__ import annotations

import os
import shlex
import sys

from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment


def local_runner(workers: int) -> FnApiRunner:
    """The runner: one worker in this process, or several in processes of their own."""
    if workers == 1:
        return FnApiRunner()
    command = f"exec {shlex.quote(sys.executable)} -m pipelines.worker {os.getpid()}"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))
