"""A hoster shows chunks that it was asked for."""

from chain.bodies.data import AnswerData
from chain.challenges import data_requests
from chain.context import BlockContext
from chain.reasons import Reason
from chain.state import Draft
from wire.errors import Malformed, Rejected
from wire.primitives import blake2b_256


def apply(
    draft: Draft, block: BlockContext, sender: bytes, body: AnswerData, sidecar: bytes
) -> None:
    """Check every chunk against the tree that the hoster has acknowledged."""
    request = draft.data_requests.require(body.request, Reason.UNKNOWN_REQUEST)
    if request.hoster != sender:
        raise Rejected(Reason.NOT_THE_HOSTER)
    if request.status != "open":
        raise Rejected(Reason.REQUEST_CLOSED, request.status)
    if draft.contracts.at(request.contract).status != "active":
        raise Rejected(Reason.CONTRACT_CLOSED)
    if blake2b_256(sidecar) != body.evidence:
        raise Rejected(Reason.BAD_ANSWER, "the sidecar is not the evidence named")
    try:
        indices = data_requests.shown_in(request, sidecar)
    except Malformed as error:
        raise Rejected(Reason.BAD_ANSWER, str(error)) from None
    data_requests.show(draft, block, request, indices)
