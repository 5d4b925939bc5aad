"""Who has most of a committee names its honest members silent, so that they are not lined up.

Committees are drawn by chance. A bad majority has each honest member struck; where there is none,
everybody has a clean round. What follows from that is the chain's own: `conduct`, `standing`.
"""

import random

from chain.challenges import conduct
from chain.context import BlockContext
from chain.genesis import Parameters
from chain.standing import Standing, after_clean_round
from chain.state import Draft, State

PARAMETERS = Parameters()
ATTESTORS, ROUNDS = 60, 300


def framed(bad: int) -> tuple[float, float, float]:
    """Of 60 with so many bad ones: what share of the committees these have, what share of the
    honest sits out, and what share of a line-up the bad ones are; each on average.
    """
    chances = random.Random(bad)
    draft = Draft(State())
    everybody = [bytes([number]) * 32 for number in range(ATTESTORS)]
    villains = set(everybody[:bad])
    majorities = committees = 0
    resting = shares = 0.0
    for epoch in range(1, ROUNDS + 1):
        height = epoch * PARAMETERS.epoch_blocks
        block = BlockContext(bytes(32), PARAMETERS, height, 0, bytes(32), bytes(64))
        out = conduct.resting(draft, block, everybody)
        there = [each for each in everybody if each not in out]
        resting += len(out - villains) / (ATTESTORS - bad)
        shares += len(villains.intersection(there)) / len(there)
        chances.shuffle(there)
        size = PARAMETERS.committee_members
        for start in range(0, len(there) - size + 1, size):
            committee = there[start : start + size]
            have_it = 2 * len(villains.intersection(committee)) > size
            committees, majorities = committees + 1, majorities + have_it
            for member in committee:
                if have_it and member not in villains:
                    conduct.offend(draft, block, member, "missing")
                else:
                    known = draft.standings.get(member) or Standing()
                    draft.standings.put(member, after_clean_round(known, PARAMETERS))
    return majorities / committees, resting / ROUNDS, shares / ROUNDS


def test_a_third_has_a_committee_now_and_then_and_gains_next_to_nothing():
    majorities, resting, share = framed(20)
    assert majorities > 0.03
    assert resting < 0.03
    assert share < 0.35


def test_however_many_frame_two_thirds_of_all_are_lined_up():
    _, resting, share = framed(28)
    assert resting > 0.3, "beyond a third it feeds itself"
    assert share <= 28 / 40
