"""The records beside a contract: requests for its chunks, and its hoster's announced absences."""

from typing import Literal

from chain.head import Head
from wire.codec import Message
from wire.primitives import Hash, Natural, PublicKey, tagged_hash

RequestStatus = Literal["asked", "open", "answered", "unanswered", "void"]
"""*Asked*: its last chunk is not drawn yet. *Void*: the contract ended for another reason."""


class DataRequest(Message):
    """Chunks that a hoster must show on the chain, or lose the contract (key: request id)."""

    request: Hash
    contract: Hash
    hoster: PublicKey
    asker: PublicKey | None
    """None: the chain itself, after an audit that nobody answered."""
    status: RequestStatus
    head: Head
    chunks: tuple[Natural, ...]
    """Indices, ascending; one of them drawn."""
    shown: tuple[Natural, ...] = ()
    bond_base: Natural
    """Of the asker, held until the request is over."""
    size_bytes: Natural
    """The most that the chunks can be: counted in `Meta.asked_bytes` while it is open."""
    deadline: Natural

    @property
    def left(self) -> tuple[int, ...]:
        """The chunks that are still to be shown."""
        return tuple(index for index in self.chunks if index not in self.shown)


def warning_id(challenge: bytes, contract: bytes) -> bytes:
    """The request that the chain makes when a challenge finds too little of a contract."""
    return tagged_hash("data/request", challenge, contract)


class Asker(Message):
    """Who asks for what is there pays more each time (key: account)."""

    answered: Natural
    """Requests in a row that were answered, hence in vain."""
    until_height: Natural
    """After which that is forgotten."""


class Absence(Message):
    """Heights in which a hoster said that it would be away: from the first to before the last."""

    from_height: Natural
    until_height: Natural


class Maintenance(Message):
    """A hoster's newest announced absences, in order (key: account)."""

    absences: tuple[Absence, ...] = ()
