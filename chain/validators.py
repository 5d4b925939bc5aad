"""The validators of a term: who signs, who announces a view's leader, and how many are enough.

A *term* is a stretch of `term_blocks` heights that one set of validators finalizes. The set that
signs block h is the record `Table.VALIDATORS` in the state before it, so whoever holds a final
header of one term can prove the set of the next.
"""

from functools import cached_property, lru_cache
from typing import Annotated

from pydantic import Field

from chain.endpoint import Endpoint
from wire import vrf
from wire.codec import Message, digest
from wire.primitives import Hash, Natural, PublicKey, tagged_hash

MAX_VALIDATORS = 128
"""Votes are counted by head and certificates list signatures: 50 is comfortable, 128 possible."""


class Validator(Message):
    """One member of a set: the account that earns, the keys that sign and draw, the address."""

    account: PublicKey
    key: PublicKey
    """Signs proposals and votes, and nothing else."""
    vrf_key: PublicKey
    endpoint: Endpoint
    """Where other validators reach it, by its Noise key."""


class ValidatorSet(Message):
    """Who finalizes the blocks of one term, in the order that views count."""

    term: Natural
    seed: Hash
    """The beacon at the end of the term before: what the draws of leaders start from."""
    members: Annotated[tuple[Validator, ...], Field(min_length=1, max_length=MAX_VALIDATORS)]

    @cached_property
    def hash(self) -> bytes:
        """What a header says of the set that signs it."""
        return digest(self)

    @property
    def quorum(self) -> int:
        """Votes that decide: n - floor((n - 1) / 3)."""
        return quorum(len(self.members))

    def committer(self, view: int) -> Validator:
        """Who announces, by its VRF, the leader of a view."""
        return self.members[view % len(self.members)]

    def leader(self, vrf_output: bytes) -> int:
        """The place of the leader that a view's VRF output draws."""
        return int.from_bytes(vrf_output, "big") % len(self.members)

    def place(self, key: bytes) -> int | None:
        """The place of the validator that signs with `key`, if it is one of them."""
        return next((n for n, member in enumerate(self.members) if member.key == key), None)


def quorum(validators: int) -> int:
    """The number of votes that decide among so many: n - floor((n - 1) / 3)."""
    return validators - (validators - 1) // 3


def term_of(height: int, term_blocks: int) -> int:
    """The term that block `height` (1 is the first) belongs to."""
    return (height - 1) // term_blocks


def ends_term(height: int, term_blocks: int) -> bool:
    """Whether block `height` is the last of its term: nothing is built on it until it is final."""
    return height % term_blocks == 0


@lru_cache(maxsize=256)
def drawn(vrf_key: bytes, network: bytes, seed: bytes, term: int, view: int, proof: bytes) -> bytes:
    """The output that a committer's proof for a view shows; raises `Malformed`.

    Asked for when the announcement comes, and again when the block does.
    """
    return vrf.verify(vrf_key, view_input(network, seed, term, view), proof)


def view_input(network: bytes, seed: bytes, term: int, view: int) -> bytes:
    """The VRF input of a view: nothing in it can be chosen by whoever proves."""
    return tagged_hash("leader", network, seed, term.to_bytes(8, "big"), view.to_bytes(8, "big"))
