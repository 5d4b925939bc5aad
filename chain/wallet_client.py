"""Send an account's transactions, and bring its registration to what its daemon is set to."""

import asyncio
import logging

import structlog

from chain.client import RETRY_S, ChainClient
from chain.fees import with_least_fee
from chain.messages import (
    Body,
    Register,
    Role,
    Stake,
    Transaction,
    claim_swarm_key,
    sign_transaction,
)
from chain.reasons import Reason, parse_reason
from chain.records import Account, Registration, StakeRecord, Table, stake_key
from wire.codec import encode
from wire.errors import Malformed, Rejected, Unavailable
from wire.keys import KeyPair

log = structlog.get_logger()


class Wallet:
    """One account's transactions, sent one at a time and followed until they are final."""

    def __init__(self, chain: ChainClient, key: KeyPair) -> None:
        self._chain = chain
        self._key = key
        self._turn = asyncio.Lock()
        """Nonces are used in order, so one transaction is under way at a time."""

    @property
    def account(self) -> bytes:
        """The account's public key."""
        return self._key.public

    async def send(self, body: Body, sidecar: bytes = b"") -> bytes:
        """Sign, submit and wait until final; returns the transaction's id.

        Raises `Rejected` with the chain's reason. Lost nodes are waited for, and a transaction
        that expired without inclusion is signed anew.
        """
        async with self._turn:
            failures = 0
            while True:
                try:
                    return await self._send_once(body, sidecar)
                except (Unavailable, Malformed) as error:
                    level = logging.DEBUG if failures else logging.INFO
                    log.log(level, "transaction not through yet", reason=str(error))
                    await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                    failures += 1

    def claim(self, swarm_key: KeyPair) -> bytes:
        """The proof in a `Register` that a swarm key is this account's."""
        return claim_swarm_key(swarm_key, self._chain.genesis.network, self.account)

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
            if name not in ("kind", "swarm_proof")
        ):
            await self.send(wanted)
        stake = await self._chain.record(StakeRecord, Table.STAKE, stake_key(role, self.account))
        missing = stake_base - (stake.amount_base if stake else 0)
        if missing > 0:
            await self.send(Stake(role=role, amount_base=missing))

    async def _send_once(self, body: Body, sidecar: bytes) -> bytes:
        chain = self._chain
        parameters = chain.genesis.parameters
        account = await chain.record(Account, Table.ACCOUNT, self._key.public)
        if account is None:
            raise Rejected(Reason.UNKNOWN_ACCOUNT, "nobody has sent it coins yet")
        lifetime = max(parameters.transaction_lifetime_blocks // 2, 1)
        transaction = Transaction(
            network=chain.genesis.network,
            sender=self._key.public,
            nonce=account.nonce,
            fee_base=0,
            valid_until=chain.height + lifetime,
            body=body,
        )
        transaction = with_least_fee(parameters, transaction, sidecar)
        signed = encode(sign_transaction(self._key, transaction, sidecar))
        name = transaction.id
        while chain.height <= transaction.valid_until:
            used = False
            try:
                await chain.submit(signed)
            except Rejected as rejected:
                used = rejected.reason is Reason.NONCE_USED
                if not used:
                    raise
            proof = await chain.outcome(name)
            if proof is not None:
                if proof.reason:
                    raise Rejected(parse_reason(proof.reason), proof.detail)
                return name
            if used:
                raise Unavailable("another transaction of this account took its nonce")
            await chain.next_block()
        raise Unavailable("the transaction expired before a block took it")
