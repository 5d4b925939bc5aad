"""Who holds a feed, as the chain proves it."""

from chain.client.light_client import ChainClient
from chain.records import ContractRecord, FeedRecord, PlanRecord, Registration, Table


async def active_hosters(chain: ChainClient, feed: FeedRecord) -> list[Registration]:
    """The hosters that have acknowledged a feed, under whatever plan, ordered by account.

    Their endpoints are where any peer can read it. Raises `Unavailable` without a node.
    """
    plans = await chain.records(PlanRecord, Table.PLAN, feed.plans)
    named = [contract for plan in plans for contract in plan.contracts]
    contracts = await chain.records(ContractRecord, Table.CONTRACT, named)
    accounts = sorted({each.hoster for each in contracts if each.status == "active"})
    return await chain.records(Registration, Table.REGISTRATION, accounts)
