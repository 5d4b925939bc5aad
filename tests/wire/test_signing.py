"""A signature means one thing on one network, and every copy of libsodium agrees on it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import Malformed
from wire.keys import KeyPair
from wire.signing import is_signed, is_signed_raw, require_signed, sign, signable

KEY = KeyPair(b"k" * 32)
OTHER = KeyPair(b"o" * 32)
NETWORK, BODY = b"n" * 32, b"the body"
SIGNATURE = sign(KEY, "receipt", NETWORK, BODY)
ORDER = 2**252 + 27742317777372353535851937790883648493


def test_a_signature_is_good_for_what_was_signed():
    assert is_signed(KEY.public, "receipt", NETWORK, BODY, SIGNATURE)
    require_signed(KEY.public, "receipt", NETWORK, BODY, SIGNATURE)


@pytest.mark.parametrize(
    ("public", "domain", "network", "body"),
    [
        (OTHER.public, "receipt", NETWORK, BODY),
        (KEY.public, "report", NETWORK, BODY),
        (KEY.public, "receip", NETWORK, BODY),
        (KEY.public, "receiptn", NETWORK, BODY),
        (KEY.public, "receipt", b"m" * 32, BODY),
        (KEY.public, "receipt", NETWORK, BODY + b"\x00"),
        (KEY.public, "receipt", NETWORK, b""),
    ],
)
def test_a_signature_is_good_for_nothing_else(public, domain, network, body):
    assert not is_signed(public, domain, network, body, SIGNATURE)
    with pytest.raises(Malformed):
        require_signed(public, domain, network, body, SIGNATURE)


@given(st.integers(0, 511))
def test_every_flipped_bit_is_noticed(bit):
    wrong = bytearray(SIGNATURE)
    wrong[bit >> 3] ^= 1 << (bit & 7)
    assert not is_signed(KEY.public, "receipt", NETWORK, BODY, bytes(wrong))


NAMES = st.text(alphabet="abc/", min_size=1, max_size=6)
NETWORKS = st.sampled_from([b"n" * 32, b"m" * 32, b"a" * 32])


@given(NAMES, NETWORKS, st.binary(max_size=40), NAMES, NETWORKS, st.binary(max_size=40))
def test_what_is_signed_differs_when_any_part_does(name, network, body, name2, network2, body2):
    same = (name, network, body) == (name2, network2, body2)
    assert (signable(name, network, body) == signable(name2, network2, body2)) == same


def test_what_is_signed_stays_the_same_between_releases():
    assert signable("vote", NETWORK, BODY) == b"holdfast/v1\x04vote" + NETWORK + BODY


def test_a_second_spelling_of_a_signature_is_refused():
    # S and S + L are the same number modulo L: with both good, whoever passes a message on
    # could change the bytes of a signature.
    s = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    again = SIGNATURE[:32] + s.to_bytes(32, "little")
    assert not is_signed(KEY.public, "receipt", NETWORK, BODY, again)


SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_a_key_of_small_order_signs_nothing(public):
    # R = A and S = 0 satisfies the equation for many messages under such a key.
    key = bytes.fromhex(public)
    for r in (*SMALL_ORDER, KEY.public.hex()):
        for body in range(8):
            signature = bytes.fromhex(r) + bytes(32)
            assert not is_signed(key, "receipt", NETWORK, bytes([body]), signature)


@pytest.mark.parametrize(("key_bytes", "signature_bytes"), [(31, 64), (33, 64), (32, 63), (32, 65)])
def test_wrong_lengths_are_no_signature(key_bytes, signature_bytes):
    assert not is_signed_raw(bytes(key_bytes), b"message", bytes(signature_bytes))
