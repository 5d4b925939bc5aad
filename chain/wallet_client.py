"""Send an account's transactions, and bring its registration to what its daemon is set to."""

import asyncio
import logging

import structlog

from chain.bodies.coins import Role, Stake
from chain.bodies.hosting import Register, claim_receipt_key, claim_swarm_key
from chain.client import RETRY_S, ChainClient
from chain.fees import with_least_fee
from chain.messages import Body, SignedTransaction, Transaction, sign_transaction
from chain.reasons import Reason, parse_reason
from chain.records import Account, Registration, StakeRecord, Table, stake_key
from wire.codec import encode
from wire.errors import Malformed, Rejected, Unavailable
from wire.keys import KeyPair

log = structlog.get_logger()


class Wallet:
    """One account's transactions, sent one at a time and followed until they are final."""

    def __init__(self, chain: ChainClient, key: KeyPair, account: bytes | None = None) -> None:
        """`key` signs for `account`; without that, the key is the account's first one."""
        self._chain = chain
        self._key = key
        self._account = account or key.public
        self._turn = asyncio.Lock()
        """Nonces are used in order, so one transaction is under way at a time."""

    @property
    def account(self) -> bytes:
        """The account: its first public key."""
        return self._account

    @property
    def key(self) -> KeyPair:
        """What signs for it."""
        return self._key

    async def send(self, body: Body, sidecar: bytes = b"", *, again: bool = True) -> bytes:
        """Sign, submit and wait until final; returns the transaction's id.

        Raises `Rejected` with the chain's reason. Lost nodes are waited for, and a transaction
        that expired without inclusion is signed anew; not `again` raises `Unavailable` instead.
        """
        async with self._turn:
            signed: SignedTransaction | None = None
            failures = 0
            while True:
                try:
                    signed = signed or await self._sign(body, sidecar)
                    if await self._see_through(signed):
                        return signed.transaction.id
                    signed = None
                except (Unavailable, Malformed) as error:
                    # A block may hold it by now, and another one would do the same again: this
                    # one is asked about until it is in a block, or can be in none.
                    level = logging.DEBUG if failures else logging.INFO
                    log.log(level, "transaction not through yet", reason=str(error))
                else:
                    if not again:
                        raise Unavailable("another transaction came in its place, or none in time")
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

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

    async def _sign(self, body: Body, sidecar: bytes) -> SignedTransaction:
        chain = self._chain
        parameters = chain.genesis.parameters
        account = await chain.record(Account, Table.ACCOUNT, self._account)
        if account is None:
            raise Rejected(Reason.UNKNOWN_ACCOUNT, "nobody has sent it coins yet")
        lifetime = max(parameters.transaction_lifetime_blocks // 2, 1)
        transaction = Transaction(
            network=chain.genesis.network,
            sender=self._account,
            signer=None if self._key.public == self._account else self._key.public,
            nonce=account.nonce,
            fee_base=0,
            valid_until=chain.height + lifetime,
            body=body,
        )
        transaction = with_least_fee(parameters, transaction, sidecar)
        return sign_transaction(self._key, transaction, sidecar)

    async def _is_past(self, transaction: Transaction) -> bool:
        """Whether the chain, as the node proves it, has gone by without room for a transaction.

        Whoever refused it may be ahead of what the node shows: a block that holds it is final
        there, and signing another in its place would pay twice.
        """
        proof, (account,) = await self._chain.prove([(Table.ACCOUNT, transaction.sender)])
        used = isinstance(account, Account) and account.nonce > transaction.nonce
        return used or proof.header.height >= transaction.valid_until

    async def _see_through(self, signed: SignedTransaction) -> bool:
        """Submit until a block holds it; False when none does and none ever can."""
        chain = self._chain
        while True:
            impossible = False
            try:
                await chain.submit(encode(signed))
            except Rejected as rejected:
                if rejected.reason not in (Reason.NONCE_USED, Reason.EXPIRED):
                    raise
                impossible = await self._is_past(signed.transaction)
            # Asked after it was past: the block that took it was there before.
            proof = await chain.outcome(signed.transaction.id)
            if proof is not None:
                if proof.reason:
                    raise Rejected(parse_reason(proof.reason), proof.detail)
                return True
            if impossible:
                return False
            await chain.next_block()
