"""What a user installs is what was tested: the wheel, with the locked dependencies, on its own.

The wheel is built from a clean copy of the sources and put into a new environment, from which the
checkout cannot be seen. All of it is slow: the environment is made anew, over the network unless
pip has what it needs.
"""

from __future__ import annotations

import email
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipelines", "schemas", "transforms")
LOCK = "requirements.lock"
BUILD_TIMEOUT_SECONDS = 300
INSTALL_TIMEOUT_SECONDS = 1200
RUN_TIMEOUT_SECONDS = 600


def run(*command: str | Path, cwd: Path, timeout_seconds: int) -> subprocess.CompletedProcess[str]:
    """Run a command as from a fresh shell, with none of this process's Python settings."""
    settings = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=settings,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_seconds,
        check=False,
    )


def succeed(*command: str | Path, cwd: Path, timeout_seconds: int) -> str:
    """Run a command that must succeed; gives its standard output."""
    done = run(*command, cwd=cwd, timeout_seconds=timeout_seconds)
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that are, or would be, in the repository: no build leftovers."""
    listed = run(
        *("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        timeout_seconds=60,
    )
    if listed.returncode:
        pytest.skip(f"the sources are no Git checkout: {listed.stderr.strip()}")
    copy = tmp_path_factory.mktemp("sources")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # but for those deleted and not yet committed so
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the tools of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    succeed(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, sources),
        cwd=folder,
        timeout_seconds=BUILD_TIMEOUT_SECONDS,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of a new environment with the locked dependencies and the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    succeed(sys.executable, "-m", "venv", "venv", cwd=folder, timeout_seconds=120)
    bin_folder = folder / "venv" / "bin"
    install = (bin_folder / "python", "-m", "pip", "--disable-pip-version-check", "install")
    for wanted in (("--require-hashes", "-r", sources / LOCK), ("--no-deps", wheel)):
        succeed(*install, *wanted, cwd=folder, timeout_seconds=INSTALL_TIMEOUT_SECONDS)
    return bin_folder


def test_the_wheel_holds_the_packages_with_their_data_and_nothing_else(
    wheel: Path, sources: Path
) -> None:
    expected = {
        path.relative_to(sources).as_posix()
        for package in PACKAGES
        for path in (sources / package).rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {f"{package}/py.typed" for package in PACKAGES} <= expected
    assert any(name.startswith("transforms/data/") for name in expected)
    assert held == expected


def test_the_wheel_states_its_licence_and_brings_it_along(wheel: Path, sources: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        stated = email.message_from_bytes(archive.read(metadata))
        licence = archive.read(f"{metadata.removesuffix('METADATA')}licenses/LICENSE")
    assert stated["License-Expression"] == "Apache-2.0"
    assert stated["Requires-Python"] == ">=3.11"
    assert licence == (sources / "LICENSE").read_bytes()


def test_the_lock_holds_all_that_the_wheel_requires(environment: Path, tmp_path: Path) -> None:
    succeed(environment / "python", "-m", "pip", "check", cwd=tmp_path, timeout_seconds=120)


def test_the_installed_command_tells_its_version(
    environment: Path, wheel: Path, tmp_path: Path
) -> None:
    version = wheel.name.split("-")[1]
    told = succeed(environment / "newsbeam", "--version", cwd=tmp_path, timeout_seconds=120)
    assert told == f"newsbeam {version}\n"


def test_the_installed_command_ingests_the_seeds_from_anywhere(
    environment: Path, sources: Path, tmp_path: Path
) -> None:
    told = succeed(
        *(environment / "newsbeam", "ingest", sources / "seeds", "--output", "news", "--json"),
        cwd=tmp_path,
        timeout_seconds=RUN_TIMEOUT_SECONDS,
    )
    summary = json.loads(told)
    assert summary["balanced"]
    assert summary["units"] == sum(summary["new_rows"].values())
    for table, rows in summary["new_rows"].items():
        assert rows > 0, f"nothing in {table}"
        assert any((tmp_path / "news" / table).rglob("*.parquet"))
