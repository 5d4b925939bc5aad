"""Who is guilty, by bytes that convince anyone who knows the flip's topic and members.

Every kind is a statement of the accused that contradicts another statement of the accused;
what others signed is never needed, so no coalition can frame an honest member. An honest
member that lost its log and plays on could contradict itself: hence the log (`flip.resume`).
"""

from coinflip.exchange import OpenShare, agree, decrypt, exchange_key
from coinflip.messages import (
    Accuse,
    Body,
    Commit,
    Deal,
    Equivocation,
    Evidence,
    FalseAccusation,
    FalseConfirmation,
    FalseDeal,
    FalseDealing,
    FalseReveal,
    Ping,
    Pong,
    Reveal,
    Share,
    Signed,
    require_genuine,
)
from coinflip.opening import confirmation, open_coin, part_fits, seal_digest
from coinflip.shamir import commitment, leaf, leaves_hash
from wire.codec import Message, decode
from wire.errors import Malformed

Slot = tuple[type[Message], bytes]
"""What an honest member says once: a kind of message, and for shares and accusations of whom."""


def slot_of(body: Body) -> Slot:
    """The slot that a statement fills."""
    match body:
        case Share(dealer=dealer):
            return Share, dealer
        case Accuse(accused=accused):
            return Accuse, accused
        case _:
            return type(body), b""


def verify_evidence(
    network: bytes, topic: bytes, members: tuple[bytes, ...], evidence: Evidence
) -> bytes:
    """The key of the member whom `evidence` convicts; raises `Malformed` when it does not hold."""
    said = _statements(evidence)
    for statement in said:
        require_genuine(network, topic, members, statement)
        _require(statement.sender == said[0].sender, "two senders")
    if isinstance(evidence, FalseAccusation):
        _require(not _holds(network, topic, members, evidence.accusation.body), "it holds")
    else:
        _require_contradiction(topic, members, evidence)
    return said[0].sender


def _statements(evidence: Evidence) -> tuple[Signed, ...]:
    """What the accused is held to have said."""
    match evidence:
        case Equivocation(first=first, second=second):
            return first, second
        case FalseReveal(commit=commit, reveal=reveal):
            return commit, reveal
        case FalseDeal(deal=message) | FalseDealing(commit=message):
            return (message,)
        case FalseConfirmation(confirmation=message) | FalseAccusation(accusation=message):
            return (message,)


def _require_contradiction(
    topic: bytes,
    members: tuple[bytes, ...],
    evidence: Equivocation | FalseDeal | FalseReveal | FalseDealing | FalseConfirmation,
) -> None:
    match evidence:
        case Equivocation(first=first, second=second):
            _require(slot_of(first.body) == slot_of(second.body), "two different questions")
            _require(first.body != second.body, "the same statement twice")
            _require(not isinstance(first.body, Accuse), "one may accuse in two ways")
        case FalseDeal():
            _require(not _is_good_deal(topic, members, evidence), "the deal is good")
        case FalseReveal(commit=commit, reveal=reveal):
            _require(not _is_committed(topic, commit, reveal), "the reveal is good")
        case FalseDealing(commit=commit, part=part):
            if not isinstance(commit.body, Commit):
                raise Malformed("not a Commit")
            fits = part_fits(topic, commit.sender, commit.body, part, len(members))
            _require(not fits, "the dealing is good")
        case FalseConfirmation(confirmation=message, opening=opening):
            if not isinstance(message.body, Ping | Pong):
                raise Malformed("not a Ping or Pong")
            coin = open_coin(topic, members, message.body.digest, opening)
            expected = confirmation(message.body.kind, topic, coin.value)
            _require(message.body.proof != expected, "the confirmation is good")


def opened(
    topic: bytes, members: tuple[bytes, ...], dealer: int, holder: int, deal: Deal, agreed: bytes
) -> OpenShare | None:
    """The holder's share, or None when its ciphertext does not open to what its leaf binds."""
    try:
        share = decrypt(agreed, topic, dealer, holder, deal.ciphertexts[holder])
    except Malformed:
        return None
    bound = leaf(topic, members[dealer], holder, share.value, share.salt)
    return share if bound == deal.leaves[holder] else None


def is_whole(topic: bytes, dealer: bytes, commit: Commit, deal: Deal, count: int) -> bool:
    """Whether a Deal has a ciphertext for each member, and the leaves of its dealer's Commit."""
    return (
        len(deal.leaves) == len(deal.ciphertexts) == count
        and leaves_hash(topic, dealer, deal.leaves) == commit.leaves_hash
    )


def _is_good_deal(topic: bytes, members: tuple[bytes, ...], evidence: FalseDeal) -> bool:
    deal, count = evidence.deal.body, len(members)
    if not isinstance(deal, Deal) or len(evidence.commits) != count:
        raise Malformed("not a Deal and the commits it was made for")
    if seal_digest(topic, members, evidence.commits) != deal.digest:
        raise Malformed("the deal was made for other commits")
    dealer = members.index(evidence.deal.sender)
    if not is_whole(topic, members[dealer], evidence.commits[dealer], deal, count):
        return False
    if evidence.victim is None or evidence.exchange_secret is None:
        return True
    _require(evidence.victim in members, "the victim is no member")
    victim = members.index(evidence.victim)
    shown = exchange_key(evidence.exchange_secret)
    _require(shown == evidence.commits[victim].exchange_key, "another's exchange secret")
    agreed = agree(evidence.exchange_secret, evidence.commits[dealer].exchange_key)
    return opened(topic, members, dealer, victim, deal, agreed) is not None


def _is_committed(topic: bytes, commit: Signed, reveal: Signed) -> bool:
    if not isinstance(commit.body, Commit) or not isinstance(reveal.body, Reveal):
        raise Malformed("not a Commit and a Reveal")
    return commitment(topic, commit.sender, reveal.body.secret) == commit.body.commitment


def _holds(network: bytes, topic: bytes, members: tuple[bytes, ...], accuse: Body) -> bool:
    """Whether an accusation is right; those about accusations are left out, so this ends."""
    if not isinstance(accuse, Accuse):
        raise Malformed("not an accusation")
    try:
        inner: Evidence = decode(Evidence, accuse.evidence)
    except Malformed:
        return False
    if isinstance(inner, FalseAccusation):
        raise Malformed("an accusation about accusing cannot itself be accused")
    try:
        return verify_evidence(network, topic, members, inner) == accuse.accused
    except Malformed:
        return False


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise Malformed(f"no evidence: {reason}")
