"""`holdfast feed` as a user runs it: raw feeds, parts of feeds, feeds made elsewhere."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from feed.feed import signed_by
from feed.manifest import default_manifest, manifest_key
from feed.store import FeedStore
from holdfast.__main__ import run
from tests.e2e.commands import COMMAND, environment
from wire import zbase32
from wire.keys import KeyPair


class Done(NamedTuple):
    """What a command did."""

    code: int
    stdout: bytes
    stderr: bytes


class Command:
    """Runs `holdfast` in this process: starting one costs a second."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str | Path, home: Path) -> Done:
        code = run(["--home", str(home), *map(str, arguments)])
        return Done(code or 0, *self._capture.readouterr())

    def document(self, *arguments: str | Path, home: Path) -> Any:
        """What a command that must succeed prints."""
        done = self(*arguments, "--json", home=home)
        assert done.code == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str | Path, home: Path) -> str:
        """The one line that a command prints that must fail."""
        done = self(*arguments, home=home)
        lines = done.stderr.decode().strip().splitlines()
        assert done.code == 1 and len(lines) == 1, lines
        return lines[0]

    def cat(self, key: str, *options: str, home: Path) -> bytes:
        """The bytes of a feed."""
        done = self("feed", "cat", key, *options, home=home)
        assert done.code == 0, done.stderr
        return done.stdout


@pytest.fixture
def holdfast(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    return Command(capfdbinary)


@pytest.fixture
def home(holdfast: Command, tmp_path: Path) -> Path:
    place = tmp_path / "home"
    assert holdfast("init", home=place).code == 0
    return place


@contextmanager
def _serving(home: Path) -> Iterator[str]:
    """`feed serve` on a free port, its address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [*COMMAND, "--home", str(home), "feed", "serve", "--listen", address],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert "serving" in process.stdout.readline()
    try:
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def test_a_raw_feed_is_made_appended_to_and_read_back(
    holdfast: Command, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = os.urandom(10_000), os.urandom(3000)
    (tmp_path / "a").write_bytes(first)
    (tmp_path / "b").write_bytes(second)
    options = ("--chunk-bytes", "4096")
    made = holdfast.document("feed", "create", "--raw", tmp_path / "a", *options, home=home)
    assert (made["chunks"], made["bytes"], made["conflict"]) == (3, 10_000, False)
    grown = holdfast.document("feed", "append", made["feed"], tmp_path / "b", *options, home=home)
    assert (grown["feed"], grown["chunks"], grown["fork"]) == (made["feed"], 4, 0)
    assert holdfast.cat(made["feed"], home=home) == first + second
    assert holdfast.cat(made["feed"], "--chunks", "1-2", home=home) == first[4096:]
    assert holdfast.cat(made["feed"], "--chunks", "3", home=home) == second
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"from a pipe")))
    assert b"chunks 5" in holdfast("feed", "append", made["feed"], "-", home=home).stdout
    assert holdfast.cat(made["feed"], "--chunks", "4-4", home=home) == b"from a pipe"
    assert holdfast("feed", "verify", made["feed"], home=home).code == 0


def test_what_cannot_be_appended_says_why_and_changes_nothing(
    holdfast: Command, home: Path, tmp_path: Path
) -> None:
    refused = holdfast.refused
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "empty").write_bytes(b"")
    whole = holdfast.document("feed", "create", tmp_path / "a", home=home)["feed"]
    raw = holdfast.document("feed", "create", "--raw", tmp_path / "a", "--name", "x", home=home)
    assert "make another feed" in refused("feed", "append", whole, tmp_path / "a", home=home)
    assert "empty" in refused("feed", "append", raw["feed"], tmp_path / "empty", home=home)
    assert "no such file" in refused("feed", "append", raw["feed"], tmp_path / "b", home=home)
    again = refused("feed", "create", "--raw", tmp_path / "a", "--name", "x", home=home)
    assert "feed append" in again
    assert "empty" in refused("feed", "create", "--raw", tmp_path / "empty", home=home)
    for wrong in ("5-3", "x", "-1", ""):
        assert "FIRST-LAST" in refused("feed", "cat", raw["feed"], "--chunks", wrong, home=home)
    assert holdfast("feed", "cat", raw["feed"], "--chunks", "7", home=home).code == 3
    listed = holdfast.document("feed", "list", home=home)
    assert {each["feed"] for each in listed} == {whole, raw["feed"]}, "nothing is left behind"
    assert "no file or folder" in refused("feed", "restore", raw["feed"], tmp_path / "c", home=home)


def test_what_is_appended_is_served_at_once_and_parts_can_be_cloned(
    holdfast: Command, home: Path, tmp_path: Path
) -> None:
    refused = holdfast.refused
    data = os.urandom(100 * 1024)
    (tmp_path / "a").write_bytes(data)
    options = ("--chunk-bytes", "1024")
    key = holdfast.document("feed", "create", "--raw", tmp_path / "a", *options, home=home)["feed"]
    reader = tmp_path / "reader"
    assert holdfast("init", home=reader).code == 0
    with _serving(home) as address:
        clone = ("feed", "clone", key, "--from", address)
        part = holdfast.document(*clone, "--chunks", "10-19", home=reader)
        assert (part["chunks"], part["missing"]) == (100, 90)
        assert holdfast.cat(key, "--chunks", "10-19", home=reader) == data[10_240:20_480]
        assert holdfast("feed", "cat", key, home=reader).code == 3
        assert holdfast(*clone, "--chunks", "90-100", home=reader).code == 1
        holdfast("feed", "append", key, tmp_path / "a", *options, home=home)
        deadline = time.monotonic() + 20
        while holdfast.document(*clone, home=reader)["chunks"] != 200:
            assert time.monotonic() < deadline
        assert holdfast.cat(key, home=reader) == data + data
        assert "--chunks" in refused(*clone, "--chunks", "1", "--to", tmp_path / "x", home=reader)


@pytest.mark.parametrize("is_compat", [False, True])
@pytest.mark.parametrize("with_public_key", [False, True])
def test_a_feed_made_elsewhere_is_adopted_by_its_seed(
    holdfast: Command, home: Path, tmp_path: Path, is_compat: bool, with_public_key: bool
) -> None:
    refused = holdfast.refused
    pair = KeyPair(b"elsewhere" * 3 + b"12345")
    manifest = None if is_compat else default_manifest(pair.public)
    key = pair.public if manifest is None else manifest_key(manifest)
    with FeedStore(home / "feeds.db") as store:
        feed = store.create(key, manifest)
        feed.append([b"by another program"], signed_by(pair, key, manifest))
    text = zbase32.encode(key)
    (tmp_path / "more").write_bytes(b"by this one")
    (tmp_path / "seed").write_text((pair.seed + pair.public * with_public_key).hex() + "\n")
    (tmp_path / "wrong").write_text("00" * 32)
    (tmp_path / "short").write_text("00" * 31)
    (tmp_path / "nonsense").write_text("what?")
    assert "feed adopt" in refused("feed", "append", text, tmp_path / "more", home=home)
    for name in ("wrong", "short", "nonsense", "none"):
        assert name in refused("feed", "adopt", text, tmp_path / name, home=home)
    done = holdfast("feed", "adopt", text, tmp_path / "seed", home=home)
    assert done.code == 0, done.stderr
    assert pair.seed.hex().encode() not in done.stdout + done.stderr
    (kept,) = (home / "feed-seeds").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    grown = holdfast.document("feed", "append", text, tmp_path / "more", home=home)
    assert grown["chunks"] == 2
    assert holdfast.cat(text, home=home) == b"by another programby this one"
