"""Valid by default: a small network and everything that happens on it, step by step.

A `World` is a ledger and the people on it (`people.py`). `stages.py` has worlds at every point of
a plan's life, made by real transactions in real blocks; tests state only what is different:
`world.do(person, body)`, `world.pass_blocks(3)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from audit.plan import Eligible, VisitPlan, plan_input, visit_plans
from chain.blocks import TransactionOutcome
from chain.bodies.challenges import OpenCoin, SealCoin
from chain.bodies.hosting import Acknowledge
from chain.bodies.keys import rotate_to
from chain.challenge_records import ChallengeRecord, DrawRecord, LineUp
from chain.challenges.judging import targets_of
from chain.context import BlockContext
from chain.genesis import Genesis, Parameters
from chain.messages import Body, SignedTransaction, Transaction, sign_transaction
from chain.money import held_base
from chain.records import ContractRecord, PlanRecord
from chain.rules.seal_coin import topic
from chain.state import Draft, State
from chain.transition import Execution, execute
from coinflip.messages import (
    CoinOpening,
    Commit,
    Echo,
    Reveal,
    RevealProof,
    Secret,
    sign_body,
)
from coinflip.opening import open_coin, seal_digest
from coinflip.shamir import commitment, leaves_hash, share_out
from tests.people import BLOCK_MS, BY_ID, START_MS, VALIDATOR, Library, Person
from wire import vrf
from wire.keys import KeyPair, Use, derive
from wire.primitives import blake2b_256


@dataclass
class World:
    """One ledger with its people; a test changes its own fork."""

    genesis: Genesis
    state: State
    height: int = 0
    libraries: dict[str, Library] = field(default_factory=dict)
    blocks: list[tuple[BlockContext, tuple[SignedTransaction, ...]]] = field(default_factory=list)
    """All that was executed, for replay."""
    focus: bytes = b""
    """The challenge that is spoken of, when there is a newer one."""
    view: int = 0
    """Of the last block, in the present term."""
    failing: int = 0
    """Views that fail before the next block."""
    keys: dict[bytes, KeyPair] = field(default_factory=dict)
    """What signs for accounts that have rotated."""

    @property
    def network(self) -> bytes:
        return self.genesis.network

    @property
    def parameters(self) -> Parameters:
        return self.genesis.parameters

    @property
    def draft(self) -> Draft:
        """A view of the present state."""
        return Draft(self.state)

    def fork(self) -> "World":
        state = State()
        state.records, state.tree = dict(self.state.records), self.state.tree
        libraries, blocks = dict(self.libraries), list(self.blocks)
        return World(
            self.genesis,
            state,
            self.height,
            libraries,
            blocks,
            self.focus,
            self.view,
            keys=dict(self.keys),
        )

    def context(self, height: int | None = None) -> BlockContext:
        height = self.height + 1 if height is None else height
        return BlockContext(
            network=self.network,
            parameters=self.parameters,
            height=height,
            time_ms=START_MS + height * BLOCK_MS,
            proposer=VALIDATOR.id,
            vrf_output=blake2b_256(b"vrf", height.to_bytes(8, "big")) * 2,
            term=self.draft.validators.term,
            view=self.view + self.failing + 1,
            parent_view=self.view,
        )

    def key_of(self, person: Person) -> KeyPair:
        """What signs for somebody."""
        return self.keys.get(person.id, person.account)

    def rotate(self, person: Person, key: KeyPair) -> None:
        """Have another key sign for somebody from now on."""
        self.must(person, rotate_to(key, self.network, person.id))
        self.keys[person.id] = key

    def sign(
        self, person: Person, body: Body, sidecar: bytes = b"", **changes: object
    ) -> SignedTransaction:
        account, key = self.draft.accounts.get(person.id), self.key_of(person)
        transaction = Transaction(
            network=self.network,
            sender=person.id,
            nonce=account.nonce if account else 0,
            fee_base=10,
            valid_until=self.height + 10,
            body=body,
            signer=None if key is person.account else key.public,
        ).model_copy(update=changes)
        return sign_transaction(key, transaction, sidecar)

    def execute(self, *signed: SignedTransaction) -> Execution:
        """The next block, not committed."""
        return execute(self.state, self.context(), signed)

    def block(self, *signed: SignedTransaction) -> tuple[TransactionOutcome, ...]:
        """Commit the next block."""
        context = self.context()
        execution = execute(self.state, context, signed)
        self.state.commit(execution.draft)
        self.height += 1
        self.view = context.view if self.draft.validators.term == context.term else 0
        self.failing = 0
        self.blocks.append((context, signed))
        assert self.coins() == self.genesis.supply_base
        return execution.outcomes

    def do(self, person: Person, body: Body, sidecar: bytes = b"") -> str:
        """Commit a block with one transaction; returns its reason, empty when applied."""
        (outcome,) = self.block(self.sign(person, body, sidecar))
        return outcome.reason

    def must(self, person: Person, body: Body, sidecar: bytes = b"") -> None:
        reason = self.do(person, body, sidecar)
        assert not reason, reason

    def pass_blocks(self, count: int = 1) -> None:
        for _ in range(count):
            self.block()

    def pass_until(self, height: int) -> None:
        while self.height < height:
            self.block()

    def coins(self) -> int:
        """All coins in all records, counted one by one."""
        return sum(held_base(record) for record in self.state.records.values())

    def balance(self, person: Person) -> int:
        return self.draft.accounts.at(person.id).balance_base

    # what is there

    @property
    def library(self) -> Library:
        return self.libraries["library"]

    @property
    def plan(self) -> PlanRecord:
        feed = self.draft.feeds.at(self.library.key)
        return self.draft.plans.at(feed.plans[-1])

    @property
    def contracts(self) -> list[ContractRecord]:
        return [self.draft.contracts.at(contract) for contract in self.plan.contracts]

    @property
    def challenge(self) -> ChallengeRecord:
        """The challenge in focus, or else the newest."""
        if self.focus:
            return self.draft.challenges.at(self.focus)
        keys = [key for table, key in self.state.records if table.name == "CHALLENGE"]
        return max((self.draft.challenges.at(key) for key in keys), key=lambda c: c.epoch)

    @property
    def line_up(self) -> LineUp:
        return self.draft.line_ups.at(b"")

    @property
    def draw(self) -> DrawRecord:
        return self.draft.draws.at(self.challenge.challenge)

    @property
    def members(self) -> list[Person]:
        return [BY_ID[member] for member in self.challenge.members]

    # what people do

    def acknowledge(self, contract: ContractRecord, /, **changes: object) -> Acknowledge:
        head = self.draft.feeds.at(contract.feed).head
        body = Acknowledge(
            contract=contract.contract,
            fork=head.fork,
            length=head.length,
            tree_hash=head.tree_hash,
        )
        return body.model_copy(update=changes)

    def secret(self, member: Person) -> bytes:
        return derive(member.master, Use.COIN, self.topic(), b"secret")

    def topic(self) -> bytes:
        return topic(self.network, self.challenge)

    def commits(self) -> tuple[Commit, ...]:
        name, members = self.topic(), self.members
        return tuple(
            Commit(
                exchange_key=blake2b_256(b"exchange", voice),
                commitment=commitment(name, voice, self.secret(member)),
                leaves_hash=leaves_hash(
                    name,
                    voice,
                    share_out(name, voice, self.secret(member), len(members)).leaves,
                ),
            )
            for voice, member in zip(self.voices, members, strict=True)
        )

    @property
    def voices(self) -> tuple[bytes, ...]:
        """The keys that the challenge's members speak with."""
        return self.challenge.voices(self.challenge.members)

    def seal_of(self, commits: tuple[Commit, ...], **changes: object) -> SealCoin:
        challenge = self.challenge
        digest = seal_digest(self.topic(), self.voices, commits)
        body = SealCoin(
            challenge=challenge.challenge,
            attempt=challenge.attempt,
            digest=digest,
            signatures=tuple(
                sign_body(
                    self.key_of(member), self.network, self.topic(), Echo(digest=digest)
                ).signature
                for member in self.members
            ),
        )
        return body.model_copy(update=changes)

    def seal(self, **changes: object) -> SealCoin:
        return self.seal_of(self.commits(), **changes)

    def opening(self) -> CoinOpening:
        parts = tuple(Secret(value=self.secret(member)) for member in self.members)
        return CoinOpening(commits=self.commits(), parts=parts)

    def coin(self) -> bytes:
        """The coin of the newest challenge, which the members know once it is sealed."""
        digest = self.challenge.digest
        assert digest is not None
        return open_coin(self.topic(), self.voices, digest, self.opening()).value

    def reveals(self, *places: int) -> tuple[RevealProof, ...]:
        """The proofs that members revealed: of those at these places."""
        members, name = self.members, self.topic()
        return tuple(
            RevealProof(
                member=place,
                signature=sign_body(
                    self.key_of(members[place]),
                    self.network,
                    name,
                    Reveal(secret=self.secret(members[place])),
                ).signature,
            )
            for place in places
        )

    def open_coin(self, *, silent: Sequence[int] = ()) -> OpenCoin:
        """By one that heard all members reveal but the silent ones."""
        heard = [place for place in range(len(self.members)) if place not in silent]
        return OpenCoin(
            challenge=self.challenge.challenge,
            opening=self.opening(),
            reveals=self.reveals(*heard),
        )

    def targets(self) -> list[Eligible]:
        return targets_of(self.parameters, self.draw, self.coin())

    def plan_proof(self, attestor: Person) -> bytes:
        alpha = plan_input(self.network, self.challenge.challenge, self.coin())
        return vrf.prove(attestor.key(Use.VRF), alpha)

    def visit_plans(self, attestor: Person) -> list[VisitPlan]:
        return visit_plans(
            self.coin(),
            self.challenge.members,
            attestor.id,
            self.plan_proof(attestor),
            self.targets(),
        )
