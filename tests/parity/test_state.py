"""Lifespan as requests see it: the order of things, and `scope["state"]`."""

from __future__ import annotations

from typing import Any

from tests import raw
from tests.apps import Event, Receive, Scope, Send, hello
from tests.conftest import Serve


class Application:
    """An app with a lifespan that fills the state, and keeps what it sees."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.lifespan_scope: dict[str, Any] = {}
        self.lifespan_events: list[Event] = []
        self.states: list[dict[str, Any]] = []
        self.shared: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls.append(scope["type"])
        if scope["type"] == "lifespan":
            self.lifespan_scope = dict(scope)
            self.lifespan_events.append(await receive())
            scope["state"]["shared"] = self.shared
            await send({"type": "lifespan.startup.complete"})
            self.lifespan_events.append(await receive())
            self.calls.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.states.append(scope["state"])
        scope["state"]["own"] = scope["path"]
        scope["state"]["shared"].append(scope["path"])
        await hello(scope, receive, send)


def exchange_twice(app: Application, serve: Serve) -> None:
    with serve(app, lifespan="on") as server, server.connect() as client:
        for target in ("/a", "/b"):
            assert client.exchange(raw.request(target=target)).body == b"hello"


def test_lifespan_scope_and_events(serve: Serve) -> None:
    app = Application()
    exchange_twice(app, serve)
    assert list(app.lifespan_scope) == ["type", "asgi", "state"]
    assert app.lifespan_scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
    assert app.lifespan_events == [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]


def test_lifespan_surrounds_the_requests(serve: Serve) -> None:
    app = Application()
    exchange_twice(app, serve)
    assert app.calls == ["lifespan", "http", "http", "shutdown"]


def test_each_request_has_a_shallow_copy_of_the_state(serve: Serve) -> None:
    app = Application()
    exchange_twice(app, serve)
    first, second = app.states
    assert (first["own"], second["own"]) == ("/a", "/b")
    assert first is not second
    assert first["shared"] is second["shared"] is app.shared
    assert app.shared == ["/a", "/b"]
    assert "own" not in app.lifespan_scope["state"]


def test_state_set_after_startup_is_seen_by_later_requests(serve: Serve) -> None:
    app = Application()
    with serve(app, lifespan="on") as server, server.connect() as client:
        client.exchange(raw.request())
        app.lifespan_scope["state"]["late"] = 1
        client.exchange(raw.request())
    assert ["late" in state for state in app.states] == [False, True]


def test_start_and_stop_lines(serve: Serve) -> None:
    app = Application()
    with serve(app, lifespan="on") as server, server.connect() as client:
        client.exchange(raw.request())
    process_id = server.logs.of("uvicorn.error")[0].args
    assert isinstance(process_id, tuple)
    messages = [message.replace("Bicorn", "Uvicorn") for message in server.logs.messages]
    assert messages == [
        f"Started server process [{process_id[0]}]",
        "Waiting for application startup.",
        "Application startup complete.",
        f"Uvicorn running on http://127.0.0.1:{server.port} (Press CTRL+C to quit)",
        "Shutting down",
        "Waiting for application shutdown.",
        "Application shutdown complete.",
        f"Finished server process [{process_id[0]}]",
    ]
