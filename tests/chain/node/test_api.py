"""The HTTP API: what each route answers, and that no request whatever ends in a 500."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from chain.blocks import RecordName, StateProof, TransactionProof
from chain.bodies.coins import Transfer
from chain.messages import SignedTransaction
from chain.node import api as api_module
from chain.node.api import MAX_BODY_BYTES, MAX_NAMES_BYTES, create_api
from chain.node.validator_node import Node
from chain.records import Table
from chain.trust import Trust, verify_state, verify_transaction
from tests.builders import World
from tests.chain.nodes import QUICK, idle_node, node_at, until, write
from tests.people import OWNER, STRANGER
from tests.reports import account_of
from tests.stages import coin_opened, funded
from wire import zbase32
from wire.codec import decode, encode

SEED = 20_261_120


@dataclass
class Answer:
    status: int
    body: bytes
    kind: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    api: FastAPI,
    method: str,
    path: str,
    body: bytes = b"",
    query: str = "",
    parts: int = 1,
    last: dict[str, Any] | None = None,
) -> Answer:
    """One request as a server would hand it to the application; an error of ours is raised."""
    raw, _, rest = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": (rest or query).encode(),
        "root_path": "",
        "headers": [(b"host", b"node")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    size = max(len(body) // parts, 1)
    pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not pieces:
            await asyncio.Event().wait()  # the client stays for all that is answered
        piece = pieces.pop(0)
        if not pieces and last is not None:
            return last
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with asyncio.timeout(30):
        await api(scope, receive, send)
    headers = {name.lower(): value for name, value in sent[0]["headers"]}
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], content, headers.get(b"content-type", b"").decode())


@asynccontextmanager
async def api_of(path: Path) -> AsyncIterator[tuple[FastAPI, Node]]:
    async with idle_node(path / "chain.db") as node:
        yield create_api(node), node


@asynccontextmanager
async def audited(path: Path) -> AsyncIterator[tuple[FastAPI, Node, World]]:
    """A node on which one challenge has just been settled."""
    world = coin_opened()
    async with node_at(world, path / "chain.db") as node:
        for member in world.members:
            account = account_of(world, member)
            await node.accept(world.sign(member, account.open(), account.sidecar))
        await write(node)
        yield create_api(node), node, world


def pay(amount: int = 1) -> SignedTransaction:
    body = Transfer(to=STRANGER.id, amount_base=amount)
    return World(QUICK, funded().state).sign(OWNER, body)


async def test_before_the_first_block_the_node_is_not_healthy(tmp_path):
    async with api_of(tmp_path) as (api, node):
        for path in ("/healthz", "/readyz"):
            assert (await call(api, "GET", path)).status == 503
        names = encode((RecordName(table=0, key=b""),))
        assert (await call(api, "POST", "/api/v1/records", names)).status == 503
        assert (await call(api, "GET", "/api/v1/status")).json["height"] == 0
        await write(node)
        assert (await call(api, "GET", "/readyz")).json == {"ready": True}
        answer = await call(api, "GET", "/healthz")
        assert (answer.status, answer.json["reason"]) == (503, "starting"), "it does not write"


async def test_the_genesis_is_the_one_that_was_agreed_on(tmp_path):
    async with api_of(tmp_path) as (api, _):
        answer = await call(api, "GET", "/api/v1/genesis")
        assert (answer.body, answer.kind) == (encode(QUICK), "application/cbor")


async def test_a_transaction_goes_in_and_comes_out_proven(tmp_path):
    async with api_of(tmp_path) as (api, node):
        signed = pay()
        name = signed.transaction.id
        where = f"/api/v1/transactions/{name.hex()}"
        answer = await call(api, "POST", "/api/v1/transactions", encode(signed), parts=7)
        assert (answer.status, answer.json) == (202, {"transaction": name.hex()})
        assert (await call(api, "GET", where)).status == 404
        await write(node)
        proof = decode(TransactionProof, (await call(api, "GET", where)).body)
        assert verify_transaction(Trust(QUICK), name, proof) == ""
        again = await call(api, "POST", "/api/v1/transactions", encode(signed))
        assert (again.status, again.json["reason"]) == (409, "nonce_used")


async def test_records_come_with_their_proofs(tmp_path):
    async with api_of(tmp_path) as (api, node):
        await write(node)
        names = [(Table.ACCOUNT, OWNER.id), (Table.META, b""), (Table.FEED, b"nothing")]
        asked = encode(tuple(RecordName(table=int(table), key=key) for table, key in names))
        answer = await call(api, "POST", "/api/v1/records", asked)
        found = verify_state(Trust(QUICK), decode(StateProof, answer.body))
        assert found == [node.state.get(name) for name in names]


async def test_people_can_read_what_there_is(tmp_path):
    async with audited(tmp_path) as (api, node, world):
        feed, challenge = zbase32.encode(world.library.key), world.challenge.challenge

        async def read(path: str) -> Any:
            answer = await call(api, "GET", f"/api/v1{path}")
            assert answer.status == 200, answer.body
            return answer.json

        assert (await read("/status"))["hosters"] == 3
        supply = await read("/supply")
        assert supply["counted_base"] == supply["genesis_base"] == world.genesis.supply_base
        block = await read(f"/blocks/{node.ledger.height}")
        assert [t["kind"] for t in block["transactions"]] == ["open_report"] * 4
        account = await read(f"/accounts/{zbase32.encode(OWNER.id)}")
        assert account == await read(f"/accounts/{OWNER.id.hex()}")
        assert len((await read(f"/feeds/{feed}"))["plans"][0]["contracts"]) == 2
        verdicts = await read(f"/feeds/{feed}/report")
        assert [verdict["verdict"] for verdict in verdicts] == ["served", "served"]
        assert len(await read(f"/feeds/{feed}/report?limit=1")) == 1
        assert len((await read(f"/challenges/{challenge.hex()}"))["reports"]) == 4
        member = world.members[0]
        path = f"/api/v1/evidence/{challenge.hex()}/{member.id.hex()}"
        assert (await call(api, "GET", path)).body == account_of(world, member).sidecar


async def test_bodies_above_the_limit_are_cut_off_unread(tmp_path):
    async with api_of(tmp_path) as (api, _):
        for path, limit in (("transactions", MAX_BODY_BYTES), ("records", MAX_NAMES_BYTES)):
            for size, status in ((limit, 400), (limit + 1, 413), (limit + 10**6, 413)):
                answer = await call(api, "POST", f"/api/v1/{path}", bytes(size), parts=5)
                assert answer.status == status, (path, size)


async def test_a_body_that_ends_early_is_refused(tmp_path):
    async with api_of(tmp_path) as (api, _):
        for path in ("/api/v1/transactions", "/api/v1/records"):
            gone = {"type": "http.disconnect"}
            answer = await call(api, "POST", path, encode(pay()), parts=3, last=gone)
            assert answer.status == 400


async def test_a_body_that_drips_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(api_module, "BODY_TIMEOUT_S", 0.05)
    async with api_of(tmp_path) as (api, _):
        dripping = {"type": "http.request", "body": b"", "more_body": True}
        answer = await call(api, "POST", "/api/v1/records", b"12", parts=2, last=dripping)
        assert answer.status == 408


# whatever is asked

IDS = [
    "", "0", "00", "zz", "a" * 63, "a" * 64, "A" * 64, "0" * 65, "0" * 128, "0" * 130, "y" * 51,
    "y" * 52, "y" * 53, "Y" * 52, "9" * 52, "1" * 30, "-1", "1", "2", "10000", str(2**63 - 1),
    str(2**63), str(2**64), "9" * 300, "1.5", "1e3", "NaN", "null", "true", "None", "../../etc",
    "%00", "\0", "a\n", "é" * 20, "\ufffd", "\U0001f600", "'; DROP TABLE block; --", "{x}", " ",
    "+1", "0x10", "१२",
]  # fmt: skip


def bodies(good: list[bytes]) -> list[bytes]:
    """Nothing, garbage, and what is nearly right: cut, longer, and with one byte changed."""
    rng = random.Random(SEED)
    made = [b"", b"\0", b"\xff", b"null", b"{}", b"[]", b"\x80", b"\xf6", b"\x9f\xff", b"\x18"]
    made += [b"\x9a\xff\xff\xff\xff", b"\x5b" + b"\xff" * 8, b"\xd8\x1c\x80" * 50, b"\x81" * 5000]
    made += [rng.randbytes(size) for size in (1, 7, 32, 100, 1000, 5000) for _ in range(8)]
    for whole in good:
        made += [whole, whole[:-1], whole[1:], whole + b"\0", whole * 2]
        for _ in range(80):
            changed = bytearray(whole)
            for _ in range(rng.choice((1, 1, 2, 5))):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            made.append(bytes(changed))
    return made


def routes(api: FastAPI) -> list[APIRoute]:
    found = [route for route in api.routes if isinstance(route, APIRoute)]
    assert len(found) >= 14
    return found


def filled(route: APIRoute, choose: Callable[[], str]) -> str:
    path = route.path
    for name in route.param_convertors:
        path = path.replace("{" + name + "}", choose())
    return path


def assert_said_politely(answer: Answer, what: object) -> None:
    assert answer.status < 500 or answer.status == 503, (what, answer)
    if answer.status >= 400:
        assert answer.kind == "application/json", (what, answer)
        assert "detail" in answer.json, (what, answer)


async def test_no_id_whatever_makes_a_route_fail(tmp_path):
    async with audited(tmp_path) as (api, _, world):
        known = [zbase32.encode(world.library.key), world.challenge.challenge.hex()]
        known += [world.members[0].id.hex(), str(world.height + 1)]
        for route in routes(api):
            if not route.param_convertors:
                continue
            for text in [*IDS, *known]:
                for shown in (text, quote(text, safe="")):
                    path = filled(route, lambda shown=shown: shown)
                    for method in ("GET", "POST", "HEAD", "DELETE"):
                        answer = await call(api, method, path)
                        if method == "GET":
                            assert_said_politely(answer, path)
                        assert answer.status < 500, (method, path)


QUERIES = [
    "limit=0", "limit=-1", "limit=1001", "limit=9999999999999999999999", "limit=x", "limit=",
    "limit=1&limit=2", "limit[]=1", "after=-1", "after=x", "after=1e9", "%", "&&&", "a" * 5000,
    "=", "limit=%00", "limit=१",
]  # fmt: skip


async def test_no_query_whatever_makes_a_route_fail(tmp_path):
    async with audited(tmp_path) as (api, _, world):
        feed = zbase32.encode(world.library.key)
        for query in QUERIES:
            for path in (f"/api/v1/feeds/{feed}/report", "/api/v1/status", "/api/v1/supply"):
                assert_said_politely(await call(api, "GET", path, query=query), (path, query))
        for query in ("after=-1", "after=x", "after=1e9", "after="):
            answer = await call(api, "GET", "/api/v1/events", query=query)
            assert answer.status == 422, query


@pytest.mark.parametrize("blocks", [0, 1])
async def test_no_body_whatever_makes_a_route_fail(tmp_path, blocks):
    async with api_of(tmp_path) as (api, node):
        for _ in range(blocks):
            await write(node)
        names = encode(tuple(RecordName(table=int(table), key=b"k" * 32) for table in Table))
        strange = encode((RecordName(table=99, key=b""), RecordName(table=2**63 - 1, key=b"")))
        large = encode(tuple(RecordName(table=1, key=bytes([i])) for i in range(200)))
        empty = encode(())
        for body in bodies([encode(pay()), names, strange, large, empty]):
            for path in ("/api/v1/transactions", "/api/v1/records"):
                answer = await call(api, "POST", path, body, parts=3)
                assert_said_politely(answer, (path, body[:50]))
        await write(node)
        assert node.ledger.state.root == node.ledger.tip.state_root


async def test_what_there_is_no_route_for_is_not_found(tmp_path):
    async with api_of(tmp_path) as (api, _):
        for path in ("/", "/api", "/api/v1", "/api/v1/", "/api/v2/status", "//", "/../x", "/\0"):
            answer = await call(api, "GET", path)
            assert answer.status in (404, 307), path
        for path in ("/api/v1/status", "/healthz"):
            for method in ("POST", "PUT", "DELETE", "BREW"):
                assert (await call(api, method, path)).status == 405


async def test_the_api_describes_itself(tmp_path):
    async with api_of(tmp_path) as (api, _):
        document = (await call(api, "GET", "/api/openapi.json")).json
        assert set(document["paths"]) == {route.path for route in routes(api)}
        for path, methods in document["paths"].items():
            for method, said in methods.items():
                assert said.get("description"), (method, path)


async def test_followers_are_told_over_http(tmp_path):
    async with api_of(tmp_path) as (api, node):
        await write(node)
        following = asyncio.create_task(call(api, "GET", "/api/v1/events?after=0"))
        await until(lambda: bool(node._followers))
        await write(node)
        for queue in node._followers:
            queue.put_nowait(None)
        answer = await following
        ids = [line for line in answer.body.split(b"\n") if line.startswith(b"id: ")]
        assert ids == [b"id: 1", b"id: 2"]
        assert answer.kind.startswith("text/event-stream")


async def test_one_follower_too_many_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr("chain.node.reading_node.MAX_FOLLOWERS", 0)
    async with api_of(tmp_path) as (api, node):
        await write(node)
        answer = await call(api, "GET", "/api/v1/events")
        assert (answer.status, answer.json["reason"]) == (503, "unavailable")
