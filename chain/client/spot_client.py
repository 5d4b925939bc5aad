"""Spot checks: whoever has a chunk compares it with what opened reports vouch for, and claims.

Hosters of a feed have its chunks anyway; attestors fetch a few, as readers do. One made-up digest
that is found costs its makers more than many that are not have earned them. And the receipts of
all reports are compared: one session has one reader.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from secrets import token_bytes

import structlog

from audit.entries import Entry, Listed, fresh_key, unpack_listed
from audit.faults import contradiction, false_digest, session_id, vouched
from audit.messages import Evidence, ShownChunk, SignedReceipt, Vouched
from chain.bodies.faults import DigestFault, ReceiptFault
from chain.challenge_records import ChallengeRecord, DrawRecord, ReportRecord
from chain.client.claim_client import Claimant
from chain.client.found_store import Found
from chain.client.light_client import ChainClient
from chain.messages import MAX_SIDECAR_BYTES
from chain.records import Meta, Registration, Table
from wire.codec import decode, encode
from wire.errors import HoldfastError, Malformed, NotFound
from wire.primitives import blake2b_256
from wire.prng import Stream

log = structlog.get_logger()

ChunkOf = Callable[[bytes, int], Awaitable[bytes | None]]
"""The bytes of a chunk of a feed, from wherever its caller has them."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one attestor vouches for of one chunk."""

    attestor: bytes
    contract: bytes
    feed: bytes
    said: Vouched
    entry: Entry


async def watch(
    chain: ChainClient,
    claimant: Claimant,
    chunk_of: ChunkOf,
    holds: Callable[[bytes], bool],
    checks: int,
) -> None:
    """Check reports of each challenge when it is over, for ever; at most `checks` chunks of each.

    Of the feeds that `holds` says yes to, at random.
    """
    known: tuple[bytes, ...] = ()
    while True:
        before = known
        meta = await chain.wait(
            Meta,
            Table.META,
            b"",
            lambda meta: meta.open_challenges != before,  # noqa: B023
        )
        known = meta.open_challenges
        for challenge in set(before).difference(known):
            try:
                await check(chain, claimant, challenge, chunk_of, holds, checks)
            except HoldfastError as error:
                log.info("not checked", challenge=challenge.hex()[:16], reason=str(error))


async def check(
    chain: ChainClient,
    claimant: Claimant,
    challenge: bytes,
    chunk_of: ChunkOf,
    holds: Callable[[bytes], bool],
    checks: int,
) -> int:
    """Compare chunks with what the reports of a challenge say, and receipts with one another;
    returns how many faults were claimed.
    """
    record = await chain.need(ChallengeRecord, Table.CHALLENGE, challenge)
    draw = await chain.need(DrawRecord, Table.DRAW, challenge)
    if record.coin is None or not any(holds(drawn.feed) for drawn in draw.eligible):
        return 0
    feeds = {drawn.contract: drawn.feed for drawn in draw.eligible if holds(drawn.feed)}
    words: list[Word] = []
    receipts: list[SignedReceipt] = []
    for attestor in record.opened:
        report = await chain.need(ReportRecord, Table.REPORT, challenge + attestor)
        if (told := await _evidence(chain, report)) is None:
            continue
        receipts += [visit.evidence.receipt for visit in told.visits if visit.evidence is not None]
        if attestor != claimant.account:
            words += _words(report, told, feeds)
    places = Stream(token_bytes(32), b"checks").sample(len(words), min(checks, len(words)))
    chosen = [words[place] for place in places]
    made_up: dict[tuple[bytes, bytes], Found] = {}
    for word in chosen:
        data = await chunk_of(word.feed, word.entry.chunk)
        known = (word.attestor, word.contract)
        key = fresh_key(challenge, record.coin, word.contract, word.attestor)
        if data is None or known in made_up or not _is_made_up(word, key, data):
            continue
        if (found := _found(challenge, word, data)) is not None:
            made_up[known] = found
    others = [each for each in receipts if each.receipt.hoster != claimant.account]
    shared = [Found(fault=fault, sidecar=b"") async for fault in _shared(chain, others)]
    faults = [*made_up.values(), *shared]
    await asyncio.gather(*map(claimant.show, faults))
    log.info("reports checked", challenge=challenge.hex()[:16], chunks=len(chosen))
    return len(faults)


async def _evidence(chain: ChainClient, report: ReportRecord) -> Evidence | None:
    """What came beside a report; None where it was pruned."""
    try:
        sidecar = await chain.evidence(report.challenge, report.attestor)
    except NotFound:
        return None
    if blake2b_256(sidecar) != report.evidence:
        raise Malformed("the node has shown other evidence than the report's")
    evidence: Evidence = decode(Evidence, sidecar)
    return evidence


async def _shared(
    chain: ChainClient, receipts: Iterable[SignedReceipt]
) -> AsyncIterator[ReceiptFault]:
    """Of each session for which a hoster has signed receipts that cannot both be true, two."""
    sessions = defaultdict[bytes, list[SignedReceipt]](list)
    for signed in receipts:
        sessions[session_id(signed.receipt)].append(signed)
    for said in sessions.values():
        if len(said) == 1:
            continue
        hoster = said[0].receipt.hoster
        key = (await chain.need(Registration, Table.REGISTRATION, hoster)).receipt_key
        for first, second in combinations(said, 2):
            with suppress(Malformed):
                contradiction(chain.genesis.network, key, first, second)
                yield ReceiptFault(key=key, first=first, second=second)
                break


def _words(report: ReportRecord, evidence: Evidence, feeds: dict[bytes, bytes]) -> Sequence[Word]:
    """What one report vouches for, of these contracts."""
    words = []
    for judged, reported in zip(report.visits, evidence.visits, strict=True):
        feed = feeds.get(judged.contract)
        if feed is not None and reported.evidence is not None:
            said = vouched(reported.evidence)
            words += [
                Word(report.attestor, judged.contract, feed, said, listed.entry)
                for listed in different(said.listed)
            ]
    return words


def different(listed: bytes) -> Iterable[Listed]:
    """The entries that a visit lists, each once.

    Else who lists a true chunk thousands of times would hide among them what it made up.
    """
    return {(one.entry, one.fresh): one for one in unpack_listed(listed)}.values()


def _is_made_up(word: Word, key: bytes, data: bytes) -> bool:
    try:
        false_digest(word.said, key, data)
    except Malformed:
        return False
    return True


def _found(challenge: bytes, word: Word, data: bytes) -> Found | None:
    """What is shown of a chunk; None of one that is too large for a transaction."""
    sidecar = encode(ShownChunk(vouched=word.said, data=data))
    if len(sidecar) > MAX_SIDECAR_BYTES:
        log.warning(
            "made-up digest of a chunk too large to be shown",
            attestor=word.attestor.hex()[:16],
            chunk=word.entry.chunk,
        )
        return None
    fault = DigestFault(
        challenge=challenge,
        attestor=word.attestor,
        contract=word.contract,
        evidence=blake2b_256(sidecar),
    )
    return Found(fault=fault, sidecar=sidecar)
