"""An app for `test_access_log.py`: the path tells what to change about logging before the answer."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from tests.apps import Receive, Scope, Send, body, length, start

logger = logging.getLogger("uvicorn.access")


def _formatter() -> Any:
    formatter = logger.handlers[0].formatter
    assert formatter is not None
    return formatter


class MarkingRecord(logging.LogRecord):
    """A record whose message says that a factory made it."""

    def getMessage(self) -> str:  # logging's name
        return "made by the factory"


class MarkingFormatter(logging.Formatter):
    """A formatter that shows the record's arguments."""

    def format(self, record: logging.LogRecord) -> str:
        return f"args={record.args!r}"


class ToStderr(logging.Handler):
    """A second handler, on the other stream."""

    def emit(self, record: logging.LogRecord) -> None:
        print("second handler:", record.getMessage(), file=sys.stderr, flush=True)


def _patch_format_message() -> None:
    original = type(_formatter()).formatMessage
    type(_formatter()).formatMessage = lambda self, record: "patched " + original(self, record)


def _change_format() -> None:
    _formatter()._style._fmt = "changed %(client_addr)s %(status_code)s"


def _replace_stream() -> None:
    logger.handlers[0].stream = sys.stderr  # type: ignore[attr-defined]  # a StreamHandler


def _is_loud(record: logging.LogRecord) -> bool:
    assert isinstance(record.args, tuple)
    return record.args[2] != "/silent"


CHANGES: dict[str, Callable[[], object]] = {
    "none": lambda: None,
    "logger-filter": lambda: logger.addFilter(_is_loud),
    "handler-filter": lambda: logger.handlers[0].addFilter(_is_loud),
    "logger-level": lambda: logger.setLevel(logging.WARNING),
    "handler-level": lambda: logger.handlers[0].setLevel(logging.WARNING),
    "logging-disable": lambda: logging.disable(logging.INFO),
    "logger-disabled": lambda: setattr(logger, "disabled", True),
    "format": _change_format,
    "formatter": lambda: logger.handlers[0].setFormatter(MarkingFormatter()),
    "patched-class": _patch_format_message,
    "record-factory": lambda: logging.setLogRecordFactory(MarkingRecord),
    "second-handler": lambda: logger.addHandler(ToStderr()),
    "stream": _replace_stream,
    "colors": lambda: setattr(_formatter(), "use_colors", True),
    "propagate": lambda: setattr(logger, "propagate", True),
    "terminator": lambda: setattr(logger.handlers[0], "terminator", "|\n"),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Change what `/change/<name>` names; answer with the status that `/status/<n>` names, else 200."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    parts = scope["path"].split("/")
    status = 200
    if parts[1] == "change":
        CHANGES[parts[2]]()
    elif parts[1] == "status":
        status = int(parts[2])
    elif parts[1] == "print":
        print("the app prints", flush=True)
    await send(start(status, [length(b"")]))
    await send(body())
