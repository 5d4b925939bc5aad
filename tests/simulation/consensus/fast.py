"""What all nodes of one process need to compute only once. It changes no result.

Ten simulated validators would check each signature ten times over, and decode each message as
often. All of it is a function of bytes, or of messages that never change.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import pytest

from chain import light
from chain.blocks import Header
from chain.consensus import tally
from chain.consensus.gossip import Gossip
from chain.messages import Transaction
from chain.validators import ValidatorSet
from wire import signing, vrf
from wire.codec import Message, decode, digest, encode
from wire.errors import Malformed

KEPT = 1 << 14


class Shared:
    """Encoded and decoded messages of one world."""

    def __init__(self) -> None:
        self._bytes: dict[int, tuple[Message, bytes]] = {}
        self._messages: dict[bytes, Message | Malformed] = {}

    def encode(self, message: Message) -> bytes:
        known = self._bytes.get(id(message))
        if known is None:
            # The message is kept too, so that no other can have its identity.
            known = self._bytes[id(message)] = (message, encode(message))
            if len(self._bytes) > KEPT:
                del self._bytes[next(iter(self._bytes))]
        return known[1]

    def decode(self, data: bytes) -> Message:
        message = self._messages.get(data)
        if message is None:
            try:
                message = cast("Message", decode(Gossip, data))
            except Malformed as malformed:
                message = malformed
            self._messages[data] = message
            if len(self._messages) > KEPT:
                del self._messages[next(iter(self._messages))]
        if isinstance(message, Malformed):
            raise message
        return message


def _digests() -> property:
    known: dict[int, tuple[Any, bytes]] = {}

    def digest_once(message: Any) -> bytes:
        found = known.get(id(message))
        if found is None:
            found = known[id(message)] = (message, digest(message))
            if len(known) > KEPT:
                del known[next(iter(known))]
        return found[1]

    return property(digest_once)


@contextmanager
def computing_once() -> Iterator[None]:
    """Within it, signatures, draws and digests are computed once for all nodes."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (signing, "is_signed_raw"),
            (vrf, "verify"),
            (vrf, "prove"),
            (vrf, "output"),
        ):
            patch.setattr(owner, name, lru_cache(KEPT)(getattr(owner, name)))
        shared = Shared()
        for module in (tally, light):
            patch.setattr(module, "encode", shared.encode)
        patch.setattr(Header, "id", _digests())
        patch.setattr(Transaction, "id", _digests())
        patch.setattr(ValidatorSet, "hash", _digests())
        yield
