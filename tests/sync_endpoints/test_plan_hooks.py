"""The hooks in the frameworks: what asks for the event loop in the lane, and that nothing changes outside of it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio
import fastapi.concurrency
import pytest
from fastapi import BackgroundTasks as FastAPIBackgroundTasks
from fastapi import FastAPI, HTTPException
from starlette import _exception_handler
from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.middleware import errors, gzip
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bicorn.sync_endpoints import hooks, install_hooks

HOOKED = [
    (BackgroundTask, "__call__"),
    (BackgroundTasks, "__call__"),
    (FastAPIBackgroundTasks, "__call__"),
    (_exception_handler, "is_async_callable"),
    (_exception_handler, "run_in_threadpool"),
    (errors, "is_async_callable"),
    (errors, "run_in_threadpool"),
    (gzip, "_get_gzip_capacity_limiter"),
    (fastapi.concurrency, "CancelScope"),
]


class LaneStub:
    """Stands for the endpoint threads; writes down in which order things happen."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.is_in_lane = True

    async def to_loop(self) -> None:
        self.steps.append("to_loop")
        self.is_in_lane = False

    def is_driving(self) -> bool:
        return self.is_in_lane

    def note(self, *_: object) -> None:
        self.steps.append("def")

    async def note_async(self, *_: object) -> None:
        self.steps.append("async def")


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch) -> LaneStub:
    """Hooks that end with the test, and threads that call what they are given at once."""
    for holder, name in HOOKED:
        original = vars(holder)[name]
        monkeypatch.setattr(holder, name, getattr(original, "bicorn_original", original))
    stub = LaneStub()
    monkeypatch.setattr(hooks, "LANE", hooks.Lane())
    install_hooks(stub.to_loop, stub.is_driving)

    async def run_sync(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
        return function(*args)

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
    return stub


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits, where no event loop is."""
    with contextlib.closing(coroutine), pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


def test_second_installation_only_takes_its_arguments(lane: LaneStub) -> None:
    before = [vars(holder)[name] for holder, name in HOOKED]
    other = LaneStub()
    install_hooks(other.to_loop, other.is_driving)
    assert [vars(holder)[name] for holder, name in HOOKED] == before
    run(BackgroundTask(other.note_async)())
    assert other.steps == ["to_loop", "async def"]
    assert lane.steps == []


def test_hooks_keep_the_names_of_what_they_stand_for(lane: LaneStub) -> None:
    assert BackgroundTask.__call__.__qualname__ == "BackgroundTask.__call__"
    assert inspect.iscoroutinefunction(BackgroundTask.__call__)
    assert inspect.iscoroutinefunction(_exception_handler.run_in_threadpool)


@pytest.mark.parametrize("cls", [BackgroundTasks, FastAPIBackgroundTasks])
def test_async_background_tasks_run_on_the_loop(lane: LaneStub, cls: Any) -> None:
    tasks = cls()
    tasks.add_task(lane.note)
    tasks.add_task(lane.note_async)
    tasks.add_task(lane.note)
    run(tasks())
    assert lane.steps == ["def", "to_loop", "async def", "def"]


@pytest.mark.parametrize("cls", [BackgroundTasks, FastAPIBackgroundTasks])
def test_background_tasks_of_another_class_run_on_the_loop(lane: LaneStub, cls: Any) -> None:
    class OwnTask(BackgroundTask):
        async def __call__(self) -> None:
            lane.steps.append("own")

    tasks = cls()
    tasks.add_task(lane.note)
    tasks.tasks.append(OwnTask(lane.note))
    run(tasks())
    assert lane.steps == ["to_loop", "def", "own"]


def request_failing(app: Any) -> list[int]:
    """Request "/" of an application; return the statuses of its responses."""
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        **{"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": ""},
        **{"headers": [], "scheme": "http", "http_version": "1.1", "client": None, "server": None, "state": {}},
    }
    with contextlib.suppress(ZeroDivisionError):
        run(app(scope, receive, send))
    return statuses


def fail(request: Any) -> None:
    raise HTTPException(418) if "http" in request.scope["type"] else AssertionError


def divide(request: Any) -> None:
    _ = 1 / 0


@pytest.mark.parametrize(("endpoint", "handled"), [(fail, HTTPException), (divide, ZeroDivisionError), (divide, 500)])
@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_async_exception_handler_runs_on_the_loop(lane: LaneStub, framework: Any, endpoint: Any, handled: Any) -> None:
    async def handle_async(request: Any, error: Exception) -> PlainTextResponse:
        await lane.note_async()
        return PlainTextResponse("", 299)

    def handle(request: Any, error: Exception) -> PlainTextResponse:
        lane.note()
        return PlainTextResponse("", 298)

    def statuses_with(handler: Any) -> list[int]:
        return request_failing(framework(routes=[Route("/", endpoint)], exception_handlers={handled: handler}))

    assert statuses_with(handle) == [298]
    assert lane.steps == ["def"]
    assert statuses_with(handle_async) == [299]
    assert lane.steps == ["def", "to_loop", "async def"]
    # Outside of the lane it is awaited where it always was.
    assert statuses_with(handle_async) == [299]
    assert lane.steps == ["def", "to_loop", "async def", "async def"]


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_the_frameworks_own_handlers_stay_in_the_lane(lane: LaneStub, framework: Any) -> None:
    assert request_failing(framework(routes=[Route("/", fail)])) == [418]
    assert request_failing(framework(routes=[Route("/", divide)])) == [500]
    assert lane.steps == []


def test_dependency_ends_without_a_cancel_scope_in_the_lane(lane: LaneStub) -> None:
    @contextlib.contextmanager
    def open_number() -> Iterator[int]:
        lane.steps.append("enter")
        try:
            yield 1
        finally:
            lane.steps.append("exit")

    async def use() -> int:
        async with fastapi.concurrency.contextmanager_in_threadpool(open_number()) as number:
            return number

    assert run(use()) == 1
    assert lane.steps == ["enter", "exit"]
    lane.is_in_lane = False
    assert anyio.run(use) == 1


def test_cancel_scope_outside_of_the_lane_is_anyios(lane: LaneStub) -> None:
    lane.is_in_lane = False

    async def make() -> Any:
        return fastapi.concurrency.CancelScope(shield=True)

    assert isinstance(anyio.run(make), anyio.CancelScope)


def test_long_content_is_compressed_on_the_endpoint_thread(lane: LaneStub) -> None:
    content = "a" * 200_000

    def respond(request: Any) -> PlainTextResponse:
        return PlainTextResponse(content)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        **{"type": "http", "method": "GET", "path": "/", "query_string": b"", "root_path": "", "scheme": "http"},
        "headers": [(b"accept-encoding", b"gzip")],
    }
    run(gzip.GZipMiddleware(Starlette(routes=[Route("/", respond)]))(scope, None, send))  # type: ignore[arg-type]
    body = importlib.import_module("gzip").decompress(sent[1]["body"])
    assert body == content.encode()
