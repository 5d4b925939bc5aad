"""`holdfast rotate`: another master seed for the same account."""

from typing import Any

import typer

from holdfast.cli import JsonFlag, session
from holdfast.following import with_wallet
from holdfast.home import OLD_SEED_NAME, SEED_NAME
from holdfast.output import err, out, print_json
from wire import zbase32
from wire.errors import Unavailable
from wire.keys import KeyPair, Use


def add_to(app: typer.Typer) -> None:
    """Put the command into the program."""
    app.command()(rotate)


def rotate(context: typer.Context, json: JsonFlag = False) -> None:
    """Have a new master seed speak for this home's account, for ever instead of the old one.

    For a seed that others may have seen. Coins, stakes, contracts, feeds and the account's name
    stay. Stop the home's daemon before and start it afterwards: it then registers its new keys.
    A validator runs `holdfast chain join` again. Interrupted, the command goes on where it was.
    """
    from chain.bodies.keys import rotate_to
    from chain.client.light_client import ChainClient
    from chain.client.wallet_client import Wallet
    from chain.records import Account, Table
    from feed.store import FeedStore
    from holdfast.commands.feed_cli import keep_own_pairs

    current = session(context)
    home = current.home
    account, old = home.account(), KeyPair.derive(home.seed(), Use.ACCOUNT)
    new = KeyPair.derive(home.next_seed(), Use.ACCOUNT)
    if home.feeds.exists():
        with FeedStore(home.feeds) as store:
            keep_own_pairs(current, store)

    async def speak(chain: ChainClient, wallet: Wallet) -> Any:
        known = await chain.need(Account, Table.ACCOUNT, account)
        if known.signer == new.public:
            return  # an earlier run came as far as this
        if (known.signer or account) != old.public:
            raise Unavailable(
                f"the seed of {home.path} no longer signs for this account: whoever rotated it "
                "has the one that does"
            )
        await wallet.send(rotate_to(new, chain.genesis.network, account))

    with_wallet(current, speak)
    home.adopt_next_seed()
    if json:
        keys = {"account": zbase32.encode(account), "signer": zbase32.encode(new.public)}
        print_json(keys)
        return
    out.print(f"account {zbase32.encode(account)} is now signed for by")
    out.print(f"        {zbase32.encode(new.public)}")
    err.print(
        f"Back up {home.path / SEED_NAME}. The old seed is in {OLD_SEED_NAME}: the account no "
        "longer listens to it. Feeds made with it are still signed by keys that it leads to: "
        "whoever has it can sign for them too."
    )
