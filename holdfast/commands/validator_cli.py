"""`holdfast chain validators`, `join`, `leave`: who finalizes blocks, and how to be one of them."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table as Grid

from chain.bodies.coins import Stake, Unstake
from chain.bodies.validators import Delist, enlist
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.records import Candidate, StakeRecord, Table, stake_key
from chain.validators import Validator, ValidatorSet
from holdfast.cli import JsonFlag, session
from holdfast.commands.genesis_cli import own_endpoint
from holdfast.following import with_wallet
from holdfast.output import out, print_json
from holdfast.reading import read_json
from wire.errors import Malformed, NotFound
from wire.keys import KeyPair, Use
from wire.zbase32 import encode as key_text


def add_to(chain: typer.Typer) -> None:
    """Hang these commands into `holdfast chain`."""
    chain.command()(validators)
    chain.command()(join)
    chain.command()(leave)


def validators(context: typer.Context, json: JsonFlag = False) -> None:
    """Show who finalizes blocks in this term, and who stands for the next."""
    found = read_json(session(context), "/validators")
    if json:
        print_json(found)
        return
    out.print(
        f"term {found['term']}, up to block {found['last_height']} (now {found['height']}); "
        f"{found['quorum']} votes make a block final"
    )
    out.print(_table(found))


def _table(found: dict[str, Any]) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for column in ("account", "this term", "next term"):
        grid.add_column(column)
    for column in ("stake", "unbonding", "failed"):
        grid.add_column(column, justify="right")
    grid.add_column("address")
    for each in found["validators"]:
        at = each["validator"]["endpoint"]
        grid.add_row(
            each["account"][:12] + "…",
            "no" if each["place"] is None else f"place {each['place']}",
            _standing(each, found["last_height"]),
            str(each["stake_base"]),
            str(each["unbonding_base"]),
            f"{each['failed_views']}/{each['turns']}",
            escape(f"{at['host']}:{at['port']}"),
        )
    return grid


def _standing(each: dict[str, Any], last_height: int) -> str:
    if each["convicted"]:
        return "[red]convicted[/]"
    if not each["listed"]:
        return "leaves"
    if each["jailed_until"] > last_height:
        return f"[yellow]jailed to {each['jailed_until']}[/]"
    return "stands" if each["standing"] else "too little stake"


def join(
    context: typer.Context,
    stake: Annotated[int, typer.Option(min=1, help="Base units to have at stake in all.")],
    json: JsonFlag = False,
) -> None:
    """Stand for validator: from the next term on, if this home is among the best staked.

    Run it again after a change of address, to stake more, or after leaving. Keep
    `holdfast chain run` going: who fails most of its turns is jailed for a while.
    """
    current = session(context)
    least = current.home.genesis().parameters.validator_stake_base
    if stake < least:
        raise Malformed(f"--stake is {least} at least on this network, not {stake}")
    seed, at = current.home.seed(), own_endpoint(current)
    key, vrf_key, swarm = (KeyPair.derive(seed, use) for use in (Use.VALIDATOR, Use.VRF, Use.SWARM))
    account = current.home.account()

    async def stand(chain: ChainClient, wallet: Wallet) -> dict[str, Any]:
        known = await chain.record(Candidate, Table.CANDIDATE, account)
        mine = Validator(account=account, key=key.public, vrf_key=vrf_key.public, endpoint=at)
        if known is None or not known.listed or known.validator != mine:
            await wallet.send(enlist(chain.genesis.network, account, key, vrf_key, swarm, at))
        staked = await chain.record(StakeRecord, Table.STAKE, stake_key("validator", account))
        missing = stake - (staked.amount_base if staked else 0)
        if missing > 0:
            await wallet.send(Stake(role="validator", amount_base=missing))
        return await _place(chain, account)

    found = with_wallet(current, stand)
    if json:
        print_json(found)
        return
    out.print(f"account {found['account']} stands with {found['stake_base']} base units")
    out.print(
        f"it serves in term {found['term']}"
        if found["serves"]
        else f"the validators of term {found['term'] + 1} are chosen after block "
        f"{found['last_height']}, in about {found['blocks_left']} blocks"
    )


def leave(
    context: typer.Context,
    keep_stake: Annotated[bool, typer.Option(help="Only step down.")] = False,
    json: JsonFlag = False,
) -> None:
    """Serve as a validator until the term is over, and take the stake back.

    The coins return after the unbonding time: until then they answer for what was signed.
    """
    current = session(context)
    account = current.home.account()

    async def step_down(chain: ChainClient, wallet: Wallet) -> dict[str, Any]:
        known = await chain.record(Candidate, Table.CANDIDATE, account)
        if known is None:
            raise NotFound("this home's account has never stood for validator")
        if known.listed:
            await wallet.send(Delist())
        staked = await chain.record(StakeRecord, Table.STAKE, stake_key("validator", account))
        if staked is not None and staked.amount_base and not keep_stake:
            await wallet.send(Unstake(role="validator", amount_base=staked.amount_base))
        return await _place(chain, account)

    found = with_wallet(current, step_down)
    if json:
        print_json(found)
        return
    if found["serves"]:
        out.print(
            f"keep it running: it serves in term {found['term']}, up to block "
            f"{found['last_height']}, in about {found['blocks_left']} blocks"
        )
    else:
        out.print(f"it does not serve in term {found['term']}")
    if found["unbonding_base"]:
        blocks = current.home.genesis().parameters.validator_unbonding_blocks
        out.print(
            f"{found['unbonding_base']} base units are on their way back: {blocks} blocks after "
            "each withdrawal"
        )


async def _place(chain: ChainClient, account: bytes) -> dict[str, Any]:
    """Where an account stands among the validators, proven."""
    serving = await chain.need(ValidatorSet, Table.VALIDATORS, b"")
    candidate = await chain.need(Candidate, Table.CANDIDATE, account)
    key = stake_key("validator", account)
    stake = await chain.record(StakeRecord, Table.STAKE, key) or StakeRecord()
    last_height = (serving.term + 1) * chain.genesis.parameters.term_blocks
    return {
        "account": key_text(account),
        "listed": candidate.listed,
        "stake_base": stake.amount_base,
        "unbonding_base": stake.unbonding_base,
        "term": serving.term,
        "serves": account in {member.account for member in serving.members},
        "last_height": last_height,
        "blocks_left": max(last_height - chain.height, 0),
    }
