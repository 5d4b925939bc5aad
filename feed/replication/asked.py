"""Requests on their way, and answers that wait to be taken in."""

from dataclasses import dataclass
from typing import NamedTuple

from feed.messages import Data, Request


@dataclass(slots=True)
class Asked:
    """A request on its way."""

    request: Request
    at_us: int
    chunk: int | None
    exact: bool
    """Whether the path asked for ends at a stored node, and not at one that is coming."""
    expected: list[int]
    """The nodes that its answer brings."""


class Came(NamedTuple):
    """A chunk that waits to be verified and stored."""

    chunk: int
    asked: Asked
    data: Data
    at_us: int
