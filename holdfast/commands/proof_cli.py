"""`holdfast chain account`, `tx`, `report`: read from any node, and believe nothing unproven."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from chain.blocks import StateProof, TransactionProof
from chain.client.light_client import ChainClient
from chain.records import Account, Table
from holdfast.cli import JsonFlag, session
from holdfast.following import print_proof, proof_of, with_chain
from holdfast.output import out, print_json
from holdfast.plain import one_line
from holdfast.reading import read_json
from wire.errors import Malformed, NotFound
from wire.zbase32 import encode, parse_key

VerifyFlag = Annotated[
    bool,
    typer.Option("--verify", help="Check all of it against this home's genesis; say how."),
]


def add_to(chain: typer.Typer) -> None:
    """Hang these commands into `holdfast chain`."""
    chain.command()(account)
    chain.command(name="tx")(transaction)
    chain.command()(report)


def account(
    context: typer.Context, key: str, verify: VerifyFlag = False, json: JsonFlag = False
) -> None:
    """Show an account's balance."""
    current, name = session(context), parse_key(key)
    if not verify:
        found = read_json(current, f"/accounts/{encode(name)}")
        _print_account(found, None, json)
        return

    async def prove(chain: ChainClient) -> tuple[StateProof, Account | None, dict[str, Any]]:
        proof, (record,) = await chain.prove([(Table.ACCOUNT, name)])
        assert record is None or isinstance(record, Account)
        return proof, record, proof_of(chain, proof.header)

    _, record, proof = with_chain(current, prove)
    if record is None:
        raise NotFound(
            f"block {proof['height']} of network {proof['network'][:16]}… is final and proves that "
            "there is no such account"
        )
    _print_account(record.model_dump(mode="json"), proof, json)


def _print_account(found: dict[str, Any], proof: dict[str, Any] | None, json: bool) -> None:
    if json:
        print_json(found if proof is None else {**found, "verified": proof})
        return
    out.print(f"balance {found['balance_base']} base units, next nonce {found['nonce']}")
    if "standing" in found:
        out.print(f"as an attestor {found['standing']['state']}: see `holdfast attest status`")
    if proof is not None:
        print_proof(proof)


def transaction(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID", help="64 hexadecimal digits.")],
    verify: VerifyFlag = False,
    json: JsonFlag = False,
) -> None:
    """Show what became of a transaction. It is verified in any case; --verify says how."""
    try:
        wanted = bytes.fromhex(name)
    except ValueError:
        wanted = b""
    if len(wanted) != 32:
        raise Malformed(f"a transaction's id has 64 hexadecimal digits, not {name!r}")

    async def ask(chain: ChainClient) -> tuple[TransactionProof, dict[str, Any]]:
        found = await chain.outcome(wanted)
        if found is None:
            raise NotFound("no final block that this node keeps holds the transaction")
        return found, proof_of(chain, found.header)

    # A checkpoint would do for new ones only.
    found, proof = with_chain(session(context), ask, from_genesis=True)
    outcome, detail = found.reason or "applied", one_line(found.detail)
    if json:
        document = {
            "transaction": wanted.hex(),
            "height": found.header.height,
            "position": found.position,
            "transactions": found.count,
            "time_ms": found.header.time_ms,
            "outcome": outcome,
            "detail": detail,
        }
        print_json({**document, "verified": proof} if verify else document)
        return
    out.print(
        f"{outcome}{': ' + escape(detail) if detail else ''}, in block "
        f"{found.header.height}, {found.position + 1} of {found.count}"
    )
    if verify:
        print_proof(proof)


def report(
    context: typer.Context,
    feed: str,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Newest verdicts to show.")] = 30,
    verify: VerifyFlag = False,
    json: JsonFlag = False,
) -> None:
    """Show a feed's newest verdicts. They are verified in any case; --verify says how."""
    from holdfast.pages.verdict_page import verdict_table
    from owner.service import verdicts_of

    key = parse_key(feed)

    async def ask(chain: ChainClient) -> tuple[list[Any], dict[str, Any]]:
        verdicts = await verdicts_of(chain, key, limit)
        assert chain.tip is not None
        return verdicts, proof_of(chain, chain.tip)

    verdicts, proof = with_chain(session(context), ask)
    if json:
        shown = [verdict.model_dump(mode="json") for verdict in verdicts]
        print_json({"verdicts": shown, "verified": proof} if verify else shown)
        return
    if verdicts:
        out.print(verdict_table(verdicts))
    else:
        out.print("no audit has been settled yet")
    if verify:
        print_proof(proof)
