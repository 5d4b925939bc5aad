"""What attestors bring home: visits, receipts and reports, as they should be or otherwise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.evidence import VISIT_DOMAIN
from audit.messages import (
    Evidence,
    Outcome,
    Report,
    Served,
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
from wire import signing
from wire.codec import encode
from wire.keys import KeyPair, Use
from wire.primitives import blake2b_256

Behaviour = Callable[[Person, VisitPlan], str]


@dataclass(frozen=True)
class ReportParts:
    """A report and its evidence before they are bound to each other."""

    challenge: bytes
    plan_proof: bytes
    visits: tuple[VisitSummary, ...]
    evidence: Evidence

    SALT = b"s" * 32

    @property
    def sidecar(self) -> bytes:
        return encode(self.evidence)

    @property
    def report(self) -> Report:
        return Report(
            challenge=self.challenge,
            plan_proof=self.plan_proof,
            visits=self.visits,
            evidence=blake2b_256(self.sidecar),
        )

    def commit(self, world: World, attestor: Person) -> CommitReport:
        hidden = report_commitment(world.network, attestor.id, self.report, self.SALT)
        return CommitReport(challenge=self.challenge, commitment=hidden)

    def open(self) -> OpenReport:
        return OpenReport(report=self.report, salt=self.SALT)


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
    served = [library.leaf(index) for index in wanted]
    if how == "partial":
        served = served[:-1]
    if how == "fault":
        served[0] = served[0].model_copy(update={"hash": b"f" * 32})
    evidence = VisitEvidence(
        visit_key=visit_key(world, attestor, plan).public,
        visit_signature=signing.sign(
            visit_key(world, attestor, plan),
            VISIT_DOMAIN,
            world.network,
            visit_statement(world.challenge.challenge, plan.contract, attestor.id),
        ),
        receipt=make_receipt(world, attestor, plan, served),
        served=tuple(served),
        leaves=tuple(library.leaf(index) for index in wanted),
        uncles=library.uncles(wanted, drawn.head.length),
    )
    if how == "served":
        return summary(plan, len(wanted), Outcome.SERVED), evidence
    outcome = Outcome.FAULT if how == "fault" else Outcome.CHUNKS_MISSING
    return summary(plan, len(wanted) - 1, outcome), evidence


def visit_key(world: World, attestor: Person, plan: VisitPlan) -> KeyPair:
    return attestor.key(Use.VISIT, world.challenge.challenge, plan.contract)


def make_receipt(
    world: World,
    attestor: Person,
    plan: VisitPlan,
    served: Sequence[Served],
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
        handshake_hash=blake2b_256(attestor.master, plan.contract) * 2,
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
    evidence = Evidence(visits=tuple(shown for _, shown in visits), peers=())
    return ReportParts(
        world.challenge.challenge,
        world.plan_proof(attestor),
        tuple(summary for summary, _ in visits),
        evidence,
    )
