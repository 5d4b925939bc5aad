"""The programs and commands of docs/hypercore.md, as they stand there."""

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chain.client.light_client import ChainClient
from chain.records import Roster, RosterName, Table
from feed.feed import Feed
from holdfast.network import LocalNetwork
from tests.e2e.commands import document, holdfast
from tests.e2e.test_bad_input import free_port
from tests.interop.node import Flavour, Stores, chunks, serving
from wire.zbase32 import encode, parse_key

PAGE = (Path(__file__).parent.parent.parent / "docs" / "hypercore.md").read_text()
TEXT = "".join(f"entry {index}\n" for index in range(100)).encode()


@pytest.fixture
def programs(packages: Path, tmp_path: Path) -> Path:
    """A folder with the page's programs and the npm packages beside them."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "node_modules").symlink_to(packages / "node_modules")
    for source in re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL):
        name = re.match(r"// (\S+\.mjs): ", source)
        assert name is not None, "each program begins with its name"
        (folder / name[1]).write_text(source)
    assert {path.name for path in folder.glob("*.mjs")} == {"read.mjs", "make.mjs"}
    return folder


async def _run_reader(folder: Path, *arguments: str) -> tuple[int | None, bytes, str]:
    """Exit code, output and errors of read.mjs."""
    process = await asyncio.create_subprocess_exec(
        *("node", "read.mjs", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    return process.returncode, output, errors.decode()


async def _read(folder: Path, *arguments: str) -> bytes:
    code, output, errors = await _run_reader(folder, *arguments)
    assert code == 0, errors
    return output


@contextmanager
def _making(folder: Path) -> Iterator[tuple[str, int]]:
    """make.mjs on a free port; the feed's key, and the port."""
    port = free_port()
    with subprocess.Popen(
        ["node", "make.mjs", str(port)], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), port
        finally:
            process.terminate()


def _commands(section: str) -> list[str]:
    """The commands of a section."""
    _, _, text = PAGE.partition(f"## {section}\n")
    text = text.partition("\n## ")[0]
    return [line.strip() for line in text.splitlines() if line.startswith("    holdfast ")]


async def test_the_program_that_reads_reads_a_raw_feed(programs: Path, stores: Stores) -> None:
    flavour = Flavour(11)
    feed: Feed = flavour.owned(stores(), 200)
    async with serving(feed) as ours:
        address = (encode(feed.key), "127.0.0.1", str(ours.port))
        code, output, errors = await _run_reader(programs, *address, encode(bytes(32)))
        assert code and not output and "not that hoster" in errors
        assert await _read(programs, *address) == b"".join(chunks(0, 200))


def test_the_commands_for_raw_feeds_work(tmp_path: Path) -> None:
    _, create, append, serve = _commands("Read from a hoster with Node")
    home = tmp_path / "home"
    assert holdfast("init", home=home).returncode == 0
    (tmp_path / "file").write_bytes(b"some bytes")
    words = create.replace("FILE", str(tmp_path / "file")).split()[1:]
    key = document(*words, "--json", home=home)["feed"]
    words = append.replace("FILE", str(tmp_path / "file")).replace("KEY", key).split()[1:]
    assert document(*words, "--json", home=home)["bytes"] == 20
    assert holdfast(*serve.split()[1:3], "--help", home=home).returncode == 0


@pytest.mark.full
@pytest.mark.xdist_group("network")
async def test_a_feed_that_node_made_is_hosted_and_read_back(
    programs: Path, tmp_path: Path
) -> None:
    """The whole way: Node writes, a home clones and adopts it, a hoster is paid, Node reads."""
    network = LocalNetwork(tmp_path / "network", attestors=4, hosters=1)
    owner = network.homes["owner"].path
    async with network, ChainClient(network.url, network.genesis) as chain:
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            for name, wanted in ((RosterName.ATTESTORS, 4), (RosterName.HOSTERS, 1)):
                await chain.wait(
                    Roster, Table.ROSTER, name.key, lambda r, n=wanted: len(r.members) >= n
                )
            with _making(programs) as (key, port):
                for command in _commands("Host a feed that Node made"):
                    words = (
                        command.replace("HOST:PORT", f"127.0.0.1:{port}")
                        .replace("signing-seed", str(programs / "signing-seed"))
                        .replace("KEY", key)
                        .split()[1:]
                    )
                    done = await asyncio.to_thread(holdfast, *words, home=owner)
                    assert done.returncode == 0, (words, done.stderr)
            (where,) = _commands("Read from a hoster with Node")[:1]
            words = [*where.replace("KEY", key).split()[1:], "--json"]
            (hoster,) = await asyncio.to_thread(document, *words, home=owner)
            assert hoster["port"] == network.port(network.hosters[0])
            address = (hoster["host"], str(hoster["port"]), hoster["noise_key"])
            assert await _read(programs, key, *address) == TEXT
            plainly = await asyncio.to_thread(holdfast, *words[:-1], home=owner)
            assert plainly.stdout == "{}:{}  Noise key {}\n".format(*address)
            following.cancel()
    assert parse_key(key)
    assert os.stat(owner / "feed-seeds" / key).st_mode & 0o077 == 0
