"""`holdfast host` and `holdfast attest`: the two daemons that earn."""

import asyncio
from typing import Annotated

import typer

from chain.client import ChainClient
from chain.genesis import Genesis
from holdfast.chain_cli import endpoint
from holdfast.cli import Session, session
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
    app.add_typer(host, name="host")
    app.add_typer(attest, name="attest")


def public_host(listen: Listen, bound: str) -> str:
    """The address that others are told."""
    return listen.public_host or bound


def hoster_stake(genesis: Genesis) -> int:
    """What a hoster stakes unless told otherwise."""
    parameters = genesis.parameters
    return parameters.hoster_stake_base + CONTRACTS_STAKED * parameters.contract_collateral_base


@host.command(name="run")
def run_hoster(context: typer.Context, listen: ListenFlag = None) -> None:
    """Run the hoster's daemon until it is stopped."""
    from feed.store import FeedStore
    from holdfast.daemon import run_daemon
    from hoster.service import Hoster, HosterTerms

    current: Session = session(context)
    seed, genesis = current.home.seed(), current.home.genesis()
    chosen = current.settings.hoster
    address, port = endpoint(listen, chosen.listen)
    terms = HosterTerms(
        host=address,
        port=port,
        public_host=public_host(chosen.listen, address),
        capacity_bytes=chosen.capacity_bytes,
        price_base_per_gib=chosen.price_base_per_gib,
        operator=chosen.operator,
        stake_base=hoster_stake(genesis) if chosen.stake_base is None else chosen.stake_base,
        repair=chosen.repair,
    )

    async def main(_: asyncio.Event) -> None:
        with FeedStore(current.home.feeds) as store:
            async with ChainClient(current.settings.chain.url, genesis, patient=True) as chain:
                await Hoster(chain, seed, store, terms).run()

    run_daemon(main)


@attest.command(name="run")
def run_attestor(context: typer.Context, listen: ListenFlag = None) -> None:
    """Run the attestor's daemon until it is stopped."""
    from attestor.service import Attestor, AttestorTerms
    from attestor.store import AttestorStore
    from holdfast.daemon import run_daemon

    current: Session = session(context)
    seed, genesis = current.home.seed(), current.home.genesis()
    chosen = current.settings.attestor
    address, port = endpoint(listen, chosen.listen)
    stake = chosen.stake_base
    terms = AttestorTerms(
        host=address,
        port=port,
        public_host=public_host(chosen.listen, address),
        stake_base=genesis.parameters.attestor_stake_base if stake is None else stake,
    )

    async def main(_: asyncio.Event) -> None:
        with AttestorStore(current.home.attestor) as store:
            async with ChainClient(current.settings.chain.url, genesis, patient=True) as chain:
                await Attestor(chain, seed, store, terms).run()

    run_daemon(main)
