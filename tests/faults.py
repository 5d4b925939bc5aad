"""What a member of a flip must not say, and what convicts it of having said so."""

from collections.abc import Callable
from typing import TypeVar

from chain.bodies.faults import CLAIM_BLOCKS, DigestFault, ReceiptFault, claim_of
from chain.records import ClaimRecord
from coinflip.messages import (
    Accuse,
    Body,
    Deal,
    Dealing,
    Echo,
    Equivocation,
    Evidence,
    FalseAccusation,
    FalseConfirmation,
    FalseDeal,
    FalseDealing,
    FalseReveal,
    HeldShare,
    Ping,
    Reveal,
    Signed,
    sign_body,
)
from coinflip.opening import seal_digest
from coinflip.shamir import leaf, leaves_hash, tolerated
from tests.builders import World
from tests.people import Person

F = TypeVar("F", DigestFault, ReceiptFault)


def claimed(world: World, finder: Person, body: F) -> F:
    """`body`, which its finder has claimed just long enough ago."""
    draft = world.draft
    key = finder.id + claim_of(world.network, finder.id, body).commitment
    draft.claims.put(key, ClaimRecord(height=world.height + 1 - CLAIM_BLOCKS))
    world.state.commit(draft)
    return body


def say(world: World, member: Person, body: Body) -> Signed:
    """`body`, said in the present attempt."""
    return sign_body(member.account, world.network, world.topic(), body)


def equivocation(world: World, member: Person) -> Evidence:
    one, other = (Echo(digest=bytes([number]) * 32) for number in (1, 2))
    return Equivocation(first=say(world, member, one), second=say(world, member, other))


def false_deal(world: World, member: Person) -> Evidence:
    digest = seal_digest(world.topic(), world.challenge.members, world.commits())
    deal = Deal(digest=digest, leaves=(), ciphertexts=())
    return FalseDeal(
        deal=say(world, member, deal), commits=world.commits(), victim=None, exchange_secret=None
    )


def false_reveal(world: World, member: Person) -> Evidence:
    place = world.members.index(member)
    return FalseReveal(
        commit=say(world, member, world.commits()[place]),
        reveal=say(world, member, Reveal(secret=bytes(32))),
    )


def false_dealing(world: World, member: Person) -> Evidence:
    name, count, place = world.topic(), len(world.members), world.members.index(member)
    shares = [(bytes([holder] * 32), bytes(16)) for holder in range(count)]
    leaves = tuple(leaf(name, member.id, j, value, salt) for j, (value, salt) in enumerate(shares))
    commit = world.commits()[place].model_copy(
        update={"leaves_hash": leaves_hash(name, member.id, leaves)}
    )
    held = tuple(
        HeldShare(holder=j, value=value, salt=salt)
        for j, (value, salt) in enumerate(shares[: tolerated(count) + 1])
    )
    dealing = Dealing(leaves=leaves, shares=held)
    return FalseDealing(commit=say(world, member, commit), part=dealing)


def false_confirmation(world: World, member: Person) -> Evidence:
    digest = seal_digest(world.topic(), world.challenge.members, world.commits())
    ping = Ping(digest=digest, proof=bytes(32))
    return FalseConfirmation(confirmation=say(world, member, ping), opening=world.opening())


def false_accusation(world: World, member: Person) -> Evidence:
    accused = next(other for other in world.members if other is not member)
    accuse = Accuse(accused=accused.id, evidence=b"nothing at all")
    return FalseAccusation(accusation=say(world, member, accuse))


FAULTS: tuple[Callable[[World, Person], Evidence], ...] = (
    equivocation,
    false_deal,
    false_reveal,
    false_dealing,
    false_confirmation,
    false_accusation,
)
