"""When visits take place tells nothing: anywhere in the window, in no order."""

from attestor.itinerary import BASE_S, LEAST_RATE, VISIT_BYTES
from attestor.schedule import join_at_ms, longest_visit_ms
from audit.plan import Eligible, visit_plans
from chain.genesis import Parameters
from tests.people import Person
from wire import vrf
from wire.keys import Use
from wire.primitives import blake2b_256

MEMBERS = [Person(f"member {number}") for number in range(10)]
TARGETS = [
    Eligible(blake2b_256(bytes([number])), b"h" * 32, b"o" * 32, 1_000, 30) for number in range(16)
]
ROUNDS = 12
LONGEST_MS = longest_visit_ms(
    BASE_S * 1_000 + VISIT_BYTES * 1_000 // LEAST_RATE,
    Parameters().window_blocks,
    Parameters().block_interval_ms,
)


def times() -> list[list[int]]:
    """When each member makes its visits, in the order of the targets, in many rounds."""
    blocks, interval_ms = Parameters().window_blocks, Parameters().block_interval_ms
    members = sorted(member.id for member in MEMBERS)
    found = []
    for number in range(ROUNDS):
        coin = blake2b_256(b"coin", bytes([number]))
        for member in MEMBERS:
            proof = vrf.prove(member.key(Use.VRF), coin)
            plans = visit_plans(coin, members, member.id, proof, TARGETS)
            found.append([join_at_ms(plan, blocks, interval_ms, LONGEST_MS) for plan in plans])
    return found


def test_times_are_uniform_over_the_window():
    """Kolmogorov and Smirnov at one in a thousand: 1.95 / sqrt(n)."""
    window_ms = Parameters().window_blocks * Parameters().block_interval_ms
    ordered = sorted(time for row in times() for time in row)
    last_ms = ordered[-1]
    assert last_ms * 100 > window_ms * 75, (
        "visits go on to the end, but for what the last one takes"
    )
    count = len(ordered)
    furthest = max(abs(place / count - time / (last_ms + 1)) for place, time in enumerate(ordered))
    assert furthest < 1.95 / count**0.5


def test_the_order_of_targets_is_not_the_order_of_visits():
    """Of all pairs of visits of one member, half are in the order of their targets."""
    rising = pairs = 0
    for row in times():
        for one in range(len(row)):
            for two in range(one + 1, len(row)):
                rising += row[one] < row[two]
                pairs += 1
    # 14,400 pairs in 120 rows: five standard deviations of Kendall's statistic are 0.05.
    assert abs(rising / pairs - 0.5) < 0.05
