"""What stands in for the chain where a flip is played without one: it seals, and takes evidence.

It checks what the chain checks, with the same functions, and forgets all of it afterwards. It
is one object in one process: no consensus, no fees, no other nodes.
"""

import asyncio

from coinflip.evidence import verify_evidence
from coinflip.messages import Evidence
from coinflip.opening import verify_seal


class Bulletin:
    """The bulletin of one attempt: the first good seal before the deadline is final at once."""

    def __init__(
        self, network: bytes, topic: bytes, members: tuple[bytes, ...], deadline_s: float
    ) -> None:
        self._claim = (network, topic, members)
        self._deadline_s = deadline_s
        self._decided = asyncio.Event()
        self._digest: bytes | None = None
        self.guilty: dict[bytes, Evidence] = {}
        """Whom evidence convicts, and the first evidence that did."""
        self.finality_s = 0.0
        """From the first seal handed in to the seal that is final."""

    async def submit_seal(self, digest: bytes, signatures: tuple[bytes, ...]) -> None:
        """Finalize a seal, unless one is; raises `Malformed` for one that does not hold."""
        if self._decided.is_set():
            return
        asked_s = asyncio.get_running_loop().time()
        verify_seal(*self._claim, digest, signatures)
        self._digest = digest
        self._decided.set()
        self.finality_s = asyncio.get_running_loop().time() - asked_s

    async def submit_evidence(self, evidence: Evidence) -> None:
        """Remember whom it convicts; raises `Malformed` when it does not hold."""
        self.guilty.setdefault(verify_evidence(*self._claim, evidence), evidence)

    async def wait_sealed(self) -> bytes | None:
        """The sealed digest, or None once the time is up."""
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._decided.wait()
        except TimeoutError:
            self._decided.set()
        return self._digest


class MuteBulletin:
    """The bulletin as a peer uses that reads it and hands nothing in."""

    def __init__(self, bulletin: Bulletin) -> None:
        self.wait_sealed = bulletin.wait_sealed

    async def submit_seal(self, digest: bytes, signatures: tuple[bytes, ...]) -> None:
        """Keep the seal back."""

    async def submit_evidence(self, evidence: Evidence) -> None:
        """Keep the evidence back."""
