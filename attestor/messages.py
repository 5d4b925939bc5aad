"""What an attestor keeps between restarts."""

from audit.messages import VisitEvidence, VisitSummary
from coinflip.messages import Evidence as FlipEvidence
from wire.codec import Message
from wire.primitives import Bytes, Hash, Natural, PublicKey


class VisitResult(Message):
    """One finished visit: what the report will say, and what will prove it."""

    contract: Hash
    summary: VisitSummary
    evidence: VisitEvidence | None


class CoinKept(Message):
    """A coin that landed: secret among the members until the window ends."""

    attempt: int
    coin: Hash
    opening: Bytes
    """Encoded `CoinOpening`."""


class ReportKept(Message):
    """A report as committed: opened later with exactly these bytes."""

    evidence: Bytes
    """Encoded `audit.messages.Evidence`."""


class FaultKept(Message):
    """Evidence of a fault in one attempt's flip that the chain may not have yet."""

    attempt: Natural
    accused: PublicKey
    evidence: FlipEvidence
