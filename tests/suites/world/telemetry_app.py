"""FastAPI with OpenTelemetry's instrumentation, and a Starlette application behind its ASGI middleware.

The spans are kept in memory; `/spans` gives those that have ended.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import baggage, trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer(__name__)

# So many requests are inside their endpoints at once before one of them goes on.
TOGETHER = 8
threads = threading.Barrier(TOGETHER, timeout=10)
tasks = asyncio.Barrier(TOGETHER)


def current() -> dict[str, str]:
    """What is current here: the trace, the span, and what came along as baggage."""
    context = trace.get_current_span().get_span_context()
    return {
        "trace": f"{context.trace_id:032x}",
        "span": f"{context.span_id:016x}",
        "baggage": str(baggage.get_baggage("name")),
    }


def sync_dependency() -> dict[str, str]:
    with tracer.start_as_current_span("sync dependency"):
        return current()


async def async_dependency() -> dict[str, str]:
    with tracer.start_as_current_span("async dependency"):
        return current()


app = FastAPI()


@app.get("/sync/{name}")
def sync_endpoint(name: str, before: dict[str, str] = Depends(async_dependency)) -> list[dict[str, str]]:  # noqa: B008
    with tracer.start_as_current_span(f"work for {name}"):
        first = current()
        threads.wait()
        return [before, first, current()]


@app.get("/plain/{name}")
def plain_endpoint(name: str) -> list[dict[str, str]]:
    with tracer.start_as_current_span(f"work for {name}"):
        first = current()
        threads.wait()
        return [first, current()]


@app.get("/async/{name}")
async def async_endpoint(name: str, before: dict[str, str] = Depends(sync_dependency)) -> list[dict[str, str]]:  # noqa: B008
    with tracer.start_as_current_span(f"work for {name}"):
        first = current()
        await tasks.wait()
        return [before, first, current()]


@app.get("/stream/{name}")
async def stream(name: str) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for _ in range(3):
            await tasks.wait()
            with tracer.start_as_current_span(f"work for {name}"):
                yield current()["trace"] + "\n"

    return StreamingResponse(lines())


@app.get("/outside")
def outside() -> dict[str, str]:
    return current()


@app.get("/outside/async")
async def outside_async() -> dict[str, str]:
    return current()


def read_spans() -> list[dict[str, object]]:
    spans = exporter.get_finished_spans()
    exporter.clear()
    return [
        {
            "name": span.name,
            "trace": f"{span.context.trace_id:032x}",
            "span": f"{span.context.span_id:016x}",
            "parent": None if span.parent is None else f"{span.parent.span_id:016x}",
            "kind": span.kind.name,
            "route": (span.attributes or {}).get("http.route"),
        }
        for span in spans
    ]


@app.get("/spans")
def spans() -> list[dict[str, object]]:
    return read_spans()


FastAPIInstrumentor.instrument_app(app, excluded_urls="outside,spans")


async def starlette_endpoint(request: Request) -> JSONResponse:
    first = current()
    await tasks.wait()
    return JSONResponse([first, current()])


def starlette_sync_endpoint(request: Request) -> JSONResponse:
    first = current()
    threads.wait()
    return JSONResponse([first, current()])


async def starlette_spans(request: Request) -> JSONResponse:
    return JSONResponse(read_spans())


async def starlette_outside(request: Request) -> JSONResponse:
    return JSONResponse(current())


starlette_app = Starlette(
    routes=[
        Route("/async/{name}", starlette_endpoint),
        Route("/plain/{name}", starlette_sync_endpoint),
        Route("/outside", starlette_outside),
        Route("/spans", starlette_spans),
    ],
    middleware=[Middleware(OpenTelemetryMiddleware, excluded_urls="outside,spans")],
)
