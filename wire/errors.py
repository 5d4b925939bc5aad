"""Every error that crosses a package border, named for who must act.

    HoldfastError
    ├── Malformed      the bytes are not a message: drop the peer that sent them
    ├── Rejected       a well-formed message breaks a rule, for every node and for ever
    └── Unavailable    not now, not here: try again, or try another peer
        └── NotFound   the thing asked for does not exist here

A bug of ours is none of these: it is an `AssertionError` and stops the process.
"""

from enum import StrEnum


class HoldfastError(Exception):
    """The root: catching it catches what a user or a peer can cause, and no bug of ours."""


class Malformed(HoldfastError):
    """Bytes that no honest peer sends: wrong spelling, wrong length, wrong signature."""


class Rejected(HoldfastError):
    """A well-formed message breaks a rule, and every honest node says the same.

    `reason` is part of the protocol: receipts and vectors carry it, so a member may be
    added and never renamed. `detail` is for people and may change at will.
    """

    def __init__(self, reason: StrEnum, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class Unavailable(HoldfastError):
    """A peer, a file or a service did not answer; the same call may work later."""


class NotFound(Unavailable):
    """What was asked for does not exist where it was looked for."""
