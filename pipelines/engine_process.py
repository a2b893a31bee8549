"""The launcher of an engine's process: what ends this one's terminal or group does not end it.

Ctrl-C goes to all processes of a terminal's group, and a stream that is to drain needs its engine
to the last. So the engine gets a session of its own. Then nobody would end it where the launching
process is killed: on Linux the kernel is asked to (``PR_SET_PDEATHSIG``, prctl(2)), elsewhere it
goes on, without work, until somebody ends it.

It is run as a script, and becomes the engine (exec): it imports nothing but Python's own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
NOT_STARTED = 127
"""Exit status where there is no such program, as a shell gives it."""


def main() -> None:
    """Become the engine: the first argument is the launching process, the others the command."""
    launcher, *command = sys.argv[1:]
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(launcher):  # it was killed before the kernel was asked
        sys.exit(NOT_STARTED)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
