"""Chunks that a hoster must show on the chain: who asks for them, and the answer."""

from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from audit.entries import UNCLE_BYTES
from wire.codec import Message
from wire.primitives import Hash, Height, Natural, Positive

MAX_ASKED = 4
"""Chunks that one request names; one more is drawn."""

MAX_CHUNK_BYTES = (1 << 20) - (4 << 10)
"""1,020 KiB. The largest chunk that an answer can carry, alone in a sidecar with its proof."""

Chunk = Annotated[
    bytes, Field(max_length=MAX_CHUNK_BYTES), PlainSerializer(bytes.hex, when_used="json")
]


class AskData(Message):
    """Have a hoster show chunks of a contract's feed to everybody, or lose the contract."""

    kind: Literal["ask_data"] = "ask_data"
    contract: Hash
    chunks: Annotated[tuple[Natural, ...], Field(min_length=1, max_length=MAX_ASKED)]
    """Indices, ascending."""


class AnswerData(Message):
    """Show some or all of the chunks that a request asks for."""

    kind: Literal["answer_data"] = "answer_data"
    request: Hash
    evidence: Hash
    """Of the bytes of the sidecar, a `Answer`."""


class AnsweredChunk(Message):
    """A chunk's index and its bytes."""

    index: Natural
    data: Chunk


class Answer(Message):
    """Beside an `AnswerData`: chunks, ascending, and what proves them."""

    chunks: Annotated[tuple[AnsweredChunk, ...], Field(min_length=1, max_length=MAX_ASKED + 1)]
    uncles: Annotated[
        bytes,
        Field(max_length=(MAX_ASKED + 1) * 40 * UNCLE_BYTES),
        PlainSerializer(bytes.hex, when_used="json"),
    ]
    """The multiproof to the tree hash of the head that the hoster has acknowledged."""


class Maintain(Message):
    """Announce that a hoster will be away: what fails then is nobody's fault."""

    kind: Literal["maintain"] = "maintain"
    from_height: Height
    blocks: Positive
