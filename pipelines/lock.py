"""One writer at a time: a lease in the dataset, with an owner, a heartbeat and an expiry.

``_newsbeam/leases/00000007.json`` names the owner of the seventh lease; the highest number counts.
A lease is taken by creating the next number where there is none, which one of several contenders
can do. Its owner writes it again every few seconds. It ends when the owner gives it back, or when
another finds the owner dead and takes the next number:

- at once, where the owner ran on this machine: the kernel knows (``flock`` on a local disk, the
  process table for an object store);
- else when the heartbeat is older than ``LEASE_SECONDS``, by the clock of who looks: machines that
  share a dataset need clocks that agree to within some seconds.

The lease keeps honest writers apart and tells who is at work. It is not what the dataset's safety
rests on: a process that was only asleep may wake and go on, and then the commit log refuses it (see
``pipelines.dataset``).
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from transforms.storage import Store

LEASE_SECONDS = 60.0
"""Age of a heartbeat from which its owner counts as dead."""
BEAT_SECONDS = 10.0
_POLL_SECONDS = 0.5
_FIRST_WAIT_NOTE_SECONDS = 1.0
FOLDER = "_newsbeam/leases"
"""Not ``_newsbeam/lock``, which schema version 1 left as a file."""


class DatasetError(RuntimeError):
    """The dataset is damaged, or another run writes to it; the message says which and where."""


@dataclass(frozen=True)
class Lease:
    """Who may write to a dataset."""

    owner: str
    """For a person: host, process, command."""
    machine: str
    process: str
    since: str
    beat: str
    """When the owner last said that it lives, ISO 8601 in UTC."""
    released: bool = False


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return ""


def this_machine() -> str:
    """This kernel since it was started; where it does not tell, the host's name."""
    return _first_line("/proc/sys/kernel/random/boot_id") or socket.gethostname()


def this_process() -> str:
    """This process: its space of process ids, its id, and when it started."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = socket.gethostname()
    return f"{space} {os.getpid()} {_started(os.getpid())}"


def _started(process_id: int) -> str:
    fields = _first_line(f"/proc/{process_id}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def _is_gone(lease: Lease) -> bool:
    """Whether the process table of this machine tells that the owner is no more."""
    try:
        space, number, started = lease.process.rsplit(" ", 2)
        process_id = int(number)
    except ValueError:  # not as this program writes it: such a lease ends by its age
        return False
    own_space = this_process().rsplit(" ", 2)[0]
    if lease.machine != this_machine() or space != own_space or not started:
        return False
    return _started(process_id) != started


def _age(lease: Lease) -> float:
    """How old its last sign of life is, in seconds."""
    return (_now() - datetime.datetime.fromisoformat(lease.beat)).total_seconds()


def _describe(lease: Lease) -> str:
    return (
        f"{lease.owner} has been writing to it since {lease.since[:19].replace('T', ' ')} UTC "
        f"(its last sign of life is {max(0, _age(lease)):.0f} s old)"
    )


def _read(store: Store, number: int) -> Lease | None:
    """A lease, or None if it is gone or was cut short by a crash."""
    try:
        lease = Lease(**json.loads(store.read(f"{FOLDER}/{number:08d}.json")))
        _age(lease)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return lease


def _latest(store: Store) -> int:
    numbers = [name[:8] for name in store.names(FOLDER) if name.endswith(".json")]
    return max((int(number) for number in numbers if number.isdigit()), default=0)


def current_lease(store: Store) -> int:
    """The number of the lease that counts; 0 if there was none yet."""
    return _latest(store)


def _encoded(lease: Lease) -> bytes:
    return json.dumps(asdict(lease)).encode()


class _Beating:
    """Writes the lease again until stopped."""

    def __init__(self, store: Store, number: int, lease: Lease, beat_seconds: float) -> None:
        self._store = store
        self._path = f"{FOLDER}/{number:08d}.json"
        self._lease = lease
        self._beat_seconds = beat_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _repeat(self) -> None:
        while not self._done.wait(self._beat_seconds):
            try:
                self._put(released=False)
            except OSError:
                continue  # a store out of reach: the commit will say so, if it stays that way

    def _put(self, *, released: bool) -> None:
        self._lease = replace(self._lease, beat=_now().isoformat(), released=released)
        self._store.write(self._path, _encoded(self._lease))

    def stop(self) -> None:
        """Give the lease back."""
        self._done.set()
        self._thread.join()
        with suppress(OSError):  # it expires
            self._put(released=True)


@contextmanager
def hold_lease(
    store: Store,
    command: str,
    *,
    wait_seconds: float = 0,
    notify: Callable[[str], None] = lambda _: None,
    lease_seconds: float = LEASE_SECONDS,
    beat_seconds: float = BEAT_SECONDS,
) -> Iterator[bool]:
    """Hold the dataset's lease while the block runs; gives whether it was taken from a dead owner.

    ``wait_seconds`` is how long to wait for another owner to end; ``notify`` is told, once, whom
    it waits for.

    Raises:
        DatasetError: if another owner holds it to the end of the wait.
        OSError: if the store refuses.
    """
    began = time.monotonic()
    told = False
    while True:
        taken = _try_to_take(store, command, lease_seconds)
        if not isinstance(taken, str):
            break
        waited = time.monotonic() - began
        if waited >= wait_seconds:
            hint = (
                f"waited {waited:.0f} s in vain"
                if wait_seconds
                else "try again later, or wait for it with --wait"
            )
            raise DatasetError(f"{store.url} is locked: {taken}; {hint}")
        if not told and waited >= min(_FIRST_WAIT_NOTE_SECONDS, wait_seconds / 2):
            notify(f"waiting for {store.url}: {taken}")
            told = True
        time.sleep(min(_POLL_SECONDS, wait_seconds - waited))
    number, lease, seized, flock = taken
    with flock or nullcontext():
        beating = _Beating(store, number, lease, beat_seconds)
        beating.start()
        try:
            yield seized
        finally:
            beating.stop()


_Taken = tuple[int, Lease, bool, IO[str] | None]


def _try_to_take(store: Store, command: str, lease_seconds: float) -> _Taken | str:
    """The lease, or a sentence about who has it."""
    with ExitStack() as closing:
        flock = _flock(store)
        local = None if isinstance(flock, bool) else closing.enter_context(flock)
        latest = _latest(store)
        current = _read(store, latest)
        if flock is True:  # another process of this machine holds it, or is about to
            if current is None or current.released:
                return "another process of this machine has just taken it"
            return _describe(current)
        seized = latest > 0 and (current is None or not current.released)
        if seized and current is not None and not _is_dead(current, lease_seconds, local):
            return _describe(current)
        now = _now().isoformat()
        owner = f"process {os.getpid()} on {socket.gethostname()} ({command})"
        lease = Lease(owner, this_machine(), this_process(), now, now)
        path = f"{FOLDER}/{latest + 1:08d}.json"
        created = store.create(path, _encoded(lease))
        if created and _latest(store) > latest + 1:  # whoever was so slow made a number anew
            store.delete([path])
            created = False
        if not created:
            return "another process was faster"
        store.delete([f"{FOLDER}/{latest - 1:08d}.json"])
        closing.pop_all()
        return latest + 1, lease, seized, local


def _is_dead(lease: Lease, lease_seconds: float, flock: IO[str] | None) -> bool:
    if flock is not None and lease.machine == this_machine():
        return True  # a live owner on this machine would hold the flock
    if flock is None and _is_gone(lease):
        return True
    return _age(lease) > lease_seconds


def _flock(store: Store) -> IO[str] | bool:
    """This machine's flock file, locked; True if another process has it, False if there is none."""
    if store.local_root is None:
        return False
    folder = store.local_root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / f"{this_machine()}.flock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return True
    except OSError as error:
        file.close()
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            return False
        raise
    return file
