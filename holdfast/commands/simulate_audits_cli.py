"""`holdfast simulate lazy` and its like: attacks on audits, in whole networks on the real rules."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import JsonFlag
from holdfast.output import err, out, print_json
from holdfast.simulation.audits.names import SCENARIOS

if TYPE_CHECKING:
    from holdfast.simulation.audits.scenarios import Played

MAX_MEMBERS = 10_000
MAX_ROUNDS = 100_000
WIDTH = 150
"""Of the widest table: rich would cut it where there is no terminal."""
LEAST_ATTESTORS = 20
LEAST_CONTRACTS = 20

SeedFlag = Annotated[int, typer.Option(min=0, help="Every random choice follows from it.")]
AttestorsFlag = Annotated[
    int, typer.Option(min=LEAST_ATTESTORS, max=MAX_MEMBERS, help="Attestors, all staked alike.")
]
ContractsFlag = Annotated[
    int,
    typer.Option(min=LEAST_CONTRACTS, max=MAX_MEMBERS, help="Contracts, two for each feed."),
]
RoundsFlag = Annotated[int, typer.Option(min=1, max=MAX_ROUNDS, help="Audits, one after another.")]
PlotFlag = Annotated[
    Path | None,
    typer.Option(metavar="FILE.svg|png", dir_okay=False, help="Draw the earnings into this file."),
]


def add_to(simulate: typer.Typer) -> None:
    """Hang a command for each scenario below `holdfast simulate`."""
    for name, help_ in SCENARIOS.items():
        simulate.command(name=name, help=help_ + ".")(_command(name))


def _command(name: str) -> Any:
    def command(
        seed: SeedFlag = 1,
        attestors: AttestorsFlag = 100,
        contracts: ContractsFlag = 100,
        rounds: RoundsFlag = 20,
        json: JsonFlag = False,
        plot: PlotFlag = None,
    ) -> None:
        _play(name, seed, attestors, contracts, rounds, json, plot)

    return command


def _play(
    name: str, seed: int, attestors: int, contracts: int, rounds: int, json: bool, plot: Path | None
) -> None:
    from holdfast.commands.simulate_cli import draw_into, require_picture
    from holdfast.progress import steps
    from holdfast.simulation.audits.scenarios import SCENARIOS, play

    require_picture(plot)
    with steps() as tell:

        def count(done: int, of: int) -> None:
            tell("rounds", done, of)
            # A bar needs a terminal; a file gets a line at each tenth.
            if not err.is_terminal and done * 10 // of > (done - 1) * 10 // of:
                err.print(f"{done} of {of} rounds")

        played = play(
            SCENARIOS[name],
            seed,
            attestors=attestors,
            contracts=contracts,
            rounds=rounds,
            tell=count,
        )
    if plot is not None:
        draw_into(plot, played.result)
    if json:
        print_json(played.result.document)
    else:
        _print(played)


def _print(played: "Played") -> None:
    figures = played.figures
    out.print(f"[bold]{played.result.title}[/]\n")
    _table(
        ("earnings", "members", "earned", "each a round"),
        [
            (row.group, row.members, f"{row.earned_base:+,}", f"{row.each_a_round_base:+,}")
            for row in figures.earnings
        ],
    )
    _table(
        (
            *("hosters", "number", "verdicts", "served", "unproven", "fault", "skipped"),
            *("missing", "caught", "after", "asked", "unanswered", "slashed", "suspected"),
        ),
        [
            (
                *(row.group, row.hosters, row.verdicts, row.served, row.unproven, row.fault),
                *(row.skipped, f"{row.missing / max(row.samples, 1):.2%}", row.caught),
                *(row.first_caught or "-", row.asked, row.unanswered),
                *(row.slashed, row.suspected),
            )
            for row in figures.hosting
        ],
    )
    _table(
        (
            *("attestors", "number", "drawn", "away", "withheld", "void", "opened"),
            *("convicted", "suspended", "stake lost"),
        ),
        [
            (
                *(row.group, row.attestors, row.due, row.away, row.withheld, row.void),
                *(row.opened, row.convicted, row.suspended, f"{row.stake_lost_base:,}"),
            )
            for row in figures.attesting
        ],
    )
    for reason, count in figures.flaws.items():
        out.print(f"[dim]void: {count} {reason}[/]")
    for remark in played.result.remarks:
        out.print(f"[dim]{remark}[/]")


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        grid.add_column(column, justify="right")
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    out.width = max(out.width, WIDTH)
    out.print(grid)
    out.print()
