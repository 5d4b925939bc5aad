"""Have a hoster show chunks on the chain: for whoever doubts that it has them."""

from collections.abc import Sequence
from secrets import randbelow

from chain.bodies.data import AskData
from chain.challenges.data_bonds import asked_in_vain, bond_base
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.hosting_records import Asker, DataRequest
from chain.records import ContractRecord, Table
from wire.errors import Malformed


async def ask(
    chain: ChainClient, wallet: Wallet, name: bytes, chunks: Sequence[int]
) -> tuple[DataRequest, int]:
    """Ask for chunks of a contract, or for one at random; the request, its last chunk drawn, and
    the bond that was left.

    Raises `Malformed` for chunks that cannot be, `Rejected` with the chain's reason.
    """
    contract = await chain.need(ContractRecord, Table.CONTRACT, name)
    if contract.head is None:
        raise Malformed("its hoster has acknowledged nothing yet: there is nothing to ask for")
    length = contract.head.length
    drawn = next(
        (one for one in wallet.settled if isinstance(one, AskData) and one.contract == name), None
    )
    earlier = () if drawn is None else drawn.chunks  # an interrupted command has drawn
    chosen = tuple(sorted({*chunks})) or earlier or (randbelow(length),)
    if chosen[-1] >= length:
        raise Malformed(f"there is no chunk {chosen[-1]}: the hoster has {length}, from 0 on")
    asker = await chain.record(Asker, Table.ASKER, wallet.account)
    in_vain = asked_in_vain(asker, chain.height + 1)
    bond = bond_base(chain.genesis.parameters, contract.head, len(chosen), in_vain)
    request = await wallet.send(AskData(contract=name, chunks=chosen))
    opened = await chain.wait(
        DataRequest, Table.DATA_REQUEST, request, lambda now: now.status != "asked"
    )
    return opened, bond


async def until_over(chain: ChainClient, request: bytes) -> DataRequest:
    """Wait until a request is answered, or its time is over; raises `NotFound`."""
    await chain.need(DataRequest, Table.DATA_REQUEST, request)
    return await chain.wait(
        DataRequest, Table.DATA_REQUEST, request, lambda now: now.status not in ("asked", "open")
    )
