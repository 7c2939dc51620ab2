"""FastAPI and Starlette: the same routes behind each middleware, known ones and a user's own."""

import contextvars
import importlib.util
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.sync_endpoints.families import Case, Family, both, both_routes, note

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Problem(Exception):
    """Raised by an endpoint."""


class PureMiddleware:
    """A user's own, which looks at everything that passes."""

    def __init__(self, app: ASGIApp, word: str) -> None:
        self.app = app
        self.word = word

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def watch(message: Message) -> None:
            note(self.word, message["type"], message.get("status"), message.get("more_body"))
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-pure", self.word.encode())]
            await send(message)

        variable.set(f"set by {self.word}")
        scope["state"]["word"] = self.word
        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            note(self.word, "saw", type(error).__name__)
            raise
        note(self.word, "after", variable.get())


class Stamp(BaseHTTPMiddleware):
    """The other kind of a user's own."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        variable.set("set by dispatch")
        note("body", len(await request.body()))
        response = await call_next(request)
        response.headers["x-stamp"] = str(response.status_code)
        note("dispatch after", variable.get())
        return response


class Backend(AuthenticationBackend):
    """Knows one user."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        name = conn.headers.get("x-user")
        return None if name is None else (AuthCredentials(["known"]), SimpleUser(name))


def dependency() -> str:
    note("dependency", variable.get())
    variable.set("set by the dependency")
    return "value"


def add_routes(app: FastAPI) -> None:
    """Add what a middleware may treat differently."""

    @both(app, "/plain")
    def plain(request: Request, value: Annotated[str, Depends(dependency)]) -> dict[str, Any]:
        note("endpoint", variable.get())
        variable.set("set by the endpoint")
        return {"value": value, "state": dict(request.scope.get("state", {}))}

    @both(app, "/big")
    def big() -> dict[str, str]:
        return {"text": "word " * 2_000}

    @both(app, "/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse((f"{number} " * 200 for number in range(5)), media_type="text/plain")

    @both(app, "/body", methods=["POST"])
    def body(data: dict[str, Any], tasks: BackgroundTasks) -> dict[str, Any]:
        tasks.add_task(lambda: note("task", variable.get()))
        return data

    @both(app, "/problem")
    def problem() -> None:
        raise Problem("as asked")

    @both(app, "/refused")
    def refused() -> None:
        raise HTTPException(403, "refused")

    @both(app, "/session")
    def session(request: Request) -> dict[str, Any]:
        if "session" not in request.scope:
            return {"session": None}
        request.session["visits"] = request.session.get("visits", 0) + 1
        return dict(request.session)

    @both(app, "/user")
    def user(request: Request) -> str:
        return request.user.display_name if "user" in request.scope else "nobody"


def with_middleware(*middleware: Middleware) -> Callable[[], FastAPI]:
    """Make FastAPI apps behind these."""

    def make() -> FastAPI:
        app = FastAPI(middleware=list(middleware))
        add_routes(app)
        return app

    return make


def make_decorated() -> FastAPI:
    app = FastAPI()
    add_routes(app)

    @app.middleware("http")
    async def timing(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-decorated"] = "yes"
        return response

    return app


def starlette_plain(request: Request) -> Response:
    note("endpoint", variable.get())
    return PlainTextResponse("plain " * 300)


def make_starlette() -> Starlette:
    """Middleware at the app, at a mount and at a route."""
    inner = [Middleware(PureMiddleware, word="mount")]
    routes = [
        *both_routes("/plain", starlette_plain),
        Mount("/mount", routes=both_routes("/plain", starlette_plain), middleware=inner),
    ]
    for route in both_routes("/route", starlette_plain):
        route.app = PureMiddleware(route.app, "route")
        routes.append(route)
    return Starlette(routes=routes, middleware=[Middleware(CORSMiddleware, allow_origins=["*"])])


ORIGIN = ("Origin", "https://example.org")
GZIP = ("Accept-Encoding", "gzip")
PREFLIGHT = (ORIGIN, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "X-One"))
CASES = [
    # What an endpoint sets in its context is seen outside of an `async def` one only.
    Case("/plain", is_twin=False),
    Case("/plain", "HEAD", is_twin=False),
    Case("/plain", headers=(ORIGIN,), label="origin", is_twin=False),
    Case("/plain", headers=(("Origin", "https://evil.example"),), label="other origin", is_twin=False),
    *(Case(f"/{name}") for name in ("big", "stream", "problem", "refused", "session", "user", "nowhere")),
    *(Case(f"/{name}", headers=(GZIP,), label="gzip") for name in ("big", "stream", "problem")),
    *(Case(f"/{name}", headers=(ORIGIN,), label="origin") for name in ("problem", "refused", "nowhere")),
    Case("/body", "OPTIONS", headers=PREFLIGHT),
    Case("/body", "OPTIONS", headers=(("Origin", "https://evil.example"), *PREFLIGHT[1:]), label="other origin"),
    Case("/body", "POST", (("Content-Type", "application/json"),), b'{"a": 1}'),
    Case("/body", "POST", (("Content-Type", "application/json"),), b"[]", "wrong"),
    Case("/user", headers=(("X-User", "known"),), label="known"),
]
# For apps whose middleware keeps them out of the lane: fewer ask the same.
SOME = [case for case in CASES if case.method == "POST" or case.target in ("/plain", "/stream", "/problem")]
NO_LANE = ("authentication", "pure", "two pure", "base", "all")
CORS = Middleware(
    CORSMiddleware,
    allow_origins=["https://example.org"],
    allow_methods=["GET", "POST"],
    allow_headers=["X-One"],
    allow_credentials=True,
    expose_headers=["X-Two"],
)
PURE = Middleware(PureMiddleware, word="outer")
STACKS: dict[str, list[Middleware]] = {
    "CORS": [CORS],
    "CORS for all": [Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])],
    "gzip": [Middleware(GZipMiddleware, minimum_size=500)],
    "trusted host": [Middleware(TrustedHostMiddleware, allowed_hosts=["test", "*.example.org"])],
    "other host": [Middleware(TrustedHostMiddleware, allowed_hosts=["example.org"])],
    "HTTPS": [Middleware(HTTPSRedirectMiddleware)],
    "authentication": [Middleware(AuthenticationMiddleware, backend=Backend())],
    "pure": [PURE],
    "two pure": [PURE, Middleware(PureMiddleware, word="inner")],
    "base": [Middleware(Stamp)],
    "known": [Middleware(TrustedHostMiddleware), CORS, Middleware(GZipMiddleware, minimum_size=10)],
    "all": [PURE, CORS, Middleware(Stamp), Middleware(GZipMiddleware, minimum_size=10)],
}
MOUNTED = ("/mount/def/plain", "/mount/async/plain", "/mount/nowhere")
STARLETTE_CASES = [
    *(Case(target, headers=(ORIGIN,)) for target in ("/plain", "/route")),
    *(Case(target, headers=(ORIGIN,), is_absolute=True) for target in MOUNTED),
]

FAMILIES = [
    *(
        Family(f"middleware {name}", with_middleware(*stack), CASES)
        for name, stack in STACKS.items()
        if name not in NO_LANE
    ),
    *(Family(f"middleware {name}", with_middleware(*STACKS[name]), SOME) for name in NO_LANE),
    Family("middleware by decorator", make_decorated, SOME),
    Family("Starlette middleware", make_starlette, STARLETTE_CASES),
]
if importlib.util.find_spec("itsdangerous"):
    from starlette.middleware.sessions import SessionMiddleware

    SESSIONS = Middleware(SessionMiddleware, secret_key="secret")
    FAMILIES.append(Family("middleware session", with_middleware(SESSIONS, CORS), CASES))
