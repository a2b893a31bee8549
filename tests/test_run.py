"""Which errors of a run are the machine's refusals, and which are bugs that must crash."""

from __future__ import annotations

import errno

import pytest

from pipelines.steps import _last_line, _refusal

FULL = "OSError: [Errno 28] No space left on device [while running 'WriteArticles/ParDo(_Write)']"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError(f"Traceback (most recent call last):\n  File x\n{FULL}\n\n"),
    ],
)
def test_a_full_disk_is_a_refusal_in_one_process_and_in_several(error: OSError) -> None:
    assert _refusal(error) == "No space left on device"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file", "a data file of ours"),
        RuntimeError(f"{FULL}\nDuring handling of the above exception:\nKeyError: 'topic'"),
        RuntimeError("KeyError: 'topic' [while running 'Enrich']"),
        RuntimeError(),
    ],
)
def test_a_bug_is_no_refusal(error: OSError) -> None:
    assert _refusal(error) is None


def test_a_bug_about_an_article_on_keyboard_interrupts_is_no_interrupt() -> None:
    error = RuntimeError("ValueError: 'KeyboardInterrupt, explained' [while running 'Enrich']")
    assert not _last_line(error).startswith("KeyboardInterrupt")
