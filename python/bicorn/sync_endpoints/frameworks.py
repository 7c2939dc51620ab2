"""Starlette and FastAPI, as far as the application has imported them.

A type counts only if it is exactly the framework's: a subclass may do anything. What is proven was read in the sources
of the versions below; another version may differ, so it has no lane until it was read, too.
"""

from __future__ import annotations

import functools
import sys
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# FastAPI before 0.128 reads lists of files in a task group; for a while before 0.150 it makes the handlers of included
# routers anew for each request.
CHECKED_VERSIONS = {
    "starlette": {
        *("0.48.0", "0.49.3", "0.50.0", "0.52.1"),
        *("1.0.1", "1.2.1", "1.3.1", "1.5.1", "1.6.0", "1.7.0", "1.8.0", "1.9.0", "1.10.0"),
    },
    "fastapi": {
        *("0.128.8", "0.135.4", "0.136.3", "0.150.0", "0.156.8", "0.160.0", "0.162.5", "0.162.7", "0.163.2", "0.164.0"),
        "0.165.0",
    },
}


def find_unchecked_version() -> str | None:
    """Return what is wrong with the versions that are imported, or None if all of them were checked."""
    for package, checked in CHECKED_VERSIONS.items():
        module = sys.modules.get(package)
        if module is not None and (version := getattr(module, "__version__", "")) not in checked:
            return f"{package} {version} is not a version that was checked"
    return None


def loaded(path: str) -> Any:
    """Return what `module:name` is, or None if the application has not imported the module or it has no such name."""
    module, _, name = path.partition(":")
    return getattr(sys.modules.get(module), name, None)


def is_exactly(value: object, *paths: str) -> bool:
    """Tell whether the type of a value is one of these classes itself."""
    return any(type(value) is loaded(path) for path in paths)


def is_one_of(value: object, paths: Iterable[str]) -> bool:
    """Tell whether a value is one of these classes or functions itself."""
    return value is not None and any(value is loaded(path) for path in paths)


def shadows(instance: object, *names: str) -> bool:
    """Tell whether an instance has attributes of its own in front of these methods of its class."""
    attributes = getattr(instance, "__dict__", {})
    return any(name in attributes for name in names)


def find_method(cls: type, name: str) -> Any:
    """Return what a class or one of its bases defines under a name, as it stands there, or None."""
    return next((vars(ancestor)[name] for ancestor in cls.__mro__ if name in vars(ancestor)), None)


def find_inner_code(function: object, name: str) -> CodeType | None:
    """Return the code of a function that is defined inside a framework's function.

    Every closure that the outer function makes has this very code, whatever it was called with. So a closure that user
    code made instead, or put around it, is told apart.
    """
    if type(function) is not FunctionType:
        return None
    inner = [const for const in function.__code__.co_consts if isinstance(const, CodeType) and const.co_name == name]
    return inner[0] if len(inner) == 1 else None


def read_closure(function: object, code: CodeType | None) -> dict[str, Any] | None:
    """Return the variables of a closure by name, or None if the function does not have this code."""
    if code is None or type(function) is not FunctionType or function.__code__ is not code:
        return None
    cells = function.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True)}


def strip_partials(function: Any) -> Any:
    """Return what stands inside `functools.partial` objects."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def name_of(value: Any) -> str:
    """Name a function, class or instance for people: `module.qualname`, of the class where it has none itself."""
    value = strip_partials(value)
    if not isinstance(value, FunctionType | MethodType | type) and not hasattr(value, "__qualname__"):
        value = type(value)
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return f"{module}.{qualname}" if module and module != "builtins" else str(qualname)


def plain_function(value: Any) -> Callable[..., Any]:
    """Return the function of a bound method, and anything else as it is."""
    function: Callable[..., Any] = value.__func__ if type(value) is MethodType else value
    return function
