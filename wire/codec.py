"""Messages as bytes: deterministic CBOR (RFC 8949 section 4.2), and no other spelling.

A message is an array of its fields in the order they are declared. There are no maps, so
there is no key order to get wrong, and a field name costs nothing. Two spellings of one
message would be two hashes, so `decode` encodes again and refuses what differs.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Annotated, Any, Self

import cbor2
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema

from wire.errors import Malformed
from wire.primitives import blake2b_256

MAX_MESSAGE_BYTES = 1 << 22
"""4 MiB: a report with its evidence fits many times, and a bomb does not."""

MAX_DEPTH = 16
"""Arrays inside arrays: the deepest message (a run of blocks with a coin's opening) uses 13."""


def _refuse_tag(*_: object) -> None:
    raise Malformed("a tag has no place in a message")


class _NoTags(Mapping[int, Any]):
    """For every CBOR tag a decoder that refuses it, before it can do anything.

    Some tags cost far more than their bytes: a few hundred bytes of shared references unfold
    into billions of values.
    """

    def __getitem__(self, tag: int) -> Any:
        return _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


_NO_TAGS = _NoTags()


def _stop_at_first(schema: Any) -> Any:
    """Make every tuple in a schema give up at its first bad item.

    Else 4 MiB of wrong items make gigabytes of error messages.
    """
    if isinstance(schema, dict):
        if schema.get("type") == "tuple":
            schema["fail_fast"] = True
        for part in schema.values():
            _stop_at_first(part)
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            _stop_at_first(part)
    return schema


class _StopAtFirst:
    """Annotation for a type that is no `Message` itself, such as a tuple of them."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _stop_at_first(handler(source))
        return schema


_new, _set = object.__new__, object.__setattr__


class Message(BaseModel):
    """The base of all that is transmitted, signed or kept in chain state.

    Subclasses hold scalars, tuples and other messages. A member of a union has a first
    field `kind` with one literal value: it tells the members apart and separates domains.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _stop_at_first(handler(source))
        return schema

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The same message with some fields replaced, unchecked; what was cached is not copied.

        A tenth of what pydantic takes: records are replaced several times in a transaction.
        """
        assert not deep, "what is in a message never changes, so nothing needs a deep copy"
        kind = type(self)
        names = _field_names(kind)
        fields = self.__dict__.copy()
        if len(fields) > len(names):
            fields = {name: fields[name] for name in names}
        if update:
            fields.update(update)
            assert len(fields) == len(names), "no such field"
        message = _new(kind)
        _set(message, "__dict__", fields)
        _set(message, "__pydantic_fields_set__", self.__pydantic_fields_set__)
        _set(message, "__pydantic_extra__", None)
        _set(message, "__pydantic_private__", None)
        return message

    @model_validator(mode="before")
    @classmethod
    def _from_array(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            names = _field_names(cls)
            if len(value) != len(names):
                raise ValueError(f"{cls.__name__} has {len(names)} fields, not {len(value)}")
            return dict(zip(names, value, strict=True))
        return value


def _kind_of(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return value[0] if value else None
    return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)


BY_KIND = Discriminator(_kind_of)
"""Put on a union of messages: `Annotated[Annotated[A, Tag("a")] | ..., BY_KIND]`."""


@cache
def _field_names(kind: type[Message]) -> tuple[str, ...]:
    return tuple(kind.model_fields)


_SCALARS = frozenset((bytes, str, int, bool, type(None)))
_NAMES: dict[type, tuple[str, ...]] = {}
"""The fields of every kind of message that was encoded: found by one look."""


def _plain(value: Any) -> Any:
    # Most values are scalars inside tuples: asked first, and by identity, as a tuple of a
    # thousand hashes is encoded several times on its way through a node.
    kind = type(value)
    if kind in _SCALARS:
        return value
    names = _NAMES.get(kind)
    if names is not None:
        fields = value.__dict__
        return [
            field if type(field := fields[name]) in _SCALARS else _plain(field) for name in names
        ]
    if isinstance(value, tuple):
        return [item if type(item) in _SCALARS else _plain(item) for item in value]
    if isinstance(value, Message):
        _NAMES[kind] = _field_names(type(value))
        return _plain(value)
    assert isinstance(value, Enum), f"cannot encode {value!r}"
    return value.value


def encode(message: Any) -> bytes:
    """The one spelling of a message, or of a tuple of messages and scalars."""
    return cbor2.dumps(_plain(message), canonical=True)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[kind, _StopAtFirst])


def decode(kind: Any, data: bytes, limit_bytes: int = MAX_MESSAGE_BYTES) -> Any:
    """The `kind` that encodes to exactly `data`; raises `Malformed` for anything else.

    `kind` is a `Message` subclass, a union marked with `BY_KIND`, or a tuple type of these.
    """
    if len(data) > limit_bytes:
        raise Malformed(f"message of {len(data)} bytes is above {limit_bytes}")
    try:
        plain = cbor2.loads(
            data,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            strict_hashable_types=True,
            semantic_decoders=_NO_TAGS,
        )
        message = _adapter(kind).validate_python(_frozen(plain))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Malformed(f"{where}: {first['msg']}" if where else first["msg"]) from None
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Malformed(f"not CBOR: {error}") from None
    if encode(message) != data:
        raise Malformed("not in canonical form")
    return message


def _frozen(value: Any) -> Any:
    """CBOR arrays as tuples, and every type that no message has refused."""
    if type(value) is list:
        return tuple([item if type(item) in _SCALARS else _frozen(item) for item in value])
    if type(value) in _SCALARS:
        return value
    raise Malformed(f"a {type(value).__name__} has no place in a message")


NOTHING = b"\xf6"
"""What `encode(None)` is."""


def array(items: Sequence[bytes]) -> bytes:
    """What `encode` makes of a tuple or message, put together from the bytes of its items."""
    count = len(items)
    if count < 24:
        head = bytes((0x80 | count,))
    elif count < 256:
        head = bytes((0x98, count))
    else:
        head = b"\x99" + count.to_bytes(2, "big")  # no message has more than 65,535
    return head + b"".join(items)


def digest(message: Any) -> bytes:
    """The hash that names a message: BLAKE2b-256 of its one spelling."""
    return blake2b_256(encode(message))
