"""One spelling for each message, and nothing else is read."""

from contextlib import suppress
from enum import IntEnum
from typing import Annotated, Literal

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, Tag, ValidationError

from wire import codec
from wire.codec import BY_KIND, NOTHING, Message, array, decode, digest, encode
from wire.errors import Malformed
from wire.primitives import Bytes, Hash, Natural, Positive, Ppm, blake2b_256


class Colour(IntEnum):
    RED = 0
    BLUE = 1


class Point(Message):
    x: Natural
    y: Natural


class Sample(Message):
    name: Annotated[str, Field(max_length=20)]
    amount: Positive
    share: Ppm
    flag: bool
    hash: Hash
    data: Bytes
    nearest: Point | None
    path: tuple[Point, ...]
    colour: Annotated[Colour, Field(strict=False)]


class Left(Message):
    kind: Literal["left"] = "left"
    value: Natural


class Right(Message):
    kind: Literal["right"] = "right"
    value: Natural


Side = Annotated[Annotated[Left, Tag("left")] | Annotated[Right, Tag("right")], BY_KIND]

POINTS = st.builds(Point, x=st.integers(0, 2**63 - 1), y=st.integers(0, 2**63 - 1))
SAMPLES = st.builds(
    Sample,
    name=st.text(max_size=20),
    amount=st.integers(1, 2**63 - 1),
    share=st.integers(0, 10**6),
    flag=st.booleans(),
    hash=st.binary(min_size=32, max_size=32),
    data=st.binary(max_size=300),
    nearest=st.none() | POINTS,
    path=st.lists(POINTS, max_size=4).map(tuple),
    colour=st.sampled_from(Colour),
)
POINT = Point(x=1, y=500)


@given(SAMPLES)
def test_decode_is_the_inverse_of_encode(sample):
    assert decode(Sample, encode(sample)) == sample


@given(SAMPLES, SAMPLES)
def test_different_messages_have_different_digests(one, other):
    assert (digest(one) == digest(other)) == (one == other)


@given(SAMPLES, st.data())
def test_changing_a_byte_never_gives_the_same_message(sample, data):
    spelling = bytearray(encode(sample))
    place = data.draw(st.integers(0, len(spelling) - 1))
    spelling[place] ^= data.draw(st.integers(1, 255))
    with suppress(Malformed):
        assert decode(Sample, bytes(spelling)) != sample


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data):
    for kind in (Sample, Side, Point, tuple[Point, ...]):
        with suppress(Malformed):
            assert encode(decode(kind, data)) == data


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=12,
    )
)
def test_any_cbor_value_is_a_message_or_malformed(value):
    for kind in (Sample, Side, Point):
        with suppress(Malformed):
            decode(kind, cbor2.dumps(value, canonical=True))


def test_a_message_is_the_array_of_its_fields():
    assert encode(POINT) == bytes.fromhex("82011901f4")
    assert digest(POINT) == blake2b_256(bytes.fromhex("82011901f4"))


@pytest.mark.parametrize(
    ("spelling", "why"),
    [
        ("", "nothing"),
        ("82", "an array that ends early"),
        ("8218011901f4", "an integer in more bytes than it needs"),
        ("82011a000001f4", "the same in four bytes"),
        ("9802011901f4", "an array length in more bytes than it needs"),
        ("9f011901f4ff", "an array of indefinite length"),
        ("82011901f400", "bytes behind the message"),
        ("a2617801617919 01f4", "a map"),
        ("82f93c001901f4", "a half float"),
        ("82fb3ff00000000000001901f4", "a double"),
        ("82f51901f4", "true for one"),
        ("82f61901f4", "null for a number"),
        ("82f71901f4", "undefined"),
        ("82e01901f4", "a simple value"),
        ("8261311901f4", "text for a number"),
        ("82201901f4", "a negative number"),
        ("821b80000000000000001901f4", "2^63"),
        ("82c241011901f4", "a big number"),
        ("d9d9f782011901f4", "a tag around the message"),
        ("82d81c011901f4", "a shared value"),
        ("8101", "a field too few"),
        ("83011901f400", "a field too many"),
        ("01", "no array"),
        ("ff", "a stray break"),
    ],
)
def test_another_spelling_is_refused(spelling, why):
    with pytest.raises(Malformed):
        decode(Point, bytes.fromhex(spelling))


def test_text_that_is_not_utf_8_is_refused():
    class Named(Message):
        name: str

    assert decode(Named, bytes.fromhex("81626869")) == Named(name="hi")
    for spelling in ("8161ff", "8163eda080", "817f61686169ff"):
        with pytest.raises(Malformed):
            decode(Named, bytes.fromhex(spelling))


def test_bytes_in_pieces_are_refused():
    with pytest.raises(Malformed):
        decode(tuple[Bytes], bytes.fromhex("815f41014102ff"))


def test_an_enum_is_its_number_only():
    class Painted(Message):
        colour: Annotated[Colour, Field(strict=False)]

    assert decode(Painted, bytes.fromhex("8101")).colour is Colour.BLUE
    for spelling in ("8102", "81f5", "816131", "81f93c00", "8164424c5545"):
        with pytest.raises(Malformed):
            decode(Painted, bytes.fromhex(spelling))


def test_the_kind_tells_the_members_of_a_union_apart():
    left, right = Left(value=1), Right(value=1)
    assert decode(Side, encode(left)) == left
    assert decode(Side, encode(right)) == right
    assert encode(left) != encode(right)
    for spelling in (["middle", 1], [1, 1], [[], 1], [None, 1], [b"left", 1], [], "left", ["left"]):
        with pytest.raises(Malformed):
            decode(Side, cbor2.dumps(spelling))


def test_a_message_as_a_field_may_not_hide_more_fields():
    with pytest.raises(Malformed):
        decode(tuple[Point, Point], encode(((1, 2), (3, 4, 5))))


def test_deep_nesting_is_refused():
    nested = b"\x81" * (codec.MAX_DEPTH + 1) + b"\x00"
    with pytest.raises(Malformed):
        decode(Point, nested)
    with pytest.raises(Malformed):
        decode(Point, b"\x81" * 100_000)


def test_a_message_above_the_limit_is_refused_unread():
    with pytest.raises(Malformed, match="above"):
        decode(Bytes, bytes(codec.MAX_MESSAGE_BYTES + 1))


def test_lengths_that_are_lies_cost_nothing():
    for spelling in ("9b0fffffffffffffff", "5b0fffffffffffffff", "7b0fffffffffffffff"):
        with pytest.raises(Malformed):
            decode(Point, bytes.fromhex(spelling))


def test_shared_references_are_not_unfolded():
    levels = [b"\xd8\x1c\x8a" + b"\x00" * 10]
    levels += [b"\xd8\x1c\x8a" + (b"\xd8\x1d" + bytes([i])) * 10 for i in range(4)]
    with pytest.raises(Malformed, match="tag"):
        decode(Point, bytes([0x80 | len(levels)]) + b"".join(levels))


def test_the_first_wrong_item_of_many_ends_the_reading():
    class Path(Message):
        points: tuple[Point, ...]

    for kind, value in ((tuple[Point, ...], (0,) * 1000), (Path, ((0,) * 1000,))):
        with pytest.raises(ValidationError) as caught:
            codec._adapter(kind).validate_python(value)
        assert caught.value.error_count() == 1


def test_scalars_out_of_bounds_are_refused():
    good = Sample(
        name="n",
        amount=1,
        share=1,
        flag=True,
        hash=bytes(32),
        data=b"",
        nearest=None,
        path=(),
        colour=Colour.RED,
    )
    for field, value in {
        "name": "n" * 21,
        "amount": 0,
        "share": 1_000_001,
        "flag": 1,
        "hash": bytes(31),
        "data": bytes((1 << 20) + 1),
        "nearest": [1],
        "path": [None],
        "colour": 9,
    }.items():
        fields = [
            value if name == field else codec._plain(getattr(good, name))
            for name in Sample.model_fields
        ]
        with pytest.raises(Malformed, match=field):
            decode(Sample, cbor2.dumps(fields, canonical=True))


def test_a_float_cannot_be_encoded():
    with pytest.raises(AssertionError):
        encode((1.5,))


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 512, 65_535])
def test_an_array_put_together_is_the_one_that_is_encoded(count):
    assert array([encode(number) for number in range(count)]) == encode(tuple(range(count)))
    assert encode(None) == NOTHING
