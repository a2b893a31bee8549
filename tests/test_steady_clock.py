"""A clock that never goes back and never stands still."""

from __future__ import annotations

from itertools import accumulate

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from transforms.steady_clock import CATCHING_UP, SteadyClock

moments = st.integers(0, 2**40)
steps = st.lists(st.tuples(moments, st.integers(0, 2**30)), min_size=1, max_size=20)


def told(clock_micros: list[int], passed_micros: list[int], since: int = 0) -> list[int]:
    """What is told while a machine's clock says this, and so much has passed each time."""
    moments, seconds = iter(clock_micros), iter(accumulate(passed_micros))
    clock = SteadyClock(
        lambda: Timestamp(micros=next(moments)),
        Timestamp(micros=since),
        seconds=lambda: next(seconds) / 1e6,
    )
    return [clock().micros for _ in clock_micros]


@given(steps, moments)
def test_it_never_goes_back_nor_stands_still_nor_is_behind(
    script: list[tuple[int, int]], since: int
) -> None:
    clock_micros, passed_micros = map(list, zip(*script, strict=True))
    before = since
    for number, now in enumerate(told(clock_micros, passed_micros, since)):
        moved_micros = passed_micros[number] * CATCHING_UP if number else 0
        assert now >= before + moved_micros - 2  # a float of seconds is not to the microsecond
        assert now >= clock_micros[number]
        before = now


@given(st.integers(1, 10_000))
def test_a_clock_that_was_set_back_is_caught_up_with(back_seconds: int) -> None:
    seconds = [0, *(at for at in range(0, 3 * back_seconds, max(1, back_seconds // 10)))]
    clock_micros = [(at - back_seconds * (number > 0)) * 10**6 for number, at in enumerate(seconds)]
    steps_micros = [(b - a) * 10**6 for a, b in zip([0, *seconds], seconds, strict=False)]
    first, *others = told([at + 2**50 for at in clock_micros], steps_micros)
    assert first == 2**50
    assert others[-1] == clock_micros[-1] + 2**50


@pytest.mark.parametrize("ahead_seconds", [1, 10**9])
def test_a_clock_that_is_set_forward_is_followed(ahead_seconds: int) -> None:
    assert told([5, ahead_seconds * 10**6], [0, 1]) == [5, ahead_seconds * 10**6]
