"""Why the flip does not follow its source to the letter: the source's rule, and what two do to it.

The source lets a member send its x to each peer whose y it has seen, and takes the xor of all
x, or a hash of them. Then one colluder commits and collects, and the other commits last.
"""

from functools import reduce
from hashlib import sha256

COUNT = 10
"""The source's usual number of attestors."""


def flip_by_the_source(seed: int, wanted: bytes, magic: str, tries: int) -> bytes:
    """The coin of ten members, two of whom, the first and the last, want it to begin so."""
    honest = [sha256(f"{seed}/{member}".encode()).digest() for member in range(1, COUNT - 1)]
    # The first colluder has posted its y, so every honest member has sent it its x.
    first = sha256(f"{seed}/first".encode()).digest()
    collected = [first, *honest]
    # The last one posts its y only now, and so can choose.
    last = bytes(32)
    for attempt in range(tries):
        last = sha256(f"{seed}/last/{attempt}".encode()).digest()
        if magic == "xor":
            last = (wanted + last)[:32]
            so_far = reduce(_xor, collected)
            last = _xor(so_far, last)
        if _magic(magic, [*collected, last]).startswith(wanted):
            break
    return _magic(magic, [*collected, last])


def _magic(magic: str, secrets: list[bytes]) -> bytes:
    if magic == "xor":
        return reduce(_xor, secrets)
    return sha256(b"".join(sorted(secrets))).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def test_two_colluders_choose_every_byte_of_a_xor_coin_at_once() -> None:
    wanted = b"whatever the two of them like !!"
    assert all(flip_by_the_source(seed, wanted, "xor", 1) == wanted for seed in range(50))


def test_two_colluders_grind_a_hashed_coin_bit_by_bit() -> None:
    for seed in range(20):
        assert flip_by_the_source(seed, b"\x07", "hash", 4096)[0] == 7


def test_a_copied_commitment_cancels_under_xor() -> None:
    secret = sha256(b"an honest secret").digest()
    assert _magic("xor", [secret, secret]) == bytes(32)
