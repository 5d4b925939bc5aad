"""Admission to the pool: payments as bytes, decoded, checked, queued and kept in the file.

Beside it the rate at which libsodium alone checks the same signatures, in the same run.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nacl.bindings import crypto_sign_open

from benchmarks.figure import Figure, Wanted
from chain.bodies.coins import Transfer
from chain.endpoint import Endpoint
from chain.genesis import Genesis, GenesisBalance, GenesisValidator, Parameters
from chain.ledger import Ledger
from chain.messages import TRANSACTION_DOMAIN, SignedTransaction, Transaction, sign_transaction
from chain.node.mempool import MAX_PER_SENDER, Mempool
from chain.node.mempool_store import MempoolStore
from chain.transition import genesis_state
from wire.codec import decode, encode
from wire.keys import KeyPair, Use
from wire.signing import signable

SENDERS = 150
BATCH = 64
"""Transactions in one write to the file: what comes with one message of gossip."""

ADMISSION_BAR = 0.25
ROUNDS = 3


def run(wanted: Wanted) -> Iterator[Figure]:
    """The figures that are wanted, one by one."""
    if wanted("admission_vs_verify_rate"):
        rate, limit = _admission()
        against = "signatures checked by one core"
        yield Figure("admission_vs_verify_rate", rate, "1/s", against, limit, ADMISSION_BAR)


def _admission() -> tuple[float, float]:
    keys = [KeyPair(number.to_bytes(32, "big")) for number in range(1, SENDERS + 1)]
    own = KeyPair(bytes(32))
    genesis = Genesis(
        name="benchmark",
        time_ms=1,
        parameters=Parameters(),
        validators=(
            GenesisValidator(
                account=own.public,
                key=own.public,
                vrf_key=KeyPair.derive(bytes(32), Use.VRF).public,
                endpoint=Endpoint(host="127.0.0.1", port=1, swarm_key=own.public),
                stake_base=1_000_000,
            ),
        ),
        balances=tuple(GenesisBalance(account=key.public, balance_base=10**6) for key in keys),
    )
    payments = [
        sign_transaction(key, _payment(genesis, key.public, nonce))
        for nonce in range(MAX_PER_SENDER)
        for key in keys
    ]
    arrived = [encode(signed) for signed in payments]
    signed = [
        (
            each.signature
            + signable(TRANSACTION_DOMAIN, genesis.network, encode(each.transaction)),
            each.transaction.sender,
        )
        for each in payments
    ]
    rates, limits = [], []
    for _ in range(ROUNDS):
        limits.append(_rate(len(signed), lambda: [crypto_sign_open(*each) for each in signed]))
        rates.append(_rate(len(arrived), lambda: _admit(genesis, arrived)))
    return max(rates), max(limits)


def _payment(genesis: Genesis, sender: bytes, nonce: int) -> Transaction:
    body = Transfer(to=genesis.validators[0].account, amount_base=1)
    return Transaction(
        network=genesis.network,
        sender=sender,
        nonce=nonce,
        fee_base=20,
        valid_until=100,
        body=body,
    )


def _rate(count: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def _admit(genesis: Genesis, arrived: list[bytes]) -> None:
    """As a node does with what others pass on to it."""
    ledger = Ledger(genesis, genesis_state(genesis), None)
    pool = Mempool()
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as root:
        store, _ = MempoolStore.open(Path(root) / "chain.pool", genesis.network)
        store.rewrite(())
        for start in range(0, len(arrived), BATCH):
            batch: list[SignedTransaction] = [
                decode(SignedTransaction, data) for data in arrived[start : start + BATCH]
            ]
            for signed in batch:
                pool.add(signed, ledger.check)
            store.append(batch)
        store.close()
    assert len(pool) == len(arrived)
