"""What users and strangers get wrong: one clear line, the right exit code, nothing lost."""

import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.e2e.commands import COMMAND, document, environment, holdfast

pytestmark = pytest.mark.e2e


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with its own network of one validator."""
    place = tmp_path / "home"
    assert holdfast("init", home=place).returncode == 0
    assert holdfast("chain", "genesis", "--block-interval-ms", "200", home=place).returncode == 0
    return place


@contextmanager
def running(
    home: Path, *arguments: str, env: dict[str, str] | None = None
) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [*COMMAND, "--home", str(home), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | _own_gossip_port(home) | (env or {}),
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _own_gossip_port(home: Path) -> dict[str, str]:
    """Validators of other tests run at the same time: none may listen where all do by default."""
    settings = home / "holdfast.toml"
    chosen = settings.exists() and "chain.gossip" in settings.read_text()
    return {} if chosen else {"HOLDFAST_CHAIN__GOSSIP__PORT": str(free_port())}


def free_port() -> int:
    with closing(socket.socket()) as each:
        each.bind(("127.0.0.1", 0))
        port: int = each.getsockname()[1]
        return port


def until_answers(port: int, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


def until_ready(port: int, timeout_s: float = 60) -> None:
    """Until a node has stored a block: it listens long before."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return
        time.sleep(0.05)
    raise AssertionError(f"the node on {port} has no block")


def assert_one_line(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def test_a_path_that_does_not_exist(home: Path) -> None:
    assert_one_line(holdfast("publish", "/nonexistent/folder", home=home), 1, "/nonexistent")
    assert_one_line(holdfast("feed", "create", "/nonexistent", home=home), 1, "/nonexistent")


def test_an_empty_folder(home: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_one_line(holdfast("feed", "create", str(empty), home=home), 1, "empty")
    assert document("feed", "list", "--json", home=home) == [], "nothing is left behind"


def test_no_home_yet(tmp_path: Path) -> None:
    done = holdfast("id", home=tmp_path / "none")
    assert_one_line(done, 3, "holdfast init")


def test_a_seed_that_others_can_read(home: Path) -> None:
    (home / "seed").chmod(0o644)
    assert_one_line(holdfast("id", home=home), 1, "chmod 600")


def test_a_port_in_use(home: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        address = f"127.0.0.1:{port}"
        done = holdfast("chain", "run", "--listen", address, home=home)
        assert_one_line(done, 1, str(port), "already in use", "--listen")
        for role in ("host", "attest"):
            done = holdfast(role, "run", "--listen", address, home=home)
            assert_one_line(done, 1, str(port), "already in use", "--listen")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("chain.url = 5\n", "chain.url"),
        ("[chain\n", "holdfast.toml"),
        ("chian.url = 'x'\n", "chian"),
        ("[hoster]\ncapacity_bytes = -1\n", "hoster.capacity_bytes"),
    ],
)
def test_a_broken_configuration(home: Path, text: str, word: str) -> None:
    (home / "holdfast.toml").write_text(text)
    assert_one_line(holdfast("id", home=home), 1, "holdfast.toml", word)


def test_a_wrong_key(home: Path) -> None:
    port = free_port()
    with running(home, "chain", "run", "--listen", f"127.0.0.1:{port}"):
        until_answers(port)
        (home / "holdfast.toml").write_text(f'chain.url = "http://127.0.0.1:{port}"\n')
        assert_one_line(holdfast("report", "not-a-key", home=home), 1, "52")
        unknown = "y" * 52
        assert_one_line(holdfast("report", unknown, home=home), 3, "no such feed")
        assert_one_line(holdfast("chain", "account", unknown, home=home), 3)


def test_no_node_answers(home: Path) -> None:
    (home / "holdfast.toml").write_text('chain.url = "http://127.0.0.1:1"\n')
    assert_one_line(holdfast("report", "y" * 52, home=home), 1, "does not answer")
    done = holdfast("status", home=home)
    assert done.returncode == 4
    assert "unhealthy" in done.stdout


def test_another_networks_database(home: Path, tmp_path: Path) -> None:
    port = free_port()
    listen = ("chain", "run", "--listen", f"127.0.0.1:{port}")
    with running(home, *listen):
        until_ready(port)
    other = tmp_path / "other"
    assert holdfast("init", home=other).returncode == 0
    assert holdfast("chain", "genesis", "--name", "other", home=other).returncode == 0
    (other / "chain.db").write_bytes((home / "chain.db").read_bytes())
    assert_one_line(holdfast(*listen, home=other), 1, "another network")


@pytest.mark.parametrize("name", ["chain.db", "feeds.db", "attestor.db"])
def test_a_corrupted_database_is_named_and_left_alone(home: Path, name: str) -> None:
    damaged = os.urandom(65536)
    (home / name).write_bytes(damaged)
    command = {
        "chain.db": ("chain", "run", "--listen", f"127.0.0.1:{free_port()}"),
        "feeds.db": ("host", "run", "--listen", f"127.0.0.1:{free_port()}"),
        "attestor.db": ("attest", "run", "--listen", f"127.0.0.1:{free_port()}"),
    }[name]
    assert_one_line(holdfast(*command, home=home), 1, name)
    assert (home / name).read_bytes() == damaged


def test_a_chain_whose_records_were_changed_does_not_start(home: Path) -> None:
    port = free_port()
    listen = ("chain", "run", "--listen", f"127.0.0.1:{port}")
    with running(home, *listen):
        until_ready(port)
    with closing(sqlite3.connect(home / "chain.db")) as database, database:
        database.execute("DELETE FROM record WHERE tab = 1")
    assert_one_line(holdfast(*listen, home=home), 1, "chain.db", "damaged")


def test_a_peer_that_speaks_garbage_is_dropped_and_others_are_served(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "data.bin").write_bytes(os.urandom(200_000))
    made = document("feed", "create", tmp_path / "data.bin", "--json", home=home)
    port = free_port()
    with running(home, "feed", "serve", "--listen", f"127.0.0.1:{port}"):
        until_answers(port)
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\xff" * 4096, b"\x20\0\0"):
            with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as peer:
                peer.sendall(garbage)
        target = tmp_path / "copy.bin"
        done = holdfast(
            *("feed", "clone", made["feed"], "--from", f"127.0.0.1:{port}", "--to", str(target)),
            home=tmp_path / "reader",
        )
        assert done.returncode == 0, done.stderr
        assert target.read_bytes() == (tmp_path / "data.bin").read_bytes()


def test_a_bundle_that_was_tampered_with(tmp_path: Path) -> None:
    bundle = tmp_path / "report.holdfast"
    bundle.write_bytes(os.urandom(1000))
    assert_one_line(holdfast("verify", str(bundle)), 1, "report.holdfast", "proves nothing")
    assert_one_line(holdfast("verify", str(tmp_path / "none")), 1, "cannot read")


def test_wrong_usage_is_exit_code_two(home: Path) -> None:
    assert holdfast("feed", "create", home=home).returncode == 2
    assert holdfast("nonsense", home=home).returncode == 2
    assert holdfast("demo", "--sabotage", "everything", home=home).returncode == 2
