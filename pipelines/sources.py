"""What the sources on the command line stand for: a list of files, complete and in order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from pipelines.config import UsageError
from schemas.records import Source

_MAGIC = frozenset("*?[")


def list_sources(given: tuple[str, ...], output: Path) -> list[Source]:
    """Every file that the given sources name, each once, sorted by URI.

    A source is a file, a folder (searched through, but for hidden entries and the output), a glob
    or the URI of a Beam filesystem (a folder's ends with ``/``). What is named but is not there
    stays in the list, so that the run gives account of it; sizes are in bytes, -1 if unknown.

    Raises:
        UsageError: if none of the sources names anything, or a URI's filesystem is not available.
    """
    found: dict[str, Source] = {}
    missing: list[str] = []
    for source in given:
        files = list(_remote(source) if _is_remote(source) else _local(source, output))
        if not files:
            missing.append(source)
        for file in files:
            found[file.uri] = file
    if not any(file.size_bytes >= 0 for file in found.values()):
        names = ", ".join(repr(source) for source in given)
        raise UsageError(f"nothing to read: {names} names no file that exists")
    for source in missing:
        found.setdefault(source, Source(source, -1))
    return sorted(found.values(), key=lambda file: file.uri)


def _is_remote(source: str) -> bool:
    return "://" in source and not source.startswith("file://")


def _remote(source: str) -> Iterator[Source]:
    pattern = f"{source}**" if source.endswith("/") else source
    try:
        matched = FileSystems.match([pattern])[0].metadata_list
    except (ValueError, BeamIOError) as error:
        raise UsageError(f"cannot list {source}: {str(error).splitlines()[0]}") from error
    for metadata in matched:
        yield Source(metadata.path, metadata.size_in_bytes)


def _local(source: str, output: Path) -> Iterator[Source]:
    path = Path(source.removeprefix("file://")).expanduser()
    if os.path.lexists(path):
        yield from _below(path, output)
    elif _MAGIC & set(source):
        for name in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 - keeps ** as is
            yield from _below(Path(name), output)
    else:
        yield _source(path)


def _below(path: Path, output: Path) -> Iterator[Source]:
    if not path.is_dir():
        yield _source(path)
        return
    excluded = output.absolute()
    unlistable: list[str] = []
    walk = os.walk(path, onerror=lambda error: unlistable.append(error.filename))
    for folder, folders, names in walk:
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (here / name).absolute() != excluded
        )
        for name in sorted(names):
            if not name.startswith("."):
                yield _source(here / name)
    for folder in unlistable:
        yield _source(Path(folder))


def _source(path: Path) -> Source:
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    try:
        size_bytes = absolute.stat().st_size
    except OSError:
        size_bytes = -1  # the reader will say what is wrong with it
    # A name that is not UTF-8 cannot travel as text: it is shown escaped, and reads as not found.
    uri = str(absolute).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return Source(uri, size_bytes)
