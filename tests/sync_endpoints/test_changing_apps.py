"""Apps that change while they are served, as tests and plug-ins make them: what is there holds, as on uvicorn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests import raw
from tests.serving import Served
from tests.sync_endpoints.conftest import ServeMode


def ask(server: Served, target: str = "/", method: str = "GET") -> bytes:
    """Ask, on a connection of its own, and return the answer's content."""
    with server.connect() as client:
        return client.exchange(raw.request(method, target, [("Connection", "close")])).body


def original() -> str:
    return "original"


def override() -> str:
    return "override"


async def override_async() -> str:
    return "async override"


def override_yield() -> Iterator[str]:
    yield "yield override"


async def override_async_yield() -> AsyncIterator[str]:
    yield "async yield override"


class Override:
    """A class whose text is told."""

    def __str__(self) -> str:
        return "class override"


OVERRIDES: dict[str, Callable[..., Any]] = {
    "override": override,
    "async override": override_async,
    "yield override": override_yield,
    "async yield override": override_async_yield,
    "class override": Override,
}


def make_api() -> FastAPI:
    api = FastAPI()

    @api.get("/")
    def endpoint(value: Any = Depends(original)) -> str:  # noqa: B008  # as FastAPI spells it
        return str(value)

    return api


@pytest.mark.parametrize("expected", OVERRIDES)
def test_dependency_override_is_honoured(expected: str, serve_mode: ServeMode) -> None:
    api = make_api()
    with serve_mode(api) as server:
        assert ask(server) == b'"original"'
        api.dependency_overrides[original] = OVERRIDES[expected]
        assert ask(server) == f'"{expected}"'.encode()
        api.dependency_overrides.clear()
        assert ask(server) == b'"original"'


@pytest.mark.parametrize("expected", OVERRIDES)
def test_another_dict_of_overrides_is_honoured(expected: str, serve_mode: ServeMode) -> None:
    api = make_api()
    with serve_mode(api) as server:
        assert ask(server) == b'"original"'
        api.dependency_overrides = {original: OVERRIDES[expected]}
        assert ask(server) == f'"{expected}"'.encode()
        api.dependency_overrides = {}
        assert ask(server) == b'"original"'


def test_override_that_is_there_at_the_start_and_changes(serve_mode: ServeMode) -> None:
    api = make_api()
    api.dependency_overrides[original] = override
    with serve_mode(api) as server:
        assert ask(server) == b'"override"'
        # One for another: as many as before.
        api.dependency_overrides[original] = override_async
        assert ask(server) == b'"async override"'


def plain(text: str) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        return PlainTextResponse(text)

    return endpoint


def plain_async(text: str) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(text)

    return endpoint


MAKERS = {"def": plain, "async": plain_async}


@pytest.mark.parametrize("kind", MAKERS)
def test_added_route_is_found(kind: str, serve_mode: ServeMode) -> None:
    app = Starlette(routes=[Route("/", plain("first"))])
    with serve_mode(app) as server:
        assert (ask(server), ask(server, "/new")) == (b"first", b"Not Found")
        app.router.routes.append(Route("/new", MAKERS[kind]("new")))
        assert (ask(server), ask(server, "/new")) == (b"first", b"new")


@pytest.mark.parametrize("kind", MAKERS)
def test_route_put_in_front_is_found(kind: str, serve_mode: ServeMode) -> None:
    app = Starlette(routes=[Route("/{path:path}", plain("last"))])
    with serve_mode(app) as server:
        assert ask(server, "/x") == b"last"
        app.router.routes.insert(0, Route("/x", MAKERS[kind]("front")))
        assert (ask(server, "/x"), ask(server, "/y")) == (b"front", b"last")


@pytest.mark.parametrize("kind", MAKERS)
def test_route_that_takes_the_place_of_another_is_found(kind: str, serve_mode: ServeMode) -> None:
    app = Starlette(routes=[Route("/", plain("before"))])
    with serve_mode(app) as server:
        assert ask(server) == b"before"
        app.router.routes[0] = Route("/", MAKERS[kind]("after"))
        assert ask(server) == b"after"


@pytest.mark.parametrize("kind", MAKERS)
def test_another_list_of_routes_is_used(kind: str, serve_mode: ServeMode) -> None:
    app = Starlette(routes=[Route("/", plain("before"))])
    with serve_mode(app) as server:
        assert ask(server) == b"before"
        app.router.routes = [Route("/", MAKERS[kind]("after"))]
        assert ask(server) == b"after"


def test_removed_route_is_gone(serve_mode: ServeMode) -> None:
    app = Starlette(routes=[Route("/", plain("there"))])
    with serve_mode(app) as server:
        assert ask(server) == b"there"
        app.router.routes.clear()
        assert ask(server) == b"Not Found"


def test_route_of_fastapi_is_added_while_it_serves(serve_mode: ServeMode) -> None:
    api = make_api()
    with serve_mode(api) as server:
        assert ask(server, "/new") == b'{"detail":"Not Found"}'
        api.get("/new")(lambda: "new")
        router = APIRouter(prefix="/included")
        router.get("/def")(lambda: "included")
        api.include_router(router)
        answers = [ask(server, target) for target in ("/", "/new", "/included/def")]
        assert answers == [b'"original"', b'"new"', b'"included"']


def test_mount_is_added_while_it_serves(serve_mode: ServeMode) -> None:
    api = make_api()
    with serve_mode(api) as server:
        assert ask(server, "/sub/x") == b'{"detail":"Not Found"}'
        api.mount("/sub", Starlette(routes=[Route("/x", plain("mounted"))]))
        assert (ask(server), ask(server, "/sub/x")) == (b'"original"', b"mounted")


def test_route_is_added_by_an_endpoint(serve_mode: ServeMode) -> None:
    api = make_api()

    @api.get("/add/{word}")
    def add(word: str) -> str:
        api.get(f"/{word}")(lambda: word)
        return "added"

    with serve_mode(api) as server:
        assert ask(server, "/add/one") == b'"added"'
        assert ask(server, "/one") == b'"one"'


def test_replaced_endpoint_of_a_route_is_as_on_uvicorn(serve_mode: ServeMode) -> None:
    # Starlette has made an app of the old one, and goes on using that.
    route = Route("/", plain("before"))
    with serve_mode(Starlette(routes=[route])) as server:
        assert ask(server) == b"before"
        route.endpoint = plain("after")
        assert ask(server) == b"before"
        route.app = Route("/", plain_async("another app")).app
        assert ask(server) == b"another app"
