"""The chain's rules over one coin whose window is over: who shows what, and who pays.

The rules themselves, on a state that holds the members' stakes and this one challenge.
"""

from collections.abc import Sequence

from chain import penalties, schedule
from chain.bodies.challenges import OpenCoin, ShowReveals
from chain.challenge_records import ChallengeRecord
from chain.context import BlockContext
from chain.genesis import Parameters
from chain.records import StakeRecord, stake_key
from chain.rules import open_coin, show_reveals
from chain.state import Draft, State
from coinflip.messages import CoinOpening, RevealProof
from coinflip.seat import Seat
from holdfast.simulation.table import SEAL_DEADLINE_MS, challenge_of
from wire.errors import Rejected

PARAMETERS = Parameters()
STAKE_BASE = PARAMETERS.attestor_stake_base


class Tribunal:
    """One challenge in its opening phase, block by block."""

    def __init__(self, seed: int, seats: Sequence[Seat], digest: bytes) -> None:
        seat = seats[0]
        self.draft = Draft(State())
        self.members = seat.members
        self.challenge = challenge_of(seed)
        self.block = BlockContext(
            network=seat.network,
            parameters=PARAMETERS,
            height=1,
            time_ms=0,
            proposer=bytes(32),
            vrf_output=bytes(64),
        )
        for member in seat.members:
            stake = StakeRecord(amount_base=STAKE_BASE)
            self.draft.stakes.put(stake_key("attestor", member), stake)
        self.draft.challenges.put(
            self.challenge,
            ChallengeRecord(
                challenge=self.challenge,
                epoch=1,
                status="opening",
                attempt=0,
                members=seat.members,
                drawn_height=0,
                seal_deadline=SEAL_DEADLINE_MS,
                digest=digest,
            ),
        )

    @property
    def record(self) -> ChallengeRecord:
        """What the chain says of the challenge."""
        return self.draft.challenges.at(self.challenge)

    @property
    def asked(self) -> frozenset[int]:
        """The places of those whose Reveal nobody has shown."""
        return frozenset(self.members.index(one.member) for one in self.record.unrevealed)

    def open(self, opening: CoinOpening, reveals: Sequence[RevealProof]) -> None:
        """Somebody opens the coin."""
        body = OpenCoin(challenge=self.challenge, opening=opening, reveals=tuple(reveals))
        open_coin.apply(self.draft, self.block, body)

    def answer(self, reveals: Sequence[RevealProof]) -> bool:
        """Somebody shows what it heard; whether the chain took it."""
        body = ShowReveals(challenge=self.challenge, reveals=tuple(reveals))
        try:
            show_reveals.apply(self.draft, self.block, body)
        except Rejected:
            return False
        return True

    def close(self) -> frozenset[int]:
        """Let the deadline pass; the places of those who paid."""
        for item in schedule.take(self.draft, self.record.reveal_deadline):
            assert item.kind == "reveals"
            penalties.reveals_withheld(self.draft, self.block, item.id)
        penalty = PARAMETERS.unopened_penalty_base
        stakes = [self.draft.stakes.at(stake_key("attestor", member)) for member in self.members]
        paid = [STAKE_BASE - stake.amount_base for stake in stakes]
        assert set(paid) <= {0, penalty}, "all or nothing"
        return frozenset(place for place, lost in enumerate(paid) if lost)
