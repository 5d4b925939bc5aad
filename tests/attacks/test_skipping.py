"""Who runs most hosters of a draw refuses visits, and the control fetches that follow them.

To each attestor it looks as if its own line were dead, so it skips the visit. The chain asks for
chunks then, as it does when attestors find silence.
"""

import pytest

from tests.asking import answered
from tests.chain.challenges.test_data_requests import everybody, warnings
from tests.stages import drawn, play


@pytest.mark.parametrize("behaviour", ["skipped", "silent"])
def test_who_has_every_visit_skipped_is_asked_on_the_chain_and_replaced(behaviour):
    world = drawn()
    contracts = world.contracts
    play(world, everybody(behaviour))
    found = {world.draft.verdicts.at(world.focus + each.contract).verdict for each in contracts}
    assert found == {"skipped" if behaviour == "skipped" else "unproven"}
    asked = warnings(world)
    assert {one.contract for one in asked} == {each.contract for each in contracts}
    world.pass_until(max(one.deadline for one in asked))
    assert {world.draft.contracts.at(each.contract).status for each in contracts} == {"ended"}


def test_who_has_the_chunks_shows_them_and_loses_no_epoch():
    world = drawn()
    left = world.contracts[0].epochs_left
    play(world, everybody("skipped"))
    for asked in warnings(world):
        answered(world, asked)
    assert {(each.status, each.epochs_left) for each in world.contracts} == {("active", left)}
    assert world.plan.escrow_base == 60_000
