"""What validators tell one another while they agree on blocks.

Votes, proposals, certificates and announcements carry their own proof, so it does not matter
who passes them on. Everything may be lost, come late, twice, or in another order.
"""

from typing import Annotated, Literal

from pydantic import Field, Tag

from chain.blocks import Block
from chain.messages import SignedTransaction
from chain.runs import BlockRange, BlockRun
from chain.votes import Certificate, SignedVote, VrfProof
from wire.codec import BY_KIND, Message
from wire.primitives import Hash, Natural

MAX_ANSWER_VIEWS = 64
"""Certificates in one answer: who lacks more asks again."""

MAX_WANTED = 16
"""Blocks that one message may ask for."""

MAX_TRANSACTIONS = 1_024
"""Transactions in one message."""


class Announce(Message):
    """The committer's VRF proof for a view: from it follows who leads."""

    kind: Literal["announce"] = "announce"
    term: Natural
    view: Natural
    proof: VrfProof


class Propose(Message):
    """The leader's block for a view, its signature, and the announcement that makes it leader."""

    kind: Literal["propose"] = "propose"
    signed: SignedVote
    proof: VrfProof
    block: Block


class Votes(Message):
    """Votes of one validator or of several."""

    kind: Literal["votes"] = "votes"
    votes: Annotated[tuple[SignedVote, ...], Field(min_length=1, max_length=4 * MAX_ANSWER_VIEWS)]


class Certificates(Message):
    """Decisions on views, of a whole quorum each."""

    kind: Literal["certificates"] = "certificates"
    certificates: Annotated[
        tuple[Certificate, ...], Field(min_length=1, max_length=2 * MAX_ANSWER_VIEWS)
    ]


class Status(Message):
    """Where the sender stands, said again and again: whoever is further helps it on."""

    kind: Literal["status"] = "status"
    term: Natural
    view: Natural
    height: Natural
    """Of its last final block."""
    notarized: Natural = 0
    """The highest earlier view of the term of which it knows that a block was notarized in it:
    a view that some know as given up may be notarized for others, and that counts."""
    gaps: Annotated[tuple[Natural, ...], Field(max_length=MAX_ANSWER_VIEWS)] = ()
    """Earlier views of the term of which it has no decision."""


class WantBlocks(Message):
    """Ask for blocks that are not yet final, by id."""

    kind: Literal["want_blocks"] = "want_blocks"
    blocks: Annotated[tuple[Hash, ...], Field(min_length=1, max_length=MAX_WANTED)]


class Supply(Message):
    """A block that was asked for by its id."""

    kind: Literal["supply"] = "supply"
    block: Block


class WantRange(Message):
    """Ask for final blocks."""

    kind: Literal["want_range"] = "want_range"
    range: BlockRange


class Range(Message):
    """Final blocks that were asked for: as many as fit one message, perhaps none."""

    kind: Literal["range"] = "range"
    run: BlockRun


class Transactions(Message):
    """Transactions that the sender has admitted to its pool."""

    kind: Literal["transactions"] = "transactions"
    transactions: Annotated[
        tuple[SignedTransaction, ...], Field(min_length=1, max_length=MAX_TRANSACTIONS)
    ]


Agreement = Announce | Propose | Votes | Certificates | Status | WantBlocks | Supply
"""What the consensus core itself understands."""

Gossip = Annotated[
    Annotated[Announce, Tag("announce")]
    | Annotated[Propose, Tag("propose")]
    | Annotated[Votes, Tag("votes")]
    | Annotated[Certificates, Tag("certificates")]
    | Annotated[Status, Tag("status")]
    | Annotated[WantBlocks, Tag("want_blocks")]
    | Annotated[Supply, Tag("supply")]
    | Annotated[WantRange, Tag("want_range")]
    | Annotated[Range, Tag("range")]
    | Annotated[Transactions, Tag("transactions")],
    BY_KIND,
]
