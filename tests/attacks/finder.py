"""An operator that finds a made-up digest, and dies: `python -m tests.attacks.finder STEPS URL HOME
ACCOUNT_SEED CHALLENGE`, the last one only in the life in which it looks.

In HOME are the network's genesis, and each chunk that it has in a file of its number.
"""

import asyncio
import sys
from pathlib import Path

from chain.client import claim_client
from chain.client.claim_client import Claimant
from chain.client.found_store import FoundStore
from chain.client.light_client import ChainClient
from chain.client.spot_client import check
from chain.client.wallet_client import Wallet
from holdfast.home import Home
from tests.attacks.mortal import dying_after
from wire.keys import KeyPair

CLAIM_BLOCKS = 2


async def live(url: str, home: Home, key: KeyPair, challenge: bytes | None) -> None:
    """Find it where there is something to look at, then bring all that was found to an end."""

    async def chunk_of(_: bytes, index: int) -> bytes | None:
        path = home.path / str(index)
        return path.read_bytes() if path.exists() else None

    async with (
        ChainClient(url, home.genesis(), patient=True) as chain,
        asyncio.TaskGroup() as tasks,
    ):
        following = tasks.create_task(chain.run())
        claimant = Claimant(chain, Wallet(chain, key), FoundStore(home.found))
        if challenge is None:
            await claimant.go_on()
        else:
            assert await check(chain, claimant, challenge, chunk_of, lambda _: True, 1_000) == 1
        following.cancel()


if __name__ == "__main__":
    steps, url, home, seed, *challenge = sys.argv[1:]
    claim_client.CLAIM_BLOCKS = CLAIM_BLOCKS
    dying_after(int(steps))
    found = bytes.fromhex(challenge[0]) if challenge else None
    asyncio.run(live(url, Home(Path(home)), KeyPair(bytes.fromhex(seed)), found))
