"""What must be true whatever happens: looked at with every step of every node."""

from collections import Counter
from typing import TYPE_CHECKING

from chain.blocks import Block, Header
from chain.consensus.gossip import Propose, Votes
from chain.consensus.knowledge import AHEAD_VIEWS
from chain.consensus.output import Output
from chain.consensus.port import Decided
from chain.faults import contradiction
from chain.light import verify_certificate
from chain.validators import ValidatorSet, view_input
from chain.votes import SignedVote, Vote
from wire import vrf
from wire.codec import Message

if TYPE_CHECKING:
    from tests.simulation.consensus.node import Node
    from tests.simulation.consensus.world import World

SLACK = 8

_EXCLUDES = {"finalize": "nullify", "nullify": "finalize"}


class Oracle:
    """Raises `AssertionError` as soon as something is wrong."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.chain: list[Block] = []
        """What any honest node holds to be final."""
        self.final_ms: list[int] = []
        """When each block was final first."""
        self.sets: dict[int, ValidatorSet] = {0: world.genesis.first_set}
        self.included: Counter[bytes] = Counter()
        self.convicted: set[int] = set()
        """Places whose contradictions an honest node has shown."""
        self.turned_away: list[tuple[int, int, str]] = []
        """(sender, receiver, why): messages that were refused."""
        self._spoken: dict[tuple[int, int, int, str], Vote] = {}

    def observe(self, node: "Node", output: Output) -> None:
        """Look at what a node's core has come to."""
        if node.honest:
            self._faults(node, output)
            self._bounded(node)

    def stored(self, node: "Node", decided: Decided) -> None:
        """A block is final for a node, and stays so."""
        if not node.honest:
            return
        self._final(len(node.disk.final), decided)
        validators = decided.prepared.draft.validators
        assert self.sets.setdefault(validators.term, validators) == validators

    def refused(self, sender: "Node", receiver: "Node", why: str) -> None:
        self.turned_away.append((sender.place, receiver.place, why))
        assert not (sender.honest and receiver.honest), why

    def _final(self, height: int, decided: Decided) -> None:
        block, chain = decided.prepared.block, self.chain
        header = block.header
        if height <= len(chain):
            assert chain[height - 1].header == header, f"two final blocks at height {height}"
        else:
            assert height == len(chain) + 1 == header.height
            before = chain[-1].header if chain else None
            assert header.parent == (before.id if before else self.world.genesis.network)
            assert before is None or header.time_ms > before.time_ms
            self._led(header)
            chain.append(block)
            self.final_ms.append(self.world.ms)
            self.included.update(signed.transaction.id for signed in block.transactions)
            assert all(count == 1 for count in self.included.values())
        assert block == chain[height - 1], "a final block with another body"
        if decided.certificate is not None:
            network, validators = self.world.genesis.network, self.sets[header.term]
            verify_certificate(network, validators, header, decided.certificate)

    def _led(self, header: Header) -> None:
        """A block is by whom its view's draw has named."""
        validators, network = self.sets[header.term], self.world.genesis.network
        alpha = view_input(network, validators.seed, header.term, header.view)
        output = vrf.verify(validators.committer(header.view).vrf_key, alpha, header.vrf_proof)
        assert header.proposer == validators.members[validators.leader(output)].account

    def _faults(self, node: "Node", output: Output) -> None:
        for first, second in output.faults:
            members = self.sets[first.vote.term].members
            key = members[first.index].key
            contradiction(self.world.genesis.network, key, first, second)
            guilty = [
                one for one in self.world.nodes if one.account == members[first.index].account
            ]
            assert not any(one.honest for one in guilty), "an honest validator is convicted"
            self.convicted.add(guilty[0].place)

    def hear(self, node: "Node", message: Message) -> None:
        """What an honest node says is on its disk, and contradicts nothing that it has said."""
        votes: tuple[SignedVote, ...] = ()
        if isinstance(message, Votes):
            votes = message.votes
        elif isinstance(message, Propose):
            votes = (message.signed,)
        for signed in votes if node.honest else ():
            vote = signed.vote
            if self.sets[vote.term].members[signed.index].account != node.account:
                continue  # it passes on what another has said
            place = (node.place, vote.term, vote.view)
            if (*place, vote.kind) not in self._spoken:
                kept = any(one is signed for one in reversed(node.disk.spoken))
                assert kept, "said before it was on the disk"
            said = self._spoken.setdefault((*place, vote.kind), vote)
            assert said == vote, f"{node.place} said two things: {said}, {vote}"
            other = _EXCLUDES.get(vote.kind)
            assert other is None or (*place, other) not in self._spoken

    def _bounded(self, node: "Node") -> None:
        core = node.engine.core
        known, branches = core.known, core.branches
        open_views = core.view - known.floor
        assert len(known.views) <= max(open_views, 0) + AHEAD_VIEWS + SLACK
        assert len(branches.wanted) <= max(open_views, 0) + SLACK
