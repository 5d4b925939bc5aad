"""Everything the chain is told: transactions and what they may say.

A transaction is {network, sender, nonce, fee, valid_until, body} and one signature. `kind`
tells bodies apart and lies inside the signed bytes. Bounds here are about shape; whatever
needs the state to judge is a rule in `chain/rules/`.
"""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, Tag

from audit.messages import Report
from chain.endpoint import Endpoint
from chain.votes import SignedVote, VrfProof
from coinflip.messages import MAX_MEMBERS, CoinOpening, Evidence, RevealProof
from wire import signing, vrf
from wire.codec import BY_KIND, Message, array, encode
from wire.keys import KeyPair
from wire.primitives import (
    Bytes,
    Hash,
    Natural,
    Positive,
    Ppm,
    PublicKey,
    Signature,
    blake2b_256,
    tagged_hash,
)

TRANSACTION_DOMAIN = "transaction"
SWARM_DOMAIN = "swarm"
VALIDATOR_DOMAIN = "validator"
PUBLISH_DOMAIN = "publish"

MAX_SIDECAR_BYTES = 1 << 20
"""1 MiB of evidence: 64 targets with 30 chunks each need about half of it."""

NO_SIDECAR = blake2b_256(b"")
"""What every kind but `OpenReport` names as its evidence: nothing."""

MAX_EPOCHS = 1_000_000
"""That a replica can be paid for in advance."""

Role = Literal["attestor", "hoster", "validator"]
RevealProofs = Annotated[tuple[RevealProof, ...], Field(max_length=MAX_MEMBERS)]


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


class Offer(Message):
    """What a hoster has to sell."""

    capacity_bytes: Positive
    price_base_per_gib: Natural
    """Least price per epoch and GiB."""


class Register(Message):
    """Publish or change an account's keys, address and offer."""

    kind: Literal["register"] = "register"
    endpoint: Endpoint
    swarm_proof: Signature
    """By the endpoint's swarm key, see `claim_swarm_key`: nobody takes another's key."""
    vrf_key: PublicKey
    receipt_key: PublicKey
    operator: Annotated[str, Field(max_length=64)] = ""
    """Accounts that name the same operator never serve the same plan twice."""
    offer: Offer | None = None
    attests: bool = False


def claim_swarm_key(pair: KeyPair, network: bytes, account: bytes) -> bytes:
    """The swarm key's own signature that it is `account`'s."""
    return signing.sign(pair, SWARM_DOMAIN, network, account)


class Root(Message):
    """A root of a feed's tree: what a tree hash and a byte length are computed from."""

    size: Natural
    hash: Hash


class SignedHead(Message):
    """A feed's head as its owner signed it for Hypercore, with the roots it covers."""

    fork: Natural
    length: Positive
    roots: Annotated[tuple[Root, ...], Field(min_length=1, max_length=53)]
    signature: Annotated[
        bytes,
        Field(min_length=64, max_length=4096),
        PlainSerializer(bytes.hex, return_type=str, when_used="json"),
    ]


class PublishFeed(Message):
    """Register a feed and its first head, and say where it can be fetched from."""

    kind: Literal["publish_feed"] = "publish_feed"
    feed: PublicKey
    manifest: Annotated[
        bytes,
        Field(max_length=4096),
        PlainSerializer(bytes.hex, return_type=str, when_used="json"),
    ]
    """Hypercore manifest, empty for a compat feed."""
    head: SignedHead
    source: Endpoint
    consent: Signature
    """By the feed's first signer, see `consent_to_publish`: a signed head alone is public."""


def consent_to_publish(pair: KeyPair, network: bytes, owner: bytes, feed: bytes) -> bytes:
    """The word of a feed's first signer that the account `owner` speaks for it on this network."""
    return signing.sign(pair, PUBLISH_DOMAIN, network, owner + feed)


class UpdateHead(Message):
    """Announce a newer head, or a new address, of a registered feed."""

    kind: Literal["update_head"] = "update_head"
    feed: PublicKey
    head: SignedHead
    source: Endpoint


class Sla(Message):
    """What the owner pays for, as hard numbers."""

    availability_ppm: Ppm
    latency_us: Positive
    throughput_bytes_per_s: Natural


class CreatePlan(Message):
    """Fund the hosting of a feed: `replicas` hosters for `epochs` audits each."""

    kind: Literal["create_plan"] = "create_plan"
    feed: PublicKey
    replicas: Annotated[int, Field(ge=1, le=64)]
    epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
    price_base: Positive
    """Per replica and epoch."""
    sla: Sla
    samples: Positive
    """Chunks that each attestor asks of each hoster."""
    start_height: Natural


class TopUpPlan(Message):
    """Pay for more epochs of a plan, one's own or another's."""

    kind: Literal["top_up_plan"] = "top_up_plan"
    plan: Hash
    epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
    """For each replica."""


class PausePlan(Message):
    """Have a plan rest: neither audited nor paid."""

    kind: Literal["pause_plan"] = "pause_plan"
    plan: Hash


class ResumePlan(Message):
    """Have a paused plan go on."""

    kind: Literal["resume_plan"] = "resume_plan"
    plan: Hash


class Drain(Message):
    """Whether a hoster takes contracts no more, and which of its own it hands over."""

    kind: Literal["drain"] = "drain"
    on: bool
    leave: Annotated[tuple[Hash, ...], Field(max_length=64)] = ()


class CancelPlan(Message):
    """End a plan before its epochs are served; what is unspent returns."""

    kind: Literal["cancel_plan"] = "cancel_plan"
    plan: Hash


class Acknowledge(Message):
    """A hoster's word that it holds an assigned feed up to this head."""

    kind: Literal["acknowledge"] = "acknowledge"
    contract: Hash
    fork: Natural
    length: Positive
    tree_hash: Hash


class SealCoin(Message):
    """All members' signatures over the same commitments: from here the coin is fixed."""

    kind: Literal["seal_coin"] = "seal_coin"
    challenge: Hash
    attempt: Natural
    digest: Hash
    signatures: Annotated[tuple[Signature, ...], Field(min_length=2, max_length=256)]
    """In the order of the challenge's members."""


class ReportAbsent(Message):
    """A member's word that others were silent in the flip; a majority excludes them."""

    kind: Literal["report_absent"] = "report_absent"
    challenge: Hash
    attempt: Natural
    absent: Annotated[tuple[PublicKey, ...], Field(min_length=1, max_length=256)]


class CoinFault(Message):
    """Evidence that convicts a member of an attempt's flip by what it signed itself."""

    kind: Literal["coin_fault"] = "coin_fault"
    challenge: Hash
    attempt: Natural
    evidence: Evidence


class OpenCoin(Message):
    """Show the coin after the window: commitments and what opens them."""

    kind: Literal["open_coin"] = "open_coin"
    challenge: Hash
    opening: CoinOpening
    reveals: RevealProofs = ()
    """Of the members that its sender heard reveal; the others are asked for theirs."""


class ShowReveals(Message):
    """Answer for members of whom the opening of the coin brought no Reveal."""

    kind: Literal["show_reveals"] = "show_reveals"
    challenge: Hash
    reveals: RevealProofs


class CommitReport(Message):
    """Bind an attestor to its report before anybody opens one."""

    kind: Literal["commit_report"] = "commit_report"
    challenge: Hash
    commitment: Hash


class OpenReport(Message):
    """Show the committed report; its evidence travels beside the transaction."""

    kind: Literal["open_report"] = "open_report"
    report: Report
    salt: Hash


class Enlist(Message):
    """Offer to be a validator from the next term on, or change one's keys or address.

    Each key says itself that it is the account's: nobody can take another's.
    """

    kind: Literal["enlist"] = "enlist"
    key: PublicKey
    key_proof: Signature
    """By the signing key over the account."""
    vrf_key: PublicKey
    vrf_proof: VrfProof
    """Of the VRF key for `vrf_claim`."""
    endpoint: Endpoint
    swarm_proof: Signature
    """As in `Register`."""


def enlist(
    network: bytes, account: bytes, key: KeyPair, vrf_key: KeyPair, swarm: KeyPair, at: Endpoint
) -> Enlist:
    """What a validator sends from `account`: its public keys, and each one's word."""
    assert at.swarm_key == swarm.public
    return Enlist(
        key=key.public,
        key_proof=signing.sign(key, VALIDATOR_DOMAIN, network, account),
        vrf_key=vrf_key.public,
        vrf_proof=vrf.prove(vrf_key, vrf_claim(network, account)),
        endpoint=at,
        swarm_proof=claim_swarm_key(swarm, network, account),
    )


def vrf_claim(network: bytes, account: bytes) -> bytes:
    """The VRF input by which a VRF key says that it is `account`'s: no view ever has it."""
    return tagged_hash("enlist", network, account)


class Delist(Message):
    """Serve as a validator no longer than the present term."""

    kind: Literal["delist"] = "delist"


class ValidatorFault(Message):
    """Two votes that contradict each other, by the validator that signs with `key`."""

    kind: Literal["validator_fault"] = "validator_fault"
    key: PublicKey
    first: SignedVote
    second: SignedVote


Body = Annotated[
    Annotated[Transfer, Tag("transfer")]
    | Annotated[Stake, Tag("stake")]
    | Annotated[Unstake, Tag("unstake")]
    | Annotated[Register, Tag("register")]
    | Annotated[PublishFeed, Tag("publish_feed")]
    | Annotated[UpdateHead, Tag("update_head")]
    | Annotated[CreatePlan, Tag("create_plan")]
    | Annotated[Acknowledge, Tag("acknowledge")]
    | Annotated[SealCoin, Tag("seal_coin")]
    | Annotated[ReportAbsent, Tag("report_absent")]
    | Annotated[OpenCoin, Tag("open_coin")]
    | Annotated[CommitReport, Tag("commit_report")]
    | Annotated[OpenReport, Tag("open_report")]
    | Annotated[CancelPlan, Tag("cancel_plan")]
    | Annotated[CoinFault, Tag("coin_fault")]
    | Annotated[Enlist, Tag("enlist")]
    | Annotated[Delist, Tag("delist")]
    | Annotated[ValidatorFault, Tag("validator_fault")]
    | Annotated[ShowReveals, Tag("show_reveals")]
    | Annotated[TopUpPlan, Tag("top_up_plan")]
    | Annotated[PausePlan, Tag("pause_plan")]
    | Annotated[ResumePlan, Tag("resume_plan")]
    | Annotated[Drain, Tag("drain")],
    BY_KIND,
]


class Transaction(Message):
    """One request to change the state."""

    network: Hash
    sender: PublicKey
    nonce: Natural
    fee_base: Natural
    valid_until: Natural
    """The last height at which it may be included."""
    body: Body

    @cached_property
    def encoded(self) -> bytes:
        """Its one spelling: what is signed and hashed."""
        return encode(self)

    @cached_property
    def id(self) -> bytes:
        """The hash that names it."""
        return blake2b_256(self.encoded)


class SignedTransaction(Message):
    """A transaction, its signature, and the evidence that travels beside it."""

    transaction: Transaction
    signature: Signature
    sidecar: Bytes = b""
    """Not covered by the signature: the body names its digest, and it may be pruned."""

    def is_signed(self) -> bool:
        """Whether the sender signed it, and the evidence beside it is what the body names.

        Without the second, whoever passes a transaction on could swap the evidence, and its
        sender would pay for a refusal.
        """
        transaction, body = self.transaction, self.transaction.body
        named = body.report.evidence if isinstance(body, OpenReport) else NO_SIDECAR
        return blake2b_256(self.sidecar) == named and signing.is_signed(
            transaction.sender,
            TRANSACTION_DOMAIN,
            transaction.network,
            transaction.encoded,
            self.signature,
        )

    @property
    def encoded(self) -> bytes:
        """As `encode` spells it, from what its transaction was spelled as before."""
        return array((self.transaction.encoded, encode(self.signature), encode(self.sidecar)))

    @property
    def size(self) -> int:
        """Bytes of its encoding, without making that."""
        evidence = len(self.sidecar)
        head = 1 if evidence < 24 else 2 if evidence < 1 << 8 else 3 if evidence < 1 << 16 else 5
        return SIGNED_OVERHEAD_BYTES + len(self.transaction.encoded) + head + evidence


MAX_BATCH = 1_024
"""Transactions that are submitted in one request."""

SignedTransactions = Annotated[tuple[SignedTransaction, ...], Field(max_length=MAX_BATCH)]

SIGNED_OVERHEAD_BYTES = 1 + 2 + 64
"""Around a transaction in CBOR: the head of an array, and the signature with its own."""


def sign_transaction(
    key: KeyPair, transaction: Transaction, sidecar: bytes = b""
) -> SignedTransaction:
    """`transaction` signed by its sender's account key."""
    assert key.public == transaction.sender
    signature = signing.sign(key, TRANSACTION_DOMAIN, transaction.network, transaction.encoded)
    return SignedTransaction(transaction=transaction, signature=signature, sidecar=sidecar)
