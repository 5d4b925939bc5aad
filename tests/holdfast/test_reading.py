"""What a node says to people is anything but a crash, and nothing that a terminal obeys."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from holdfast.cli import Session
from holdfast.home import Home
from holdfast.reading import read_json
from holdfast.settings import ChainSection, Settings
from wire.errors import HoldfastError, NotFound, Unavailable


def session(url: str) -> Session:
    return Session(Home(Path()), False, Settings(chain=ChainSection(url=url)))


@contextmanager
def node(said: bytes, status: int = 200) -> Iterator[Session]:
    """A node that says one thing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield session(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


def test_a_document_is_read():
    with node(b'{"height": 7, "name": "mynet"}') as current:
        assert read_json(current, "/status") == {"height": 7, "name": "mynet"}


def test_no_text_of_a_node_reaches_a_terminal_as_a_command():
    said = b'{"a\\u001b": ["x\\u001b[2J", {"y": "\\u009b\\u202e\\nz"}], "n": 1}'
    with node(said) as current:
        assert read_json(current, "/status") == {"a": ["x [2J", {"y": "z"}], "n": 1}


@pytest.mark.parametrize("said", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"<html>"])
def test_what_is_no_document_is_no_answer(said):
    with node(said) as current, pytest.raises(Unavailable, match="no node answers"):
        read_json(current, "/status")


@pytest.mark.parametrize(
    ("status", "said", "error", "words"),
    [
        (404, b'{"detail": "there is no such feed"}', NotFound, "no such feed"),
        (404, b"not even JSON", NotFound, "does not know"),
        (404, b"[]", NotFound, "does not know"),
        (503, b'{"detail": "starting"}', Unavailable, "503: starting"),
        (500, b"[" * 60_000, Unavailable, "500"),
        (400, b'{"detail": {"x": 1}}', Unavailable, "400"),
    ],
)
def test_a_refusal_says_why(status, said, error, words):
    with node(said, status) as current, pytest.raises(HoldfastError, match=words) as refused:
        read_json(current, "/feeds/x")
    assert type(refused.value) is error


def test_no_node_says_what_to_do():
    with pytest.raises(Unavailable, match="holdfast chain run"):
        read_json(session("http://127.0.0.1:1"), "/status")
    with pytest.raises(Unavailable, match="no node answers"):
        read_json(session("nonsense"), "/status")
