"""Keys as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import zbase32
from wire.errors import Malformed

KEY = bytes(range(32))


@given(st.binary(max_size=80))
def test_decode_is_the_inverse_of_encode(data):
    assert zbase32.decode(zbase32.encode(data)) == data


@given(st.text(alphabet=zbase32.ALPHABET, max_size=60))
def test_a_text_is_the_spelling_of_what_it_decodes_to_or_malformed(text):
    try:
        data = zbase32.decode(text)
    except Malformed:
        return
    assert zbase32.encode(data) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", ""),
        ("00", "yy"),
        ("f0bfc7", "6n9hq"),
        ("d47a04", "4t7ye"),
        ("ff" * 32, "9" * 51 + "o"),
        ("00" * 32, "y" * 52),
    ],
)
def test_known_spellings(data, text):
    assert zbase32.encode(bytes.fromhex(data)) == text
    assert zbase32.decode(text) == bytes.fromhex(data)


@pytest.mark.parametrize("text", ["y", "yyy", "yyyyyy", "yb", "yyyyb"])
def test_lengths_and_paddings_that_no_bytes_have_are_refused(text):
    with pytest.raises(Malformed):
        zbase32.decode(text)


def test_a_key_reads_as_z_base_32_and_as_hexadecimal():
    assert len(zbase32.encode(KEY)) == 52
    assert zbase32.parse_key(zbase32.encode(KEY)) == KEY
    assert zbase32.parse_key(f"  {KEY.hex()}\n") == KEY
    assert zbase32.parse_key(KEY.hex().upper()) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "y" * 51,
        "y" * 53,
        "y" * 51 + "b",
        "y" * 51 + "l",
        "Y" * 52,
        "0" * 63,
        "0" * 65,
        "0" * 63 + "g",
        "00 " * 21 + "0",
        "\u0660" * 64,
    ],
)
def test_what_is_no_key_is_refused(text):
    with pytest.raises(Malformed):
        zbase32.parse_key(text)
