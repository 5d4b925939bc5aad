"""Installs the Node packages once, outside the tree, and starts Node peers.

`INTEROP=full` runs everything; without it the cases that take long are left out.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import platformdirs
import pytest
import pytest_asyncio

from feed.store import FeedStore
from tests.interop.node import NodePeer, Stores

HERE = Path(__file__).parent
INSTALL_TIMEOUT_S = 240
OLDEST_NODE = 18


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: takes long; runs with INTEROP=full")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("INTEROP") == "full":
        return
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(pytest.mark.skip(reason="takes long: `make interop` runs it"))


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `node_modules` has the packages of `package.json`."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.strip().lstrip("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node {version.stdout.strip()} is older than {OLDEST_NODE}")
    wanted = (HERE / "package.json").read_bytes()
    name = f"interop-{hashlib.sha256(wanted).hexdigest()[:16]}"
    folder = Path(platformdirs.user_cache_dir("holdfast")) / name
    # Shared by all workers of one run, so that a missing registry is waited for once.
    failure = tmp_path_factory.getbasetemp().parent / f"{name}-failure"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        pytest.skip(f"no place for the npm packages: {error}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists() and not failure.exists():
            (folder / "package.json").write_bytes(wanted)
            reason = _install(folder)
            (failure if reason else folder / "installed").write_text(reason)
    if not (folder / "installed").exists():
        pytest.skip(f"npm cannot install the packages: {failure.read_text()}")
    return folder


def _install(folder: Path) -> str:
    """Install, and say why that was not possible."""
    options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    retries = ["--fetch-retries=1", "--fetch-timeout=20000", "--loglevel=error"]
    try:
        done = subprocess.run(
            ["npm", "install", *options, *retries],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {INSTALL_TIMEOUT_S} s"
    lines = [line for line in done.stderr.splitlines() if "error code" in line]
    return "" if done.returncode == 0 else (lines or [f"exit code {done.returncode}"])[0]


@pytest_asyncio.fixture
async def node(packages: Path, tmp_path: Path) -> AsyncIterator[NodePeer]:
    """A Node process under our control."""
    async with NodePeer(packages, tmp_path / "node") as peer:
        yield peer


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Makes stores that are closed at the end of the test."""
    opened = list[FeedStore]()
    numbers = count()

    def open_store() -> FeedStore:
        opened.append(FeedStore(tmp_path / f"{next(numbers)}.db"))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()
