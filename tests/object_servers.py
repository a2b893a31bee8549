"""Real object stores for tests: MinIO (S3) and fake-gcs-server (Google), on this machine.

A test module that wants them says ``pytest_plugins = ["object_servers"]`` and asks for the fixture
``minio`` or ``fake_gcs``. Each server is started once, on a free port of 127.0.0.1, answers before
the first test begins, and is stopped at the end. Its program is, in this order,

1. the one on the ``PATH``;
2. the one that an earlier test run has built, in ``~/.cache/newsbeam-tests``;
3. built there with Go, which takes some minutes;

and where there is none of these, the tests that need it are skipped.

PYTEST_DONT_REWRITE: the module is a plugin and imported at once, and asserts nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from transforms.storage import ObjectStore, client_of

MODULES = {
    "minio": "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
    "fake-gcs-server": "github.com/fsouza/fake-gcs-server@v1.56.1",
}
"""Go modules of the servers. MinIO publishes no programs, and of its source no newer versions."""
START_SECONDS = 60.0
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Goes past any proxy, which knows nothing of this machine's servers."""
BUCKET = "newsbeam-tests"

GCSFS_SENDS_BYTES = "ignore:Sending a large body directly with raw bytes:ResourceWarning"
"""A warning of aiohttp's about how gcsfs uploads more than 1 MiB; a mark for ``filterwarnings``."""


@dataclass(frozen=True)
class ObjectServer:
    """A server that is running."""

    scheme: str
    """``s3`` or ``gs``."""
    endpoint: str
    """``http://127.0.0.1:PORT``."""
    environment: Mapping[str, str]
    """What a program must find in its environment to speak to it."""
    process_id: int

    def new_url(self) -> str:
        """The URL of a prefix that nobody has used, in the bucket."""
        return f"{self.scheme}://{BUCKET}/{uuid.uuid4().hex}"

    def new_store(self) -> ObjectStore:
        """A store at such a prefix."""
        return ObjectStore(self.scheme, self.new_url().partition("://")[2])


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """MinIO, with a bucket, for as long as the tests run, in the environment of this process."""
    pytest.importorskip("s3fs")
    with run_minio(tmp_path_factory.mktemp("minio")) as server, in_environment(server):
        client_of("s3").mkdir(BUCKET)
        yield server


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """fake-gcs-server, with a bucket, as ``minio``."""
    pytest.importorskip("gcsfs")
    with run_fake_gcs(tmp_path_factory.mktemp("gcs")) as server, in_environment(server):
        client_of("gs").mkdir(BUCKET)
        yield server


@contextmanager
def run_minio(folder: Path) -> Iterator[ObjectServer]:
    """MinIO with its data in a folder, while the block runs."""
    program = find_program("minio")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    user, password = "newsbeam", uuid.uuid4().hex
    command = [str(program), "server", "--quiet", "--address", f"127.0.0.1:{port}"]
    secrets = {"MINIO_ROOT_USER": user, "MINIO_ROOT_PASSWORD": password, "MINIO_BROWSER": "off"}
    health = f"{endpoint}/minio/health/ready"
    with _running([*command, str(folder / "data")], secrets, health, folder) as process_id:
        environment = {
            "AWS_ACCESS_KEY_ID": user,
            "AWS_SECRET_ACCESS_KEY": password,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        yield ObjectServer("s3", endpoint, environment, process_id)


@contextmanager
def run_fake_gcs(folder: Path) -> Iterator[ObjectServer]:
    """fake-gcs-server with its data in memory, while the block runs."""
    program = find_program("fake-gcs-server")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [
        str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
        "-backend", "memory", "-public-host", f"127.0.0.1:{port}", "-external-url", endpoint,
        "-log-level", "warn",
    ]  # fmt: skip
    with _running(command, {}, f"{endpoint}/_internal/healthcheck", folder) as process_id:
        yield ObjectServer("gs", endpoint, {"STORAGE_EMULATOR_HOST": endpoint}, process_id)


@contextmanager
def in_environment(server: ObjectServer) -> Iterator[None]:
    """Have this process speak to a server while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        client_of.cache_clear()  # the next one looks at the environment anew
        try:
            yield
        finally:
            client_of.cache_clear()


def find_program(name: str) -> Path:
    """A server's program; builds it where it must be. Skips the test where it cannot be had."""
    if found := shutil.which(name):
        return Path(found)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = caches / "newsbeam-tests" / name
    if program.is_file():
        return program
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"{name} is not on the PATH, and there is no Go to build it with")
    # Built beside its place and renamed, for another test run may be looking.
    folder = program.parent / f"building-{uuid.uuid4().hex}"
    environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod"}
    build = [go, "install", MODULES[name]]
    done = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"{name} could not be built: {' '.join(done.stderr.split()[-40:])}")
    (folder / name).replace(program)
    folder.rmdir()
    return program


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(
    command: list[str], environment: Mapping[str, str], health: str, folder: Path
) -> Iterator[int]:
    """Run a server, from when it answers at its ``health`` URL; gives its process id."""
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output
        ) as process,
    ):
        try:
            _wait_for(process, health, log)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(health):
        try:
            process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
        raise RuntimeError(f"{process.args!r} does not answer:\n{log.read_text(errors='replace')}")


def _answers(url: str) -> bool:
    try:
        with _OPENER.open(url, timeout=START_SECONDS) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False
