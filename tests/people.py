"""Who lives on the test network, and what they own: keys, coins, a library of chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from audit.entries import Entry, chunk_digest, pack_uncles
from chain.bodies.feeds import PublishFeed, Root, SignedHead, consent_to_publish
from chain.bodies.hosting import Offer, Register, claim_receipt_key, claim_swarm_key
from chain.bodies.plans import CreatePlan, Sla
from chain.endpoint import Endpoint
from chain.genesis import Genesis, GenesisBalance, GenesisValidator, Parameters
from feed import multiproof
from feed.manifest import Manifest, default_manifest, encode_manifest, manifest_key
from feed.signature import sign_head
from feed.tree import Appender, Node
from wire.keys import KeyPair, Use
from wire.primitives import blake2b_256

BALANCE = 10_000_000
START_MS = 1_800_000_000_000
BLOCK_MS = 1_000

PARAMETERS = Parameters(
    block_interval_ms=BLOCK_MS,
    registration_lag_blocks=2,
    epoch_blocks=12,
    gathering_blocks=0,
    committee_members=4,
    committee_minimum=3,
    committee_per_address=100,
    committee_per_network=100,
    challenge_targets=2,
    flip_blocks=3,
    flip_attempts=3,
    window_blocks=5,
    opening_blocks=6,
    samples_maximum=8,
    acknowledge_blocks=4,
    unbonding_blocks=40,
    fee_minimum_base=10,
    fee_base_per_kib=0,
    transaction_lifetime_blocks=50,
    block_transactions_maximum=100,
    attestor_stake_base=1_000,
    hoster_stake_base=1_000,
    contract_collateral_base=301,
    term_blocks=1_000,
    validator_stake_base=5_000,
    validator_unbonding_blocks=2_000,
    unopened_penalty_base=70,
    forged_report_penalty_base=500,
    answer_blocks=12,
    ask_bond_base=100,
    ask_rest_blocks=6,
    ask_memory_blocks=30,
    maintenance_blocks=3,
    maintenance_rest_blocks=40,
)
SLA = Sla(availability_ppm=900_000, latency_us=50_000, throughput_bytes_per_s=1_000)


@dataclass(frozen=True)
class Person:
    """Somebody with one master seed."""

    name: str

    @property
    def master(self) -> bytes:
        return blake2b_256(self.name.encode())

    def key(self, use: Use, *context: bytes) -> KeyPair:
        return _key(self.master, use, *context)

    @property
    def account(self) -> KeyPair:
        return self.key(Use.ACCOUNT)

    @property
    def id(self) -> bytes:
        return self.account.public

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=4000, swarm_key=self.key(Use.SWARM).public)

    def __repr__(self) -> str:
        return self.name


@cache
def _key(master: bytes, use: Use, *context: bytes) -> KeyPair:
    return KeyPair.derive(master, use, *context)


VALIDATOR, OWNER, STRANGER = Person("validator"), Person("owner"), Person("stranger")
HOSTERS = tuple(Person(f"hoster {number}") for number in range(3))
ATTESTORS = tuple(Person(f"attestor {number}") for number in range(6))
EVERYBODY = (VALIDATOR, OWNER, STRANGER, *HOSTERS, *ATTESTORS)
BY_ID = {person.id: person for person in EVERYBODY}


def genesis_validator(person: Person, stake_base: int = 5_000) -> GenesisValidator:
    """A validator of the first term."""
    return GenesisValidator(
        account=person.id,
        key=person.key(Use.VALIDATOR).public,
        vrf_key=person.key(Use.VRF).public,
        endpoint=Endpoint(host="127.0.0.1", port=4601, swarm_key=person.key(Use.SWARM).public),
        stake_base=stake_base,
    )


@cache
def genesis(parameters: Parameters = PARAMETERS) -> Genesis:
    """A network with one validator on which everybody has coins, but the stranger few."""
    return Genesis(
        name="test",
        time_ms=START_MS,
        parameters=parameters,
        validators=(genesis_validator(VALIDATOR),),
        balances=tuple(
            GenesisBalance(account=person.id, balance_base=100 if person is STRANGER else BALANCE)
            for person in EVERYBODY
        ),
    )


class Library:
    """A feed's chunks, tree and owner, with heads signed as Hypercore does."""

    def __init__(self, name: str, chunks: int, *, compat: bool = False) -> None:
        self.pair = OWNER.key(Use.FEED, name.encode())
        self.manifest: Manifest | None = None if compat else default_manifest(self.pair.public)
        self.key = manifest_key(self.manifest) if self.manifest else self.pair.public
        self.nodes: dict[int, Node] = {}
        self.tree = Appender()
        self.append(chunks)

    def append(self, chunks: int) -> None:
        for _ in range(chunks):
            for node in self.tree.append(self.chunk(self.tree.length)):
                self.nodes[node.index] = node

    @staticmethod
    def chunk(index: int) -> bytes:
        return f"chunk {index} of this library".encode()

    def entry(self, index: int, handshake_hash: bytes = b"s" * 64) -> Entry:
        """What both ends of a session note when this chunk is served."""
        node = self.nodes[2 * index]
        digest = chunk_digest(handshake_hash, self.chunk(index))
        return Entry(index, node.size, node.hash, digest)

    def uncles(self, indices: Sequence[int], length: int | None = None) -> bytes:
        return pack_uncles(
            multiproof.make(length or self.tree.length, sorted({*indices}), self.nodes.get)
        )

    def head(self, fork: int = 0) -> SignedHead:
        head = self.tree.head(fork)
        signature = sign_head(
            self.pair,
            self.key,
            self.manifest,
            fork=fork,
            length=head.length,
            tree_hash=head.tree_hash,
        )
        roots = tuple(Root(size=root.size, hash=root.hash) for root in self.tree.roots)
        return SignedHead(fork=fork, length=head.length, roots=roots, signature=signature)

    def consent(self, owner: Person) -> bytes:
        return consent_to_publish(self.pair, genesis().network, owner.id, self.key)

    def publish(self, **changes: object) -> PublishFeed:
        body = PublishFeed(
            feed=self.key,
            manifest=encode_manifest(self.manifest) if self.manifest else b"",
            head=self.head(),
            source=OWNER.endpoint,
            consent=self.consent(OWNER),
        )
        return body.model_copy(update=changes)


def register(
    person: Person,
    /,
    swarm: KeyPair | None = None,
    receipts: KeyPair | None = None,
    **changes: object,
) -> Register:
    """A good registration, with other keys where they are given."""
    swarm = swarm or person.key(Use.SWARM)
    receipts = receipts or person.key(Use.RECEIPT)
    body = Register(
        endpoint=Endpoint(host="127.0.0.1", port=4000, swarm_key=swarm.public),
        swarm_proof=claim_swarm_key(swarm, genesis().network, person.id),
        vrf_key=person.key(Use.VRF).public,
        receipt_key=receipts.public,
        receipt_proof=claim_receipt_key(receipts, genesis().network, person.id),
        offer=OFFER if person in HOSTERS else None,
        attests=person in ATTESTORS,
    )
    return body.model_copy(update=changes)


OFFER = Offer(capacity_bytes=1 << 30, price_base_per_gib=1_000)


def create_plan(feed: bytes, /, **changes: object) -> CreatePlan:
    body = CreatePlan(
        feed=feed,
        replicas=2,
        epochs=3,
        price_base=10_000,
        sla=SLA,
        samples=3,
        start_height=0,
    )
    return body.model_copy(update=changes)
