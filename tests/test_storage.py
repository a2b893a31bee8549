"""One contract for all stores: a local folder, S3 (MinIO) and Google's (fake-gcs-server)."""

from __future__ import annotations

import errno
import gc
import hashlib
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from object_servers import BUCKET, GCSFS_SENDS_BYTES, ObjectServer, in_environment

from transforms import storage
from transforms.storage import (
    LocalStore,
    ObjectStore,
    Store,
    StoredFile,
    client_of,
    open_store,
)

pytest_plugins = ["object_servers"]
pytestmark = pytest.mark.filterwarnings(GCSFS_SENDS_BYTES)

ROOT = Path(__file__).resolve().parent.parent
SMALL = b"some bytes"
LARGE = random.Random(7).randbytes((5 << 20) + 3)
"""More than is read with one request."""
SEVERAL_PARTS = 60 << 20
"""More bytes than the clients send with one request."""
ODD_NAMES = [
    "with space", "k=v", "a+b", "100%", "%2B%20", "ünï—Ωξ 長崎 🐢", "quote'\"s", "[ab]*?",
    "a&b;c,d@e", "~(x)!$", "..dots.", "date=2026-01-01/topic=a b/x.parquet",
]  # fmt: skip


@pytest.fixture(
    params=[
        "local",
        pytest.param("minio", marks=pytest.mark.slow),
        pytest.param("fake_gcs", marks=pytest.mark.slow),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "local":
        return LocalStore(str(tmp_path / "store"))
    server: ObjectServer = request.getfixturevalue(request.param)
    return server.new_store()


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    """An empty local store."""
    return LocalStore(str(tmp_path / "store"))


def put(store: Store, *paths: str) -> None:
    """Files whose content is their path."""
    for path in paths:
        store.write(path, path.encode())


class WritingFailedError(Exception):
    """What goes wrong while a file is written, apart from the store."""


def fail_to_write(store: Store, path: str, content: bytes) -> None:
    with store.writer(path) as file:
        file.write(content)
        raise WritingFailedError


def paths(store: Store, folder: str = "") -> list[str]:
    return [file.path for file in store.list_files(folder)]


# ── reading and writing ─────────────────────────────────────────────────────────────────────────


def test_what_was_written_is_read(store: Store) -> None:
    store.write("folder/file", SMALL)
    assert store.read("folder/file") == SMALL


def test_an_empty_file_is_a_file(store: Store) -> None:
    store.write("empty", b"")
    assert store.exists("empty")
    assert store.read("empty") == b""
    assert store.list_files("") == [StoredFile("empty", 0)]


def test_writing_again_replaces(store: Store) -> None:
    store.write("file", b"a longer first content")
    store.write("file", b"second")
    assert store.read("file") == b"second"


def test_reading_what_is_not_there_raises_and_names_it(store: Store) -> None:
    for read in (store.read, store.open):
        with pytest.raises(FileNotFoundError, match="missing"):
            read("folder/missing")


def test_only_files_exist(store: Store) -> None:
    put(store, "folder/file")
    assert store.exists("folder/file")
    assert not store.exists("folder")
    assert not store.exists("folder/fil")
    assert not store.exists("nowhere/file")


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_file_is_read_at_any_place(store: Store, content: bytes) -> None:
    store.write("file", content)
    with store.open("file") as file:
        assert file.size() == len(content)
        for start in (len(content) - 4, 1, 0, len(content) // 2):
            file.seek(start)
            assert file.read(3) == content[start : start + 3]
        file.seek(-2, os.SEEK_END)
        assert file.read() == content[-2:]
        assert file.read(5) == b""
        file.seek(0)
        assert file.read() == content


def test_a_column_of_a_large_parquet_file_is_read_alone(store: Store) -> None:
    table = pa.table({"bulk": [LARGE], "little": ["word"]})
    with store.writer("table.parquet") as file:
        pq.write_table(table, file, compression="none")
    with store.open("table.parquet") as file, pq.ParquetFile(file) as parquet:
        assert parquet.read(columns=["little"]).to_pylist() == [{"little": "word"}]


def test_a_writer_tells_size_and_hash_of_what_stands_there(store: Store) -> None:
    with store.writer("table.parquet") as file:
        pq.write_table(pa.table({"number": list(range(1000))}), file)
    content = store.read("table.parquet")
    assert file.size_bytes == file.tell() == len(content)
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert store.list_files("") == [StoredFile("table.parquet", len(content))]


@pytest.mark.parametrize("size_bytes", [1, pytest.param(SEVERAL_PARTS, marks=pytest.mark.slow)])
def test_nothing_is_seen_of_a_file_before_it_is_whole(store: Store, size_bytes: int) -> None:
    with store.writer("folder/file") as file:
        file.write(bytes(size_bytes))
        assert paths(store) == []
        assert not store.exists("folder/file")
        file.write(b"end")
    assert store.list_files("") == [StoredFile("folder/file", size_bytes + 3)]


@pytest.mark.parametrize("size_bytes", [0, 1, pytest.param(SEVERAL_PARTS, marks=pytest.mark.slow)])
def test_nothing_is_left_of_a_file_whose_writing_failed(store: Store, size_bytes: int) -> None:
    with pytest.raises(WritingFailedError):
        fail_to_write(store, "folder/file", bytes(size_bytes))
    gc.collect()  # fsspec uploads a file that is collected while it is open
    assert paths(store) == []
    assert not store.exists("folder/file")


def test_a_failed_rewriting_leaves_what_was_there(store: Store) -> None:
    store.write("file", b"first")
    with pytest.raises(WritingFailedError):
        fail_to_write(store, "file", b"second")
    assert store.read("file") == b"first"


@pytest.mark.slow
def test_a_failed_upload_leaves_no_parts_in_the_bucket(minio: ObjectServer) -> None:
    with pytest.raises(WritingFailedError):
        fail_to_write(minio.new_store(), "file", bytes(SEVERAL_PARTS))
    assert client_of("s3").list_multipart_uploads(BUCKET) == []


# ── creating ────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_created_only_where_there_is_none(store: Store) -> None:
    assert store.create("folder/file", b"first")
    assert not store.create("folder/file", b"second")
    assert store.read("folder/file") == b"first"


def test_a_file_can_be_created_again_when_it_was_deleted(store: Store) -> None:
    assert store.create("file", b"first")
    store.delete(["file"])
    assert store.create("file", b"second")
    assert store.read("file") == b"second"


def test_of_many_threads_that_create_a_file_one_does(store: Store) -> None:
    contenders = 12
    start = threading.Barrier(contenders)

    def contend(content: bytes) -> bool:
        start.wait()
        return store.create("folder/file", content)

    # Of different lengths, so that a mixture of two would show.
    contents = [b"%d" % number * (number + 1) for number in range(contenders)]
    with ThreadPoolExecutor(contenders) as threads:
        created = list(threads.map(contend, contents))
    assert created.count(True) == 1
    assert store.read("folder/file") == contents[created.index(True)]
    assert paths(store) == ["folder/file"]


@pytest.mark.slow
def test_of_two_processes_that_create_files_one_creates_each(store: Store) -> None:
    names = [f"file-{number:02d}" for number in range(30)]
    context = multiprocessing.get_context("spawn")
    start, created = context.Barrier(2), context.SimpleQueue()
    processes = [
        context.Process(target=create_all, args=(store, names, owner, start, created))
        for owner in ("left", "right")
    ]
    for process in processes:
        process.start()
    won = dict(created.get() for _ in processes)
    for process in processes:
        process.join()
    assert sorted(won["left"] + won["right"]) == names
    for owner, mine in won.items():
        assert {store.read(name) for name in mine} <= {owner.encode()}


def create_all(
    store: Store,
    names: list[str],
    owner: str,
    start: Barrier,
    created: SimpleQueue[tuple[str, list[str]]],
) -> None:
    """Runs in a process of its own."""
    start.wait()
    created.put((owner, [name for name in names if store.create(name, owner.encode())]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["minio", "fake_gcs"])
def test_a_creation_that_is_repeated_since_its_answer_was_lost_counts(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """The clients repeat such a request by themselves, and then meet their own object."""
    store = request.getfixturevalue(kind).new_store()
    assert store.create("lease", b"mine, and nobody else's")
    assert store.create("lease", b"mine, and nobody else's")
    assert not store.create("lease", b"another's")


# ── listing ─────────────────────────────────────────────────────────────────────────────────────


def test_listing_reaches_into_folders_and_is_sorted(store: Store) -> None:
    put(store, "b/2", "b/1", "a", "b/c/3", "bb")
    assert paths(store) == ["a", "b/1", "b/2", "b/c/3", "bb"]
    assert store.list_files("b") == [
        StoredFile("b/1", 3),
        StoredFile("b/2", 3),
        StoredFile("b/c/3", 5),
    ]


def test_names_are_those_of_files_and_folders_right_in_a_folder(store: Store) -> None:
    put(store, "top/file", "top/folder/1", "top/folder/2", "other")
    assert store.names("top") == ["file", "folder"]
    assert store.names("") == ["other", "top"]


def test_a_folder_that_is_not_there_is_empty(store: Store) -> None:
    put(store, "folders/file")
    for folder in ("folder", "no/such"):
        assert store.list_files(folder) == []
        assert store.names(folder) == []


def test_an_empty_store_is_empty(store: Store) -> None:
    assert store.list_files("") == []
    assert store.names("") == []


def test_what_another_has_changed_is_seen_at_once(store: Store) -> None:
    """Clients of object stores like to remember listings."""
    put(store, "folder/a")
    assert paths(store) == ["folder/a"]
    other = open_store(store.url)
    put(other, "folder/b")
    other.delete(["folder/a"])
    assert paths(store) == ["folder/b"]
    assert store.names("folder") == ["b"]
    assert not store.exists("folder/a")


@pytest.mark.slow
def test_more_files_than_a_listing_has_on_a_page(store: Store) -> None:
    names = [f"file-{number:04d}" for number in range(1100)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: store.write(f"many/{name}", b"x"), names))
    assert store.names("many") == names
    assert paths(store, "many") == [f"many/{name}" for name in names]
    store.delete_folder("many")
    assert store.names("many") == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_taken_as_it_is(store: Store, name: str) -> None:
    store.write(name, SMALL)
    assert store.create(f"created/{name}", SMALL)
    assert store.exists(name)
    assert store.read(name) == SMALL
    assert paths(store) == sorted([name, f"created/{name}"])
    assert set(store.names("")) == {name.partition("/")[0], "created"}
    store.move([(name, f"moved/{name}")])
    assert paths(store) == sorted([f"created/{name}", f"moved/{name}"])
    with store.open(f"moved/{name}") as file:
        assert file.read() == SMALL
    store.delete([f"moved/{name}"])
    assert paths(store) == [f"created/{name}"]


def test_a_pattern_in_a_name_matches_nothing_else(store: Store) -> None:
    put(store, "*", "a", "b/[c]", "b/c")
    store.delete(["*", "b/[c]"])
    assert paths(store) == ["a", "b/c"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["minio", "fake_gcs"])
def test_a_store_may_itself_have_an_odd_prefix(request: pytest.FixtureRequest, kind: str) -> None:
    url = f"{request.getfixturevalue(kind).new_url()}/ä b*/[c]+%20"
    store = open_store(url)
    put(store, "folder/file")
    store.move([("folder/file", "folder/other")])
    assert paths(store) == ["folder/other"]
    assert store.names("") == ["folder"]
    store.delete_folder("folder")
    assert paths(store) == []
    assert store.url == url


# ── moving and deleting ─────────────────────────────────────────────────────────────────────────


def test_files_are_moved_and_replace_what_is_there(store: Store) -> None:
    put(store, "from/1", "from/2", "from/3", "to/2")
    store.move((f"from/{number}", f"to/{number}") for number in (1, 2))
    assert paths(store) == ["from/3", "to/1", "to/2"]
    assert store.read("to/2") == b"from/2"


def test_moving_nothing_does_nothing(store: Store) -> None:
    put(store, "file")
    store.move([])
    store.delete([])
    assert paths(store) == ["file"]


def test_moving_what_is_not_there_raises(store: Store) -> None:
    put(store, "file")
    with pytest.raises(FileNotFoundError, match="missing"):
        store.move([("missing", "elsewhere")])
    assert paths(store) == ["file"]


def test_deleting_passes_over_what_is_not_there(store: Store) -> None:
    put(store, *(f"folder/{number:02d}" for number in range(20)), "file")
    store.delete(["no/such", *(f"folder/{number:02d}" for number in range(19)), "missing"])
    assert paths(store) == ["file", "folder/19"]


def test_deleting_a_folder_spares_those_whose_names_begin_like_it(store: Store) -> None:
    put(store, "run/a", "run/deep/b", "run-2/c", "running")
    store.delete_folder("run")
    assert paths(store) == ["run-2/c", "running"]
    store.delete_folder("no/such")
    assert paths(store) == ["run-2/c", "running"]


# ── a local store ───────────────────────────────────────────────────────────────────────────────


def test_folders_are_swapped(local: LocalStore) -> None:
    put(local, "left/a", "left/b", "deep/right/c")
    assert local.exchange("left", "deep/right")
    assert paths(local) == ["deep/right/a", "deep/right/b", "left/c"]


def test_whoever_looks_while_folders_are_swapped_sees_one_or_the_other(local: LocalStore) -> None:
    for folder in ("one", "two"):
        local.write(f"{folder}/file", folder.encode())
    done = threading.Event()
    seen: set[bytes] = set()

    def look() -> None:
        while not done.is_set():
            seen.add(local.read("one/file"))  # raises if it is not there for a moment

    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look)
        try:
            for _ in range(200):
                assert local.exchange("one", "two")
        finally:
            done.set()
        looking.result()
    assert seen <= {b"one", b"two"}


def test_a_folder_is_not_swapped_for_one_that_is_not_there(local: LocalStore) -> None:
    put(local, "left/a")
    assert not local.exchange("left", "right")
    assert not local.exchange("right", "left")
    assert paths(local) == ["left/a"]


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """A folder as a container sees it: ``baked/file`` comes with its image, in a lower layer."""
    layers = {name: tmp_path / name for name in ("lower", "upper", "work", "merged")}
    for layer in layers.values():
        layer.mkdir()
    (layers["lower"] / "baked").mkdir()
    (layers["lower"] / "baked" / "file").write_bytes(b"baked")
    options = "lowerdir={lower},upperdir={upper},workdir={work},redirect_dir=off".format(**layers)
    command = ["mount", "-t", "overlay", "overlay", "-o", options, str(layers["merged"])]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("an overlay cannot be mounted here")
    yield layers["merged"]
    subprocess.run(["umount", str(layers["merged"])], check=True)


def test_a_disk_that_cannot_swap_folders_says_so(image: Path) -> None:
    local = LocalStore(str(image))
    local.write("staged/file", b"new")
    assert not local.exchange("staged", "baked")
    assert local.read("staged/file") == b"new"
    assert local.read("baked/file") == b"baked"


def test_a_link_is_a_second_path_of_a_file(local: LocalStore) -> None:
    put(local, "folder/file")
    assert local.link("folder/file", "other/file")
    assert local.link("folder/file", "other/file"), "a link that is there is as good"
    local.delete(["folder/file"])
    assert local.read("other/file") == b"folder/file"


def test_without_hard_links_a_file_is_created_all_the_same(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))

    monkeypatch.setattr(os, "link", refuse)
    assert local.create("folder/file", b"first")
    assert not local.create("folder/file", b"second")
    assert local.read("folder/file") == b"first"
    assert not local.link("folder/file", "other")
    assert local.names("") == ["folder"]


def test_a_file_that_is_being_written_is_nowhere_to_be_seen(local: LocalStore) -> None:
    put(local, "folder/file")
    with local.writer("folder/other") as file:
        file.write(SMALL)
        assert len(list((local.local_root / "folder").iterdir())) == 2
        assert paths(local) == ["folder/file"]
        assert local.names("folder") == ["file"]


def test_a_failed_writing_leaves_nothing_on_the_disk(local: LocalStore) -> None:
    with pytest.raises(WritingFailedError):
        fail_to_write(local, "folder/file", SMALL)
    assert list((local.local_root / "folder").iterdir()) == []


def test_two_threads_that_write_one_file_do_not_mix(local: LocalStore) -> None:
    start = threading.Barrier(2)

    def write(content: bytes) -> None:
        with local.writer("file") as file:
            file.write(content[:1])
            start.wait()
            file.write(content[1:])

    contents = [b"left" * 1000, b"right"]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, contents))
    assert local.read("file") in contents


KILLED_WRITER = """
import sys
from transforms.storage import LocalStore
with LocalStore(sys.argv[1]).writer("folder/file") as file:
    file.write(b"some, but not all")
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_of_a_killed_writer_nothing_is_seen(local: LocalStore) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, local.root],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
    assert paths(local) == []
    assert local.names("folder") == []
    local.write("folder/file", b"all")
    assert local.read("folder/file") == b"all"


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch, local: LocalStore) -> list[str]:
    """What was flushed to the disk, in order, relative to the local store."""
    found: list[str] = []
    flush = os.fsync

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        name = str(path.relative_to(local.root))
        found.append("a file" if name.endswith(storage.PARTIAL) else name)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda store: store.write("a/b/c", b""), ["a file", ".", "a", "a/b"]),
        (lambda store: store.create("a/b/c", b""), ["a file", ".", "a", "a/b"]),
        (lambda store: store.move([("old/file", "a/b")]), [".", "a"]),
        (lambda store: store.delete(["old/file", "missing/file"]), [".", "old"]),
        (lambda store: store.exchange("old", "x/other"), [".", "x"]),
    ],
    ids=["write", "create", "move", "delete", "exchange"],
)
def test_a_change_is_on_the_disk_when_it_is_done(
    local: LocalStore,
    request: pytest.FixtureRequest,
    change: Callable[[Store], object],
    expected: list[str],
) -> None:
    put(local, "old/file", "x/other/file")
    flushed: list[str] = request.getfixturevalue("flushed")
    change(local)
    assert flushed == expected


# ── a store that refuses ────────────────────────────────────────────────────────────────────────

STEPS = """
import sys
from transforms.storage import open_store

def write(store):
    with store.writer("file") as file:
        file.write(b"content")

store = open_store(sys.argv[1])
for step in (
    lambda store: store.list_files("folder"),
    lambda store: store.exists("file"),
    lambda store: store.read("file"),
    lambda store: store.open("file"),
    lambda store: store.create("file", b"content"),
    write,
    lambda store: store.move([("file", "other")]),
    lambda store: store.delete(["file"]),
):
    try:
        step(store)
    except OSError as error:
        print(str(error))
"""


def complaints(url: str, environment: Mapping[str, str]) -> list[str]:
    """What each operation says; a store that cannot be reached must have said so in two minutes."""
    done = subprocess.run(
        [sys.executable, "-c", STEPS, url],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, cwd=ROOT,
        timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.slow
def test_wrong_credentials_are_refused_by_every_operation(minio: ObjectServer) -> None:
    url = minio.new_url()
    said = complaints(url, {**minio.environment, "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert len(said) == 8
    for line in said:
        assert line.startswith(f"[Errno {errno.EACCES}] {url}")
        assert "signature" in line or "Forbidden" in line


@pytest.mark.slow
def test_a_bucket_that_does_not_exist_is_named(minio: ObjectServer) -> None:
    said = complaints("s3://no-such-bucket/news", minio.environment)
    assert len(said) >= 6  # in no bucket nothing exists, and nothing is left to delete
    for line in said:
        assert line.startswith(f"[Errno {errno.ENOENT}] s3://no-such-bucket/news")
    assert "bucket does not exist" in said[0]


@pytest.mark.slow
def test_a_profile_that_does_not_exist_is_named(minio: ObjectServer) -> None:
    said = complaints(minio.new_url(), {**minio.environment, "AWS_PROFILE": "nobody"})
    assert len(said) == 8
    assert all("(nobody)" in line for line in said)


@pytest.mark.slow
def test_a_server_that_is_gone_is_reported_by_every_operation(minio: ObjectServer) -> None:
    with socket.socket() as taken:  # a port on which nobody listens, nor will
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        url = minio.new_url()
        said = complaints(url, {**minio.environment, "AWS_ENDPOINT_URL": endpoint})
    assert len(said) == 8
    for line in said:
        assert line.startswith(f"[Errno {errno.EIO}] {url}")
        assert endpoint in line


@pytest.fixture(params=["s3", "gs"])
def silent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store at a server that takes connections and never answers."""
    pytest.importorskip({"s3": "s3fs", "gs": "gcsfs"}[request.param])
    monkeypatch.setattr(storage, "READ_SECONDS", 0.2)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        environment = {
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "STORAGE_EMULATOR_HOST": endpoint,
        }
        with in_environment(ObjectServer(request.param, endpoint, environment, 0)):
            yield ObjectStore(request.param, "bucket/news")


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up(silent: Store) -> None:
    with pytest.raises(OSError, match=rf"{silent.url}/file: .*[Tt]ime"):
        silent.exists("file")


# ── naming a store ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("output", ["news", "file://news", "./news/"])
def test_an_output_without_a_scheme_is_a_local_folder(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store(output) == LocalStore(str(tmp_path / "news"))


@pytest.mark.parametrize(
    ("output", "url", "client"),
    [
        ("s3://bucket", "s3://bucket", "s3fs"),
        ("S3A://bucket//some///news/", "s3://bucket/some/news", "s3fs"),
        ("gs://bucket/news", "gs://bucket/news", "gcsfs"),
        ("gcs://bucket/news/", "gs://bucket/news", "gcsfs"),
    ],
)
def test_an_output_may_be_a_prefix_in_a_bucket(
    output: str, url: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(client)
    # Or gcsfs would look for Google's credentials, on the net too.
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    store = open_store(output)
    assert isinstance(store, ObjectStore)
    assert store.url == url
    assert store.locate("a/b") == f"{url}/a/b"
    assert store.local_root is None


@pytest.mark.parametrize("output", ["hdfs://server/news", "https://example.org/news", "s3://", ""])
def test_another_output_is_refused(output: str) -> None:
    with pytest.raises(ValueError, match=r"a local folder (nor|or) an s3:// or gs:// URL"):
        open_store(output)


WITHOUT_CLIENT = """
import sys
sys.modules[sys.argv[2]] = None  # as if it were not installed
from transforms.storage import StoreError, open_store
try:
    open_store(sys.argv[1])
except StoreError as error:
    print(error.strerror)
"""


@pytest.mark.parametrize(
    ("url", "client", "extra"),
    [("s3://bucket/news", "s3fs", "s3"), ("gs://bucket/news", "gcsfs", "gcs")],
)
def test_a_client_that_is_not_installed_is_named(url: str, client: str, extra: str) -> None:
    command = [sys.executable, "-c", WITHOUT_CLIENT, url, client]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert f"pip install 'newsbeam[{extra}]'" in done.stdout
