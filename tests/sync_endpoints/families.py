"""What the differential tests ask: apps in families, and requests to routes in a `def` and an `async def` form.

An app has each route twice, below /def and below /async. What an app does that no answer shows, it writes down with
`note`; one request is under way at a time, so one list is enough for all.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import Route

from tests import raw

KINDS = ("def", "async")

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Case:
    """One request, for both kinds of a route."""

    target: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    # Tells two requests for the same target apart.
    label: str = ""
    # Whether the `def` and the `async def` form answer alike.
    is_twin: bool = True
    # Whether the target is taken as it stands, and asked once.
    is_absolute: bool = False
    version: str = "1.1"

    def __str__(self) -> str:
        return f"{self.method} {self.target}{' ' if self.label else ''}{self.label}"

    def request(self, kind: str) -> bytes:
        """Build the request for the route of that kind; the connection ends with its answer."""
        target = self.target if self.is_absolute else f"/{kind}{self.target}"
        headers = [*self.headers, ("Connection", "close")]
        return raw.request(self.method, target, headers, self.body, version=self.version)


@dataclass(frozen=True)
class Family:
    """An app of which every server gets its own, and what it is asked."""

    name: str
    make_app: Callable[[], Any]
    cases: Iterable[Case]
    # Options of `Config` beside the usual ones.
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def requests(self) -> Iterator[tuple[str, Case]]:
        """Give each case with each kind of route it is for."""
        for case in self.cases:
            for kind in KINDS[:1] if case.is_absolute else KINDS:
                yield kind, case


class Notes:
    """What the app under test wrote down since the last `clear`, in order; any thread may write."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._texts: list[str] = []

    def __call__(self, *values: object) -> None:
        with self._changed:
            self._texts.append(" ".join(str(value) for value in values))
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything so far."""
        with self._changed:
            self._texts.clear()

    def take(self) -> tuple[str, ...]:
        """Return everything so far, and forget it."""
        with self._changed:
            texts = tuple(self._texts)
            self._texts.clear()
        return texts

    def wait_for(self, text: str, timeout: float = 5.0) -> None:
        """Wait until `text` has been written."""
        with self._changed:
            if not self._changed.wait_for(lambda: text in self._texts, timeout):
                raise AssertionError(f"no note {text!r} in {timeout} s; there are {self._texts}")


note = Notes()


def as_async(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make the `async def` form of a function or generator function, of the same signature."""
    if inspect.isgeneratorfunction(function):
        return _as_async_generator(function)

    @functools.wraps(function)
    async def twin(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return twin


def _as_async_generator(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def twin(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        value = next(generator)
        try:
            yield value
        except BaseException as error:
            try:
                generator.throw(error)
            except StopIteration:
                return
        next(generator, None)

    del twin.__wrapped__
    twin.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return twin


def both(
    router: APIRouter | FastAPI, path: str, *, methods: Iterable[str] = ("GET",), **options: Any
) -> Callable[[Function], Function]:
    """Add a FastAPI route twice: /def… with the function as it is, /async… with its `async def` form."""

    def decorate(function: Function) -> Function:
        for kind, endpoint in zip(KINDS, (function, as_async(function)), strict=True):
            name = f"{kind}_{function.__name__}"
            router.add_api_route(f"/{kind}{path}", endpoint, methods=list(methods), name=name, **options)
        return function

    return decorate


def both_routes(path: str, function: Callable[..., Any], methods: Iterable[str] | None = None) -> list[Route]:
    """Make a Starlette route twice, as `both` does."""
    chosen = None if methods is None else list(methods)
    return [
        Route(f"/{kind}{path}", endpoint, methods=chosen, name=f"{kind}_{function.__name__}")
        for kind, endpoint in zip(KINDS, (function, as_async(function)), strict=True)
    ]


App = FastAPI | Starlette
