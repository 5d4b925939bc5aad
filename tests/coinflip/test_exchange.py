"""Encrypted shares open for one holder of one dealer's share in one flip."""

from hashlib import sha256

import pytest

from coinflip.exchange import OpenShare, agree, decrypt, encrypt, exchange_key
from wire.errors import Malformed

TOPIC = sha256(b"topic").digest()
DEALER, HOLDER, STRANGER = (sha256(name).digest() for name in (b"dealer", b"holder", b"stranger"))
SHARE = OpenShare(bytes(range(32)), bytes(16))
LOW_ORDER = (
    bytes(32),
    bytes([1]) + bytes(31),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
)


def test_the_holder_opens_what_the_dealer_encrypted() -> None:
    data = encrypt(agree(DEALER, exchange_key(HOLDER)), TOPIC, 3, 5, SHARE)
    agreed = agree(HOLDER, exchange_key(DEALER))
    assert len(data) == 64 and decrypt(agreed, TOPIC, 3, 5, data) == SHARE


def test_a_ciphertext_opens_nowhere_else() -> None:
    data = encrypt(agree(DEALER, exchange_key(HOLDER)), TOPIC, 3, 5, SHARE)
    agreed = agree(HOLDER, exchange_key(DEALER))
    for key, topic, dealer, holder, wrong in (
        (agree(STRANGER, exchange_key(DEALER)), TOPIC, 3, 5, data),
        (agreed, DEALER, 3, 5, data),
        (agreed, TOPIC, 5, 3, data),
        (agreed, TOPIC, 3, 4, data),
        (agreed, TOPIC, 3, 5, data[:-1] + bytes([data[-1] ^ 1])),
    ):
        with pytest.raises(Malformed):
            decrypt(key, topic, dealer, holder, wrong)


@pytest.mark.parametrize("key", LOW_ORDER)
def test_keys_of_low_order_are_refused(key: bytes) -> None:
    with pytest.raises(Malformed):
        agree(HOLDER, key)
