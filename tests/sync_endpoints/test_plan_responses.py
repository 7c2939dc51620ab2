"""Which results of an endpoint must be handled on the event loop."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from fastapi import BackgroundTasks as FastAPIBackgroundTasks
from pydantic import BaseModel
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.staticfiles import StaticFiles

from bicorn.sync_endpoints import needs_loop, responses


class Model(BaseModel):
    name: str = ""


class Rendered(JSONResponse):
    def render(self, content: Any) -> bytes:
        return b""


class Constructed(JSONResponse):
    def __init__(self, content: Any) -> None:
        super().__init__(content)


class Sending(JSONResponse):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)


class Propertied(JSONResponse):
    @property
    def background(self) -> Any:
        return None

    @background.setter
    def background(self, value: Any) -> None: ...


class OwnTask(BackgroundTask): ...


class NoResponse:
    background = None

    def __call__(self) -> None: ...


async def application(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    "result",
    [
        *(None, 1, "text", b"bytes", {}, [], (), 1.5, True, object(), Model(), (Model(), [])),
        *(Response(), PlainTextResponse(""), HTMLResponse(""), JSONResponse({}), RedirectResponse("/")),
        *(Rendered({}), Constructed({})),
        Response(background=BackgroundTask(print)),
        Response(background=BackgroundTasks()),
        Response(background=FastAPIBackgroundTasks()),
        JSONResponse({}, background=BackgroundTask(application)),
    ],
    ids=lambda result: type(result).__name__,
)
def test_result_that_needs_no_loop(result: object) -> None:
    assert [needs_loop(result), needs_loop(result)] == [False, False]


@pytest.mark.parametrize(
    "result",
    [
        StreamingResponse(iter([])),
        FileResponse("no such file"),
        Sending({}),
        Propertied({}),
        Response(background=OwnTask(print)),
        Response(background=application),  # type: ignore[arg-type]
        NoResponse(),
        application,
        functools.partial(application, {}),
        Response,
        StaticFiles(directory="."),
    ],
    ids=lambda result: type(result).__name__,
)
def test_result_that_needs_the_loop(result: object) -> None:
    assert [needs_loop(result), needs_loop(result)] == [True, True]


def test_template_needs_no_loop() -> None:
    pytest.importorskip("jinja2")
    from jinja2 import Template
    from starlette.templating import _TemplateResponse

    assert not needs_loop(_TemplateResponse(Template("text"), {}))


def test_types_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "KINDS", {})
    monkeypatch.setattr(responses, "KINDS_LIMIT", 2)
    for number in range(4):
        assert not needs_loop(type(f"Type{number}", (), {})())
    assert len(responses.KINDS) == 2
