"""An attestor's keys, each for one use."""

from wire.keys import KeyPair, Use, derive


class Identity:
    """All keys of one attestor, from its master seed."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self.account = KeyPair.derive(seed, Use.ACCOUNT)
        self.swarm = KeyPair.derive(seed, Use.SWARM)
        self.vrf = KeyPair.derive(seed, Use.VRF)
        self.receipt = KeyPair.derive(seed, Use.RECEIPT)

    def visit_key(self, challenge: bytes, contract: bytes) -> KeyPair:
        """The key of one visit: nobody can link it to us before we show it."""
        return KeyPair.derive(self.seed, Use.VISIT, challenge, contract)

    def report_salt(self, challenge: bytes) -> bytes:
        """What hides a report behind its commitment."""
        return derive(self.seed, Use.VISIT, challenge, b"salt")
