"""The node's HTTP API: JSON for people, CBOR with proofs for programs, events as they come.

Everything under `/api/v1`; `/healthz` and `/readyz` say 503 when they mean it. Program
responses are `application/cbor` messages of `chain.messages`; nothing in them needs trust,
see `chain.light`.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect

from chain.blocks import RecordNames
from chain.challenge_records import Availability, ChallengeRecord, VerdictRecord
from chain.messages import MAX_SIDECAR_BYTES, SignedTransaction, SignedTransactions
from chain.money import held_base
from chain.node.reading_node import Reader
from chain.node.sync_api import add_sync
from chain.records import (
    RECORDS,
    FeedRecord,
    Meta,
    PlanRecord,
    RosterName,
    StakeRecord,
    Table,
    stake_key,
)
from chain.state import Draft
from wire import zbase32
from wire.codec import Message, decode, encode
from wire.errors import Malformed, NotFound, Rejected, Unavailable
from wire.primitives import MAX_INT

CBOR = "application/cbor"
MAX_BODY_BYTES = MAX_SIDECAR_BYTES + (1 << 16)
"""A transaction with the largest evidence, and its envelope."""

MAX_BATCH_BYTES = 2 << 20
"""Many transactions in one request."""

MAX_NAMES_BYTES = 1 << 17
"""The longest list of record names."""

BODY_TIMEOUT_S = 20
"""For a whole body to come: a client that drips one holds a connection and gives nothing."""

HeightNumber = Annotated[int, Path(ge=1, le=MAX_INT)]
KeyText = Annotated[str, Path(max_length=64, description="z-base-32 or hexadecimal")]
HexText = Annotated[str, Path(pattern="^([0-9a-f]{2}){0,64}$", description="hexadecimal")]


def create_api(node: Reader) -> FastAPI:
    """The ASGI application of one node."""
    api = FastAPI(
        title="Holdfast chain",
        version="1",
        description="Availability that anyone can check. Responses in CBOR carry proofs.",
        docs_url=None,  # its page would be fetched from strangers
        openapi_url="/api/openapi.json",
        redoc_url=None,
    )
    _add_errors(api)
    _add_health(api, node)
    _add_trust(api, node)
    _add_proofs(api, node)
    _add_records(api, node)
    _add_reading(api, node)
    _add_accounts(api, node)
    _add_validators(api, node)
    _add_audits(api, node)
    add_sync(api, node)
    return api


def _add_errors(api: FastAPI) -> None:
    @api.exception_handler(Rejected)
    async def rejected(_: Request, error: Rejected) -> JSONResponse:
        return JSONResponse({"reason": error.reason.value, "detail": error.detail}, 409)

    @api.exception_handler(Malformed)
    async def malformed(_: Request, error: Malformed) -> JSONResponse:
        return JSONResponse({"reason": "malformed", "detail": str(error)}, 400)

    @api.exception_handler(NotFound)
    async def not_found(_: Request, error: NotFound) -> JSONResponse:
        return JSONResponse({"reason": "not_found", "detail": str(error)}, 404)

    @api.exception_handler(Unavailable)
    async def unavailable(_: Request, error: Unavailable) -> JSONResponse:
        return JSONResponse({"reason": "unavailable", "detail": str(error)}, 503)


def _add_health(api: FastAPI, node: Reader) -> None:
    @api.get("/healthz", tags=["health"])
    async def healthz() -> JSONResponse:
        """200 while blocks are being written, 503 with the reason otherwise."""
        reason = node.healthy
        body = {"healthy": not reason, "reason": reason, "height": node.height}
        return JSONResponse(body, 503 if reason else 200)

    @api.get("/readyz", tags=["health"])
    async def readyz() -> JSONResponse:
        """200 once there is a final block to prove things by."""
        ready = node.tip is not None
        return JSONResponse({"ready": ready}, 200 if ready else 503)


def _add_trust(api: FastAPI, node: Reader) -> None:
    @api.get("/api/v1/genesis", tags=["proofs"], response_class=Response)
    async def genesis() -> Response:
        """The network's genesis: compare its digest with the network id you trust."""
        return Response(encode(node.genesis), media_type=CBOR)

    @api.get("/api/v1/terms/{term}", tags=["proofs"], response_class=Response)
    async def terms(
        term: HeightNumber, count: Annotated[int, Query(ge=1, le=MAX_INT)] = 1
    ) -> Response:
        """Steps to the validators of a term and of the next ones (CBOR); none that are not yet."""
        return Response(encode(await node.steps(term, count)), media_type=CBOR)


def _add_proofs(api: FastAPI, node: Reader) -> None:
    @api.post("/api/v1/transactions", tags=["proofs"], status_code=202)
    async def submit(request: Request) -> dict[str, str]:
        """Submit one signed transaction (CBOR); 202 means it waits for a block."""
        signed = decode(SignedTransaction, await _body(request, MAX_BODY_BYTES))
        return {"transaction": (await node.accept(signed)).hex()}

    @api.post("/api/v1/transactions/batch", tags=["proofs"], status_code=202)
    async def submit_many(request: Request) -> list[dict[str, str]]:
        """Submit up to 1,024 signed transactions (CBOR); each is taken or refused by itself."""
        signed = decode(SignedTransactions, await _body(request, MAX_BATCH_BYTES))
        refusals = await node.accept_all(signed)
        return [
            {"transaction": each.transaction.id.hex(), "reason": refusal}
            for each, refusal in zip(signed, refusals, strict=True)
        ]

    @api.get("/api/v1/transactions/{transaction}", tags=["proofs"], response_class=Response)
    async def transaction(transaction: HexText) -> Response:
        """Where a transaction was included, with proof (CBOR).

        404 while no block holds it: its `reason` is `waiting` here, or `unknown`: send it again.
        """
        name = bytes.fromhex(transaction)
        try:
            proof = await node.prove_transaction(name)
        except NotFound as missing:
            waits = node.is_waiting(name)
            detail = "it waits for a block" if waits else f"{missing}: send it again"
            reason = "waiting" if waits else "unknown"
            return JSONResponse({"reason": reason, "detail": detail}, 404)
        return Response(encode(proof), media_type=CBOR)


def _add_records(api: FastAPI, node: Reader) -> None:
    @api.post("/api/v1/records", tags=["proofs"], response_class=Response)
    async def records(request: Request) -> Response:
        """Records of one state with their proofs, or proofs that there are none (CBOR)."""
        names = decode(RecordNames, await _body(request, MAX_NAMES_BYTES))
        if any(name.table not in RECORDS for name in names):
            raise Malformed("there is no such table")
        return Response(encode(node.prove(names)), media_type=CBOR)

    @api.get("/api/v1/evidence/{challenge}/{attestor}", tags=["proofs"], response_class=Response)
    async def evidence(challenge: HexText, attestor: HexText) -> Response:
        """The evidence beside an opened report (CBOR)."""
        found = await node.evidence(bytes.fromhex(challenge), bytes.fromhex(attestor))
        return Response(found, media_type=CBOR)

    @api.get("/api/v1/events", tags=["proofs"], response_class=StreamingResponse)
    async def events(after: Annotated[int, Query(ge=0, le=MAX_INT)] = 0) -> StreamingResponse:
        """Server-sent events: one per final block above `after`, data = base64 of a Notice.

        404 when what came after it is no longer kept: begin at the present.
        """
        node.require_room()
        await node.require_kept(after + 1)

        async def stream() -> AsyncIterator[bytes]:
            async for notice in node.follow(after):
                data = b64encode(encode(notice))
                yield b"id: %d\ndata: %s\n\n" % (notice.header.height, data)

        return StreamingResponse(stream(), media_type="text/event-stream")


async def _body(request: Request, limit_bytes: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                body += part
                if len(body) > limit_bytes:
                    raise HTTPException(413, f"at most {limit_bytes} bytes are read here")
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {BODY_TIMEOUT_S} s") from None
    except ClientDisconnect:
        raise Malformed("the body ended early") from None
    return bytes(body)


def _read(node: Reader, table: Table, key: bytes) -> Message:
    record = node.state.get((table, key))
    if record is None:
        raise NotFound(f"there is no such {table.name.lower()}")
    return record


def _plain(record: Message) -> dict[str, Any]:
    return record.model_dump(mode="json")


def _add_reading(api: FastAPI, node: Reader) -> None:
    @api.get("/api/v1/status", tags=["reading"])
    async def status() -> dict[str, Any]:
        """The network at a glance."""
        draft = Draft(node.state)
        meta: Meta = draft.meta
        return {
            "network": node.genesis.network.hex(),
            "name": node.genesis.name,
            "height": node.height,
            "time_ms": meta.time_ms,
            "epoch": meta.epoch,
            "attestors": len(draft.roster(RosterName.ATTESTORS)),
            "hosters": len(draft.roster(RosterName.HOSTERS)),
            "active_contracts": len(draft.roster(RosterName.ACTIVE_CONTRACTS)),
            "open_challenges": [challenge.hex() for challenge in meta.open_challenges],
            "waiting_transactions": node.waiting,
            "consensus": node.consensus,
            "supply_base": node.genesis.supply_base,
            "burnt_base": meta.burnt_base,
        }

    @api.get("/api/v1/supply", tags=["reading"])
    async def supply() -> dict[str, int]:
        """Every coin counted anew over all records, beside what the genesis says."""
        counted = sum(held_base(record) for record in node.state.records.values())
        return {"genesis_base": node.genesis.supply_base, "counted_base": counted}

    @api.get("/api/v1/blocks/{height}", tags=["reading"])
    async def block(height: HeightNumber) -> dict[str, Any]:
        """One block: its header, transactions and their outcomes."""
        final = await node.block(height)
        found, certificate = final.block, final.certificate
        outcomes = await node.store.block_outcomes(height)
        return {
            "id": found.header.id.hex(),
            "header": _plain(found.header),
            "certificate": None if certificate is None else _plain(certificate),
            "transactions": [
                {
                    "id": outcome[0].hex(),
                    "sender": zbase32.encode(signed.transaction.sender),
                    "kind": signed.transaction.body.kind,
                    "reason": outcome[3],
                    "detail": outcome[4],
                }
                for signed, outcome in zip(found.transactions, outcomes, strict=True)
            ],
        }


def _add_accounts(api: FastAPI, node: Reader) -> None:
    @api.get("/api/v1/accounts/{account}", tags=["reading"])
    async def account(account: KeyText) -> dict[str, Any]:
        """An account's balance and nonce; of one that has attested, how it stands."""
        key = zbase32.parse_key(account)
        found, draft = _plain(_read(node, Table.ACCOUNT, key)), Draft(node.state)
        standing = draft.standings.get(key)
        if standing is None:
            return found
        return found | {"standing": {"state": standing.says(node.height), **_plain(standing)}}

    @api.get("/api/v1/feeds/{feed}", tags=["reading"])
    async def feed(feed: KeyText) -> dict[str, Any]:
        """A registered feed, and its plans with their contracts."""
        draft = Draft(node.state)
        record = _read(node, Table.FEED, zbase32.parse_key(feed))
        assert isinstance(record, FeedRecord)
        plans: list[PlanRecord] = [draft.plans.at(plan) for plan in record.plans]
        return _plain(record) | {
            "plans": [
                _plain(plan)
                | {"contracts": [_plain(draft.contracts.at(c)) for c in plan.contracts]}
                for plan in plans
            ]
        }


def _add_validators(api: FastAPI, node: Reader) -> None:
    @api.get("/api/v1/validators", tags=["reading"])
    async def validators() -> dict[str, Any]:
        """Who serves in this term, and who stands for the next, best stake first."""
        draft, term_blocks = Draft(node.state), node.genesis.parameters.term_blocks
        serving = draft.validators
        places = {member.account: place for place, member in enumerate(serving.members)}
        accounts = {*places, *draft.roster(RosterName.CANDIDATES)}
        found = [
            _validator(draft, account)
            | {
                "place": places.get(account),
                "standing": account in draft.roster(RosterName.CANDIDATES),
            }
            for account in sorted(accounts)
        ]
        return {
            "height": draft.meta.height,
            "term": serving.term,
            "last_height": (serving.term + 1) * term_blocks,
            "quorum": serving.quorum,
            "validators": sorted(found, key=lambda each: -each["stake_base"]),
        }

    @api.get("/api/v1/validators/{account}", tags=["reading"])
    async def validator(account: KeyText) -> dict[str, Any]:
        """One validator or candidate: its keys, address, stake, and how it serves."""
        key = zbase32.parse_key(account)
        _read(node, Table.CANDIDATE, key)
        return _validator(Draft(node.state), key)


def _validator(draft: Draft, account: bytes) -> dict[str, Any]:
    candidate = draft.candidates.at(account)
    stake = draft.stakes.get(stake_key("validator", account)) or StakeRecord()
    return {
        "account": zbase32.encode(account),
        **_plain(candidate),
        "convicted": draft.validator_keys.at(candidate.validator.key).convicted,
        "stake_base": stake.amount_base,
        "unbonding_base": stake.unbonding_base,
    }


def _add_audits(api: FastAPI, node: Reader) -> None:
    @api.get("/api/v1/feeds/{feed}/report", tags=["reading"])
    async def report(
        feed: KeyText, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> list[dict[str, Any]]:
        """The availability report: the newest verdicts on a feed, newest first."""
        draft = Draft(node.state)
        listed = draft.availability.get(zbase32.parse_key(feed)) or Availability()
        pairs = list(zip(listed.verdicts[::2], listed.verdicts[1::2], strict=True))
        verdicts: list[VerdictRecord] = [
            draft.verdicts.at(challenge + contract)
            for challenge, contract in reversed(pairs[-limit:])
        ]
        return [_plain(verdict) for verdict in verdicts]

    @api.get("/api/v1/challenges/{challenge}", tags=["reading"])
    async def challenge(challenge: HexText) -> dict[str, Any]:
        """A challenge and its opened reports."""
        draft = Draft(node.state)
        record = _read(node, Table.CHALLENGE, bytes.fromhex(challenge))
        assert isinstance(record, ChallengeRecord)
        reports = [draft.reports.at(record.challenge + member) for member in record.opened]
        return _plain(record) | {"reports": [_plain(report) for report in reports]}
