"""A hoster that means to stop: no new contracts, and those at hand go to others."""

from chain.bodies.hosting import Drain
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.records import ContractRecord, Desk, PlanRecord, Table

CONTRACTS_AT_ONCE = 64
"""That one transaction can leave."""


async def drain(chain: ChainClient, wallet: Wallet, *, on: bool) -> list[ContractRecord]:
    """Drain, or be listed again; returns the contracts that are open still.

    Repeated, it leaves what has come since. Its daemon runs on until none is open.
    """
    staying = [one for one in await _open(chain, wallet.account) if on and not one.leaving]
    ending = {
        plan.plan
        for plan in await chain.records(PlanRecord, Table.PLAN, list({one.plan for one in staying}))
        if plan.status == "ending"
    }
    names = [one.contract for one in staying if one.plan not in ending]
    for start in range(0, max(len(names), 1), CONTRACTS_AT_ONCE):
        leave = tuple(names[start : start + CONTRACTS_AT_ONCE])
        await wallet.send(Drain(on=on, leave=leave))
    return await _open(chain, wallet.account)


async def _open(chain: ChainClient, account: bytes) -> list[ContractRecord]:
    desk = await chain.record(Desk, Table.DESK, account) or Desk()
    return await chain.records(ContractRecord, Table.CONTRACT, desk.contracts)
