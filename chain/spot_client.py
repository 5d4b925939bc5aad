"""Spot checks: whoever has a chunk compares it with what opened reports vouch for, and claims.

Hosters of a feed have its chunks anyway; attestors fetch a few, as readers do. One made-up digest
that is found costs its makers more than many that are not have earned them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from secrets import token_bytes

import structlog

from audit.entries import Entry, Listed, fresh_key, unpack_listed
from audit.faults import false_digest, vouched
from audit.messages import Evidence, ShownChunk, Vouched
from chain.bodies.faults import DigestFault
from chain.challenge_records import ChallengeRecord, DrawRecord, ReportRecord
from chain.claim_client import Claimant
from chain.client import ChainClient
from chain.found_store import Found
from chain.messages import MAX_SIDECAR_BYTES
from chain.records import Meta, Table
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

    Of the feeds that `holds` says yes to, at random. What was found before a restart goes on.
    """
    known: tuple[bytes, ...] = ()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(claimant.go_on())
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
    """Compare chunks with what the reports of a challenge say; returns how many were claimed."""
    record = await chain.need(ChallengeRecord, Table.CHALLENGE, challenge)
    draw = await chain.need(DrawRecord, Table.DRAW, challenge)
    if record.coin is None or not any(holds(drawn.feed) for drawn in draw.eligible):
        return 0
    feeds = {drawn.contract: drawn.feed for drawn in draw.eligible if holds(drawn.feed)}
    words: list[Word] = []
    for attestor in record.opened:
        if attestor != claimant.account:
            words += await _words(chain, challenge, attestor, feeds)
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
    await asyncio.gather(*map(claimant.show, made_up.values()))
    log.info("reports checked", challenge=challenge.hex()[:16], chunks=len(chosen))
    return len(made_up)


async def _words(
    chain: ChainClient, challenge: bytes, attestor: bytes, feeds: dict[bytes, bytes]
) -> Sequence[Word]:
    """What one report vouches for, of these contracts."""
    report = await chain.need(ReportRecord, Table.REPORT, challenge + attestor)
    try:
        sidecar = await chain.evidence(challenge, attestor)
    except NotFound:
        return []  # pruned
    if blake2b_256(sidecar) != report.evidence:
        raise Malformed("the node has shown other evidence than the report's")
    evidence: Evidence = decode(Evidence, sidecar)
    words = []
    for judged, reported in zip(report.visits, evidence.visits, strict=True):
        feed = feeds.get(judged.contract)
        if feed is not None and reported.evidence is not None:
            said = vouched(reported.evidence)
            words += [
                Word(attestor, judged.contract, feed, said, listed.entry)
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
