"""How much of the input is worked through at a time: sources in slices of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from schemas.records import Source
from transforms.reading import kind_by_name, split_archive

DEFAULT_SLICE_BYTES = 32 << 20
"""Of sources, decompressed, that are worked through at a time."""
DEFAULT_SLICE_FILES = 2_000
"""Files, or parts of archives, that are worked through at a time."""
_GZIP_RATIO = 6
"""How much larger compressed pages are taken to be once they are decompressed."""


@dataclass(frozen=True)
class Slice:
    """Sources that are worked through together, before the next are."""

    sources: tuple[Source, ...]


def plan_slices(
    sources: Sequence[Source], *, slice_bytes: int, slice_files: int, max_input_bytes: int
) -> list[Slice]:
    """Group sources, in their order, into slices of bounded size; each is in just one.

    An archive that may hold more than a slice is split into parts, for which it is streamed
    through. The same sources with the same content give the same slices.

    Args:
        sources: as listed.
        slice_bytes: the estimated size of what is in a slice, decompressed. A single source, or
            record of an archive, that is larger makes a slice by itself.
        slice_files: the number of sources in a slice.
        max_input_bytes: what is no archive and larger is refused unread, and so takes no room.
    """
    slices: list[Slice] = []
    waiting: list[Source] = []
    waiting_bytes = 0
    for source in _in_parts(sources, slice_bytes):
        size_bytes = worked_bytes(source, max_input_bytes)
        is_full = len(waiting) >= slice_files or waiting_bytes + size_bytes > slice_bytes
        if waiting and is_full:
            slices.append(Slice(tuple(waiting)))
            waiting, waiting_bytes = [], 0
        waiting.append(source)
        waiting_bytes += size_bytes
    if waiting or not slices:
        slices.append(Slice(tuple(waiting)))
    return slices


def _in_parts(sources: Iterable[Source], slice_bytes: int) -> Iterator[Source]:
    for source in sources:
        # Whatever its name: content outranks it, and of what is that large there is not much.
        if _stated_bytes(source) > slice_bytes:
            yield from split_archive(source, slice_bytes)
        else:
            yield source


def _stated_bytes(source: Source) -> int:
    """Decompressed size by what is known of a part, or by a file's size and name; else 0."""
    if source.known_bytes >= 0:
        return source.known_bytes
    ratio = _GZIP_RATIO if _is_compressed(source) else 1
    return max(0, source.size_bytes) * ratio


def _is_compressed(source: Source) -> bool:
    return source.uri.lower().endswith(".gz")


def worked_bytes(source: Source, max_input_bytes: int) -> int:
    """How much of a source is worked on, decompressed, by what is known of it.

    What is too large is refused after its first bytes, but for archives.
    """
    stated_bytes = _stated_bytes(source)
    is_part = source.known_bytes >= 0
    if is_part or kind_by_name(source.uri) == "archive" or stated_bytes <= max_input_bytes:
        return stated_bytes
    return max_input_bytes if _is_compressed(source) else 0
