"""The operating guide and the examples, as a newcomer would follow them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.commands import document, environment, holdfast
from tests.e2e.test_bad_input import free_port, running, until_answers

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

ROOT = Path(__file__).parent.parent.parent


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    """Homes, a genesis with parameters and balances, a node, a hoster, an owner's feed."""
    homes = {name: tmp_path / name for name in ("validator", "hoster", "owner")}
    ids = {name: document("init", "--json", home=home)["account"] for name, home in homes.items()}
    assert document("id", "--json", home=homes["owner"])["account"] == ids["owner"]
    made = document(
        *("chain", "genesis", "--name", "mynet", "--block-interval-ms", "200", "--json"),
        *("--parameter", "window_blocks=60", "--parameter", "epoch_blocks=120"),
        *("--balance", f"{ids['hoster']}=1000000000", "--balance", f"{ids['owner']}=1000000000"),
        home=homes["validator"],
    )
    for name in ("hoster", "owner"):
        done = holdfast("init", "--genesis", made["genesis"], home=homes[name])
        assert done.returncode == 0, done.stderr
    port = free_port()
    address = f"127.0.0.1:{port}"
    url = {"HOLDFAST_CHAIN__URL": f"http://{address}"}
    with running(homes["validator"], "chain", "run", "--listen", address):
        until_answers(port)
        hoster_port = free_port()
        listen = ("--listen", f"127.0.0.1:{hoster_port}")
        with running(homes["hoster"], "host", "run", *listen, env=url):
            for home in homes.values():
                (home / "holdfast.toml").write_text(f'chain.url = "http://{address}"\n')
            folder = tmp_path / "photos"
            folder.mkdir()
            (folder / "one.jpg").write_bytes(bytes(range(256)) * 300)
            published = document(
                *("publish", folder, "--replicas", "1", "--epochs", "24", "--price", "100000"),
                *("--listen", f"127.0.0.1:{free_port()}", "--json"),
                home=homes["owner"],
            )
            assert published["hosters"] == [ids["hoster"]]
            found = document("report", published["feed"], "--json", home=homes["owner"])
            assert found["verdicts"] == []
            (plan,) = document("plan", "list", published["feed"], "--json", home=homes["owner"])
            assert plan["contracts"][0]["status"] == "active"
            status = document("status", "--json", home=homes["owner"])
            assert (status["healthy"], status["hosters"]) == (True, 1)
            assert document("chain", "tip", "--json", home=homes["owner"])["header"]["height"] > 0
            target = tmp_path / "copy"
            (where,) = document("feed", "hosters", published["feed"], "--json", home=homes["owner"])
            assert (where["hoster"], where["port"]) == (ids["hoster"], hoster_port)
            source = f"{where['host']}:{where['port']}"
            done = holdfast(
                *("feed", "clone", published["feed"], "--from", source, "--to", str(target)),
                home=tmp_path / "reader",
            )
            assert done.returncode == 0, done.stderr
            assert (target / "one.jpg").read_bytes() == (folder / "one.jpg").read_bytes()
            drained = document("host", "drain", "--json", home=homes["hoster"])
            (left,) = drained["contracts"]
            assert (drained["draining"], left["leaving"], left["epochs_left"]) == (True, True, 2)
            shown = holdfast("plan", "show", plan["plan"], home=homes["owner"]).stdout
            assert f"leaving   {ids['hoster']}  2 epochs left" in shown
            assert document("status", "--json", home=homes["owner"])["hosters"] == 0
            again = holdfast("host", "drain", "--stop", home=homes["hoster"])
            assert (again.returncode, again.stdout.count("leaving")) == (0, 1)
            assert document("status", "--json", home=homes["owner"])["hosters"] == 1


def test_the_example_that_hosts_a_feed() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "host_a_feed.py", ROOT / "LICENSE"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "byte for byte: True" in done.stdout
