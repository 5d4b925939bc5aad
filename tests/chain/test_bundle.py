"""An exported report proves its verdicts to whoever has nothing else, and nothing that is not so.

One valid bundle, then one thing wrong at a time: what anybody could change in the file, and what
only a validator could, that signs for another state than the reports lead to.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from audit.messages import Evidence
from chain.bundle import MAX_BUNDLE_BYTES, Bundle, Checked, ReportEvidence, check_bundle
from chain.challenge_records import (
    Availability,
    ChallengeRecord,
    DrawRecord,
    ReportRecord,
    VerdictRecord,
)
from chain.light import Forked
from chain.records import Table
from chain.state import Draft, State
from chain.trust import beginning
from tests.chain.bundles import audited, evidence_of, listed, names_of
from tests.chain.final import Name, genesis_of, state_proof
from tests.people import ATTESTORS
from tests.stages import drawn
from wire.codec import decode, encode
from wire.errors import Malformed
from wire.primitives import blake2b_256


@dataclass(frozen=True)
class Parts:
    """What a bundle is made of; a test replaces what it is about."""

    state: State
    names: tuple[Name, ...]
    evidence: tuple[ReportEvidence, ...]

    def bundle(self) -> Bundle:
        world = audited()
        proof = state_proof(world.genesis, self.state, world.height, self.names)
        return Bundle(
            genesis=world.genesis,
            feed=world.library.key,
            steps=(),
            state=proof,
            evidence=self.evidence,
        )


@cache
def parts() -> Parts:
    world = audited()
    return Parts(world.state, tuple(names_of(world)), evidence_of(world))


@cache
def good() -> Bundle:
    return parts().bundle()


def test_a_bundle_proves_every_verdict_by_itself():
    checked = check_bundle(decode(Bundle, encode(good()), MAX_BUNDLE_BYTES))
    world = audited()
    assert isinstance(checked, Checked)
    assert (checked.network, checked.header.height) == (world.network, world.height)
    assert checked.feed == world.draft.feeds.at(world.library.key)
    assert [v.verdict for v in checked.verdicts].count("fault") == 1
    assert [v.verdict for v in checked.verdicts].count("served") == 3
    assert (checked.listed, len(checked.reports), checked.samples) == (4, 8, 48)
    for verdict in checked.verdicts:
        assert world.draft.verdicts.at(verdict.challenge + verdict.contract) == verdict


def test_a_bundle_may_show_only_some_verdicts_and_says_so():
    newest = listed(audited())[-1]
    left_out = {(Table.VERDICT, a + b) for a, b in listed(audited()) if (a, b) != newest}
    names = tuple(name for name in parts().names if name not in left_out)
    checked = check_bundle(replace(parts(), names=names).bundle())
    assert (len(checked.verdicts), checked.listed) == (1, 4)


# what anybody could change in the file

NEEDED = {name[0] for name in parts().names} - {Table.META}


@pytest.mark.parametrize("table", sorted(NEEDED - {Table.VERDICT}), ids=lambda table: table.name)
def test_a_record_that_is_left_out_is_missed(table):
    for left_out in [name for name in parts().names if name[0] is table]:
        names = tuple(name for name in parts().names if name != left_out)
        with pytest.raises(Malformed, match=f"lacks {table.name.lower()}"):
            check_bundle(replace(parts(), names=names).bundle())


@pytest.mark.parametrize("index", range(8))
def test_the_evidence_of_every_report_is_missed(index):
    shown = parts().evidence
    with pytest.raises(Malformed, match="lacks the evidence"):
        check_bundle(replace(parts(), evidence=shown[:index] + shown[index + 1 :]).bundle())


def changed_record(table: Table, **changes: object) -> Bundle:
    """The first record of a table says something else; its proof stays as it was."""
    records = list(good().state.records)
    place = next(i for i, record in enumerate(records) if record.table == table)
    (name,) = [name for name in parts().names if name == (table, records[place].key)]
    record = parts().state.get(name)
    assert record is not None
    forged = encode(record.model_copy(update=changes))
    records[place] = records[place].model_copy(update={"record": forged})
    return with_state(records=tuple(records))


def with_state(**changes: object) -> Bundle:
    return good().model_copy(update={"state": good().state.model_copy(update=changes)})


def with_evidence(change: Callable[[bytes], bytes], place: int = 0) -> Bundle:
    shown = list(good().evidence)
    changed = change(shown[place].evidence)
    shown[place] = shown[place].model_copy(update={"evidence": changed})
    return good().model_copy(update={"evidence": tuple(shown)})


def without_visits(sidecar: bytes) -> bytes:
    evidence: Evidence = decode(Evidence, sidecar)
    silent = tuple(visit.model_copy(update={"evidence": None}) for visit in evidence.visits)
    return encode(evidence.model_copy(update={"visits": silent}))


def swapped() -> Bundle:
    one, other, *rest = good().evidence
    pair = (
        one.model_copy(update={"evidence": other.evidence}),
        other.model_copy(update={"evidence": one.evidence}),
    )
    return good().model_copy(update={"evidence": (*pair, *rest)})


def other_network() -> Bundle:
    return good().model_copy(update={"genesis": genesis_of(2)})


def other_parameters() -> Bundle:
    genesis = good().genesis
    easier = genesis.parameters.model_copy(update={"fee_minimum_base": 11})
    return good().model_copy(update={"genesis": genesis.model_copy(update={"parameters": easier})})


CHANGED: dict[str, Callable[[], Bundle]] = {
    "a verdict": lambda: changed_record(Table.VERDICT, verdict="unproven"),
    "a score": lambda: changed_record(Table.VERDICT, score_ppm=1),
    "a payment": lambda: changed_record(Table.VERDICT, paid_base=10**9),
    "the coin": lambda: changed_record(Table.CHALLENGE, coin=b"x" * 32),
    "no coin": lambda: changed_record(Table.CHALLENGE, coin=None),
    "who opened": lambda: changed_record(Table.CHALLENGE, opened=()),
    "the plan's terms": lambda: changed_record(Table.PLAN, samples=1),
    "what was judged": lambda: changed_record(Table.REPORT, paid_base=1),
    "the list of verdicts": lambda: changed_record(Table.AVAILABILITY, verdicts=()),
    "the header": lambda: with_state(
        header=good().state.header.model_copy(update={"state_root": b"x" * 32})
    ),
    "the height": lambda: with_state(
        header=good().state.header.model_copy(update={"height": 10**6})
    ),
    "the signature": lambda: with_state(
        certificate=good().state.certificate.model_copy(update={"signatures": ()})
    ),
    "the network": other_network,
    "a parameter": other_parameters,
    "the feed": lambda: good().model_copy(update={"feed": b"x" * 32}),
    "evidence, by one byte": lambda: with_evidence(lambda e: e[:-1] + bytes([e[-1] ^ 1])),
    "evidence, cut off": lambda: with_evidence(lambda e: e[:-1]),
    "evidence, emptied": lambda: with_evidence(lambda _: b""),
    "evidence, without its visits": lambda: with_evidence(without_visits),
    "evidence, of one another": swapped,
}


@pytest.mark.parametrize("make", CHANGED.values(), ids=CHANGED)
def test_a_bundle_with_one_thing_changed_proves_nothing(make):
    check_bundle(good())
    with pytest.raises(Malformed):
        check_bundle(make())


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b[1:]])
def test_a_bundle_that_is_cut_or_longer_is_no_bundle(spoil):
    with pytest.raises(Malformed):
        decode(Bundle, spoil(encode(good())), MAX_BUNDLE_BYTES)


def test_the_version_of_a_bundle_is_checked():
    with pytest.raises(Malformed):
        decode(Bundle, encode(good().model_copy(update={"version": 2})), MAX_BUNDLE_BYTES)


# what only a validator could sign for


def signed_for(name: Name, **changes: object) -> Bundle:
    """The validator made a state final in which this record says something else."""
    state = State()
    state.records, state.tree = dict(parts().state.records), parts().state.tree
    draft = Draft(state)
    record = state.get(name)
    assert record is not None
    draft.changes[name] = record.model_copy(update=changes)
    state.commit(draft)
    return replace(parts(), state=state).bundle()


def first(table: Table) -> Name:
    return next(name for name in parts().names if name[0] is table)


def at_first(table: Table) -> Any:
    return parts().state.get(first(table))


def faulty() -> Name:
    return next(
        name
        for name in parts().names
        if isinstance(record := parts().state.get(name), VerdictRecord)
        and record.verdict == "fault"
    )


def draw_changes(**changes: object) -> dict[str, object]:
    draw: DrawRecord = at_first(Table.DRAW)
    drawn_first = draw.eligible[0].model_copy(update=changes)
    return {"eligible": (drawn_first, *draw.eligible[1:])}


def report_changes() -> dict[str, object]:
    record: ReportRecord = at_first(Table.REPORT)
    summary = record.visits[0].summary.model_copy(update={"served": 0})
    judged = record.visits[0].model_copy(update={"summary": summary})
    return {"visits": (judged, *record.visits[1:])}


LIES: dict[str, Callable[[], Bundle]] = {
    "a served hoster called unproven": lambda: signed_for(first(Table.VERDICT), verdict="unproven"),
    "a served hoster called at fault": lambda: signed_for(first(Table.VERDICT), verdict="fault"),
    "a fault forgiven": lambda: signed_for(faulty(), verdict="served"),
    "a better score": lambda: signed_for(faulty(), score_ppm=1_000_000),
    "fewer reports": lambda: signed_for(first(Table.VERDICT), reports=3),
    "a share of chunks that is proven by nothing": lambda: signed_for(
        first(Table.VERDICT), lower_bound_ppm=999_999
    ),
    "more power": lambda: signed_for(first(Table.VERDICT), detection_ppm=1_000_000),
    "more chunks looked at": lambda: signed_for(first(Table.VERDICT), distinct=40),
    "quicker": lambda: signed_for(first(Table.VERDICT), latency_p95_us=1),
    "not as agreed": lambda: signed_for(first(Table.VERDICT), within_sla=False),
    "paid more": lambda: signed_for(first(Table.VERDICT), paid_base=7_001),
    "paid nothing": lambda: signed_for(first(Table.VERDICT), paid_base=0),
    "paid at fault": lambda: signed_for(faulty(), paid_base=7_000),
    "another hoster": lambda: signed_for(first(Table.VERDICT), hoster=b"x" * 32),
    "another contract": lambda: signed_for(first(Table.VERDICT), contract=b"x" * 32),
    "another epoch": lambda: signed_for(first(Table.VERDICT), epoch=9),
    "another SLA": lambda: signed_for(
        first(Table.PLAN),
        sla=at_first(Table.PLAN).sla.model_copy(update={"latency_us": 1}),
    ),
    "another price": lambda: signed_for(first(Table.PLAN), price_base=9_999),
    "a plan without the contract": lambda: signed_for(first(Table.PLAN), contracts=()),
    "another coin": lambda: signed_for(first(Table.CHALLENGE), coin=b"x" * 32),
    "no coin": lambda: signed_for(first(Table.CHALLENGE), coin=None),
    "another attestor's VRF key": lambda: signed_for(
        first(Table.DRAW),
        attestors=tuple(
            attestor.model_copy(update={"vrf_key": b"x" * 32})
            for attestor in at_first(Table.DRAW).attestors
        ),
    ),
    "another receipt key": lambda: signed_for(
        first(Table.DRAW), **draw_changes(receipt_key=b"x" * 32)
    ),
    "another head": lambda: signed_for(
        first(Table.DRAW),
        **draw_changes(
            head=at_first(Table.DRAW).eligible[0].head.model_copy(update={"tree_hash": b"x" * 32})
        ),
    ),
    "another plan of visits": lambda: signed_for(first(Table.DRAW), **draw_changes(samples=2)),
    "a window at another time": lambda: signed_for(
        first(Table.CHALLENGE), window_opened_ms=0, window_closed_ms=1_000
    ),
    "a visit judged otherwise": lambda: signed_for(first(Table.REPORT), **report_changes()),
}


@pytest.mark.parametrize("make", LIES.values(), ids=LIES)
def test_a_verdict_that_the_reports_do_not_lead_to_is_found_out(make):
    with pytest.raises(Malformed):
        check_bundle(make())


# what a stranger's own network could hold: whoever reads a file has not chosen its genesis


def absurd(table: Table, **changes: object) -> Callable[[], Bundle]:
    return lambda: signed_for(first(table), **changes)


def without_attestors() -> Bundle:
    return signed_for(first(Table.DRAW), attestors=())


ABSURD: dict[str, Callable[[], Bundle]] = {
    "a challenge by another name": absurd(Table.CHALLENGE, challenge=b"x" * 32),
    "a report by another member": absurd(Table.REPORT, attestor=b"x" * 32),
    "no samples": lambda: signed_for(first(Table.DRAW), **draw_changes(samples=0)),
    "half a verdict listed": absurd(Table.AVAILABILITY, verdicts=(b"x" * 32,)),
    "a report of no member": absurd(Table.CHALLENGE, members=(b"x" * 32, b"y" * 32)),
    "no members": absurd(Table.CHALLENGE, members=()),
    "a member that opened twice": lambda: signed_for(
        first(Table.CHALLENGE), opened=at_first(Table.CHALLENGE).opened * 2
    ),
    "nobody was drawn": without_attestors,
    "nothing to visit": absurd(Table.DRAW, eligible=()),
    "a contract drawn twice": lambda: signed_for(
        first(Table.DRAW), eligible=at_first(Table.DRAW).eligible[:1] * 2
    ),
    "an empty feed": lambda: signed_for(
        first(Table.DRAW),
        **draw_changes(head=at_first(Table.DRAW).eligible[0].head.model_copy(update={"length": 0})),
    ),
    "a feed of any length": lambda: signed_for(
        first(Table.DRAW),
        **draw_changes(
            head=at_first(Table.DRAW).eligible[0].head.model_copy(update={"length": 2**63 - 1})
        ),
    ),
    "any number of samples": lambda: signed_for(
        first(Table.DRAW),
        **draw_changes(
            samples=2**63 - 1,
            head=at_first(Table.DRAW).eligible[0].head.model_copy(update={"length": 2**63 - 1}),
        ),
    ),
    "a plan that is another's": lambda: signed_for(first(Table.VERDICT), plan=b"x" * 32),
    "an availability beyond all": lambda: signed_for(first(Table.VERDICT), contract=b"x" * 32),
}


@pytest.mark.parametrize("make", ABSURD.values(), ids=ABSURD)
def test_a_state_that_makes_no_sense_is_refused_like_any_other(make):
    with pytest.raises(Malformed):
        check_bundle(make())


def test_the_builders_made_what_they_say():
    assert blake2b_256(good().evidence[0].evidence) == at_first(Table.REPORT).evidence
    assert isinstance(at_first(Table.CHALLENGE), ChallengeRecord)
    assert isinstance(at_first(Table.AVAILABILITY), Availability)
    assert len(drawn().members) <= len(ATTESTORS)


# a history of one's own


def test_a_history_must_pass_a_checkpoint_that_is_trusted():
    world = audited()
    own = beginning(world.genesis)
    assert check_bundle(good(), own) == check_bundle(good())
    other = own.model_copy(update={"network": b"x" * 32})
    with pytest.raises(Malformed, match="another network"):
        check_bundle(good(), other)
    newer = own.validators.model_copy(update={"term": 3})
    with pytest.raises(Malformed, match="before the checkpoint"):
        check_bundle(good(), own.model_copy(update={"validators": newer}))
    forked = own.model_copy(update={"block": b"x" * 32})
    with pytest.raises(Forked, match="not the one of the checkpoint"):
        check_bundle(good(), forked)
