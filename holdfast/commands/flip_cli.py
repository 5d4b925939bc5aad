"""`holdfast flip`: toss a coin between peers of this machine, with real connections."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from secrets import token_bytes
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinflip.events import Phase
from holdfast.cli import JsonFlag
from holdfast.output import Exit, err, out, print_json
from wire.errors import Malformed
from wire.zbase32 import encode

if TYPE_CHECKING:
    from holdfast.flip import Attempt, Peer, Watch

EXITS = {1: "landed", 2: "offline", 3: "malicious"}
COLOURS = {Phase.ENDED: "green", Phase.RECOVER: "yellow"}
FRAMES_PER_S = 10
"""Drawing takes time from the flip that it shows."""


def add_to(app: typer.Typer) -> None:
    """Hang this command into the application."""
    app.command(name="flip")(flip_coin)


def flip_coin(
    peers: Annotated[int, typer.Option(min=2, max=20, help="Peers, all in this process.")] = 10,
    faults: Annotated[
        str,
        typer.Option(
            metavar="FAULT=COUNT,...",
            help="How many misbehave how: withhold, malform, equivocate, lie, slander, refuse.",
        ),
    ] = "",
    attempts: Annotated[int, typer.Option(min=1, max=16, help="Attempts before giving up.")] = 4,
    seed: Annotated[int | None, typer.Option(help="Peers' keys follow from it.")] = None,
    json: JsonFlag = False,
) -> int:
    """Toss a coin between peers over loopback Noise connections, and time each phase.

    The protocol and its connections are real; a bulletin in this process stands in for the chain.
    """
    import uvloop

    from holdfast.flip import flip, make_peers
    from holdfast.flip_faults import parse_faults

    try:
        counts = parse_faults(faults)
    except Malformed as error:
        raise typer.BadParameter(str(error)) from None
    bad = [fault for fault, count in counts.items() for _ in range(count)]
    if len(bad) >= peers:
        raise typer.BadParameter(f"of {peers} peers at least one must be honest")
    root = token_bytes(32) if seed is None else sha256(str(seed).encode()).digest()
    everyone = make_peers(root, peers, bad)
    with _live(everyone, hidden=json) as watch:
        found = uvloop.run(flip(everyone, attempts, watch))
    if json:
        print_json({"seed": seed} | describe(everyone, found))
    else:
        _print_attempts(everyone, found)
    return Exit.OK if found[-1].coin else Exit.FAILED


def describe(peers: "list[Peer]", found: "list[Attempt]") -> dict[str, Any]:
    """The document of `--json`: how it ended, then every attempt."""
    last = found[-1]
    return {
        "peers": len(peers),
        "members": {
            _name(peer.number): {"account": encode(peer.account), "fault": peer.fault}
            for peer in peers
        },
        "chain": "a bulletin in this process",
        "coin": last.coin.hex() if last.coin else None,
        "exit": last.exit,
        "recovered": [_name(number) for number in last.recovered],
        "withheld": [_name(number) for number in last.withheld],
        "excluded": [_name(number) for number in last.excluded],
        "blamed": [
            {"peer": _name(number), "attempt": attempt, "evidence": kind}
            for attempt, each in enumerate(found)
            for number, kind in each.guilty.items()
        ],
        "flip_ms": _ms(last.flip_s),
        "beyond_finality_ms": _ms(last.flip_s - last.finality_s),
        "phases_ms": {name: _ms(seconds) for name, seconds in last.phases_s.items()},
        "attempts": [_describe_attempt(each) for each in found],
    }


def _describe_attempt(attempt: "Attempt") -> dict[str, Any]:
    return {
        "members": [_name(number) for number in attempt.members],
        "exit": attempt.exit,
        "silent": [_name(number) for number in attempt.silent],
        "blamed": {_name(number): kind for number, kind in attempt.guilty.items()},
        "connect_ms": _ms(attempt.connect_s),
        "flip_ms": _ms(attempt.flip_s),
        "phases_ms": {name: _ms(seconds) for name, seconds in attempt.phases_s.items()},
    }


def _name(number: int) -> str:
    return f"peer-{number}"


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 1)


@contextmanager
def _live(peers: "list[Peer]", hidden: bool) -> "Iterator[Watch]":
    """A table of who is in which phase, redrawn a few times a second while the flip runs."""
    from rich.live import Live
    from rich.table import Table

    phases: dict[int, Phase] = {}

    def draw() -> Table:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("peer", "phase", "fault"):
            grid.add_column(column)
        for peer in peers:
            phase = phases.get(peer.number)
            name = phase.value if phase else "connecting"
            shown = f"[{COLOURS.get(phase, 'cyan') if phase else 'dim'}]{name}[/]"
            grid.add_row(_name(peer.number), shown, peer.fault or "")
        return grid

    def watch(number: int, phase: Phase) -> None:
        phases[number] = phase

    if hidden:
        yield watch
        return
    with Live(console=err, get_renderable=draw, refresh_per_second=FRAMES_PER_S, transient=True):
        yield watch


def _print_attempts(peers: "list[Peer]", found: "list[Attempt]") -> None:
    from chain.genesis import Parameters
    from holdfast.flip_faults import MEANING

    for peer in peers:
        if peer.fault:
            out.print(f"[yellow]{_name(peer.number)}[/] {MEANING[peer.fault]}")
    for number, attempt in enumerate(found):
        out.print()
        out.print(
            f"[bold]attempt {number}[/], {len(attempt.members)} peers: "
            f"exit {attempt.exit}, {EXITS[attempt.exit]}"
        )
        for label, who in (
            ("recovered", attempt.recovered),
            ("withheld", attempt.withheld),
            ("excluded", attempt.excluded),
            ("silent", attempt.silent),
        ):
            if who:
                out.print(f"  {label:10} {', '.join(map(_name, who))}")
        for guilty, kind in attempt.guilty.items():
            out.print(f"  [red]blamed[/]     {_name(guilty)}, by evidence: {kind}")
        times = [("connect", attempt.connect_s), *attempt.phases_s.items()]
        shown = [f"{name} {_ms(seconds):g} ms" for name, seconds in times if _ms(seconds)]
        out.print("  " + "  ".join(shown))
    last = found[-1]
    out.print()
    if last.withheld:
        penalty = Parameters().unopened_penalty_base
        out.print(f"[dim]each that withheld would lose {penalty:,} base of its stake[/]")
    if last.coin:
        out.print(f"coin [bold green]{last.coin.hex()}[/]")
        out.print(
            f"[dim]{_ms(last.flip_s - last.finality_s):g} ms beyond the seal's finality; "
            "a bulletin in this process stood in for the chain[/]"
        )
    else:
        out.print("[red]no coin[/]")
