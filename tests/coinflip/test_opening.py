"""What the chain checks: names, seals, and openings that can lead to one coin only."""

from collections.abc import Callable
from hashlib import blake2b

import pytest

from coinflip.messages import (
    CoinOpening,
    Dealing,
    Echo,
    HeldShare,
    Reveal,
    RevealProof,
    Secret,
)
from coinflip.opening import (
    confirmation,
    open_coin,
    seal_digest,
    topic_id,
    verify_reveals,
    verify_seal,
)
from coinflip.seat import Seat
from coinflip.shamir import PRIME, Sharing, commitment, leaves_hash, share_out
from holdfast.simulation.adversaries import OtherSeat, SteepSeat
from tests.coinflip.builders import Table, other
from wire.codec import decode, encode
from wire.errors import Malformed

NETWORK = bytes(32)


def test_a_topic_names_everything_it_depends_on() -> None:
    members = (bytes(32), bytes([1]) * 32)
    terms = [
        (NETWORK, b"challenge", 0, members, 10),
        (bytes([1]) * 32, b"challenge", 0, members, 10),
        (NETWORK, b"other", 0, members, 10),
        (NETWORK, b"challenge", 1, members, 10),
        (NETWORK, b"challenge", 0, members[:1], 10),
        (NETWORK, b"challenge", 0, members, 11),
    ]
    assert len({topic_id(*term) for term in terms}) == len(terms)


def test_the_hashes_are_those_of_the_protocol_page() -> None:
    """Written a second time from docs/protocol.md sections 1.2 and 8, and from nothing else."""

    def h(tag: str, *parts: bytes) -> bytes:
        framed = b"".join(len(part).to_bytes(8, "little") + part for part in (tag.encode(), *parts))
        return blake2b(framed, digest_size=32, person=b"holdfast/v1").digest()

    table = Table(3)
    topic, members = table.topic, table.members
    terms = (7).to_bytes(8, "big") + (9).to_bytes(8, "big")
    assert topic_id(NETWORK, topic, 7, members, 9) == h(
        "coin/topic", NETWORK, topic, terms, *members
    )
    for seat, commit in zip(table.seats, table.commits, strict=True):
        assert commit.commitment == h("coin/commitment", topic, seat.key.public, seat.secret)
    digests = [blake2b(encode(commit), digest_size=32).digest() for commit in table.commits]
    pairs = zip(members, digests, strict=True)
    assert table.digest == h("coin/seal", topic, *(member + digest for member, digest in pairs))
    coin = h("coin/magic", topic, *(seat.key.public + seat.secret for seat in table.seats))
    assert open_coin(topic, members, table.digest, table.opening()).value == coin
    following = (int.from_bytes(coin, "big") + 1).to_bytes(32, "big")
    assert confirmation("ping", topic, coin) == h("coin/ping", topic, following)


def test_a_seal_has_every_members_signature_in_order() -> None:
    table = Table(3)
    echoes = [seat.sign(Echo(digest=table.digest)).signature for seat in table.seats]
    verify_seal(*table.claim, table.digest, echoes)
    for wrong in (
        echoes[:2],
        [*echoes, echoes[0]],
        [echoes[1], echoes[0], echoes[2]],
        [echoes[0], echoes[1], bytes(64)],
        [echoes[0], echoes[0], echoes[0]],
    ):
        with pytest.raises(Malformed):
            verify_seal(*table.claim, table.digest, wrong)
    with pytest.raises(Malformed):
        verify_seal(*table.claim, other(table.digest), echoes)
    with pytest.raises(Malformed):
        verify_seal(other(table.network), table.topic, table.members, table.digest, echoes)
    with pytest.raises(Malformed):
        verify_seal(table.network, other(table.topic), table.members, table.digest, echoes)


def test_a_seal_covers_every_field_of_every_commit() -> None:
    table = Table(3)
    digests = {table.digest}
    for position in range(3):
        for field in ("exchange_key", "commitment", "leaves_hash"):
            spoiled = list(table.commits)
            spoiled[position] = spoiled[position].model_copy(update={field: bytes(32)})
            digests.add(seal_digest(table.topic, table.members, spoiled))
    assert len(digests) == 10


def test_all_secrets_open_the_coin_and_each_of_them_matters() -> None:
    table = Table(4)
    coin = open_coin(table.topic, table.members, table.digest, table.opening())
    assert coin.excluded == () and len(coin.value) == 32
    assert open_coin(table.topic, table.members, table.digest, again(table.opening())) == coin
    magic = blake2b(digest_size=32, person=b"holdfast/v1")
    pairs = [seat.key.public + seat.secret for seat in table.seats]
    for piece in (b"coin/magic", table.topic, *pairs):
        magic.update(len(piece).to_bytes(8, "little") + piece)
    assert coin.value == magic.digest()


def again(opening: CoinOpening) -> CoinOpening:
    copy: CoinOpening = decode(CoinOpening, encode(opening))
    return copy


def _part(position: int, value: bytes) -> Callable[[CoinOpening], CoinOpening]:
    def spoil(opening: CoinOpening) -> CoinOpening:
        parts = list(opening.parts)
        parts[position] = Secret(value=value)
        return opening.model_copy(update={"parts": tuple(parts)})

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _part(1, bytes(32)),
        _part(1, Table(4).seats[2].secret),
        lambda opening: opening.model_copy(update={"parts": opening.parts[:-1]}),
        lambda opening: opening.model_copy(update={"parts": opening.parts[::-1]}),
        lambda opening: opening.model_copy(update={"commits": opening.commits[:-1]}),
        lambda opening: opening.model_copy(update={"commits": opening.commits[::-1]}),
        lambda opening: CoinOpening(commits=(), parts=()),
    ],
)
def test_an_opening_with_one_thing_wrong_opens_nothing(
    spoil: Callable[[CoinOpening], CoinOpening],
) -> None:
    table = Table(4)
    with pytest.raises(Malformed):
        open_coin(table.topic, table.members, table.digest, spoil(table.opening()))


def test_an_opening_opens_no_other_digest() -> None:
    table = Table(2)
    with pytest.raises(Malformed):
        open_coin(table.topic, table.members, other(table.digest), table.opening())


class OutsideSeat(Seat):
    """Commits to a secret that no shares can give back."""

    def sharing(self) -> Sharing:
        return share_out(self.topic, self.key.public, OUTSIDE, len(self.members))


OUTSIDE = (PRIME + 5).to_bytes(32, "big")


class Spoiled:
    """A table where one member dealt badly, and both proofs of that."""

    def __init__(self, kind: type[Seat], count: int, position: int) -> None:
        self.table = table = Table(count)
        straight = table.seats[position]
        crook = kind(
            straight.network,
            straight.topic,
            straight.members,
            straight.key,
            straight.secret,
            straight.exchange_secret,
        )
        self.secret = OUTSIDE if kind is OutsideSeat else straight.secret
        commit = crook.commit().model_copy(
            update={"commitment": commitment(table.topic, straight.key.public, self.secret)}
        )
        self.commits = (*table.commits[:position], commit, *table.commits[position + 1 :])
        self.digest = seal_digest(table.topic, table.members, self.commits)
        self.sharing = crook.sharing()
        self.position = position

    def dealing(self, holders: list[int]) -> Dealing:
        shares = tuple(
            HeldShare(holder=h, value=self.sharing.values[h], salt=self.sharing.salts[h])
            for h in holders
        )
        return Dealing(leaves=self.sharing.leaves, shares=shares)

    def open(self, part: Secret | Dealing) -> tuple[bytes, tuple[bytes, ...]]:
        parts = [Secret(value=seat.secret) for seat in self.table.seats]
        mixed = (*parts[: self.position], part, *parts[self.position + 1 :])
        opening = again(CoinOpening(commits=self.commits, parts=mixed))
        coin = open_coin(self.table.topic, self.table.members, self.digest, opening)
        return coin.value, coin.excluded


@pytest.mark.parametrize("kind", [SteepSeat, OtherSeat, OutsideSeat])
def test_every_proof_of_a_bad_dealing_leads_to_the_same_coin(kind: type[Seat]) -> None:
    spoiled = Spoiled(kind, 5, 1)
    coins = {
        spoiled.open(spoiled.dealing(holders)) for holders in ([0, 1, 2], [1, 3, 4], [0, 2, 4])
    }
    coins.add(spoiled.open(Secret(value=spoiled.secret)))
    assert len(coins) == 1
    assert coins.pop()[1] == (spoiled.table.members[1],)


@pytest.mark.parametrize(
    ("holders", "change"),
    [
        ([0, 1], {}),
        ([0, 1, 2, 3], {}),
        ([0, 0, 1], {}),
        ([2, 1, 0], {}),
        ([0, 1, 2], {"leaves": ()}),
        ([0, 1, 2], {"leaves": (bytes(32),) * 5}),
        ([0, 1, 2], {"shares": (HeldShare(holder=9, value=bytes(32), salt=bytes(16)),) * 3}),
        ([0, 1], 4),
        ([0, 1], 5),
    ],
)
def test_an_exclusion_with_one_thing_wrong_excludes_nobody(
    holders: list[int], change: dict[str, object] | int
) -> None:
    spoiled = Spoiled(SteepSeat, 5, 1)
    dealing = spoiled.dealing(holders)
    if isinstance(change, int):
        forged = HeldShare(holder=change, value=bytes([9]) * 32, salt=bytes(16))
        dealing = dealing.model_copy(update={"shares": (*dealing.shares, forged)})
    else:
        dealing = dealing.model_copy(update=change)
    with pytest.raises(Malformed):
        spoiled.open(dealing)


def test_an_honest_dealing_cannot_be_excluded() -> None:
    spoiled = Spoiled(Seat, 5, 1)
    assert spoiled.open(Secret(value=spoiled.secret))[1] == ()
    with pytest.raises(Malformed):
        spoiled.open(spoiled.dealing([0, 1, 2]))


def test_leaves_that_were_not_committed_to_exclude_nobody() -> None:
    honest, crooked = Spoiled(Seat, 5, 1), Spoiled(SteepSeat, 5, 1)
    with pytest.raises(Malformed):
        honest.open(crooked.dealing([0, 1, 2]))


def test_a_confirmation_proves_knowledge_of_the_coin_by_kind_and_topic() -> None:
    table = Table(2)
    proofs = {
        confirmation(kind, topic, coin)
        for kind in ("ping", "pong")
        for topic in (table.topic, other(table.topic))
        for coin in (bytes(32), bytes([255]) * 32)
    }
    assert len(proofs) == 8


def test_leaves_are_hashed_with_their_dealer() -> None:
    sharing = share_out(NETWORK, NETWORK, bytes(32), 2)
    assert leaves_hash(NETWORK, NETWORK, sharing.leaves) != leaves_hash(
        NETWORK, other(NETWORK), sharing.leaves
    )


def test_a_members_own_signature_shows_that_it_revealed_and_nobody_elses_does() -> None:
    table = Table(4)
    secrets = {place: seat.secret for place, seat in enumerate(table.seats)}
    proofs = [
        RevealProof(member=place, signature=seat.sign(Reveal(secret=secrets[place])).signature)
        for place, seat in enumerate(table.seats)
    ]

    def proven(asked: list[int], shown: list[RevealProof]) -> frozenset[int]:
        return verify_reveals(*table.claim, {place: secrets[place] for place in asked}, shown)

    assert proven([0, 1, 2, 3], proofs) == {0, 1, 2, 3}
    assert proven([0, 1, 2, 3], proofs[1:3]) == {1, 2}
    assert proven([0, 2], [proofs[1], proofs[2]]) == {2}, "nobody asked for the other"
    false = [
        proofs[2].model_copy(update={"member": 1}),
        proofs[1].model_copy(update={"signature": bytes(64)}),
        proofs[1].model_copy(
            update={"signature": table.seats[1].sign(Reveal(secret=secrets[2])).signature}
        ),
    ]
    for proof in false:
        with pytest.raises(Malformed):
            proven([1], [proof])
    elsewhere = Table(4, seed=2).seats[1].sign(Reveal(secret=secrets[1]))
    with pytest.raises(Malformed):
        proven([1], [proofs[1].model_copy(update={"signature": elsewhere.signature})])
