"""`holdfast host` and `holdfast attest`: the two daemons that earn."""

from typing import Annotated, Any

import typer

from chain.genesis import Genesis
from holdfast.cli import JsonFlag, Session, session
from holdfast.commands import duty_cli, receipts_cli, standing_cli
from holdfast.commands.chain_cli import endpoint
from holdfast.following import with_wallet
from holdfast.output import out, print_json
from holdfast.role import Terms, become
from holdfast.settings import Listen

host = typer.Typer(no_args_is_help=True, help="Host feeds and be paid for it.")
attest = typer.Typer(no_args_is_help=True, help="Visit hosters and be paid for evidence.")

CONTRACTS_STAKED = 10
"""A hoster's default stake covers collateral for so many contracts at once."""

ListenFlag = Annotated[
    str | None, typer.Option("--listen", help="Where peers connect.", metavar="HOST:PORT")
]


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    standing_cli.add_to(attest, host)
    app.add_typer(host, name="host")
    duty_cli.add_to(app, host)
    receipts_cli.add_to(host)
    app.add_typer(attest, name="attest")


def hoster_stake(genesis: Genesis) -> int:
    """What a hoster stakes unless told otherwise."""
    parameters = genesis.parameters
    return parameters.hoster_stake_base + CONTRACTS_STAKED * parameters.contract_collateral_base


@host.command(name="run")
def run_hoster(context: typer.Context, listen: ListenFlag = None) -> None:
    """Run the hoster's daemon until it is stopped."""
    current = session(context)
    current.home.seed()
    genesis, chosen = current.home.genesis(), current.settings.hoster
    role = _listening(listen, chosen.listen) | {
        "capacity_bytes": chosen.capacity_bytes,
        "price_base_per_gib": chosen.price_base_per_gib,
        "operator": chosen.operator,
        "stake_base": hoster_stake(genesis) if chosen.stake_base is None else chosen.stake_base,
        "repair": chosen.repair,
        "fee_limit_base": genesis.parameters.contract_collateral_base // 4
        if chosen.fee_limit_base is None
        else chosen.fee_limit_base,
    }
    become("host", current.home.path, _terms(current, role))


@host.command(name="drain")
def drain_hoster(
    context: typer.Context,
    stop: Annotated[bool, typer.Option("--stop", help="Take contracts again.")] = False,
    json: JsonFlag = False,
) -> None:
    """Take no more contracts, and hand over those at hand; the daemon runs until all are over."""
    from hoster.drain_service import drain

    current = session(context)
    left = with_wallet(current, lambda chain, wallet: drain(chain, wallet, on=not stop))
    if json:
        contracts = [contract.model_dump(mode="json") for contract in left]
        print_json({"draining": not stop, "contracts": contracts})
        return
    out.print("contracts are taken again" if stop else "no contracts are taken any more")
    for contract in left:
        state = "leaving" if contract.leaving else contract.status
        out.print(f"  {contract.contract.hex()}  {state}, {contract.epochs_left} epochs left")
    if not stop:
        out.print("keep the daemon running until none is left" if left else "none is left")


@attest.command(name="run")
def run_attestor(context: typer.Context, listen: ListenFlag = None) -> None:
    """Run the attestor's daemon until it is stopped."""
    current = session(context)
    current.home.seed()
    genesis, chosen = current.home.genesis(), current.settings.attestor
    stake, limit_base = chosen.stake_base, chosen.fee_limit_base
    role = _listening(listen, chosen.listen) | {
        "stake_base": genesis.parameters.attestor_stake_base if stake is None else stake,
        "visit_bytes": chosen.visit_bytes,
        "fee_limit_base": genesis.parameters.unopened_penalty_base
        if limit_base is None
        else limit_base,
    }
    become("attest", current.home.path, _terms(current, role))


def _listening(flag: str | None, section: Listen) -> dict[str, Any]:
    """Where to listen, and the address that others are told."""
    host_name, port = endpoint(flag, section)
    return {"host": host_name, "port": port, "public_host": section.public_host or host_name}


def _terms(current: Session, role: dict[str, Any]) -> Terms:
    settings = current.settings
    return Terms(
        chain_url=settings.chain.url,
        log_level=settings.log.level,
        log_format=settings.log.format,
        role=role,
    )
