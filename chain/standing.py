"""How an attestor has behaved: first a warning, then rest from line-ups, longer each time.

What the chain itself sees is an *offence*: no report where one was due, one that was committed to
and not opened, or opened and void; a forged one, that somebody has proven. Clean rounds take
offences back, one after the other.
"""

from typing import Literal

from chain.genesis import Parameters
from wire.codec import Message
from wire.primitives import Natural

Offence = Literal["missing", "late", "void", "forged"]

STRIKES = {"missing": 1, "late": 1, "void": 1, "forged": 3}
"""What each weighs: one strike warns, each one more suspends for twice as long."""


class Standing(Message):
    """An attestor's record (key: account)."""

    rounds: Natural = 0
    """Challenges that it was a member of, and that came to their reports."""
    missing: Natural = 0
    """That it committed to no report in, or was silent in the flip of."""
    late: Natural = 0
    """That it committed to a report in, and never opened it."""
    void: Natural = 0
    forged: Natural = 0
    strikes: Natural = 0
    """Offences that clean rounds have not taken back yet: 1 warns, 2 and more suspend."""
    clean_rounds: Natural = 0
    """Since the last offence, or since the last one was taken back."""
    suspended_until: Natural = 0
    """Not lined up before this height."""

    def says(self, height: int) -> Literal["good", "warned", "suspended"]:
        """Its state at a height, in a word."""
        if height < self.suspended_until:
            return "suspended"
        return "warned" if self.strikes else "good"


def after_offence(
    standing: Standing, offence: Offence, parameters: Parameters, height: int
) -> Standing:
    """The standing with one offence more, at this height."""
    most = 2 + (parameters.suspension_epochs_maximum - 1).bit_length()
    strikes = min(standing.strikes + STRIKES[offence], most)
    fields = {
        offence: getattr(standing, offence) + 1,
        "strikes": strikes,
        "clean_rounds": 0,
    }
    if strikes > 1:
        epochs = min(1 << strikes - 2, parameters.suspension_epochs_maximum)
        until = height + epochs * parameters.epoch_blocks
        fields["suspended_until"] = max(until, standing.suspended_until)
    return standing.model_copy(update=fields)


def after_clean_round(standing: Standing, parameters: Parameters) -> Standing:
    """The standing with one clean round more: enough of them take a strike back."""
    clean, strikes = standing.clean_rounds + 1, standing.strikes
    if strikes and clean >= parameters.cooling_rounds:
        clean, strikes = 0, strikes - 1
    return standing.model_copy(update={"clean_rounds": clean, "strikes": strikes})
