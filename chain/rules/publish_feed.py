"""Register a feed by the head its owner signed, and move it to newer heads."""

from chain.bodies.feeds import PUBLISH_DOMAIN, PublishFeed, SignedHead, UpdateHead
from chain.context import BlockContext
from chain.head import Head
from chain.reasons import Reason
from chain.records import FeedRecord
from chain.state import Draft
from feed import flat_tree, tree
from feed.manifest import Manifest, decode_manifest, encode_manifest
from feed.signature import verify_head
from wire import signing
from wire.errors import Malformed, Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: PublishFeed) -> None:
    """Write a feed that nobody has registered; the head's signature is checked as Node does.

    Heads are public, so the sender needs the word of the feed's first signer as well.
    """
    if draft.feeds.get(body.feed) is not None:
        raise Rejected(Reason.FEED_EXISTS)
    manifest = _manifest(body.manifest)
    head = _proven_head(body.feed, manifest, body.head)
    signers = [body.feed] if manifest is None else [one.public_key for one in manifest.signers]
    statement = sender + body.feed
    if not signers or not signing.is_signed(
        signers[0], PUBLISH_DOMAIN, block.network, statement, body.consent
    ):
        raise Rejected(Reason.NO_CONSENT, "the feed's first signer has not signed for this account")
    record = FeedRecord(
        feed=body.feed, owner=sender, manifest=body.manifest, head=head, source=body.source
    )
    draft.feeds.put(body.feed, record)


def apply_update(draft: Draft, sender: bytes, body: UpdateHead) -> None:
    """Replace the head by a longer one of the same fork, or by any of a later fork."""
    record = draft.feeds.require(body.feed, Reason.UNKNOWN_FEED)
    if record.owner != sender:
        raise Rejected(Reason.NOT_THE_OWNER)
    if (body.head.fork, body.head.length) < (record.head.fork, record.head.length):
        raise Rejected(Reason.HEAD_NOT_NEWER)
    head = _proven_head(body.feed, _manifest(record.manifest), body.head)
    if (head.fork, head.length) == (record.head.fork, record.head.length) and head != record.head:
        raise Rejected(Reason.HEAD_NOT_NEWER, "two heads of one length")
    draft.feeds.change(body.feed, head=head, source=body.source)


def _manifest(data: bytes) -> Manifest | None:
    if not data:
        return None
    try:
        manifest = decode_manifest(data)
    except Malformed as error:
        raise Rejected(Reason.BAD_HEAD, str(error)) from None
    if encode_manifest(manifest) != data:
        raise Rejected(Reason.BAD_HEAD, "the manifest has another spelling")
    return manifest


def _proven_head(feed: bytes, manifest: Manifest | None, signed: SignedHead) -> Head:
    if signed.length > tree.MAX_LENGTH:
        raise Rejected(Reason.BAD_HEAD, f"{signed.length} chunks are more than proofs are for")
    indices = flat_tree.full_roots(signed.length)
    if len(indices) != len(signed.roots):
        raise Rejected(Reason.BAD_HEAD, f"{len(indices)} roots make a length of {signed.length}")
    roots = [
        tree.Node(index, root.size, root.hash)
        for index, root in zip(indices, signed.roots, strict=True)
    ]
    tree_hash = tree.tree_hash(roots)
    try:
        byte_length = tree.size_of(roots)
        verify_head(
            feed,
            manifest,
            signed.signature,
            fork=signed.fork,
            length=signed.length,
            tree_hash=tree_hash,
        )
    except Malformed as error:
        raise Rejected(Reason.BAD_HEAD, str(error)) from None
    return Head(
        fork=signed.fork,
        length=signed.length,
        byte_length=byte_length,
        tree_hash=tree_hash,
    )
