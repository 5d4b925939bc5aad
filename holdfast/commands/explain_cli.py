"""`holdfast explain` and `verify`: why an audit ended as it did, and whether that is so."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from chain.bundle import Checked
from chain.challenges.explaining import Case, Story, explain
from chain.genesis import Genesis
from holdfast.cli import JsonFlag, session
from holdfast.output import out, print_json
from holdfast.pages.verdict_page import UNKNOWN, plain, story_lines, verdict_table
from wire import zbase32
from wire.codec import decode
from wire.errors import Malformed, NotFound, Unavailable

NetworkFlag = Annotated[str | None, typer.Option(help="The network id you trust, in hexadecimal.")]
CheckpointFlag = Annotated[
    Path | None,
    typer.Option(help="A checkpoint.cbor you trust: the history must pass through it."),
]


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    app.command()(verify)
    app.command(name="explain")(explain_audit)


def read_bundle(
    path: Path, network: str | None, checkpoint: Path | None
) -> tuple[Genesis, Checked, Any]:
    """A bundle's genesis, what it proves, and the bundle; every reason against it in one line."""
    from chain.bundle import MAX_BUNDLE_BYTES, Bundle, check_bundle
    from chain.trust import Checkpoint

    trusted = None
    if checkpoint is not None:
        try:
            trusted = decode(Checkpoint, _bytes(checkpoint))
        except Malformed as error:
            raise Malformed(f"{checkpoint} is no checkpoint: {error}") from None
    try:
        bundle: Bundle = decode(Bundle, _bytes(path), MAX_BUNDLE_BYTES)
        checked = check_bundle(bundle, trusted)
    except Malformed as error:
        raise Malformed(f"{path} proves nothing: {error}") from None
    if network is not None and checked.network.hex() != network.lower():
        raise Malformed(f"{path} is of network {checked.network.hex()}, not of the one you trust")
    return bundle.genesis, checked, bundle


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from None


def verify(
    bundle: Annotated[Path, typer.Argument(help="A file written by `report --export`.")],
    network: NetworkFlag = None,
    checkpoint: CheckpointFlag = None,
    json: JsonFlag = False,
) -> None:
    """Check an exported report with no network, down to signatures, proofs, VRF and certificate."""
    _, checked, shown = read_bundle(bundle, network, checkpoint)
    header = checked.header
    proving = [
        visit
        for report in checked.reports
        for visit in report.visits
        if visit.served or visit.fault
    ]
    counted = {
        "terms_followed": len(shown.steps),
        "certificate_signatures": len(shown.state.certificate.signatures),
        "records_under_the_state_root": len(shown.state.records),
        "vrf_proofs": len(checked.reports),
        "receipts": len(proving),
        "chunks": sum(visit.served for visit in proving),
    }
    if json:
        print_json(
            {
                "valid": True,
                "network": checked.network.hex(),
                "height": header.height,
                "feed": zbase32.encode(checked.feed.feed),
                "listed": checked.listed,
                "reports": len(checked.reports),
                "samples": checked.samples,
                "checked": counted | {"checkpoint": checkpoint is not None},
                "verdicts": [verdict.model_dump(mode="json") for verdict in checked.verdicts],
            }
        )
        return
    out.print(verdict_table(checked.verdicts))
    begun = "the genesis" + (" through your checkpoint" if checkpoint else "")
    out.print("checked, in this order:")
    for line in (
        f"{counted['terms_followed']} changes of validators, from {begun}",
        f"the certificate of block {header.height}: {counted['certificate_signatures']} signatures "
        f"of validators of term {header.term}",
        f"{counted['records_under_the_state_root']} records under that block's state root",
        f"{counted['vrf_proofs']} reports: a VRF proof each, so nobody chose whom, when, or which "
        "chunks",
        f"{counted['receipts']} visits: signed by a key used once, with the hoster's receipt",
        f"{counted['chunks']} chunks: in the receipt's list and in the owner's tree",
        f"{len(checked.verdicts)} verdicts, drawn anew: class, score, bounds, what the hoster was "
        "paid",
    ):
        out.print(f"  [green]✓[/] {line}")
    out.print(
        f"[green]valid[/]: {len(checked.verdicts)} of {checked.listed} verdicts from "
        f"{len(checked.reports)} reports over {checked.samples} samples"
    )
    out.print(f"network {checked.network.hex()}" + ("" if network else "  (is it yours?)"))
    out.print(UNKNOWN, style="dim")


def explain_audit(
    context: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(metavar="[CHALLENGE|FEED]", help="A challenge's id, or a feed: its newest."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="A file from `report --export`, instead of a node.")
    ] = None,
    hoster: Annotated[str | None, typer.Option(help="Only this hoster's verdicts.")] = None,
    attestor: Annotated[str | None, typer.Option(help="Only this attestor's visits.")] = None,
    network: NetworkFlag = None,
    checkpoint: CheckpointFlag = None,
    json: JsonFlag = False,
) -> None:
    """Tell who visited whom, when, for which chunks, what came of it, and what each was paid."""
    if bundle is not None:
        genesis, checked, _ = read_bundle(bundle, network, checkpoint)
        case = _chosen(checked, what)
    else:
        from holdfast.following import with_chain
        from owner.service import case_of

        if what is None:
            raise Malformed("say what to explain: a challenge's id, a feed's key, or --bundle FILE")
        current, name = session(context), _name(what)
        genesis = current.home.genesis()
        case = with_chain(current, lambda chain: case_of(chain, name))
    only_hoster = zbase32.parse_key(hoster) if hoster else None
    only_attestor = zbase32.parse_key(attestor) if attestor else None
    story = _only(explain(genesis, case), only_hoster, only_attestor)
    if json:
        print_json(plain(story))
        return
    for line in story_lines(story):
        out.print(line)
    out.print(UNKNOWN, style="dim")


def _name(what: str) -> bytes:
    """A challenge's id or a feed's key: 32 bytes either way."""
    if len(what) == 64:
        try:
            return bytes.fromhex(what)
        except ValueError:
            pass
    return zbase32.parse_key(what)


def _chosen(checked: Checked, what: str | None) -> Case:
    """The newest case that a bundle shows, or the one of that name."""
    if not checked.cases:
        raise NotFound("the file shows no verdict")
    if what is None or _name(what) == checked.feed.feed:
        return checked.cases[-1]
    for case in checked.cases:
        if case.challenge.challenge == _name(what):
            return case
    ids = ", ".join(case.challenge.challenge.hex() for case in checked.cases)
    raise NotFound(f"the file does not show {escape(what)}; it has {ids}")


def _only(story: Story, hoster: bytes | None, attestor: bytes | None) -> Story:
    """The part that is about one hoster, or one attestor."""
    verdicts = [
        replace(
            one,
            visits=tuple(v for v in one.visits if attestor is None or v.attestor == attestor),
        )
        for one in story.verdicts
        if hoster is None or one.verdict.hoster == hoster
    ]
    members = tuple(one for one in story.members if attestor is None or one.account == attestor)
    if not members:
        raise NotFound("that attestor was not a member of this challenge")
    if not verdicts:
        raise NotFound("there is no verdict on that hoster in this challenge")
    return replace(story, members=members, verdicts=tuple(verdicts))
