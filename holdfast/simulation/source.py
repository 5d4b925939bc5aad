"""The rules of the flip's source, to the letter: what the attacks succeed against.

The source posts y = hash(x), sends x to each peer whose y it has seen, tries again in a new topic
when somebody falls silent, and leaves open how the coin follows from all x: it names three ways.
A flip here is its secrets; no signature or network could save it.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from hashlib import sha256

Magic = Callable[[Sequence[bytes]], bytes]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def hash_of_list(secrets: Sequence[bytes]) -> bytes:
    """The coin as a hash of all x in order: the way that our own `coin/magic` keeps."""
    return sha256(b"".join(sorted(secrets))).digest()


def xor_of_all(secrets: Sequence[bytes]) -> bytes:
    """The coin as the plain xor of all x."""
    return reduce(_xor, secrets)


def hash_of_xor(secrets: Sequence[bytes]) -> bytes:
    """The coin as a hash of the xor."""
    return sha256(xor_of_all(secrets)).digest()


MAGIC: dict[str, Magic] = {
    "hash of list": hash_of_list,
    "hash of xor": hash_of_xor,
    "xor": xor_of_all,
}


def secret(*name: object) -> bytes:
    """The x of somebody in some run."""
    return sha256("/".join(map(str, name)).encode()).digest()


def rush(seed: int, run: int, count: int, wanted: bytes, magic: str, tries: int) -> bytes:
    """The coin when the first and the last of `count` members want it to begin with `wanted`.

    The first one has posted its y, so every honest member has sent it its x. The last one posts
    its y only then, and so can choose its x: at once under xor, by trying under a hash.
    """
    collected = [secret(seed, run, member) for member in range(count - 1)]
    if magic == "xor":
        aimed = wanted + bytes(32 - len(wanted))
        return xor_of_all([*collected, _xor(xor_of_all(collected), aimed)])
    coins = (
        MAGIC[magic]([*collected, secret(seed, run, "last", attempt)]) for attempt in range(tries)
    )
    coin = b""
    for coin in coins:
        if coin.startswith(wanted):
            break
    return coin


def abort(
    seed: int, run: int, count: int, attempts: int, pleases: Callable[[bytes], bool]
) -> tuple[bytes, int]:
    """The coin when one member reveals last and only a coin that pleases it; and how many fell.

    It falls silent otherwise, everybody tries again, and the last attempt it takes as it comes.
    """
    coin = b""
    for attempt in range(attempts):
        coin = hash_of_list([secret(seed, run, attempt, member) for member in range(count)])
        if pleases(coin):
            return coin, attempt
    return coin, attempts - 1


def copy(seed: int, run: int, magic: str) -> bytes:
    """The coin of two, one of whom posts the other's y as its own, and then the other's x."""
    honest = secret(seed, run, "honest")
    return MAGIC[magic]([honest, honest])
