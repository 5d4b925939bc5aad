"""Several validators make a network: offers, flags, questions, and what is refused."""

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from chain.genesis import Genesis, GenesisValidator
from tests.e2e.commands import COMMAND, document, environment, holdfast
from wire.codec import decode
from wire.keys import KeyPair, Use
from wire.zbase32 import parse_key


def home(folder: Path, name: str, settings: str = "") -> Path:
    place = folder / name
    assert holdfast("init", home=place).returncode == 0
    (place / "holdfast.toml").write_text(settings)
    return place


def offer(folder: Path, name: str, *flags: str, settings: str = "") -> Path:
    """A validator's file."""
    place, file = home(folder, name, settings), folder / f"{name}.offer"
    done = holdfast("chain", "offer", file, *flags, home=place)
    assert done.returncode == 0, done.stderr
    return file


def genesis_of(place: Path) -> Genesis:
    made: Genesis = decode(Genesis, (place / "genesis.cbor").read_bytes())
    return made


def refused(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.strip().splitlines()
    for word in words:
        assert word in line, line


def test_an_offer_names_the_keys_and_the_address_of_its_home(tmp_path):
    settings = 'chain.gossip.port = 7001\nchain.gossip.public_host = "validator.example"\n'
    file = offer(tmp_path, "one", "--stake", "7000000", settings=settings)
    made: GenesisValidator = decode(GenesisValidator, file.read_bytes())
    seed = parse_key((tmp_path / "one" / "seed").read_text())
    assert made.account == KeyPair.derive(seed, Use.ACCOUNT).public
    assert made.key == KeyPair.derive(seed, Use.VALIDATOR).public
    assert made.vrf_key == KeyPair.derive(seed, Use.VRF).public
    assert made.endpoint.swarm_key == KeyPair.derive(seed, Use.SWARM).public
    assert (made.endpoint.host, made.endpoint.port) == ("validator.example", 7001)
    assert made.stake_base == 7_000_000
    assert seed not in file.read_bytes()


@pytest.mark.parametrize("settings", ["chain.gossip.port = 0\n", 'chain.gossip.host = "0.0.0.0"\n'])
def test_an_address_that_nobody_can_connect_to_is_refused(tmp_path, settings):
    place = home(tmp_path, "one", settings)
    refused(holdfast("chain", "offer", tmp_path / "f", home=place), "chain.gossip.public_host")
    refused(holdfast("chain", "genesis", home=place), "chain.gossip.port")
    assert not (tmp_path / "f").exists()


def test_a_network_of_several_validators(tmp_path):
    files = [offer(tmp_path, f"v{number}") for number in range(3)]
    place = home(tmp_path, "maker")
    flags = [part for file in files for part in ("--validator", str(file))]
    made = document(
        *("chain", "genesis", "--name", "three", *flags, "--block-interval-ms", "300"),
        *("--parameter", "term_blocks=50", "--json"),
        home=place,
    )
    genesis = genesis_of(place)
    assert made["network"] == genesis.network.hex()
    assert [each["account"] for each in made["validators"]] == [
        document("id", "--json", home=tmp_path / f"v{number}")["account"] for number in range(3)
    ]
    assert (genesis.name, genesis.parameters.term_blocks) == ("three", 50)
    assert [each.stake_base for each in genesis.validators] == [1_000_000] * 3
    # All coins that are not at stake are its maker's, who is no validator here.
    account = document("id", "--json", home=place)["account"]
    (balance,) = genesis.balances
    assert balance.account == parse_key(account)
    for number in range(3):
        joined = holdfast("init", "--genesis", made["genesis"], home=tmp_path / f"v{number}")
        assert joined.returncode == 0


def test_the_set_is_shown(tmp_path):
    files = [offer(tmp_path, f"v{number}") for number in range(4)]
    place = home(tmp_path, "maker")
    flags = [part for file in files for part in ("--validator", str(file))]
    done = holdfast("chain", "genesis", *flags, home=place)
    assert "4 validators; 3 votes make a block final, so 1 may fail" in done.stdout
    assert "this home is not among them" in done.stdout
    for number in range(4):
        account = document("id", "--json", home=tmp_path / f"v{number}")["account"]
        assert account in done.stdout


def test_one_home_alone_is_a_network(tmp_path):
    place = home(tmp_path, "one")
    made = document("chain", "genesis", "--stake", "2000000", "--json", home=place)
    (only,) = made["validators"]
    assert only["account"] == document("id", "--json", home=place)["account"]
    assert only["stake_base"] == 2_000_000
    refused(holdfast("chain", "genesis", home=place), "belongs to a network", "--home")


def test_what_cannot_be_a_network_is_refused_in_one_line(tmp_path):
    good = offer(tmp_path, "good")
    place = home(tmp_path, "maker")
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"x" * 10_000)
    cut = tmp_path / "cut"
    cut.write_bytes(good.read_bytes()[:-1])
    genesis = ("chain", "genesis")
    cases = [
        (("--validator", tmp_path / "none"), "cannot read"),
        (("--validator", rubbish), "chain offer"),
        (("--validator", cut), "chain offer"),
        (("--validator", good, "--validator", good), "two validators"),
        (("--validator", good, "--stake", "5"), "offers have their own"),
        (("--validator", good, "--parameter", "validator_stake_base=1000001"), "at least"),
        (("--stake", "999999"), "at least"),
        (("--name", ""), "name"),
        (("--parameter", "validator_unbonding_blocks=1999"), "stake could leave"),
        (("--balance", "nonsense"), "ACCOUNT=AMOUNT"),
    ]
    for flags, why in cases:
        refused(holdfast(*genesis, *flags, home=place), why)
    assert not (place / "genesis.cbor").exists()


# questions


def answered(place: Path, answers: str, *flags: str) -> tuple[int, str, str]:
    """Exit code, what was asked, and stdout of a command on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--home", str(place), "chain", "genesis", *flags],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment() | {"TERM": "dumb", "COLUMNS": "200"},
        text=True,
    ) as process:
        os.close(theirs)
        os.write(ours, answers.encode())
        asked = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 0.2)
            try:
                more = os.read(ours, 65_536) if ready else b""
            except OSError:  # the other end is closed
                break
            asked += more
            if not more and process.poll() is not None:
                break
        assert process.stdout is not None
        shown = process.stdout.read()
        code = process.wait(timeout=20)
    os.close(ours)
    return code, asked.decode(), shown


def test_on_a_terminal_it_asks(tmp_path):
    first, second = offer(tmp_path, "v1"), offer(tmp_path, "v2")
    place = home(tmp_path, "maker")
    answers = f"ours\n{first}\n{tmp_path}/none\n{second}\n\n10\n400\n\ny\n"
    code, asked, shown = answered(place, answers)
    assert code == 0, asked
    assert "cannot read" in asked
    assert "at least 50 ms" in asked
    made = genesis_of(place)
    assert (made.name, made.parameters.block_interval_ms) == ("ours", 400)
    assert len(made.validators) == 2
    assert made.network.hex() in shown


def test_empty_answers_make_a_network_of_one(tmp_path):
    place = home(tmp_path, "one")
    code, asked, _ = answered(place, "\n\n\n\n\n")
    assert code == 0, asked
    made = genesis_of(place)
    assert (made.name, made.parameters.block_interval_ms) == ("holdfast", 2_000)
    assert made.supply_base == 10**15 + 1_000_000


def test_nothing_is_written_before_the_last_answer(tmp_path):
    place = home(tmp_path, "one")
    code, asked, _ = answered(place, "\n\n\n\nn\n")
    assert code == 130, asked
    assert not (place / "genesis.cbor").exists()


def test_with_a_flag_nothing_is_asked(tmp_path):
    place = home(tmp_path, "one")
    code, asked, _ = answered(place, "", "--name", "mine")
    assert (code, asked) == (0, "")
    assert genesis_of(place).name == "mine"
