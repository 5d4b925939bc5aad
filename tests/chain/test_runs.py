"""Catching up: what a certificate covers is taken, and no lie of a peer is."""

from collections.abc import Callable
from functools import cache

import pytest

from chain.blocks import Block, FinalBlock
from chain.bodies.challenges import OpenCoin
from chain.bodies.coins import Transfer
from chain.ledger import Ledger
from chain.light import Forked
from chain.messages import SignedTransaction
from chain.runs import MAX_RUN_BLOCKS, BlockRun, Catchup, Diverged
from chain.transition import genesis_state
from chain.votes import Certificate
from coinflip.messages import Dealing, HeldShare
from tests.builders import World
from tests.chain.chains import Chain, heights, seal
from tests.stages import coin_opened
from tests.validators import MANY, TERMS, genesis_of
from wire.codec import decode, encode
from wire.errors import HoldfastError, Malformed

FOUR = genesis_of(4)
"""Four validators; a term has ten blocks."""

PAYER = MANY[8]


def pay(chain: Chain, amount: int = 5) -> SignedTransaction:
    world = World(chain.genesis, chain.ledger.state, chain.ledger.height)
    return world.sign(PAYER, Transfer(to=MANY[9].id, amount_base=amount))


@cache
def honest() -> Chain:
    """25 blocks with a payment each, some of them final by a later one."""
    chain = Chain(FOUR)
    for number in range(25):
        uncertified = number in (2, 3, 4, 12)
        chain.write(pay(chain), certified=not uncertified)
    return chain


class Late:
    """A node that catches up, and counts what it had to execute for it."""

    def __init__(self, chain: Chain) -> None:
        self.ledger = Ledger(chain.genesis, genesis_state(chain.genesis), None)
        self.catchup = Catchup(self.ledger)
        self.executed = 0
        self.runs: list[list[int]] = []
        validate = self.ledger.validate

        def counted(block: Block, *, certified: bool = False):
            self.executed += 1
            return validate(block, certified=certified)

        self.ledger.validate = counted  # type: ignore[method-assign]

    def take(self, answer: BlockRun) -> None:
        for run in self.catchup.take(answer):
            if run:
                self.runs.append(heights(run))
                assert run[-1].certificate is not None
            for decided in run:
                self.ledger.commit(decided.prepared)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 512])
def test_a_node_comes_to_the_same_state_whatever_the_answers_sizes(count):
    chain = honest()
    late = Late(chain)
    while late.catchup.next_height <= 25:
        late.take(decode(BlockRun, encode(chain.answer(late.catchup.next_height, count))))
    assert (late.ledger.height, late.ledger.state.root) == (25, chain.ledger.state.root)
    assert [height for run in late.runs for height in run] == list(range(1, 26))
    assert late.executed == 25
    ends = {run[-1] for run in late.runs}
    assert {10, 20} <= ends, "the next term's validators stand in what is stored"
    assert not ends & {3, 4, 5, 13}, "a run ends with a certificate"


def test_a_node_goes_on_where_it_stopped():
    chain = honest()
    late = Late(chain)
    late.take(chain.answer(1, 7))
    late.catchup = Catchup(late.ledger)
    assert (late.catchup.wanted.from_height, late.catchup.wanted.count) == (8, MAX_RUN_BLOCKS)
    late.take(chain.answer(8))
    assert late.ledger.state.root == chain.ledger.state.root


def test_blocks_that_came_by_another_way_are_not_asked_for():
    chain = honest()
    late = Late(chain)
    late.take(chain.answer(1, 4))
    assert (late.ledger.height, late.catchup.next_height) == (2, 5)
    for final in chain.blocks[2:8]:
        late.ledger.commit(late.ledger.validate(final.block))
    assert late.catchup.next_height == 9
    late.take(chain.answer(9))
    assert late.ledger.state.root == chain.ledger.state.root


def test_a_thousand_blocks_may_be_final_by_one_certificate():
    chain = Chain(genesis_of(1, TERMS.model_copy(update=LONG)))
    chain.grow(1_023, certified=False)
    chain.grow(1)
    late = Late(chain)
    late.take(chain.answer(1))
    assert (late.ledger.height, late.catchup.next_height) == (0, 513)
    late.take(chain.answer(513))
    assert late.ledger.state.root == chain.ledger.state.root
    assert [len(run) for run in late.runs] == [1_024]


LONG = {"term_blocks": 2_000, "validator_unbonding_blocks": 4_000}


# lies


def change(answer: BlockRun, place: int, **changes: object) -> BlockRun:
    final = answer.blocks[place].model_copy(update=changes)
    blocks = (*answer.blocks[:place], final, *answer.blocks[place:][1:])
    return answer.model_copy(update={"blocks": blocks})


def with_header(answer: BlockRun, place: int, **changes: object) -> BlockRun:
    block = answer.blocks[place].block
    header = block.header.model_copy(update=changes)
    return change(answer, place, block=block.model_copy(update={"header": header}))


def with_transaction(answer: BlockRun, place: int, **changes: object) -> BlockRun:
    block = answer.blocks[place].block
    signed = block.transactions[0].model_copy(update=changes)
    return change(answer, place, block=block.model_copy(update={"transactions": (signed,)}))


def certificate(answer: BlockRun, place: int) -> Certificate:
    found = answer.blocks[place].certificate
    assert found is not None
    return found


def short(answer: BlockRun) -> BlockRun:
    found = certificate(answer, 6)
    few = found.model_copy(update={"signatures": found.signatures[:2]})
    return change(answer, 6, certificate=few)


def doubled(answer: BlockRun) -> BlockRun:
    found = certificate(answer, 6)
    one = found.signatures[0]
    return change(answer, 6, certificate=found.model_copy(update={"signatures": (one,) * 3}))


def forged(answer: BlockRun) -> BlockRun:
    found = certificate(answer, 6)
    bad = found.signatures[0].model_copy(update={"signature": bytes(64)})
    signatures = (bad, *found.signatures[1:])
    return change(answer, 6, certificate=found.model_copy(update={"signatures": signatures}))


def strangers(answer: BlockRun) -> BlockRun:
    """A chain of its own, by validators that nobody elected."""
    other = Chain(genesis_of(7))
    other.grow(7)
    return other.answer(1)


def reordered(answer: BlockRun) -> BlockRun:
    blocks = list(answer.blocks)
    blocks[5], blocks[6] = blocks[6], blocks[5]
    return answer.model_copy(update={"blocks": tuple(blocks)})


def more_evidence(answer: BlockRun) -> BlockRun:
    return with_transaction(answer, 6, sidecar=b"swapped")


def other_signature(answer: BlockRun) -> BlockRun:
    return with_transaction(answer, 6, signature=bytes(64))


def other_transaction(answer: BlockRun) -> BlockRun:
    chain = honest()
    return with_transaction(answer, 6, transaction=pay(chain, amount=7).transaction)


LIES: dict[str, Callable[[BlockRun], BlockRun]] = {
    "too few signatures": short,
    "one signature thrice": doubled,
    "a forged signature": forged,
    "another block's certificate": lambda a: change(a, 6, certificate=certificate(a, 5)),
    "other validators": strangers,
    "nothing makes the last one final": lambda a: change(a, 6, certificate=None),
    "a way that leads nowhere": lambda a: change(a, 6, certificate=None).model_copy(
        update={"descendants": (a.blocks[6].block.header,), "certificate": certificate(a, 6)}
    ),
    "a later start": lambda a: a.model_copy(update={"blocks": a.blocks[1:]}),
    "an earlier start": lambda a: honest().answer(2),
    "a block left out": lambda a: a.model_copy(update={"blocks": a.blocks[:5] + a.blocks[6:]}),
    "a block twice": lambda a: a.model_copy(update={"blocks": a.blocks[:6] + a.blocks[5:]}),
    "another order": reordered,
    "another state": lambda a: with_header(a, 6, state_root=b"x" * 32),
    "another parent": lambda a: with_header(a, 6, parent=b"x" * 32),
    "another height": lambda a: with_header(a, 6, height=2**63 - 1),
    "another network": lambda a: with_header(a, 6, network=b"x" * 32),
    "another term": lambda a: with_header(a, 6, term=5),
    "no transactions": lambda a: change(
        a, 6, block=a.blocks[6].block.model_copy(update={"transactions": ()})
    ),
    "another transaction": other_transaction,
    "another signature beside it": other_signature,
    "other evidence beside it": more_evidence,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_is_refused_and_leaves_the_node_unharmed(lie):
    chain = honest()
    late = Late(chain)
    late.take(chain.answer(1, 5))
    before = late.executed
    with pytest.raises(Malformed):
        late.take(lie(chain.answer(6, 7)))
    assert late.executed <= before + 7
    assert late.ledger.height in (2, *range(6, 13))
    assert late.ledger.tip == chain.blocks[late.ledger.height - 1].block.header
    while late.catchup.next_height <= 25:
        late.take(chain.answer(late.catchup.next_height))
    assert late.ledger.state.root == chain.ledger.state.root


NEVER_EXECUTED = ("too few signatures", "other validators", "another state", "no transactions")


@pytest.mark.parametrize("name", NEVER_EXECUTED)
def test_what_no_certificate_covers_is_not_executed(name):
    chain = honest()
    late = Late(chain)
    late.take(chain.answer(1, 5))
    with pytest.raises(Malformed):
        late.take(LIES[name](chain.answer(6, 7)))
    good = 0 if name == "other validators" else 5
    assert late.executed <= 5 + good + 1


def test_an_answer_has_its_bounds():
    answer = honest().answer(1, 1)
    many = answer.model_copy(update={"blocks": answer.blocks * (MAX_RUN_BLOCKS + 1)})
    with pytest.raises(Malformed):
        decode(BlockRun, encode(many))


# what no peer can be blamed for


def test_a_second_history_with_good_certificates_stops_the_node():
    chain, other = Chain(FOUR), Chain(FOUR)
    for each, amount in ((chain, 1), (other, 2)):
        each.grow(3)
        each.write(pay(each, amount=amount))
        each.grow(3)
    late = Late(chain)
    late.take(chain.answer(1, 4))
    with pytest.raises(Forked, match="block 5 final on another block"):
        late.take(other.answer(5))
    assert late.ledger.height == 4


def spoilt(chain: Chain, **changes: object) -> BlockRun:
    """A next block that a quorum signed though it is not valid."""
    prepared = chain.prepare(pay(chain))
    header = prepared.block.header.model_copy(update=changes)
    block = prepared.block.model_copy(update={"header": header})
    final = FinalBlock(block=block, certificate=seal(block, chain.ledger.validators))
    return BlockRun(blocks=(final,), descendants=(), certificate=None, height=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"state_root": b"x" * 32},
        {"outcomes_root": b"x" * 32},
        {"time_ms": 0},
        {"proposer": PAYER.id},
        {"vrf_proof": bytes(80)},
        {"vrf_proof": b"\2" + bytes(79)},
    ],
    ids=["state", "outcomes", "time", "proposer", "zero proof", "proof that is none"],
)
def test_a_final_block_that_is_not_valid_here_stops_the_node(changes):
    chain = Chain(FOUR)
    chain.grow(3)
    late = Late(chain)
    late.take(chain.answer(1))
    with pytest.raises(Diverged, match="block 4 is final, and not valid here"):
        late.take(spoilt(chain, **changes))
    assert late.ledger.height == 3


def test_both_are_errors_that_a_user_sees_in_one_line():
    assert issubclass(Diverged, HoldfastError)
    assert issubclass(Forked, HoldfastError)


def test_a_run_with_the_deepest_transaction_can_be_read():
    """A coin that had to be put together from shares lies deeper than anything else."""
    world = coin_opened()
    (opening,) = [
        signed.transaction.body.opening
        for _, block in world.blocks
        for signed in block
        if isinstance(signed.transaction.body, OpenCoin)
    ]
    held = HeldShare(holder=0, value=bytes(32), salt=bytes(16))
    parts = tuple(Dealing(leaves=(bytes(32),) * 4, shares=(held, held)) for _ in opening.parts)
    deepest = opening.model_copy(update={"parts": parts})
    body = OpenCoin(challenge=world.challenge.challenge, opening=deepest)
    answer = honest().answer(1, 1)
    block = answer.blocks[0].block.model_copy(
        update={"transactions": (world.sign(world.members[0], body),)}
    )
    run = change(answer, 0, block=block)
    assert decode(BlockRun, encode(run)) == run
