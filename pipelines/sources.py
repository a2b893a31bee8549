"""What the sources on the command line stand for: a list of files, complete and in order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Set
from pathlib import Path
from typing import NamedTuple

from pipelines.config import UsageError
from pipelines.dataset import MEMORY
from schemas.arrow import TABLES
from schemas.records import Source
from transforms.objects import find_objects, is_url, object_url, split_url
from transforms.reading import local_path, local_uri
from transforms.storage import Store

_MAGIC = frozenset("*?[")
_OWN_FOLDERS = (*TABLES, MEMORY)
"""What a run writes in its output folder (``pipelines.dataset``)."""


def list_sources(given: tuple[str, ...], output: Store) -> list[Source]:
    """Every file that the given sources name, each once, sorted by URI.

    A source is a file, a folder (searched through, but for hidden entries), a glob, or the URL of
    one of these in an object store (``s3://``, ``gs://``). What is named but is not there stays in
    the list, so that the run gives account of it; sizes are in bytes, -1 if unknown. Of an empty
    folder there is nothing to list.

    Links are followed. A file that several ways lead to is listed once, under its own path where
    one of them is that, so that neither links nor the order of the sources make copies.

    A dataset is no source of itself: an output folder that a search comes upon is passed over.
    Where a source is the output folder or lies in it, only the folders that runs write there are.

    Raises:
        UsageError: if none of the sources exists, if one is empty or can be no name at all, or if a
            URL is of no kind that can be read, or its store cannot be reached.
    """
    files: dict[str, Source] = {}
    missing: list[Source] = []
    starts: list[_Start] = []
    urls: dict[str, list[Source]] = {}
    for source in given:
        if is_url(source):
            urls[source] = list(_remote(source))
            missing += [] if urls[source] else [Source(object_url(*split_url(source)), -1)]
        else:
            path = _local(source)
            found = list(_starts(path))
            starts += found
            missing += [] if found else [Source(local_uri(_absolute(path)), -1)]
    if not any(urls.values()) and not starts:
        names = ", ".join(repr(source) for source in given)
        raise UsageError(f"nothing to read: {names} names no file that exists")
    files |= {stored.uri: stored for stored in _not_written(urls, output)}
    for path in _files(starts, output.local_root):
        files[local_uri(path)] = _stated(path)
    for absent in missing:
        files.setdefault(absent.uri, absent)
    return sorted(files.values(), key=lambda file: file.uri)


def _remote(url: str) -> Iterator[Source]:
    try:
        url.encode("utf-8")
        found = find_objects(url)
    except FileNotFoundError as error:
        raise UsageError(f"cannot list {url!r}: its bucket does not exist") from error
    except (ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot list {url!r}: {reason.removeprefix(f'{url}: ')}") from error
    for stored in found:
        yield Source(stored.url, stored.size_bytes, stored.version)


def _not_written(urls: dict[str, list[Source]], output: Store) -> Iterator[Source]:
    """The objects found at URLs that no run wrote into the output."""
    excluded = {f"{output.url}/{name}" for name in _OWN_FOLDERS}
    if not any(_lies_in(_decoded(url), output.url) for url in urls):
        excluded.add(output.url)
    for source in (source for found in urls.values() for source in found):
        if not any(_lies_in(_decoded(source.uri), folder) for folder in excluded):
            yield source


def _decoded(url: str) -> str:
    """A URL as the store of a dataset would state it."""
    return "://".join(split_url(url))


def _local(source: str) -> str:
    """The path of a local source as given: it may hold a glob and need not exist."""
    scheme, mark, rest = source.partition("://")
    path = source
    if mark and scheme.lower() == "file":
        # As this module writes URIs; or a path that somebody put the scheme before.
        path = local_path(f"file://{rest}")
        path = rest if os.path.lexists(rest) and not os.path.lexists(path) else path
    if not path:
        raise UsageError("an empty source is given; name a file, a folder, a glob or a URI")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise UsageError(f"the source {source!r} can be no name of a file: {error}") from error
    if "\0" in path:
        raise UsageError(f"the source {source!r} can be no name of a file: it holds a NUL")
    return os.path.expanduser(path)  # noqa: PTH111 - Path's raises for a user it does not know


class _Start(NamedTuple):
    """A path that a source leads to."""

    path: str
    """Absolute."""
    named: str
    """What the user named for it: the path itself, or the folder that a glob searches."""


def _starts(path: str) -> Iterator[_Start]:
    """The existing paths that a local source stands for, not yet searched through."""
    if os.path.lexists(path):
        yield _Start(_absolute(path), _absolute(path))
    elif _MAGIC & set(path):
        # What exists is taken literally, in the folders before the glob, too.
        parts = (Path.cwd() / path).parts
        known = len(parts) - 1
        while not os.path.exists(Path(*parts[:known])):  # noqa: PTH110 - Path's may raise
            known -= 1
        folder = str(Path(*parts[:known]))
        for found in _matches(folder, parts[known:]):
            yield _Start(_absolute(found), folder)


def _matches(folder: str, pattern: tuple[str, ...]) -> Iterator[str]:
    """The paths below a folder that match a glob, given name by name; a last ``**`` gives a folder.

    Not left to ``glob`` as a whole, whose ``**`` runs through loops of links until the system
    stops it: for two links in one folder that is for ever.
    """
    if not pattern:
        yield folder
        return
    if pattern[0] == "**":
        for below in _folders([folder], frozenset()) if pattern[1:] else [folder]:
            yield from _matches(below, pattern[1:])
        return
    for name in glob.glob(pattern[0], root_dir=folder):  # noqa: PTH207 - Path's takes no name literally
        yield from _matches(os.path.join(folder, name), pattern[1:])  # noqa: PTH118


def _absolute(path: str) -> str:
    """The absolute path, links in it kept unless it steps back from one with ``..``."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
    if ".." in Path(path).parts and os.path.realpath(absolute) != os.path.realpath(path):
        return os.path.realpath(path)
    return absolute


def _stated(path: str) -> Source:
    try:
        stated = Path(path).stat()
    except OSError:
        return Source(local_uri(path), -1)  # the reader will say what is wrong with it
    return Source(local_uri(path), stated.st_size, str(stated.st_mtime_ns))


def _files(starts: list[_Start], output: Path | None) -> list[str]:
    """Every file at or below the starts that is not the dataset's, and folders that are no list."""
    excluded = _written_folders(starts, output) if output is not None else set()
    found: dict[str, tuple[bool, str]] = {}

    def add(path: str) -> None:
        real = os.path.realpath(path)
        if not any(_lies_in(real, folder) for folder in excluded):
            candidate = (path != real, path)
            found[real] = min(candidate, found.get(real, candidate))

    tops = []
    for path in {start.path for start in starts}:
        if os.path.isdir(path):  # noqa: PTH112 - Path's may raise
            tops.append(path)
        else:
            add(path)
    for folder in _folders(tops, excluded):
        try:
            for entry in _listed(folder):
                if not _is_folder(entry):
                    add(entry.path)
        except OSError:
            add(folder)  # the reader will say what is wrong with it
    return [path for _, path in found.values()]


def _written_folders(starts: list[_Start], output: Path) -> set[str]:
    """The folders whose files the runs wrote, by their real paths."""
    real_output = os.path.realpath(output)
    folders = {os.path.realpath(output / name) for name in _OWN_FOLDERS}
    if not any(_lies_in(os.path.realpath(start.named), real_output) for start in starts):
        folders.add(real_output)
    return folders


def _folders(tops: list[str], excluded: Set[str]) -> Iterator[str]:
    """Some folders and all below them but hidden ones, each once, however links tie them together.

    Links wait until all is visited that can be without them, so that a folder's own path is
    preferred. Where an excluded real path begins, nothing is given.
    """
    visited: set[str] = set()
    waiting = sorted((top for top in tops if os.path.realpath(top) == top), reverse=True)
    links = [top for top in tops if os.path.realpath(top) != top]
    while waiting or links:
        if not waiting:
            waiting, links = sorted(links, reverse=True), []
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in visited or any(_lies_in(real, outside) for outside in excluded):
            continue
        visited.add(real)
        yield folder
        try:
            below = [entry for entry in _listed(folder) if _is_folder(entry)]
        except OSError:
            continue  # whoever lists its files learns of it
        links += [entry.path for entry in below if entry.is_symlink()]
        waiting += [entry.path for entry in below if not entry.is_symlink()]


def _listed(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder, but for hidden entries."""
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Of a link's own is_dir() a loop would be an error.
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()  # noqa: PTH112


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
