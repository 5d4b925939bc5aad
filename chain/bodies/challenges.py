"""What a committee says, from its seal to its reports."""

from typing import Annotated, Literal

from pydantic import Field

from coinflip.messages import MAX_MEMBERS, CoinOpening, Evidence, RevealProof
from wire.codec import Message
from wire.primitives import (
    Hash,
    Natural,
    PublicKey,
    Signature,
)

RevealProofs = Annotated[tuple[RevealProof, ...], Field(max_length=MAX_MEMBERS)]


class SealCoin(Message):
    """All members' signatures over the same commitments: from here the coin is fixed."""

    kind: Literal["seal_coin"] = "seal_coin"
    challenge: Hash
    attempt: Natural
    digest: Hash
    signatures: Annotated[tuple[Signature, ...], Field(min_length=2, max_length=256)]
    """In the order of the challenge's members."""


class ReportAbsent(Message):
    """A member's word that others were silent in the flip; a majority excludes them."""

    kind: Literal["report_absent"] = "report_absent"
    challenge: Hash
    attempt: Natural
    absent: Annotated[tuple[PublicKey, ...], Field(min_length=1, max_length=256)]


class CoinFault(Message):
    """Evidence that convicts a member of an attempt's flip by what it signed itself."""

    kind: Literal["coin_fault"] = "coin_fault"
    challenge: Hash
    attempt: Natural
    evidence: Evidence


class OpenCoin(Message):
    """Show the coin after the window: commitments and what opens them."""

    kind: Literal["open_coin"] = "open_coin"
    challenge: Hash
    opening: CoinOpening
    reveals: RevealProofs = ()
    """Of the members that its sender heard reveal; the others are asked for theirs."""


class ShowReveals(Message):
    """Answer for members of whom the opening of the coin brought no Reveal."""

    kind: Literal["show_reveals"] = "show_reveals"
    challenge: Hash
    reveals: RevealProofs


class CommitReport(Message):
    """Bind an attestor to its report before anybody opens one."""

    kind: Literal["commit_report"] = "commit_report"
    challenge: Hash
    commitment: Hash


class OpenReport(Message):
    """Show the committed report, which travels beside the transaction."""

    kind: Literal["open_report"] = "open_report"
    challenge: Hash
    evidence: Hash
    """Of the bytes of the sidecar, an `audit.messages.Evidence`."""
