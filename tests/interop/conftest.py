"""Installs the Node packages once, outside the tree, and starts Node peers.

`INTEROP=full` runs everything; without it the cases that take long are left out.
"""

import os
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from feed.store import FeedStore
from tests.interop.node import NodePeer, Stores
from tests.interop.packages import MissingPackages, node_packages


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
    failed = None
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Shared by all workers of one run, so that a missing registry is waited for once.
        failed = tmp_path_factory.getbasetemp().parent / "npm-install-failed"
    try:
        return node_packages(failed)
    except MissingPackages as error:
        pytest.skip(str(error))


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
