"""HTTP/2 over TLS, to peers that read late."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import http2_frames as h2
from tests import raw_http2
from tests.apps import Receive, Scope, Send, body, start
from tests.conftest import ServeProcess
from tests.processes import needs_proc, wait_until_idle
from tests.tls import Authority, needs_openssl

# TLS holds up to 64 KiB back when the kernel takes no more. How much that is, nobody knows: one of these will do.
SIZES = range(16 * 1024, 4 * 1024 * 1024, 48 * 1024)
WINDOW = 2 * SIZES.stop


async def sized(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with as many bytes as the path says."""
    await send(start())
    await send(body(bytes(int(scope["path"][1:]))))


@needs_proc
@needs_openssl
@pytest.mark.differs_from_uvicorn("no HTTP/2")
def test_what_tls_holds_back_leaves_when_the_peer_reads(serve_process: ServeProcess, tmp_path: Path) -> None:
    certificate = Authority(tmp_path).issue("localhost")
    arguments = ("--lifespan", "off", "--no-access-log", *certificate.arguments)
    with serve_process(f"{__name__}:sized", *arguments) as server, ExitStack() as stack:
        asked = []
        for size in SIZES:
            client = raw_http2.Client(
                server.host,
                server.port,
                tls=raw_http2.client_context("h2"),
                initial={h2.INITIAL_WINDOW_SIZE: WINDOW},
                grants=False,
            )
            stack.enter_context(client)
            client.send(h2.window_update(WINDOW))
            asked.append((client, client.request(path=f"/{size}".encode()), size))
        wait_until_idle(server.pid)
        for client, stream, size in asked:
            response = client.response(stream)
            assert (response.status, len(response.body), response.is_ended) == (200, size, True)
