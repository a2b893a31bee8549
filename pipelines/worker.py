"""A local worker process: Beam's own, made silent.

What goes wrong in a worker is raised again in the launching process, with the worker's traceback,
and there it is decided whether it is a bug or a full disk. Beam's worker prints it as well, and
logs it twice.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path


def main() -> None:
    """Run Beam's worker until the launching process lets it go."""
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main  # noqa: PLC0415 - it logs on import

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        sys.stderr = nowhere
        sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
