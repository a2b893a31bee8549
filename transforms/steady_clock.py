"""A clock that never goes back and never stands still, whatever becomes of the machine's.

A clock of the machine's, and one that counts seconds → the time now. A watermark made of it moves
on. Where the machine's clock is set back (NTP, or a person), this one goes at half its speed until
the other has caught up; where that is set forward, this one follows at once.

    >>> told, passed = iter([0, 10, 4, 8, 16]), iter([0.0, 10.0, 14.0, 18.0, 26.0])
    >>> clock = SteadyClock(lambda: Timestamp(next(told)), seconds=lambda: next(passed))
    >>> [clock().micros // 1_000_000 for _ in range(5)]
    [0, 10, 12, 14, 18]
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from apache_beam.utils.timestamp import Timestamp

Clock = Callable[[], Timestamp]

CATCHING_UP = 0.5
"""How fast it goes while the machine's clock is behind: as a share of a second, each second."""


class SteadyClock:
    """Tells the time to any thread.

    Args:
        clock: the machine's.
        since: the time at the beginning, at least.
        seconds: counts them; it never goes back.
    """

    def __init__(
        self,
        clock: Clock,
        since: Timestamp = Timestamp(0),  # noqa: B008 - it never changes
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._last_micros = since.micros
        self._counted_seconds: float | None = None

    def __call__(self) -> Timestamp:
        """The time now: at least what was told before, and all that has passed at half speed."""
        with self._lock:
            counted_seconds = self._seconds()
            before = self._counted_seconds
            passed_seconds = 0.0 if before is None else counted_seconds - before
            self._counted_seconds = counted_seconds
            least_micros = self._last_micros + int(passed_seconds * CATCHING_UP * 1e6)
            self._last_micros = max(least_micros, self._clock().micros)
            return Timestamp(micros=self._last_micros)
