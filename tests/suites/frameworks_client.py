"""Starlette's `TestClient` whose requests travel over a socket to a server.

All that makes and merges requests is Starlette's; replaced are the transport, the lifespan and the WebSocket session.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from frameworks_server import LoopbackServer, choice, kept_servers, raised
from frameworks_websocket import WebSocketSession
from starlette import testclient
from starlette.testclient import httpx


class Exchange:
    """One request, from when it is sent until the app has ended."""

    def __init__(self, server: LoopbackServer, *, is_raising: bool) -> None:
        choice.requests += 1
        self._server = server
        self._is_raising = is_raising
        self._collected = raised.open()

    @property
    def has_raised(self) -> bool:
        """Whether the app has raised something."""
        return bool(self._collected)

    def end(self, *, is_abandoned: bool = False) -> None:
        """Wait for the app, and raise what it raised; only the first call raises."""
        try:
            self._server.wait_until_idle(is_abandoned=is_abandoned)
        finally:
            raised.close_request(self._collected)
        if self._collected:
            # The connection is about to be closed: the next request needs another one.
            self._server.forget_connections()
        if self._is_raising and self._collected:
            self._is_raising = False
            raise self._collected[0]


class ResponseStream(httpx.SyncByteStream):
    """The content of a response; its end is the end of the app, with its background tasks."""

    def __init__(self, response: httpx.Response, exchange: Exchange, opened: set[ResponseStream]) -> None:
        self._response = response
        self._exchange = exchange
        self._opened = opened
        self._is_read = False
        opened.add(self)

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._response.stream, httpx.SyncByteStream)
        try:
            yield from self._response.stream
        except httpx.TransportError:
            # The server has nothing to add to a response whose app has failed: it closes the connection.
            self._exchange.end()
            if not self._exchange.has_raised:
                raise
        self._is_read = True

    def close(self) -> None:
        self._opened.discard(self)
        try:
            self._response.close()
        finally:
            self._exchange.end(is_abandoned=not self._is_read)


class SocketTransport(httpx.BaseTransport):
    """Sends requests for whatever host to the client's server, with the headers that they have."""

    def __init__(self, client: TestClient, root_path: str, *, is_raising: bool) -> None:
        self._client = client
        self._root_path = root_path.encode()
        self._is_raising = is_raising
        self._opened: set[ResponseStream] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        server = self._client.find_server()
        scheme = request.url.scheme
        if scheme in ("ws", "wss"):
            session: Any = WebSocketSession(server, request, is_raising=self._is_raising)
            raise testclient._Upgrade(session)
        headers = request.headers.copy()
        if scheme == "https":
            # The server speaks for a proxy that has ended TLS.
            headers["x-forwarded-proto"] = scheme
        url = request.url.copy_with(
            scheme="http", host="127.0.0.1", port=server.port, raw_path=self._path_behind_proxy(request.url.raw_path)
        )
        sent = httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        exchange = Exchange(server, is_raising=self._is_raising)
        try:
            response = server.http.handle_request(sent)
        except BaseException:
            exchange.end()
            raise
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=ResponseStream(response, exchange, self._opened),
            extensions=response.extensions,
        )

    def _path_behind_proxy(self, path: bytes) -> bytes:
        """Take the root path off: the server puts it before each path, and the in-process client does not."""
        prefix = self._root_path.rstrip(b"/")
        return path.removeprefix(prefix) if path.startswith(prefix + b"/") else path

    def close(self) -> None:
        """Leave what is still open, and end the server that is kept."""
        for stream in list(self._opened):
            stream.close()
        self._client.end_server()


class TestClient(testclient.TestClient):
    """The client; a server is started at the first request, or by `with`, which also runs the lifespan."""

    __test__ = False

    def __init__(self, app: Any, *args: Any, **options: Any) -> None:
        super().__init__(app, *args, **options)
        replaced: Any = self._transport
        self._root_path: str = replaced.root_path
        self._transport = SocketTransport(self, self._root_path, is_raising=replaced.raise_server_exceptions)
        # Without `with`, and from its entry to its exit.
        self._kept_server = self._make_server(has_lifespan=False)
        self._server: LoopbackServer | None = None

    def find_server(self) -> LoopbackServer:
        """Return the server that `with` has started, or the one that is kept for this client."""
        return self._server or kept_servers.use(self._kept_server)

    def end_server(self) -> None:
        """End the server that is kept, if it is running."""
        kept_servers.end(self._kept_server)

    def _make_server(self, *, has_lifespan: bool) -> LoopbackServer:
        return LoopbackServer(self.app, state=self.app_state, root_path=self._root_path, has_lifespan=has_lifespan)

    def __enter__(self) -> Self:
        self.end_server()
        server = self._make_server(has_lifespan=True)
        server.start()
        self._server, self.portal = server, server.portal
        return self

    def __exit__(self, *args: Any) -> None:
        self._transport.close()
        server, self._server, self.portal = self._server, None, None
        assert server is not None
        server.stop()
