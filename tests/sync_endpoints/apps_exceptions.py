"""FastAPI and Starlette: what is raised where, and who handles it how."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from tests.sync_endpoints.families import Case, Family, as_async, both, both_routes, note

router = APIRouter()


class Problem(Exception):
    """Handled in the apps with handlers, and by nobody in the plain one."""


class Worse(Problem):
    """Handled as its base is."""


class Unhandled(Exception):
    """Handled by nobody but a handler of Exception."""


class Model(BaseModel):
    """What an endpoint promises to return."""

    number: int


@both(router, "/http/{status}")
def http(status: int) -> None:
    raise HTTPException(status, {"why": ["a", 1]}, headers={"X-Why": "because", "x-two": "2"})


@both(router, "/starlette-http")
def starlette_http() -> None:
    raise StarletteHTTPException(404)


@both(router, "/problem")
def problem() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise Problem("as asked") from error


@both(router, "/worse")
def worse() -> None:
    try:
        raise KeyError("inner")
    except KeyError:
        raise Worse("during another")  # noqa: B904  # the context is what is compared


@both(router, "/unhandled")
def unhandled() -> None:
    inner("as asked")


def inner(text: str) -> None:
    raise Unhandled(text)


@both(router, "/validated/{number}")
def validated(number: int, model: Annotated[Model | None, Depends(lambda: None)] = None) -> int:
    return number


@both(router, "/body", methods=["POST"])
def body(model: Model) -> Model:
    return model


@both(router, "/wrong-response", response_model=Model)
def wrong_response() -> Any:
    return {"number": "many"}


@both(router, "/unserializable")
def unserializable() -> Any:
    return {"value": object()}


@both(router, "/not-a-response", response_model=None)
def not_a_response() -> Any:
    return JSONResponse({"value": {1, 2}})


@both(router, "/in-dependency")
def in_dependency(value: Annotated[None, Depends(problem)]) -> None:
    note("never")


@both(router, "/after-task")
def after_task(tasks: BackgroundTasks) -> None:
    tasks.add_task(note, "never runs")
    raise Problem("after add_task")


@both(router, "/in-task")
def in_task(tasks: BackgroundTasks) -> str:
    tasks.add_task(note, "before")
    tasks.add_task(problem)
    tasks.add_task(note, "never")
    return "sent"


@both(router, "/in-async-task")
def in_async_task(tasks: BackgroundTasks) -> str:
    tasks.add_task(as_async(problem))
    return "sent"


@both(router, "/http-in-task")
def http_in_task(tasks: BackgroundTasks) -> str:
    tasks.add_task(http, 404)
    return "sent"


@both(router, "/in-stream")
def in_stream() -> StreamingResponse:
    def pieces() -> Any:
        yield b"one"
        raise Problem("in the stream")

    return StreamingResponse(pieces(), media_type="text/plain")


@both(router, "/base/{name}")
def base(name: str) -> None:
    raise {"stop": StopIteration, "async-stop": StopAsyncIteration, "generator": GeneratorExit}[name]("as asked")


@both(router, "/recursion")
def recursion() -> None:
    recursion()


@both(router, "/unprintable")
def unprintable() -> None:
    raise Unprintable


class Unprintable(Exception):
    """Its text is an error."""

    def __repr__(self) -> str:
        raise ValueError("no text")


# Handlers


def on_problem(request: Request, error: Problem) -> Response:
    note("on_problem", type(error).__name__, error, request.url.path)
    return PlainTextResponse(f"problem {error}", 418, {"X-Handled": "yes"}, background=BackgroundTask(note, "handled"))


def on_validation(request: Request, error: RequestValidationError) -> Response:
    note("on_validation", len(error.errors()))
    return JSONResponse({"errors": [one["loc"] for one in error.errors()], "body": error.body}, 400)


def on_404(request: Request, error: Any) -> Response:
    return PlainTextResponse(f"custom 404 for {request.url.path}", 404)


def on_any(request: Request, error: Exception) -> Response:
    note("on_any", type(error).__name__)
    return PlainTextResponse("any", 500)


def on_problem_failing(request: Request, error: Problem) -> Response:
    raise Unhandled("in the handler") from error


async def on_http_delegating(request: Request, error: StarletteHTTPException) -> Response:
    note("on_http", error.status_code)
    return await http_exception_handler(request, error)


def on_nothing(request: Request, error: Problem) -> None:
    note("on_nothing")


def make_app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


Handlers = dict[Any, Callable[..., Response | Awaitable[Response] | None]]
SYNC: Handlers = {Problem: on_problem, RequestValidationError: on_validation, 404: on_404}
ASYNC: Handlers = {key: as_async(handler) for key, handler in SYNC.items()}
ANY: Handlers = {Exception: on_any}
ANY_ASYNC: Handlers = {Exception: as_async(on_any)}
FAILING: Handlers = {Problem: on_problem_failing}
DELEGATING: Handlers = {StarletteHTTPException: on_http_delegating}
NOTHING: Handlers = {Problem: on_nothing}


def with_handlers(handlers: Handlers, **options: Any) -> Callable[[], FastAPI]:
    """Make apps with these exception handlers."""

    def make() -> FastAPI:
        app = FastAPI(exception_handlers=handlers, **options)
        app.include_router(router)
        return app

    return make


# Starlette


def starlette_problem(request: Request) -> Response:
    raise Problem("in Starlette")


def starlette_unhandled(request: Request) -> Response:
    raise Unhandled("in Starlette")


def starlette_refuses(request: Request) -> Response:
    raise StarletteHTTPException(int(request.query_params["status"]), "detail", {"X-Why": "because"})


def starlette_none(request: Request) -> Response:
    return None  # type: ignore[return-value]  # wrong on purpose


def starlette_in_task(request: Request) -> Response:
    return PlainTextResponse("sent", background=BackgroundTask(starlette_problem, request))


def starlette_with(**options: Any) -> Callable[[], Starlette]:
    """Make Starlette apps with these options."""
    routes = [
        *both_routes("/problem", starlette_problem),
        *both_routes("/unhandled", starlette_unhandled),
        *both_routes("/refuses", starlette_refuses),
        *both_routes("/none", starlette_none),
        *both_routes("/in-task", starlette_in_task),
    ]
    return lambda: Starlette(routes=routes, **options)


PATHS = [
    *(f"/http/{status}" for status in (400, 401, 404, 500, 204, 304, 599)),
    "/starlette-http",
    *("/problem", "/worse", "/unhandled", "/validated/5", "/validated/x", "/validated/5?model=1"),
    *("/unserializable", "/not-a-response", "/in-dependency", "/after-task"),
    *("/in-task", "/in-async-task", "/http-in-task", "/base/async-stop", "/base/generator"),
    *("/unprintable", "/nowhere"),
]
CASES = [
    *(Case(path) for path in PATHS),
    # The depth of frames, the names of files in a message: the forms differ by themselves.
    *(Case(path, is_twin=False) for path in ("/in-stream", "/base/stop", "/recursion", "/wrong-response")),
    Case("/body", "POST", body=b"nonsense", headers=(("Content-Type", "application/json"),)),
    Case("/body", "POST", body=b'{"number": "x"}', headers=(("Content-Type", "application/json"),), label="wrong"),
    Case("/body", "GET", label="405"),
]
# What no handler of these apps sees, or sees as it sees another.
UNHANDLED = (
    "/http/400",
    "/http/401",
    "/http/5",
    "/http/2",
    "/http/3",
    "/uns",
    "/not-a",
    "/unprintable",
    "/recursion",
    "/base/g",
)
STARLETTE_PATHS = ("/problem", "/unhandled", "/none", "/in-task", "/refuses?status=404", "/refuses?status=204")
STARLETTE_CASES = [Case(path) for path in (*STARLETTE_PATHS, "/refuses?status=500", "/refuses")]
HANDLED = [case for case in CASES if not case.target.startswith(UNHANDLED)]
SOME = [case for case in CASES if case.target in ("/problem", "/unhandled", "/http/404", "/in-task")]

FAMILIES = [
    Family("exceptions", make_app, CASES),
    Family("sync handlers", with_handlers(SYNC), HANDLED),
    Family("async handlers", with_handlers(ASYNC), HANDLED),
    Family("handler of all", with_handlers(ANY), HANDLED),
    Family("async handler of all", with_handlers(ANY_ASYNC), SOME),
    Family("failing handler", with_handlers(FAILING), SOME),
    Family("delegating handler", with_handlers(DELEGATING), SOME),
    Family("handler without answer", with_handlers(NOTHING), SOME),
    Family("debug", with_handlers({}, debug=True), [Case("/http/404"), Case("/nowhere")]),
    Family("Starlette exceptions", starlette_with(), STARLETTE_CASES),
    Family("Starlette handlers", starlette_with(exception_handlers=SYNC), STARLETTE_CASES),
    Family("Starlette async handlers", starlette_with(exception_handlers={**ASYNC, 500: on_any}), STARLETTE_CASES),
]
