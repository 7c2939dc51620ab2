"""FastAPI and Starlette apps through httpx: what users have."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests import raw
from tests.conftest import Serve, ServeShared


class Item(BaseModel):
    name: str
    price: float = 1.5


def make_api() -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        yield {"database": "connected"}

    api = FastAPI(lifespan=lifespan)

    @api.get("/hello")
    def hello() -> dict[str, str]:
        return {"hello": "world", "thread": threading.current_thread().name}

    @api.get("/state")
    async def state(request: Request) -> dict[str, Any]:
        return {"database": request.state.database}

    @api.post("/items/{item_id}")
    async def item(item_id: int, item: Item, query: str | None = None) -> dict[str, Any]:
        return {"id": item_id, "query": query, **item.model_dump()}

    @api.get("/depends")
    async def depends(value: Annotated[str, Depends(lambda: "depended")]) -> str:
        return value

    @api.get("/error")
    async def error() -> None:
        raise HTTPException(418, "short and stout", headers={"X-Error": "yes"})

    @api.get("/crash")
    def crash() -> None:
        raise RuntimeError("as asked")

    @api.post("/upload")
    async def upload(file: Annotated[UploadFile, File()], note: Annotated[str, Form()]) -> dict[str, Any]:
        data = await file.read()
        return {"name": file.filename, "size": len(data), "sha": hashlib.sha256(data).hexdigest(), "note": note}

    @api.get("/stream")
    async def stream() -> StreamingResponse:
        async def numbers() -> AsyncIterator[str]:
            for number in range(5):
                yield f"{number},"
                await asyncio.sleep(0)

        return StreamingResponse(numbers(), media_type="text/plain")

    @api.get("/sync-stream")
    def sync_stream() -> StreamingResponse:
        return StreamingResponse((f"{number}," for number in range(5)), media_type="text/plain")

    return api


@pytest.fixture
def client(serve: Serve) -> Iterator[httpx.Client]:
    with serve(make_api(), lifespan="on") as server, httpx.Client(base_url=server.url, timeout=5) as client:
        yield client


def test_fastapi(client: httpx.Client) -> None:
    response = client.get("/hello")
    assert (response.status_code, response.json()["hello"]) == (200, "world")
    assert client.get("/state").json() == {"database": "connected"}
    answer = client.post("/items/5?query=q", json={"name": "é", "price": 2}).json()
    assert answer == {"id": 5, "query": "q", "name": "é", "price": 2.0}
    assert client.post("/items/x", json={}).status_code == 422
    assert client.get("/depends").json() == "depended"
    assert client.get("/nowhere").json() == {"detail": "Not Found"}
    assert client.put("/hello").status_code == 405
    response = client.get("/error")
    assert (response.status_code, response.json(), response.headers["x-error"]) == (
        418,
        {"detail": "short and stout"},
        "yes",
    )
    assert client.get("/docs").status_code == 200
    assert client.get("/openapi.json").json()["info"]["title"] == "FastAPI"


def test_fastapi_streams_and_uploads(client: httpx.Client) -> None:
    for target in ("/stream", "/sync-stream"):
        response = client.get(target)
        assert (response.text, response.headers["transfer-encoding"]) == ("0,1,2,3,4,", "chunked")
    data = bytes(range(256)) * 8 * 1024
    response = client.post("/upload", files={"file": ("a.bin", data)}, data={"note": "n"})
    assert response.json() == {"name": "a.bin", "size": len(data), "sha": hashlib.sha256(data).hexdigest(), "note": "n"}


def test_fastapi_exception_is_500_and_logged(serve: Serve) -> None:
    with serve(make_api(), lifespan="on") as server:
        response = httpx.get(server.url + "/crash")
        assert (response.status_code, response.text) == (500, "Internal Server Error")
        record = server.logs.wait_for("Exception in ASGI application")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], RuntimeError)


def test_sync_endpoint_runs_in_another_thread(serve: Serve) -> None:
    with serve(make_api(), lifespan="on") as server:
        names = {httpx.get(server.url + "/hello").json()["thread"] for _ in range(3)}
    assert threading.current_thread().name not in names
    assert "server under test" not in names


def test_background_tasks_run_after_the_response(serve_shared: ServeShared) -> None:
    order: SimpleQueue[str] = SimpleQueue()
    release = threading.Event()
    api = FastAPI()

    @api.get("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(asynchronous)
        tasks.add_task(synchronous)
        return "sent"

    async def asynchronous() -> None:
        # The client has its answer before this ends: it releases it.
        await asyncio.to_thread(release.wait, 5)
        order.put("async")

    def synchronous() -> None:
        order.put("sync")

    server = serve_shared(api)
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/").json() == "sent"
        release.set()
        assert [order.get(timeout=5), order.get(timeout=5)] == ["async", "sync"]
        assert client.get("/").json() == "sent"


def test_base_http_middleware(serve_shared: ServeShared) -> None:
    class Stamp(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: RequestResponseEndpoint) -> Response:
            body = await request.body()
            response = await call_next(request)
            response.headers["x-seen"] = str(len(body))
            return response

    async def endpoint(request: Any) -> Response:
        return PlainTextResponse(await request.body())

    async def stream(request: Any) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"piece"

        return StreamingResponse(pieces())

    async def crash(request: Any) -> Response:
        raise ValueError("in the endpoint")

    routes = [
        Route("/", endpoint, methods=["POST"]),
        Route("/stream", stream),
        Route("/crash", crash),
    ]
    server = serve_shared(Starlette(routes=routes, middleware=[Middleware(Stamp), Middleware(GZipMiddleware)]))
    with httpx.Client(base_url=server.url) as client:
        response = client.post("/", content=b"x" * 10_000)
        assert (response.text, response.headers["x-seen"]) == ("x" * 10_000, "10000")
        assert response.headers["content-encoding"] == "gzip"
        assert client.get("/stream").content == b"piece" * 3
        # Starlette raises again after its 500, upon which the server closes: a connection of its own.
        assert httpx.get(server.url + "/crash").status_code == 500
        assert client.get("/stream").content == b"piece" * 3


def test_streaming_response_stops_when_the_client_leaves(serve_shared: ServeShared) -> None:
    ended: SimpleQueue[str] = SimpleQueue()

    async def endless(request: Any) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"piece"
                    await asyncio.sleep(0.001)
            except BaseException as error:
                ended.put(type(error).__name__)
                raise

        return StreamingResponse(pieces(), background=BackgroundTask(ended.put, "background"))

    server = serve_shared(Starlette(routes=[Route("/", endless)]))
    with server.connect() as client:
        client.send(raw.request())
        client.response_head()
        client.close()
        assert ended.get(timeout=5) == "CancelledError"
    with server.connect() as client:
        client.send(raw.request(target="/nowhere"))
        assert client.response().status == 404
    assert server.logs.messages == []


def test_request_is_disconnected(serve_shared: ServeShared) -> None:
    answers: SimpleQueue[bool] = SimpleQueue()

    async def watch(request: Any) -> Response:
        answers.put(await request.is_disconnected())
        while not await request.is_disconnected():
            await asyncio.sleep(0.001)
        answers.put(True)
        return Response()

    server = serve_shared(Starlette(routes=[Route("/", watch)]))
    with server.connect() as client:
        client.send(raw.request())
        assert answers.get(timeout=5) is False
        client.close()
        assert answers.get(timeout=5) is True


def test_client_disconnect_while_the_body_is_read(serve_shared: ServeShared) -> None:
    ended: SimpleQueue[str] = SimpleQueue()

    async def read(request: Any) -> Response:
        try:
            await request.body()
        except ClientDisconnect:
            ended.put("ClientDisconnect")
        return Response()

    server = serve_shared(Starlette(routes=[Route("/", read, methods=["POST"])]))
    with server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "10")]) + b"part")
        client.close()
        assert ended.get(timeout=5) == "ClientDisconnect"


def test_streamed_upload_to_a_streaming_endpoint(serve_shared: ServeShared) -> None:
    async def digest(request: Any) -> Response:
        value = hashlib.sha256()
        async for piece in request.stream():
            value.update(piece)
        return JSONResponse({"sha": value.hexdigest()})

    pieces = [bytes([number]) * 50_000 for number in range(40)]
    server = serve_shared(Starlette(routes=[Route("/", digest, methods=["POST"])]))
    answer = httpx.post(server.url, content=iter(pieces)).json()
    assert answer == {"sha": hashlib.sha256(b"".join(pieces)).hexdigest()}


def test_file_response_with_ranges(tmp_path: Any, serve_shared: ServeShared) -> None:
    data = bytes(range(256)) * 1024
    path = tmp_path / "data.bin"
    path.write_bytes(data)

    async def endpoint(request: Any) -> Response:
        return FileResponse(path)

    server = serve_shared(Starlette(routes=[Route("/", endpoint)]))
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/").content == data
        response = client.get("/", headers={"Range": "bytes=100-199"})
        assert (response.status_code, response.content) == (206, data[100:200])
        assert client.head("/").headers["content-length"] == str(len(data))


def test_many_clients_at_once(serve_shared: ServeShared) -> None:
    async def endpoint(request: Any) -> Response:
        await asyncio.sleep(0.001)
        return JSONResponse({"number": request.query_params["n"]})

    server = serve_shared(Starlette(routes=[Route("/", endpoint)]))

    async def main() -> list[str]:
        limits = httpx.Limits(max_connections=20)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=10) as client:
            responses = await asyncio.gather(*(client.get(f"/?n={number}") for number in range(200)))
            return [response.json()["number"] for response in responses]

    assert asyncio.run(main()) == [str(number) for number in range(200)]
