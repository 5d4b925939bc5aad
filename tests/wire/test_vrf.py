"""ECVRF-EDWARDS25519-SHA512-TAI: the RFC's examples, and everything near them refused."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import vrf
from wire.errors import Malformed
from wire.keys import KeyPair

ORDER = 2**252 + 27742317777372353535851937790883648493


class Example(NamedTuple):
    secret: bytes
    public: bytes
    alpha: bytes
    proof: bytes
    output: bytes


EXAMPLES = [
    Example(*(bytes.fromhex(part) for part in parts))
    for parts in (
        (  # RFC 9381 appendix B.3, example 16
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f"
            "26f8a57ccaed74ee1b190bed1f479d9727d2d0f9b005a6e456a35d4fb0daab12"
            "68a1b0db10836d9826a528ca76567805",
            "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff"
            "66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae",
        ),
        (  # example 17
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed593"
            "3bf0864a62558b3ed7f2fea45c92a465301b3bbf5e3e54ddf2d935be3b67926d"
            "a3ef39226bbc355bdc9850112c8f4b02",
            "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb"
            "5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031",
        ),
        (  # example 18
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf80"
            "96bb474e53895c362d8628ee9f9ea3c0e52c7a5c691b6c18c9979866568add7a"
            "2d41b00b05081ed0f58ee5e31b3a970e",
            "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45"
            "2118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f",
        ),
    )
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_rfcs_examples(example):
    pair = KeyPair(example.secret)
    assert pair.public == example.public
    assert vrf.prove(pair, example.alpha) == example.proof
    assert vrf.verify(example.public, example.alpha, example.proof) == example.output
    assert vrf.output(example.proof) == example.output


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_flipped_bit_of_a_proof_is_refused(example):
    for bit in range(8 * vrf.PROOF_BYTES):
        wrong = bytearray(example.proof)
        wrong[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(Malformed):
            vrf.verify(example.public, example.alpha, bytes(wrong))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_flipped_bit_of_the_key_is_refused(example):
    for bit in range(256):
        wrong = bytearray(example.public)
        wrong[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(Malformed):
            vrf.verify(bytes(wrong), example.alpha, example.proof)


def test_a_proof_is_good_for_one_input_and_one_key():
    example = EXAMPLES[1]
    for alpha in (b"", b"s", b"\x72\x00"):
        with pytest.raises(Malformed):
            vrf.verify(example.public, alpha, example.proof)
    with pytest.raises(Malformed):
        vrf.verify(EXAMPLES[0].public, example.alpha, example.proof)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64))
def test_whatever_is_proven_verifies(seed, alpha):
    pair = KeyPair(seed)
    proof = vrf.prove(pair, alpha)
    assert vrf.verify(pair.public, alpha, proof) == vrf.output(proof)


@given(st.binary(min_size=80, max_size=80))
def test_random_bytes_are_no_proof(proof):
    with pytest.raises(Malformed):
        vrf.verify(EXAMPLES[0].public, b"", proof)


def test_a_second_spelling_of_a_proof_is_refused():
    example = EXAMPLES[0]
    s = int.from_bytes(example.proof[48:], "little") + ORDER
    with pytest.raises(Malformed, match="not reduced"):
        vrf.verify(example.public, b"", example.proof[:48] + s.to_bytes(32, "little"))


SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_points_outside_the_prime_order_group_are_refused(point):
    # With a key of small order every input has the same output: its owner could choose nothing,
    # but anybody would know it in advance.
    example = EXAMPLES[0]
    with pytest.raises(Malformed, match="prime-order"):
        vrf.verify(bytes.fromhex(point), b"", example.proof)
    with pytest.raises(Malformed, match="prime-order"):
        vrf.verify(example.public, b"", bytes.fromhex(point) + example.proof[32:])


def test_degenerate_scalars_are_refused():
    example = EXAMPLES[0]
    with pytest.raises(Malformed):
        vrf.verify(example.public, b"", example.proof[:32] + bytes(48))


@pytest.mark.parametrize(("key_bytes", "proof_bytes"), [(32, 79), (32, 81), (31, 80), (33, 80)])
def test_wrong_lengths_are_refused(key_bytes, proof_bytes):
    with pytest.raises(Malformed):
        vrf.verify(bytes(key_bytes), b"", bytes(proof_bytes))
