"""A validator to be killed: `python -m tests.chain.victim DATABASE`.

It writes block after block as fast as it can, and one line for each that the store has kept:
its height and state root.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from chain.bodies.coins import Transfer
from chain.ledger import Ledger
from chain.messages import SignedTransaction, Transaction, sign_transaction
from chain.records import Account, Table
from chain.store import ChainStore
from chain.transition import genesis_state
from tests.chain.final import decide
from tests.people import EVERYBODY, START_MS, STRANGER, Person, genesis

GENESIS = genesis()


def kill_after(lines: int, database: Path) -> list[tuple[int, str]]:
    """Run a victim and kill it after so many lines; returns all that it wrote."""
    command = [sys.executable, "-m", "tests.chain.victim", str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        written += process.stdout.readlines()
    kept = [line.split() for line in written if line.endswith("\n")]
    return [(int(height), root) for height, root in kept]


def pay(ledger: Ledger, person: Person) -> SignedTransaction:
    """Everybody pays a little to the stranger, again and again."""
    account = ledger.state.get((Table.ACCOUNT, person.id))
    assert isinstance(account, Account)
    transaction = Transaction(
        network=GENESIS.network,
        sender=person.id,
        nonce=account.nonce,
        fee_base=10,
        valid_until=ledger.height + 5,
        body=Transfer(to=STRANGER.id, amount_base=1),
    )
    return sign_transaction(person.account, transaction)


async def write_block(store: ChainStore, ledger: Ledger, *signed: SignedTransaction) -> None:
    """Decide, store and commit the next block, as the node does."""
    decided = decide(ledger, START_MS + ledger.height, signed)
    first = ledger.tip is None
    await store.commit((decided,), first=first, genesis_state=genesis_state(GENESIS))
    ledger.commit(decided.prepared)


async def load(store: ChainStore) -> Ledger:
    state, tip = await store.load(genesis_state(GENESIS))
    return Ledger(GENESIS, state, tip)


async def main(database: Path) -> None:
    """Write blocks for ever."""
    store = await ChainStore.open(database, GENESIS)
    ledger = await load(store)
    while True:
        payers = [person for person in EVERYBODY if person is not STRANGER]
        await write_block(store, ledger, *(pay(ledger, person) for person in payers))
        sys.stdout.write(f"{ledger.height} {ledger.state.root.hex()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
