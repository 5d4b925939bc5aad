"""What a hoster owes and when it will be away, as the chain has it."""

from dataclasses import dataclass

from chain.bodies.data import MAX_ASKED, Maintain
from chain.challenges.data_bonds import fees_base
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.hosting_records import Absence, DataRequest, Maintenance
from chain.records import Account, ContractRecord, Desk, Table
from wire.errors import Malformed

MARGIN_BLOCKS = 5
"""For the announcement itself to get into a block."""


@dataclass(frozen=True, slots=True)
class Duties:
    """A hoster's open contracts, what it must show of them on the chain, and its absences."""

    height: int
    contracts: tuple[ContractRecord, ...]
    requests: tuple[DataRequest, ...]
    absences: tuple[Absence, ...]
    balance_base: int
    fees_base: int
    """That the largest answer about any one of the contracts costs."""


async def duties_of(chain: ChainClient, account: bytes) -> Duties:
    """All that a hoster has to do; absences that are over are left out."""
    desk = await chain.record(Desk, Table.DESK, account) or Desk()
    contracts = await chain.records(ContractRecord, Table.CONTRACT, desk.contracts)
    names = [name for one in contracts for name in (one.warned, one.asked) if name is not None]
    requests = await chain.records(DataRequest, Table.DATA_REQUEST, names)
    known = await chain.record(Maintenance, Table.MAINTENANCE, account) or Maintenance()
    absences = [each for each in known.absences if each.until_height > chain.height]
    coins = await chain.record(Account, Table.ACCOUNT, account) or Account()
    heads = [one.head for one in contracts if one.head is not None]
    fees = [fees_base(chain.genesis.parameters, head, MAX_ASKED) for head in heads]
    return Duties(
        height=chain.height,
        contracts=tuple(contracts),
        requests=tuple(requests),
        absences=tuple(absences),
        balance_base=coins.balance_base,
        fees_base=max(fees, default=0),
    )


async def announce(chain: ChainClient, wallet: Wallet, blocks: int, from_height: int) -> Absence:
    """Announce an absence; with a height of 0 it begins as soon as the rules allow.

    Raises `Malformed` for one that is too long, `Rejected` for what else the chain refuses.
    """
    parameters = chain.genesis.parameters
    if not 0 < blocks <= parameters.maintenance_blocks:
        raise Malformed(
            f"that is {blocks} blocks: an absence on this network has at most "
            f"{parameters.maintenance_blocks}, "
            f"{parameters.maintenance_blocks * parameters.block_interval_ms // 1_000} s"
        )
    known = await chain.record(Maintenance, Table.MAINTENANCE, wallet.account) or Maintenance()
    for earlier in wallet.settled:  # of an interrupted command, that chose the height
        if isinstance(earlier, Maintain) and earlier.blocks == blocks:
            from_height = from_height or earlier.from_height
    soonest = chain.height + parameters.challenge_blocks + MARGIN_BLOCKS
    if known.absences:
        rested = known.absences[-1].until_height + parameters.maintenance_rest_blocks
        soonest = max(soonest, rested)
    await wallet.send(Maintain(from_height=from_height or soonest, blocks=blocks))
    known = await chain.need(Maintenance, Table.MAINTENANCE, wallet.account)
    return known.absences[-1]
