"""What happens in one simulation, all of it decided by a seed: weather, faults, lies, clients."""

from collections.abc import Sequence
from functools import partial
from random import Random

from chain.bodies.coins import Stake, Transfer
from chain.bodies.validators import enlist
from chain.fees import with_least_fee
from chain.genesis import Genesis
from chain.messages import Body, SignedTransaction, Transaction, sign_transaction
from chain.records import Account
from chain.state import Draft
from tests.people import HOSTERS, OWNER, VALIDATOR, Person, genesis_validator
from tests.simulation.consensus.adversaries import LIARS, Twin
from tests.simulation.consensus.node import Node
from tests.simulation.consensus.world import CALM, DELAY_MS, STORM, Weather, World
from wire.keys import Use

CLIENTS = (OWNER, VALIDATOR, *HOSTERS)
HEALED_MS = 600_000
"""After healing all must be well by then. Timeouts may have grown to 26 times the delay."""

MORE_BLOCKS = 3
ASK_AGAIN_MS = 3_000


class Client:
    """Sends one transaction after another, by one validator that it trusts."""

    def __init__(self, world: World, person: Person, node: Node, bodies: Sequence[Body]) -> None:
        self.world = world
        self.person = person
        self.node = node
        self.bodies = bodies
        self.sent: list[SignedTransaction] = []

    @property
    def done(self) -> bool:
        return len(self.sent) == len(self.bodies)

    def act(self) -> None:
        """Send the next one, once the last was accepted."""
        if not self.done:
            number = len(self.sent)
            signed = signed_by(self.world.genesis, self.person, number, self.bodies[number])
            if self.node.submit(signed):
                self.sent.append(signed)
            self.world.after(self.world.pauses.randint(100, 1_500), self.act)

    def ask_again(self) -> None:
        """About what is not final: its validator may have lost it, or not have told the others."""
        due = nonce(self.node, self.person)
        if due < len(self.sent):
            self.node.submit(self.sent[due])
        self.world.after(ASK_AGAIN_MS, self.ask_again)


def nonce(node: Node, person: Person) -> int:
    account = Draft(node.ledger.state).accounts.get(person.id) or Account()
    return account.nonce


def signed_by(genesis: Genesis, person: Person, number: int, body: Body) -> SignedTransaction:
    transaction = Transaction(
        network=genesis.network,
        sender=person.id,
        nonce=number,
        fee_base=0,
        valid_until=90_000,
        body=body,
    )
    return sign_transaction(person.account, with_least_fee(genesis.parameters, transaction, b""))


def payments(number: int) -> list[Body]:
    return [
        Transfer(to=CLIENTS[place % len(CLIENTS)].id, amount_base=place)
        for place in range(1, number + 1)
    ]


def joining(genesis: Genesis, person: Person) -> list[Body]:
    """What makes somebody a validator of the next term."""
    key, vrf_key, swarm = (person.key(use) for use in (Use.VALIDATOR, Use.VRF, Use.SWARM))
    at = genesis_validator(person).endpoint
    return [
        Stake(role="validator", amount_base=genesis.parameters.validator_stake_base),
        enlist(genesis.network, person.id, key, vrf_key, swarm, at),
    ]


class History:
    """One world from its first block until all is well again."""

    def __init__(self, seed: int) -> None:
        plan = self.plan = Random(f"plan {seed}")
        count = self.count = plan.choice([1, 2, 4, 4, 4, 4, 4, 5, 7, 10])
        self.budget = (count - 1) // 3
        """How many may be false, or have lost what they said, at any time."""
        liars: dict[int, type[Node]] = {}
        for place in plan.sample(range(count), plan.randint(0, self.budget)):
            liars[place] = plan.choice(LIARS)
        self.budget -= len(liars)
        self.world = World(
            seed,
            count,
            liars,
            [place for place, kind in liars.items() if kind is Twin],
            term_blocks=plan.choice([5, 7, 12, 20, 1_000]),
            clearing_ms=plan.choice([0, 0, 0, DELAY_MS]),
            joiners=plan.choice([0, 0, 1]),
        )
        self.chaos_ms = plan.randint(5_000, 40_000)
        self.clients = [
            Client(self.world, person, self._trusted(), payments(plan.randint(1, 6)))
            for person in plan.sample(CLIENTS, plan.randint(1, len(CLIENTS)))
        ]
        self.clients += [
            Client(self.world, person, self._trusted(), joining(self.world.genesis, person))
            for person in self.world.people[count:]
        ]
        self._lost: set[int] = set()

    def _trusted(self) -> Node:
        return self.plan.choice([n for n in self.world.honest if n.place < self.count])

    def play(self) -> "History":
        """Run it; raises `AssertionError` with what went wrong."""
        world, plan = self.world, self.plan
        world.weather = plan.choice([CALM, CALM, STORM, self._weather()])
        world.disk_delay_ms = (0, plan.choice([0, 5, 50, 400]))
        for node in world.nodes:
            node.skew_ms = plan.randint(-4_000, 4_000) if plan.random() < 0.3 else 0
            late_ms = plan.choice([0, 0, plan.randint(0, 5_000)])
            world.at(late_ms, node.start)
        for client in self.clients:
            world.at(plan.randint(0, 3_000), client.act)
        for _ in range(plan.randint(0, 8)):
            fault = plan.choice([self._crash, self._crash, self._part, self._skew, self._storm])
            world.at(plan.randint(0, self.chaos_ms), fault)
        world.run(self.chaos_ms)
        self._heal()
        return self

    def _weather(self) -> Weather:
        plan = self.plan
        return Weather(
            delay_ms=(1, plan.choice([20, 200, 1_500])),
            loss_ppm=plan.choice([0, 50_000, 300_000]),
            duplicate_ppm=plan.choice([0, 300_000]),
        )

    def _crash(self) -> None:
        """One or all go down for a while; the disk has lost what was on its way to it."""
        plan, world = self.plan, self.world
        up = [node for node in world.nodes if node.alive]
        everybody = plan.random() < 0.2
        for node in up if everybody else plan.sample(up, min(1, len(up))):
            node.crash(kept=plan.choice([0, 0, 1]))
            damage = None if everybody else plan.choice([None, None, node.tear, node.wipe])
            known = node.place in self._lost or not node.honest
            wiped_late = world.oracle.chain and node.disk.spoken
            if damage and wiped_late and (known or self.budget > 0):
                damage()
                if not known:
                    self.budget -= 1
                    self._lost.add(node.place)
            world.after(plan.randint(1, 8_000), partial(self._restart, node, node.life))

    def _restart(self, node: Node, life: int) -> None:
        if not node.alive and node.life == life:
            node.start()

    def _part(self) -> None:
        world, plan = self.world, self.plan
        world.split(plan.sample(range(len(world.nodes)), plan.randint(1, len(world.nodes))))
        world.after(plan.randint(500, 8_000), world.heal)

    def _skew(self) -> None:
        """A clock goes wrong, beyond what others take from it."""
        if self.budget <= 0:
            return
        node = self.plan.choice(self.world.nodes)
        node.skew_ms += self.plan.choice([-60_000, -5_000, 5_000, 60_000])

    def _storm(self) -> None:
        self.world.weather = self._weather()

    def _heal(self) -> None:
        world = self.world
        world.heal()
        world.weather = CALM
        for node in world.nodes:
            node.skew_ms = max(-4_000, min(4_000, node.skew_ms))
            if not node.alive:
                self._restart(node, node.life)
        healed_ms, reached = world.ms, len(world.oracle.chain)
        for client in self.clients:
            client.ask_again()
        done = world.run(healed_ms + HEALED_MS, lambda: self._is_well(reached + MORE_BLOCKS))
        assert done, self.report

    def _is_well(self, height: int) -> bool:
        """All honest validators are level, and all that was accepted is final."""
        world = self.world
        if len(world.oracle.chain) < height:
            return False
        if any(node.ledger.height < height for node in world.honest):
            return False
        included = world.oracle.included
        return all(
            included[signed.transaction.id] == 1
            for client in self.clients
            for signed in client.sent
        ) and all(client.done for client in self.clients)

    @property
    def report(self) -> str:
        """Where everybody stands, when it does not go on."""
        lines = [
            f"seed {self.world.seed}: at {self.world.ms} ms, final {len(self.world.oracle.chain)}"
        ]
        for node in self.world.nodes:
            core = node.engine.core
            lines.append(
                f"{node.number} {type(node).__name__} alive={node.alive}"
                f" height={node.ledger.height}"
                f" term={core.term} view={core.view} floor={core.known.floor}"
                f" gaps={core.known.gaps(core.view, 5)} wanted={len(core.branches.wanted)}"
                f" pool={len(node.pool)} abstains={node.engine.abstains!r}"
            )
        lines += [
            f"{client.person} by {client.node.place}: sent {len(client.sent)},"
            f" final {[nonce(node, client.person) for node in self.world.nodes]}"
            for client in self.clients
        ]
        return "\n".join(lines)
