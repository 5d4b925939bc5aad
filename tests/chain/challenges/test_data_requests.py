"""Who was silent in an audit is asked by the chain itself: the warning before it is replaced."""

import pytest

from chain.bodies.feeds import UpdateHead
from chain.records import stake_key
from tests.asking import answered, ask
from tests.people import OWNER, PARAMETERS, genesis
from tests.stages import coin_opened, drawn, open_reports, play, settled


def everybody(how):
    return lambda attestor, plan: how


def silent_to(world, number, how="silent"):
    """All find one contract so, and the others served."""
    name = world.contracts[number].contract
    return lambda attestor, plan: how if plan.contract == name else "served"


def warnings(world):
    world.pass_blocks()
    names = [contract.warned for contract in world.contracts]
    return [world.draft.data_requests.at(name) for name in names if name is not None]


def test_who_is_silent_is_asked_for_what_it_did_not_show():
    world = drawn()
    contract = world.contracts[0].contract
    play(world, silent_to(world, 0))
    (warning,) = warnings(world)
    assert (warning.contract, warning.asker, warning.bond_base) == (contract, None, 0)
    assert len(warning.chunks) == 5 and warning.status == "open"
    unproven = {
        index
        for member in world.challenge.opened
        for visit in world.draft.reports.at(world.challenge.challenge + member).visits
        if visit.contract == contract
        for index in visit.unproven
    }
    assert len(unproven & {*warning.chunks}) >= 4
    assert world.draft.meta.asked_bytes == 0, "nobody else has to wait for it"


def test_a_hoster_that_is_gone_is_replaced():
    world = drawn()
    gone = world.contracts[0]
    play(world, silent_to(world, 0))
    (warning,) = warnings(world)
    burnt = world.draft.meta.burnt_base
    world.pass_until(warning.deadline)
    assert world.contracts[0].status == "ended"
    successor = world.contracts[2]
    assert (successor.status, successor.epochs_left) == ("assigned", 2)
    stake = world.draft.stakes.at(stake_key("hoster", gone.hoster))
    assert stake.amount_base == 2_000 - 301
    assert world.draft.meta.burnt_base == burnt + 301, "nobody gains by it"


def test_who_answers_keeps_all_but_the_pay_and_is_asked_again_after_the_next():
    world = drawn()
    for epochs_left in (2, 1):
        play(world, silent_to(world, 0))
        (warning,) = warnings(world)
        answered(world, warning)
        assert (world.contracts[0].status, world.contracts[0].epochs_left) == (
            "active",
            epochs_left,
        )
        assert world.contracts[0].earned_base == 0
    stake = world.draft.stakes.at(stake_key("hoster", world.contracts[0].hoster))
    assert stake.amount_base == 2_000


def test_in_the_last_epoch_the_collateral_waits_for_the_answer():
    world = drawn()
    for _ in range(2):
        play(world)
    play(world, silent_to(world, 0))
    (warning,) = warnings(world)
    assert world.contracts[0].is_over and world.plan.status == "running"
    world.pass_until(warning.deadline)
    assert (world.contracts[0].status, world.plan.status) == ("ended", "ended")
    stake = world.draft.stakes.at(stake_key("hoster", world.contracts[0].hoster))
    assert stake.amount_base == 2_000 - 301


def test_one_warning_at_a_time():
    world = drawn()
    world.genesis = genesis(PARAMETERS.model_copy(update={"answer_blocks": 100}))
    play(world, silent_to(world, 0))
    (warning,) = warnings(world)
    play(world, silent_to(world, 0))
    assert [one.request for one in warnings(world)] == [warning.request]


def test_what_somebody_asks_does_not_keep_the_chain_from_asking():
    world = drawn()
    request = ask(world, world.contracts[0], 3)
    play(world, silent_to(world, 0))
    (warning,) = warnings(world)
    contract = world.contracts[0]
    assert (contract.asked, contract.warned) == (request.request, warning.request)
    answered(world, warning)
    assert world.contracts[0].rests_until == 0, "nobody has to wait because of it"


@pytest.mark.parametrize(
    ("behave", "asked"),
    [
        (everybody("silent"), 2),
        (everybody("served"), 0),
        (everybody("skipped"), 2),
        (everybody("fault"), 0),
        (everybody("partial"), 2),
    ],
)
def test_only_who_lacks_what_was_agreed_is_asked(behave, asked):
    assert len(warnings(settled(behave))) == asked


def test_few_attestors_cannot_have_it_asked():
    """Two of four say nothing: not served, but that can be their doing."""
    world = drawn()
    places = {member.id: place for place, member in enumerate(world.members)}

    def silent_of(count):
        return lambda attestor, plan: "silent" if places[attestor.id] < count else "served"

    for count, asked in ((2, 0), (3, 2)):
        each = world.fork()
        play(each, silent_of(count))
        assert len(warnings(each)) == asked


def test_who_skips_is_counted_with_the_silent_and_not_with_who_is_absent():
    """Of four: three that skip or are silent suffice, two do not, whatever became of the others."""
    for behaviour, absent, asked in (
        (("skipped", "skipped", "silent", "served"), [], 2),
        (("skipped", "silent", "silent", "served"), [], 2),
        (("skipped", "skipped", "served", "served"), [], 0),
        (("skipped", "silent", "served", "served"), [], 0),
        (("skipped", "skipped", "skipped", "served"), [3], 2),
        (("skipped", "skipped", "served", "served"), [3], 0),
        (("skipped", "skipped", "served", "served"), [2, 3], 0),
    ):
        world = drawn()
        places = {member.id: place for place, member in enumerate(world.members)}
        play(world, lambda attestor, plan: behaviour[places[attestor.id]], silent=absent)  # noqa: B023
        assert len(warnings(world)) == asked, behaviour


def test_of_a_fork_that_is_left_nothing_is_asked():
    world = coin_opened(everybody("silent"))
    head = world.library.head(fork=1)
    world.must(OWNER, UpdateHead(feed=world.library.key, head=head, source=OWNER.endpoint))
    open_reports(world, everybody("silent"))
    assert warnings(world) == []
