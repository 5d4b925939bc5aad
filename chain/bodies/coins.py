"""What moves coins, or puts them behind a role."""

from typing import Literal

from wire.codec import Message
from wire.primitives import (
    Positive,
    PublicKey,
)

Role = Literal["attestor", "hoster", "validator"]


class Transfer(Message):
    """Send coins."""

    kind: Literal["transfer"] = "transfer"
    to: PublicKey
    amount_base: Positive


class Stake(Message):
    """Lock coins behind a role."""

    kind: Literal["stake"] = "stake"
    role: Role
    amount_base: Positive


class Unstake(Message):
    """Take coins from behind a role; they return after the unbonding time.

    An attestor or a validator can lose them until then. A hoster cannot: what it may lose is
    locked.
    """

    kind: Literal["unstake"] = "unstake"
    role: Role
    amount_base: Positive
