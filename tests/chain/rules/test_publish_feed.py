"""Register a feed by its signed head, and move it to newer heads."""

import pytest

from chain.bodies.feeds import PublishFeed, Root, SignedHead, UpdateHead, consent_to_publish
from chain.reasons import Reason
from feed.flat_tree import full_roots
from feed.manifest import (
    Manifest,
    Prologue,
    Signer,
    default_manifest,
    encode_manifest,
    manifest_key,
)
from feed.signature import sign_head, signable
from feed.tree import MAX_LENGTH, Appender, Node, tree_hash
from tests.chain.refusals import assert_refused
from tests.people import HOSTERS, OWNER, STRANGER, Library, genesis
from tests.stages import published, staffed
from wire.keys import KeyPair
from wire.signing import sign

FEED = Library("library", 40)
LONGER = Library("library", 43)
SHORTER = Library("library", 39)
COMPAT = Library("compat", 5, compat=True)


def signed_anyhow(length, sizes):
    """A head that the owner of the compat feed signed without having such a tree."""
    roots = [
        Node(index, size, b"r" * 32) for index, size in zip(full_roots(length), sizes, strict=True)
    ]
    signature = COMPAT.pair.sign_raw(signable(b"", 0, length, tree_hash(roots)))
    return SignedHead(
        fork=0,
        length=length,
        roots=tuple(Root(size=root.size, hash=root.hash) for root in roots),
        signature=signature,
    )


@pytest.mark.parametrize("library", [FEED, COMPAT, Library("one", 1)])
def test_a_feed_is_registered_with_its_proven_head(library):
    world = staffed()
    world.must(OWNER, library.publish())
    record = world.draft.feeds.at(library.key)
    head = library.tree.head(0)
    assert (record.feed, record.owner, record.plans) == (library.key, OWNER.id, ())
    assert record.source == OWNER.endpoint
    assert (record.head.fork, record.head.length) == (0, head.length)
    assert (record.head.byte_length, record.head.tree_hash) == (head.byte_length, head.tree_hash)


def test_a_feed_is_registered_once():
    assert_refused(published(), STRANGER, FEED.publish(), Reason.FEED_EXISTS)


@pytest.mark.parametrize("library", [FEED, COMPAT])
def test_nobody_registers_a_feed_without_its_signers_consent(library):
    stolen = library.publish()
    assert_refused(staffed(), STRANGER, stolen, Reason.NO_CONSENT)
    network, other = genesis().network, Library("other", 1)
    for consent in (
        bytes(64),
        library.head().signature[-64:],
        consent_to_publish(OWNER.account, network, STRANGER.id, library.key),
        consent_to_publish(library.pair, b"n" * 32, STRANGER.id, library.key),
        consent_to_publish(library.pair, network, STRANGER.id, other.key),
        consent_to_publish(other.pair, network, STRANGER.id, library.key),
        sign(library.pair, "swarm", network, STRANGER.id + library.key),
    ):
        body = library.publish(consent=consent)
        assert_refused(staffed(), STRANGER, body, Reason.NO_CONSENT)
    world = staffed()
    world.must(STRANGER, library.publish(consent=library.consent(STRANGER)))
    assert world.draft.feeds.at(library.key).owner == STRANGER.id


def shared_feed(*pairs):
    """A feed of one chunk that any one of these keys may sign, and who consents to it."""
    manifest = Manifest(1, 1, tuple(Signer(pair.public) for pair in pairs))
    key = manifest_key(manifest)
    tree = Appender()
    list(tree.append(b"one chunk"))
    head = tree.head(0)
    signature = sign_head(pairs[-1], key, manifest, fork=0, length=1, tree_hash=head.tree_hash)
    roots = tuple(Root(size=root.size, hash=root.hash) for root in tree.roots)

    def publish(consenting):
        return PublishFeed(
            feed=key,
            manifest=encode_manifest(manifest),
            head=SignedHead(fork=0, length=1, roots=roots, signature=signature),
            source=OWNER.endpoint,
            consent=consent_to_publish(consenting, genesis().network, OWNER.id, key),
        )

    return publish


def test_of_several_signers_the_first_consents():
    first, second = KeyPair(b"1" * 32), KeyPair(b"2" * 32)
    publish = shared_feed(first, second)
    assert_refused(staffed(), OWNER, publish(second), Reason.NO_CONSENT)
    staffed().must(OWNER, publish(first))


def test_a_feed_that_nobody_signs_has_nobody_to_consent():
    tree = Appender()
    list(tree.append(b"one chunk"))
    head = tree.head(0)
    manifest = Manifest(1, 0, (), prologue=Prologue(head.tree_hash, 1))
    body = FEED.publish(
        feed=manifest_key(manifest),
        manifest=encode_manifest(manifest),
        head=SignedHead(
            fork=0,
            length=1,
            roots=tuple(Root(size=root.size, hash=root.hash) for root in tree.roots),
            signature=bytes(64),
        ),
    )
    assert_refused(staffed(), OWNER, body, Reason.NO_CONSENT)


def head_with(**changes):
    return FEED.head().model_copy(update=changes)


ROOTS = FEED.head().roots


@pytest.mark.parametrize(
    "body",
    [
        FEED.publish(head=head_with(signature=FEED.head().signature[:-1] + b"\x01")),
        FEED.publish(head=head_with(signature=bytes(100))),
        FEED.publish(head=head_with(fork=1)),
        FEED.publish(head=head_with(length=41)),
        FEED.publish(head=head_with(length=48)),
        FEED.publish(head=head_with(roots=ROOTS[:-1])),
        FEED.publish(head=head_with(roots=(*ROOTS, ROOTS[0]))),
        FEED.publish(head=head_with(roots=tuple(reversed(ROOTS)))),
        FEED.publish(
            head=head_with(roots=(Root(size=ROOTS[0].size + 1, hash=ROOTS[0].hash), *ROOTS[1:]))
        ),
        FEED.publish(head=LONGER.head().model_copy(update={"length": 40})),
        FEED.publish(head=Library("other", 40).head()),
        FEED.publish(manifest=b""),
        FEED.publish(manifest=b"\x09"),
        FEED.publish(manifest=encode_manifest(default_manifest(b"k" * 32))),
        FEED.publish(manifest=FEED.publish().manifest + b"\x00"),
        FEED.publish(feed=b"f" * 32),
        COMPAT.publish(head=signed_anyhow(2 * MAX_LENGTH, [1])),
        COMPAT.publish(head=signed_anyhow(2**62, [1])),
        COMPAT.publish(head=signed_anyhow(3, [2**63 - 1, 2**63 - 1])),
        COMPAT.publish(head=signed_anyhow(1, [2**53])),
    ],
)
def test_a_head_that_is_not_proven_is_refused(body):
    assert_refused(staffed(), OWNER, body, Reason.BAD_HEAD)


def test_the_largest_feed_is_accepted():
    world = staffed()
    world.must(OWNER, COMPAT.publish(head=signed_anyhow(MAX_LENGTH, [2**53 - 1])))


def update(head, **changes):
    body = UpdateHead(feed=FEED.key, head=head, source=OWNER.endpoint)
    return body.model_copy(update=changes)


def test_the_head_moves_to_a_longer_one():
    world = published()
    world.must(OWNER, update(LONGER.head(), source=HOSTERS[0].endpoint))
    record = world.draft.feeds.at(FEED.key)
    assert record.head.tree_hash == LONGER.tree.head(0).tree_hash
    assert record.source == HOSTERS[0].endpoint


def test_the_address_alone_may_change():
    world = published()
    world.must(OWNER, update(FEED.head(), source=HOSTERS[0].endpoint))
    assert world.draft.feeds.at(FEED.key).source == HOSTERS[0].endpoint


def test_a_later_fork_may_be_shorter():
    world = published()
    world.must(OWNER, update(SHORTER.head(fork=1)))
    head = world.draft.feeds.at(FEED.key).head
    assert (head.fork, head.length) == (1, 39)
    assert_refused(world, OWNER, update(LONGER.head()), Reason.HEAD_NOT_NEWER)


def other_of_40():
    """Another 40 chunks signed as the same feed and fork: the owner contradicts itself."""
    library = Library("library", 0)
    library.append(39)
    for node in library.tree.append(b"something else"):
        library.nodes[node.index] = node
    return library.head()


@pytest.mark.parametrize(
    ("person", "body", "reason"),
    [
        (OWNER, update(LONGER.head(), feed=b"f" * 32), Reason.UNKNOWN_FEED),
        (STRANGER, update(LONGER.head()), Reason.NOT_THE_OWNER),
        (OWNER, update(SHORTER.head()), Reason.HEAD_NOT_NEWER),
        (OWNER, update(other_of_40()), Reason.HEAD_NOT_NEWER),
        (OWNER, update(COMPAT.head(fork=1)), Reason.BAD_HEAD),
        (OWNER, update(LONGER.head().model_copy(update={"fork": 1})), Reason.BAD_HEAD),
    ],
)
def test_an_update_with_one_thing_wrong_is_refused(person, body, reason):
    assert_refused(published(), person, body, reason)
