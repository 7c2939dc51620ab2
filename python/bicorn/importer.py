"""Import strings: `module:attribute[.attribute…]`, as `APP`, `--loop` and `Config` take them."""

from __future__ import annotations

import importlib
from operator import attrgetter
from typing import Any


class ImportFromStringError(Exception):
    """An import string that is malformed or leads nowhere; the text is uvicorn's."""


def import_from_string(import_str: object) -> Any:
    """Return what an import string names; anything but a string is returned as it is.

    Raises:
        ImportFromStringError: The string is malformed, or the module or the attribute does not exist.
        ImportError: The module exists, and an import inside it failed.
    """
    if not isinstance(import_str, str):
        return import_str

    module_name, _, attributes = import_str.partition(":")
    if not module_name or not attributes:
        raise ImportFromStringError(f'Import string "{import_str}" must be in format "<module>:<attribute>".')

    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # The module itself, or a package it should be in, may be missing. A missing import inside it is the app's fault
        # and needs its traceback.
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ImportFromStringError(f'Could not import module "{module_name}".') from None

    try:
        return attrgetter(attributes)(module)
    except AttributeError:
        raise ImportFromStringError(f'Attribute "{attributes}" not found in module "{module_name}".') from None
