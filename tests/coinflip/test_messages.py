"""The bytes that a message came as: saved and verified as they are, never those of another."""

import pytest

from coinflip.events import Received
from coinflip.messages import (
    Accuse,
    Body,
    Deal,
    Echo,
    Ping,
    Pong,
    Reveal,
    Share,
    Signed,
    read_signed,
)
from tests.coinflip.builders import Table
from wire.codec import encode
from wire.errors import Malformed

ONE = bytes(32)
BODIES: tuple[Body, ...] = (
    Table(2).commits[0],
    Deal(digest=ONE, leaves=(ONE,) * 100, ciphertexts=(bytes(64),) * 100),
    Echo(digest=ONE),
    Reveal(secret=ONE),
    Share(dealer=ONE, value=ONE, salt=bytes(16)),
    Ping(digest=ONE, proof=ONE),
    Pong(digest=ONE, proof=ONE),
    Accuse(accused=ONE, evidence=bytes(1_000)),
)


@pytest.mark.parametrize("body", BODIES)
def test_what_is_saved_and_signed_for_is_what_encoding_gives(body: Body) -> None:
    signed = Table(2).seats[0].sign(body)
    message = read_signed(encode(signed))
    assert message == signed
    assert message.encoded == signed.encoded == encode(signed)
    assert message.said == signed.said == encode(body)
    given = Received(message=message)
    assert given.encoded == encode(given)


def test_a_changed_copy_has_bytes_of_its_own() -> None:
    message = read_signed(Table(2).seats[0].sign(BODIES[0]).encoded)
    changed = message.model_copy(update={"body": BODIES[2]})
    assert changed.encoded == encode(changed) != message.encoded
    assert changed.said == encode(BODIES[2])


def test_bytes_that_spell_no_message_are_refused() -> None:
    data = Signed(sender=ONE, body=BODIES[2], signature=bytes(64)).encoded
    for other in (data + b"\0", data[:-1], b"", b"\x83" + data):
        with pytest.raises(Malformed):
            read_signed(other)
