"""What a challenge concludes, and who is paid how much."""

import pytest

from audit.confidence import detection_ppm, lower_bound_ppm
from audit.messages import Outcome
from audit.plan import VisitPlan
from chain.challenge_records import JudgedVisit
from chain.challenges import settlement
from chain.challenges.verdicts import Visit, classify, quorum, score_of
from chain.records import stake_key
from tests.people import (
    ATTESTORS,
    BY_ID,
    OWNER,
    SLA,
    STRANGER,
    VALIDATOR,
    Library,
    create_plan,
)
from tests.reports import account_of, summary
from tests.stages import (
    coin_opened,
    committed,
    drawn,
    opening,
    play,
    published,
    sealed,
    settled,
    staffed,
)


def judged(served=3, *, planned=3, fault=False, skipped=False):
    outcome = Outcome.FAULT if fault else Outcome.SKIPPED if skipped else Outcome.SERVED
    said = summary(VisitPlan(b"c" * 32, 0, (0,) * planned), served, outcome)
    return JudgedVisit(contract=b"c" * 32, summary=said)


def visits(*served, faults=0):
    """Visits of three chunks each; `served` says how many were proven."""
    made = [
        Visit(bytes([place]) * 32, judged(count, fault=place < faults))
        for place, count in enumerate(served)
    ]
    assert faults <= len(made)
    return made


CLASSES = [
    # members, visits, class
    (10, visits(), "skipped"),
    (10, visits(*[3] * 5), "skipped"),
    (10, visits(*[0] * 5), "skipped"),
    (10, visits(*[3] * 6), "served"),
    (10, visits(*[3] * 10), "served"),
    (10, visits(*[3] * 7, *[0] * 3), "served"),
    (10, visits(*[3] * 6, *[0] * 4), "unproven"),
    (10, visits(*[3] * 7, *[2] * 3), "served"),
    (10, visits(*[3] * 6, *[2] * 4), "unproven"),
    (10, visits(*[2] * 10), "unproven"),
    (10, visits(*[0] * 10), "unproven"),
    (10, visits(*[3] * 9, 2, faults=1), "fault"),
    (10, visits(2, faults=1), "fault"),
    (10, visits(*[0] * 10, faults=1), "fault"),
    (4, visits(3, 3), "skipped"),
    (4, visits(3, 3, 3), "served"),
    (4, visits(3, 3, 0), "unproven"),
    (4, visits(3, 3, 3, 0), "served"),
    (4, visits(3, 3, 0, 0), "unproven"),
    (3, visits(3), "skipped"),
    (3, visits(3, 3), "served"),
    (3, visits(3, 0), "unproven"),
    (2, visits(3), "skipped"),
    (2, visits(3, 3), "served"),
]


@pytest.mark.parametrize(("members", "counted", "expected"), CLASSES)
def test_the_class_of_a_hoster(members, counted, expected):
    assert classify(counted, members, 10**6) == expected


AVAILABILITIES = [
    # agreed ppm, visits of three chunks, class
    (1_000_000, visits(3, 3, 3, 3), "served"),
    (1_000_000, visits(3, 3, 3, 2), "served"),
    (1_000_000, visits(3, 3, 2, 2), "unproven"),
    (666_666, visits(2, 2, 2, 2), "served"),
    (666_667, visits(2, 2, 2, 2), "unproven"),
    (666_667, visits(3, 3, 3, 2), "served"),
    (666_666, visits(2, 2, 2, 1), "served"),
    (666_666, visits(2, 2, 1, 1), "unproven"),
    (666_666, visits(3, 3, 1, 1), "unproven"),
    (333_333, visits(1, 1, 1, 0), "served"),
    (1, visits(1, 1, 1, 0), "served"),
    (1, visits(1, 1, 0, 0), "unproven"),
    (0, visits(1, 1, 1, 0), "served"),
    (0, visits(3, 3, 0, 0), "unproven"),
    (0, visits(0, 0, 0, 0), "unproven"),
    (0, visits(3, 3), "skipped"),
    (0, visits(3, 3, 3, 2, faults=1), "fault"),
]


@pytest.mark.parametrize(("agreed", "counted", "expected"), AVAILABILITIES)
def test_a_visit_counts_as_served_at_the_agreed_availability(agreed, counted, expected):
    assert classify(counted, 4, agreed) == expected
    if expected == "served":
        assert score_of(counted) >= agreed


SCORES = [
    # proven chunks of three, score
    ((), 0),
    ((0,), 0),
    ((3,), 1_000_000),
    ((2,), 666_666),
    ((0, 3), 0),
    ((1, 2, 3), 666_666),
    ((1, 2, 2, 3), 666_666),
    ((1, 1, 2, 3), 333_333),
    ((0, 0, 3, 3, 3), 1_000_000),
]


@pytest.mark.parametrize(("served", "expected"), SCORES)
def test_the_score_is_the_lower_median_share(served, expected):
    assert score_of(visits(*served)) == expected


def test_the_order_of_reports_changes_nothing():
    counted = visits(3, 3, 0, 3)
    assert classify(counted, 4, 10**6) == classify(counted[::-1], 4, 10**6)


@pytest.mark.parametrize(
    ("members", "needed"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (10, 7)]
)
def test_a_quorum_is_more_than_two_thirds(members, needed):
    assert quorum(members) == needed
    assert 3 * needed > 2 * members


# settling whole challenges


def only(how, *indices):
    """The members at these places see this; everybody else is served."""

    def behave(attestor, plan):
        return how if ATTESTORS.index(attestor) in places else "served"

    members = drawn().members
    places = {ATTESTORS.index(members[index]) for index in indices}
    return behave


def everybody(how):
    return lambda attestor, plan: how


def verdicts(world):
    challenge = world.challenge.challenge
    return [
        world.draft.verdicts.at(challenge + contract.contract) for contract in world.contracts[:2]
    ]


def earned(after, before, person):
    return after.balance(person) - before.balance(person)


def test_a_served_epoch_is_described_and_published():
    world = settled()
    for verdict, contract in zip(verdicts(world), world.contracts, strict=True):
        assert (verdict.verdict, verdict.score_ppm, verdict.within_sla) == ("served", 10**6, True)
        assert (verdict.reports, verdict.samples, verdict.missing) == (4, 12, 0)
        assert verdict.detection_ppm == detection_ppm(40, 12)
        assert verdict.distinct == 12
        assert verdict.lower_bound_ppm == lower_bound_ppm(12, 0)
        assert (verdict.latency_p50_us, verdict.latency_p95_us) == (10_000, 20_000)
        assert (verdict.first_byte_us, verdict.throughput_bytes_per_s) == (2_000, 5_000)
        assert (verdict.contract, verdict.hoster) == (contract.contract, contract.hoster)
        assert (verdict.height, verdict.epoch) == (world.height, 1)
        assert verdict.paid_base == contract.earned_base == 7_000
    listed = world.draft.availability.at(world.library.key).verdicts
    assert set(listed[::2]) == {world.challenge.challenge}
    assert set(listed[1::2]) == {contract.contract for contract in world.contracts}


def test_a_served_epoch_pays_every_share_of_its_price():
    before = drawn()
    world = settled()
    fees = 10 * (1 + 4 + 1 + 4)
    for contract in world.contracts:
        assert earned(world, before, BY_ID[contract.hoster]) == 7_000
        assert contract.epochs_left == 2
    for member in world.members:
        # A quarter of the attestors' 2 500 for each of two contracts, less two fees.
        assert earned(world, before, member) == 2 * 625 - 20
        record = world.draft.reports.at(world.challenge.challenge + member.id)
        assert record.paid_base == 2 * 625
    assert earned(world, before, VALIDATOR) == 2 * 500 + fees
    assert world.plan.escrow_base == 60_000 - 2 * 10_000


def test_remainders_of_a_division_stay_in_escrow():
    world = settled(silent=[3])
    # 2 500 for three attestors: 833 each, and 1 stays; twice.
    assert world.plan.escrow_base == 60_000 - 2 * (7_000 + 3 * 833 + 500)


def test_silence_is_unproven_and_pays_the_hoster_nothing_and_attestors_less():
    before, world = drawn(), settled(everybody("silent"))
    for verdict, contract in zip(verdicts(world), world.contracts, strict=True):
        assert (verdict.verdict, verdict.score_ppm, verdict.within_sla) == ("unproven", 0, False)
        assert (verdict.samples, verdict.missing, verdict.paid_base) == (12, 12, 0)
        # Silence has shown nothing about any chunk.
        assert (verdict.distinct, verdict.detection_ppm) == (0, 0)
        assert (verdict.latency_p95_us, verdict.throughput_bytes_per_s) == (0, 0)
        assert contract.epochs_left == 2
        assert earned(world, before, BY_ID[contract.hoster]) == 0
    for member in world.members:
        assert earned(world, before, member) == 2 * 156 - 20


def test_one_silent_report_of_four_changes_nothing_and_earns_nothing():
    before, world = drawn(), settled(only("silent", 0))
    assert {verdict.verdict for verdict in verdicts(world)} == {"served"}
    lazy, *diligent = world.members
    assert earned(world, before, lazy) == -20
    assert [earned(world, before, member) for member in diligent] == [2 * 625 - 20] * 3


def test_who_proves_what_it_got_earns_in_full_though_others_found_silence():
    before, world = drawn(), settled(only("silent", 0, 1))
    assert {verdict.verdict for verdict in verdicts(world)} == {"unproven"}
    one, two, three, four = world.members
    assert [earned(world, before, member) for member in (one, two)] == [2 * 156 - 20] * 2
    assert [earned(world, before, member) for member in (three, four)] == [2 * 625 - 20] * 2


def test_a_lost_chunk_is_unproven():
    world = settled(everybody("partial"))
    for verdict in verdicts(world):
        assert (verdict.verdict, verdict.score_ppm, verdict.missing) == ("unproven", 666_666, 4)
        assert verdict.lower_bound_ppm == lower_bound_ppm(8, 4)
        # What was served was measured, and is worth publishing.
        assert verdict.latency_p95_us == 20_000


def agreed_on(availability_ppm, behave):
    """A settled challenge of one contract whose plan asks for this availability."""
    world = published()
    sla = SLA.model_copy(update={"availability_ppm": availability_ppm})
    world.must(OWNER, create_plan(world.library.key, replicas=1, sla=sla))
    world.pass_blocks()
    (contract,) = world.contracts
    world.must(BY_ID[contract.hoster], world.acknowledge(contract))
    play(world, behave)
    return world, world.draft.verdicts.at(world.focus + contract.contract)


def test_what_was_agreed_on_is_served_and_paid_by_the_share_that_was_proven():
    world, verdict = agreed_on(666_666, everybody("partial"))
    assert (verdict.verdict, verdict.score_ppm, verdict.within_sla) == ("served", 666_666, True)
    # 700 000 ppm of 10 000, and of that what the band of half of the chunks pays.
    assert verdict.paid_base == world.contracts[0].earned_base == 2_100
    world, verdict = agreed_on(666_667, everybody("partial"))
    assert (verdict.verdict, verdict.score_ppm, verdict.paid_base) == ("unproven", 666_666, 0)


def test_silence_is_never_service_however_little_was_agreed_on():
    _, verdict = agreed_on(0, everybody("silent"))
    assert (verdict.verdict, verdict.paid_base) == ("unproven", 0)


def test_one_proven_fault_decides_whatever_the_others_say():
    world = settled(only("fault", 2))
    first, second = verdicts(world)
    assert (first.verdict, second.verdict) == ("fault", "fault")
    assert (first.paid_base, first.within_sla) == (0, False)
    assert [contract.status for contract in world.contracts] == ["ended", "ended", "assigned"]


def test_a_fault_pays_whom_it_should_and_not_the_hoster():
    before, world = drawn(), settled(only("fault", 2))
    prover = world.members[2]
    # All visits proved something; the prover has half of each collateral of 301 as well.
    assert earned(world, before, prover) == 2 * 625 + 2 * 150 - 20
    assert earned(world, before, world.members[0]) == 2 * 625 - 20
    for contract in world.contracts[:2]:
        assert earned(world, before, BY_ID[contract.hoster]) == 0


def test_a_prover_of_nothing_but_a_fault_earns_in_full():
    world = published()
    world.must(OWNER, create_plan(world.library.key, replicas=1, samples=1))
    world.pass_blocks()
    (contract,) = world.contracts
    world.must(BY_ID[contract.hoster], world.acknowledge(contract))
    before = world.fork()
    play(world, everybody("fault"))
    verdict = world.draft.verdicts.at(world.focus + contract.contract)
    assert (verdict.verdict, verdict.missing, verdict.samples) == ("fault", 4, 4)
    for member in world.members:
        assert earned(world, before, member) == 625 + 37 - 20


def test_skipped_visits_count_for_nothing():
    before, world = drawn(), settled(only("skipped", 1))
    for verdict in verdicts(world):
        assert (verdict.verdict, verdict.reports, verdict.samples) == ("served", 3, 9)
    assert earned(world, before, world.members[1]) == -20
    assert earned(world, before, world.members[0]) == 2 * 833 - 20


def test_too_few_counted_reports_conclude_nothing():
    for world in (settled(only("skipped", 0, 1)), settled(silent=[0, 1])):
        for verdict in verdicts(world):
            assert (verdict.verdict, verdict.reports, verdict.paid_base) == ("skipped", 2, 0)
        assert [contract.epochs_left for contract in world.contracts] == [3, 3]
        assert world.plan.escrow_base == 60_000
        assert all(
            world.draft.reports.at(world.challenge.challenge + member).paid_base == 0
            for member in world.challenge.opened
        )


def test_an_outage_of_all_attestors_is_nobodys_fault():
    before, world = drawn(), settled(everybody("skipped"))
    for verdict in verdicts(world):
        assert (verdict.verdict, verdict.reports, verdict.score_ppm) == ("skipped", 0, 0)
    for contract in world.contracts:
        assert earned(world, before, BY_ID[contract.hoster]) == 0
        assert contract.epochs_left == 3


def test_who_committed_and_never_opened_delays_only_until_the_deadline():
    world = coin_opened()
    world.focus = world.challenge.challenge
    for member in world.members[:3]:
        parts = account_of(world, member)
        world.must(member, parts.open(), parts.sidecar)
    world.pass_until(world.challenge.opening_deadline - 1)
    assert world.challenge.status == "opening"
    world.pass_blocks()
    assert world.challenge.status == "settled"
    assert {verdict.verdict for verdict in verdicts(world)} == {"served"}
    assert {verdict.reports for verdict in verdicts(world)} == {3}


def test_who_does_not_commit_or_does_not_open_earns_nothing():
    before = drawn()
    never_committed = settled(silent=[0])
    idle, *diligent = never_committed.members
    assert earned(never_committed, before, idle) == 0
    assert [earned(never_committed, before, member) for member in diligent] == [2 * 833 - 20] * 3
    never_opened = coin_opened()
    never_opened.focus = never_opened.challenge.challenge
    for member in never_opened.members[1:]:
        parts = account_of(never_opened, member)
        never_opened.must(member, parts.open(), parts.sidecar)
    never_opened.pass_until(never_opened.challenge.opening_deadline)
    assert never_opened.challenge.status == "settled"
    # It has paid the fee of its commitment.
    assert earned(never_opened, before, idle) == -10
    for world in (never_committed, never_opened):
        assert world.draft.reports.get(world.challenge.challenge + idle.id) is None
        assert world.draft.stakes.at(stake_key("attestor", idle.id)).amount_base == 2_000


def test_without_a_single_report_nothing_is_concluded():
    world = opening(silent=[0, 1, 2, 3])
    world.must(STRANGER, world.open_coin())
    world.focus = world.challenge.challenge
    world.pass_until(world.challenge.opening_deadline)
    assert world.challenge.status == "settled"
    assert {verdict.verdict for verdict in verdicts(world)} == {"skipped"}


def test_chunks_that_two_ask_for_count_once_for_what_a_loss_would_show():
    world = staffed()
    world.libraries["library"] = Library("library", 10)
    world.must(OWNER, world.library.publish())
    world.must(OWNER, create_plan(world.library.key))
    world.pass_blocks()
    world.block(*(world.sign(BY_ID[c.hoster], world.acknowledge(c)) for c in world.contracts))
    play(world, only("silent", 0))
    for verdict in verdicts(world):
        plans = [p for m in world.members[1:] for p in world.visit_plans(m)]
        asked = {i for p in plans if p.contract == verdict.contract for i in p.indices}
        assert (verdict.samples, verdict.distinct) == (12, len(asked))
        assert len(asked) < 9
        assert verdict.detection_ppm == detection_ppm(10, len(asked)) == len(asked) * 100_000


# the agreed service level, at its edges


def claiming(figures):
    """A world in which the members report these figures, in the order of their places."""
    world = sealed()
    world.focus = world.challenge.challenge
    reports = []
    for member, claimed in zip(world.members, figures, strict=True):
        parts = account_of(world, member)
        reports.append((member, parts.saying(**claimed)))
    world.block(*(world.sign(member, parts.commit(world, member)) for member, parts in reports))
    world.pass_until(world.challenge.window_end)
    world.must(STRANGER, world.open_coin())
    world.block(*(world.sign(member, parts.open(), parts.sidecar) for member, parts in reports))
    assert world.challenge.status == "settled"
    return world


SPEEDS = [
    # latency p95 in µs of four reports, throughput in bytes/s, paid of 7 000
    ((50_000,) * 4, (1_000,) * 4, 7_000),
    ((49_999,) * 4, (1_001,) * 4, 7_000),
    ((50_001,) * 4, (1_000,) * 4, 5_600),
    ((62_500,) * 4, (1_000,) * 4, 5_600),
    ((62_501,) * 4, (1_000,) * 4, 3_500),
    ((100_000,) * 4, (1_000,) * 4, 3_500),
    ((100_001,) * 4, (1_000,) * 4, 1_750),
    ((200_000,) * 4, (1_000,) * 4, 1_750),
    ((200_001,) * 4, (1_000,) * 4, 0),
    ((50_000,) * 4, (999,) * 4, 5_600),
    ((50_000,) * 4, (800,) * 4, 5_600),
    ((50_000,) * 4, (799,) * 4, 3_500),
    ((50_000,) * 4, (500,) * 4, 3_500),
    ((50_000,) * 4, (499,) * 4, 1_750),
    ((50_000,) * 4, (250,) * 4, 1_750),
    ((50_000,) * 4, (249,) * 4, 0),
    ((62_501,) * 4, (800,) * 4, 3_500),  # the worse of the two, not both
    ((1, 1, 50_001, 50_001), (1_000,) * 4, 7_000),
    ((1, 50_001, 50_001, 50_001), (1_000,) * 4, 5_600),
    ((10**12, 50_000, 1, 1), (1_000,) * 4, 7_000),
    ((1,) * 4, (1_000, 1_000, 1_000, 0), 7_000),
    ((1,) * 4, (1_000, 1_000, 0, 0), 0),
    ((1,) * 4, (10**12, 999, 999, 10**12), 5_600),
]


@pytest.mark.parametrize(("latencies", "throughputs", "paid"), SPEEDS)
def test_the_band_of_the_median_decides_what_service_is_paid(latencies, throughputs, paid):
    world = claiming(
        [
            {"latency_p95_us": latency, "throughput_bytes_per_s": throughput}
            for latency, throughput in zip(latencies, throughputs, strict=True)
        ],
    )
    for verdict in verdicts(world):
        assert verdict.verdict == "served"
        assert verdict.within_sla == (paid == 7_000)
        assert verdict.paid_base == paid


def test_one_liar_of_four_moves_no_figure_beyond_an_honest_one():
    honest = [{"latency_p95_us": value, "latency_p50_us": value} for value in (100, 110, 120)]
    for lie in (0, 10**15):
        liar = {"latency_p95_us": lie, "latency_p50_us": lie}
        for verdict in verdicts(claiming([*honest, liar])):
            assert 100 <= verdict.latency_p50_us <= 120
            assert 100 <= verdict.latency_p95_us <= 120


def test_no_epoch_costs_more_than_its_price():
    for behave in (
        None,
        everybody("silent"),
        everybody("partial"),
        everybody("fault"),
        only("silent", 0),
        only("fault", 0),
        only("skipped", 3),
    ):
        world = settled(behave)
        assert 60_000 - 2 * 10_000 <= world.plan.escrow_base <= 60_000


def test_a_feed_lists_its_newest_verdicts(monkeypatch):
    monkeypatch.setattr(settlement, "AVAILABILITY_KEPT", 3)
    world = drawn()
    names = []
    for _ in range(2):
        play(world)
        challenge = world.challenge.challenge
        names += [(challenge, target.contract) for target in world.targets()]
    listed = world.draft.availability.at(world.library.key).verdicts
    assert list(zip(listed[::2], listed[1::2], strict=True)) == names[1:]
    kept = [world.draft.verdicts.get(challenge + contract) for challenge, contract in names]
    assert [record is not None for record in kept] == [False, True, True, True]


def test_a_verdict_outlives_a_contract_that_ended():
    world = committed()
    draft = world.draft
    contract = world.contracts[0].contract
    draft.contracts.change(contract, status="ended")
    world.state.commit(draft)
    world.pass_until(world.challenge.window_end)
    world.must(STRANGER, world.open_coin())
    world.focus = world.challenge.challenge
    escrow = world.plan.escrow_base
    for member in world.members:
        parts = account_of(world, member)
        world.must(member, parts.open(), parts.sidecar)
    ended = world.draft.verdicts.at(world.focus + contract)
    assert (ended.verdict, ended.paid_base) == ("served", 0)
    assert world.plan.escrow_base == escrow - 10_000
