"""A client of the network's node for the length of one command, and what it proved to people."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from chain.blocks import Header
from chain.client.light_client import ChainClient
from chain.client.outbox_store import Outbox
from chain.client.wallet_client import Wallet
from chain.trust import Trust
from holdfast.cli import Session
from holdfast.daemon import first_error
from holdfast.output import err, out
from wire.errors import Unavailable
from wire.keys import KeyPair, Use

T = TypeVar("T")


def with_chain(
    current: Session,
    work: Callable[[ChainClient], Coroutine[Any, Any, T]],
    *,
    from_genesis: bool = False,
) -> T:
    """Run `work` with a client that follows the chain; errors come out as themselves.

    It begins at the home's checkpoint and leaves a newer one behind. From the genesis, it can
    prove what is older; it must then pass by that checkpoint.
    """
    genesis, known = current.home.genesis(), current.home.checkpoint()
    trust = Trust(genesis, None if from_genesis else known)

    async def main() -> T:
        async with ChainClient(current.settings.chain.url, genesis, trust=trust) as chain:
            await chain.meta()  # no node at all is said at once
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(chain.run())
                try:
                    found = await work(chain)
                finally:
                    following.cancel()
            if known is not None:
                trust.require_passes(known)
            return found

    try:
        return asyncio.run(main())
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    finally:
        if trust.checkpoint.height > (known.height if known else 0):
            with suppress(Unavailable):  # the next command follows the same steps again
                current.home.write_checkpoint(trust.checkpoint)


def wallet_of(current: Session, chain: ChainClient) -> Wallet:
    """The home's account: people are told what they wait for, and offer what they allow for."""
    home = current.home
    key = KeyPair.derive(home.seed(), Use.ACCOUNT)
    limit_base = current.settings.chain.fee_limit_base
    return Wallet(chain, key, home.account(), limit_base, err.print, Outbox(home.outbox))


def with_wallet(
    current: Session, work: Callable[[ChainClient, Wallet], Coroutine[Any, Any, T]]
) -> T:
    """The same with the home's account, after what an earlier command has signed."""

    async def settled(chain: ChainClient) -> T:
        wallet = wallet_of(current, chain)
        await wallet.settle(again=current.again)
        current.when_told.append(wallet.told)
        return await work(chain, wallet)

    return with_chain(current, settled)


def proof_of(chain: ChainClient, header: Header) -> dict[str, Any]:
    """What was verified, for programs: the final block that everything was proven by."""
    validators = chain.trust.validators(header.term)
    return {
        "network": chain.genesis.network.hex(),
        "height": header.height,
        "block": header.id.hex(),
        "term": header.term,
        "validators": len(validators.members),
        "quorum": validators.quorum,
        "followed_from_term": chain.trust.first_term,
    }


def print_proof(proof: dict[str, Any]) -> None:
    """The same for people."""
    start = proof["followed_from_term"]
    begun = "the genesis" if start == 0 else f"this home's checkpoint in term {start}"
    out.print(
        f"[green]verified[/]: block {proof['height']} is final by the votes of {proof['quorum']} "
        f"of the {proof['validators']} validators of term {proof['term']}, who were followed from "
        f"{begun}"
    )
    out.print(f"network {proof['network']}, block {proof['block']}")
