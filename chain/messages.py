"""Everything the chain is told: transactions and what they may say.

A transaction is {network, sender, nonce, fee, valid_until, body} and one signature. `kind`
tells bodies apart and lies inside the signed bytes. Bounds here are about shape; whatever
needs the state to judge is a rule in `chain/rules/`.
"""

from functools import cached_property
from typing import Annotated

from pydantic import Field, Tag

from chain.bodies.challenges import (
    CoinFault,
    CommitReport,
    OpenCoin,
    OpenReport,
    ReportAbsent,
    SealCoin,
    ShowReveals,
)
from chain.bodies.coins import Stake, Transfer, Unstake
from chain.bodies.data import AnswerData, AskData, Maintain
from chain.bodies.faults import Claim, DigestFault, ReceiptFault
from chain.bodies.feeds import (
    PublishFeed,
    UpdateHead,
)
from chain.bodies.hosting import Acknowledge, Drain, Register
from chain.bodies.keys import Rotate
from chain.bodies.plans import (
    CancelPlan,
    CreatePlan,
    PausePlan,
    ResumePlan,
    TopUpPlan,
)
from chain.bodies.validators import (
    Delist,
    Enlist,
    ValidatorFault,
)
from wire import signing
from wire.codec import BY_KIND, Message, array, encode
from wire.keys import KeyPair
from wire.primitives import (
    Bytes,
    Hash,
    Natural,
    PublicKey,
    Signature,
    blake2b_256,
)

TRANSACTION_DOMAIN = "transaction"


MAX_SIDECAR_BYTES = 1 << 20
"""1 MiB of evidence: 64 targets with 30 chunks each need about half of it."""


NO_SIDECAR = blake2b_256(b"")
"""What every kind that has no evidence beside it names: nothing."""

WITH_EVIDENCE = (OpenReport, AnswerData, DigestFault)
"""Kinds with evidence beside them: each names its hash in a field `evidence`."""


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
    | Annotated[Drain, Tag("drain")]
    | Annotated[Rotate, Tag("rotate")]
    | Annotated[ReceiptFault, Tag("receipt_fault")]
    | Annotated[DigestFault, Tag("digest_fault")]
    | Annotated[AskData, Tag("ask_data")]
    | Annotated[AnswerData, Tag("answer_data")]
    | Annotated[Maintain, Tag("maintain")]
    | Annotated[Claim, Tag("claim")],
    BY_KIND,
]


class Transaction(Message):
    """One request to change the state."""

    network: Hash
    sender: PublicKey
    signer: PublicKey | None = None
    """The key that signs, where that is not the sender's first one."""
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
        named = body.evidence if isinstance(body, WITH_EVIDENCE) else NO_SIDECAR
        return blake2b_256(self.sidecar) == named and signing.is_signed(
            transaction.signer or transaction.sender,
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
    """`transaction` signed by the key that signs for its sender."""
    assert key.public == (transaction.signer or transaction.sender)
    signature = signing.sign(key, TRANSACTION_DOMAIN, transaction.network, transaction.encoded)
    return SignedTransaction(transaction=transaction, signature=signature, sidecar=sidecar)
