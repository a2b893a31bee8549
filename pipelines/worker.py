"""A local worker process: Beam's own, with its logging turned down.

What goes wrong in a worker is raised again in the launching process, with the worker's traceback;
logging it here as well would show each error three times.
"""

from __future__ import annotations

import logging
import sys


def main() -> None:
    """Run Beam's worker until the launching process lets it go."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.CRITICAL)
    logging.getLogger().addHandler(handler)
    from apache_beam.runners.worker import sdk_worker_main  # noqa: PLC0415 - it logs on import

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
