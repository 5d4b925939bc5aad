"""Two receipts that cannot both be true, and digests that nobody made of the bytes."""

from contextlib import suppress

import pytest

from audit.entries import Listed, fresh_key, pack_listed, unpack_listed
from audit.faults import (
    REMEMBERED,
    Contradiction,
    ReceiptsHeard,
    contradiction,
    false_digest,
    session_id,
    vouched,
)
from audit.messages import Receipt, SignedReceipt
from audit.receipts import DOMAIN, SessionBinding
from tests.audit.visits import (
    ATTESTOR,
    CHALLENGE,
    COIN,
    CONTRACT,
    EVIDENCE,
    LIBRARY,
    NETWORK,
    SERVED,
    SIGNER,
    VISIT_KEY,
    receipt_over,
)
from wire import signing
from wire.codec import encode
from wire.errors import Malformed

FIRST = receipt_over(SERVED[:3], sequence=1)
SECOND = receipt_over(SERVED, sequence=2)
KEY = SIGNER.public
FRESH = fresh_key(CHALLENGE, COIN, CONTRACT, ATTESTOR.id)


def otherwise(signed: SignedReceipt, **changes: object) -> SignedReceipt:
    """The hoster signs something else."""
    receipt = signed.receipt.model_copy(update=changes)
    return SignedReceipt(
        receipt=receipt, signature=signing.sign(SIGNER, DOMAIN, NETWORK, encode(receipt))
    )


LIES = {
    "two readers of one connection": (otherwise(FIRST, peer=b"p" * 32), Contradiction.TWO_READERS),
    "the same number over other chunks": (
        receipt_over(SERVED[1:4], sequence=1),
        Contradiction.TWO_OF_A_NUMBER,
    ),
    "the same number at another time": (
        otherwise(FIRST, time_ms=FIRST.receipt.time_ms + 1),
        Contradiction.TWO_OF_A_NUMBER,
    ),
    "another fork": (otherwise(SECOND, fork=1), Contradiction.TWO_FORKS),
    "fewer chunks later": (
        otherwise(FIRST, sequence=2, count=2),
        Contradiction.TAKEN_BACK,
    ),
    "fewer bytes later": (
        otherwise(SECOND, bytes=FIRST.receipt.bytes - 1),
        Contradiction.TAKEN_BACK,
    ),
    "as many chunks with another root": (
        receipt_over(SERVED[1:4], sequence=2, bytes=FIRST.receipt.bytes),
        Contradiction.TWO_HISTORIES,
    ),
    "as many chunks with more bytes": (
        otherwise(FIRST, sequence=2, bytes=FIRST.receipt.bytes + 1),
        Contradiction.TWO_HISTORIES,
    ),
}


@pytest.mark.parametrize(("other", "found"), LIES.values(), ids=LIES)
def test_two_receipts_that_cannot_both_be_true_are_a_contradiction(other, found):
    assert contradiction(NETWORK, KEY, FIRST, other) is found
    assert contradiction(NETWORK, KEY, other, FIRST) is found


def test_every_contradiction_is_tested():
    assert {found for _, found in LIES.values()} == set(Contradiction)


HARMLESS = {
    "the same receipt": FIRST,
    "a later one over more": SECOND,
    "a later one over the same": otherwise(FIRST, sequence=2),
    "a clock that was put back": otherwise(SECOND, time_ms=1),
    "a head that was announced and taken back": otherwise(SECOND, length=1),
    "of another connection": otherwise(FIRST, handshake_hash=b"x" * 64, count=9),
    "of another feed on this connection": otherwise(FIRST, feed=b"x" * 32, count=9),
    "of another hoster": otherwise(FIRST, hoster=b"x" * 32, count=9),
    "not signed": SignedReceipt(
        receipt=FIRST.receipt.model_copy(update={"count": 9}), signature=FIRST.signature
    ),
    "signed with another key": receipt_over(SERVED[1:4], sequence=1, signer=VISIT_KEY),
    "signed for another network": receipt_over(SERVED[1:4], sequence=1, network=b"x" * 32),
    "signed in another domain": receipt_over(SERVED[1:4], sequence=1, domain="visit"),
}


@pytest.mark.parametrize("other", HARMLESS.values(), ids=HARMLESS)
def test_two_receipts_that_prove_nothing_convict_nobody(other):
    for pair in ((FIRST, other), (other, FIRST)):
        with pytest.raises(Malformed):
            contradiction(NETWORK, KEY, *pair)


def test_a_session_is_one_connection_one_feed_and_one_hoster():
    names = {session_id(FIRST.receipt)}
    for name in Receipt.model_fields:
        value = getattr(FIRST.receipt, name)
        changed = value + 1 if isinstance(value, int) else bytes(len(value))
        names.add(session_id(FIRST.receipt.model_copy(update={name: changed})))
    assert len(names) == 4


def lying(place: int, **changes: bytes):
    """The evidence with another word on one of its chunks."""
    entries = unpack_listed(EVIDENCE.listed)
    fresh = changes.pop("fresh", entries[place].fresh)
    entry = entries[place].entry._replace(**changes)
    entries[place] = Listed(entries[place].place, entry, fresh)
    return vouched(EVIDENCE.model_copy(update={"listed": pack_listed(entries)}))


def test_honest_digests_convict_nobody():
    for entry in SERVED[:2]:
        with pytest.raises(Malformed):
            false_digest(vouched(EVIDENCE), FRESH, LIBRARY.chunk(entry.chunk))


def test_a_made_up_digest_convicts_by_the_bytes_alone():
    data = LIBRARY.chunk(unpack_listed(EVIDENCE.listed)[2].entry.chunk)
    assert false_digest(lying(2, digest=bytes(16)), FRESH, data) == (True, False)
    assert false_digest(lying(2, fresh=bytes(16)), FRESH, data) == (False, True)
    assert false_digest(lying(2, fresh=bytes(16), digest=bytes(16)), FRESH, data) == (True, True)


@pytest.mark.parametrize("data", [b"", b"other bytes", LIBRARY.chunk(0), LIBRARY.chunk(3) + b"x"])
def test_bytes_of_no_listed_chunk_show_nothing(data):
    with pytest.raises(Malformed):
        false_digest(lying(0, digest=bytes(16)), FRESH, data)


def test_a_digest_of_another_session_is_a_lie():
    moved = EVIDENCE.receipt.receipt.model_copy(update={"handshake_hash": b"x" * 64})
    evidence = EVIDENCE.model_copy(
        update={"receipt": EVIDENCE.receipt.model_copy(update={"receipt": moved})}
    )
    assert false_digest(vouched(evidence), FRESH, LIBRARY.chunk(3)) == (True, False)


@pytest.mark.parametrize(
    "key",
    [
        fresh_key(b"x" * 32, COIN, CONTRACT, ATTESTOR.id),
        fresh_key(CHALLENGE, b"x" * 32, CONTRACT, ATTESTOR.id),
        fresh_key(CHALLENGE, COIN, b"x" * 32, ATTESTOR.id),
        fresh_key(CHALLENGE, COIN, CONTRACT, b"x" * 32),
    ],
)
def test_a_fresh_digest_of_another_task_is_a_lie(key):
    assert false_digest(vouched(EVIDENCE), key, LIBRARY.chunk(3)) == (False, True)


BINDING = SessionBinding(
    network=NETWORK,
    hoster=FIRST.receipt.hoster,
    handshake_hash=FIRST.receipt.handshake_hash,
    peer=FIRST.receipt.peer,
    feed=FIRST.receipt.feed,
)


def heard(*said: SignedReceipt) -> ReceiptsHeard:
    """A reader that has listened to all of this."""
    receipts = ReceiptsHeard(BINDING, KEY)
    for each in said:
        with suppress(Malformed):
            receipts.hear(encode(each))
    return receipts


@pytest.mark.parametrize("other", [other for other, _ in LIES.values()], ids=LIES)
@pytest.mark.parametrize("later", [False, True])
def test_a_reader_notices_receipts_that_cannot_both_be_true(other, later):
    said = (other, FIRST) if later else (FIRST, other)
    assert heard(*said).lie == said
    assert contradiction(NETWORK, KEY, *said)


def test_a_reader_keeps_the_first_two_and_notices_nothing_in_what_can_be_true():
    others = [otherwise(FIRST, sequence=1, time_ms=time_ms) for time_ms in (1, 2)]
    assert heard(FIRST, *others).lie == (FIRST, others[0])
    assert not any(heard(FIRST, other).lie for other in HARMLESS.values())


def test_a_reader_takes_no_receipt_for_its_own_that_is_not():
    receipts = heard(FIRST)
    assert receipts.hear(encode(SECOND)) == SECOND
    for other in ("of another connection", "of another hoster", "not signed"):
        with pytest.raises(Malformed):
            receipts.hear(encode(HARMLESS[other]))
    with pytest.raises(Malformed):
        receipts.hear(encode(otherwise(SECOND, peer=b"p" * 32)))
    with pytest.raises(Malformed):
        receipts.hear(b"no receipt")


def test_a_reader_remembers_so_many_and_the_last_is_enough():
    said = [otherwise(FIRST, sequence=number) for number in range(1, 2 * REMEMBERED)]
    forgotten = otherwise(FIRST, time_ms=1)
    assert heard(*said, forgotten).lie is None and heard(said[0], forgotten).lie is not None
    less = otherwise(FIRST, sequence=2 * REMEMBERED, count=2)
    assert heard(*said, less).lie is not None
