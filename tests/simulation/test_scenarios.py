"""The scenarios of `holdfast simulate`: the attacks work against the source, and not against us."""

import pytest

from holdfast.simulation import abort, copying, rushing, withholding
from holdfast.simulation.result import Bar, Result

RUNS = 6


def play(module: object, seed: int = 3, runs: int = RUNS) -> Result:
    told: list[tuple[int, int]] = []
    result: Result = module.run(seed, runs, lambda done, of: told.append((done, of)))  # type: ignore[attr-defined]
    assert told == [(done, runs) for done in range(1, runs + 1)]
    return result


def test_rushing_chooses_the_source_s_coin_and_never_ours() -> None:
    result = play(rushing)
    assert result.document == {"runs": RUNS, "source": {"forced": RUNS}, "ours": {"forced": 0}}
    assert "3 ended offline, naming the two; 3 landed; 0 malicious" in result.remarks[0]


def test_copying_foretells_the_source_s_coin_and_never_ours() -> None:
    assert play(copying).document == {
        "runs": RUNS,
        "source": {"forced": RUNS, "hash_of_list": 0, "hash_of_xor": RUNS, "xor": RUNS},
        "ours": {"forced": 0, "convicted": RUNS},
    }


def test_a_minority_that_aborts_replaces_no_coin_and_a_majority_does() -> None:
    found = play(abort, runs=10).document
    assert found["ours"]["forced"] == 0
    assert found["source"]["forced"] > 0 and found["source"]["wanted"] >= 8
    assert found["majority"]["forced"] > 0 and found["majority"]["wanted"] >= 8


@pytest.mark.parametrize("module", [rushing, copying, withholding])
def test_a_seed_decides_everything(module: object) -> None:
    assert play(module) == play(module)


def test_a_majority_may_spoil_every_coin_but_the_last() -> None:
    played = abort.play_ours(5, 3, 2, lambda _: False)
    assert played.attempts == abort.ATTEMPTS and played.coin != played.fixed


def test_a_minority_may_dislike_every_coin_in_vain() -> None:
    played = abort.play_ours(5, 5, 2, lambda _: False)
    assert played.attempts == 1 and played.coin == played.fixed


def test_a_bar_knows_its_bias_and_how_sure_it_is() -> None:
    bar = Bar("", 75, 100, 0.5)
    assert bar.bias == 0.25 and 0.08 < bar.error < 0.09
    assert Bar("", 0, 100, 0.0).error == 0.03
    assert Bar("", 1, 1, 0.0).error == 1.0


def test_who_withholds_pays_and_the_coin_is_the_same() -> None:
    found = play(withholding, runs=20).document["ours"]
    assert found["forced"] == 0
    assert found["withheld"] == found["fined"] > 20
    assert found["honest_fined"] == 0
    # Honest members did look as if they had withheld: the test would see it if they paid.
    assert found["asked"] > 20 and 0 < found["answers"] < found["asked"]
