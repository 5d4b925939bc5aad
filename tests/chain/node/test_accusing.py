"""One report for a key until the chain has convicted it; and gossip of a size that passes."""

from pathlib import Path

from chain.bodies.challenges import ReportAbsent
from chain.bodies.validators import ValidatorFault
from chain.consensus.tally import Seat, sign_vote, vote_to_nullify
from chain.messages import SignedTransaction, Transaction
from chain.node.accusing import REPEAT_BLOCKS, TURN_BLOCKS, Accuser
from chain.node.case_store import CaseStore
from chain.records import ValidatorKey
from chain.state import Draft
from chain.transition import genesis_state
from swarm.topic import MAX_MESSAGE_BYTES
from tests.chain.nodes import QUICK, idle_node
from tests.people import OWNER, VALIDATOR
from tests.simulation.consensus.world import network, people
from wire.codec import Message, encode
from wire.keys import Use

KEY = VALIDATOR.key(Use.VALIDATOR)


def case():
    seat = Seat(0, KEY, VALIDATOR.key(Use.VRF))
    first, second = (sign_vote(seat, QUICK.network, vote_to_nullify(0, n)) for n in (1, 2))
    return first, second


def test_a_key_is_reported_once_and_again_when_that_led_to_nothing(tmp_path: Path) -> None:
    state, accuser = genesis_state(QUICK), Accuser(QUICK, OWNER.account, CaseStore(tmp_path))
    accuser.note(KEY.public, case())
    accuser.note(KEY.public, case())
    (report,) = accuser.reports(state, 5, 2)
    assert report.is_signed() and report.transaction.nonce == 2
    assert not accuser.reports(state, 4 + REPEAT_BLOCKS, 0)
    assert len(accuser.reports(state, 5 + REPEAT_BLOCKS, 0)) == 1


def test_who_is_convicted_is_reported_no_more(tmp_path: Path) -> None:
    state, accuser = genesis_state(QUICK), Accuser(QUICK, OWNER.account, CaseStore(tmp_path))
    accuser.note(KEY.public, case())
    draft = Draft(state)
    draft.validator_keys.put(KEY.public, ValidatorKey(account=VALIDATOR.id, convicted=True))
    state.commit(draft)
    assert not accuser.reports(state, 5, 0)


def test_a_key_that_was_replaced_long_ago_is_reported_no_more(tmp_path: Path) -> None:
    state, accuser = genesis_state(QUICK), Accuser(QUICK, OWNER.account, CaseStore(tmp_path))
    accuser.note(KEY.public, case())
    draft = Draft(state)
    draft.validator_keys.put(KEY.public, ValidatorKey(account=VALIDATOR.id, replaced_height=3))
    state.commit(draft)
    last = 3 + QUICK.parameters.validator_unbonding_blocks
    assert accuser.reports(state, last, 0)
    assert not accuser.reports(state, last + REPEAT_BLOCKS, 0)


def test_validators_take_turns_and_the_next_ones_find_it_done(tmp_path: Path) -> None:
    agreed, members = network(4), people(4)
    state, key = genesis_state(agreed), members[0].key(Use.VALIDATOR).public
    accusers = [Accuser(agreed, each.account, CaseStore(tmp_path / each.name)) for each in members]
    for accuser in accusers:
        accuser.note(key, case())
    sent = {
        height: [place for place in (1, 2, 3) if accusers[place].reports(state, 5 + height, 0)]
        for height in range(3 * TURN_BLOCKS)
    }
    turns = {height: places for height, places in sent.items() if places}
    assert list(turns) == [0, TURN_BLOCKS, 2 * TURN_BLOCKS]
    assert sorted(place for places in turns.values() for place in places) == [1, 2, 3]
    draft = Draft(state)
    draft.validator_keys.change(key, convicted=True)
    state.commit(draft)
    assert not any(accuser.reports(state, 500, 0) for accuser in accusers)


def test_who_is_killed_before_its_turn_reports_in_its_next_life(tmp_path: Path) -> None:
    state, store = genesis_state(QUICK), CaseStore(tmp_path / "cases")
    Accuser(QUICK, OWNER.account, store).note(KEY.public, case())
    later = Accuser(QUICK, OWNER.account, store)
    (report,) = later.reports(state, 5, 0)
    assert isinstance(report.transaction.body, ValidatorFault)
    assert (report.transaction.body.first, report.transaction.body.second) == case()
    draft = Draft(state)
    draft.validator_keys.change(KEY.public, convicted=True)
    state.commit(draft)
    assert not later.reports(state, 6, 0) and not list(store.all())


def test_a_damaged_case_and_a_disk_that_takes_nothing_stop_nobody(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    (tmp_path / "00.case").write_bytes(b"torn")
    accuser = Accuser(QUICK, OWNER.account, store)
    accuser.note(KEY.public, case())
    assert len(list(store.all())) == 1
    full = tmp_path / "full"
    full.write_bytes(b"not a directory")
    other = Accuser(QUICK, OWNER.account, CaseStore(full))
    other.note(KEY.public, case())
    assert len(other.reports(genesis_state(QUICK), 5, 0)) == 1


async def test_what_is_passed_on_fits_a_message_however_large_its_bodies(
    tmp_path: Path, monkeypatch
) -> None:
    body = ReportAbsent(challenge=bytes(32), attempt=0, absent=(OWNER.id,) * 256)
    transaction = Transaction(
        network=QUICK.network, sender=OWNER.id, nonce=0, fee_base=1, valid_until=9, body=body
    )
    large = SignedTransaction(transaction=transaction, signature=bytes(64))
    said: list[Message] = []
    async with idle_node(tmp_path / "chain.db") as node:
        monkeypatch.setattr(node._gossip, "say", lambda _, message: said.append(message))
        node._fresh = [large] * 600
        node._pass_on()
    assert sum(len(message.transactions) for message in said) == 600
    assert all(len(encode(message)) < MAX_MESSAGE_BYTES for message in said)
