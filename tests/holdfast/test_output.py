"""What commands print: honest figures, one line for an error, one document for programs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.reasons import Reason
from holdfast.output import Exit, bytes_text, ppm_text, print_error, print_json, time_text
from wire.errors import Malformed, NotFound, Rejected, Unavailable

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("ppm", "text"),
    [
        (0, "0.00 %"),
        (1, "0.00 %"),
        (99, "0.00 %"),
        (100, "0.01 %"),
        (499_999, "49.99 %"),
        (500_000, "50.00 %"),
        (999_900, "99.99 %"),
        (999_999, "99.99 %"),
        (MILLION, "100.00 %"),
    ],
)
def test_a_share_is_rounded_down(ppm, text):
    assert ppm_text(ppm) == text


@given(st.integers(0, MILLION - 1))
def test_what_is_not_all_is_never_shown_as_all(ppm):
    shown = float(ppm_text(ppm).removesuffix(" %"))
    assert shown <= ppm / 10_000 < 100
    assert shown < 100


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (1 << 30, "1.0 GiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 50, "1024.0 TiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        ((1 << 30) - 1, "1.0 GiB"),
        (1023.7, "1.0 KiB"),
    ],
)
def test_bytes_for_people(count, text):
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 µs"),
        (999, "999 µs"),
        (1_000, "1.0 ms"),
        (1_234, "1.2 ms"),
        (999_940, "999.9 ms"),
        (999_960, "1.00 s"),
        (MILLION, "1.00 s"),
        (61 * MILLION, "61.00 s"),
    ],
)
def test_durations_for_people(us, text):
    assert time_text(us) == text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Malformed("m"), Exit.FAILED),
        (Unavailable("u"), Exit.FAILED),
        (NotFound("n"), Exit.NOT_FOUND),
        (Rejected(Reason.EXPIRED, "too late"), Exit.FAILED),
    ],
)
def test_the_exit_code_of_an_error(error, code, capsys):
    assert print_error(error) == code
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain", "plain"),
        ("[bold]no markup[/]", "[bold]no markup[/]"),
        ("two\nlines\r\nor three", "two lines or three"),
        ("\x1b]0;title\x07\x1b[2Jgone", "]0;title [2Jgone"),
        ("a\x00b\x08c\x9bd", "a b c d"),
        ("\u202eright to left", "right to left"),
        ("ünïcödé 日本 🙂", "ünïcödé 日本 🙂"),
        ("x" * 3_000, "x" * 3_000),
    ],
)
def test_an_error_is_one_line_whatever_a_stranger_said(said, shown, capsys):
    print_error(Unavailable(said))
    assert capsys.readouterr().err == f"error: {shown}\n"


def test_a_document_is_on_stdout_and_nothing_else(capsys):
    print_json({"name": "höher", "list": [1, 2]})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"name": "höher", "list": [1, 2]}
    assert captured.err == ""
