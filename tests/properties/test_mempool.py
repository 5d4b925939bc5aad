"""Whatever comes and goes, the pool keeps every sender's order, its bounds, and what it took."""

from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.bodies.coins import Transfer
from chain.messages import SignedTransaction
from chain.node import mempool
from chain.node.mempool import Mempool
from chain.reasons import Reason
from tests.people import ATTESTORS, STRANGER
from tests.stages import funded
from wire.codec import encode
from wire.errors import Rejected, Unavailable

SENDERS = ATTESTORS[:3]
MAX_WAITING, MAX_PER_SENDER = 6, 4
ALL_BYTES = 1 << 20


def rate(signed: SignedTransaction) -> tuple[int, int]:
    return signed.transaction.fee_base, len(encode(signed))


class Pools(RuleBasedStateMachine):
    """A pool beside the accounts of a ledger that knows nonces only."""

    def __init__(self) -> None:
        super().__init__()
        self.caps = [
            patch.object(mempool, "MAX_WAITING", MAX_WAITING),
            patch.object(mempool, "MAX_PER_SENDER", MAX_PER_SENDER),
        ]
        for cap in self.caps:
            cap.start()
        self.pool = Mempool()
        self.nonces = {person.id: 0 for person in SENDERS}
        self.height = 0
        self.lost: list[SignedTransaction] = []
        """In a block that is not final and may lose."""

    def teardown(self) -> None:
        for cap in self.caps:
            cap.stop()

    def check(self, signed: SignedTransaction, pending: int) -> None:
        transaction = signed.transaction
        expected = self.nonces[transaction.sender] + pending
        if transaction.nonce != expected:
            used = transaction.nonce < expected
            raise Rejected(Reason.NONCE_USED if used else Reason.NONCE_AHEAD)
        if transaction.valid_until <= self.height:
            raise Rejected(Reason.EXPIRED)

    @rule(
        person=st.sampled_from(SENDERS),
        ahead=st.integers(-1, 5),
        fee=st.integers(10, 20),
        size=st.sampled_from((0, 0, 500)),
        life=st.integers(1, 8),
    )
    def add(self, person, ahead, fee, size, life):
        nonce = max(self.nonces[person.id] + ahead, 0)
        signed = funded().sign(
            person,
            Transfer(to=STRANGER.id, amount_base=1),
            bytes(size),
            fee_base=fee,
            nonce=nonce,
            valid_until=self.height + life,
        )
        before = {each.transaction.id: each for each in self.pool}
        try:
            self.pool.add(signed, self.check)
        except (Rejected, Unavailable):
            assert {each.transaction.id for each in self.pool} == set(before)
            return
        assert signed.transaction.id in self.pool
        fee_base, size_bytes = rate(signed)
        for name, gone in before.items():
            if name not in self.pool:
                other_fee, other_size = rate(gone)
                assert fee_base * other_size > other_fee * size_bytes
                replaced = gone.transaction.nonce == nonce
                assert gone.transaction.sender != person.id or replaced

    @rule(count=st.integers(0, 5))
    def propose(self, count):
        """A block that is not final yet, and may lose."""
        below = frozenset(signed.transaction.id for signed in self.lost)
        chosen = self.pool.select(count, ALL_BYTES, below)
        assert not below & {signed.transaction.id for signed in chosen}
        for signed in chosen:
            if signed.transaction.nonce == self.next_nonce(signed.transaction.sender):
                self.lost.append(signed)

    def next_nonce(self, sender: bytes) -> int:
        """After the blocks that are not final."""
        return self.nonces[sender] + sum(
            signed.transaction.sender == sender for signed in self.lost
        )

    @rule(person=st.sampled_from(SENDERS), fee=st.integers(10, 20))
    def hear(self, person, fee):
        """Another validator's block that is not final, with what this pool may not know."""
        nonce, until = self.next_nonce(person.id), self.height + 5
        body = Transfer(to=STRANGER.id, amount_base=2)
        signed = funded().sign(person, body, fee_base=fee, nonce=nonce, valid_until=until)
        self.lost.append(signed)

    @precondition(lambda self: self.lost)
    @rule()
    def finalize(self):
        """The blocks so far are final, as far as the ledger lets them."""
        held = []
        for signed in self.lost:
            if signed.transaction.nonce == self.nonces[signed.transaction.sender]:
                self.nonces[signed.transaction.sender] += 1
                held.append(signed)
        self.height += 1
        kept = {signed.transaction.id for signed in self.pool if self.lasts(signed, held)}
        self.lost = []
        self.pool.settle(held, self.height, self.check)
        assert {signed.transaction.id for signed in self.pool} == kept

    def lasts(self, signed: SignedTransaction, held: list[SignedTransaction]) -> bool:
        """Whether a waiting transaction can still be in a block, with all that it needs."""
        transaction = signed.transaction
        behind = [
            each.transaction
            for each in self.pool
            if each.transaction.sender == transaction.sender
            and self.nonces[transaction.sender] <= each.transaction.nonce <= transaction.nonce
        ]
        fresh = transaction.nonce >= self.nonces[transaction.sender]
        return fresh and all(each.valid_until > self.height for each in behind)

    @precondition(lambda self: self.lost)
    @rule()
    def lose(self):
        """The blocks lost; what they held comes first."""
        lost, self.lost = self.lost, []
        able = {signed.transaction.id for signed in lost if signed.transaction.id in self.pool}
        self.pool.give_back(lost, self.check)
        assert all(name in self.pool for name in able)
        assert able <= set(self.pool._returned)

    @invariant()
    def what_was_given_back_comes_first(self):
        chosen = self.pool.select(100, ALL_BYTES)
        returned = [
            place
            for place, signed in enumerate(chosen)
            if signed.transaction.id in self.pool._returned
        ]
        assert len(returned) == len(self.pool._returned)
        for place, signed in enumerate(chosen[: max(returned, default=0)]):
            behind = [chosen[later].transaction.sender for later in returned if later > place]
            assert place in returned or signed.transaction.sender in behind

    @invariant()
    def every_sender_is_in_order(self):
        waiting: dict[bytes, list[int]] = {}
        for signed in self.pool:
            waiting.setdefault(signed.transaction.sender, []).append(signed.transaction.nonce)
        for sender, nonces in waiting.items():
            start = self.nonces[sender]
            assert nonces == list(range(start, start + len(nonces)))
            brought = [
                each
                for each in self.pool
                if each.transaction.sender == sender
                and each.transaction.id not in self.pool._returned
            ]
            assert len(brought) <= MAX_PER_SENDER
        chosen: dict[bytes, list[int]] = {}
        for signed in self.pool.select(100, ALL_BYTES):
            chosen.setdefault(signed.transaction.sender, []).append(signed.transaction.nonce)
        assert chosen == waiting

    @invariant()
    def it_counts_what_it_holds(self):
        held = list(self.pool)
        assert len(self.pool) == len(held) <= MAX_WAITING
        assert self.pool.size_bytes == sum(len(encode(signed)) for signed in held)
        assert set(self.pool._returned) <= {signed.transaction.id for signed in held}


TestPools = Pools.TestCase
TestPools.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
