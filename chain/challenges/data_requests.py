"""Chunks that a hoster must show on the chain, by a deadline, or lose its contract.

Anybody asks who leaves a bond; it is the hoster's when it answers. The chain itself asks after an
audit that found too little: that is the warning before a hoster that is gone is replaced. One
chunk of each request is drawn after it was made, so whoever asks itself to keep others from
asking shows what it did not choose.
"""

from collections.abc import Sequence

from audit.entries import unpack_uncles
from chain import assignment, money, schedule
from chain.bodies.data import MAX_ASKED, Answer
from chain.challenge_records import JudgedVisit, VerdictRecord
from chain.challenges.data_bonds import asked_in_vain, largest_bytes
from chain.context import BlockContext
from chain.genesis import Parameters
from chain.hosting_records import Asker, DataRequest, Maintenance, warning_id
from chain.records import ContractRecord, DueItem
from chain.state import Draft
from feed import multiproof
from feed.tree import leaf_hash
from wire.codec import decode
from wire.errors import Malformed
from wire.primitives import tagged_hash
from wire.prng import Stream

MILLION = 1_000_000
ASKED_BYTES_A_BLOCK = 1 << 20
"""That accounts may wait for, by the answer_blocks: a third of what blocks have room for."""


def ask(
    draft: Draft,
    block: BlockContext,
    request: bytes,
    contract: ContractRecord,
    chunks: tuple[int, ...],
    asker: bytes | None = None,
    bond: int = 0,
) -> None:
    """Open a request; its last chunk is drawn, and its time begins, with the next block."""
    assert contract.head is not None, "an active contract has an acknowledged head"
    size = largest_bytes(contract.head, len(chunks))
    draft.data_requests.put(
        request,
        DataRequest(
            request=request,
            contract=contract.contract,
            hoster=contract.hoster,
            asker=asker,
            status="asked",
            head=contract.head,
            chunks=chunks,
            bond_base=bond,
            size_bytes=size,
            deadline=0,
        ),
    )
    draft.contracts.change(contract.contract, **{_field(asker): request})
    if asker is not None:
        _count(draft, size)
    schedule.soon(draft, block.height + 1, DueItem(kind="draw_chunk", id=request))


def draw_chunk(draft: Draft, block: BlockContext, request_id: bytes, beacon: bytes) -> None:
    """Add the chunk that nobody has chosen, and let the hoster's time begin."""
    request = draft.data_requests.at(request_id)
    chunks, others = request.chunks, request.head.length - len(request.chunks)
    if others:
        seed = tagged_hash("data/chunk", beacon, request_id)
        drawn = Stream(seed, b"chunk").below(others)
        for chunk in chunks:
            drawn += chunk <= drawn
        chunks = tuple(sorted((*chunks, drawn)))
    deadline = answer_deadline(
        block.parameters, draft.maintenance.get(request.hoster), block.height
    )
    deadline = schedule.soon(draft, deadline, DueItem(kind="answer_due", id=request_id))
    draft.data_requests.change(request_id, status="open", chunks=chunks, deadline=deadline)


def answer_deadline(parameters: Parameters, maintenance: Maintenance | None, height: int) -> int:
    """The last height for an answer to what is asked at `height`: announced absences add to it."""
    deadline = height + parameters.answer_blocks
    for absence in maintenance.absences if maintenance else ():
        begins = max(absence.from_height, height)
        if begins <= deadline and absence.until_height > begins:
            deadline += absence.until_height - begins
    return deadline


def shown_in(request: DataRequest, sidecar: bytes) -> tuple[int, ...]:
    """The chunks that an answer shows; raises `Malformed` unless each was asked for and is true."""
    shown: Answer = decode(Answer, sidecar)
    indices = tuple(chunk.index for chunk in shown.chunks)
    if list(indices) != sorted({*indices} & {*request.left}):
        raise Malformed("the chunks are not asked for, shown before, or out of order")
    leaves = {chunk.index: (len(chunk.data), leaf_hash(chunk.data)) for chunk in shown.chunks}
    tree_hash = multiproof.verify(request.head.length, leaves, unpack_uncles(shown.uncles))
    if tree_hash != request.head.tree_hash:
        raise Malformed("the chunks are not the feed's")
    return indices


def show(draft: Draft, block: BlockContext, request: DataRequest, indices: tuple[int, ...]) -> None:
    """Count chunks as shown; with the last of them the request is over, and the bond earned."""
    shown = tuple(sorted((*request.shown, *indices)))
    request = draft.data_requests.change(request.request, shown=shown)
    if request.left:
        return
    money.credit(draft, request.hoster, request.bond_base)
    _close(draft, request, "answered")
    if request.asker is not None:
        parameters = block.parameters
        rests_until = block.height + parameters.ask_rest_blocks
        draft.contracts.change(request.contract, rests_until=rests_until)
        before = asked_in_vain(draft.askers.get(request.asker), block.height)
        until = block.height + parameters.ask_memory_blocks
        draft.askers.put(request.asker, Asker(answered=before + 1, until_height=until))
    assignment.end_if_over(draft, request.contract)


def answer_due(draft: Draft, block: BlockContext, request_id: bytes, beacon: bytes) -> None:
    """Who has not shown all by now loses collateral and contract; somebody else shall serve."""
    request = draft.data_requests.at(request_id)
    if request.status != "open":
        return
    takers = []
    if request.asker is not None:
        money.credit(draft, request.asker, request.bond_base)
        takers = [request.asker]
    if draft.contracts.at(request.contract).status != "active":
        _close(draft, request, "void")
        return
    _close(draft, request, "unanswered")
    share_ppm = block.parameters.reporter_share_ppm
    assignment.slash(draft, block, request.contract, takers, beacon, share_ppm)


def warn(
    draft: Draft,
    block: BlockContext,
    record: VerdictRecord,
    visits: Sequence[JudgedVisit],
    members: int,
    beacon: bytes,
) -> None:
    """Have the chain ask a hoster that an audit found silent, as far as that can be its own doing.

    `visits` are those that count and those that were skipped: hosters that answer nobody, control
    fetches included, look like the attestors' own lines. Fewer than a third of the attestors
    cannot bring it about, however little they report.
    """
    contract = draft.contracts.at(record.contract)
    if record.verdict not in ("unproven", "skipped") or contract.warned:
        return
    agreed_ppm = draft.plans.at(contract.plan).sla.availability_ppm
    lacking = [one for one in visits if one.served * MILLION < max(agreed_ppm, 1) * one.planned]
    if 2 * len(visits) <= members or 3 * len(lacking) <= 2 * len(visits):
        return
    if not can_be_asked(draft, contract):
        return
    assert contract.head is not None, "an active contract has an acknowledged head"
    length = contract.head.length
    request = warning_id(record.challenge, record.contract)
    stream = Stream(tagged_hash("data/unproven", beacon, request), b"chunks")
    unproven = sorted({index for one in lacking for index in one.unproven if index < length})
    found = unproven or range(length)
    chosen = [found[place] for place in stream.sample(len(found), min(MAX_ASKED, len(found)))]
    ask(draft, block, request, contract, tuple(sorted(chosen)))


def can_be_asked(draft: Draft, contract: ContractRecord) -> bool:
    """Whether a contract's chunks are the feed's: of a fork that its owner has left they may go."""
    fork = draft.feeds.at(contract.feed).head.fork
    return contract.status == "active" and contract.head is not None and contract.head.fork == fork


def _field(asker: bytes | None) -> str:
    return "warned" if asker is None else "asked"


def _count(draft: Draft, added_bytes: int) -> None:
    meta = draft.meta
    draft.meta = meta.model_copy(update={"asked_bytes": meta.asked_bytes + added_bytes})


def _close(draft: Draft, request: DataRequest, status: str) -> None:
    draft.data_requests.change(request.request, status=status, bond_base=0)
    draft.contracts.change(request.contract, **{_field(request.asker): None})
    if request.asker is not None:
        _count(draft, -request.size_bytes)
