"""What a rule may know besides the state: the block it is in, and the network's parameters."""

from dataclasses import dataclass

from chain.genesis import Parameters


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The block that is being executed."""

    network: bytes
    parameters: Parameters
    height: int
    time_ms: int
    proposer: bytes
    """Account that earns the block's fees and the validators' share of what it settles."""
    vrf_output: bytes
    term: int = 0
    view: int = 0
    parent_view: int = 0
    """The view of the block before, 0 when that is of an earlier term: those between failed."""
