"""Reports of validators that contradict themselves, sent until the chain has convicted them.

One report is enough, and what it takes goes to all validators alike: so they take turns, and who
sees the key convicted before its turn pays nothing.
"""

from dataclasses import dataclass

import structlog

from chain import fees
from chain.bodies.validators import ValidatorFault
from chain.consensus.view import Contradiction
from chain.genesis import Genesis
from chain.messages import SignedTransaction, Transaction, sign_transaction
from chain.node.case_store import CaseStore
from chain.records import Account
from chain.state import Draft, State
from wire.keys import KeyPair

log = structlog.get_logger()

FEE_FACTOR = 2
"""Evidence pays more than the least fee, so that it does not wait."""

REPEAT_BLOCKS = 50
"""A report that has led to nothing by then is sent again: the pool was full, or it expired."""

TURN_BLOCKS = 3
"""How long each validator waits for each that comes before it: the blocks under way when a report
is sent, and the one that holds it."""

MAX_ACCUSED = 128
"""Keys that are reported at the same time: more than there are validators that can cheat."""


@dataclass(slots=True)
class _Case:
    fault: ValidatorFault
    report_at: int | None = None
    """Not known before the first block that is seen with it."""


class Accuser:
    """One report for a key, however often it cheats: the first costs it all that there is."""

    def __init__(
        self, genesis: Genesis, key: KeyPair, store: CaseStore, account: bytes | None = None
    ) -> None:
        """`key` signs for `account`; without that, it is the account's first one.

        Goes on with what `store` has of a life before.
        """
        self.account = account or key.public
        self._genesis = genesis
        self._key = key
        self._store = store
        self._cases = {fault.key: _Case(fault) for fault in store.all()}

    def note(self, key: bytes, contradiction: Contradiction) -> None:
        """Only a validator that cheats, or runs twice, can have signed this with its key."""
        if key not in self._cases and len(self._cases) < MAX_ACCUSED:
            view = contradiction[0].vote.view
            log.error("a validator contradicts itself", key=key.hex(), view=view)
            first, second = contradiction
            fault = ValidatorFault(key=key, first=first, second=second)
            self._store.keep(fault)
            self._cases[key] = _Case(fault)

    def reports(self, state: State, height: int, waiting: int) -> list[SignedTransaction]:
        """What is to be submitted now; `waiting` transactions of this account come before it."""
        draft = Draft(state)
        known_as = draft.accounts.get(self.account) or Account()
        if (known_as.signer or self.account) != self._key.public:
            return []  # until this node runs with the key that signs for it now
        made: list[SignedTransaction] = []
        for key, case in list(self._cases.items()):
            known = draft.validator_keys.get(key)
            blocks = self._genesis.parameters.validator_unbonding_blocks
            if known is not None and (known.convicted or known.is_past(height, blocks)):
                del self._cases[key]
                self._store.drop(key)
                continue
            if case.report_at is None:
                case.report_at = height + TURN_BLOCKS * self._turn(draft, key)
            if height >= case.report_at:
                case.report_at = height + REPEAT_BLOCKS
                made.append(self._report(draft, case.fault, height, waiting + len(made)))
        return made

    def _turn(self, draft: Draft, key: bytes) -> int:
        """How many report a key before us; who is no validator comes last."""
        others = [each.account for each in draft.validators.members if each.key != key]
        if self.account not in others:
            return len(others)
        first = int.from_bytes(key[:8], "big") % len(others)
        return (others.index(self.account) - first) % len(others)

    def _report(
        self, draft: Draft, fault: ValidatorFault, height: int, waiting: int
    ) -> SignedTransaction:
        account = draft.accounts.get(self.account) or Account()
        parameters = self._genesis.parameters
        transaction = Transaction(
            network=self._genesis.network,
            sender=self.account,
            signer=account.signer,
            nonce=account.nonce + waiting,
            fee_base=0,
            valid_until=height + min(REPEAT_BLOCKS, parameters.transaction_lifetime_blocks),
            body=fault,
        )
        fee_base = FEE_FACTOR * fees.least_fee_base(parameters, transaction, b"")
        return sign_transaction(self._key, transaction.model_copy(update={"fee_base": fee_base}))
