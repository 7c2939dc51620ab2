"""Whether Rust may write the access log itself.

Making a record, handing it to the logger and formatting it takes long beside the rest of a small request.
While `uvicorn.access` is exactly what `LOGGING_CONFIG` makes of it, the outcome is known, and Rust writes the
same bytes to the same descriptor. Whatever a user could have changed is a condition here; Rust looks at the
conditions again before each batch, and goes through Python's logging from then on if one no longer holds.

What Rust cannot see: a change inside `AccessFormatter`'s colour tables, or of a level's name, once it serves.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
from logging import Handler, Logger
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import bicorn.logging
from bicorn._bicorn import AccessLogTarget
from bicorn.constants import ACCESS_FORMAT
from bicorn.logging import LEVEL_NAME_COLORS, STATUS_CODE_COLOURS, AccessFormatter, ColourizedFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bicorn.config import Config

Watch = tuple[object, str, object]

# A line is ASCII (the path is percent-encoded), so its bytes are the same in each of these.
ASCII_SUPERSETS = {"ascii", "utf-8", "iso8859-1", "iso8859-15", "cp1252"}

# Every function that an access record passes on its way to the stream. Tracing tools like to replace them.
FUNCTIONS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (logging.Logger, ("info", "isEnabledFor", "_log", "makeRecord", "handle", "filter", "callHandlers")),
    (logging.LogRecord, ("__init__", "getMessage")),
    (logging.StreamHandler, ("handle", "filter", "emit", "format", "flush")),
    (AccessFormatter, ("format", "formatMessage", "usesTime", "get_status_code", "color_level_name")),
    (ColourizedFormatter, ("formatMessage",)),
    (logging.Formatter, ("formatMessage",)),
    (logging.PercentStyle, ("format", "usesTime")),
)

# What `logging` itself puts on an instance: anything else may shadow a method.
LOGGER_ATTRIBUTES = {
    *("name", "level", "parent", "propagate", "disabled", "handlers", "filters"),
    *("manager", "_cache"),
}
HANDLER_ATTRIBUTES = {"filters", "_name", "level", "formatter", "_closed", "lock", "stream"}
FORMATTER_ATTRIBUTES = {"_style", "_fmt", "datefmt", "use_colors"}


class AccessLogConditions(NamedTuple):
    """Where Rust may write access lines, and for how long."""

    stream: io.TextIOWrapper
    use_colors: bool
    # Attributes that must be these very objects, and lists that must have these lengths.
    watches: list[Watch]
    lengths: list[tuple[list[Any], int]]


def access_log_target(config: Config) -> AccessLogTarget | None:
    """Return where Rust may write access lines itself; None when they are Python's to write."""
    conditions = access_log_conditions(config)
    if conditions is None:
        return None
    stream, use_colors, watches, lengths = conditions
    # Python's handler flushes the stream with each access line, and with it what the app has printed before. Rust
    # writes past the stream: let what is printed go out by itself.
    stream.reconfigure(line_buffering=True)
    return AccessLogTarget(fd=stream.fileno(), use_colors=use_colors, watches=watches, lengths=lengths)


def access_log_conditions(config: Config) -> AccessLogConditions | None:
    """Return None if access lines must go through Python's logging."""
    logger = logging.getLogger("uvicorn.access")
    if not config.access_log or len(logger.handlers) != 1:
        return None
    handler = logger.handlers[0]
    formatter = handler.formatter
    if type(handler) is not logging.StreamHandler or type(formatter) is not AccessFormatter:
        return None
    if not _is_plain_text_file(handler.stream):
        return None
    if not _instances_are_plain(logger, handler, formatter) or not _tables_are_ours():
        return None

    watches: list[Watch] = []
    for owner, attribute, required in [*_required_state(logger, handler, formatter), *_required_functions()]:
        value = getattr(owner, attribute, None)
        if value is not required and value != required:
            return None
        # The very object that is there: Rust compares identities.
        watches.append((owner, attribute, value))
    if not 0 < logger.level <= logging.INFO or logger.manager.disable >= logging.INFO:
        return None
    if logger.filters or handler.filters:
        return None
    return AccessLogConditions(
        stream=handler.stream,
        use_colors=bool(formatter.use_colors),
        watches=[*watches, *_free_state(logger, handler, formatter)],
        lengths=[(logger.handlers, 1), (logger.filters, 0), (handler.filters, 0)],
    )


def _is_plain_text_file(stream: object) -> TypeGuard[io.TextIOWrapper]:
    """Tell whether a line written to the stream's descriptor is the same as one written to the stream."""
    # The buffer of an unbuffered stream (`python -u`) is the file itself.
    if type(stream) is not io.TextIOWrapper or type(stream.buffer) not in (io.BufferedWriter, io.FileIO):
        return False
    try:
        encoding = codecs.lookup(stream.encoding).name
        return stream.fileno() >= 0 and encoding in ASCII_SUPERSETS and os.linesep == "\n"
    except (OSError, ValueError):
        # It is closed, or not a file at all.
        return False


def _instances_are_plain(logger: Logger, handler: Handler, formatter: AccessFormatter) -> bool:
    return (
        type(logger) is logging.Logger
        and vars(logger).keys() <= LOGGER_ATTRIBUTES
        and vars(handler).keys() <= HANDLER_ATTRIBUTES
        and vars(formatter).keys() <= FORMATTER_ATTRIBUTES
    )


def _tables_are_ours() -> bool:
    return (
        AccessFormatter.level_name_colors == LEVEL_NAME_COLORS
        and AccessFormatter.status_code_colours == STATUS_CODE_COLOURS
        and logging.getLevelName(logging.INFO) == "INFO"
    )


def _required_state(logger: Logger, handler: Handler, formatter: AccessFormatter) -> Iterator[Watch]:
    """Yield what must have one certain value."""
    yield logger, "disabled", False
    yield logger, "propagate", False
    yield handler, "level", logging.NOTSET
    yield handler, "terminator", "\n"
    yield formatter, "_fmt", ACCESS_FORMAT
    yield formatter._style, "_fmt", ACCESS_FORMAT
    yield formatter._style, "_defaults", None
    yield formatter._style, "__class__", logging.PercentStyle
    yield logging, "_logRecordFactory", logging.LogRecord


def _required_functions() -> Iterator[Watch]:
    """Yield the originals of `FUNCTIONS`, None in place of one that has been replaced."""
    for owner, names in FUNCTIONS:
        for name in names:
            function = getattr(owner, name)
            # `functools.wraps` copies the name and the module, but not the globals.
            is_original = type(function) is FunctionType and any(
                function.__globals__ is vars(module) for module in (logging, bicorn.logging)
            )
            yield owner, name, function if is_original else None


def _free_state(logger: Logger, handler: Handler, formatter: AccessFormatter) -> Iterator[Watch]:
    """Yield what may have had any value at the start, but must keep it."""
    yield logger, "level", logger.level
    yield logger, "handlers", logger.handlers
    yield logger, "filters", logger.filters
    yield logger.manager, "disable", logger.manager.disable
    yield _FirstHandler(logger), "handler", handler
    yield handler, "formatter", formatter
    yield handler, "filters", handler.filters
    yield handler, "stream", vars(handler)["stream"]
    yield formatter, "_style", formatter._style
    yield formatter, "use_colors", formatter.use_colors
    yield AccessFormatter, "level_name_colors", AccessFormatter.level_name_colors
    yield AccessFormatter, "status_code_colours", AccessFormatter.status_code_colours


class _FirstHandler:
    """Shows the only handler as an attribute: another one may take its place in the same list."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    @property
    def handler(self) -> Handler:
        return self._logger.handlers[0]
