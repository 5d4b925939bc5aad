"""A challenge whose members have all reported, with evidence as attestors make it.

Made by the code that attestors and hosters run; only sockets are left out, and all chunks of a
feed are small.
"""

from dataclasses import dataclass

from attestor.visit import Arrival, Visit, conclude
from audit.entries import chunk_digest, entry_of, fresh_key
from audit.messages import Evidence, Outcome, ReportedVisit, report_commitment
from audit.plan import VisitPlan, plan_input, visit_plans
from audit.receipts import ServedAccount, SessionBinding, sign_receipt
from chain.bodies.challenges import OpenReport
from chain.bodies.plans import Sla
from chain.challenge_records import ChallengeRecord, DrawnAttestor, DrawnContract, DrawRecord
from chain.challenges.committee import MemberHash
from chain.challenges.judging import target_of, targets_of
from chain.context import BlockContext
from chain.genesis import Parameters
from chain.head import Head
from chain.messages import SignedTransaction, Transaction, sign_transaction
from chain.records import ContractRecord, PlanRecord
from chain.sponsors import Sponsor
from chain.state import Draft, State
from feed.tree import Appender, Node
from wire import vrf
from wire.codec import encode
from wire.keys import KeyPair, Use
from wire.primitives import blake2b_256

NETWORK = blake2b_256(b"benchmark")
COIN = blake2b_256(b"coin")
CHALLENGE = blake2b_256(b"challenge")
OPENED_MS, CLOSED_MS = 1_800_000_000_000, 1_800_000_300_000
HEIGHT = 1_000


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is to report of."""

    attestors: int = 10
    targets: int = 1
    chunks: int = 1_000
    """Of each feed."""
    samples: int = 30


@dataclass(frozen=True, slots=True)
class Round:
    """What the chain knows when the reports come, and the reports."""

    parameters: Parameters
    challenge: ChallengeRecord
    draw: DrawRecord
    reports: tuple[SignedTransaction, ...]
    state: State
    block: BlockContext
    """That all of the reports are in."""


def make_round(scale: Scale) -> Round:
    """A challenge of this scale, with a sound report of every member."""
    parameters = Parameters(
        challenge_targets=scale.targets, committee_members=scale.attestors, committee_minimum=2
    )
    feeds = [_Feed(number, scale.chunks) for number in range(scale.targets)]
    members = sorted(_key(Use.ACCOUNT, f"attestor {n}").public for n in range(scale.attestors))
    keys = {
        _key(Use.ACCOUNT, f"attestor {n}").public: f"attestor {n}" for n in range(scale.attestors)
    }
    draw = DrawRecord(
        challenge=CHALLENGE,
        height=1,
        attestors=tuple(
            DrawnAttestor(account=member, vrf_key=_key(Use.VRF, keys[member]).public)
            for member in members
        ),
        eligible=tuple(feed.drawn(scale.samples) for feed in feeds),
    )
    challenge = ChallengeRecord(
        challenge=CHALLENGE,
        epoch=1,
        status="opening",
        attempt=0,
        members=tuple(members),
        drawn_height=1,
        seal_deadline=2,
        window_opened_ms=OPENED_MS,
        window_closed_ms=CLOSED_MS,
        opening_deadline=HEIGHT + 10,
        coin=COIN,
    )
    by_feed = {feed.key: feed for feed in feeds}
    told = [
        _report(parameters, challenge, draw, by_feed, keys[member], _key(Use.ACCOUNT, keys[member]))
        for member in members
    ]
    commitments = tuple(
        MemberHash(
            member=member,
            commitment=report_commitment(NETWORK, member, CHALLENGE, blake2b_256(signed.sidecar)),
        )
        for member, signed in zip(members, told, strict=True)
    )
    challenge = challenge.model_copy(update={"commitments": commitments})
    block = BlockContext(
        network=NETWORK,
        parameters=parameters,
        height=HEIGHT,
        time_ms=CLOSED_MS + 1,
        proposer=_key(Use.ACCOUNT, "proposer").public,
        vrf_output=bytes(64),
        term=0,
        view=HEIGHT,
        parent_view=HEIGHT - 1,
    )
    return Round(parameters, challenge, draw, tuple(told), _state(challenge, draw), block)


class _Feed:
    """One feed and the hoster of it."""

    def __init__(self, number: int, chunks: int) -> None:
        self.name = f"feed {number}"
        self.key = _key(Use.FEED, self.name).public
        self.hoster = _key(Use.ACCOUNT, f"hoster {number}").public
        self.receipts = _key(Use.RECEIPT, f"hoster {number}")
        self.nodes: dict[int, Node] = {}
        tree = Appender()
        for index in range(chunks):
            for node in tree.append(self.chunk(index)):
                self.nodes[node.index] = node
        self.head = tree.head(0)

    def chunk(self, index: int) -> bytes:
        return f"{index} of {self.name}".encode()

    def drawn(self, samples: int) -> DrawnContract:
        return DrawnContract(
            contract=blake2b_256(self.key),
            hoster=self.hoster,
            owner=_key(Use.ACCOUNT, "owner").public,
            feed=self.key,
            receipt_key=self.receipts.public,
            head=Head(
                fork=0,
                length=self.head.length,
                byte_length=self.head.byte_length,
                tree_hash=self.head.tree_hash,
            ),
            samples=samples,
        )


def _key(use: Use, name: str) -> KeyPair:
    return KeyPair.derive(blake2b_256(name.encode()), use)


def _report(
    parameters: Parameters,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    feeds: dict[bytes, _Feed],
    name: str,
    account: KeyPair,
) -> SignedTransaction:
    proof = vrf.prove(_key(Use.VRF, name), plan_input(NETWORK, CHALLENGE, COIN))
    targets = targets_of(parameters, draw, COIN)
    plans = visit_plans(COIN, challenge.members, account.public, proof, targets)
    drawn = {contract.contract: contract for contract in draw.eligible}
    evidence = Evidence(
        salt=blake2b_256(name.encode()),
        plan_proof=proof,
        visits=tuple(
            _visit(plan, drawn[plan.contract], feeds[drawn[plan.contract].feed], account.public)
            for plan in plans
        ),
        peers=(),
    )
    sidecar = encode(evidence)
    transaction = Transaction(
        network=NETWORK,
        sender=account.public,
        nonce=1_000,
        fee_base=100_000,
        valid_until=1_000_000,
        body=OpenReport(challenge=CHALLENGE, evidence=blake2b_256(sidecar)),
    )
    return sign_transaction(account, transaction, sidecar)


def _visit(plan: VisitPlan, drawn: DrawnContract, feed: _Feed, attestor: bytes) -> ReportedVisit:
    key = KeyPair(blake2b_256(plan.contract, attestor))
    session = blake2b_256(key.public) * 2
    fresh = fresh_key(CHALLENGE, COIN, plan.contract, attestor)
    account, arrivals = ServedAccount(), []
    for place, index in enumerate(plan.indices):
        data = feed.chunk(index)
        entry = entry_of(index, feed.nodes[2 * index].hash, data, session)
        account.add(entry)
        arrivals.append(
            Arrival(entry, chunk_digest(fresh, data), 1_000 * place, 1_000 * place + 500)
        )
    binding = SessionBinding(NETWORK, drawn.hoster, session, key.public, drawn.feed)
    receipt = sign_receipt(
        feed.receipts,
        binding,
        account,
        fork=0,
        length=drawn.head.length,
        sequence=2,
        time_ms=OPENED_MS + 5_000,
    )
    seen = Visit(started_us=0, connected_us=50, arrivals=arrivals, receipt=receipt)
    summary, shown = conclude(
        seen,
        plan,
        target_of(drawn),
        feed.nodes.get,
        network=NETWORK,
        challenge=CHALLENGE,
        attestor=attestor,
        key=key,
    )
    assert summary.outcome is Outcome.SERVED
    return ReportedVisit(summary=summary, evidence=shown)


def _state(challenge: ChallengeRecord, draw: DrawRecord) -> State:
    """Contracts and plans of the targets, with enough to pay for many rounds."""
    state = State()
    draft = Draft(state)
    draft.challenges.put(CHALLENGE, challenge)
    draft.draws.put(CHALLENGE, draw)
    draft.meta = draft.meta.model_copy(update={"open_challenges": (CHALLENGE,), "height": HEIGHT})
    for drawn in draw.eligible:
        plan = blake2b_256(drawn.contract)
        draft.contracts.put(
            drawn.contract,
            ContractRecord(
                contract=drawn.contract,
                plan=plan,
                feed=drawn.feed,
                owner=drawn.owner,
                hoster=drawn.hoster,
                status="active",
                head=drawn.head,
                bytes=drawn.head.byte_length,
                collateral_base=100_000,
                acknowledge_by=1,
                epochs_left=1_000,
                samples=drawn.samples,
            ),
        )
        draft.plans.put(
            plan,
            PlanRecord(
                plan=plan,
                owner=drawn.owner,
                feed=drawn.feed,
                replicas=1,
                epochs=1_000,
                price_base=100_000,
                sla=Sla(availability_ppm=900_000, latency_us=1_000_000, throughput_bytes_per_s=1),
                samples=drawn.samples,
                start_height=1,
                escrow_base=100_000_000,
                sponsors=(Sponsor(account=drawn.owner, part_base=100_000_000),),
                status="running",
            ),
        )
    state.commit(draft)
    return state
