"""The entry point: quietens what is logged on import, then hands over to the command line."""

from __future__ import annotations

import logging
import multiprocessing
import sys


def _quieten() -> None:
    # Beam warns on import of extras that are not installed, before anyone could ask it not to.
    logging.basicConfig(
        level=logging.ERROR, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )


if multiprocessing.parent_process() is not None:  # a round's, which imports this before all else
    _quieten()


def main() -> int:
    """Run the command line; gives the exit code."""
    _quieten()
    try:
        from pipelines.cli import main as run  # noqa: PLC0415 - only now
    except KeyboardInterrupt:  # importing Beam takes seconds
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
