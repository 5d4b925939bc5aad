"""Send coins."""

import pytest

from chain.bodies.coins import Transfer
from chain.reasons import Reason
from tests.chain.refusals import assert_refused
from tests.people import BALANCE, OWNER, STRANGER
from tests.stages import funded


def test_coins_move():
    world = funded()
    world.must(OWNER, Transfer(to=STRANGER.id, amount_base=1_000))
    assert world.balance(OWNER) == BALANCE - 1_000 - 10
    assert world.balance(STRANGER) == 100 + 1_000


def test_coins_reach_an_account_that_was_never_heard_of():
    world = funded()
    world.must(OWNER, Transfer(to=b"n" * 32, amount_base=7))
    account = world.draft.accounts.at(b"n" * 32)
    assert (account.balance_base, account.nonce) == (7, 0)


def test_sending_to_oneself_costs_the_fee():
    world = funded()
    world.must(OWNER, Transfer(to=OWNER.id, amount_base=1_000))
    assert world.balance(OWNER) == BALANCE - 10


def test_all_but_the_fee_can_be_sent():
    world = funded()
    world.must(OWNER, Transfer(to=STRANGER.id, amount_base=BALANCE - 10))
    assert world.balance(OWNER) == 0


@pytest.mark.parametrize("amount", [BALANCE - 9, BALANCE, 2**63 - 1])
def test_more_than_there_is_after_the_fee_is_refused(amount):
    body = Transfer(to=STRANGER.id, amount_base=amount)
    assert_refused(funded(), OWNER, body, Reason.INSUFFICIENT_BALANCE)
