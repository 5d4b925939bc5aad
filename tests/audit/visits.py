"""One attestor's visit to one hoster, with everything a judge needs, valid by default."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from audit.entries import Entry, Leaf, Listed, chunk_digest, fresh_key, pack_leaves, pack_listed
from audit.evidence import VISIT_DOMAIN, Judged, Target, Task, judge_visit
from audit.messages import (
    Outcome,
    SignedReceipt,
    VisitEvidence,
    VisitSummary,
    visit_statement,
)
from audit.plan import VisitPlan
from audit.receipts import DOMAIN, ServedAccount, SessionBinding, sign_receipt
from tests.people import ATTESTORS, HOSTERS, Library, Person
from wire import merkle, signing
from wire.codec import encode
from wire.keys import KeyPair, Use

NETWORK = b"n" * 32
CHALLENGE, CONTRACT, COIN = b"h" * 32, b"c" * 32, b"m" * 32
ATTESTOR, HOSTER = ATTESTORS[0], HOSTERS[0]
LIBRARY = Library("library", 21)
OPENED_MS, CLOSED_MS = 1_800_000_000_000, 1_800_000_300_000
TASK = Task(CHALLENGE, ATTESTOR.id, OPENED_MS, CLOSED_MS)
TARGET = Target(
    contract=CONTRACT,
    hoster=HOSTER.id,
    receipt_key=HOSTER.key(Use.RECEIPT).public,
    feed=LIBRARY.key,
    fork=0,
    length=21,
    tree_hash=LIBRARY.tree.head(0).tree_hash,
)
PLAN = VisitPlan(CONTRACT, 0, (17, 3, 20, 8))
VISIT_KEY = ATTESTOR.key(Use.VISIT, CHALLENGE, CONTRACT)
BINDING = SessionBinding(NETWORK, HOSTER.id, b"s" * 64, VISIT_KEY.public, LIBRARY.key)
SIGNER = HOSTER.key(Use.RECEIPT)


def visit_signature(
    key: KeyPair = VISIT_KEY,
    challenge: bytes = CHALLENGE,
    contract: bytes = CONTRACT,
    attestor: Person = ATTESTOR,
    network: bytes = NETWORK,
    domain: str = VISIT_DOMAIN,
) -> bytes:
    statement = visit_statement(challenge, contract, attestor.id)
    return signing.sign(key, domain, network, statement)


def receipt_over(
    served: Sequence[Entry],
    *,
    signer: KeyPair = SIGNER,
    network: bytes = NETWORK,
    domain: str = DOMAIN,
    **changes: object,
) -> SignedReceipt:
    """What the hoster signs, or something else."""
    account = ServedAccount()
    for entry in served:
        account.add(entry)
    good = sign_receipt(
        signer, BINDING, account, fork=0, length=21, sequence=2, time_ms=OPENED_MS + 5_000
    )
    receipt = good.receipt.model_copy(update=changes)
    signature = signing.sign(signer, domain, network, encode(receipt))
    return SignedReceipt(receipt=receipt, signature=signature)


SERVED = tuple(LIBRARY.entry(index) for index in (3, 17, 0, 8, 20, 3))
"""The planned chunks and others, one of them twice, in the order sent."""
LISTED = (0, 1, 3, 4)
"""Places of the planned ones."""


def list_proof(served: Sequence[Entry], places: Sequence[int]) -> bytes:
    leaves = [merkle.leaf_hash(entry.packed) for entry in served]
    return b"".join(merkle.multiproof(leaves, places))


def listed(*entries: tuple[int, Entry]) -> bytes:
    """These places and entries, with the digests that the attestor makes of the true bytes."""
    key = fresh_key(CHALLENGE, COIN, CONTRACT, ATTESTOR.id)
    return pack_listed(
        Listed(place, entry, chunk_digest(key, LIBRARY.chunk(entry.chunk)))
        for place, entry in entries
    )


def shown(served: Sequence[Entry], places: Sequence[int]) -> dict[str, bytes]:
    """The fields of evidence that lists the entries at these places."""
    return {
        "listed": listed(*((place, served[place]) for place in places)),
        "list_proof": list_proof(served, places),
    }


EVIDENCE = VisitEvidence(
    visit_key=VISIT_KEY.public,
    visit_signature=visit_signature(),
    receipt=receipt_over(SERVED),
    **shown(SERVED, LISTED),
    leaves=b"",
    uncles=LIBRARY.uncles(PLAN.indices),
)
SUMMARY = VisitSummary(
    outcome=Outcome.SERVED,
    planned=4,
    served=4,
    bytes=150,
    connect_us=1,
    first_byte_us=2,
    latency_p50_us=3,
    latency_p95_us=4,
    throughput_bytes_per_s=5,
)


@dataclass(frozen=True)
class Visit:
    """What is judged; a test replaces what it is about."""

    summary: VisitSummary = SUMMARY
    evidence: VisitEvidence | None = EVIDENCE
    task: Task = TASK
    target: Target = TARGET
    plan: VisitPlan = PLAN
    network: bytes = NETWORK

    def says(self, **changes: object) -> "Visit":
        """With another summary."""
        return replace(self, summary=self.summary.model_copy(update=changes))

    def shows(self, **changes: object) -> "Visit":
        """With other evidence."""
        assert self.evidence is not None
        return replace(self, evidence=self.evidence.model_copy(update=changes))

    def with_served(self, served: Sequence[Entry], *places: int) -> "Visit":
        """The hoster served, and signed for, something else; entries at `places` are listed."""
        chunks = {served[place].chunk for place in places}
        return self.shows(
            receipt=receipt_over(served), **shown(served, places), uncles=LIBRARY.uncles(chunks)
        )

    def with_truth(self, *chunks: int) -> "Visit":
        """The true leaves of these chunks are shown."""
        return self.shows(leaves=pack_leaves(Leaf(*LIBRARY.entry(chunk)[:3]) for chunk in chunks))

    def judge(self) -> Judged:
        return judge_visit(
            self.network, self.task, self.target, self.plan, self.summary, self.evidence
        )


VISIT = Visit()
