"""FastAPI: every kind of dependency, each in a `def` and an `async def` form, below both kinds of endpoint.

The kind of a dependency is the second part of the path, so /def/async/yield is a `def` endpoint with an asynchronous
generator as its dependency.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response

from tests.sync_endpoints.families import Case, Family, as_async, both, note

router = APIRouter()


class Problem(Exception):
    """Raised below, and handled by nobody but where it says so."""


class Pager:
    """A class as a dependency."""

    def __init__(self, skip: int = 0, limit: int = 10) -> None:
        note("Pager", skip, limit)
        self.skip = skip
        self.limit = limit


class Checker:
    """An instance as a dependency."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, value: str = "") -> bool:
        note("Checker", value)
        return self.word in value


class AsyncChecker(Checker):
    """The same, to be awaited."""

    async def __call__(self, value: str = "") -> bool:  # type: ignore[override]  # as users write it
        note("Checker", value)
        return self.word in value


def plain(value: str = "unset") -> str:
    note("plain", value)
    return f"plain {value}"


def raising() -> str:
    raise Problem("in a dependency")


def refusing() -> str:
    raise HTTPException(403, "refused", headers={"X-Refused": "yes"})


def setting(response: Response, tasks: BackgroundTasks) -> str:
    response.headers["X-From-Dependency"] = "yes"
    response.status_code = 202
    tasks.add_task(note, "task of a dependency")
    return "set"


def session() -> Iterator[str]:
    note("session enter")
    try:
        yield "session"
        note("session success")
    except Exception as error:
        note("session error", type(error).__name__, error)
        raise
    finally:
        note("session exit")


def raises_after() -> Iterator[str]:
    yield "value"
    note("after yield")
    raise Problem("after yield")


def raises_before() -> Iterator[str]:
    if note("before yield") is None:
        raise Problem("before yield")
    yield "value"


def refuses_after() -> Iterator[str]:
    yield "value"
    raise HTTPException(409, "after yield")


def turns_into_http() -> Iterator[str]:
    try:
        yield "value"
    except Problem as error:
        raise HTTPException(418, f"turned: {error}", headers={"X-Turned": "yes"}) from error


def swallows() -> Iterator[str]:
    try:
        yield "value"
    except Problem:
        note("swallowed")


def yields_twice() -> Iterator[str]:
    yield "one"
    yield "two"


def bound(prefix: str, value: str = "") -> str:
    return prefix + value


DEPENDENCIES: dict[str, Callable[..., Any]] = {
    "plain": plain,
    "raising": raising,
    "refusing": refusing,
    "setting": setting,
    "session": session,
    "raises-after": raises_after,
    "raises-before": raises_before,
    "refuses-after": refuses_after,
    "turns": turns_into_http,
    "swallows": swallows,
    "yields-twice": yields_twice,
}
FORMS = {"def": lambda function: function, "async": as_async}


def add_routes(router: APIRouter, path: str, dependency: Any, **options: Any) -> None:
    """Add the endpoints that succeed, fail, and refuse, with one dependency."""
    value = Annotated[Any, Depends(dependency, **options)]

    def succeeds(value: value) -> dict[str, Any]:  # type: ignore[valid-type]  # made at run time
        note("endpoint", type(value).__name__)
        return {"value": value if isinstance(value, (str, bool)) else vars(value)}

    def fails(value: value) -> None:  # type: ignore[valid-type]
        note("endpoint fails")
        raise Problem("in the endpoint")

    def refuses(value: value) -> None:  # type: ignore[valid-type]
        raise HTTPException(404, "by the endpoint", headers={"X-Endpoint": "yes"})

    def answers(value: value, tasks: BackgroundTasks) -> Response:  # type: ignore[valid-type]
        tasks.add_task(note, "task of the endpoint")
        return Response("answered", background=None, headers={"X-Answered": "yes"})

    for name, endpoint in (("", succeeds), ("/fails", fails), ("/refuses", refuses), ("/answers", answers)):
        both(router, path + name)(endpoint)


for form, make in FORMS.items():
    for name, dependency in DEPENDENCIES.items():
        add_routes(router, f"/{form}/{name}", make(dependency))
    add_routes(router, f"/{form}/function-scope", make(session), scope="function")
add_routes(router, "/class", Pager)
add_routes(router, "/instance", Checker("a"))
add_routes(router, "/async-instance", AsyncChecker("a"))
add_routes(router, "/partial", functools.partial(bound, "prefix "))
add_routes(router, "/lambda", lambda value="none": f"lambda {value}")


# Nested, cached and uncached


def counted() -> str:
    note("counted")
    return "counted"


async def counted_async() -> str:
    note("counted async")
    return "counted async"


def left(value: Annotated[str, Depends(counted)], other: Annotated[str, Depends(counted_async)]) -> str:
    return f"left({value}, {other})"


async def right(value: Annotated[str, Depends(counted)], of: Annotated[str, Depends(session)]) -> str:
    return f"right({value}, {of})"


@both(router, "/nested")
def nested(first: Annotated[str, Depends(left)], second: Annotated[str, Depends(right)]) -> list[str]:
    return [first, second]


@both(router, "/uncached")
def uncached(
    first: Annotated[str, Depends(counted, use_cache=False)], second: Annotated[str, Depends(counted, use_cache=False)]
) -> list[str]:
    return [first, second]


@both(router, "/two-sessions")
def two_sessions(
    outer: Annotated[str, Depends(session)],
    inner: Annotated[str, Depends(session, use_cache=False)],
    fail: bool = False,
) -> list[str]:
    if fail:
        raise Problem("two sessions")
    return [outer, inner]


@both(router, "/on-the-route", dependencies=[Depends(counted), Depends(as_async(session))])
def on_the_route() -> str:
    return "done"


@both(router, "/request")
def request_of_dependency(seen: Annotated[str, Depends(lambda request: request)]) -> str:
    return seen


def make_app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


def app_note() -> None:
    note("dependency of the app")


def router_note(request: Request) -> None:
    note("dependency of the router", request.path_params)


def make_app_with_dependencies() -> FastAPI:
    app = FastAPI(dependencies=[Depends(app_note), Depends(session)])
    inner = APIRouter(prefix="", dependencies=[Depends(router_note), Depends(as_async(router_note))])

    @both(inner, "/inner/{value}")
    def endpoint(value: str) -> str:
        note("endpoint")
        if value == "fail":
            raise Problem("inner")
        return value

    @both(app, "/outer")
    def outer() -> str:
        return "outer"

    app.include_router(inner, dependencies=[Depends(counted)])
    return app


NAMES = [f"/{form}/{name}" for form in FORMS for name in (*DEPENDENCIES, "function-scope")]
NAMES += ["/class", "/instance", "/async-instance", "/partial", "/lambda"]

CASES = [
    *(Case(name + end) for name in NAMES for end in ("", "/fails", "/refuses", "/answers")),
    Case("/class?skip=3&limit=x"),
    Case("/class?skip=3&limit=5"),
    *(Case(f"{name}?value=abc") for name in ("/instance", "/async-instance", "/partial", "/lambda", "/def/plain")),
    *(Case(name) for name in ("/nested", "/uncached", "/two-sessions", "/two-sessions?fail=1", "/on-the-route")),
    *(Case(name) for name in ("/request", "/request?request=5")),
]
OUTER_CASES = [*(Case(target) for target in ("/inner/5", "/inner/fail", "/outer", "/nowhere"))]

FAMILIES = [
    Family("dependencies", make_app, CASES),
    Family("outer dependencies", make_app_with_dependencies, OUTER_CASES),
]
