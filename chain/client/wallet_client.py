"""Send an account's transactions, and bring its registration to what its daemon is set to.

Where blocks are full, what has a deadline is offered again for a higher fee: the same words under
the same nonce, so a block holds one of the offers at most.

What a person sends is kept until it is through and told: interrupted and run again, a command
goes on with the transaction that it has signed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from chain.bodies.coins import Role, Stake, Transfer
from chain.bodies.data import AskData, Maintain
from chain.bodies.hosting import Register, claim_receipt_key, claim_swarm_key
from chain.bodies.plans import TopUpPlan
from chain.client.light_client import RETRY_S, ChainClient
from chain.client.outbox_store import Kept, Outbox
from chain.fees import offer_base, replacement_base, with_least_fee
from chain.messages import Body, SignedTransaction, Transaction, sign_transaction
from chain.reasons import Reason, parse_reason
from chain.records import Account, Registration, StakeRecord, Table, stake_key
from wire.codec import digest, encode
from wire.errors import Malformed, Rejected, Unavailable
from wire.keys import KeyPair

log = structlog.get_logger()

T = TypeVar("T")

REPEATABLE = (Transfer, TopUpPlan, AskData, Maintain)
"""Said again it is done again; of all else the chain's state shows that it is done."""

PERSON_BLOCKS = 20
"""A person has no deadline: half of these blocks have passed when the limit is offered for it."""

TELL_BLOCKS = 5
"""After so many it is told what it waits for, and again when more is offered."""


@dataclass(slots=True)
class _Sending:
    """A transaction under way: the offers that were made for it differ in their fee alone."""

    offers: list[SignedTransaction]
    """The dearest comes last."""
    begun: int
    limit_base: int
    resumed: bool = False
    """Whether an earlier life may have sent it already."""


class Wallet:
    """One account's transactions, sent one at a time and followed until they are final."""

    def __init__(
        self,
        chain: ChainClient,
        key: KeyPair,
        account: bytes | None = None,
        fee_limit_base: int = 0,
        tell: Callable[[str], None] | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        """`key` signs for `account`; without that, the key is the account's first one.

        `fee_limit_base` is the most that is offered for what has a deadline, where that is above
        the least fee. With `tell`, a person waits for everything, and is told so where blocks are
        full. In `outbox` is kept what is under way, for `settle` in a later life.
        """
        self._chain = chain
        self._key = key
        self._account = account or key.public
        self._turn = asyncio.Lock()
        """Nonces are used in order, so one transaction is under way at a time."""
        self._fee_limit_base = fee_limit_base
        self._tell = tell
        self._outbox = outbox
        self._settled = dict[bytes, tuple[Body, bytes]]()
        """What an interrupted command has sent, by the hash of what it says, with its id."""
        self._sent: list[Body] = []
        """What is through and kept until the person is told."""
        self._deadlines: list[int] = []
        """Of what is under way and of all that waits for its turn behind it."""

    @property
    def account(self) -> bytes:
        """The account: its first public key."""
        return self._account

    @property
    def key(self) -> KeyPair:
        """What signs for it."""
        return self._key

    async def settle(self, *, again: bool = False) -> None:
        """See through what an interrupted command has signed, before anything else is read.

        Who then sends the same gets that one's id, and nothing is sent; unless `again`. Raises
        `Malformed` or `Unavailable` with what to do when what was kept cannot be read.
        """
        if self._outbox is None:
            return
        for kept in sorted(self._outbox.all(), key=lambda each: each.offers[0].transaction.nonce):
            await self._settle(kept)
        if again:
            self._sent += [body for body, _ in self._settled.values()]
            self._settled.clear()

    @property
    def settled(self) -> list[Body]:
        """What an interrupted command has sent, as far as this one has not said the same."""
        return [body for body, _ in self._settled.values()]

    def told(self) -> None:
        """The person knows what became of all that was sent: nothing of it is kept any more."""
        for body in self._sent:
            self._drop(body)
        self._sent.clear()

    async def send(
        self,
        body: Body,
        sidecar: bytes = b"",
        *,
        again: bool = True,
        by_height: int | None = None,
    ) -> bytes:
        """Sign, submit and wait until final; returns the transaction's id.

        Raises `Rejected` with the chain's reason. Lost nodes are waited for, and a transaction
        that expired without inclusion is signed anew; not `again` raises `Unavailable` instead.
        `by_height` is the last block in which it is of use: when the chain is there without it,
        nothing is paid and `Rejected` says *expired*.
        """
        before = self._settled.pop(digest(body), None) if self._settled else None
        if before is not None:
            self._say(
                f"an earlier command has sent this {body.kind}, and it is in a block: nothing more "
                "is sent (`holdfast --again` before the command sends another)"
            )
            self._sent.append(body)
            return before[1]
        if by_height is None:
            return await self._send(body, sidecar, again, None)
        self._deadlines.append(by_height)
        try:
            return await self._send(body, sidecar, again, by_height)
        finally:
            self._deadlines.remove(by_height)

    async def _send(self, body: Body, sidecar: bytes, again: bool, by_height: int | None) -> bytes:
        async with self._turn:
            while True:
                sending = await self._patiently(lambda: self._sign(body, sidecar, by_height))
                if (name := await self._finish(sending)) is not None:
                    if self._outbox is not None:
                        self._sent.append(body)
                    return name
                if not again:
                    raise Unavailable("another transaction came in its place, or none in time")
                await asyncio.sleep(RETRY_S[0])

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it until a node answers."""
        failures = 0
        while True:
            try:
                return await work()
            except (Unavailable, Malformed) as error:
                level = logging.DEBUG if failures else logging.INFO
                log.log(level, "transaction not through yet", reason=str(error))
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1

    async def _finish(self, sending: _Sending) -> bytes | None:
        """See it through: the id of what is in a block, or None when that can be none of it.

        A block may hold it by now, and another one would do the same again: so it is asked about,
        and kept, until the one or the other is sure.
        """
        body = sending.offers[0].transaction.body
        self._keep(sending.offers)
        try:
            name = await self._patiently(lambda: self._see_through(sending))
        except Rejected:
            self._drop(body)
            raise
        if name is not None and isinstance(body, REPEATABLE):
            self._keep(sending.offers, name)  # until the person is told
        else:
            self._drop(body)
        return name

    async def _settle(self, kept: Kept) -> None:
        name = kept.final
        if name is None:
            self._say(f"an earlier command has signed a {kept.body.kind}: finishing that first")
            limit_base = self._fee_limit_base
            sending = _Sending(list(kept.offers), self._chain.height, limit_base, resumed=True)
            try:
                name = await self._finish(sending)
            except Rejected as rejected:
                self._say(f"it was refused: {rejected}")
                return
            if name is None:
                self._say("it came too late to be in a block")
                return
            self._say(f"it is in a block: transaction {name.hex()}")
        self._settled[digest(kept.body)] = kept.body, name

    def _keep(self, offers: list[SignedTransaction], name: bytes | None = None) -> None:
        if self._outbox is not None:
            self._outbox.keep(Kept(offers=tuple(offers), final=name))

    def _drop(self, body: Body) -> None:
        if self._outbox is not None:
            self._outbox.drop(body)

    def _say(self, words: str) -> None:
        if self._tell is not None:
            self._tell(words)

    def claim(self, swarm_key: KeyPair) -> bytes:
        """The proof in a `Register` that a swarm key is this account's."""
        return claim_swarm_key(swarm_key, self._chain.genesis.network, self.account)

    def claim_receipts(self, receipt_key: KeyPair) -> bytes:
        """The proof in a `Register` that a receipt key is this account's."""
        return claim_receipt_key(receipt_key, self._chain.genesis.network, self.account)

    async def enrol(self, wanted: Register, role: Role, stake_base: int) -> None:
        """Bring this account's registration and stake to what its daemon is set to.

        One account serves one role: its endpoint is where that role listens.
        """
        known = await self._chain.record(Registration, Table.REGISTRATION, self.account)
        if known is not None and (known.offer is not None) != (wanted.offer is not None):
            raise Unavailable(
                f"this account is registered as {'a hoster' if known.offer else 'an attestor'}: "
                "use another --home for the other role"
            )
        if known is None or any(
            getattr(known, name) != getattr(wanted, name)
            for name in Register.model_fields
            if name not in ("kind", "swarm_proof", "receipt_proof")
        ):
            await self.send(wanted)
        stake = await self._chain.record(StakeRecord, Table.STAKE, stake_key(role, self.account))
        missing = stake_base - (stake.amount_base if stake else 0)
        if missing > 0:
            await self.send(Stake(role=role, amount_base=missing))

    async def _sign(self, body: Body, sidecar: bytes, by_height: int | None) -> _Sending:
        chain = self._chain
        parameters = chain.genesis.parameters
        account = await chain.record(Account, Table.ACCOUNT, self._account)
        if account is None:
            raise Rejected(Reason.UNKNOWN_ACCOUNT, "nobody has sent it coins yet")
        lifetime = max(parameters.transaction_lifetime_blocks // 2, 1)
        last = chain.height + lifetime
        if by_height is not None:
            if by_height <= chain.height:
                raise Rejected(Reason.EXPIRED, f"of use up to block {by_height} only")
            last = min(last, by_height)
        transaction = Transaction(
            network=chain.genesis.network,
            sender=self._account,
            signer=None if self._key.public == self._account else self._key.public,
            nonce=account.nonce,
            fee_base=0,
            valid_until=last,
            body=body,
        )
        transaction = with_least_fee(parameters, transaction, sidecar)
        first = sign_transaction(self._key, transaction, sidecar)
        return _Sending([first], chain.height, self._fee_limit_base)

    def _offer_more(self, sending: _Sending) -> bool:
        """Sign for a higher fee if the nearest deadline ahead asks for that."""
        height = self._chain.height
        first, last = sending.offers[0], sending.offers[-1]
        deadlines = [by for by in self._deadlines if by > height]
        if self._tell is not None:
            deadlines.append(sending.begun + PERSON_BLOCKS)
        offers_base = (
            offer_base(first.transaction.fee_base, sending.limit_base, sending.begun, by, height)
            for by in deadlines
        )
        wanted_base = max(offers_base, default=0)
        if wanted_base < replacement_base(last.transaction.fee_base):
            return False
        raised = last.transaction.model_copy(update={"fee_base": wanted_base})
        raised = with_least_fee(self._chain.genesis.parameters, raised, last.sidecar)
        offer = sign_transaction(self._key, raised, last.sidecar)
        self._keep([*sending.offers, offer])
        sending.offers.append(offer)
        log.info("blocks are full: offering more", kind=raised.body.kind, fee_base=raised.fee_base)
        self._tell_waiting(sending)
        return True

    def _tell_waiting(self, sending: _Sending) -> None:
        if self._tell is None:
            return
        offered = sending.offers[-1].transaction
        can_raise = offered.fee_base < self._fee_limit_base
        self._tell(
            f"waiting for room in a block: {offered.body.kind} for a fee of {offered.fee_base} "
            + (f"base units of at most {self._fee_limit_base}" if can_raise else "base units; ")
            + ("" if can_raise else "more is offered with --fee-limit BASE before the command")
        )

    async def _is_past(self, transaction: Transaction) -> bool:
        """Whether the chain, as the node proves it, has gone by without room for a transaction.

        Whoever refused it may be ahead of what the node shows: a block that holds it is final
        there, and signing another in its place would pay twice.
        """
        proof, (account,) = await self._chain.prove([(Table.ACCOUNT, transaction.sender)])
        used = isinstance(account, Account) and account.nonce > transaction.nonce
        return used or proof.header.height >= transaction.valid_until

    async def _see_through(self, sending: _Sending) -> bytes | None:
        """Submit until a block holds it, and return its id; None when none ever can."""
        if sending.resumed and (name := await self._included(sending)) is not None:
            return name
        while True:
            impossible = await self._submit(sending)
            # Asked after it was past: the block that took it was there before.
            if (name := await self._included(sending)) is not None:
                return name
            if impossible:
                return None
            if not self._offer_more(sending):
                height = await self._chain.next_block()
                if height - TELL_BLOCKS == sending.begun:
                    self._tell_waiting(sending)

    async def _included(self, sending: _Sending) -> bytes | None:
        """The id of the one that a block holds; raises `Rejected` when it was refused there."""
        for offer in reversed(sending.offers):
            proof = await self._chain.outcome(offer.transaction.id)
            if proof is not None:
                if proof.reason:
                    raise Rejected(parse_reason(proof.reason), proof.detail)
                return offer.transaction.id
        return None

    async def _submit(self, sending: _Sending) -> bool:
        """Hand the dearest offer to the node; whether it can be in no later block."""
        while True:
            signed = sending.offers[-1]
            try:
                await self._chain.submit(encode(signed))
            except Rejected as rejected:
                if rejected.reason in (Reason.NONCE_USED, Reason.EXPIRED):
                    return await self._is_past(signed.transaction)
                if len(sending.offers) == 1:
                    raise
                # As when the coins do not cover it: what was offered before still waits.
                sending.offers.pop()
                sending.limit_base = 0
            except Unavailable:
                if not self._offer_more(sending):  # a full pool has room for who pays more
                    raise
            else:
                return False
