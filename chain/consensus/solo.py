"""The engine of a network with one validator: it proposes, and its own vote is the quorum.

It can be killed anywhere. A block leaves the node only after it was stored, and there is
one block a height, so a restart can neither lose nor contradict a block that anyone saw.
"""

from chain.consensus.port import Decided, LedgerPort, Proposal
from chain.genesis import Genesis
from chain.messages import SignedTransaction
from chain.validators import view_input
from chain.votes import VOTE_DOMAIN, Certificate, ValidatorSignature, Vote
from wire import signing, vrf
from wire.codec import encode
from wire.errors import Unavailable
from wire.keys import KeyPair


class Solo:
    """Decides one block at a time on a ledger that nobody else drives."""

    def __init__(
        self, genesis: Genesis, ledger: LedgerPort, key: KeyPair, vrf_key: KeyPair
    ) -> None:
        if len(genesis.validators) != 1 or genesis.validators[0].key != key.public:
            raise Unavailable("this seed is not the one validator that the genesis names")
        self._network = genesis.network
        self._account = genesis.validators[0].account
        self._ledger = ledger
        self._key = key
        self._vrf_key = vrf_key

    def decide(self, time_ms: int, transactions: tuple[SignedTransaction, ...]) -> Decided:
        """The next block and its certificate; the caller stores it, then commits it."""
        tip = self._ledger.tip
        validators = self._ledger.validators
        view = tip.view + 1 if tip and tip.term == validators.term else 1
        alpha = view_input(self._network, validators.seed, validators.term, view)
        proof = vrf.prove(self._vrf_key, alpha)
        proposal = Proposal(
            view=view,
            time_ms=max(time_ms, tip.time_ms + 1 if tip else 0),
            proposer=self._account,
            vrf_proof=proof,
            vrf_output=vrf.output(proof),
        )
        prepared = self._ledger.propose(self._ledger.root, proposal, transactions)
        header = prepared.block.header
        vote = Vote(
            kind="finalize",
            term=header.term,
            view=header.view,
            height=header.height,
            block=header.id,
        )
        signature = signing.sign(self._key, VOTE_DOMAIN, self._network, encode(vote))
        certificate = Certificate(
            vote=vote, signatures=(ValidatorSignature(index=0, signature=signature),)
        )
        return Decided(prepared, certificate)
