"""The demo's document for people."""

from typing import Any

from rich.table import Table as Grid

from holdfast.output import bytes_text, out, ppm_text, time_text

COLOURS = {"served": "green", "fault": "red", "unproven": "yellow", "skipped": "dim"}


def print_document(document: dict[str, Any]) -> None:
    """Print what the demo found: the availability report, who earned what, the supply."""
    feed = document["feed"]
    out.print()
    out.print(
        f"[bold]Availability of feed {feed['key'][:16]}…[/]  "
        f"{feed['chunks']} chunks, {bytes_text(feed['bytes'])}"
    )
    for challenge in document["challenges"]:
        out.print(_verdicts(challenge))
        power = min((v["detection_ppm"] for v in challenge["verdicts"]), default=0)
        out.print(
            f"[dim]{challenge['reports']} of {challenge['attestors']} reports; *least* is served "
            f"with 95 % confidence; the loss of 1 % of a hoster's chunks would have shown with "
            f"{ppm_text(power)} at least[/]"
        )
    out.print()
    out.print(_accounts(document["accounts"]))
    before, after = document["supply_before"], document["supply_after"]
    same = "unchanged" if before == after else f"[red]changed by {after - before}[/]"
    out.print(f"[dim]supply {after:,} base units, {same}; {document['elapsed_s']:.1f} s in all[/]")


def _verdicts(challenge: dict[str, Any]) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    grid.add_column("hoster")
    grid.add_column("verdict")
    for column in ("score", "least", "proven", "p50", "p95", "per s", "paid"):
        grid.add_column(column, justify="right")
    for verdict in challenge["verdicts"]:
        colour = COLOURS[verdict["class"]]
        grid.add_row(
            verdict["name"],
            f"[{colour}]{verdict['class']}[/]",
            *(ppm_text(verdict[name])[:-2] for name in ("score_ppm", "lower_bound_ppm")),
            f"{verdict['samples'] - verdict['missing']}/{verdict['samples']}",
            time_text(verdict["latency_us"]["p50"]),
            time_text(verdict["latency_us"]["p95"]),
            bytes_text(verdict["throughput_bytes_per_s"]),
            f"{verdict['paid_base']:,}",
        )
    return grid


def _accounts(accounts: list[dict[str, Any]]) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    grid.add_column("role")
    grid.add_column("account")
    grid.add_column("before", justify="right")
    grid.add_column("change", justify="right")
    for account in accounts:
        change = account["after"] - account["before"]
        grid.add_row(
            account["role"],
            account["id"][:16] + "…",
            f"{account['before']:,}",
            f"{change:+,}",
        )
    return grid
