"""What hosters and attestors sign and cannot have found true: for each, what anybody can show.

Receipts are cumulative, so of one session there is one history: two receipts that are not of the
same are a contradiction. Digests cannot be made without the bytes: a false one under the hash of
a chunk's true bytes was made up, by the hoster that signed it and by the attestor that says it
got the chunk.
"""

from enum import StrEnum
from typing import NamedTuple

from audit.entries import chunk_digest, unpack_listed
from audit.messages import Receipt, SignedReceipt, VisitEvidence, Vouched
from audit.receipts import SessionBinding, is_receipt_signed
from feed.tree import leaf_hash
from wire.codec import decode
from wire.errors import Malformed
from wire.primitives import tagged_hash


class Contradiction(StrEnum):
    """What two receipts of one session show, that cannot both be true."""

    TWO_READERS = "one handshake with two readers"
    TWO_OF_A_NUMBER = "two receipts of one number"
    TWO_FORKS = "two forks of the feed in one session"
    TAKEN_BACK = "less served than an earlier receipt says"
    TWO_HISTORIES = "two lists of as many chunks"


def session_id(said: Receipt | Vouched | SessionBinding) -> bytes:
    """The name of a session: one connection and one feed. Who reads follows from the first."""
    return tagged_hash("audit/session", said.hoster, said.handshake_hash, said.feed)


def vouched(visit: VisitEvidence) -> Vouched:
    """What the makers of a visit's evidence answer for."""
    receipt = visit.receipt.receipt
    return Vouched(
        hoster=receipt.hoster,
        handshake_hash=receipt.handshake_hash,
        feed=receipt.feed,
        listed=visit.listed,
    )


def vouched_id(said: Receipt | Vouched, listed: bytes) -> bytes:
    """The name of what is vouched for, in the record of a report."""
    return tagged_hash("audit/vouched", said.hoster, said.handshake_hash, said.feed, listed)


def contradiction(
    network: bytes, key: bytes, first: SignedReceipt, second: SignedReceipt
) -> Contradiction:
    """Of what two receipts signed with `key` convict a hoster; their order does not matter.

    Raises `Malformed` when they prove nothing. The clock may go backwards, a head be announced
    and taken back: neither is a lie.
    """
    if session_id(first.receipt) != session_id(second.receipt):
        raise Malformed("the receipts are of two sessions")
    if first.receipt == second.receipt:
        raise Malformed("it is the same receipt twice")
    found = _contradict(first.receipt, second.receipt)
    if found is None:
        raise Malformed("both receipts can be true")
    if not all(is_receipt_signed(network, key, signed) for signed in (first, second)):
        raise Malformed("a receipt is not signed with the key")
    return found


def _contradict(first: Receipt, second: Receipt) -> Contradiction | None:
    one, other = sorted((first, second), key=lambda receipt: receipt.sequence)
    if one.peer != other.peer:
        return Contradiction.TWO_READERS
    if one.fork != other.fork:
        return Contradiction.TWO_FORKS
    if one.sequence == other.sequence:
        return Contradiction.TWO_OF_A_NUMBER
    if other.count < one.count or other.bytes < one.bytes:
        return Contradiction.TAKEN_BACK
    if one.count == other.count and (one.bytes, one.root) != (other.bytes, other.root):
        return Contradiction.TWO_HISTORIES
    return None


REMEMBERED = 64
"""Receipts of one session that are kept to compare others with."""


class ReceiptsHeard:
    """What a hoster has signed for in one session, as its reader hears it. The session owns it.

    Those with the highest numbers are remembered. What comes in order contradicts the last one if
    it contradicts any.
    """

    def __init__(self, binding: SessionBinding, key: bytes) -> None:
        """`key` is the hoster's registered receipt key."""
        self.lie: tuple[SignedReceipt, SignedReceipt] | None = None
        """The first two that cannot both be true."""
        self._binding = binding
        self._key = key
        self._known: list[SignedReceipt] = []

    def hear(self, payload: bytes) -> SignedReceipt:
        """The receipt that a message holds; raises `Malformed` where it is not this session's.

        One that the hoster gives to another reader of the same session is compared as well.
        """
        signed: SignedReceipt = decode(SignedReceipt, payload)
        if not is_receipt_signed(self._binding.network, self._key, signed):
            raise Malformed("the receipt is not signed with the hoster's key")
        if session_id(signed.receipt) != session_id(self._binding):
            raise Malformed("the receipt is of another session")
        self._compare(signed)
        if signed.receipt.peer != self._binding.peer:
            raise Malformed("the receipt is another reader's")
        return signed

    def _compare(self, signed: SignedReceipt) -> None:
        known = self._known
        if self.lie is not None or any(each.receipt == signed.receipt for each in known):
            return
        for each in known:
            if _contradict(each.receipt, signed.receipt):
                self.lie = each, signed
                return
        known.append(signed)
        known.sort(key=lambda each: each.receipt.sequence)
        del known[:-REMEMBERED]


class FalseDigest(NamedTuple):
    """Whose digest of a shown chunk is false."""

    hoster: bool
    """The one in the entry, which both the hoster and the attestor say they made."""
    attestor: bool
    """The fresh one, which the attestor made alone."""


def false_digest(said: Vouched, key: bytes, data: bytes) -> FalseDigest:
    """Of whom evidence that was found sound shows a made-up digest; `key` is the visit's fresh one.

    `data` are the bytes of a chunk that it lists. Raises `Malformed` when nothing is shown.
    """
    leaf = leaf_hash(data)
    alike = [listed for listed in unpack_listed(said.listed) if listed.entry.hash == leaf]
    if not alike:
        raise Malformed("these are not the bytes of a chunk that the visit lists")
    digest = chunk_digest(said.handshake_hash, data)
    fresh = chunk_digest(key, data)
    found = FalseDigest(
        hoster=any(listed.entry.digest != digest for listed in alike),
        attestor=any(listed.fresh != fresh for listed in alike),
    )
    if not any(found):
        raise Malformed("the digests are those of the bytes")
    return found
