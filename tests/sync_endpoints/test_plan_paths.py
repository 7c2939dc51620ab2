"""The parts of a plan against the expressions that Starlette compiles from the same paths."""

from __future__ import annotations

import itertools

import pytest
from starlette.applications import Starlette
from starlette.convertors import Convertor, IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from tests.sync_endpoints.planning import find_route, lanes_of, matches, planned

PATTERNS = [
    "/",
    "/items",
    "/items/",
    "/items/{item}",
    "/items/{item}/",
    "/items/{item:int}",
    "/items/{item:float}",
    "/items/{item:float}.json",
    "/items/{item:uuid}",
    "/items/{item:path}",
    "/{all:path}",
    "/{a}/{b}",
    "/{a}-{b}",
    "/{a}.{b:int}",
    "/{a:int}{b:float}",
    "/{a:path}/edit/{b:int}",
    "/{a:path}{b}",
    "/v1.0/(x)+[y]*/{a}|z",
    "/{not a parameter}/{1}/{}",
    "/größe/{a}",
    "/%7Ba%7D/{a}",
]
PATHS = [
    "".join(path)
    for path in itertools.product(
        ["/", "/items", "/items/", "//", "", "items/"],
        ["", "1", "007", "1.5", "1.", ".5", "1.5.json", "٣", "a", "a-b", "-", "a.1", "größe", "{a}", "a b"],
        ["", "/", "/edit/3", "/edit/", "/b", "/b/c"],
    )
] + [
    "/items/12345678-1234-5678-1234-567812345678",
    "/items/12345678123456781234567812345678",
    "/items/12345678-12345678-1234-567812345678",
    "/items/ABCDEF78-1234-5678-1234-56781234567g",
    "/v1.0/(x)+[y]*/q|z",
    "/v1x0/(x)+[y]*/q|z",
    "/{not a parameter}/{1}/{}",
    "/%7Ba%7D/1",
    "/items/\x00",
    "/items/\r",
    "/items/\u2028",
]


def respond(request: Request) -> PlainTextResponse:
    return PlainTextResponse("")


def route_path_matches(route: Route, path: str) -> bool:
    return route.path_regex.match(path) is not None


@pytest.mark.parametrize("pattern", PATTERNS)
def test_parts_match_what_the_compiled_expression_matches(pattern: str) -> None:
    route = Route(pattern, respond)
    (lane,) = planned(Starlette(routes=[route])).routes
    assert lane.why_not is None
    assert lane.parts is not None
    different = [path for path in PATHS if matches(lane, path) != route_path_matches(route, path)]
    assert different == []


@pytest.mark.parametrize("prefix", ["", "/api", "/api/{version}", "/{a}-{b:int}/x", "/{id:uuid}"])
@pytest.mark.parametrize("pattern", ["/", "/items", "/{item:int}", "/{rest:path}", "/items/{a}/{b}"])
def test_mounted_parts_match_what_mount_and_route_match(prefix: str, pattern: str) -> None:
    mount = Mount(prefix, routes=[Route(pattern, respond)])
    plan = planned(Starlette(routes=[mount, Route("/{path:path}", respond)]))
    prefixes = ["", "/api", "/api/2", "/q-7/x", "/q-x/x", "/12345678123456781234567812345678", "/api/"]
    for path in [start + end for start in prefixes for end in PATHS]:
        expected = followed(mount, path)
        found = find_route(plan, "GET", path)
        got = None if found is None else plan.routes.index(found)
        if path.startswith("/"):
            assert got == expected, f"{path}: the table says {got}, Starlette {expected}"


def followed(mount: Mount, path: str) -> int:
    """Which entry the frameworks reach: the mounted route, the end of the mount, or what comes after it."""
    scope = {"type": "http", "path": path, "root_path": "", "method": "GET"}
    match, child = mount.matches(scope)
    if match.name == "NONE":
        return 2
    match, _ = mount.routes[0].matches({**scope, **child})
    return 0 if match.name == "FULL" else 1


def test_path_with_a_newline_has_no_route() -> None:
    plan = planned(Starlette(routes=[Route("/items", respond)]))
    assert find_route(plan, "GET", "/items\n") is None


def test_mount_path_that_may_hold_slashes_stays_on_the_loop() -> None:
    app = Starlette(routes=[Mount("/{a:path}/x", routes=[Route("/y", respond)])])
    assert lanes_of(app) == {"/{a:path}/x/{path:path}": "path of the mount has a parameter that may hold slashes"}


class ThreeLetters(Convertor[str]):
    regex = "[a-z]{3}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class Hexadecimal(IntegerConvertor):
    regex = "[0-9a-f]+"


def test_convertor_of_the_application_matches_anything_and_stays_on_the_loop() -> None:
    register_url_convertor("three_letters", ThreeLetters())
    plan = planned(Starlette(routes=[Route("/x/{a:three_letters}", respond), Route("/{b:path}", respond)]))
    assert [route.why_not for route in plan.routes] == ["path has a convertor of the application's", None]
    assert plan.routes[0].parts == (("literal", "/x/"), ("path", "a"))


def test_subclass_of_a_convertor_is_not_the_convertor() -> None:
    register_url_convertor("hexadecimal", Hexadecimal())
    (route,) = planned(Starlette(routes=[Route("/x/{a:hexadecimal}", respond)])).routes
    assert route.parts == (("literal", "/x/"), ("path", "a"))
    assert route.why_not == "path has a convertor of the application's"


def test_mount_with_a_convertor_of_the_application_stays_on_the_loop() -> None:
    register_url_convertor("three_letters", ThreeLetters())
    app = Starlette(routes=[Mount("/{a:three_letters}", routes=[Route("/y", respond)])])
    assert lanes_of(app) == {"/{a:three_letters}/{path:path}": "path has a convertor of the application's"}


def test_route_that_matches_by_another_expression_matches_anything() -> None:
    route = Route("/x", respond)
    route.path_regex = Route("/y", respond).path_regex
    plan = planned(Starlette(routes=[route]))
    assert plan.routes[0].parts is None
    assert plan.routes[0].why_not == "route /x does not match as its path says"


def test_router_alone_is_planned_as_an_application() -> None:
    assert lanes_of(Router(routes=[Route("/x", respond)])) == {"/x": None}
