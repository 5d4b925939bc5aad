"""A home directory: one operator's seed, genesis, settings and databases."""

import os
import secrets
from pathlib import Path

from chain.genesis import Genesis
from chain.trust import Checkpoint
from wire import zbase32
from wire.codec import decode, encode
from wire.errors import Malformed, NotFound, Unavailable
from wire.file_store import write_whole
from wire.keys import KeyPair, Use

SEED_NAME = "seed"
NEXT_SEED_NAME = "seed.next"
OLD_SEED_NAME = "seed.old"
ACCOUNT_NAME = "account"
GENESIS_NAME = "genesis.cbor"
FEEDS_NAME = "feeds.db"
CHAIN_NAME = "chain.db"
ATTESTOR_NAME = "attestor.db"
RECEIPTS_NAME = "receipts.db"
FOUND_NAME = "found"
OUTBOX_NAME = "outbox"
CHECKPOINT_NAME = "checkpoint.cbor"
VOTES_NAME = "votes.log"
SNAPSHOTS_NAME = "snapshots"


class Home:
    """Paths and secrets of one home directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def feeds(self) -> Path:
        """The feed store."""
        return self.path / FEEDS_NAME

    @property
    def chain(self) -> Path:
        """A validator's chain."""
        return self.path / CHAIN_NAME

    @property
    def snapshots(self) -> Path:
        """States that a node offers to others."""
        return self.path / SNAPSHOTS_NAME

    @property
    def votes(self) -> Path:
        """A validator's memory of what it has signed."""
        return self.path / VOTES_NAME

    @property
    def receipts(self) -> Path:
        """Copies of what a hoster has signed."""
        return self.path / RECEIPTS_NAME

    @property
    def found(self) -> Path:
        """Faults of others that the chain has not judged yet."""
        return self.path / FOUND_NAME

    @property
    def outbox(self) -> Path:
        """What commands have signed and not seen through."""
        return self.path / OUTBOX_NAME

    @property
    def attestor(self) -> Path:
        """An attestor's rounds."""
        return self.path / ATTESTOR_NAME

    def create(self) -> bool:
        """Make the directory and a new seed; False when there is one already.

        The seed appears whole or not at all: it is written beside its place, then linked. The
        empty log of votes beside it says that nobody has ever voted with it: one that comes from
        a backup has no such word for it.
        """
        place = self.path / SEED_NAME
        draft = self.path / f".{SEED_NAME}.{os.getpid()}"
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if place.exists():
                return False
            _write_line(draft, zbase32.encode(secrets.token_bytes(32)))
            os.link(draft, place)
            self.votes.touch()
        except FileExistsError:
            return False
        except OSError as error:
            raise Unavailable(f"cannot make {self.path}: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
        return True

    def account(self) -> bytes:
        """The account: the seed's own, unless it was rotated to this seed."""
        path = self.path / ACCOUNT_NAME
        if not path.exists():
            return KeyPair.derive(self.seed(), Use.ACCOUNT).public
        try:
            return zbase32.parse_key(path.read_text())
        except (OSError, UnicodeDecodeError, Malformed) as error:
            raise Malformed(f"{path} does not hold an account: {error}") from None

    def next_seed(self) -> bytes:
        """The seed that the account is to be rotated to, made now if there is none yet."""
        place = self.path / NEXT_SEED_NAME
        try:
            if not place.exists():
                _write_line(self.path / ACCOUNT_NAME, zbase32.encode(self.account()), 0o644)
                _write_line(place, zbase32.encode(secrets.token_bytes(32)))
        except OSError as error:
            raise Unavailable(f"cannot write {place}: {error.strerror}") from None
        return self._seed(place)

    def adopt_next_seed(self) -> None:
        """The chain knows the new key: use the next seed, and put the old one aside."""
        place = self.path / SEED_NAME
        try:
            _write_line(self.path / OLD_SEED_NAME, zbase32.encode(self.seed()))
            (self.path / NEXT_SEED_NAME).replace(place)
        except OSError as error:
            raise Unavailable(f"cannot replace {place}: {error.strerror}") from None

    def seed(self) -> bytes:
        """The 32-byte master seed; raises with what to do when it is missing or open to others."""
        return self._seed(self.path / SEED_NAME)

    @staticmethod
    def _seed(path: Path) -> bytes:
        try:
            mode = path.stat().st_mode
            text = path.read_text()
        except FileNotFoundError:
            raise NotFound(f"{path.parent} is no home yet: run `holdfast init`") from None
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"cannot read {path}: {error}") from None
        if mode & 0o077:
            raise Unavailable(f"{path} can be read by others: run `chmod 600 {path}`")
        try:
            return zbase32.parse_key(text)
        except Malformed as error:
            raise Malformed(f"{path} does not hold a seed: {error}") from None

    def genesis(self) -> Genesis:
        """The network this home belongs to."""
        path = self.path / GENESIS_NAME
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(
                f"{path} is missing: run `holdfast init --genesis FILE` with your network's, "
                "or make a network with `holdfast chain genesis`"
            ) from None
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from None
        return read_genesis(data, path)

    def write_genesis(self, genesis: Genesis) -> None:
        """Join a network. A home belongs to one for ever."""
        path = self.path / GENESIS_NAME
        if path.exists():
            if self.genesis().network != genesis.network:
                raise Unavailable(f"{self.path} belongs to another network: use another --home")
            return
        write_whole(path, encode(genesis), 0o644)
        if self.votes.exists() and not self.votes.stat().st_size:
            from chain.consensus.vote_store import VoteStore  # most homes are no validator's

            VoteStore.create(self.votes, genesis.network)

    def checkpoint(self) -> Checkpoint | None:
        """How far this home has followed its network's validators; None where it has not."""
        path = self.path / CHECKPOINT_NAME
        try:
            found: Checkpoint = decode(Checkpoint, path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from None
        except Malformed as error:
            raise Malformed(
                f"{path} is no checkpoint ({error}): remove it, and the validators are followed "
                "from the genesis"
            ) from None
        return found

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Begin there another time: faster, and not to be misled by who left since."""
        path = self.path / CHECKPOINT_NAME
        try:
            write_whole(path, encode(checkpoint))
        except OSError as error:
            raise Unavailable(f"cannot write {path}: {error.strerror}") from None


def _write_line(path: Path, line: str, mode: int = 0o600) -> None:
    write_whole(path, f"{line}\n".encode(), mode)


def read_genesis(data: bytes, path: Path) -> Genesis:
    """A genesis from a file's bytes; raises `Malformed` naming the file."""
    try:
        genesis: Genesis = decode(Genesis, data)
    except Malformed as error:
        raise Malformed(f"{path} is not a genesis file: {error}") from None
    return genesis
