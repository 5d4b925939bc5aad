"""What attestors bring home: visits, receipts and reports, as they should be or otherwise."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from audit.entries import (
    Entry,
    Leaf,
    Listed,
    chunk_digest,
    fresh_key,
    pack_leaves,
    pack_listed,
)
from audit.evidence import VISIT_DOMAIN
from audit.messages import (
    Evidence,
    Outcome,
    ReportedVisit,
    SignedReceipt,
    VisitEvidence,
    VisitSummary,
    report_commitment,
    visit_statement,
)
from audit.plan import VisitPlan
from audit.receipts import ServedAccount, SessionBinding, sign_receipt
from chain.bodies.challenges import CommitReport, OpenReport
from tests.builders import World
from tests.people import BY_ID, Person
from wire import merkle, signing
from wire.codec import encode
from wire.keys import KeyPair, Use
from wire.primitives import blake2b_256

Behaviour = Callable[[Person, VisitPlan], str]


@dataclass(frozen=True)
class ReportParts:
    """A report before it is committed to."""

    challenge: bytes
    evidence: Evidence

    SALT = b"s" * 32

    @property
    def sidecar(self) -> bytes:
        return encode(self.evidence)

    @property
    def visits(self) -> tuple[ReportedVisit, ...]:
        return self.evidence.visits

    def with_evidence(self, **changes: object) -> "ReportParts":
        return replace(self, evidence=self.evidence.model_copy(update=changes))

    def with_visits(self, visits: Iterable[ReportedVisit]) -> "ReportParts":
        return self.with_evidence(visits=tuple(visits))

    def saying(self, **changes: object) -> "ReportParts":
        """With other summaries of all visits."""
        return self.with_visits(
            visit.model_copy(update={"summary": visit.summary.model_copy(update=changes)})
            for visit in self.visits
        )

    def showing(self, **changes: object) -> "ReportParts":
        """With other evidence of all visits."""
        return self.with_visits(
            visit.model_copy(
                update={"evidence": visit.evidence and visit.evidence.model_copy(update=changes)}
            )
            for visit in self.visits
        )

    def commit(self, world: World, attestor: Person) -> CommitReport:
        hidden = report_commitment(
            world.network, attestor.id, self.challenge, blake2b_256(self.sidecar)
        )
        return CommitReport(challenge=self.challenge, commitment=hidden)

    def open(self) -> OpenReport:
        return OpenReport(challenge=self.challenge, evidence=blake2b_256(self.sidecar))


def summary(plan: VisitPlan, served: int, outcome: Outcome) -> VisitSummary:
    return VisitSummary(
        outcome=outcome,
        planned=len(plan.indices),
        served=served,
        bytes=100,
        connect_us=1_000,
        first_byte_us=2_000,
        latency_p50_us=10_000,
        latency_p95_us=20_000,
        throughput_bytes_per_s=5_000,
    )


def make_visit(
    world: World, attestor: Person, plan: VisitPlan, how: str
) -> tuple[VisitSummary, VisitEvidence | None]:
    """One visit as it went: served, partial, fault, silent or skipped."""
    if how == "silent":
        return summary(plan, 0, Outcome.CONNECT_TIMEOUT), None
    if how == "skipped":
        return summary(plan, 0, Outcome.SKIPPED), None
    drawn = next(d for d in world.draw.eligible if d.contract == plan.contract)
    library = next(known for known in world.libraries.values() if known.key == drawn.feed)
    wanted = sorted(plan.indices)
    session = handshake_hash(attestor, plan)
    fresh = fresh_key(world.challenge.challenge, world.coin(), plan.contract, attestor.id)
    served = [library.entry(index, session) for index in wanted]
    truth = []
    if how == "partial":
        served = served[:-1]
    if how == "fault":
        truth = [Leaf(*served[0][:3])]
        served[0] = served[0]._replace(hash=b"f" * 32)
    places = range(len(served))
    evidence = VisitEvidence(
        visit_key=visit_key(world, attestor, plan).public,
        visit_signature=signing.sign(
            visit_key(world, attestor, plan),
            VISIT_DOMAIN,
            world.network,
            visit_statement(world.challenge.challenge, plan.contract, attestor.id),
        ),
        receipt=make_receipt(world, attestor, plan, served),
        listed=pack_listed(
            Listed(place, entry, chunk_digest(fresh, library.chunk(entry.chunk)))
            for place, entry in enumerate(served)
        ),
        list_proof=b"".join(merkle.multiproof(leaf_hashes(served), places)),
        leaves=pack_leaves(truth),
        uncles=library.uncles([entry.chunk for entry in served], drawn.head.length),
    )
    if how == "served":
        return summary(plan, len(wanted), Outcome.SERVED), evidence
    outcome = Outcome.FAULT if how == "fault" else Outcome.CHUNKS_MISSING
    return summary(plan, len(wanted) - 1, outcome), evidence


def leaf_hashes(served: Sequence[Entry]) -> list[bytes]:
    return [merkle.leaf_hash(entry.packed) for entry in served]


def handshake_hash(attestor: Person, plan: VisitPlan) -> bytes:
    return blake2b_256(attestor.master, plan.contract) * 2


def visit_key(world: World, attestor: Person, plan: VisitPlan) -> KeyPair:
    return attestor.key(Use.VISIT, world.challenge.challenge, plan.contract)


def make_receipt(
    world: World,
    attestor: Person,
    plan: VisitPlan,
    served: Sequence[Entry],
    *,
    signer: KeyPair | None = None,
    time_ms: int | None = None,
    **changes: object,
) -> SignedReceipt:
    """What the hoster signs over `served` in this visit, or something else."""
    drawn = next(d for d in world.draw.eligible if d.contract == plan.contract)
    account = ServedAccount()
    for entry in served:
        account.add(entry)
    binding = SessionBinding(
        network=world.network,
        hoster=drawn.hoster,
        handshake_hash=handshake_hash(attestor, plan),
        peer=visit_key(world, attestor, plan).public,
        feed=drawn.feed,
    )
    good = sign_receipt(
        signer or BY_ID[drawn.hoster].key(Use.RECEIPT),
        binding,
        account,
        fork=drawn.head.fork,
        length=drawn.head.length,
        sequence=1,
        time_ms=world.challenge.window_opened_ms + 1_500 if time_ms is None else time_ms,
    )
    if not changes:
        return good
    receipt = good.receipt.model_copy(update=changes)
    key = signer or BY_ID[drawn.hoster].key(Use.RECEIPT)
    signature = signing.sign(key, "receipt", world.network, encode(receipt))
    return SignedReceipt(receipt=receipt, signature=signature)


def account_of(world: World, attestor: Person, behave: "Behaviour | None" = None) -> "ReportParts":
    """An attestor's whole account of its visits; `behave` says how each one went."""
    visits = [
        make_visit(world, attestor, plan, behave(attestor, plan) if behave else "served")
        for plan in world.visit_plans(attestor)
    ]
    evidence = Evidence(
        salt=ReportParts.SALT,
        plan_proof=world.plan_proof(attestor),
        visits=tuple(ReportedVisit(summary=said, evidence=shown) for said, shown in visits),
        peers=(),
    )
    return ReportParts(world.challenge.challenge, evidence)
