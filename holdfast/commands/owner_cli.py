"""What an owner does: publish, order, read and check availability reports; and the demo."""

import asyncio
import shutil
import signal
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.bodies.data import MAX_CHUNK_BYTES
from chain.bodies.plans import Sla
from feed.folder import CHUNK_BYTES, MIN_CHUNK_BYTES
from holdfast.cli import JsonFlag, Session, session
from holdfast.commands.chain_cli import endpoint
from holdfast.commands.plan_cli import plan
from holdfast.daemon import first_error, until_stopped
from holdfast.following import with_chain, with_wallet
from holdfast.output import (
    Exit,
    err,
    out,
    print_json,
)
from holdfast.pages.verdict_page import UNKNOWN, hint_lines, plain, verdict_table
from wire import zbase32
from wire.codec import encode
from wire.errors import Malformed, Unavailable


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    app.add_typer(plan, name="plan")
    app.command()(publish)
    app.command()(report)
    app.command()(demo)


def _order(current: Session, feed: Any, terms: Any, listen: str | None, json: bool) -> None:
    from holdfast.commands.feed_cli import pair_of
    from holdfast.progress import steps
    from owner.service import Owner

    pair = pair_of(current, feed)
    seed = current.home.seed()
    chosen = current.settings.owner.listen
    host, port = endpoint(listen, chosen)
    with steps() as tell:
        published = with_wallet(
            current,
            lambda chain, wallet: Owner(chain, seed, wallet).publish(
                feed, pair, terms, host, port, chosen.public_host or host, tell
            ),
        )
    if json:
        print_json(
            {
                "feed": zbase32.encode(published.feed),
                "plan": published.plan.hex(),
                "hosters": [zbase32.encode(c.hoster) for c in published.contracts],
            }
        )
        return
    out.print(f"feed {zbase32.encode(published.feed)}")
    out.print(f"plan {published.plan.hex()}")
    for contract in published.contracts:
        out.print(f"  hosted by {zbase32.encode(contract.hoster)}")


@plan.command(name="create")
def publish(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(help="A file, a folder, or the key of a feed in this home.")
    ],
    chunk_bytes: Annotated[
        int, typer.Option(min=MIN_CHUNK_BYTES, max=MAX_CHUNK_BYTES, help="For a new feed.")
    ] = CHUNK_BYTES,
    replicas: Annotated[int, typer.Option(min=1, max=64, help="Hosters to have it.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Audited epochs to pay for.")] = 24,
    price: Annotated[int, typer.Option(min=1, help="Base units per replica and epoch.")] = 100_000,
    availability: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of asked chunks that must be served.")
    ] = 99.0,
    latency_ms: Annotated[
        int, typer.Option(min=1, help="95th percentile, in milliseconds.")
    ] = 2_000,
    throughput: Annotated[int, typer.Option(min=0, help="Bytes per second, at least.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="Chunks that each attestor asks for.")] = 30,
    start_height: Annotated[int, typer.Option(min=0, help="When it begins; 0: at once.")] = 0,
    expires_height: Annotated[
        int, typer.Option(min=0, help="When it ends at the latest; 0: when it is served.")
    ] = 0,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where hosters fetch it from.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Order the hosting of a file, folder or feed, and serve it until hosters have it.

    Interrupted, run it again: nothing is made, registered or paid twice.
    """
    from feed.store import FeedStore
    from holdfast.commands.feed_cli import create_feed
    from owner.service import PlanTerms

    current = session(context)
    current.home.genesis()
    terms = PlanTerms(
        replicas=replicas,
        epochs=epochs,
        price_base=price,
        sla=Sla(
            availability_ppm=round(availability * 10_000),
            latency_us=latency_ms * 1_000,
            throughput_bytes_per_s=throughput,
        ),
        samples=samples,
        start_height=start_height,
        expires_height=expires_height,
    )
    with FeedStore(current.home.feeds) as store:
        if is_key(what) and not Path(what).exists():
            feed = store.open(zbase32.parse_key(what))
        else:
            feed = create_feed(current, store, Path(what), chunk_bytes)
        _order(current, feed, terms, listen, json)


def is_key(text: str) -> bool:
    """Whether a text can be a key."""
    try:
        zbase32.parse_key(text)
    except Malformed:
        return False
    return True


def report(
    context: typer.Context,
    feed: str,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Newest verdicts to show.")] = 30,
    export: Annotated[
        Path | None, typer.Option(help="Write everything that proves it into one file.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show a feed's availability, proven by the chain; export it for `holdfast verify`."""
    from chain.challenge_records import VerdictRecord
    from chain.client.light_client import ChainClient
    from owner.hints_service import Hints, hints_of
    from owner.service import export_bundle, verdicts_of

    current = session(context)
    key = zbase32.parse_key(feed)
    if export is not None:
        bundle = with_chain(current, lambda chain: export_bundle(chain, key))
        try:
            export.write_bytes(encode(bundle))
        except OSError as error:
            raise Unavailable(f"cannot write {export}: {error.strerror}") from None
        err.print(f"wrote {export}: check it with `holdfast verify {export}`")

    async def read(chain: ChainClient) -> tuple[list[VerdictRecord], Hints]:
        verdicts = await verdicts_of(chain, key, limit)
        return verdicts, await hints_of(chain, verdicts)

    verdicts, hints = with_chain(current, read)
    if json:
        shown = [verdict.model_dump(mode="json") for verdict in verdicts]
        print_json({"verdicts": shown, "hints": plain(hints)})
    elif verdicts:
        out.print(verdict_table(verdicts))
        for line in hint_lines(hints):
            out.print(line)
        out.print(UNKNOWN, style="dim")
    else:
        out.print("no audit has been settled yet")


class SabotageName(StrEnum):
    """What is wrong with the demo's last hoster."""

    NONE = "none"
    OFFLINE = "offline"
    DROP = "drop"
    CORRUPT = "corrupt"


def demo(
    path: Annotated[
        Path | None, typer.Option(help="A file or folder to host. Default: this source tree.")
    ] = None,
    sabotage: Annotated[
        SabotageName, typer.Option(help="What is wrong with the last hoster.")
    ] = SabotageName.NONE,
    validators: Annotated[int, typer.Option(min=1, max=10)] = 4,
    attestors: Annotated[int, typer.Option(min=4, max=40)] = 10,
    hosters: Annotated[int, typer.Option(min=1, max=10)] = 3,
    keep: Annotated[bool, typer.Option(help="Stay up until Ctrl-C.")] = False,
    json: JsonFlag = False,
) -> int:
    """Run a whole network on this machine: publish, host, attest, settle, report."""
    from holdfast.demo import Demo
    from holdfast.network import LocalNetwork
    from holdfast.pages.demo_page import print_document

    source = path or Path(__file__).resolve().parent.parent
    if not source.exists():
        raise Unavailable(f"{source} does not exist")
    root = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    repair = {f"hoster-{hosters}": "hoster.repair = false"} if sabotage != "none" else {}

    waiting = err.status("")

    def tell(line: str) -> None:
        err.print(f"[green]•[/] {line}")

    told = False

    async def main(stop: asyncio.Event) -> None:
        nonlocal told
        network = LocalNetwork(
            root, validators=validators, attestors=attestors, hosters=hosters, settings=repair
        )
        async with network:
            story = Demo(network, source, sabotage.value, hosters, tell=tell, show=waiting.update)
            with waiting:
                document = await story.run()
            print_json(document) if json else print_document(document)
            told = True
            if keep:
                err.print(f"still running, homes in {root}; Ctrl-C ends it")
                err.print(f"try {network.url}/api/v1/status")
                await stop.wait()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await until_stopped(main(stop), stop)

    try:
        asyncio.run(run())
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return Exit.OK if told else Exit.INTERRUPTED
