"""The commands around the coin flip, as a user runs them."""

from pathlib import Path

import pytest

from tests.e2e.commands import document, holdfast

pytestmark = pytest.mark.e2e


def test_a_flip_with_every_fault_lands_without_the_guilty() -> None:
    found = document(
        "flip", "--peers", "7", "--faults", "withhold=1,malform=1,equivocate=1", "--json"
    )
    assert (found["peers"], found["exit"]) == (7, 1)
    assert len(bytes.fromhex(found["coin"])) == 32
    assert (found["recovered"], found["excluded"]) == (["peer-5"], ["peer-6"])
    assert found["withheld"] == ["peer-5"]
    assert {(each["peer"], each["evidence"]) for each in found["blamed"]} == {
        ("peer-6", "false_dealing"),
        ("peer-7", "equivocation"),
    }
    assert sum(found["phases_ms"].values()) == pytest.approx(found["flip_ms"], abs=1)


def test_a_seed_decides_the_coin() -> None:
    coins = [document("flip", "--peers", "2", "--seed", seed, "--json")["coin"] for seed in "112"]
    assert coins[0] == coins[1] != coins[2]


def test_a_flip_says_to_people_what_happened() -> None:
    done = holdfast("flip", "--peers", "3", "--faults", "withhold=1")
    assert done.returncode == 0
    for words in (
        "exit 1, landed",
        "recovered  peer-3",
        "withheld   peer-3",
        "would lose 10,000 base of its stake",
        "coin ",
        "stood in for the chain",
    ):
        assert words in done.stdout


def test_a_flip_without_a_coin_fails() -> None:
    done = holdfast("flip", "--peers", "2", "--faults", "slander=1")
    assert done.returncode == 1 and "exit 3, malicious" in done.stdout


@pytest.mark.parametrize("faults", ["snooze=1", "withhold=2", "withhold"])
def test_faults_that_make_no_sense_are_a_usage_error(faults: str) -> None:
    assert holdfast("flip", "--peers", "2", "--faults", faults).returncode == 2


@pytest.mark.parametrize("scenario", ["flip-rushing", "flip-abort", "flip-copy", "flip-withhold"])
def test_a_simulation_prints_the_same_document_for_the_same_seed(scenario: str) -> None:
    first, again = (
        holdfast("simulate", scenario, "--seed", "4", "--runs", "4", "--json") for _ in range(2)
    )
    assert first.returncode == 0 and first.stdout == again.stdout
    found = document("simulate", scenario, "--seed", "4", "--runs", "4", "--json")
    assert found["runs"] == 4 and found["source"]["forced"] > found["ours"]["forced"] == 0


def test_a_long_simulation_says_how_far_it_is() -> None:
    done = holdfast("simulate", "flip-copy", "--runs", "20", "--json")
    said = [line for line in done.stderr.splitlines() if line]
    assert said == [f"{count} of 20 flips" for count in range(2, 21, 2)]


def test_a_result_is_drawn(tmp_path: Path) -> None:
    for name in ("plot.svg", "plot.png"):
        plot = tmp_path / name
        done = holdfast("simulate", "flip-copy", "--runs", "2", "--plot", plot)
        assert done.returncode == 0 and plot.stat().st_size > 500
    assert holdfast("simulate", "flip-copy", "--plot", "plot.gif").returncode == 2


PAGE = Path(__file__).parent.parent.parent / "docs" / "coinflip.md"


def shown() -> dict[str, str]:
    """The commands of the page that give one answer for ever, and what it says they print."""
    found: dict[str, str] = {}
    command = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("    $ holdfast simulate "):
            command = line.removeprefix("    $ holdfast ")
            found[command] = ""
        elif line and not line.startswith("    "):
            command = ""
        elif command:
            found[command] += line[4:].rstrip() + "\n"
    return found


def test_the_page_shows_every_scenario() -> None:
    assert {command.split()[1] for command in shown()} == {
        "flip-rushing",
        "flip-copy",
        "flip-abort",
        "flip-withhold",
    }


@pytest.mark.parametrize("command", [each for each in shown() if "abort" not in each])
def test_the_page_shows_what_a_command_prints(command: str) -> None:
    done = holdfast(*command.split())
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert "\n".join(lines).strip() == shown()[command].strip()
