"""Drafts on drafts: what is written is seen above, and gone when dropped."""

import pytest

from chain.reasons import Reason
from chain.records import Account, Roster, RosterName, StakeRecord, Table
from chain.state import Draft, State
from wire.errors import Rejected

ALICE, BOB = b"a" * 32, b"b" * 32


def account(balance):
    return Account(balance_base=balance)


def test_a_draft_reads_through_and_keeps_its_writes_to_itself():
    state = State()
    below = Draft(state)
    below.accounts.put(ALICE, account(1))
    above = below.draft()
    assert above.accounts.get(ALICE) == account(1)
    above.accounts.put(ALICE, account(2))
    above.accounts.put(BOB, account(3))
    assert below.accounts.get(ALICE) == account(1)
    assert below.accounts.get(BOB) is None
    assert state.get((Table.ACCOUNT, ALICE)) is None


def test_merging_takes_over_writes_and_removals():
    below = Draft(State())
    below.accounts.put(ALICE, account(1))
    above = below.draft()
    above.accounts.remove(ALICE)
    above.accounts.put(BOB, account(3))
    assert above.accounts.get(ALICE) is None
    below.merge(above)
    assert below.accounts.get(ALICE) is None
    assert below.accounts.get(BOB) == account(3)


def test_a_commit_changes_records_and_root():
    state = State()
    draft = Draft(state)
    draft.accounts.put(ALICE, account(1))
    draft.accounts.put(BOB, account(2))
    state.commit(draft)
    full = state.root
    assert state.get((Table.ACCOUNT, ALICE)) == account(1)

    draft = Draft(state)
    draft.accounts.remove(BOB)
    draft.accounts.change(ALICE, balance_base=5)
    assert state.root == full
    state.commit(draft)
    assert state.get((Table.ACCOUNT, BOB)) is None

    other = State.of({(Table.ACCOUNT, ALICE): account(5)})
    assert other.root == state.root


def test_records_in_any_order_give_the_same_root():
    records = {(Table.ACCOUNT, ALICE): account(1), (Table.ACCOUNT, BOB): account(2)}
    assert State.of(records).root == State.of(dict(reversed(records.items()))).root


def test_the_same_key_in_two_tables_is_two_records():
    one = State.of({(Table.ACCOUNT, ALICE): account(1)})
    state = State.of({(Table.ACCOUNT, ALICE): account(1), (Table.STAKE, ALICE): StakeRecord()})
    assert state.root != one.root
    assert state.get((Table.ACCOUNT, ALICE)) == account(1)


def test_a_draft_of_another_state_cannot_be_committed_or_merged():
    with pytest.raises(AssertionError):
        State().commit(Draft(State()))
    with pytest.raises(AssertionError):
        Draft(State()).merge(Draft(State()))


def test_a_record_of_another_table_is_a_bug():
    with pytest.raises(AssertionError):
        Draft(State()).accounts.put(ALICE, StakeRecord())


def test_what_is_required_is_there_or_the_reason_is_given():
    draft = Draft(State())
    draft.accounts.put(ALICE, account(1))
    assert draft.accounts.require(ALICE, Reason.UNKNOWN_ACCOUNT) == account(1)
    with pytest.raises(Rejected) as refused:
        draft.accounts.require(BOB, Reason.UNKNOWN_ACCOUNT)
    assert refused.value.reason is Reason.UNKNOWN_ACCOUNT
    with pytest.raises(AssertionError):
        draft.accounts.at(BOB)


def test_changes_are_told_with_what_was_before():
    state = State.of({(Table.ACCOUNT, ALICE): account(1)})
    draft = Draft(state)
    draft.accounts.change(ALICE, balance_base=2)
    draft.accounts.put(BOB, account(3))
    assert list(draft.changed()) == [
        ((Table.ACCOUNT, ALICE), account(1), account(2)),
        ((Table.ACCOUNT, BOB), None, account(3)),
    ]


def test_rosters_are_sorted_and_name_each_once():
    draft = Draft(State())
    assert draft.roster(RosterName.HOSTERS) == ()
    for member in (BOB, ALICE, BOB):
        draft.set_listed(RosterName.HOSTERS, member, True)
    assert draft.roster(RosterName.HOSTERS) == (ALICE, BOB)
    assert draft.roster(RosterName.ATTESTORS) == ()
    for _ in range(2):
        draft.set_listed(RosterName.HOSTERS, ALICE, False)
    assert draft.rosters.at(RosterName.HOSTERS.key) == Roster(members=(BOB,))
