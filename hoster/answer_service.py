"""Answer what contracts are asked for on the chain: who does not in time loses collateral."""

import asyncio
from collections.abc import Callable

import structlog

from chain.bodies.data import Answer, AnswerData
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.hosting_records import DataRequest
from chain.records import ContractRecord, Table
from feed.feed import Feed
from hoster.answers import answers
from wire import zbase32
from wire.codec import encode
from wire.errors import HoldfastError, NotFound
from wire.primitives import blake2b_256

log = structlog.get_logger()

RETRY_S = (0.5, 1, 2, 5, 15)
"""Waits before what failed is tried again, the last one for ever after."""

CLOSED = ("lapsed", "ended")

FeedOf = Callable[[bytes], Feed | None]
"""The feed with a key, if it is served."""


async def answer_requests(
    chain: ChainClient, wallet: Wallet, contract_id: bytes, feed_of: FeedOf
) -> None:
    """Answer whatever a contract is asked for until it is closed.

    Nothing is remembered here: after a restart the chain still says what is left to show. What is
    missing is tried again, for it is fetched meanwhile.
    """
    failures, done = 0, set[bytes]()

    def due(contract: ContractRecord) -> list[bytes]:
        requests = (contract.warned, contract.asked)
        return [name for name in requests if name is not None and name not in done]

    while True:
        contract = await chain.wait(
            ContractRecord,
            Table.CONTRACT,
            contract_id,
            lambda now: now.status in CLOSED or bool(due(now)),
        )
        if contract.status in CLOSED:
            return
        try:
            for request in due(contract):
                await _answer(chain, wallet, request, feed_of)
                done.add(request)
            failures = 0
        except HoldfastError as error:
            log.warning(
                "what was asked for is not shown yet",
                contract=contract_id.hex()[:16],
                reason=str(error),
            )
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1


async def _answer(chain: ChainClient, wallet: Wallet, name: bytes, feed_of: FeedOf) -> None:
    request = await chain.wait(
        DataRequest, Table.DATA_REQUEST, name, lambda now: now.status != "asked"
    )
    if request.status != "open" or not request.left:
        return
    contract = await chain.need(ContractRecord, Table.CONTRACT, request.contract)
    log.warning(
        "asked for chunks on the chain",
        feed=zbase32.encode(contract.feed),
        chunks=len(request.left),
        until_height=request.deadline,
    )
    feed = feed_of(contract.feed)
    if feed is None:
        raise NotFound("the feed is not here yet")
    for part in answers(feed, request.head.length, request.left):
        await _show(wallet, request, part)
    log.info("chunks shown on the chain", feed=zbase32.encode(contract.feed))


async def _show(wallet: Wallet, request: DataRequest, part: Answer) -> None:
    sidecar = encode(part)
    body = AnswerData(request=request.request, evidence=blake2b_256(sidecar))
    # What we sent before we were killed may be in a block by then: look before saying it again.
    await wallet.send(body, sidecar, again=False, by_height=request.deadline)
