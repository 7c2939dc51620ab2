"""What `Config` makes of the logging options, and what it says of a configuration that it cannot use."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bicorn
import bicorn.config
from bicorn.config import Config, ConfigError
from tests import serving
from tests.apps import hello

Make = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("loggers_restored")


@pytest.fixture
def make(server_name: str, caplog: pytest.LogCaptureFixture) -> Make:
    """Make a `Config`, by default one that leaves logging to pytest."""
    caplog.set_level(1)
    module = serving.import_server(server_name)
    return lambda app=hello, **options: module.Config(app, **{"log_config": None, **options})


@pytest.mark.parity
@pytest.mark.parametrize(
    ("level", "number"), [("debug", 10), ("WARNING", 30), ("trace", 5), (logging.ERROR, 40), (17, 17)]
)
def test_log_level_is_set_on_three_loggers(make: Make, level: object, number: int) -> None:
    make(log_level=level)
    assert [logging.getLogger(f"uvicorn.{name}").level for name in ("error", "access", "asgi")] == [number] * 3
    assert logging.getLevelName(5) == "TRACE"


@pytest.mark.parity
def test_access_log_off_silences_its_logger(make: Make) -> None:
    make(access_log=False)
    assert not logging.getLogger("uvicorn.access").hasHandlers()


@pytest.mark.parity
@pytest.mark.parametrize("use_colors", [True, False])
def test_use_colors_reaches_both_formatters(make: Make, server_name: str, use_colors: bool) -> None:
    before = importlib.import_module(f"{server_name}.config").LOGGING_CONFIG
    config = make(log_config=json.loads(json.dumps(before)), use_colors=use_colors)
    for name in ("uvicorn", "uvicorn.access"):
        formatter: Any = logging.getLogger(name).handlers[0].formatter
        assert formatter.use_colors is use_colors
    assert config.log_config["formatters"]["default"]["use_colors"] is use_colors


def test_use_colors_leaves_the_shared_dict_alone() -> None:
    Config(hello, use_colors=True)
    assert bicorn.config.LOGGING_CONFIG["formatters"]["default"]["use_colors"] is None


LOG_CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"quiet": {"class": "logging.NullHandler"}},
    "loggers": {"uvicorn.access": {"handlers": ["quiet"], "level": "ERROR"}},
}
YAML = """
version: 1
disable_existing_loggers: false
handlers: {quiet: {class: logging.NullHandler}}
loggers: {uvicorn.access: {handlers: [quiet], level: ERROR}}
"""
INI = """
[loggers]
keys=root,access
[handlers]
keys=quiet
[formatters]
keys=
[logger_root]
handlers=
[logger_access]
qualname=uvicorn.access
handlers=quiet
level=ERROR
[handler_quiet]
class=NullHandler
args=()
"""
FILES = {"log.json": json.dumps(LOG_CONFIG), "log.yaml": YAML, "log.yml": YAML, "log.ini": INI, "log.conf": INI}


@pytest.fixture
def _root_logger_restored() -> Iterator[None]:
    """`fileConfig` takes the handlers off the root logger, pytest's among them."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parity
@pytest.mark.usefixtures("_root_logger_restored")
@pytest.mark.parametrize("as_path", [str, Path])
@pytest.mark.parametrize("name", FILES)
def test_log_config_may_be_a_file(make: Make, tmp_path: Path, name: str, as_path: Callable[[Path], Any]) -> None:
    (tmp_path / name).write_text(FILES[name])
    config = make(log_config=as_path(tmp_path / name))
    assert logging.getLogger("uvicorn.access").level == logging.ERROR
    assert isinstance(logging.getLogger("uvicorn.access").handlers[0], logging.NullHandler)
    assert config.log_config == str(tmp_path / name)


@pytest.mark.parity
@pytest.mark.usefixtures("_root_logger_restored")
def test_log_config_may_be_an_open_file(make: Make, tmp_path: Path) -> None:
    (tmp_path / "log.ini").write_text(INI)
    with (tmp_path / "log.ini").open() as file:
        make(log_config=file)
    assert logging.getLogger("uvicorn.access").level == logging.ERROR


@pytest.mark.usefixtures("_root_logger_restored")
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("log.json", None, "no such file or directory"),
        ("log.yaml", None, "no such file or directory"),
        ("log.ini", None, "no such file or directory"),
        ("log.json", "{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("log.json", "[]", "the file must hold a mapping, not list"),
        ("log.yaml", "", "the file must hold a mapping, not NoneType"),
        ("log.json", "{}", "dictionary doesn't specify a version"),
        ("log.yaml", "version: 2", "Unsupported version: 2"),
        ("log.yaml", "a: [", "while parsing a flow node"),
        (
            "log.json",
            '{"version": 1, "handlers": {"h": {"class": "no_such_module.Handler"}}}',
            "Unable to configure handler 'h': Cannot resolve 'no_such_module.Handler': No module named 'no_such",
        ),
        ("log.ini", "[loggers]\nkeys=root", "'formatters' is missing"),
        ("log.ini", "nonsense", "File contains no section headers."),
        ("log.json", b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_unusable_log_config_file_is_explained_in_one_line(
    tmp_path: Path, name: str, content: str | bytes | None, reason: str
) -> None:
    path = tmp_path / name
    if isinstance(content, str):
        content = content.encode()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        Config(hello, log_config=str(path))
    text = str(raised.value)
    assert text.startswith(f"cannot use --log-config {path}: {reason}")
    assert "\n" not in text


def test_missing_pyyaml_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "log.yaml").write_text(YAML)
    with pytest.raises(ConfigError, match=r"needs the PyYAML package, which is not installed$"):
        Config(hello, log_config=tmp_path / "log.yaml")


def test_unknown_log_level_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"^log_level must be one of critical, .*, trace: loud$"):
        Config(hello, log_config=None, log_level="loud")
