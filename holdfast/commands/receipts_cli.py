"""`holdfast host receipts`: what this hoster has signed for."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import JsonFlag, session
from holdfast.output import out, print_json
from wire import zbase32
from wire.codec import encode
from wire.errors import NotFound, Unavailable


def add_to(host: typer.Typer) -> None:
    """Hang the command into `holdfast host`."""
    host.command(name="receipts")(receipts)


def receipts(
    context: typer.Context,
    feed: Annotated[str | None, typer.Option(help="Of this feed alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    every: Annotated[bool, typer.Option("--every", help="Not only each session's last.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write them to a file, each a SignedReceipt by its length.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """List the receipts that the daemon has signed, newest first, while it runs or not."""
    from hoster.receipt_store import ReceiptStore

    path = session(context).home.receipts
    if not path.exists():
        raise NotFound(f"there is no {path}: `holdfast host run` makes it")
    key = None if feed is None else zbase32.parse_key(feed)
    with ReceiptStore(path) as store:
        found = list(store.receipts(key, every=every, limit=limit))
    if export is not None:
        try:
            with export.open("wb") as file:
                for signed in found:
                    data = encode(signed)
                    file.write(len(data).to_bytes(4, "big") + data)
        except OSError as error:
            raise Unavailable(f"cannot write {export}: {error.strerror}") from None
    if json:
        print_json({"receipts": [signed.model_dump(mode="json") for signed in found]})
        return
    for signed in found:
        receipt = signed.receipt
        at = datetime.fromtimestamp(receipt.time_ms / 1_000, UTC)
        out.print(
            f"{at:%Y-%m-%d %H:%M:%S}  {zbase32.encode(receipt.feed)[:12]}…  "
            f"reader {receipt.peer.hex()[:12]}…  {receipt.count} chunks, {receipt.bytes} bytes"
        )
    if export is not None:
        out.print(f"{len(found)} receipts are in {export}")
    elif not found:
        out.print("nothing was signed for in the last month")
