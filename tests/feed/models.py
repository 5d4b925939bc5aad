"""Replication messages from the decoded form that the vectors give."""

from feed.manifest import Manifest, Prologue, Signer
from feed.messages import (
    Bitfield,
    Cancel,
    ChunkPart,
    Data,
    Extension,
    Handshake,
    HashPart,
    NoData,
    PathRequest,
    Range,
    Request,
    SeekPart,
    SeekRequest,
    Sync,
    Unwant,
    UpgradePart,
    UpgradeRequest,
    Want,
)
from tests.feed.feeds import node_of


def _sync(row):
    return Sync(
        row["fork"],
        row["length"],
        row["remoteLength"],
        can_upgrade=row["canUpgrade"],
        uploading=row["uploading"],
        downloading=row["downloading"],
        has_manifest=row["hasManifest"],
        allow_push=row["allowPush"],
    )


def _part(model, row):
    return None if row is None else model(*row.values())


def _request(row):
    return Request(
        row["id"],
        row["fork"],
        _part(PathRequest, row["block"]),
        _part(PathRequest, row["hash"]),
        _part(SeekRequest, row["seek"]),
        _part(UpgradeRequest, row["upgrade"]),
        row["manifest"],
        row["priority"],
    )


def _nodes(rows):
    return tuple(node_of(row) for row in rows)


def manifest_of(row):
    if row is None:
        return None
    prologue, linked, user_data = row["prologue"], row["linked"], row["userData"]
    return Manifest(
        row["version"],
        row["quorum"],
        tuple(
            Signer(bytes.fromhex(signer["publicKey"]), bytes.fromhex(signer["namespace"]))
            for signer in row["signers"]
        ),
        row["allowPatch"],
        prologue and Prologue(bytes.fromhex(prologue["hash"]), prologue["length"]),
        None if linked is None else tuple(bytes.fromhex(key) for key in linked),
        None if user_data is None else bytes.fromhex(user_data),
    )


def _data(row):
    block, hash_, seek, upgrade = row["block"], row["hash"], row["seek"], row["upgrade"]
    return Data(
        row["request"],
        row["fork"],
        block and ChunkPart(block["index"], bytes.fromhex(block["value"]), _nodes(block["nodes"])),
        hash_ and HashPart(hash_["index"], _nodes(hash_["nodes"])),
        seek and SeekPart(seek["bytes"], _nodes(seek["nodes"])),
        upgrade
        and UpgradePart(
            upgrade["start"],
            upgrade["length"],
            _nodes(upgrade["nodes"]),
            _nodes(upgrade["additionalNodes"]),
            upgrade["signature"] and bytes.fromhex(upgrade["signature"]),
        ),
        manifest_of(row["manifest"]),
    )


def _bitfield(row):
    return Bitfield(row["start"], b"".join(word.to_bytes(4, "little") for word in row["bitfield"]))


MODELS = {
    "handshake": lambda row: Handshake(bytes.fromhex(row["capability"]), row["seeks"]),
    "sync": _sync,
    "request": _request,
    "cancel": lambda row: Cancel(row["request"]),
    "data": _data,
    "noData": lambda row: NoData(row["request"], row["reason"]),
    "want": lambda row: Want(row["start"], row["length"], row["any"]),
    "unwant": lambda row: Unwant(row["start"], row["length"], row["any"]),
    "bitfield": _bitfield,
    "range": lambda row: Range(row["start"], row["length"], row["drop"]),
    "extension": lambda row: Extension(row["name"], bytes.fromhex(row["message"])),
}
