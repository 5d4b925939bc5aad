"""Logging for people or for machines, on stderr, set up once by the command."""

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from holdfast.plain import one_line

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def _plain(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {
        name: one_line(value) if isinstance(value, str) and not value.isprintable() else value
        for name, value in event.items()
    }


class _Stderr:
    """Whatever is stderr when a line is written: it may be redirected after the setting up.

    Nobody's reading it any more must not end a daemon.
    """

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def set_up(level: str, form: str) -> None:
    """Route structlog and the standard library's logging to stderr."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _plain,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(LEVELS[level], logging.WARNING), stream=sys.stderr)
