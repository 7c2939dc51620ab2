"""How log lines look: uvicorn's formatters, byte for byte.

`LOGGING_CONFIG` and users' own logging configurations name the classes. While the access log is exactly what
`LOGGING_CONFIG` makes of it, Rust writes its lines without asking the formatter; `access_log.py` decides
that.
"""

from __future__ import annotations

import http
import logging
import sys
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from bicorn.constants import TRACE_LOG_LEVEL

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TRACE_LOG_LEVEL", "AccessFormatter", "ColourizedFormatter", "DefaultFormatter", "style"]

ANSI_COLORS = {
    "black": 30,
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
    "white": 37,
    "bright_black": 90,
    "bright_red": 91,
    "bright_green": 92,
    "bright_yellow": 93,
    "bright_blue": 94,
    "bright_magenta": 95,
    "bright_cyan": 96,
    "bright_white": 97,
}

# "CRITICAL", the longest level name: the messages of all levels start in one column.
LEVEL_NAME_WIDTH = 8


def style(text: str, fg: str | None = None, bold: bool = False) -> str:
    """Wrap text in the ANSI sequences for a colour and for bold type."""
    color = "" if fg is None else f"\033[{ANSI_COLORS[fg]}m"
    weight = "\033[1m" if bold else ""
    return f"{color}{weight}{text}\033[0m"


# The classes below have copies: these tables stay as they are, whatever users do to the classes.
LEVEL_NAME_COLORS: dict[int, Callable[[str], str]] = {
    TRACE_LOG_LEVEL: partial(style, fg="blue"),
    logging.DEBUG: partial(style, fg="cyan"),
    logging.INFO: partial(style, fg="green"),
    logging.WARNING: partial(style, fg="yellow"),
    logging.ERROR: partial(style, fg="red"),
    logging.CRITICAL: partial(style, fg="bright_red"),
}
# By the first digit of the status.
STATUS_CODE_COLOURS: dict[int, Callable[[str], str]] = {
    1: partial(style, fg="bright_white"),
    2: partial(style, fg="green"),
    3: partial(style, fg="yellow"),
    4: partial(style, fg="red"),
    5: partial(style, fg="bright_red"),
}


class ColourizedFormatter(logging.Formatter):
    """Offers `levelprefix` to the format, in colour where that is wanted.

    With colours, a record's extra `color_message` is formatted in place of its message.
    """

    level_name_colors: ClassVar[dict[int, Callable[[str], str]]] = dict(LEVEL_NAME_COLORS)

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        use_colors: bool | None = None,
    ) -> None:
        """Take what `logging.Formatter` takes, and whether to colour.

        With None it depends on whether stdout is a terminal, also for a handler that writes to stderr: as in
        uvicorn.
        """
        self.use_colors = use_colors if use_colors in (True, False) else sys.stdout.isatty()
        super().__init__(fmt=fmt, datefmt=datefmt, style=style)

    def color_level_name(self, level_name: str, level_no: int) -> str:
        """Colour a level's name; a level without a colour stays as it is."""
        return self.level_name_colors.get(level_no, str)(level_name)

    def should_use_colors(self) -> bool:
        """Say whether the stream would show colours; only for subclasses that ask."""
        return True

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format a copy of the record that has `levelprefix`; the record itself goes on to other handlers."""
        record = copy(record)
        level_name = record.levelname
        padding = " " * (LEVEL_NAME_WIDTH - len(level_name))
        if self.use_colors:
            level_name = self.color_level_name(level_name, record.levelno)
            if "color_message" in vars(record):
                record.msg = vars(record)["color_message"]
                record.message = record.getMessage()
        vars(record)["levelprefix"] = f"{level_name}:{padding}"
        return super().formatMessage(record)


class DefaultFormatter(ColourizedFormatter):
    """Formats everything but the access log."""

    def should_use_colors(self) -> bool:
        """Say whether stderr would show colours."""
        return sys.stderr.isatty()


class AccessFormatter(ColourizedFormatter):
    """Offers `client_addr`, `request_line` and `status_code` to the format of the access log.

    A record's args are `(client_addr, method, path with query, http_version, status)`.
    """

    status_code_colours: ClassVar[dict[int, Callable[[str], str]]] = dict(STATUS_CODE_COLOURS)

    def get_status_code(self, status_code: int) -> str:
        """Return the status with its phrase; an unknown one keeps the space before the phrase."""
        try:
            phrase = http.HTTPStatus(status_code).phrase
        except ValueError:
            phrase = ""
        text = f"{status_code} {phrase}"
        return self.status_code_colours.get(status_code // 100, str)(text) if self.use_colors else text

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format a copy of the record that has the three fields."""
        record = copy(record)
        client_addr, method, path, http_version, status = record.args  # type: ignore[misc]  # it is a tuple
        request_line = f"{method} {path} HTTP/{http_version}"
        vars(record).update(
            client_addr=client_addr,
            request_line=style(request_line, bold=True) if self.use_colors else request_line,
            status_code=self.get_status_code(int(status)),  # type: ignore[arg-type]  # may be an HTTPStatus
        )
        return super().formatMessage(record)
