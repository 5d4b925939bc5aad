"""When a hoster may let go of what it has acknowledged: a fork takes those chunks away.

A feed's owner announces a fork when it likes. One that comes before a draw, or between the draw and
the visit, would have hosters found without what was drawn, and unpaid, however fast they follow.
"""

from collections.abc import Collection, Sequence

from chain.challenge_records import ChallengeRecord, DrawRecord, LineUp
from chain.client.light_client import ChainClient
from chain.records import ContractRecord, Meta, Table

MARGIN_PART = 10
"""Of an epoch: who begins so shortly before a line-up may not have the new fork by the draw."""


async def until_free(chain: ChainClient, feed: bytes, contracts: Collection[bytes]) -> None:
    """Wait until nothing that these contracts have acknowledged of a feed is needed any more:
    until what was asked for on the chain is shown, and no visit can come before the next line-up.
    """
    for name in contracts:
        await chain.wait(
            ContractRecord,
            Table.CONTRACT,
            name,
            lambda now: now.feed != feed or not (now.asked or now.warned),
        )
    while active := await _active(chain, feed, contracts):
        meta = await chain.need(Meta, Table.META, b"")
        margin = max(chain.genesis.parameters.epoch_blocks // MARGIN_PART, 1)
        lined_up = await chain.record(LineUp, Table.LINE_UP, b"") is not None
        if lined_up or 0 < meta.next_draw - meta.height <= margin:
            await chain.next_block()
        elif (challenge := await _visiting(chain, meta.open_challenges, active)) is not None:
            await chain.wait(ChallengeRecord, Table.CHALLENGE, challenge, _is_visited)
        else:
            return


async def _active(chain: ChainClient, feed: bytes, contracts: Collection[bytes]) -> set[bytes]:
    records = await chain.records(ContractRecord, Table.CONTRACT, list(contracts))
    return {one.contract for one in records if (one.feed, one.status) == (feed, "active")}


async def _visiting(
    chain: ChainClient, challenges: Sequence[bytes], contracts: Collection[bytes]
) -> bytes | None:
    """A challenge that may send somebody to one of these contracts yet."""
    for name in challenges:
        challenge = await chain.need(ChallengeRecord, Table.CHALLENGE, name)
        if not _is_visited(challenge):
            draw = await chain.need(DrawRecord, Table.DRAW, name)
            if any(drawn.contract in contracts for drawn in draw.eligible):
                return name
    return None


def _is_visited(challenge: ChallengeRecord) -> bool:
    return challenge.status not in ("flipping", "visiting")
