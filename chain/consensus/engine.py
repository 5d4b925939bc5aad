"""One validator in all terms: the core of the present one, and the repair of what was lost.

Messages may be lost, so everybody says again and again where it stands, and what it said last;
whoever is further sends what the other lacks. Pure, like the core.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from chain.blocks import Block
from chain.consensus.gossip import (
    MAX_ANSWER_VIEWS,
    MAX_WANTED,
    Agreement,
    Announce,
    Certificates,
    Propose,
    Range,
    Status,
    Supply,
    Votes,
    WantBlocks,
    WantRange,
)
from chain.consensus.output import Now, Output
from chain.consensus.port import LedgerPort
from chain.consensus.simplex import Choose, Simplex
from chain.consensus.tally import Seat
from chain.genesis import Genesis
from chain.runs import BlockRun, Catchup
from chain.validators import ValidatorSet
from chain.votes import Certificate, SignedVote
from wire.errors import Malformed
from wire.keys import KeyPair

log = structlog.get_logger()

RANGE_DELAYS = 4
"""How many times the usual delay final blocks are waited for, before another is asked."""

NEVER_MS = -(1 << 62)

REPEATED_VIEWS = 8
"""Own votes of so many views are said again with each beat."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a validator signs and draws with."""

    key: KeyPair
    vrf_key: KeyPair


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a validator's own log of votes says at a start."""

    spoken: tuple[SignedVote, ...] = ()
    blocks: tuple[Block, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    votes_from_term: int = 0
    """Earlier terms may hold votes that the log has lost: there it only watches."""
    votes_from_height: int = 0
    """Votes on blocks up to this height were dropped when they were final: a chain that is lower
    was brought back from somewhere, and must catch up first."""
    fresh: bool = False
    """Nothing was ever written to it."""


class Engine:
    """Drives one ledger by what it hears; the shell does what `output` says."""

    def __init__(
        self,
        genesis: Genesis,
        ledger: LedgerPort,
        keys: Keys | None,
        choose: Choose,
        remembered: Remembered,
    ) -> None:
        self.genesis = genesis
        self.output = Output()
        self._ledger = ledger
        self._keys = keys
        self._choose = choose
        self._votes_from_term = remembered.votes_from_term
        self._votes_from_height = remembered.votes_from_height
        self._remembered = remembered
        self._catchup = Catchup(ledger)
        self._accused: dict[tuple[int, int], bytes] = {}
        """Whose keys reported votes are signed with, by term and place."""
        self._core: Simplex | None = None
        self._heights: dict[bytes, int] = {}
        """How far each other validator is, while that must be known before this one votes."""
        # One validator alone that has its database has all that anybody was shown.
        self._probation = remembered.fresh and (
            len(self.validators.members) > 1 or self.height == 0
        )
        self._started_wall_ms = 0
        self._beat_ms = 0
        self._beat_view = (0, 0)
        self._ahead: dict[bytes, int] = {}
        """Heights that others say they have, above this one's."""
        self._asked_range_ms = NEVER_MS
        """When the answer that is waited for was asked for."""
        self._turn = 0
        self._asked: dict[bytes, int] = {}
        self._answered_ms: dict[bytes, int] = {}
        self._supplied: dict[bytes, tuple[int, int]] = {}
        """When each validator first asked for blocks in this beat, and for how many."""
        self._reported: set[tuple[int, int, int]] = set()

    @property
    def core(self) -> Simplex:
        """The consensus of the present term."""
        assert self._core is not None, "the engine was not started"
        return self._core

    @property
    def validators(self) -> ValidatorSet:
        """Who finalizes the next block."""
        return self._ledger.validators

    @property
    def height(self) -> int:
        """Height of the last final block."""
        return self._ledger.tip.height if self._ledger.tip else 0

    @property
    def seated(self) -> bool:
        """Whether this node votes at present."""
        return self._seat() is not None

    @property
    def abstains(self) -> str:
        """Why a validator of the present set does not vote; empty while it does, or is none."""
        if self._keys is None or self.validators.place(self._keys.key.public) is None:
            return ""
        if self._probation:
            return "its log of votes is new: it waits to hear how far the chain is"
        if self.height < self._votes_from_height:
            return f"it has voted up to block {self._votes_from_height}, and must catch up first"
        if self.core.term < self._votes_from_term:
            return (
                "its log of votes is damaged or new, so it cannot know what it has signed: "
                f"it votes again from term {self._votes_from_term} on"
            )
        return ""

    # Events

    def start(self, now: Now) -> None:
        """Begin, or go on after a restart."""
        self._started_wall_ms = now.wall_ms
        self._begin_term(now)
        self._beat_ms = now.ms
        self.tick(now)

    def receive(  # noqa: C901 - one case per kind is the point
        self, peer: bytes, message: Agreement | Range, now: Now
    ) -> None:
        """A message of the validator with Noise key `peer`; raises `Malformed` for a lie."""
        core = self.core
        try:
            match message:
                case Announce():
                    core.hear_announce(message, now)
                case Propose():
                    self._require_own(peer, message.signed)
                    core.hear_proposal(message, now)
                case Votes():
                    for signed in message.votes:
                        core.hear_vote(signed, now)
                case Certificates():
                    for certificate in message.certificates:
                        core.hear_certificate(certificate, now)
                case Status():
                    self._hear_status(peer, message, now)
                case WantBlocks():
                    self._supply(peer, message.blocks, now)
                case Supply():
                    core.hear_block(message.block, now)
                case Range():
                    self._take_range(peer, message.run, now)
        finally:
            self._after(now)

    def tick(self, now: Now) -> None:
        """Time has passed."""
        self.core.tick(now)
        if now.ms >= self._beat_ms:
            self._beat(now)
        self._after(now)

    def wake_at(self, now: Now) -> int:
        """When `tick` is to be called at the latest, by the clock that only goes forward."""
        return min(self._beat_ms, self.core.wake_at(now))

    # Terms

    def _seat(self) -> Seat | None:
        validators = self.validators
        if self._keys is None or self._probation or self.height < self._votes_from_height:
            return None
        # One validator alone has shown nobody what is not in its database.
        if validators.term < self._votes_from_term and len(validators.members) > 1:
            return None
        place = validators.place(self._keys.key.public)
        return None if place is None else Seat(place, self._keys.key, self._keys.vrf_key)

    def key_of(self, signed: SignedVote) -> bytes:
        """The key that signed a reported vote, perhaps in a term that is over."""
        return self._accused[signed.vote.term, signed.index]

    def _begin_term(self, now: Now) -> None:
        self._core = Simplex(self.genesis, self._ledger, self._seat(), self._choose, self.output)
        self._asked = {}
        past, term = self._remembered, self._core.term
        self._core.start(now, past.spoken, past.blocks, past.certificates)
        # Its votes may be of a later term than its last final block was.
        self._remembered = Remembered(
            tuple(signed for signed in past.spoken if signed.vote.term > term),
            tuple(block for block in past.blocks if block.header.term > term),
            tuple(each for each in past.certificates if each.vote.term > term),
        )

    def _require_own(self, peer: bytes, signed: SignedVote) -> None:
        """A block comes from its leader itself: others could put a wrong body to its header."""
        members = self.validators.members
        if signed.vote.term == self.core.term and (
            signed.index >= len(members) or members[signed.index].endpoint.swarm_key != peer
        ):
            raise Malformed("a proposal that its leader did not send")

    def _after(self, now: Now) -> None:
        """What an event may have brought about: faults to report, and the next term."""
        while True:
            self._report()
            if not self.core.over:
                break
            self._begin_term(now)
        if not self.core.seated and (seat := self._seat()) is not None:
            self.core.take_seat(seat, now)

    def _report(self) -> None:
        found, self.core.known.contradictions = self.core.known.contradictions, []
        for first, second in found:
            name = (first.vote.term, first.vote.view, first.index)
            if name not in self._reported:
                self._reported.add(name)
                key = self.core.validators.members[first.index].key
                self._accused[first.vote.term, first.index] = key
                self.output.faults.append((first, second))
        if len(self._reported) > 10_000:
            self._reported.clear()

    # Repair

    def _beat(self, now: Now) -> None:
        """Say where this node stands, what it said last, and what it lacks."""
        core = self.core
        interval_ms = self.genesis.parameters.network_delay_ms
        self._beat_ms = now.ms + interval_ms
        highest = core.known.highest(core.view)
        status = Status(
            term=core.term,
            view=core.view,
            height=self.height,
            notarized=highest.vote.view if highest else 0,
            gaps=core.known.gaps(core.view, MAX_ANSWER_VIEWS),
        )
        self.output.to_all(status)
        if (core.term, core.view) == self._beat_view:
            votes = core.own_votes(core.view - REPEATED_VIEWS)
            if votes:
                self.output.to_all(Votes(votes=tuple(votes)))
            words = core.own_words()
            if words is not None:
                heard = core.known.view(core.view).voters
                members = enumerate(self.validators.members)
                silent = {each.endpoint.swarm_key for n, each in members if n not in heard}
                self.output.say += [(peer, words) for peer in self._others() if peer in silent]
        self._beat_view = (core.term, core.view)
        self._want(now)
        self._ask_range(now)

    def _want(self, now: Now) -> None:
        """Ask one validator after another for blocks that did not come by themselves."""
        others = self._others()
        wanted = self.core.branches.wanted
        patience_ms = self.genesis.parameters.network_delay_ms // 2
        due = [name for name, since in wanted.items() if now.ms >= since + patience_ms]
        for name in due[:MAX_WANTED]:
            attempt = self._asked.get(name, name[0])
            self._asked[name] = attempt + 1
            if others:
                asked = others[attempt % len(others)]
                self.output.say.append((asked, WantBlocks(blocks=(name,))))

    def _others(self) -> list[bytes]:
        mine = self._keys.key.public if self._keys else b""
        return [m.endpoint.swarm_key for m in self.validators.members if m.key != mine]

    def _supply(self, peer: bytes, names: Sequence[bytes], now: Now) -> None:
        """Pass blocks on, unless their leader sent them here with another body than their own.

        To one validator no more in a beat than fit one question: they are large.
        """
        begun_ms, count = self._supplied.get(peer, (now.ms, 0))
        if now.ms >= begun_ms + self.genesis.parameters.network_delay_ms:
            begun_ms, count = now.ms, 0
        branches = self.core.branches
        for name in sorted(set(names))[: MAX_WANTED - count]:
            count += 1
            if self.core.known.is_notarized(name):
                branches.execute(name, now.ms)
            prepared = self._ledger.prepared(name)
            block = prepared.block if prepared else branches.side.get(name)
            if block is not None:
                self.output.say.append((peer, Supply(block=block)))
        self._supplied[peer] = (begun_ms, count)

    def _hear_status(self, peer: bytes, status: Status, now: Now) -> None:
        self._leave_probation(peer, status, now)
        if status.height > self.height:
            self._ahead[peer] = status.height
            if status.height > self.height + 2:
                self._ask_range(now)
            return
        core = self.core
        patience_ms = self.genesis.parameters.network_delay_ms // 4
        if status.term != core.term or now.ms < self._answered_ms.get(peer, 0) + patience_ms:
            return
        lacking = sorted({*status.gaps, *range(status.view, core.view)})[:MAX_ANSWER_VIEWS]
        found = [
            certificate
            for number in lacking
            if (view := core.known.views.get(number)) is not None
            for certificate in (view.notarized or view.nullified,)
            if certificate is not None
        ]
        highest = core.known.highest(core.view)
        if highest is not None and highest.vote.view > status.notarized and highest not in found:
            found.append(highest)
        if found:
            self._answered_ms[peer] = now.ms
            self.output.say.append((peer, Certificates(certificates=tuple(found))))

    def _leave_probation(self, peer: bytes, status: Status, now: Now) -> None:
        """Who starts with nothing votes at once only where all is new; so it hears the others out.

        Else its disk was wiped: it cannot know what it signed in the term that the chain is in,
        and knows which that is by a block that was written after it started.
        """
        others = self._others()
        if not self._probation or peer not in others:
            return
        tip = self._ledger.tip
        if tip is not None:
            tolerance_ms = self.genesis.parameters.clock_tolerance_ms
            if tip.time_ms > self._started_wall_ms + tolerance_ms:
                self._probation = False
                self._votes_from_term = max(self._votes_from_term, self.core.term + 1)
            return
        self._heights[peer] = status.height
        new = [other for other in others if self._heights.get(other) == 0]
        self._probation = len(new) < self.validators.quorum - 1

    # Final blocks from others

    def _ask_range(self, now: Now) -> None:
        """Ask one of those that say they are further, each in its turn: some may lie."""
        further = sorted(peer for peer, height in self._ahead.items() if height > self.height)
        patience_ms = RANGE_DELAYS * self.genesis.parameters.network_delay_ms
        if not further or now.ms < self._asked_range_ms + patience_ms:
            return
        self._turn += 1
        self._ask_range_of(further[self._turn % len(further)], now)

    def _ask_range_of(self, peer: bytes, now: Now) -> None:
        self._asked_range_ms = now.ms
        self.output.say.append((peer, WantRange(range=self._catchup.wanted)))

    def _take_range(self, peer: bytes, answer: BlockRun, now: Now) -> None:
        """Final blocks of a validator that is further; raises `Malformed` for a lie."""
        before = self._catchup.next_height
        news = tuple(f for f in answer.blocks if f.block.header.height >= before)
        if news and news[0].block.header.height > before:
            return  # it answers what was asked before this node lost something
        for run in self._catchup.take(answer.model_copy(update={"blocks": news})):
            for decided in run:
                self._ledger.commit(decided.prepared)
                self.output.final.append(decided)
            if run:
                self.core.caught_up([decided.prepared for decided in run], now)
                self._after(now)
        if self._catchup.next_height > before:
            self._ask_range_of(peer, now)  # there may be more
        else:
            self._asked_range_ms = NEVER_MS
