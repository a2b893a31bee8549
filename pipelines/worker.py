"""A local worker process: Beam's own, made silent, and not to outlive the launching process.

What goes wrong in a worker is raised again in the launching process, with the worker's traceback,
and there it is decided whether it is a bug or a full disk. Beam's worker prints it as well, and
logs it twice.

Where the launching process is killed, Beam's worker goes on for seconds, or minutes if it was about
to start, and writes what it still has at hand to the dataset's staging, where the next run may be
at work by then.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

_POLL_SECONDS = 0.5


def _end_with(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def main() -> None:
    """Run Beam's worker until the launching process, the first argument, lets it go or is gone."""
    threading.Thread(target=_end_with, args=[int(sys.argv[1])], daemon=True).start()
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main  # noqa: PLC0415 - it logs on import

    # Open to the end: the interpreter writes to it once more if the launching process was killed.
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
