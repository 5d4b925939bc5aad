"""Who is there when a simulation begins, written as years of transactions would have left it."""

from dataclasses import dataclass, field

from nacl.bindings import (
    crypto_core_ed25519_scalar_reduce,
    crypto_scalarmult_ed25519_base_noclamp,
)

from chain.bodies.hosting import Offer
from chain.bodies.plans import Sla
from chain.endpoint import Endpoint
from chain.genesis import Genesis, GenesisBalance, GenesisValidator, Parameters
from chain.head import Head
from chain.records import (
    ContractRecord,
    Desk,
    FeedRecord,
    PlanRecord,
    Registration,
    Roster,
    RosterName,
    StakeRecord,
    stake_key,
)
from chain.sponsors import Sponsor
from chain.state import Draft
from holdfast.simulation.audits.attestors import Attestor
from holdfast.simulation.audits.hosters import CHUNK_BYTES, Way
from wire.keys import KeyPair, Use
from wire.primitives import tagged_hash

PRICE_BASE = 100_000
REPLICAS = 2
CONTRACTS_EACH = 4
"""Contracts of one hoster, as long as there are enough of them."""

PLANS_EACH = 8
"""Plans of one owner."""

SLA = Sla(availability_ppm=900_000, latency_us=250_000, throughput_bytes_per_s=100_000)

PARAMETERS = Parameters(
    registration_lag_blocks=0,
    epoch_blocks=10,
    gathering_blocks=0,
    flip_blocks=2,
    flip_attempts=1,
    window_blocks=2,
    opening_blocks=3,
    answer_blocks=30,
    ask_rest_blocks=30,
    term_blocks=1_000,
    validator_unbonding_blocks=4_000,
)
"""Those of a real network, but for the waiting: nothing happens in the blocks between. What is
forgotten is some 200 rounds old, so that the longest simulation has room."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One account with a role, the group that it is counted with, and how it behaves."""

    account: bytes
    group: str
    address: str


@dataclass(frozen=True, slots=True)
class AttestorSeat(Seat):
    """An attestor of a simulation."""

    ways: Attestor
    stake_base: int


@dataclass(frozen=True, slots=True)
class HosterSeat(Seat):
    """A hoster of a simulation."""

    way: Way


@dataclass(slots=True)
class Cast:
    """Everybody who takes part, by account."""

    attestors: dict[bytes, AttestorSeat] = field(default_factory=dict)
    hosters: dict[bytes, HosterSeat] = field(default_factory=dict)
    owners: dict[bytes, Seat] = field(default_factory=dict)
    contracts: list[tuple[bytes, bytes, int]] = field(default_factory=list)
    """(owner, hoster, plan's number) of each; a plan has as many as it has replicas."""

    def groups(self) -> dict[str, list[bytes]]:
        """The accounts of each group, in the order in which the groups came."""
        found: dict[str, list[bytes]] = {}
        for seats in (self.attestors, self.hosters, self.owners):
            for seat in seats.values():
                found.setdefault(seat.group, []).append(seat.account)
        return found


def account(role: str, number: int, seed: bytes) -> bytes:
    """The account of somebody in a simulation: nobody signs with it."""
    return tagged_hash("simulate/account", seed, role.encode(), number.to_bytes(8, "big"))


def point(*parts: bytes) -> bytes:
    """A random point of the curve: what a VRF proof begins with."""
    first = tagged_hash("simulate/point", *parts)
    scalar = crypto_core_ed25519_scalar_reduce(first + tagged_hash("simulate/more", first))
    return crypto_scalarmult_ed25519_base_noclamp(scalar)


def key_pair(holder: bytes) -> KeyPair:
    """The VRF key of an attestor whose reports go before the chain's own judge."""
    return KeyPair.derive(holder, Use.VRF)


def plan_id(seed: bytes, number: int) -> bytes:
    """A plan of a simulation."""
    return tagged_hash("simulate/plan", seed, number.to_bytes(8, "big"))


def genesis_of(cast: Cast, epochs: int, seed: bytes, parameters: Parameters) -> Genesis:
    """Coins for all that is ordered and staked, and as much again to pay fees with."""
    validator = account("validator", 0, seed)
    price = PRICE_BASE * epochs
    ordered = dict.fromkeys(cast.owners, 0)
    for owner, _, _ in cast.contracts:
        ordered[owner] += price
    balances = [
        *((seat.account, 2 * seat.stake_base) for seat in cast.attestors.values()),
        *((hoster, hoster_stake_base(parameters) + 1_000_000) for hoster in cast.hosters),
        *((owner, base + 1_000_000) for owner, base in ordered.items()),
    ]
    return Genesis(
        name="simulation",
        time_ms=1_800_000_000_000,
        parameters=parameters,
        validators=(
            GenesisValidator(
                account=validator,
                key=account("validator key", 0, seed),
                vrf_key=account("validator vrf", 0, seed),
                endpoint=_endpoint(validator, "192.0.2.1"),
                stake_base=parameters.validator_stake_base,
            ),
        ),
        balances=tuple(
            GenesisBalance(account=holder, balance_base=base) for holder, base in balances
        ),
    )


def found(
    draft: Draft, cast: Cast, *, parameters: Parameters, epochs: int, chunks: int, samples: int,
    seed: bytes,
) -> None:  # fmt: skip
    """Register and stake everybody, and let every contract be acknowledged."""
    for seat in cast.attestors.values():
        key = key_pair(seat.account).public if seat.ways.forges else seat.account
        _register(draft, seat, None, vrf_key=key)
        _stake(draft, "attestor", seat.account, seat.stake_base)
    by_hoster: dict[bytes, list[bytes]] = {hoster: [] for hoster in cast.hosters}
    by_plan: dict[int, list[bytes]] = {}
    head = Head(
        fork=0, length=chunks, byte_length=chunks * CHUNK_BYTES, tree_hash=tagged_hash("tree")
    )
    for place, (owner, hoster, number) in enumerate(cast.contracts):
        contract = tagged_hash("simulate/contract", seed, place.to_bytes(8, "big"))
        by_hoster[hoster].append(contract)
        by_plan.setdefault(number, []).append(contract)
        draft.contracts.put(
            contract,
            ContractRecord(
                contract=contract,
                plan=plan_id(seed, number),
                feed=_feed(seed, number),
                owner=owner,
                hoster=hoster,
                status="active",
                head=head,
                bytes=head.byte_length,
                collateral_base=parameters.contract_collateral_base,
                acknowledge_by=0,
                epochs_left=epochs,
                samples=samples,
            ),
        )
    for number, contracts in by_plan.items():
        owner = cast.contracts[number * REPLICAS][0]
        _order(draft, seed, number, owner, contracts, epochs, samples, head)
    for hoster, contracts in by_hoster.items():
        offer = Offer(
            capacity_bytes=head.byte_length * (len(contracts) + CONTRACTS_EACH),
            price_base_per_gib=0,
        )
        _register(draft, cast.hosters[hoster], offer, head.byte_length * len(contracts))
        locked = parameters.contract_collateral_base * len(contracts)
        _stake(draft, "hoster", hoster, hoster_stake_base(parameters), locked)
        draft.desks.put(hoster, Desk(contracts=tuple(contracts)))
    active = [contract for contracts in by_plan.values() for contract in contracts]
    for name, members in (
        (RosterName.ATTESTORS, cast.attestors),
        (RosterName.HOSTERS, cast.hosters),
        (RosterName.ACTIVE_CONTRACTS, active),
    ):
        draft.rosters.put(name.key, Roster(members=tuple(sorted(members))))


def hoster_stake_base(parameters: Parameters) -> int:
    """What each hoster has at stake: collateral for twice its contracts beside the least."""
    return parameters.hoster_stake_base + 2 * CONTRACTS_EACH * parameters.contract_collateral_base


def _feed(seed: bytes, number: int) -> bytes:
    return tagged_hash("simulate/feed", seed, number.to_bytes(8, "big"))


def _order(
    draft: Draft,
    seed: bytes,
    number: int,
    owner: bytes,
    contracts: list[bytes],
    epochs: int,
    samples: int,
    head: Head,
) -> None:
    plan, feed = plan_id(seed, number), _feed(seed, number)
    escrow = PRICE_BASE * epochs * len(contracts)
    _pay(draft, owner, escrow)
    draft.feeds.put(
        feed,
        FeedRecord(
            feed=feed,
            owner=owner,
            manifest=b"",
            head=head,
            source=_endpoint(owner, "192.0.2.2"),
            plans=(plan,),
        ),
    )
    draft.plans.put(
        plan,
        PlanRecord(
            plan=plan,
            owner=owner,
            feed=feed,
            replicas=len(contracts),
            epochs=epochs,
            price_base=PRICE_BASE,
            sla=SLA,
            samples=samples,
            start_height=0,
            escrow_base=escrow,
            sponsors=(Sponsor(account=owner, part_base=escrow),),
            status="running",
            contracts=tuple(contracts),
        ),
    )


def _endpoint(holder: bytes, address: str) -> Endpoint:
    return Endpoint(host=address, port=4_600, swarm_key=holder)


def _register(
    draft: Draft, seat: Seat, offer: Offer | None, hosted_bytes: int = 0, vrf_key: bytes = b""
) -> None:
    draft.registrations.put(
        seat.account,
        Registration(
            account=seat.account,
            endpoint=_endpoint(seat.account, seat.address),
            vrf_key=vrf_key or seat.account,
            receipt_key=seat.account,
            operator="",
            offer=offer,
            attests=offer is None,
            hosted_bytes=hosted_bytes,
        ),
    )


def _stake(draft: Draft, role: str, holder: bytes, amount_base: int, locked_base: int = 0) -> None:
    _pay(draft, holder, amount_base)
    draft.stakes.put(
        stake_key(role, holder), StakeRecord(amount_base=amount_base, locked_base=locked_base)
    )


def _pay(draft: Draft, holder: bytes, amount_base: int) -> None:
    balance = draft.accounts.at(holder).balance_base
    draft.accounts.change(holder, balance_base=balance - amount_base)
