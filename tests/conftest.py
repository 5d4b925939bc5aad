"""What all tests share: golden vectors, quiet logs, hypothesis without a time limit per example.

`pytest --vectors DIR` runs the vector tests over another folder of the same shape.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

settings.register_profile("holdfast", deadline=None)
settings.load_profile("holdfast")

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))

DEFAULT = Path(__file__).parent / "vectors" / "hypercore"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--vectors",
        type=Path,
        default=DEFAULT,
        metavar="DIR",
        help="folder of Hypercore vectors to run instead of tests/vectors/hypercore",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What fails is tried once more, a whole network twice; the summary shows it as RERUN.

    On busy cores a window can pass before a process gets its turn. What is wrong fails each time:
    seeds are fixed, and hypothesis begins with the example that failed. Who stops at the first
    failure (`-x`, as `make mutants` does) sees it at once.
    """
    if config.getoption("maxfail") == 1:
        return
    for item in items:
        tries = 2 if item.get_closest_marker("e2e") else 1
        item.add_marker(pytest.mark.flaky(reruns=tries))


@pytest.fixture(scope="session")
def vectors(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """The parsed JSON of one vector file by its name, without `.json`."""
    folder: Path = request.config.getoption("--vectors")

    @cache
    def load(name: str) -> Any:
        return json.loads((folder / f"{name}.json").read_text())

    return load
