"""What a refusal must leave behind: its reason, the fee, the used nonce, and nothing else."""

from chain.records import Table
from tests.people import VALIDATOR


def assert_refused(world, person, body, reason, sidecar=b""):
    """A block that holds this transaction says `reason` and is otherwise an empty block."""
    signed = world.sign(person, body, sidecar)
    empty, refused = world.execute().draft, world.execute(signed)
    (outcome,) = refused.outcomes
    assert outcome.reason == reason, f"{outcome.reason}: {outcome.detail}"
    changed = {key for key, _, now in refused.draft.changed() if now != empty.get(key)}
    sender, writer = (Table.ACCOUNT, person.id), (Table.ACCOUNT, VALIDATOR.id)
    assert changed == {sender, writer}
    before, after = world.state.get(sender), refused.draft.get(sender)
    fee = signed.transaction.fee_base
    assert (after.balance_base, after.nonce) == (before.balance_base - fee, before.nonce + 1)
    earned = refused.draft.get(writer).balance_base - world.state.get(writer).balance_base
    assert earned == fee
