"""The process of one round: it sees to signals and to what is logged before it imports Beam.

Beam logs on import what nobody asked for, and importing it takes seconds, in which Ctrl-C may come.
So this module imports nothing that is large until it has begun.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection


def quieten_imports() -> None:
    """Keep libraries from logging when they are imported."""
    # Beam warns of extras that are not installed, before anyone could ask it not to.
    logging.basicConfig(
        level=logging.ERROR, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )


def main(order: bytes, sending: Connection) -> None:
    """Carry out a round and send what it has come to.

    Args:
        order: what makes the configuration, pickled: unpickling it imports nearly everything.
        sending: where outcome, message and summary are sent, as ``Round`` has them.
    """
    # Ctrl-C goes to all processes of the terminal's group, and a supervisor may send SIGTERM to all
    # of a service; whether the round is ended by it is for the launching process to say. That one
    # has blocked both, so that they cannot come before this. Beam's workers inherit the deafness.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    quieten_imports()
    from pipelines.every import run_round  # noqa: PLC0415 - only now

    with suppress(BrokenPipeError):  # the launching process was killed
        sending.send(run_round(pickle.loads(order)))
