"""A committee of ten over real sessions: what a hoster has lost is missed at once.

Two hundred rounds of the same on the chain's rules are in `tests/simulation/test_audits.py`.
"""

import asyncio
from dataclasses import replace

from audit.messages import Outcome
from audit.plan import Eligible, visit_plans
from feed.feed import Feed
from tests.attestor.hosters import CONTRACT, HOSTER, QUICK, hosting, stored, target_of, visit
from tests.people import OWNER, Person
from wire import vrf
from wire.keys import Use
from wire.primitives import blake2b_256
from wire.prng import Stream

LENGTH, SAMPLES = 1_000, 30
PATIENT = replace(QUICK, quiet_s=4.0)
"""Ten visits at once on a busy machine are slow, and nobody here is silent on purpose."""

COMMITTEE = [Person(f"member {number}") for number in range(10)]


def plans_of(coin: bytes) -> list[tuple[int, ...]]:
    """What each of the committee asks for."""
    members = sorted(member.id for member in COMMITTEE)
    target = Eligible(CONTRACT, HOSTER.id, OWNER.id, LENGTH, SAMPLES)
    found = []
    for member in COMMITTEE:
        proof = vrf.prove(member.key(Use.VRF), coin)
        (plan,) = visit_plans(coin, members, member.id, proof, [target])
        found.append(plan.indices)
    return found


async def visited(feed: Feed, coin: bytes) -> list[tuple[Outcome, int]]:
    """How each member's visit ended, and how many chunks it proves served."""
    target = target_of(feed)
    async with hosting(feed) as there:
        results = await asyncio.gather(
            *(
                visit(there.endpoint, planned=planned, target=target, patience=PATIENT)
                for planned in plans_of(coin)
            )
        )
    return [(result.summary.outcome, judged.served) for result, judged in results]


async def test_one_percent_is_missed_in_one_round() -> None:
    """Each round has three in a hundred chances to miss it; of three rounds none does here."""
    for number in range(3):
        coin = blake2b_256(b"coin", bytes([number]))
        feed = stored(LENGTH)
        lost = Stream(coin, b"lost").sample(LENGTH, LENGTH // 100)
        expected = [SAMPLES - len({*lost} & {*planned}) for planned in plans_of(coin)]
        assert sum(expected) < 10 * SAMPLES, "choose another coin"
        feed.forget(lost)
        found = await visited(feed, coin)
        assert [served for _, served in found] == expected
        for outcome, served in found:
            whole = served == SAMPLES
            assert outcome is (Outcome.SERVED if whole else Outcome.CHUNKS_MISSING)


async def test_nobody_misses_what_is_there() -> None:
    found = await visited(stored(LENGTH), blake2b_256(b"coin"))
    assert found == [(Outcome.SERVED, SAMPLES)] * 10


async def test_the_loss_of_everything_is_missed_in_every_visit() -> None:
    feed = stored(LENGTH)
    feed.forget(range(LENGTH))
    assert [served for _, served in await visited(feed, blake2b_256(b"coin"))] == [0] * 10
