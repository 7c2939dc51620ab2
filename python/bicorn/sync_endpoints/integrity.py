"""Whether the frameworks are as they were installed.

Tracing and error reporting tools put wrappers in the place of the frameworks' functions, and those wrappers may need
the event loop. A proof that was read in the sources holds only while the functions and classes in the frameworks'
modules come from the frameworks, from what they are built on, from Python or from bicorn.
"""

from __future__ import annotations

import sys
from functools import cached_property
from types import FunctionType, GenericAlias
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAMEWORKS = ("starlette", "fastapi")

# What the frameworks import. bicorn puts its own functions into their places, too.
TRUSTED = {
    *("starlette", "fastapi", "anyio", "bicorn", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"),
    *("annotated_doc", "annotated_types", "opentelemetry", "exceptiongroup", "sniffio", "jinja2", "markupsafe"),
    *("itsdangerous", "python_multipart", "multipart", "orjson", "ujson", "email_validator"),
}

# Modules that no request of the lane comes through.
UNUSED_MODULES = (
    *("starlette.testclient", "starlette.schemas", "starlette.staticfiles", "starlette.config"),
    *("fastapi.testclient", "fastapi.openapi", "fastapi.cli", "fastapi.staticfiles", "fastapi.telemetry._runtime"),
)

# Replaced by applications for their documentation pages, which are `async` and so never in the lane.
UNUSED_NAMES = frozenset(
    {"openapi", "get_openapi", "get_swagger_ui_html", "get_swagger_ui_oauth2_redirect_html", "get_redoc_html"}
)

# Mocks come from the standard library, but are no part of it that frameworks use.
UNTRUSTED_STANDARD_MODULES = {"unittest", "doctest", "pdb"}


def find_replaced() -> str | None:
    """Return what in the frameworks was replaced and by whom, or None if nothing was."""
    for name, module in list(sys.modules.items()):
        # Whatever a program puts into `sys.modules` is there under the name that is imported.
        if not _is_checked_module(name):
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            # What the import system notes is no part of a module: `__loader__` may be anyone's.
            is_unused = attribute in UNUSED_NAMES or attribute.startswith("__")
            if not is_unused and (stranger := _find_stranger(value, name)) is not None:
                part, origin = stranger
                return f"{name}.{attribute}{part} is replaced by {origin}"
    return None


def _is_checked_module(name: str) -> bool:
    if name.partition(".")[0] not in FRAMEWORKS:
        return name in ("anyio.to_thread", "anyio._core._synchronization", "anyio._core._eventloop")
    return not any(name == unused or name.startswith(f"{unused}.") for unused in UNUSED_MODULES)


def _find_stranger(value: Any, module: str) -> tuple[str, str] | None:
    """Return which part of a module's attribute is foreign and where it comes from, or None."""
    if (origin := _foreign_origin(value)) is not None:
        return "", origin
    # A class is looked into once, in the module that it belongs to.
    if not issubclass(type(value), GenericAlias) and isinstance(value, type) and value.__module__ == module:
        for attribute, member in list(vars(value).items()):
            for part in _functions_of(member):
                if attribute not in UNUSED_NAMES and (origin := _foreign_origin(part)) is not None:
                    return f".{attribute}", origin
    return None


def _functions_of(member: Any) -> Iterator[Any]:
    """Go through what a class's attribute calls, past the descriptors of the standard library."""
    if isinstance(member, staticmethod | classmethod):
        yield member.__func__
    elif isinstance(member, property):
        yield from (function for function in (member.fget, member.fset, member.fdel) if function is not None)
    elif isinstance(member, cached_property):
        yield member.func
    else:
        yield member


def _foreign_origin(value: Any) -> str | None:
    """Return the module that a value comes from if it is neither the frameworks' nor Python's."""
    if type(value) is FunctionType:
        # functools.wraps copies names, but a function's globals are those of the module that it was written in. What
        # typing_inspection makes of text has globals without a name.
        origin = str(value.__globals__.get("__name__", ""))
        wrapped = value.__dict__.get("__wrapped__")
        if not origin or _is_trusted(origin):
            return None if wrapped is None else _foreign_origin(wrapped)
        return origin
    if issubclass(type(value), GenericAlias):
        return None
    if isinstance(value, FunctionType) or (isinstance(value, type) and not issubclass(type(value), type)):
        # An object that says it is a function: a wrapper of wrapt, or a mock.
        return _origin_of_type(type(value))
    if type(value).__module__ == "functools":
        # A partial or a cache is no more than what it calls.
        called = getattr(value, "func", None) or getattr(value, "__wrapped__", None)
        return None if called is None else _foreign_origin(called)
    origin = _origin_of_type(value if isinstance(value, type) else type(value))
    return None if _is_trusted(origin) else origin


def _origin_of_type(cls: type) -> str:
    module: object = cls.__module__  # a property on some types
    return module if isinstance(module, str) else "builtins"


def _is_trusted(module: str) -> bool:
    root = module.partition(".")[0]
    if root in TRUSTED or root.startswith("namedtuple_"):
        return True
    return root in sys.stdlib_module_names and root not in UNTRUSTED_STANDARD_MODULES
