"""What all nodes of a network agree on before the first block: parameters, validators, coins.

The network id is the digest of the genesis, so nodes with different parameters are on
different networks and cannot read each other's signatures by mistake.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from audit.messages import MAX_LISTED, MAX_VISITS
from chain.challenges.bands import Bands, bands
from chain.validators import MAX_VALIDATORS, Validator, ValidatorSet
from coinflip.messages import MAX_MEMBERS, MIN_MEMBERS
from wire.codec import Message, digest
from wire.primitives import MAX_INT, Natural, Positive, Ppm, PublicKey, tagged_hash

PROTOCOL_VERSION = 1


class Parameters(Message):
    """Every number of the protocol. Heights and block counts, never clock times, in rules."""

    block_interval_ms: Positive = 2_000
    """How often a validator proposes; clients only use it to estimate when a height comes."""
    registration_lag_blocks: Natural = 20
    """Stake and offers must be this old to be drawn: nobody registers to fit a known seed."""

    epoch_blocks: Positive = 300
    """The least distance between two draws."""
    gathering_blocks: Natural = 20
    """From the first active contract after idle times to the next line-up."""
    draw_delay_blocks: Annotated[int, Field(ge=2, le=MAX_INT)] = 2
    """From the line-up to its draw: at least one block between is written by who cannot know
    the one before it, so nobody joins or leaves to fit the draw."""
    committee_members: Annotated[int, Field(ge=MIN_MEMBERS, le=MAX_MEMBERS)] = 10
    committee_minimum: Annotated[int, Field(ge=MIN_MEMBERS, le=MAX_MEMBERS)] = 4
    """No challenge opens, and no retry, with fewer attestors."""
    suspension_epochs_maximum: Annotated[int, Field(ge=1, le=1 << 20)] = 32
    """How long an attestor that offends again and again rests at most, in epoch_blocks."""
    cooling_rounds: Positive = 8
    """Clean rounds that take back one offence."""
    committee_per_address: Positive = 2
    """Members of one committee at one IPv4 address; with names for addresses, all together."""
    committee_per_subnet: Positive = 1
    """In one IPv6 /64: what one machine is given."""
    committee_per_network: Positive = 4
    """In one IPv4 /24 or IPv6 /48."""
    challenge_targets: Annotated[int, Field(ge=1, le=MAX_VISITS)] = 16
    """Contracts that one coin draws."""
    flip_blocks: Positive = 20
    """A flip must be sealed within this many blocks, or it is tried again."""
    flip_attempts: Positive = 4
    window_blocks: Positive = 200
    """The visiting window after the seal."""
    opening_blocks: Positive = 20
    """Time to open coin and reports after the window."""
    samples_maximum: Annotated[int, Field(ge=1, le=MAX_LISTED)] = 64

    acknowledge_blocks: Positive = 100
    """A hoster must fetch and acknowledge an assigned feed within this many blocks."""
    unbonding_blocks: Positive = 1_000
    answer_blocks: Positive = 600
    """A hoster must show the chunks that it is asked for within this many blocks."""
    ask_bond_base: Natural = 5_000
    """What asking in vain costs, beside the fees of the largest answer; it is the hoster's."""
    ask_rest_blocks: Natural = 1_800
    """After an answer nobody may ask about the same contract for this long."""
    ask_memory_blocks: Natural = 43_200
    """How long who has asked in vain pays twice as much for the next request."""
    maintenance_blocks: Positive = 600
    """How long a hoster may be away at once after it has announced it."""
    maintenance_rest_blocks: Natural = 21_000
    """From the end of one announced absence to the next."""

    network_delay_ms: Positive = 1_000
    """The longest that a message between validators usually takes: what timeouts are made of."""
    clearing_ms: Natural = 0
    """After a view that failed: how long validators wait before they vote in the next."""
    clock_tolerance_ms: Positive = 10_000
    """How far a block's time may lie from a voter's clock."""
    term_blocks: Annotated[int, Field(ge=2, le=MAX_INT)] = 1_000
    """How many blocks one set of validators finalizes before the next takes over."""
    validators_maximum: Annotated[int, Field(ge=1, le=MAX_VALIDATORS)] = 50
    validator_stake_base: Positive = 1_000_000
    validator_unbonding_blocks: Positive = 302_400
    """How long after leaving a validator's stake can still be taken for what it signed."""
    vote_fault_slash_ppm: Ppm = 500_000
    """Of a validator's stake, unbonding included: what two contradicting signatures cost."""
    jail_blocks: Natural = 2_000
    """How long a validator that failed most of its views stays out."""
    side_views: Natural = 64
    """How many views a block that lost is kept for."""

    fee_minimum_base: Natural = 10
    fee_base_per_kib: Natural = 10
    """For each started KiB of a transaction and the evidence beside it."""
    transaction_lifetime_blocks: Positive = 500
    """The furthest `valid_until` may lie ahead."""
    block_transactions_maximum: Annotated[int, Field(ge=1, le=10_000)] = 2_000

    attestor_stake_base: Positive = 1_000_000
    hoster_stake_base: Positive = 1_000_000
    contract_collateral_base: Positive = 100_000
    coin_fault_slash_ppm: Ppm = 500_000
    """Of an attestor's stake, unbonding included: what a provable fault in a coin flip costs."""
    reporter_share_ppm: Ppm = 250_000
    """Of what a fault costs: what who finds it gets; of one in a flip or by votes, the other
    members of the attempt or the other validators, in equal parts. The rest is burnt."""
    unopened_penalty_base: Natural = 10_000
    """What silence after a coin's seal costs: of each member that committed to a report, when
    none opens the coin; of a member whose Reveal nobody shows within opening_blocks after."""

    forged_report_penalty_base: Natural = 100_000
    """What a report that its attestor made up costs it, beside what it was paid for it."""

    hoster_share_ppm: Ppm = 700_000
    attestor_share_ppm: Ppm = 250_000
    validator_share_ppm: Ppm = 50_000
    silence_share_ppm: Ppm = 250_000
    """Of a full attestor share: what an honest "it did not answer" earns."""
    score_bands: Bands = bands(
        (1_000_000, 1_000_000), (990_000, 950_000), (950_000, 800_000), (900_000, 600_000),
        (500_000, 300_000), (0, 100_000),
    )  # fmt: skip
    """Of a full hoster share: what a score earns that is not below what was agreed."""
    speed_bands: Bands = bands(
        (1_000_000, 1_000_000), (800_000, 800_000), (500_000, 500_000), (250_000, 250_000),
    )  # fmt: skip
    """Of what the score earns: how much of the agreed speed earns how much."""

    @property
    def challenge_blocks(self) -> int:
        """The most blocks from a line-up to the end of a challenge that is drawn from it."""
        flips = self.flip_blocks * self.flip_attempts * (self.flip_attempts + 1) // 2
        return self.draw_delay_blocks + flips + self.window_blocks + self.opening_blocks

    @property
    def evidence_ms(self) -> int:
        """How long receipts and reports can convict who made them, by the time of blocks."""
        return self.validator_unbonding_blocks * self.block_interval_ms

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        shares = self.hoster_share_ppm + self.attestor_share_ppm + self.validator_share_ppm
        if shares > 1_000_000:
            raise ValueError("the shares add up to more than the price")
        if self.committee_minimum > self.committee_members:
            raise ValueError("the smallest committee is larger than the usual one")
        # The coin may be opened in the last block; who withheld its part pays after that.
        if self.unbonding_blocks < self.challenge_blocks + self.opening_blocks:
            raise ValueError("stake could leave before the challenge it was drawn for is over")
        if self.validator_unbonding_blocks < 2 * self.term_blocks:
            raise ValueError("a validator's stake could leave before a term after its own is over")
        if self.validator_unbonding_blocks < self.term_blocks + self.unbonding_blocks:
            raise ValueError("a validator's stake could leave before what it finalized is settled")
        return self


class GenesisValidator(Validator):
    """A validator of the first term, and the coins that it has at stake from the beginning."""

    stake_base: Positive


class GenesisBalance(Message):
    """Coins that an account owns before the first block."""

    account: PublicKey
    balance_base: Positive


class Genesis(Message):
    """The root of trust of a network. Supply is fixed here: nothing mints coins later."""

    protocol: Annotated[int, Field(ge=PROTOCOL_VERSION, le=PROTOCOL_VERSION)] = PROTOCOL_VERSION
    name: Annotated[str, Field(min_length=1, max_length=64)]
    time_ms: Natural
    parameters: Parameters
    validators: Annotated[
        tuple[GenesisValidator, ...], Field(min_length=1, max_length=MAX_VALIDATORS)
    ]
    balances: Annotated[tuple[GenesisBalance, ...], Field(max_length=100_000)]

    @model_validator(mode="after")
    def _no_doubles(self) -> Self:
        for what in ("account", "key", "vrf_key"):
            if len({getattr(v, what) for v in self.validators}) != len(self.validators):
                raise ValueError(f"two validators with one {what}")
        if len({v.endpoint.swarm_key for v in self.validators}) != len(self.validators):
            raise ValueError("two validators with one swarm key")
        least = self.parameters.validator_stake_base
        if any(validator.stake_base < least for validator in self.validators):
            raise ValueError(f"a validator's stake is {least} at least")
        if self.supply_base > MAX_INT:
            raise ValueError("more coins than one balance can hold")
        return self

    @property
    def network(self) -> bytes:
        """The 32-byte network id that every signature covers."""
        return digest(self)

    @property
    def supply_base(self) -> int:
        """All coins there will ever be."""
        staked = sum(validator.stake_base for validator in self.validators)
        return staked + sum(balance.balance_base for balance in self.balances)

    @property
    def first_set(self) -> ValidatorSet:
        """Who finalizes the blocks of the first term."""
        members = tuple(
            Validator(account=v.account, key=v.key, vrf_key=v.vrf_key, endpoint=v.endpoint)
            for v in self.validators
        )
        return ValidatorSet(term=0, seed=tagged_hash("seed", self.network), members=members)
