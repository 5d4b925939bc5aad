"""A load of payments: `python -m benchmarks.load GENESIS SECONDS URL ...`.

Every account that `accounts` makes pays the next one, again and again, as fast as the nodes
take it. All is signed beforehand: the machine's time is the validators'.
"""

import asyncio
import sys
import time
from pathlib import Path

import aiohttp

from chain.bodies.coins import Transfer
from chain.genesis import Genesis
from chain.messages import SignedTransaction, Transaction, sign_transaction
from holdfast.home import read_genesis
from wire.codec import encode
from wire.keys import KeyPair
from wire.primitives import blake2b_256

ACCOUNTS = 1_000
EACH = 16
"""Payments of one account that are on their way at once."""

BATCH = 500


def accounts() -> list[KeyPair]:
    """Who pays whom."""
    return [KeyPair(blake2b_256(b"load", n.to_bytes(4, "big"))) for n in range(ACCOUNTS)]


def payments(genesis: Genesis, people: list[KeyPair], nonce: int) -> list[SignedTransaction]:
    """One payment of everybody."""
    made = []
    for place, person in enumerate(people):
        transaction = Transaction(
            network=genesis.network,
            sender=person.public,
            nonce=nonce,
            fee_base=genesis.parameters.fee_minimum_base + genesis.parameters.fee_base_per_kib,
            valid_until=genesis.parameters.transaction_lifetime_blocks,
            body=Transfer(to=people[place - 1].public, amount_base=1),
        )
        made.append(sign_transaction(person, transaction))
    return made


async def main(genesis: Genesis, seconds: float, urls: list[str], rounds: int) -> None:
    """Send until the time is over or there is nothing left to send."""
    people = accounts()
    signed = [s for nonce in range(rounds) for s in payments(genesis, people, nonce)]
    bodies = [encode(tuple(signed[n : n + BATCH])) for n in range(0, len(signed), BATCH)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    ends = time.monotonic() + seconds
    async with aiohttp.ClientSession() as session:
        for number, body in enumerate(bodies):
            while time.monotonic() < ends:
                url = f"{urls[number % len(urls)]}/api/v1/transactions/batch"
                async with session.post(url, data=body) as response:
                    answers = await response.json()
                # What is refused for want of room is sent again; what was taken is known.
                if all(not each["reason"] or "nonce_used" in each["reason"] for each in answers):
                    break
                await asyncio.sleep(0.02)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    asyncio.run(
        main(
            read_genesis(path.read_bytes(), path),
            float(sys.argv[2]),
            sys.argv[4:],
            int(sys.argv[3]),
        )
    )
