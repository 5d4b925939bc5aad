"""Have a hoster show chunks on the chain."""

from chain import money
from chain.bodies.data import AskData
from chain.challenges import data_bonds, data_requests
from chain.context import BlockContext
from chain.reasons import Reason
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, request: bytes, body: AskData) -> None:
    """Take the bond and open a request: one at a time for a contract, with a rest between."""
    contract = draft.contracts.require(body.contract, Reason.UNKNOWN_CONTRACT)
    if contract.status != "active" or contract.is_over:
        raise Rejected(Reason.CONTRACT_CLOSED, contract.status)
    if not data_requests.can_be_asked(draft, contract):
        raise Rejected(Reason.STALE_HEAD, "the feed's owner has announced another fork")
    head, named = contract.head, len(body.chunks)
    assert head is not None, "an active contract has an acknowledged head"
    if list(body.chunks) != sorted({*body.chunks}) or body.chunks[-1] >= head.length:
        raise Rejected(Reason.NO_SUCH_CHUNK, f"ascending, below {head.length}")
    if contract.asked is not None:
        raise Rejected(Reason.ALREADY_ASKED, "one request at a time")
    if block.height < contract.rests_until:
        raise Rejected(Reason.ASKED_TOO_SOON, f"not before height {contract.rests_until}")
    room = block.parameters.answer_blocks * data_requests.ASKED_BYTES_A_BLOCK
    if draft.meta.asked_bytes + data_bonds.largest_bytes(head, named) > room:
        raise Rejected(Reason.TOO_MUCH_ASKED, "others wait for as much as blocks have room for")
    in_vain = data_bonds.asked_in_vain(draft.askers.get(sender), block.height)
    bond = data_bonds.bond_base(block.parameters, head, named, in_vain)
    money.debit(draft, sender, bond)
    data_requests.ask(draft, block, request, contract, body.chunks, sender, bond)
