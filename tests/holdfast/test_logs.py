"""What is logged: on stderr, whichever that is, and one line whatever a stranger sent."""

import io
import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from holdfast.logs import set_up


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def logged(capsys: pytest.CaptureFixture[str], **values: str) -> str:
    structlog.get_logger().info("it happened", **values)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_lines_for_people_and_for_machines(capsys):
    set_up("info", "text")
    assert "it happened" in logged(capsys, peer="127.0.0.1:1")
    set_up("info", "json")
    line = json.loads(logged(capsys, peer="127.0.0.1:1"))
    assert (line["event"], line["level"], line["peer"]) == ("it happened", "info", "127.0.0.1:1")


def test_what_is_below_the_level_is_not_logged(capsys):
    set_up("warning", "text")
    assert logged(capsys) == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_stranger_writes_no_line_of_its_own(capsys, form):
    set_up("info", form)
    said = logged(capsys, host="a\n2026-01-01 [error] forged\x1b[2J\x9b1m")
    assert said.count("\n") == 1
    assert "\x1b[2J" not in said
    assert "\x9b" not in said


def test_a_redirected_stderr_is_followed(monkeypatch):
    set_up("info", "text")
    log = structlog.get_logger()
    for _ in range(2):
        redirected = io.StringIO()
        monkeypatch.setattr(sys, "stderr", redirected)
        log.info("it happened")
        assert "it happened" in redirected.getvalue()
        redirected.close()
    log.info("nobody reads this")
