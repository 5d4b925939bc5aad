"""What all agree on before the first block, and parameters that could not work."""

import pytest

from chain.genesis import Genesis, GenesisBalance, Parameters
from chain.transition import genesis_state
from tests.people import BALANCE, EVERYBODY, OWNER, PARAMETERS, genesis, genesis_validator
from wire.codec import decode, encode
from wire.errors import Malformed
from wire.primitives import MAX_INT

LEAST_UNBONDING = PARAMETERS.challenge_blocks + PARAMETERS.opening_blocks
"""Until the coin of the longest challenge is opened in its last block, and reveals are shown."""


def refused(made):
    with pytest.raises(Malformed):
        decode(type(made), encode(made))


def with_parameters(**changes):
    parameters = PARAMETERS.model_copy(update=changes)
    return genesis().model_copy(update={"parameters": parameters})


def test_the_network_id_changes_with_every_field():
    made = genesis()
    others = [
        made.model_copy(update={"name": "other"}),
        made.model_copy(update={"time_ms": 1}),
        made.model_copy(update={"balances": made.balances[1:]}),
        with_parameters(epoch_blocks=11),
    ]
    assert len({made.network, *(other.network for other in others)}) == 5


def test_a_genesis_reads_as_it_was_written():
    assert decode(Genesis, encode(genesis())) == genesis()
    assert decode(Parameters, encode(Parameters())) == Parameters()


@pytest.mark.parametrize(
    "changes",
    [
        {"hoster_share_ppm": 700_001},
        {"validator_share_ppm": 50_001},
        {"committee_minimum": 5},
        {"committee_minimum": 1, "committee_members": 1},
        {"committee_members": 101},
        {"challenge_targets": 65},
        {"challenge_targets": 0},
        {"samples_maximum": 4_097},
        {"block_transactions_maximum": 10_001},
        {"flip_attempts": 0},
        {"acknowledge_blocks": 0},
        {"silence_share_ppm": 1_000_001},
        {"unbonding_blocks": LEAST_UNBONDING - 1},
        {"window_blocks": 5 + 40 - LEAST_UNBONDING + 1},
        {"term_blocks": 1},
        {"term_blocks": 1_001},
        {"validator_unbonding_blocks": 1_999},
        {"validator_unbonding_blocks": 2_000, "unbonding_blocks": 1_001},
        {"validators_maximum": 0},
        {"validators_maximum": 129},
    ],
)
def test_parameters_that_cannot_work_are_refused(changes):
    refused(with_parameters(**changes))


def test_stake_stays_until_the_longest_challenge_is_over():
    good = with_parameters(unbonding_blocks=LEAST_UNBONDING)
    assert decode(Genesis, encode(good)) == good


def test_two_validators_with_one_key_are_refused():
    made = genesis()
    refused(made.model_copy(update={"validators": made.validators * 2}))


def test_two_validators_with_one_part_in_common_are_refused():
    made = genesis()
    (first,), other = made.validators, genesis_validator(OWNER)
    refused_for = {name: getattr(first, name) for name in ("account", "key", "vrf_key", "endpoint")}
    assert decode(Genesis, encode(made.model_copy(update={"validators": (first, other)})))
    for name, value in refused_for.items():
        twin = other.model_copy(update={name: value})
        refused(made.model_copy(update={"validators": (first, twin)}))


def test_a_validator_without_enough_stake_is_refused():
    refused(genesis().model_copy(update={"validators": (genesis_validator(OWNER, 4_999),)}))


def test_more_coins_than_a_balance_can_hold_are_refused():
    rich = GenesisBalance(account=OWNER.id, balance_base=MAX_INT - 5_000)
    made = genesis()
    refused(made.model_copy(update={"balances": (rich, *made.balances)}))
    assert decode(Genesis, encode(made.model_copy(update={"balances": (rich,)})))


def test_the_first_state_holds_the_coins_and_a_beacon_of_its_own():
    state = genesis_state(genesis())
    alone = ["meta", "validators", "candidates"]
    each = ["stake", "candidate", "signing key", "swarm key"]
    assert len(state.records) == len(EVERYBODY) + len(alone) + len(each)
    other = genesis_state(genesis().model_copy(update={"name": "other"}))
    assert other.root != state.root


def test_an_account_that_is_named_twice_gets_both():
    more = GenesisBalance(account=OWNER.id, balance_base=5)
    made = genesis()
    made = made.model_copy(update={"balances": (*made.balances, more)})
    held = [record for (_, key), record in genesis_state(made).records.items() if key == OWNER.id]
    assert [record.balance_base for record in held] == [BALANCE + 5]
    assert made.supply_base == genesis().supply_base + 5
