"""A node to be killed while it takes transactions: `python -m tests.chain.pool_victim FILE`.

It admits one after another as fast as it can, and writes one line for each it has accepted.
"""

import subprocess
import sys
from pathlib import Path

from chain.bodies.coins import Transfer
from chain.ledger import Ledger
from chain.node.mempool import Mempool
from chain.node.mempool_store import MempoolStore
from tests.people import EVERYBODY, STRANGER, genesis
from tests.stages import funded


def kill_after(lines: int, path: Path) -> list[bytes]:
    """Run a victim and kill it after so many lines; returns the ids that it confirmed."""
    command = [sys.executable, "-m", "tests.chain.pool_victim", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        written += process.stdout.readlines()
    return [bytes.fromhex(line) for line in written if line.endswith("\n")]


def restart(path: Path, ledger: Ledger) -> tuple[MempoolStore, Mempool]:
    """Take up what an earlier process had accepted."""
    store, found = MempoolStore.open(path, ledger.network)
    pool = Mempool()
    for signed in found:
        pool.add(signed, ledger.check)
    store.rewrite(pool)
    return store, pool


def main(path: Path) -> None:
    """Accept until everybody has as much waiting as one sender may."""
    world = funded()
    store, pool = restart(path, Ledger(genesis(), world.state, None))
    ledger = Ledger(genesis(), world.state, None)
    waiting = {person.id: 0 for person in EVERYBODY}
    for signed in pool:
        waiting[signed.transaction.sender] += 1
    for nonce in range(64):
        for person in EVERYBODY:
            if nonce < waiting[person.id] or person is STRANGER:
                continue
            body = Transfer(to=STRANGER.id, amount_base=1)
            signed = world.sign(person, body, nonce=nonce)
            pool.add(signed, ledger.check)
            store.append((signed,))
            sys.stdout.write(signed.transaction.id.hex() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
