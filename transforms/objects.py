"""Objects that are read: what is in a store of objects, and streams of it.

Sources may lie where a dataset may (``storage``): at ``s3://`` or ``gs://`` URLs. An object has the
URL ``SCHEME://BUCKET/KEY``. Its key is taken literally, but for what may not stand in an origin:
``#``, which parts a file from what is in it, and control characters are percent-encoded.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import unquote

from transforms.storage import WHOLE_READ_BYTES, client_of, spoken

_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.\-]*://", re.IGNORECASE)
_OBJECT_URL = re.compile(r"(?P<scheme>s3|s3a|gs|gcs)://(?P<key>[^/].*)", re.IGNORECASE | re.DOTALL)
_GLOB = re.compile(r"[*?\[]")
_BLOCK_BYTES = 8 << 20
"""How much of a larger one is asked for at a time, and held."""

_ENCODED = r"25|23|[01][0-9A-F]|7F|C2%[89][0-9A-F]|E2%80%A[89]"
_TO_ENCODE = re.compile(rf"[#\0-\x1f\x7f-\x9f\u2028\u2029]|%(?={_ENCODED})")
_TO_DECODE = re.compile(rf"%(?:{_ENCODED})")


class ReadableStream(Protocol):
    """An object or a file, opened for reading."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes, none only at the end."""
        ...

    def seek(self, offset: int, /) -> object:
        """Go to a position, in bytes from the start."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(frozen=True)
class ListedObject:
    """An object as its store lists it."""

    url: str
    size_bytes: int
    version: str
    """Another for every content the object has had: its generation or entity tag, or when it was
    last changed; empty where the store says nothing of it."""


def is_url(name: str) -> bool:
    """Whether a name is a URL rather than a local path or a ``file:`` URL."""
    return _URL.match(name) is not None


def object_url(scheme: str, key: str) -> str:
    """The URL of an object, from ``s3`` or ``gs`` and ``BUCKET/KEY``.

    >>> object_url("s3", "news/caf%C3%A9.html"), object_url("s3", "news/C#.txt")
    ('s3://news/caf%C3%A9.html', 's3://news/C%23.txt')
    """
    encoded = _TO_ENCODE.sub(_percent_encoded, key)
    return f"{scheme}://{encoded}"


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def split_url(url: str) -> tuple[str, str]:
    """``s3`` or ``gs``, and ``BUCKET/KEY``, as ``object_url`` was given them.

    Raises:
        ValueError: if it is no URL of an object.
    """
    scheme, key = _split(url)
    return scheme, _TO_DECODE.sub(lambda match: unquote(match[0]), key)


def _split(url: str) -> tuple[str, str]:
    match = _OBJECT_URL.fullmatch(url)
    if match is None:
        raise ValueError("only local files and s3:// and gs:// URLs can be read")
    return "s3" if match["scheme"].lower().startswith("s3") else "gs", match["key"]


def find_objects(pattern: str) -> list[ListedObject]:
    """The objects that a URL names, sorted by URL; none if there are none.

    It may be that of an object, of a folder (a prefix that ends before or with ``/``), or a glob,
    by the rules of local ones: ``*`` stops at a ``/``, ``**`` does not, and a folder that matches
    is searched through. Below folders and globs, names that begin with a dot are passed over.

    Raises:
        ValueError: if it is no URL of objects, or no valid glob.
        OSError: if the store refuses, cannot be reached, or has no client installed.
    """
    scheme, literal = _split(pattern)
    if _GLOB.search(literal.partition("/")[0]):
        raise ValueError("a glob cannot stand for buckets")
    decoded = split_url(pattern)[1]
    for key in dict.fromkeys([literal, decoded]):
        with spoken(pattern):
            found = _find(client_of(scheme), key)
        if found:
            break
    return [
        ListedObject(object_url(scheme, key), int(info["size"]), _version(info))
        for key, info in sorted(found.items())
    ]


def _find(client: Any, key: str) -> dict[str, Any]:
    named = key.removesuffix("**") if key.endswith("/**") else key
    folder = named.rstrip("/")
    if named == folder:
        with suppress(FileNotFoundError):
            info = client.info(named)
            if info["type"] == "file":
                return {named: info}
    found = _below(client, folder)
    return found if found or not _GLOB.search(folder) else _glob(client, folder)


def _below(client: Any, folder: str) -> dict[str, Any]:
    """The objects in a folder and those below it."""
    return _kept(folder, client.find(folder, detail=True), hidden=False)


def _glob(client: Any, pattern: str) -> dict[str, Any]:
    fixed = pattern[: cast(re.Match[str], _GLOB.search(pattern)).start()].rpartition("/")[0]
    matched = client.glob(pattern, detail=True)
    found = dict(matched)
    searched = ""
    for key, info in sorted(matched.items()):
        if info["type"] == "directory" and not (searched and key.startswith(searched)):
            searched = f"{key}/"
            found |= _below(client, key)
    return _kept(fixed, found, hidden="/." in pattern[len(fixed) :])


def _kept(folder: str, found: dict[str, Any], *, hidden: bool) -> dict[str, Any]:
    """What of the found is an object below a folder, and not hidden unless that is asked for."""
    return {
        key: info
        for key, info in found.items()
        if key.startswith(f"{folder}/")
        and info["type"] == "file"
        and not key.endswith("/")
        and (hidden or "/." not in key[len(folder) :])
    }


def _version(info: dict[str, Any]) -> str:
    for name in ("generation", "ETag", "etag", "LastModified", "updated", "mtime"):
        if info.get(name):
            return str(info[name]).strip('"')
    return ""


def is_fetched_whole(name: str, size_bytes: int) -> bool:
    """Whether opening it fetches all of it with one request: it is an object, known to be small."""
    return is_url(name) and 0 <= size_bytes <= WHOLE_READ_BYTES


def open_object(url: str, size_bytes: int = -1) -> ReadableStream:
    """An object for reading; of a large one, only a block is held at a time.

    Args:
        url: of the object, as ``find_objects`` gave it.
        size_bytes: its size where it is known: what is small is read with one request.

    Raises:
        ValueError: if it is no URL of an object.
        OSError: if there is none, or the store refuses; reading raises it, too.
    """
    scheme, key = split_url(url)
    with spoken(url):
        client = client_of(scheme)
        if is_fetched_whole(url, size_bytes):
            return io.BytesIO(client.cat_file(key))
        file = client.open(key, "rb", block_size=_BLOCK_BYTES, cache_type="readahead")
    return _ObjectStream(file, url)


class _ObjectStream:
    """A file of fsspec whose errors are ``OSError`` and say what they are about."""

    def __init__(self, file: Any, url: str) -> None:
        self._file = file
        self._url = url

    def read(self, size: int = -1, /) -> bytes:
        with spoken(self._url):
            return cast(bytes, self._file.read(size))

    def seek(self, offset: int, /) -> None:
        self._file.seek(offset)

    def close(self) -> None:
        self._file.close()
