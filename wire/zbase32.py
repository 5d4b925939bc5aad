"""Keys as text: z-base-32, as Hypercore tools print them (52 characters for 32 bytes)."""

from wire.errors import Malformed

ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769"
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_VALUE = {character: value for value, character in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """`data`, most significant bits first, padded with zero bits to whole characters."""
    characters = -(-len(data) * 8 // 5)
    number = int.from_bytes(data, "big") << (characters * 5 - len(data) * 8)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * characters - 5, -1, -5))


def decode(text: str) -> bytes:
    """The bytes that `encode` turns into exactly `text`; anything else is `Malformed`."""
    number = 0
    for character in text:
        value = _VALUE.get(character)
        if value is None:
            raise Malformed(f"{character!r} is not a z-base-32 character")
        number = number << 5 | value
    length, padding = divmod(len(text) * 5, 8)
    if padding >= 5 or number & ((1 << padding) - 1):
        raise Malformed("z-base-32 text has a wrong length or a non-zero padding")
    return (number >> padding).to_bytes(length, "big")


def parse_key(text: str) -> bytes:
    """A 32-byte key from its z-base-32 (52 characters) or hexadecimal (64) form."""
    text = text.strip()
    if len(text) == 64:
        # `bytes.fromhex` skips spaces, so its success alone does not make 32 bytes.
        if not set(text) <= _HEXADECIMAL:
            raise Malformed(f"{text!r} is not a hexadecimal key")
        return bytes.fromhex(text)
    if len(text) != 52:
        raise Malformed(f"a key has 52 z-base-32 or 64 hexadecimal characters, not {len(text)}")
    return decode(text)
