"""The formatters, byte for byte those of uvicorn, and when Rust may write the access log itself."""

from __future__ import annotations

import importlib
import io
import logging
import logging.config
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn.logging

import bicorn.logging
from bicorn.access_log import AccessLogConditions, access_log_conditions
from bicorn.config import LOGGING_CONFIG

LEVELS = [1, 5, 10, 15, 20, 25, 30, 40, 50, 60]
DEFAULT_FORMAT = "%(levelprefix)s %(message)s"
ACCESS_FORMAT = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'


def record(level: int, message: str, *args: object, **extra: object) -> logging.LogRecord:
    return logging.getLogger("any").makeRecord("any", level, "file.py", 1, message, args, None, extra=extra)


def access_record(status: object) -> logging.LogRecord:
    return record(logging.INFO, '%s - "%s %s HTTP/%s" %s', "127.0.0.1:5000", "GET", "/a?b=1", "1.1", status)


@pytest.mark.parametrize("use_colors", [True, False])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "fmt", [DEFAULT_FORMAT, "%(levelprefix)-20s|%(levelname)s|%(name)s|%(message)s", "%(message)s %(process)d"]
)
@pytest.mark.parametrize(
    "make",
    [lambda level: record(level, "plain %s", 1), lambda level: record(level, "%d", 7, color_message="\033[36m%d")],
)
def test_default_lines_are_those_of_uvicorn(
    fmt: str, level: int, use_colors: bool, make: Callable[[int], logging.LogRecord]
) -> None:
    ours = bicorn.logging.DefaultFormatter(fmt, use_colors=use_colors)
    theirs = uvicorn.logging.DefaultFormatter(fmt, use_colors=use_colors)
    assert ours.format(make(level)) == theirs.format(make(level))


@pytest.mark.parametrize("use_colors", [True, False])
@pytest.mark.parametrize(
    "status", [100, 101, 199, 200, 204, 299, 301, 304, 404, 418, 499, 500, 503, 599, 600, 999, "200"]
)
def test_access_lines_are_those_of_uvicorn(status: object, use_colors: bool) -> None:
    ours = bicorn.logging.AccessFormatter(ACCESS_FORMAT, use_colors=use_colors)
    theirs = uvicorn.logging.AccessFormatter(ACCESS_FORMAT, use_colors=use_colors)
    assert ours.format(access_record(status)) == theirs.format(access_record(status))


@pytest.mark.parametrize(("style", "fmt"), [("{", "{levelprefix} {message}"), ("$", "$levelprefix $message")])
def test_other_format_styles_work(style: Any, fmt: str) -> None:
    formatter = bicorn.logging.DefaultFormatter(fmt, style=style, use_colors=False)
    assert formatter.format(record(logging.INFO, "hello")) == "INFO:     hello"


def test_exception_is_appended() -> None:
    try:
        raise ValueError("as asked")
    except ValueError:
        made = logging.getLogger("any").makeRecord("any", 40, "file.py", 1, "failed", (), sys.exc_info())
    line = bicorn.logging.DefaultFormatter(DEFAULT_FORMAT, use_colors=False).format(made)
    assert line.startswith("ERROR:    failed\nTraceback ")
    assert line.endswith("ValueError: as asked")


def test_formatting_leaves_the_record_as_it_was() -> None:
    made = record(logging.INFO, "plain", color_message="colourful")
    before = dict(vars(made))
    bicorn.logging.DefaultFormatter(DEFAULT_FORMAT, use_colors=True).format(made)
    assert {**vars(made), "message": None} == {**before, "message": None}


@pytest.mark.parametrize("is_terminal", [True, False])
def test_colors_follow_stdout_unless_chosen(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: is_terminal))
    assert bicorn.logging.DefaultFormatter().use_colors is is_terminal
    assert bicorn.logging.AccessFormatter(use_colors=not is_terminal).use_colors is not is_terminal


def test_subclass_may_bring_its_own_colors() -> None:
    class Loud(bicorn.logging.AccessFormatter):
        status_code_colours = {2: str.upper}  # noqa: RUF012
        level_name_colors = {logging.INFO: str.lower}  # noqa: RUF012

    line = Loud(ACCESS_FORMAT, use_colors=True).format(access_record(200))
    assert line == 'info:     127.0.0.1:5000 - "\033[1mGET /a?b=1 HTTP/1.1\033[0m" 200 OK'


# Rust's own access log: the conditions.


pytestmark = pytest.mark.usefixtures("loggers_restored")


Configure = Callable[..., None]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Make sys.stdout the plain text file `stdout`, then configure logging.

    To be called in the test: between a fixture and its test, pytest sets sys.stdout and adds handlers.
    """
    with ExitStack() as files:

        def configure(log_config: dict[str, Any] = LOGGING_CONFIG, *, encoding: str = "utf-8") -> None:
            file = files.enter_context((tmp_path / "stdout").open("w", encoding=encoding))
            monkeypatch.setattr(sys, "stdout", file)
            logging.config.dictConfig(log_config)

        yield configure


def conditions(*, access_log: bool = True) -> AccessLogConditions | None:
    config: Any = SimpleNamespace(access_log=access_log)
    return access_log_conditions(config)


def holds(found: AccessLogConditions) -> bool:
    """What Rust does before each batch."""
    if any(len(items) != length for items, length in found.lengths):
        return False
    return all(getattr(owner, name) is value for owner, name, value in found.watches)


def test_default_configuration_lets_rust_write(configure: Configure, tmp_path: Path) -> None:
    configure()
    found = conditions()
    assert found is not None
    assert holds(found)
    assert os.fstat(found.stream.fileno()).st_ino == (tmp_path / "stdout").stat().st_ino
    assert found.use_colors is False


def test_level_of_the_logger_may_be_lower(configure: Configure) -> None:
    configure()
    access_logger().setLevel(logging.DEBUG)
    assert conditions() is not None


def changed(**paths: object) -> dict[str, Any]:
    """Copy LOGGING_CONFIG and set `section__name__key=value` there."""
    copy = deepcopy(LOGGING_CONFIG)
    for path, value in paths.items():
        *parents, last = path.split("__")
        place: Any = copy
        for parent in parents:
            place = place[parent]
        place[last] = value
    return copy


@pytest.mark.parametrize(
    "log_config",
    [
        changed(formatters__access__fmt="%(message)s"),
        changed(formatters__access={"format": "%(message)s"}),
        changed(handlers__access__stream=io.StringIO()),
        changed(handlers__access__level="WARNING"),
        changed(handlers__access__filters=["none"], filters={"none": {"name": "other"}}),
        changed(handlers__access={"class": "logging.NullHandler"}),
        changed(loggers={"uvicorn.access": {"handlers": []}}),
        changed(loggers={"uvicorn.access": {"handlers": ["access", "default"], "level": "INFO", "propagate": False}}),
        changed(loggers={"uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": True}}),
        changed(loggers={"uvicorn.access": {"handlers": ["access"], "level": "WARNING", "propagate": False}}),
        changed(loggers={"uvicorn.access": {"handlers": ["access"], "level": "NOTSET", "propagate": False}}),
    ],
)
def test_other_configuration_keeps_rust_from_writing(configure: Configure, log_config: dict[str, Any]) -> None:
    configure(log_config)
    assert conditions() is None


def test_access_log_off_keeps_rust_from_writing(configure: Configure) -> None:
    configure()
    assert conditions(access_log=False) is None


def test_captured_stdout_keeps_rust_from_writing(capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(LOGGING_CONFIG)
    assert conditions() is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "cp037"])
def test_encoding_that_is_not_ascii_keeps_rust_from_writing(configure: Configure, encoding: str) -> None:
    configure(encoding=encoding)
    assert conditions() is None


Patch = Callable[[pytest.MonkeyPatch], None]


def replace(owner: object, name: str) -> Patch:
    """Replace a function with a wrapper, as tracing tools do."""
    original = getattr(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    return lambda patch: patch.setattr(owner, name, wrapper)


def access_logger() -> logging.Logger:
    return logging.getLogger("uvicorn.access")


def handler() -> Any:
    return access_logger().handlers[0]


CHANGES: dict[str, Patch] = {
    "Logger.callHandlers": replace(logging.Logger, "callHandlers"),
    "Logger.makeRecord": replace(logging.Logger, "makeRecord"),
    "Logger.handle": replace(logging.Logger, "handle"),
    "Logger.info": replace(logging.Logger, "info"),
    "Logger._log": replace(logging.Logger, "_log"),
    "Filterer.filter": replace(logging.Filterer, "filter"),
    "Handler.handle": replace(logging.Handler, "handle"),
    "StreamHandler.emit": replace(logging.StreamHandler, "emit"),
    "StreamHandler.flush": replace(logging.StreamHandler, "flush"),
    "Handler.format": replace(logging.Handler, "format"),
    "Formatter.format": replace(logging.Formatter, "format"),
    "Formatter.formatMessage": replace(logging.Formatter, "formatMessage"),
    "AccessFormatter.formatMessage": replace(bicorn.logging.AccessFormatter, "formatMessage"),
    "AccessFormatter.get_status_code": replace(bicorn.logging.AccessFormatter, "get_status_code"),
    "ColourizedFormatter.formatMessage": replace(bicorn.logging.ColourizedFormatter, "formatMessage"),
    "LogRecord.getMessage": replace(logging.LogRecord, "getMessage"),
    "record factory": lambda patch: patch.setattr(logging, "_logRecordFactory", lambda *a, **k: None),
    "logging.disable": lambda patch: patch.setattr(access_logger().manager, "disable", logging.CRITICAL),
    "logger level": lambda patch: access_logger().setLevel(logging.WARNING),
    "logger disabled": lambda patch: patch.setattr(access_logger(), "disabled", True),
    "logger propagates": lambda patch: patch.setattr(access_logger(), "propagate", True),
    "logger filter": lambda patch: access_logger().addFilter(lambda record: False),
    "second handler": lambda patch: access_logger().addHandler(logging.NullHandler()),
    "no handler": lambda patch: access_logger().removeHandler(handler()),
    "other handler list": lambda patch: patch.setattr(access_logger(), "handlers", [handler()]),
    "other handler in the same list": lambda patch: access_logger().handlers.__setitem__(0, logging.NullHandler()),
    "handler level": lambda patch: handler().setLevel(logging.ERROR),
    "handler filter": lambda patch: handler().addFilter(lambda record: False),
    "handler formatter": lambda patch: handler().setFormatter(logging.Formatter()),
    "handler stream": lambda patch: handler().setStream(io.StringIO()),
    "handler terminator": lambda patch: patch.setattr(handler(), "terminator", "\r\n"),
    "formatter colors": lambda patch: patch.setattr(handler().formatter, "use_colors", True),
    "formatter style": lambda patch: patch.setattr(handler().formatter, "_style", logging.PercentStyle("%(message)s")),
    "format": lambda patch: patch.setattr(handler().formatter._style, "_fmt", "%(message)s"),
    "color table": lambda patch: patch.setattr(bicorn.logging.AccessFormatter, "status_code_colours", {}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_change_while_serving_is_seen(configure: Configure, monkeypatch: pytest.MonkeyPatch, change: Patch) -> None:
    configure()
    found = conditions()
    assert found is not None
    change(monkeypatch)
    assert not holds(found)


# Colours are a choice, not a change, if they are on from the start.
@pytest.mark.parametrize("name", sorted(CHANGES.keys() - {"formatter colors", "other handler list"}))
def test_change_before_the_start_keeps_rust_from_writing(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    configure()
    CHANGES[name](monkeypatch)
    assert conditions() is None


@pytest.mark.parametrize("method", ["info", "handle", "makeRecord", "callHandlers", "isEnabledFor"])
def test_method_put_on_the_logger_itself_keeps_rust_from_writing(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    configure()
    monkeypatch.setattr(access_logger(), method, lambda *args, **kwargs: None)
    assert conditions() is None


def test_color_table_changed_in_place_keeps_rust_from_writing(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure()
    monkeypatch.setitem(bicorn.logging.AccessFormatter.status_code_colours, 2, str)
    assert conditions() is None


def test_renamed_level_keeps_rust_from_writing(configure: Configure) -> None:
    configure()
    logging.addLevelName(logging.INFO, "info")
    try:
        assert conditions() is None
    finally:
        logging.addLevelName(logging.INFO, "INFO")


def test_changed_default_format_is_noticed_even_before_the_server_is_imported(configure: Configure) -> None:
    # `LOGGING_CONFIG[...]["fmt"] = …` at the top of a program is the usual way to change the format.
    default = LOGGING_CONFIG["formatters"]["access"]["fmt"]
    LOGGING_CONFIG["formatters"]["access"]["fmt"] = "%(message)s"
    try:
        reloaded = importlib.reload(importlib.import_module("bicorn.access_log"))
        configure()
        assert reloaded.access_log_conditions(SimpleNamespace(access_log=True)) is None
    finally:
        LOGGING_CONFIG["formatters"]["access"]["fmt"] = default
