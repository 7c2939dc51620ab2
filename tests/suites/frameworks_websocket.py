"""The session of Starlette's test client, over a socket."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import Any, Self

from frameworks_server import HANG_SECONDS, LoopbackServer, choice, raised
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

# What the handshake sends itself.
HANDSHAKE_HEADERS = (
    *("host", "connection", "upgrade", "user-agent"),
    *("sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"),
)
# The server's answer to an app that refuses a handshake without a response of its own.
REFUSED = 403


class WebSocketSession:
    """Connects when entered; when left, it closes and raises what the app raised."""

    def __init__(self, server: LoopbackServer, request: Any, *, is_raising: bool) -> None:
        self._server = server
        self._request = request
        self._is_raising = is_raising
        self._stack = ExitStack()
        self._connection: ClientConnection
        self.accepted_subprotocol: str | None = None
        self.extra_headers: Any = None

    def __enter__(self) -> Self:
        choice.requests += 1
        self._collected = raised.open()
        request = self._request
        kept = [(name, value) for name, value in request.headers.multi_items() if name not in HANDSHAKE_HEADERS]
        offered = request.headers.get("sec-websocket-protocol")
        address = socket.create_connection(("127.0.0.1", self._server.port), HANG_SECONDS)
        try:
            connecting = connect(
                f"ws://{request.headers['host']}{request.url.raw_path.decode()}",
                sock=address,
                subprotocols=[name.strip() for name in offered.split(",")] if offered else None,
                additional_headers=kept,
                user_agent_header=request.headers["user-agent"],
                compression=None,
                proxy=None,
                open_timeout=HANG_SECONDS,
                close_timeout=HANG_SECONDS,
                max_size=None,
            )
            self._connection = self._stack.enter_context(connecting)
        except InvalidStatus as error:
            address.close()
            self._end()
            response = error.response
            if response.status_code == REFUSED and not response.body:
                raise WebSocketDisconnect(1000) from None
            raise WebSocketDenialResponse(
                status_code=response.status_code,
                headers=list(response.headers.raw_items()),
                content=bytes(response.body or b""),
            ) from None
        except BaseException:
            address.close()
            self._end()
            raise
        self.accepted_subprotocol = self._connection.subprotocol
        accepted = self._connection.response
        assert accepted is not None
        self.extra_headers = [(name.lower().encode(), value.encode()) for name, value in accepted.headers.raw_items()]
        return self

    def __exit__(self, *args: Any) -> None:
        self._stack.close()
        self._end()

    def _end(self) -> None:
        try:
            self._server.wait_until_idle(is_abandoned=True)
        finally:
            raised.close_request(self._collected)
        if self._collected and self._is_raising:
            raise self._collected[0]

    def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.disconnect":
            self.close(message.get("code", 1000), message.get("reason"))
        else:
            text = message.get("text")
            self._connection.send(message["bytes"] if text is None else text)

    def send_text(self, data: str) -> None:
        self._connection.send(data)

    def send_bytes(self, data: bytes) -> None:
        self._connection.send(data)

    def send_json(self, data: Any, mode: str = "text") -> None:
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        self._connection.send(text if mode == "text" else text.encode())

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        self._connection.close(code, reason or "")

    def receive(self) -> dict[str, Any]:
        try:
            data = self._connection.recv(HANG_SECONDS)
        except ConnectionClosed as closed:
            frame = closed.rcvd
            return {
                "type": "websocket.close",
                "code": 1006 if frame is None else frame.code,
                "reason": "" if frame is None else frame.reason,
            }
        return {"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data}

    def _receive_data(self, key: str) -> Any:
        message = self.receive()
        if message["type"] == "websocket.close":
            raise WebSocketDisconnect(code=message["code"], reason=message["reason"])
        return message[key]

    def receive_text(self) -> Any:
        return self._receive_data("text")

    def receive_bytes(self) -> Any:
        return self._receive_data("bytes")

    def receive_json(self, mode: str = "text") -> Any:
        return json.loads(self._receive_data("text" if mode == "text" else "bytes"))
