"""`--log-config`: apply a logging configuration, whatever form it has."""

from __future__ import annotations

import logging.config
import os
from typing import IO, TYPE_CHECKING, Any

from bicorn.constants import LOG_LEVELS
from bicorn.errors import ConfigError

if TYPE_CHECKING:
    from configparser import RawConfigParser
    from typing import TypeAlias

    LogConfig: TypeAlias = dict[str, Any] | str | os.PathLike[str] | RawConfigParser | IO[Any]


def apply_log_config(log_config: LogConfig) -> None:
    """Configure logging from a dict, a path (.json, .yaml, else INI), a parser or an open INI file.

    Raises:
        ConfigError: The file is unreadable or wrong.
    """
    if isinstance(log_config, dict):
        logging.config.dictConfig(log_config)
    elif isinstance(log_config, (str, os.PathLike)):
        path = os.fspath(log_config)
        try:
            _apply_file(path)
        # Names in the file are imported and called: there is no error that it could not cause.
        except Exception as error:
            raise ConfigError(f"cannot use --log-config {path}: {_reason(error)}") from error
    else:
        logging.config.fileConfig(log_config, disable_existing_loggers=False)


def _apply_file(path: str) -> None:
    with open(path) as file:
        if path.endswith(".json"):
            import json

            logging.config.dictConfig(_mapping(json.load(file)))
        elif path.endswith((".yaml", ".yml")):
            try:
                import yaml
            except ImportError:
                raise ValueError("a YAML file needs the PyYAML package, which is not installed") from None
            logging.config.dictConfig(_mapping(yaml.safe_load(file)))
        else:
            from configparser import ConfigParser

            # Not left to `fileConfig`, whose error says less.
            parser = ConfigParser()
            parser.read_file(file)
            logging.config.fileConfig(parser, disable_existing_loggers=False)


def _mapping(content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"the file must hold a mapping, not {type(content).__name__}")
    return content


def _reason(error: BaseException) -> str:
    """Say in one line what is wrong; `logging.config` puts the reason proper into the cause."""
    if isinstance(error, KeyError):
        text = f"{error} is missing"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror.lower()
    else:
        text = " ".join(str(error).split()) or type(error).__name__
    return text if error.__cause__ is None else f"{text}: {_reason(error.__cause__)}"


def with_colors(log_config: dict[str, Any], use_colors: bool) -> dict[str, Any]:
    """Copy a configuration, with `use_colors` for the formatters `default` and `access`."""
    formatters = dict(log_config.get("formatters", {}))
    for name in ("default", "access"):
        if name in formatters:
            formatters[name] = {**formatters[name], "use_colors": use_colors}
    return {**log_config, "formatters": formatters}


def level_number(level: str | int) -> int:
    """Return the number of a level that an option names.

    Raises:
        ConfigError: There is no such level.
    """
    if isinstance(level, int):
        return level
    try:
        return LOG_LEVELS[level.lower()]
    except KeyError:
        raise ConfigError(f"log_level must be one of {', '.join(LOG_LEVELS)}: {level}") from None
