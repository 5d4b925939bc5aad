"""Read a node's JSON for people; programs that must not trust it use `chain.client`."""

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from holdfast.cli import Session
from holdfast.plain import one_line
from wire.errors import NotFound, Unavailable

TIMEOUT_S = 10
MAX_BYTES = 16 << 20


def read_json(current: Session, path: str) -> Any:
    """What the node answers at `/api/v1` + path; raises `NotFound` or `Unavailable`."""
    url = current.settings.chain.url.rstrip("/")
    try:
        with urllib.request.urlopen(f"{url}/api/v1{path}", timeout=TIMEOUT_S) as response:  # noqa: S310
            return _plain(json.loads(response.read(MAX_BYTES)))
    except urllib.error.HTTPError as error:
        try:
            detail = json.loads(error.read(MAX_BYTES))["detail"]
        except (ValueError, RecursionError, KeyError, TypeError):
            detail = ""
        if error.code == 404:
            raise NotFound(str(detail) or f"{url} does not know {path}") from None
        raise Unavailable(f"{url} answered {error.code}: {detail}") from None
    except (OSError, ValueError, RecursionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Unavailable(
            f"no node answers at {url} ({reason}): start one with `holdfast chain run`, or set "
            "HOLDFAST_CHAIN__URL"
        ) from None


def _plain(value: Any) -> Any:
    """The same document with every text on one line."""
    match value:
        case str():
            return value if value.isprintable() else one_line(value)
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {_plain(name): _plain(item) for name, item in value.items()}
        case _:
            return value
