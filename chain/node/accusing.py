"""Reports of validators that contradict themselves, sent until the chain has convicted them."""

from dataclasses import dataclass

import structlog

from chain import fees
from chain.bodies.validators import ValidatorFault
from chain.consensus.view import Contradiction
from chain.genesis import Genesis
from chain.messages import SignedTransaction, Transaction, sign_transaction
from chain.records import Account
from chain.state import Draft, State
from wire.keys import KeyPair

log = structlog.get_logger()

FEE_FACTOR = 2
"""Evidence pays more than the least fee, so that it does not wait."""

REPEAT_BLOCKS = 50
"""A report that has led to nothing by then is sent again: the pool was full, or it expired."""

MAX_ACCUSED = 128
"""Keys that are reported at the same time: more than there are validators that can cheat."""


@dataclass(slots=True)
class _Case:
    contradiction: Contradiction
    report_at: int = 0


class Accuser:
    """One report for a key, however often it cheats: the first costs it all that there is."""

    def __init__(self, genesis: Genesis, key: KeyPair, account: bytes | None = None) -> None:
        """`key` signs for `account`; without that, it is the account's first one."""
        self.account = account or key.public
        self._genesis = genesis
        self._key = key
        self._cases: dict[bytes, _Case] = {}

    def note(self, key: bytes, contradiction: Contradiction) -> None:
        """Only a validator that cheats, or runs twice, can have signed this with its key."""
        if key not in self._cases and len(self._cases) < MAX_ACCUSED:
            view = contradiction[0].vote.view
            log.error("a validator contradicts itself", key=key.hex(), view=view)
            self._cases[key] = _Case(contradiction)

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
            elif height >= case.report_at:
                case.report_at = height + REPEAT_BLOCKS
                made.append(self._report(draft, key, case, height, waiting + len(made)))
        return made

    def _report(
        self, draft: Draft, key: bytes, case: _Case, height: int, waiting: int
    ) -> SignedTransaction:
        first, second = case.contradiction
        account = draft.accounts.get(self.account) or Account()
        parameters = self._genesis.parameters
        transaction = Transaction(
            network=self._genesis.network,
            sender=self.account,
            signer=account.signer,
            nonce=account.nonce + waiting,
            fee_base=0,
            valid_until=height + min(REPEAT_BLOCKS, parameters.transaction_lifetime_blocks),
            body=ValidatorFault(key=key, first=first, second=second),
        )
        fee_base = FEE_FACTOR * fees.least_fee_base(parameters, transaction, b"")
        return sign_transaction(self._key, transaction.model_copy(update={"fee_base": fee_base}))
