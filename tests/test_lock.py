"""One writer at a time: who gets the lease, who waits, and what becomes of a dead owner's."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest

from pipelines.lock import (
    FOLDER,
    DatasetError,
    Lease,
    hold_lease,
    this_machine,
    this_process,
)
from transforms.storage import LocalStore, Store

pytest_plugins = ["object_servers"]

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 60.0
"""How long a test waits for what must come, before it fails."""


class WithoutFlock(LocalStore):
    """A local folder on a disk that knows no ``flock``: leases are all there is, as in a bucket."""

    @property
    def local_root(self) -> None:  # type: ignore[override]
        return


@pytest.fixture(
    params=["flock", "no flock", pytest.param("minio", marks=pytest.mark.slow)],
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind that leases are told apart by."""
    if request.param == "minio":
        made: Store = request.getfixturevalue("minio").new_store()
        return made
    kind = LocalStore if request.param == "flock" else WithoutFlock
    return kind(str(tmp_path / "news"))


def now(seconds_ago: float = 0) -> str:
    return (
        datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds_ago)
    ).isoformat()


def elsewhere(seconds_ago: float, *, released: bool = False) -> Lease:
    """The lease of a process on another machine, with the age of its last sign of life."""
    return Lease(
        owner="process 7 on far.example (newsbeam ingest)",
        machine="another",
        process="pid:[4026531836] 7 12345",
        since=now(seconds_ago + 3600),
        beat=now(seconds_ago),
        released=released,
    )


def put(store: Store, lease: Lease, number: int = 1) -> None:
    store.write(f"{FOLDER}/{number:08d}.json", json.dumps(asdict(lease)).encode())


def latest(store: Store) -> Lease:
    """The lease that counts."""
    name = max(name for name in store.names(FOLDER) if name.endswith(".json"))
    return Lease(**json.loads(store.read(f"{FOLDER}/{name}")))


# ── one at a time ───────────────────────────────────────────────────────────────────────────────


def test_the_first_owner_has_seized_it_from_nobody(store: Store) -> None:
    with hold_lease(store, "newsbeam ingest") as seized:
        assert not seized


def test_a_second_owner_is_refused_and_told_who_is_at_work(store: Store) -> None:
    with (
        hold_lease(store, "newsbeam ingest"),
        pytest.raises(DatasetError) as refusal,
        hold_lease(store, "newsbeam compact"),
    ):
        pass
    said = str(refusal.value)
    assert said.startswith(f"{store.url} is locked: process {os.getpid()} on ")
    assert "(newsbeam ingest) has been writing to it since " in said
    assert "--wait" in said


def test_a_lease_that_was_given_back_is_free(store: Store) -> None:
    for _ in range(3):
        with hold_lease(store, "newsbeam ingest") as seized:
            assert not seized


def test_a_lease_is_given_back_when_its_owner_fails(store: Store) -> None:
    with pytest.raises(KeyError), hold_lease(store, "newsbeam ingest"):
        raise KeyError
    with hold_lease(store, "newsbeam ingest") as seized:
        assert not seized


def test_old_leases_are_removed(store: Store) -> None:
    for _ in range(5):
        with hold_lease(store, "newsbeam ingest"):
            pass
    assert len([name for name in store.names(FOLDER) if name.endswith(".json")]) <= 2


def test_a_dataset_that_schema_version_1_has_locked_can_be_locked(tmp_path: Path) -> None:
    """It kept its lock in a file, where a later program might want a folder."""
    (tmp_path / "_newsbeam").mkdir()
    (tmp_path / "_newsbeam" / "lock").write_text("process 7 on far.example")
    with hold_lease(LocalStore(str(tmp_path)), "newsbeam ingest") as seized:
        assert not seized


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def held_until(store: Store) -> Iterator[threading.Event]:
    """Have another thread hold the lease until the event is set."""
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with hold_lease(store, "newsbeam ingest"):
            taken.set()
            release.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(hold)
        assert taken.wait(PATIENCE_SECONDS)
        try:
            yield release
        finally:
            release.set()
            holding.result()


def test_whoever_waits_is_told_for_whom_and_gets_the_lease(store: Store) -> None:
    told: list[str] = []
    with held_until(store) as release:

        def tell(message: str) -> None:
            told.append(message)
            release.set()

        with hold_lease(store, "next", wait_seconds=PATIENCE_SECONDS, notify=tell) as seized:
            assert not seized
    assert len(told) == 1
    assert told[0].startswith(f"waiting for {store.url}: process {os.getpid()} on ")


def test_whoever_waits_in_vain_is_refused(store: Store) -> None:
    with (
        held_until(store),
        pytest.raises(DatasetError, match=r"newsbeam ingest.*; waited 0 s in vain$"),
        hold_lease(store, "next", wait_seconds=0.2),
    ):
        pass


# ── the dead and those who seem so ──────────────────────────────────────────────────────────────

HOLD = """
import sys
from pipelines.lock import hold_lease
from test_lock import WithoutFlock
from transforms.storage import LocalStore, open_store
kind, url = sys.argv[1:]
kinds = {"LocalStore": LocalStore, "WithoutFlock": WithoutFlock, "ObjectStore": open_store}
store = kinds[kind](url)
with hold_lease(store, "newsbeam ingest"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(store: Store) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lease."""
    command = [sys.executable, "-c", HOLD, type(store).__name__, store.url]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def test_a_living_owner_is_respected_however_old_its_heartbeat(store: Store) -> None:
    """A process that is stopped, or starved, is not dead: but a store cannot tell from far."""
    with (
        another_process(store) as process,
        pytest.raises(DatasetError, match=f"process {process.pid} on"),
        hold_lease(store, "next", lease_seconds=0 if store.local_root else 60),
    ):
        pass


def test_a_killed_owner_on_this_machine_is_replaced_at_once(store: Store) -> None:
    with another_process(store) as process:
        process.send_signal(signal.SIGKILL)
    with hold_lease(store, "next") as seized:
        assert seized


def test_an_owner_that_ended_well_was_not_seized_from(store: Store) -> None:
    with another_process(store) as process:
        process.communicate(b"")
        assert process.returncode == 0
    with hold_lease(store, "next") as seized:
        assert not seized


def test_an_owner_elsewhere_is_respected_while_it_gives_signs_of_life(store: Store) -> None:
    put(store, elsewhere(seconds_ago=30))
    with (
        pytest.raises(DatasetError, match=r"process 7 on far\.example .*sign of life is 3\d s old"),
        hold_lease(store, "next", lease_seconds=60),
    ):
        pass


def test_an_owner_elsewhere_is_replaced_when_it_has_been_silent_too_long(store: Store) -> None:
    put(store, elsewhere(seconds_ago=61))
    with hold_lease(store, "next", lease_seconds=60) as seized:
        assert seized
    with hold_lease(store, "one more") as seized:
        assert not seized


def test_an_owner_elsewhere_that_gave_its_lease_back_is_no_hindrance(store: Store) -> None:
    put(store, elsewhere(seconds_ago=0, released=True))
    with hold_lease(store, "next") as seized:
        assert not seized


def test_a_process_that_only_bears_the_number_of_the_owner_is_another(store: Store) -> None:
    """Process numbers come round again; when a process started tells two apart."""
    space, number, _ = this_process().rsplit(" ", 2)
    mine = replace(elsewhere(0), machine=this_machine(), process=f"{space} {number} 1")
    put(store, mine)
    with hold_lease(store, "next") as seized:
        assert seized


def test_an_owner_in_another_container_of_this_machine_is_judged_by_its_heartbeat(
    tmp_path: Path,
) -> None:
    """Its process number means nothing here, and without ``flock`` the kernel does not tell."""
    store = WithoutFlock(str(tmp_path))
    put(store, replace(elsewhere(30), machine=this_machine(), process="pid:[1] 4194304 1"))
    with pytest.raises(DatasetError, match="is locked"), hold_lease(store, "next"):
        pass
    with hold_lease(store, "next", lease_seconds=20) as seized:
        assert seized


@pytest.mark.parametrize("process", ["", "7", "pid:[1] 7", "pid:[1] seven 12345"])
def test_an_owner_whose_process_nobody_can_tell_is_judged_by_its_heartbeat(
    tmp_path: Path, process: str
) -> None:
    store = WithoutFlock(str(tmp_path))
    put(store, replace(elsewhere(30), machine=this_machine(), process=process))
    with pytest.raises(DatasetError, match="is locked"), hold_lease(store, "next"):
        pass
    with hold_lease(store, "next", lease_seconds=20) as seized:
        assert seized


@pytest.mark.parametrize("content", [b"", b'{"owner": "proc', b"[]", b'{"owner": "x"}'])
def test_a_lease_that_nobody_can_read_counts_as_a_dead_owners(store: Store, content: bytes) -> None:
    store.write(f"{FOLDER}/00000004.json", content)
    with hold_lease(store, "next") as seized:
        assert seized


def test_of_two_who_find_the_owner_dead_one_takes_the_lease(store: Store) -> None:
    put(store, elsewhere(seconds_ago=100))
    start, refused = threading.Barrier(2), threading.Event()

    def contend(name: str) -> bool:
        start.wait()
        try:
            with hold_lease(store, name) as seized:
                assert refused.wait(PATIENCE_SECONDS)
                return seized
        except DatasetError:
            refused.set()
            return False

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(contend, ("left", "right"))) == [False, True]


@dataclass(frozen=True)
class SlowStore(WithoutFlock):
    """A store in which something happens just before this owner's first ``create``."""

    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    def create(self, path: str, content: bytes) -> bool:
        while self.meanwhile:
            self.meanwhile.pop()()
        return super().create(path, content)


def test_a_contender_that_was_asleep_does_not_take_a_number_of_long_ago(tmp_path: Path) -> None:
    """The lease that it found free is gone, and so is the one that it would have taken."""
    store = WithoutFlock(str(tmp_path))
    with ExitStack() as held:

        def take_some() -> None:
            for _ in range(4):
                with hold_lease(store, "quick"):
                    pass
            held.enter_context(hold_lease(store, "owner"))

        with hold_lease(store, "first"):
            pass
        slow = SlowStore(store.root, [take_some])
        with pytest.raises(DatasetError, match="is locked"), hold_lease(slow, "slow"):
            pass
        assert "(owner)" in latest(store).owner


# ── the heartbeat ───────────────────────────────────────────────────────────────────────────────


def eventually(look: Callable[[], bool]) -> bool:
    """Whether something comes true before patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not look():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.01)
    return True


def test_an_owner_gives_signs_of_life_while_it_works(store: Store) -> None:
    with hold_lease(store, "newsbeam ingest", beat_seconds=0.02):
        first = latest(store)
        assert eventually(lambda: latest(store).beat > first.beat)
        second = latest(store)
        assert eventually(lambda: latest(store).beat > second.beat)
        assert replace(latest(store), beat="") == replace(first, beat="")
    assert latest(store).released


@dataclass(frozen=True)
class FlakyStore(LocalStore):
    """A store out of reach for its first few writes."""

    failures: queue.SimpleQueue[OSError] = field(default_factory=queue.SimpleQueue)

    def write(self, path: str, content: bytes) -> None:
        if not self.failures.empty():
            raise self.failures.get()
        super().write(path, content)


def test_a_heartbeat_goes_on_when_the_store_was_out_of_reach(tmp_path: Path) -> None:
    store = FlakyStore(str(tmp_path))
    for _ in range(3):
        store.failures.put(OSError("out of reach"))
    with hold_lease(store, "newsbeam ingest", beat_seconds=0.01):
        first = latest(store)
        assert eventually(lambda: latest(store).beat > first.beat)
    assert store.failures.empty()


def test_a_lease_that_could_not_be_given_back_is_seized_by_the_next(tmp_path: Path) -> None:
    store = FlakyStore(str(tmp_path))
    with hold_lease(store, "newsbeam ingest"):
        store.failures.put(OSError("out of reach"))
    with hold_lease(store, "next") as seized:
        assert seized


# ── many at once ────────────────────────────────────────────────────────────────────────────────

CONTENDERS = 8
TURNS = 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LocalStore, WithoutFlock])
def test_no_turn_of_many_contenders_is_lost(tmp_path: Path, kind: type[LocalStore]) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=count, args=(kind(str(tmp_path / "news")), counter))
        for _ in range(CONTENDERS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * CONTENDERS
    assert counter.read_text() == str(CONTENDERS * TURNS)


def count(store: Store, counter: Path) -> None:
    """Runs in a process of its own; two at once would read the same number."""
    for _ in range(TURNS):
        with hold_lease(store, "count", wait_seconds=600) as seized:
            assert not seized
            number = int(counter.read_text())
            counter.write_text(str(number + 1))
