"""The beacon, and who is drawn by it.

B(h) = H(B(h-1), VRF output of block h), and every coin that is opened is folded in. A leader
can only withhold its block, never choose among outputs. A draw takes two steps: a line-up of
those whose stake is older than the registration lag, and some blocks later the choice among
them by the beacon of the block before. Who is in the line-up cannot know that beacon, and who
knows it can no longer join, leave, or change its weight or its keys.
"""

from chain import schedule
from chain.challenge_records import (
    ChallengeRecord,
    DrawnAttestor,
    DrawnContract,
    DrawRecord,
    LinedUpAttestor,
    LineUp,
)
from chain.challenges import closing, conduct
from chain.challenges.addresses import committees, place_of
from chain.challenges.committee import FlipAttempt, MemberKey
from chain.context import BlockContext
from chain.hosting_records import Absence, Maintenance
from chain.records import DueItem, RosterName, stake_key
from chain.state import Draft
from wire.primitives import tagged_hash
from wire.prng import Stream

ELIGIBLE_MAXIMUM = 1_024
"""Contracts that one draw lists: its record stays below the 1 MiB that a proof may carry."""

ATTESTORS_MAXIMUM, CONTRACTS_MAXIMUM = 6_144, 8_192
"""In one line-up, for the same reason: 122 and 34 bytes each."""


def next_beacon(beacon: bytes, vrf_output: bytes) -> bytes:
    """The beacon after a block."""
    return tagged_hash("beacon/block", beacon, vrf_output)


def fold_coin(draft: Draft, coin: bytes) -> None:
    """Mix an opened coin into the beacon."""
    beacon = tagged_hash("beacon/coin", draft.meta.beacon, coin)
    draft.meta = draft.meta.model_copy(update={"beacon": beacon})


def line_up(draft: Draft, block: BlockContext) -> None:
    """Fix whom the next draw is among, when the last challenges are settled and there is work."""
    meta, parameters = draft.meta, block.parameters
    contracts = draft.roster(RosterName.ACTIVE_CONTRACTS)
    if not contracts:
        # After idle times: wait a little, so that those assigned with the first line up as well.
        following = max(meta.next_draw, block.height + parameters.gathering_blocks)
        draft.meta = meta.model_copy(update={"next_draw": following})
        return
    waiting = meta.open_challenges or draft.line_ups.get(b"") is not None
    if waiting or block.height < meta.next_draw:
        return
    attestors = _attestors(draft, block)
    if len(attestors) < parameters.committee_minimum:
        return
    draw_height = block.height + parameters.draw_delay_blocks
    draft.line_ups.put(
        b"",
        LineUp(
            height=block.height,
            draw_height=draw_height,
            attestors=attestors,
            contracts=_some(contracts, meta.epoch),
        ),
    )
    schedule.at(draft, draw_height, DueItem(kind="draw", id=b""))
    draft.meta = meta.model_copy(update={"next_draw": block.height + parameters.epoch_blocks})


def _attestors(draft: Draft, block: BlockContext) -> tuple[LinedUpAttestor, ...]:
    """All whose stake is old enough and who are not suspended; of too many those with the most."""
    lag, known = block.parameters.registration_lag_blocks, list[bytes]()
    for account in draft.roster(RosterName.ATTESTORS):
        stake = draft.stakes.at(stake_key("attestor", account))
        if stake.since_height + lag <= block.height:
            known.append(account)
    resting = conduct.resting(draft, block, known)
    found: list[LinedUpAttestor] = []
    voices = set()
    for attestor in (_lined_up(draft, account) for account in known if account not in resting):
        if attestor.signer not in voices:  # two accounts with one key would be one voice in a flip
            voices.add(attestor.signer)
            found.append(attestor)
    if len(found) > ATTESTORS_MAXIMUM:
        found.sort(key=lambda attestor: (-attestor.weight_base, attestor.account))
        found = sorted(found[:ATTESTORS_MAXIMUM], key=lambda attestor: attestor.account)
    return tuple(found)


def _lined_up(draft: Draft, account: bytes) -> LinedUpAttestor:
    registration = draft.registrations.at(account)
    return LinedUpAttestor(
        account=account,
        signer=draft.accounts.at(account).signer or account,
        vrf_key=registration.vrf_key,
        weight_base=draft.stakes.at(stake_key("attestor", account)).amount_base,
        place=place_of(registration.endpoint.host),
    )


def _some(contracts: tuple[bytes, ...], epoch: int) -> tuple[bytes, ...]:
    """All contracts; of too many a stretch that moves on with each epoch."""
    if len(contracts) <= CONTRACTS_MAXIMUM:
        return contracts
    start = epoch * CONTRACTS_MAXIMUM % len(contracts)
    return (contracts + contracts)[start : start + CONTRACTS_MAXIMUM]


def draw_challenges(draft: Draft, block: BlockContext, beacon: bytes) -> None:
    """Open the next epoch's challenges with those of the line-up whom the beacon chooses.

    *Who* is drawn is public from here on. What they will be sent to is not: the record of
    the draw lists everything that the committee's own coin may choose from.
    """
    meta, parameters = draft.meta, block.parameters
    fixed = draft.line_ups.at(b"")
    draft.line_ups.remove(b"")
    attestors, contracts = fixed.attestors, fixed.contracts
    members = min(parameters.committee_members, len(attestors))
    most = min(len(attestors) // members, -(-len(contracts) // parameters.challenge_targets))
    epoch = meta.epoch + 1
    seed = tagged_hash("draw", beacon, epoch.to_bytes(8, "big"))
    order = Stream(seed, b"attestors").weighted_order([one.weight_base for one in attestors])
    places = [attestor.place for attestor in attestors]
    seated = committees(parameters, order, places, most, members)
    shuffled = Stream(seed, b"contracts").shuffle(contracts)
    opened = []
    for index, drawn in enumerate(seated):
        chosen = sorted((attestors[one] for one in drawn), key=lambda attestor: attestor.signer)
        challenge = tagged_hash(
            "challenge", block.network, epoch.to_bytes(8, "big"), index.to_bytes(8, "big")
        )
        eligible = shuffled[index :: len(seated)][:ELIGIBLE_MAXIMUM]
        _open(draft, block, challenge, epoch, chosen)
        _record_draw(draft, block, challenge, chosen, eligible)
        opened.append(challenge)
    draft.meta = meta.model_copy(update={"epoch": epoch, "open_challenges": tuple(opened)})


def _open(
    draft: Draft,
    block: BlockContext,
    challenge: bytes,
    epoch: int,
    members: list[LinedUpAttestor],
) -> None:
    deadline = block.height + block.parameters.flip_blocks
    draft.challenges.put(
        challenge,
        ChallengeRecord(
            challenge=challenge,
            epoch=epoch,
            status="flipping",
            attempt=0,
            members=tuple(member.account for member in members),
            rotated=tuple(
                MemberKey(member=member.account, key=member.signer)
                for member in members
                if member.signer != member.account
            ),
            drawn_height=block.height,
            seal_deadline=deadline,
        ),
    )
    schedule.at(draft, deadline, DueItem(kind="seal", id=challenge))


def _record_draw(
    draft: Draft,
    block: BlockContext,
    challenge: bytes,
    chosen: list[LinedUpAttestor],
    contracts: list[bytes],
) -> None:
    attestors = tuple(
        DrawnAttestor(account=attestor.account, vrf_key=attestor.vrf_key) for attestor in chosen
    )
    eligible = []
    for contract_id in sorted(contracts):
        contract = draft.contracts.at(contract_id)
        assert contract.head is not None, "an active contract has an acknowledged head"
        eligible.append(
            DrawnContract(
                contract=contract_id,
                hoster=contract.hoster,
                owner=contract.owner,
                feed=contract.feed,
                receipt_key=draft.registrations.at(contract.hoster).receipt_key,
                head=contract.head,
                samples=contract.samples,
                absences=_absences(draft, block, contract.hoster),
            )
        )
    draft.draws.put(
        challenge,
        DrawRecord(
            challenge=challenge,
            height=block.height,
            attestors=attestors,
            eligible=tuple(eligible),
        ),
    )


def _absences(draft: Draft, block: BlockContext, hoster: bytes) -> tuple[Absence, ...]:
    """Those that can lie in a challenge drawn now; what is announced later begins after it."""
    known = draft.maintenance.get(hoster) or Maintenance()
    over = block.height + block.parameters.challenge_blocks
    return tuple(
        absence
        for absence in known.absences
        if absence.until_height > block.height and absence.from_height < over
    )


def seal_due(draft: Draft, block: BlockContext, challenge_id: bytes) -> None:
    """No seal in time: try again in a new topic without whom the majority found silent.

    The chain opens the retry, not the peers, with more time each attempt; after the last one
    the challenge has clearly failed and the next epoch's draw decides anew.
    """
    challenge = draft.challenges.at(challenge_id)
    # An attempt that a fault has ended has left its deadline behind.
    if challenge.status == "flipping" and challenge.seal_deadline == block.height:
        try_again(draft, block, challenge_id, ())


def try_again(
    draft: Draft, block: BlockContext, challenge_id: bytes, faulty: tuple[bytes, ...]
) -> None:
    """Open the next attempt without the faulty and the silent, if there may be one."""
    challenge, parameters = draft.challenges.at(challenge_id), block.parameters
    silent = _majority_absent(challenge)
    for member in silent:
        conduct.offend(draft, block, member, "missing")
    out = {*faulty, *silent}
    members = tuple(member for member in challenge.members if member not in out)
    excluded = (*challenge.excluded, *sorted(out))
    attempt = challenge.attempt + 1
    if attempt == parameters.flip_attempts or len(members) < parameters.committee_minimum:
        draft.challenges.change(challenge_id, excluded=excluded)
        closing.close(draft, block, challenge_id, "failed")
        return
    deadline = block.height + parameters.flip_blocks * (attempt + 1)
    over = FlipAttempt(members=challenge.members, seal_deadline=challenge.seal_deadline)
    draft.challenges.change(
        challenge_id,
        attempt=attempt,
        members=members,
        excluded=excluded,
        earlier=(*challenge.earlier, over),
        absences=(),
        seal_deadline=deadline,
    )
    schedule.at(draft, deadline, DueItem(kind="seal", id=challenge_id))


def _majority_absent(challenge: ChallengeRecord) -> list[bytes]:
    return [
        member
        for member in challenge.members
        if 2 * sum(member in vote.absent for vote in challenge.absences) > len(challenge.members)
    ]
