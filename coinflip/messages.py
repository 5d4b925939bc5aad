"""All that members of a flip say to each other, and all that they show to the chain.

    Commit   y = H(x), the hash of my leaves, my exchange key      nothing can be read from it
    Deal     the leaves, and each member's share of x encrypted    after all Commits
    Echo     the digest of all Commits                             after all Deals, my shares good
    Reveal   x                                                     after the chain sealed the digest
    Share    my share of a silent member's x                       after a wait for its Reveal
    Ping     "I know the coin, do you?", hash(magic + 1)
    Pong     "so do all who spoke", once their Pings agree
    Accuse   evidence against a member that anyone can verify

There is no Hello: the members' keys are on the chain, so a member that lacks one cannot be
one. Every message is `Signed` by its sender's account key over the topic, and may therefore
be passed on by anybody; the topic names the network, the challenge, the attempt, the members
and the deadline, so nothing said in one flip has a meaning in another.
"""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, Tag

from wire.codec import BY_KIND, Message, decode, encode
from wire.errors import Malformed
from wire.keys import KeyPair
from wire.primitives import Hash, Natural, PublicKey, Signature
from wire.signing import is_signed, require_signed, sign

MIN_MEMBERS = 2
"""A coin that one party tosses alone is that party's choice."""

MAX_MEMBERS = 100
"""Dealing grows with the square of the members; at a hundred the chain checks it in 0.2 s."""

MAX_SIGNED_BYTES = 1 << 19
"""512 KiB: evidence from a flip of 100 members, a minority of whom dealt badly, is 350 KB."""

SALT_BYTES = 16
"""Makes a leaf unguessable even from a guess of its share."""

CIPHERTEXT_BYTES = 32 + SALT_BYTES + 16
"""An encrypted share: its value, its salt, and the tag of ChaCha20-Poly1305."""

Salt = Annotated[bytes, Field(min_length=SALT_BYTES, max_length=SALT_BYTES)]
Ciphertext = Annotated[bytes, Field(min_length=CIPHERTEXT_BYTES, max_length=CIPHERTEXT_BYTES)]
Leaves = Annotated[tuple[Hash, ...], Field(max_length=MAX_MEMBERS)]


class Commit(Message):
    """A member's binding to one x and to one way of sharing it, which reveals neither."""

    kind: Literal["commit"] = "commit"
    exchange_key: Hash
    commitment: Hash
    leaves_hash: Hash


class Deal(Message):
    """A share of x for every member, each openable by that member alone.

    All ciphertexts travel to all, so a dealer that starves one member is seen by everyone.
    `digest` says which Commits were dealt for: evidence against a dealer rests on it.
    """

    kind: Literal["deal"] = "deal"
    digest: Hash
    leaves: Leaves
    ciphertexts: Annotated[tuple[Ciphertext, ...], Field(max_length=MAX_MEMBERS)]


class Echo(Message):
    """I saw exactly these Commits, and I hold a good share from every dealer."""

    kind: Literal["echo"] = "echo"
    digest: Hash


class Reveal(Message):
    """The secret that was committed to."""

    kind: Literal["reveal"] = "reveal"
    secret: Hash


class Share(Message):
    """The sender's share of a silent dealer's secret."""

    kind: Literal["share"] = "share"
    dealer: PublicKey
    value: Hash
    salt: Salt


class Ping(Message):
    """Proof of knowing the coin, which does not tell it."""

    kind: Literal["ping"] = "ping"
    digest: Hash
    proof: Hash


class Pong(Message):
    """Proof of knowing the coin, from a member whom all others' Pings have reached."""

    kind: Literal["pong"] = "pong"
    digest: Hash
    proof: Hash


class Accuse(Message):
    """Evidence for all. Whoever signs an accusation that does not hold is guilty itself."""

    kind: Literal["accuse"] = "accuse"
    accused: PublicKey
    evidence: Annotated[bytes, Field(max_length=MAX_SIGNED_BYTES)]


Body = Annotated[
    Annotated[Commit, Tag("commit")]
    | Annotated[Deal, Tag("deal")]
    | Annotated[Echo, Tag("echo")]
    | Annotated[Reveal, Tag("reveal")]
    | Annotated[Share, Tag("share")]
    | Annotated[Ping, Tag("ping")]
    | Annotated[Pong, Tag("pong")]
    | Annotated[Accuse, Tag("accuse")],
    BY_KIND,
]


class Signed(Message):
    """A statement and who answers for it; the only thing that travels."""

    sender: PublicKey
    body: Body
    signature: Signature

    @cached_property
    def encoded(self) -> bytes:
        """Its one spelling: what is sent and saved."""
        return encode(self)

    @property
    def said(self) -> bytes:
        """The spelling of the body: what lies between the sender and the signature."""
        return self.encoded[_BEFORE_BODY:-_AFTER_BODY]


_BEFORE_BODY = len(b"\x83") + len(b"\x58\x20") + 32
_AFTER_BODY = len(b"\x58\x40") + 64
"""An array of three, and the heads and lengths of a key and a signature."""


def read_signed(data: bytes) -> Signed:
    """The message that `data` spells; raises `Malformed`."""
    message: Signed = decode(Signed, data, MAX_SIGNED_BYTES)
    message.__dict__["encoded"] = data
    return message


def sign_body(key: KeyPair, network: bytes, topic: bytes, body: Body) -> Signed:
    """`body`, said by `key` in the flip `topic`."""
    signature = sign(key, f"coin/{body.kind}", network, topic + encode(body))
    return Signed(sender=key.public, body=body, signature=signature)


def require_said(network: bytes, topic: bytes, sender: bytes, body: Body, proof: bytes) -> None:
    """Raise `Malformed` unless `proof` is `sender`'s signature over `body` in this flip."""
    require_signed(sender, f"coin/{body.kind}", network, topic + encode(body), proof)


def require_genuine(
    network: bytes, topic: bytes, members: tuple[bytes, ...], message: Signed
) -> None:
    """Raise `Malformed` unless a member said this in this flip."""
    if message.sender not in members:
        raise Malformed("the sender is no member of this flip")
    if not is_genuine(network, topic, message):
        raise Malformed(f"bad coin/{message.body.kind} signature")


def is_genuine(network: bytes, topic: bytes, message: Signed) -> bool:
    """Whether its sender, member or not, said this in this flip."""
    domain, said = f"coin/{message.body.kind}", topic + message.said
    return is_signed(message.sender, domain, network, said, message.signature)


class Secret(Message):
    """In an opening: the member's secret, as it revealed it or as its shares gave it."""

    kind: Literal["secret"] = "secret"
    value: Hash


class HeldShare(Message):
    """One opened leaf: whose share it is, by position among the members, and what it holds."""

    holder: Natural
    value: Hash
    salt: Salt


class Dealing(Message):
    """In an opening: a member's leaves and enough opened ones to show that no secret fits."""

    kind: Literal["dealing"] = "dealing"
    leaves: Leaves
    shares: Annotated[tuple[HeldShare, ...], Field(max_length=MAX_MEMBERS)]


Part = Annotated[Annotated[Secret, Tag("secret")] | Annotated[Dealing, Tag("dealing")], BY_KIND]


class CoinOpening(Message):
    """All that makes a sealed coin computable: one Commit and one part a member, in order."""

    commits: Annotated[tuple[Commit, ...], Field(max_length=MAX_MEMBERS)]
    parts: Annotated[tuple[Part, ...], Field(max_length=MAX_MEMBERS)]


class RevealProof(Message):
    """A member's signature under its Reveal: once x is public, proof for all that it did speak."""

    member: Natural
    """Its place among the members."""
    signature: Signature


class Equivocation(Message):
    """Two different statements where an honest member makes one."""

    kind: Literal["equivocation"] = "equivocation"
    first: Signed
    second: Signed


class FalseDeal(Message):
    """A Deal whose leaves are not those committed to, or whose ciphertext for one victim is bad.

    The victim shows its exchange secret, from which anyone can decrypt; by then the flip is
    lost, since the victim will not echo. `commits` are those that the Deal's digest covers.
    """

    kind: Literal["false_deal"] = "false_deal"
    deal: Signed
    commits: Annotated[tuple[Commit, ...], Field(max_length=MAX_MEMBERS)]
    victim: PublicKey | None
    exchange_secret: Hash | None


class FalseReveal(Message):
    """A Reveal of another x than the same member's Commit binds it to."""

    kind: Literal["false_reveal"] = "false_reveal"
    commit: Signed
    reveal: Signed


class FalseDealing(Message):
    """A Commit whose leaves do not come from its x: that x, or enough opened leaves, show it."""

    kind: Literal["false_dealing"] = "false_dealing"
    commit: Signed
    part: Part


class FalseConfirmation(Message):
    """A Ping or Pong for another coin than the one its own digest leads to."""

    kind: Literal["false_confirmation"] = "false_confirmation"
    confirmation: Signed
    opening: CoinOpening


class FalseAccusation(Message):
    """An Accuse whose evidence does not hold."""

    kind: Literal["false_accusation"] = "false_accusation"
    accusation: Signed


Evidence = Annotated[
    Annotated[Equivocation, Tag("equivocation")]
    | Annotated[FalseDeal, Tag("false_deal")]
    | Annotated[FalseReveal, Tag("false_reveal")]
    | Annotated[FalseDealing, Tag("false_dealing")]
    | Annotated[FalseConfirmation, Tag("false_confirmation")]
    | Annotated[FalseAccusation, Tag("false_accusation")],
    BY_KIND,
]
