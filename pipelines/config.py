"""What a run is told, validated once: frozen, with units in its names."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipelines.slices import DEFAULT_SLICE_BYTES, DEFAULT_SLICE_FILES
from schemas.records import Subscription
from transforms.candidates import DEFAULT_HORIZON_SECONDS
from transforms.http_client import HttpSettings
from transforms.likeness import DEFAULT_THRESHOLD

BYTES_PER_WORKER = 2 << 20
"""Input below which a further local process costs more to start than it saves."""
DEFAULT_MAX_INPUT_BYTES = 64 << 20
MAX_DURATION_SECONDS = 100 * 366 * 86_400
MAX_SIZE_BYTES = 64 << 30

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class UsageError(ValueError):
    """The command cannot be carried out as given; the message says why, for a person."""


def parse_duration_seconds(text: str) -> int:
    """Seconds in ``90s``, ``15m``, ``36h``, ``7d`` or ``2w``.

    Raises:
        UsageError: if the text is no positive duration with a unit.
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = round(float(match[1][:20]) * _SECONDS[match[2].lower()]) if match else 0
    if not 1 <= seconds <= MAX_DURATION_SECONDS:
        raise UsageError(f"{text!r} is no duration up to 100 years; write 90s, 15m, 36h, 7d or 2w")
    return seconds


def parse_size_bytes(text: str) -> int:
    """Bytes in ``500000``, ``64M``, ``64MiB`` or ``2G`` (powers of 1024).

    Raises:
        UsageError: if the text is no positive size.
    """
    match = _SIZE.fullmatch(text.strip())
    size = round(float(match[1][:20]) * _BYTES[match[2].lower()]) if match else 0
    if not 1 <= size <= MAX_SIZE_BYTES:
        raise UsageError(f"{text!r} is no size up to 64 GiB; write 500000, 64M or 2G")
    return size


def subscriptions_key(subscriptions: Sequence[Subscription]) -> str:
    """What a run was told to poll, as 64 hex digits, without what is secret in it."""
    told = (
        f"{one!r} {[header.partition(':')[0] for header in one.headers]}" for one in subscriptions
    )
    return hashlib.sha256("\n".join(told).encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(frozen=True)
class IngestConfig:
    """One ``newsbeam ingest``.

    Raises:
        UsageError: if a value is out of range.
    """

    sources: tuple[str, ...]
    output: str
    """A local folder, or the URL of one in an object store."""
    subscriptions: tuple[Subscription, ...] = ()
    """Feeds to be polled."""
    http: HttpSettings = field(default_factory=HttpSettings)
    polls_all: bool = False
    """Whether feeds are polled that are not due, too."""
    dedup_threshold: float = DEFAULT_THRESHOLD
    dedup_horizon_seconds: int = DEFAULT_HORIZON_SECONDS
    max_input_bytes: int = DEFAULT_MAX_INPUT_BYTES
    slice_bytes: int = DEFAULT_SLICE_BYTES
    """About how much input, decompressed, is worked through before it is made durable."""
    slice_files: int = DEFAULT_SLICE_FILES
    publish_every_bytes: int | None = None
    """Size of input, decompressed, beyond which a run is published in parts; None for never."""
    compact_after: int | None = None
    """Files of a partition from which it is compacted when the run is published; None for never."""
    wait_seconds: int = 0
    """How long to wait for another run on the same dataset to end."""
    workers: int | None = None
    """Local processes; None for all cores, as far as the input feeds them."""
    beam_options: tuple[str, ...] = ()
    """Options of the command line that are Beam's."""

    def __post_init__(self) -> None:
        if not self.sources and not self.subscriptions:
            raise UsageError("no source and no feed is given")
        if not 0.1 <= self.dedup_threshold <= 1:
            raise UsageError(
                f"--dedup-threshold {self.dedup_threshold} is not between 0.1 and 1 (Jaccard)"
            )
        if self.dedup_horizon_seconds < 1:
            raise UsageError(f"--dedup-horizon {self.dedup_horizon_seconds} s is not positive")
        if self.max_input_bytes < 1:
            raise UsageError(f"--max-input-bytes {self.max_input_bytes} is not positive")
        for name, value in (
            ("--slice-size", self.slice_bytes),
            ("slice_files", self.slice_files),
            ("--publish-every", self.publish_every_bytes),
        ):
            if value is not None and value < 1:
                raise UsageError(f"{name} {value} is not positive")
        if self.compact_after is not None and self.compact_after < 2:
            raise UsageError(f"--compact-after {self.compact_after} is less than 2")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers} is less than 1")
        if self.workers is not None and not self.is_local:
            raise UsageError("--workers is for local runs; other runners have options of their own")

    def local_workers(self, input_bytes: int) -> int:
        """How many local processes the run uses for an input of this size."""
        if self.workers is not None:
            return self.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return max(1, min(cores or 1, input_bytes // BYTES_PER_WORKER))

    def summary(self) -> dict[str, Any]:
        """The options as plain values, for the run's manifest."""
        plain = asdict(self)
        plain["subscriptions"] = len(self.subscriptions)  # their headers may be secret
        return plain

    def staging_options(self) -> dict[str, Any]:
        """The options that decide what a run stages: with others it cannot go on from it."""
        names = ("dedup_threshold", "dedup_horizon_seconds", "max_input_bytes")
        options = {name: getattr(self, name) for name in names}
        if self.subscriptions:
            options["subscriptions"] = subscriptions_key(self.subscriptions)
        return options

    @property
    def is_local(self) -> bool:
        """Whether the run uses the local engine: no other runner is asked for."""
        return not any(option.split("=")[0] == "--runner" for option in self.beam_options)
