"""What a validator has accepted is made final, though it is killed right after it said so."""

import json
import signal
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from chain.bodies.coins import Transfer
from chain.genesis import Genesis
from chain.messages import Transaction, sign_transaction
from holdfast.home import Home
from tests.e2e.commands import document, holdfast
from tests.e2e.test_bad_input import free_port, running, until_answers
from tests.e2e.test_follow import until_height, wait
from wire.codec import encode
from wire.keys import KeyPair, Use

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]


def known(port: int, name: str) -> str:
    """What the node says of a transaction: final, or the reason why it has no proof."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/api/v1/transactions/{name}", timeout=20):
            return "final"
    except HTTPError as error:
        return str(json.load(error)["reason"])


def payment(genesis: Genesis, key: KeyPair) -> tuple[str, bytes]:
    transaction = Transaction(
        network=genesis.network,
        sender=key.public,
        nonce=0,
        fee_base=100,
        valid_until=400,
        body=Transfer(to=b"s" * 32, amount_base=1),
    )
    return transaction.id.hex(), encode(sign_transaction(key, transaction))


def test_an_accepted_payment_outlives_the_process_that_accepted_it(tmp_path: Path) -> None:
    home, port = tmp_path / "validator", free_port()
    assert holdfast("init", home=home).returncode == 0
    (home / "holdfast.toml").write_text(
        f"chain.listen.port = {port}\nchain.gossip.port = {free_port()}\n"
    )
    document(
        "chain", "genesis", "--name", "slow", "--block-interval-ms", "8000", "--json", home=home
    )
    key = KeyPair.derive(Home(home).seed(), Use.ACCOUNT)
    name, signed = payment(Home(home).genesis(), key)
    with running(home, "chain", "run") as process:
        until_answers(port)
        until_height(port, 1)
        assert known(port, name) == "unknown"
        with urlopen(Request(f"http://127.0.0.1:{port}/api/v1/transactions", signed)) as taken:
            assert json.load(taken) == {"transaction": name}
        assert known(port, name) == "waiting"
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    with running(home, "chain", "run"):
        until_answers(port)
        wait(lambda: known(port, name) == "final")
