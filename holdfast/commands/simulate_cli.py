"""`holdfast simulate`: attacks on the coin flip, and on audits in `simulate_audits_cli.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import JsonFlag
from holdfast.commands import simulate_audits_cli
from holdfast.output import err, out, print_json
from wire.errors import Unavailable

if TYPE_CHECKING:
    from holdfast.simulation.result import Result, Tell

simulate = typer.Typer(
    no_args_is_help=True,
    help="Play attacks in a simulated network: the same seed gives the same answer.",
)

MAX_RUNS = 100_000
SeedFlag = Annotated[int, typer.Option(min=0, help="Every random choice follows from it.")]
RunsFlag = Annotated[int, typer.Option(min=1, max=MAX_RUNS, help="Flips to play by each rule.")]
PlotFlag = Annotated[
    Path | None,
    typer.Option(metavar="FILE.svg|png", dir_okay=False, help="Draw the result into this file."),
]


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    simulate_audits_cli.add_to(simulate)
    app.add_typer(simulate, name="simulate")


@simulate.command(name="flip-rushing")
def flip_rushing(
    seed: SeedFlag = 1, runs: RunsFlag = 100, json: JsonFlag = False, plot: PlotFlag = None
) -> None:
    """Two of ten commit last, after they have learned all other secrets."""
    from holdfast.simulation import rushing

    _show(rushing.run, seed, runs, json, plot)


@simulate.command(name="flip-abort")
def flip_abort(
    seed: SeedFlag = 1, runs: RunsFlag = 100, json: JsonFlag = False, plot: PlotFlag = None
) -> None:
    """Colluders spoil every coin that they dislike: one, a minority, a majority."""
    from holdfast.simulation import abort

    _show(abort.run, seed, runs, json, plot)


@simulate.command(name="flip-copy")
def flip_copy(
    seed: SeedFlag = 1, runs: RunsFlag = 100, json: JsonFlag = False, plot: PlotFlag = None
) -> None:
    """One of two commits to a copy of the other's secret."""
    from holdfast.simulation import copying

    _show(copying.run, seed, runs, json, plot)


@simulate.command(name="flip-withhold")
def flip_withhold(
    seed: SeedFlag = 1, runs: RunsFlag = 100, json: JsonFlag = False, plot: PlotFlag = None
) -> None:
    """Up to four of ten keep their secrets back once the coin is sealed: what it costs whom."""
    from holdfast.simulation import withholding

    _show(withholding.run, seed, runs, json, plot)


def _show(
    scenario: "Callable[[int, int, Tell], Result]",
    seed: int,
    runs: int,
    json: bool,
    plot: Path | None,
) -> None:
    from holdfast.progress import steps

    require_picture(plot)
    with steps() as tell:

        def count(done: int, of: int) -> None:
            tell("flips", done, of)
            # A bar needs a terminal; a file gets a line at each tenth.
            if not err.is_terminal and done * 10 // of > (done - 1) * 10 // of:
                err.print(f"{done} of {of} flips")

        result = scenario(seed, runs, count)
    if plot is not None:
        draw_into(plot, result)
    if json:
        print_json(result.document)
    else:
        _print(result)


def _print(result: "Result") -> None:
    from rich.table import Table

    out.print(f"[bold]{result.title}[/]")
    out.print(f"[dim]{result.question}[/]\n")
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("rule")
    for column in ("runs", "share", "by luck", "bias"):
        grid.add_column(column, justify="right")
    for bar in result.bars:
        grid.add_row(
            bar.label,
            f"{bar.hits} of {bar.runs}",
            f"{bar.share:.1%}",
            f"{bar.chance:.1%}",
            f"{bar.bias:+.1%} ± {bar.error:.1%}",
        )
    out.print(grid)
    for remark in result.remarks:
        out.print(f"[dim]{remark}[/]")


def require_picture(plot: Path | None) -> None:
    """Refuse, before any work, a file that cannot be drawn into."""
    if plot is not None and plot.suffix not in (".svg", ".png"):
        raise typer.BadParameter("--plot takes a file that ends in .svg or .png")


def draw_into(path: Path, result: "Result") -> None:
    """Draw a scenario's bars; raises `Unavailable` when the file cannot be written."""
    from holdfast.pages.plot import draw, encode_svg
    from holdfast.pages.png import encode_png

    drawing = draw(result)
    try:
        if path.suffix == ".svg":
            path.write_text(encode_svg(drawing))
        else:
            path.write_bytes(encode_png(drawing))
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from None
    err.print(f"drew {path}")
