"""Real engines for tests: Prism, and Flink in one process or as a cluster, on this machine.

::

    with running("flink-cluster", tmp_path) as options:
        newsbeam("ingest", "seeds", "--output", output, *options)

    with worker_pool(tmp_path) as pool, flink_cluster(tmp_path) as cluster:
        options("flink-cluster", tmp_path, cluster=cluster, workers=pool.address)
        cluster.kill_task_manager(0)
        cluster.start_task_manager()

What an engine consists of is made once and kept in ``~/.cache/newsbeam-tests``:

- ``find_prism``: Prism of the SDK's own version, built from the Go module proxy with Go.
- ``find_flink``: Flink itself, from the package index: its Python package carries all of its jars.
- ``find_job_server``: what stands between Beam and Flink, from Maven's central repository with mvn.

Where one cannot be had, the tests that need it are skipped, saying why.

PYTEST_DONT_REWRITE: the module asserts nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
from object_servers import free_port

ENGINES = ("direct", "prism", "flink-embedded", "flink-cluster")
ROOT = Path(__file__).resolve().parent.parent
BEAM_VERSION = version("apache-beam")
FLINK_VERSION = "1.19.3"
FLINK_LINE = FLINK_VERSION.rpartition(".")[0]
"""As Beam names it: a job server is for all of 1.19."""
FLINK_SHA256 = "4a58e3a1fb7d83340bc96b6c080624c6d792d69fae5d294b96224775204a9c60"
"""Of the source distribution of ``apache-flink-libraries``; it has no other."""
RUNNER_VERSION = "2.62.0"
"""Of Beam's Flink runner where there is no job server of the SDK's own version."""
JAVA_OPENS = (
    "java.base/java.lang", "java.base/java.lang.reflect", "java.base/java.io", "java.base/java.net",
    "java.base/java.nio", "java.base/java.text", "java.base/java.time", "java.base/java.util",
    "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks", "java.base/sun.nio.ch",
)  # fmt: skip
"""What Flink reads of Java's insides: as ``env.java.opts.all`` of its own configuration has it."""
START_SECONDS = 240.0
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.1
_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:2.8"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Goes past any proxy, which knows nothing of this machine's servers."""

LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = File
appender.file.fileName = ${sys:log.file:-/dev/null}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1}: %m%n
"""
"""Of Log4j 2: all to the file that the property ``log.file`` names, and nothing to the console."""


# ── what engines are made of ────────────────────────────────────────────────────────────────────


def find_prism() -> Path:
    """The program of Prism; skips the test where it cannot be had."""
    return _once(f"prism-{BEAM_VERSION}", _build_prism) / "prism"


def _build_prism(folder: Path, _: Path) -> None:
    environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod"}
    module = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{BEAM_VERSION}"
    _must("Prism", [_tool("go"), "install", module], environment)


def find_flink() -> Path:
    """The folder of Flink, its jars in ``lib``; skips the test where it cannot be had.

    It holds no scripts and no configuration: processes are started with Java itself.
    """
    return _once(f"flink-{FLINK_VERSION}", _unpack_flink)


def _unpack_flink(folder: Path, _: Path) -> None:
    required = folder / "requirements.txt"
    required.write_text(
        f"apache-flink-libraries=={FLINK_VERSION} --hash=sha256:{FLINK_SHA256}\n", encoding="utf-8"
    )
    download = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--no-cache-dir",
        "--require-hashes", "--requirement", str(required), "--dest", str(folder),
    ]  # fmt: skip
    _must("Flink", download)
    required.unlink()
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        for member in source:
            _, _, name = member.name.partition("/")
            if name.startswith(("deps/lib/", "LICENSE", "NOTICE")) and member.isfile():
                member.name = name.removeprefix("deps/")
                source.extract(member, folder, filter="data")
    archive.unlink()


def find_job_server() -> Path:
    """The jar for ``--flink_job_server_jar``; skips the test where it cannot be had.

    It is the job server of the SDK's own version, where Maven finds it. Not every mirror of Maven's
    central repository has it. The one that this was written with had no
    ``org.apache.beam:beam-runners-flink-LINE-job-server`` for the lines 1.19, 1.20 and 2.0, looked
    for in the versions 2.56, 2.62, 2.70, 2.76 and 2.77. There the runner is taken that is in it,
    ``beam-runners-flink-1.19``, in the newest version that had all of its dependencies: 2.62.0.
    Its jar holds a manifest that lists all others, and how Log4j is to log: to the file that the
    Java property ``log.file`` names.
    """
    folder = _once(f"flink-job-server-{FLINK_LINE}-{BEAM_VERSION}", _make_job_server)
    return folder / "job-server.jar"


def _make_job_server(folder: Path, kept: Path) -> None:
    mvn = [_tool("mvn"), "--quiet", "--batch-mode"]
    artifact = f"beam-runners-flink-{FLINK_LINE}-job-server"
    copied = _try(
        [
            *mvn, f"{_DEPENDENCY_PLUGIN}:copy",
            f"-Dartifact=org.apache.beam:{artifact}:{BEAM_VERSION}", f"-DoutputDirectory={folder}",
        ]
    )  # fmt: skip
    if not copied.returncode:
        (folder / f"{artifact}-{BEAM_VERSION}.jar").replace(folder / "job-server.jar")
        return
    pom = folder / "pom.xml"
    pom.write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>newsbeam</groupId><artifactId>job-server</artifactId><version>1</version>"
        "<dependencies><dependency><groupId>org.apache.beam</groupId>"
        f"<artifactId>beam-runners-flink-{FLINK_LINE}</artifactId>"
        f"<version>{RUNNER_VERSION}</version></dependency></dependencies></project>\n",
        encoding="utf-8",
    )
    _must(
        "Beam's Flink runner",
        [
            *mvn, "--file", str(pom), f"{_DEPENDENCY_PLUGIN}:copy-dependencies",
            "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'lib'}",
        ],
    )  # fmt: skip
    jars = [kept / "lib" / jar.name for jar in sorted((folder / "lib").glob("*.jar"))]
    loggers = sorted((find_flink() / "lib").glob("log4j-*.jar"))
    manifest = {
        "Manifest-Version": "1.0",
        "Main-Class": "org.apache.beam.runners.flink.FlinkJobServerDriver",
        "Add-Opens": " ".join(JAVA_OPENS),
        "Class-Path": " ".join(jar.as_uri() for jar in (*jars, *loggers)),
    }
    with zipfile.ZipFile(folder / "job-server.jar", "w") as jar_file:
        jar_file.writestr("META-INF/MANIFEST.MF", "".join(map(_manifest_line, manifest.items())))
        jar_file.writestr("log4j2.properties", LOGGING)


def _manifest_line(field: tuple[str, str]) -> str:
    """A field of a manifest: no line is longer than 72 bytes, and one that goes on begins so."""
    line = ": ".join(field)
    rest = [line[start : start + 71] for start in range(72, len(line), 71)]
    return "\r\n ".join([line[:72], *rest]) + "\r\n"


def _once(name: str, make: Callable[[Path, Path], None]) -> Path:
    """The folder ``name`` of the cache; if it is not there, ``make`` fills it.

    It is made beside its place and renamed, for another test run may be looking; ``make`` is told
    of both.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "newsbeam-tests"
    kept = caches / name
    if kept.is_dir():
        return kept
    folder = caches / f"building-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        make(folder, kept)
        if not kept.is_dir():
            folder.replace(kept)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return kept


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} on the PATH to get an engine with")
    return found


def _try(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _must(what: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    done = _try(command, environment)
    if done.returncode:
        said = " ".join((done.stderr + done.stdout).split()[-60:])
        pytest.skip(f"{what} could not be had: {said}")


# ── what is running ─────────────────────────────────────────────────────────────────────────────


@contextmanager
def running(engine: str, folder: Path, *, starts_workers: bool = False) -> Iterator[list[str]]:
    """One of ``ENGINES``, with all that belongs to it; gives the options for batches on it.

    Workers are as ``options`` has them, or, with ``starts_workers``, processes of the engine's.
    """
    with ExitStack() as stack:
        if engine != "flink-cluster":
            yield [*options(engine, folder), *(process_options() if starts_workers else [])]
            return
        cluster = stack.enter_context(flink_cluster(folder / "cluster"))
        workers = ""
        if not starts_workers:
            workers = stack.enter_context(worker_pool(folder / "workers")).address
        yield options(engine, folder, cluster=cluster, workers=workers, idle_worker_millis=30_000)


def options(
    engine: str,
    folder: Path,
    *,
    cluster: FlinkCluster | None = None,
    workers: str = "",
    idle_worker_millis: int = 0,
) -> list[str]:
    """Beam's options for one of ``ENGINES``, whose log lies in ``folder``.

    A cluster's workers are in ``workers``, the address of a pool, or are started by Flink itself,
    if that is empty; those of the others are in the launching process. A worker that has nothing
    to do is kept for ``idle_worker_millis``, which is for batches: there most stages begin when
    others have ended, and a worker that starts reads its models. With 0 it ends at once, and a job
    that is restarted has new workers throughout.
    """
    if engine == "direct":
        return ["--runner=DirectRunner"]
    if engine == "prism":
        return ["--runner=PrismRunner", f"--prism_location={find_prism()}"]
    flink = [
        "--runner=FlinkRunner",
        f"--flink_version={FLINK_LINE}",
        f"--flink_job_server_jar={find_job_server()}",
        "--job_server_jvm_properties=-Xmx1g",
        f"--job_server_jvm_properties=-Dlog.file={folder / 'job-server.log'}",
        "--parallelism=2",
    ]
    if engine == "flink-embedded":
        return [*flink, "--flink_master=[local]", "--environment_type=LOOPBACK"]
    if engine != "flink-cluster" or cluster is None:
        raise ValueError(f"{engine!r} is none of {ENGINES}, or lacks a cluster")
    pool = ["--environment_type=EXTERNAL", f"--environment_config={workers}"]
    return [
        *flink,
        f"--flink_master={cluster.address}",
        f"--environment_cache_millis={idle_worker_millis}",
        *(pool if workers else process_options()),
    ]


def process_options() -> list[str]:
    """Beam's options for workers that the engine starts, by the program of ``deploy``.

    They run this checkout, by the Python that runs the tests.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    config = {
        "command": str(ROOT / "deploy" / "beam-worker"),
        "env": {"PATH": path, "PYTHONPATH": str(ROOT)},
    }
    return ["--environment_type=PROCESS", f"--environment_config={json.dumps(config)}"]


@dataclass(frozen=True)
class WorkerPool:
    """Beam's pool of workers: starts one for each that a task manager asks for."""

    address: str
    """``localhost:PORT``, for ``--environment_config``."""
    process_id: int


@contextmanager
def worker_pool(folder: Path) -> Iterator[WorkerPool]:
    """A pool of workers on this machine, while the block runs; its log lies in a folder.

    Workers run this checkout, by the Python that runs the tests.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    address = f"localhost:{port}"
    # The pool starts its workers by the name "python".
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main",
        f"--service_port={port}",
    ]  # fmt: skip
    log = folder / "workers.log"
    with _started(command, environment, log, cwd=folder) as process:
        _wait(process, log, lambda: _is_served(address))
        try:
            yield WorkerPool(address, process.pid)
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # it would leave its workers behind


def _is_served(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1)
        except grpc.FutureTimeoutError:
            return False
        return True


@dataclass
class FlinkCluster:
    """A Flink cluster that is running: one job manager and some task managers, all processes."""

    folder: Path
    """With ``conf``, the processes' logs, ``checkpoints`` and ``savepoints``."""
    rest_port: int
    slots: int
    """Of each task manager."""
    _processes: ExitStack
    _task_managers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT`` of the REST API, for ``--flink_master``."""
        return f"127.0.0.1:{self.rest_port}"

    @property
    def task_managers(self) -> list[int]:
        """The process ids of the task managers, in the order of their start, killed ones too."""
        return [process.pid for process in self._task_managers]

    def alive(self) -> list[int]:
        """The numbers of the task managers that have not ended."""
        running = enumerate(self._task_managers)
        return [number for number, process in running if process.poll() is None]

    def ask(self, path: str) -> Any:
        """What the REST API answers, such as for ``/overview``."""
        with _OPENER.open(f"http://{self.address}{path}", timeout=START_SECONDS) as answer:
            return json.load(answer)

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, oldest first; each with ``jid``, ``name``, ``state`` and ``tasks``."""
        return sorted(self.ask("/jobs/overview")["jobs"], key=lambda job: job["start-time"])

    def checkpoints(self, job: str) -> dict[str, Any]:
        """What is known of a job's checkpoints: ``counts``, ``latest``, ``history`` …"""
        return dict(self.ask(f"/jobs/{job}/checkpoints"))

    def cancel_with_savepoint(self, job: str) -> str:
        """End a job, with a savepoint to go on from; where that lies."""
        body = json.dumps({"cancel-job": True}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"http://{self.address}/jobs/{job}/savepoints", data=body, headers=headers
        )
        with _OPENER.open(request, timeout=START_SECONDS) as answer:
            asked = json.load(answer)["request-id"]
        ends_at = time.monotonic() + START_SECONDS
        while (done := self.ask(f"/jobs/{job}/savepoints/{asked}"))["status"]["id"] != "COMPLETED":
            assert time.monotonic() < ends_at, f"no savepoint of job {job}"
            time.sleep(_POLL_SECONDS)
        return str(done["operation"]["location"])

    def registered(self) -> int:
        """How many task managers the job manager knows of, and takes for alive."""
        return int(self.ask("/overview")["taskmanagers"])

    def start_task_manager(self) -> int:
        """Start a further task manager, and wait until it is registered; gives its process id."""
        number = len(self._task_managers)
        # By its name: one that was killed a moment ago may still be counted.
        name = f"{uuid.uuid4().hex}-{number}"
        log = self.folder / f"task-manager-{number}.log"
        command = _java(
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            self.folder,
            log,
            ["-Xmx448m", "-XX:MaxDirectMemorySize=512m", "-XX:MaxMetaspaceSize=256m"],
        )
        process = self._processes.enter_context(
            _started([*command, "-D", f"taskmanager.resource-id={name}"], None, log)
        )
        self._task_managers.append(process)
        _wait(process, log, lambda: name in self._names())
        return process.pid

    def kill_task_manager(self, number: int) -> None:
        """Kill a task manager (SIGKILL), numbered from 0, and wait until it is gone."""
        self._task_managers[number].kill()
        self._task_managers[number].wait()

    def _names(self) -> set[str]:
        return {one["id"] for one in self.ask("/taskmanagers")["taskmanagers"]}


@contextmanager
def flink_cluster(folder: Path, task_managers: int = 2, slots: int = 2) -> Iterator[FlinkCluster]:
    """A job manager and so many task managers, all registered, while the block runs.

    Each takes up to 1.4 GiB. A job is restarted a second after it fails, up to 20 times; how
    often there is a checkpoint is the job's to say (``--checkpointing_interval``).
    """
    conf = folder / "conf"
    conf.mkdir(parents=True)
    rest_port = free_port()
    settings = {
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": free_port(),
        "jobmanager.bind-host": "127.0.0.1",
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": rest_port,
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.numberOfTaskSlots": slots,
        # Flink's scripts would work these out; its task manager wants all of them.
        "taskmanager.cpu.cores": 1.0,
        "taskmanager.memory.task.heap.size": "320mb",
        "taskmanager.memory.task.off-heap.size": "128mb",
        "taskmanager.memory.framework.heap.size": "128mb",
        "taskmanager.memory.framework.off-heap.size": "128mb",
        "taskmanager.memory.network.min": "256mb",
        "taskmanager.memory.network.max": "256mb",
        # Of the 512 that Flink wants for each shuffle of a batch there are not enough for all.
        "taskmanager.network.sort-shuffle.min-buffers": 64,
        "taskmanager.memory.managed.size": "64mb",
        "taskmanager.memory.jvm-metaspace.size": "256mb",
        "taskmanager.memory.jvm-overhead.min": "128mb",
        "taskmanager.memory.jvm-overhead.max": "128mb",
        "io.tmp.dirs": str(folder / "tmp"),
        "web.tmpdir": str(folder / "tmp"),
        "state.backend.type": "hashmap",
        "state.checkpoints.dir": (folder / "checkpoints").as_uri(),
        "state.savepoints.dir": (folder / "savepoints").as_uri(),
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 20,
        "restart-strategy.fixed-delay.delay": "1 s",
        # That a task manager was killed is noticed within seconds.
        "heartbeat.interval": 1_000,
        "heartbeat.timeout": 10_000,
        # Beam's jars are on the class path. Were they read for each job anew, as part of it,
        # workers could not outlive a stage of its graph.
        "classloader.resolve-order": "parent-first",
    }
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in settings.items()]
    (conf / "config.yaml").write_text("".join(lines), encoding="utf-8")
    (conf / "log4j2.properties").write_text(LOGGING, encoding="utf-8")
    (folder / "tmp").mkdir()
    log = folder / "job-manager.log"
    main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    with ExitStack() as processes:
        command = _java(main, folder, log, ["-Xmx768m", "-XX:MaxMetaspaceSize=256m"])
        job_manager = processes.enter_context(_started(command, None, log))
        cluster = FlinkCluster(folder, rest_port, slots, processes)
        _wait(job_manager, log, lambda: cluster.registered() >= 0)
        for _ in range(task_managers):
            cluster.start_task_manager()
        yield cluster


def _java(main: str, folder: Path, log: Path, limits: Sequence[str]) -> list[str]:
    conf = folder / "conf"
    return [
        _tool("java"),
        *limits,
        *(f"--add-opens={package}=ALL-UNNAMED" for package in JAVA_OPENS),
        f"-Dlog.file={log}",
        f"-Dlog4j.configurationFile={(conf / 'log4j2.properties').as_uri()}",
        "-classpath",
        os.pathsep.join([str(find_flink() / "lib" / "*"), str(find_job_server())]),
        main,
        "--configDir",
        str(conf),
    ]


@contextmanager
def _started(
    command: Sequence[str],
    environment: Mapping[str, str] | None,
    log: Path,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, what it prints appended to a log, while the block runs."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool]) -> None:
    """Wait until a process answers.

    Raises:
        RuntimeError: it has ended, or does not answer.
    """
    deadline = time.monotonic() + START_SECONDS
    while not _answers(is_ready):
        try:
            process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
        said = log.read_text(errors="replace")[-4_000:]
        raise RuntimeError(f"{process.args!r} does not answer:\n{said}")


def _answers(is_ready: Callable[[], bool]) -> bool:
    try:
        return is_ready()
    except (urllib.error.URLError, ConnectionError):
        return False
