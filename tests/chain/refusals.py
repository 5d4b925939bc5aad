"""What a refusal must leave behind: its reason, the fee, the used nonce, and nothing else.

A void report is remembered besides.
"""

from audit.evidence import Flaw
from chain.reasons import Reason
from chain.records import Table
from tests.people import VALIDATOR

VOID = {*Flaw, Reason.BAD_PLAN_PROOF, Reason.EVIDENCE_UNREADABLE}


def assert_refused(world, person, body, reason, sidecar=b""):
    """A block that holds this transaction says `reason` and is otherwise an empty block."""
    signed = world.sign(person, body, sidecar)
    empty, refused = world.execute().draft, world.execute(signed)
    (outcome,) = refused.outcomes
    assert outcome.reason == reason, f"{outcome.reason}: {outcome.detail}"
    changed = {key for key, _, now in refused.draft.changed() if now != empty.get(key)}
    sender, writer = (Table.ACCOUNT, person.id), (Table.ACCOUNT, VALIDATOR.id)
    if reason in VOID:
        record = (Table.CHALLENGE, body.challenge)
        now = refused.draft.get(record)
        assert now.voided == (*world.state.get(record).voided, person.id)
        # Who was the last that all waited for has ended the challenge.
        assert changed >= {sender, writer, record}
        if now.status == "opening":
            assert changed == {sender, writer, record}
        return
    assert changed == {sender, writer}
    before, after = world.state.get(sender), refused.draft.get(sender)
    fee = signed.transaction.fee_base
    assert (after.balance_base, after.nonce) == (before.balance_base - fee, before.nonce + 1)
    earned = refused.draft.get(writer).balance_base - world.state.get(writer).balance_base
    assert earned == fee
