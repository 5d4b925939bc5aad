"""`holdfast flip`: real connections, real faults, and what comes of each."""

import pytest

from holdfast.commands.flip_cli import describe
from holdfast.flip import ATTEMPTS, Attempt, flip, make_peers
from holdfast.flip_faults import Fault, parse_faults
from wire.errors import Malformed


async def toss(
    count: int, *faults: Fault, seed: int = 1, attempts: int = ATTEMPTS
) -> list[Attempt]:
    return await flip(make_peers(bytes([seed]) * 32, count, faults), attempts)


async def test_honest_peers_toss_one_coin_that_their_keys_decide() -> None:
    (first,), (again,), (other,) = await toss(3), await toss(3), await toss(3, seed=2)
    assert (first.exit, first.recovered, first.excluded, first.guilty) == (1, (), (), {})
    assert first.coin == again.coin != other.coin
    assert list(first.phases_s) == ["commit", "deal", "seal", "reveal", "recover", "confirm"]
    assert 0 <= first.finality_s <= first.flip_s


async def test_who_withholds_is_recovered_and_changes_no_coin() -> None:
    (honest,) = await toss(5)
    (attempt,) = await toss(5, Fault.WITHHOLD, Fault.WITHHOLD)
    assert (attempt.exit, attempt.coin, attempt.recovered) == (1, honest.coin, (4, 5))
    assert not attempt.guilty


async def test_who_deals_badly_is_excluded_and_proven() -> None:
    (attempt,) = await toss(3, Fault.MALFORM)
    assert (attempt.exit, attempt.excluded, attempt.guilty) == (1, (3,), {3: "false_dealing"})


async def test_who_lies_about_its_secret_is_proven_and_recovered() -> None:
    (attempt,) = await toss(3, Fault.LIE)
    assert (attempt.exit, attempt.recovered, attempt.guilty) == (1, (3,), {3: "false_reveal"})


@pytest.mark.parametrize(
    ("fault", "evidence"),
    [(Fault.EQUIVOCATE, "equivocation"), (Fault.SLANDER, "false_accusation")],
)
async def test_guilt_before_the_seal_ends_the_attempt_and_the_next_is_without_it(
    fault: Fault, evidence: str
) -> None:
    lost, landed = await toss(4, fault)
    assert (lost.exit, lost.coin, lost.guilty) == (3, None, {4: evidence})
    assert (landed.exit, landed.members) == (1, (1, 2, 3))


async def test_who_refuses_to_echo_is_missed_by_the_majority(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("holdfast.flip.DEADLINE_S", 0.5)
    lost, landed = await toss(4, Fault.REFUSE)
    assert (lost.exit, lost.silent, lost.guilty) == (2, (4,), {})
    assert (landed.exit, landed.members) == (1, (1, 2, 3))


async def test_the_document_tells_of_every_attempt() -> None:
    peers = make_peers(bytes(32), 4, [Fault.WITHHOLD, Fault.EQUIVOCATE])
    found = describe(peers, await flip(peers))
    assert found["exit"] == 1 and len(bytes.fromhex(found["coin"])) == 32
    assert found["recovered"] == ["peer-3"] and found["excluded"] == []
    assert found["blamed"] == [{"peer": "peer-4", "attempt": 0, "evidence": "equivocation"}]
    assert [attempt["exit"] for attempt in found["attempts"]] == [3, 1]


async def test_one_attempt_may_be_all_there_is() -> None:
    (lost,) = await toss(3, Fault.EQUIVOCATE, attempts=1)
    assert (lost.exit, lost.coin) == (3, None)


def test_faults_are_read_as_counts() -> None:
    assert parse_faults("") == {}
    assert parse_faults("withhold=3, malform=1") == {Fault.WITHHOLD: 3, Fault.MALFORM: 1}


@pytest.mark.parametrize("text", ["withhold", "withhold=x", "snooze=1", "lie=1,lie=1", ",", "=1"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_faults(text)
