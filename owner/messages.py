"""The file that an availability report is exported to: everything that proves it, in one."""

from typing import Annotated

from pydantic import Field

from chain.genesis import Genesis
from chain.messages import StateProof
from wire.codec import Message
from wire.primitives import Bytes, Hash

MAX_REPORTS = 1024


class ReportEvidence(Message):
    """The evidence beside one opened report, as it was on the chain."""

    challenge: Hash
    attestor: Hash
    evidence: Bytes


class Bundle(Message):
    """A report on one feed as of one final block.

    All records are proven under the one header, which its certificate makes final for
    whoever trusts the genesis: compare the network id with the one you know.
    """

    version: Annotated[int, Field(ge=1, le=1)] = 1
    genesis: Genesis
    feed: Hash
    state: StateProof
    evidence: Annotated[tuple[ReportEvidence, ...], Field(max_length=MAX_REPORTS)]
