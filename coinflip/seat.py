"""A member's place in one flip: what it knows from the start, and the messages that follow.

Every message follows from the seat and from what others said, with no further entropy: a
member that restarts makes the same ones again, and cannot commit twice by accident.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from coinflip.evidence import is_whole, opened
from coinflip.exchange import OpenShare, agree, encrypt, exchange_key
from coinflip.messages import (
    MAX_MEMBERS,
    MIN_MEMBERS,
    Body,
    Commit,
    Deal,
    FalseDeal,
    Signed,
    sign_body,
)
from coinflip.shamir import PRIME, Sharing, commitment, leaves_hash, share_out, tolerated
from wire.keys import KeyPair, Use, derive


@dataclass(frozen=True, slots=True)
class Seat:
    """`secret` is x; both secrets belong to this topic alone (`derive_seat` makes them).

    `strict` gives the coin up when a member withholds or is found guilty after the seal, as
    the source's protocol does. Each such member then chooses between this coin and another.
    """

    network: bytes
    topic: bytes
    members: tuple[bytes, ...]
    key: KeyPair
    secret: bytes = field(repr=False)
    exchange_secret: bytes = field(repr=False)
    strict: bool = False
    _agreed: dict[bytes, bytes] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        assert MIN_MEMBERS <= len(self.members) <= MAX_MEMBERS
        assert list(self.members) == sorted(set(self.members)) and self.key.public in self.members
        assert int.from_bytes(self.secret, "big") < PRIME

    @property
    def position(self) -> int:
        """This member's place among the members."""
        return self.members.index(self.key.public)

    @property
    def quorum(self) -> int:
        """t + 1: the shares that rebuild a secret."""
        return tolerated(len(self.members)) + 1

    def sign(self, body: Body) -> Signed:
        """`body`, said by this member in this flip."""
        return sign_body(self.key, self.network, self.topic, body)

    def sharing(self) -> Sharing:
        """This member's secret as it is dealt."""
        return share_out(self.topic, self.key.public, self.secret, len(self.members))

    def commit(self) -> Commit:
        """What this member binds itself to."""
        me, sharing = self.key.public, self.sharing()
        return Commit(
            exchange_key=exchange_key(self.exchange_secret),
            commitment=commitment(self.topic, me, self.secret),
            leaves_hash=leaves_hash(self.topic, me, sharing.leaves),
        )

    def agreed(self, key: bytes) -> bytes:
        """The X25519 secret shared with the holder of an exchange key, worked out once.

        Raises `Malformed` for keys of low order.
        """
        if key not in self._agreed:
            self._agreed[key] = agree(self.exchange_secret, key)
        return self._agreed[key]

    def deal(self, digest: bytes, commits: Sequence[Commit]) -> Deal:
        """The shares of this member's secret, encrypted to the keys in these Commits."""
        sharing = self.sharing()
        ciphertexts = (
            encrypt(
                self.agreed(commit.exchange_key),
                self.topic,
                self.position,
                holder,
                OpenShare(sharing.values[holder], sharing.salts[holder]),
            )
            for holder, commit in enumerate(commits)
        )
        return Deal(digest=digest, leaves=sharing.leaves, ciphertexts=tuple(ciphertexts))

    def examine(self, message: Signed, commits: Sequence[Commit]) -> OpenShare | FalseDeal:
        """My share of a Deal made for these Commits, or the evidence that the Deal is bad."""
        deal, dealer = message.body, self.members.index(message.sender)
        assert isinstance(deal, Deal)
        if not is_whole(self.topic, message.sender, commits[dealer], deal, len(self.members)):
            return FalseDeal(
                deal=message, commits=tuple(commits), victim=None, exchange_secret=None
            )
        agreed = self.agreed(commits[dealer].exchange_key)
        share = opened(self.topic, self.members, dealer, self.position, deal, agreed)
        return share or FalseDeal(
            deal=message,
            commits=tuple(commits),
            victim=self.key.public,
            exchange_secret=self.exchange_secret,
        )


def derive_seat(
    master: bytes, network: bytes, topic: bytes, members: tuple[bytes, ...], strict: bool = False
) -> Seat:
    """The seat of the operator with this master seed: its account key, and fresh secrets."""
    return Seat(
        network=network,
        topic=topic,
        members=members,
        key=KeyPair.derive(master, Use.ACCOUNT),
        secret=derive(master, Use.COIN, topic, b"secret"),
        exchange_secret=derive(master, Use.COIN, topic, b"exchange"),
        strict=strict,
    )
