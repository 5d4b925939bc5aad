"""What a challenge's record says of its committee, attempt by attempt and member by member."""

from wire.codec import Message
from wire.primitives import Hash, Natural, PublicKey


class MemberHash(Message):
    """One member's commitment to its report."""

    member: PublicKey
    commitment: Hash


class MemberKey(Message):
    """The key that a member speaks with, where that is not its account's first one."""

    member: PublicKey
    key: PublicKey


class AbsenceVote(Message):
    """Whom one member found silent."""

    voter: PublicKey
    absent: tuple[PublicKey, ...]


class FlipAttempt(Message):
    """Who took part in one attempt at a flip, and until when: its topic follows."""

    members: tuple[PublicKey, ...]
    seal_deadline: Natural


class Unrevealed(Message):
    """A member of whom nobody has shown a Reveal, and the x that it should be of."""

    member: PublicKey
    secret: Hash
