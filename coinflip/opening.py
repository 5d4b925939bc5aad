"""What the chain checks of a flip: its name, its seal, its coin. Nothing but arithmetic.

    topic   H("coin/topic", network, challenge, attempt, deadline height, members)
    digest  H("coin/seal", topic, member and H(Commit) for each member in order)
    seal    every member's Echo signature over the digest
    magic   H("coin/magic", topic, member and x for each member whose x holds, in order)
    reveal  a member's Reveal signature over its x, once x is public

Members are always in the order of their keys. Once a digest is sealed the coin is fixed,
whoever falls silent afterwards: each member's x, or its exclusion, follows from its Commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coinflip.messages import (
    CoinOpening,
    Commit,
    Dealing,
    Echo,
    HeldShare,
    Part,
    Reveal,
    RevealProof,
    Secret,
    require_said,
)
from coinflip.shamir import (
    commitment,
    interpolate,
    is_dealt_from,
    leaf,
    leaves_hash,
    tolerated,
)
from wire.codec import digest as digest_of
from wire.errors import Malformed
from wire.primitives import tagged_hash


@dataclass(frozen=True, slots=True)
class Coin:
    """The 32 bytes that were tossed, and the members whose dealing counted for nothing."""

    value: bytes
    excluded: tuple[bytes, ...]


def topic_id(
    network: bytes, challenge: bytes, attempt: int, members: tuple[bytes, ...], deadline_height: int
) -> bytes:
    """The name of one flip; `members` are account keys in ascending order."""
    assert list(members) == sorted(set(members)), "members are in order, each once"
    terms = attempt.to_bytes(8, "big") + deadline_height.to_bytes(8, "big")
    return tagged_hash("coin/topic", network, challenge, terms, *members)


def seal_digest(topic: bytes, members: tuple[bytes, ...], commits: Sequence[Commit]) -> bytes:
    """The digest of all Commits, one a member and in the members' order."""
    pairs = zip(members, commits, strict=True)
    return tagged_hash(
        "coin/seal", topic, *(member + digest_of(commit) for member, commit in pairs)
    )


def verify_seal(
    network: bytes,
    topic: bytes,
    members: tuple[bytes, ...],
    digest: bytes,
    signatures: Sequence[bytes],
) -> None:
    """Raise `Malformed` unless all members echoed `digest`; signatures in members' order."""
    if len(signatures) != len(members):
        raise Malformed(f"a seal needs {len(members)} signatures, not {len(signatures)}")
    echo = Echo(digest=digest)
    for member, signature in zip(members, signatures, strict=True):
        require_said(network, topic, member, echo, signature)


def open_coin(
    topic: bytes, members: tuple[bytes, ...], digest: bytes, opening: CoinOpening
) -> Coin:
    """The coin under a sealed digest; raises `Malformed` when the opening does not open it."""
    if not len(members) == len(opening.commits) == len(opening.parts):
        raise Malformed(f"an opening has {len(members)} commits and parts")
    if seal_digest(topic, members, opening.commits) != digest:
        raise Malformed("these commits are not the sealed ones")
    valid: list[bytes] = []
    excluded: list[bytes] = []
    for member, commit, part in zip(members, opening.commits, opening.parts, strict=True):
        if not part_fits(topic, member, commit, part, len(members)):
            excluded.append(member)
        elif isinstance(part, Secret):
            valid.append(member + part.value)
        else:
            raise Malformed("the dealing is good")
    return Coin(tagged_hash("coin/magic", topic, *valid), tuple(excluded))


def verify_reveals(
    network: bytes,
    topic: bytes,
    members: tuple[bytes, ...],
    secrets: Mapping[int, bytes],
    proofs: Sequence[RevealProof],
) -> frozenset[int]:
    """Whose reveals are proven, by place; `secrets` are the x of those who are asked for.

    Raises `Malformed` for a signature that is not the member's. What is shown of members that
    nobody asks for is passed over: others may have been faster.
    """
    asked = [proof for proof in proofs if proof.member in secrets]
    for proof in asked:
        reveal = Reveal(secret=secrets[proof.member])
        require_said(network, topic, members[proof.member], reveal, proof.signature)
    return frozenset(proof.member for proof in asked)


def recover(
    topic: bytes,
    dealer: bytes,
    commit: Commit,
    leaves: tuple[bytes, ...],
    shares: Sequence[HeldShare],
) -> Part | None:
    """A silent dealer's part: its secret, or the proof that none fits its Commit.

    `leaves` are the committed ones and `shares` what members claim to hold, in their order;
    None while fewer than t + 1 of them open their leaves.
    """
    good = [share for share in shares if _opens(topic, dealer, leaves, share)]
    quorum = tolerated(len(leaves)) + 1
    if len(good) < quorum:
        return None
    held = tuple(good[:quorum])
    secret = interpolate([(share.holder, share.value) for share in held])
    if is_dealt_from(topic, dealer, commit, secret, len(leaves)):
        return Secret(value=secret)
    return Dealing(leaves=leaves, shares=held)


def part_fits(topic: bytes, dealer: bytes, commit: Commit, part: Part, count: int) -> bool:
    """Whether the dealer's leaves come from its x; raises `Malformed` for what shows neither.

    A secret must be the committed one; a dealing must open t + 1 of the committed leaves.
    """
    if isinstance(part, Dealing):
        secret = _rebuilt(topic, dealer, commit, part, count)
    elif commitment(topic, dealer, secret := part.value) != commit.commitment:
        raise Malformed("a secret is not the committed one")
    return is_dealt_from(topic, dealer, commit, secret, count)


def _rebuilt(topic: bytes, dealer: bytes, commit: Commit, dealing: Dealing, count: int) -> bytes:
    if len(dealing.leaves) != count:
        raise Malformed("a dealing has one leaf a member")
    if leaves_hash(topic, dealer, dealing.leaves) != commit.leaves_hash:
        raise Malformed("these leaves are not the committed ones")
    holders = [share.holder for share in dealing.shares]
    if len(holders) != tolerated(count) + 1 or holders != sorted(set(holders)):
        raise Malformed("a dealing opens t + 1 leaves in order")
    if not all(_opens(topic, dealer, dealing.leaves, share) for share in dealing.shares):
        raise Malformed("a share does not open its leaf")
    return interpolate([(share.holder, share.value) for share in dealing.shares])


def _opens(topic: bytes, dealer: bytes, leaves: tuple[bytes, ...], share: HeldShare) -> bool:
    return share.holder < len(leaves) and leaves[share.holder] == leaf(
        topic, dealer, share.holder, share.value, share.salt
    )


def confirmation(kind: str, topic: bytes, coin: bytes) -> bytes:
    """The proof in a Ping or a Pong: hash(magic + 1), which shows knowledge and tells nothing."""
    following = (int.from_bytes(coin, "big") + 1) % 2**256
    return tagged_hash(f"coin/{kind}", topic, following.to_bytes(32, "big"))
