"""The entry point: quietens what is logged on import, then hands over to the command line."""

from __future__ import annotations

import sys

from pipelines.round_process import quieten_imports


def main() -> int:
    """Run the command line; gives the exit code."""
    quieten_imports()
    try:
        from pipelines.cli import main as run  # noqa: PLC0415 - only now
    except KeyboardInterrupt:  # importing Beam takes seconds
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
