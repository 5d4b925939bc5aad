"""What strangers have chosen is shown as it is: no markup of a terminal, no second line."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table as Grid

from chain.endpoint import Endpoint
from holdfast.commands.genesis_cli import validator_table
from holdfast.commands.validator_cli import _table
from tests.people import VALIDATOR, genesis_validator

HOSTS = ["[/]", "[red]x[/red]", "[link=x", "a\x1b[31mb", "a\nb"]


def shown(grid: Grid) -> str:
    console = Console(file=StringIO(), width=200)
    console.print(grid)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("host", HOSTS)
def test_an_offers_host_is_plain_text(host: str) -> None:
    endpoint = Endpoint(host=host, port=1, swarm_key=bytes(32))
    made = genesis_validator(VALIDATOR).model_copy(update={"endpoint": endpoint})
    text = shown(validator_table([made]))
    assert "\x1b" not in text
    assert len(text.splitlines()) == 2
    assert host.replace("\x1b", " ").replace("\n", " ") in text


@pytest.mark.parametrize("host", HOSTS[:3])
def test_a_candidates_host_is_plain_text(host: str) -> None:
    each: dict[str, Any] = {
        "account": "y" * 52,
        "place": None,
        "convicted": False,
        "listed": True,
        "jailed_until": 9,
        "standing": False,
        "stake_base": 5,
        "unbonding_base": 0,
        "failed_views": 0,
        "turns": 0,
        "validator": {"endpoint": {"host": host, "port": 1}},
    }
    assert host in shown(_table({"last_height": 8, "validators": [each]}))
