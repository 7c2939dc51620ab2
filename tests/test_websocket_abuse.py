"""WebSocket messages longer than they look: refused at --ws-max-size, before anything of that size is allocated.

`--suite-server` runs the same on another server.
"""

from __future__ import annotations

import contextlib
import resource
import zlib
from collections.abc import Iterator

import pytest

from tests import raw_websocket as ws
from tests.processes import forget_peak, memory_kib, needs_proc, peak_kib, wait_until_idle
from tests.suites.servers import Running, running

pytestmark = [needs_proc, pytest.mark.timeout(60)]

APP = "tests.suites.apps:app"
MAX_SIZES = (64 * 1024, 16 * 1024 * 1024)
# What a message that is refused may cost beyond the limit, at its peak.
SLACK_KIB = 1024
IDLE_COUNT, IDLE_KIB = 1_000, 40 * 1024


@pytest.fixture(params=MAX_SIZES, ids=["64 KiB", "16 MiB"])
def limited(request: pytest.FixtureRequest, suite_server: str) -> Iterator[tuple[Running, int]]:
    """A server and its --ws-max-size in bytes."""
    with running(suite_server, APP, options=["--ws-max-size", str(request.param)]) as server:
        warm_up(server)
        yield server, request.param


def warm_up(server: Running) -> None:
    """Make the server allocate what it needs once."""
    for _ in range(5):
        with ws.connect(server.host, server.port, extensions=ws.DEFLATE) as client:
            client.send(b"x" * 32 * 1024)
            client.read()
            client.send_deflated(b"x" * 32 * 1024)
            client.read()
    wait_until_idle(server.pid)


def bomb(size: int) -> bytes:
    """Deflate so many zeros, a thousand to one."""
    compressor = zlib.compressobj(9, wbits=-15)
    piece = bytes(1024 * 1024)
    data = b"".join(compressor.compress(piece) for _ in range(size // len(piece)))
    return (data + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(ws.FLUSH_TAIL)


def assert_refused(server: Running, client: ws.WebSocket, before_kib: int, allowed_kib: int) -> None:
    closed = client.read()
    assert isinstance(closed, ws.Close), closed
    assert closed.code == 1009
    assert peak_kib(server.pid) - before_kib <= allowed_kib
    with ws.connect(server.host, server.port) as other:
        other.send("still there?")
        assert other.read() == "still there?"


def test_deflate_bomb_is_refused_while_it_inflates(limited: tuple[Running, int]) -> None:
    server, max_size = limited
    deflated = bomb(200 * 1024 * 1024)
    assert len(deflated) < 210_000
    with ws.connect(server.host, server.port, extensions=ws.DEFLATE) as client:
        assert client.is_deflate
        before = forget_peak(server.pid)
        client.send_frame(ws.BINARY, deflated, rsv=4)
        assert_refused(server, client, before, max_size // 1024 + SLACK_KIB)


def test_bomb_in_fragments_is_refused_while_it_inflates(limited: tuple[Running, int]) -> None:
    server, max_size = limited
    deflated = bomb(200 * 1024 * 1024)
    with ws.connect(server.host, server.port, extensions=ws.DEFLATE) as client:
        before = forget_peak(server.pid)
        with contextlib.suppress(ConnectionError):
            client.send_frame(ws.BINARY, deflated[:1000], rsv=4, fin=False)
            for at in range(1000, len(deflated), 1000):
                client.send_frame(ws.CONTINUATION, deflated[at : at + 1000], fin=False)
        assert_refused(server, client, before, max_size // 1024 + SLACK_KIB)


@pytest.mark.parametrize("declared", [1 << 40, (1 << 63) - 1], ids=["1 TiB", "2^63-1"])
def test_frame_that_declares_too_much_is_refused_at_its_head(declared: int, limited: tuple[Running, int]) -> None:
    server, _ = limited
    with ws.connect(server.host, server.port) as client:
        before = forget_peak(server.pid)
        client.pipe.send(ws.frame_head(ws.BINARY, declared) + b"x" * 1000)
        assert_refused(server, client, before, SLACK_KIB)


# Not 16 million frames of one byte: they would take a minute to send.
@pytest.mark.parametrize(
    ("limited", "size"),
    [(MAX_SIZES[0], 1), (MAX_SIZES[0], 60_000), (MAX_SIZES[1], 1_000), (MAX_SIZES[1], 60_000)],
    ids=["64 KiB of 1 byte", "64 KiB of 60,000", "16 MiB of 1,000", "16 MiB of 60,000"],
    indirect=["limited"],
)
def test_endless_fragments_are_refused_at_the_limit(limited: tuple[Running, int], size: int) -> None:
    server, max_size = limited
    with ws.connect(server.host, server.port, timeout=20) as client:
        before = forget_peak(server.pid)
        client.send_frame(ws.BINARY, b"x", fin=False)
        frames = max(1, 60_000 // size)
        batch = ws.frame(ws.CONTINUATION, b"x" * size, fin=False) * frames
        # One batch over the limit, and not for ever: a server that takes it fails below.
        with contextlib.suppress(ConnectionError):
            for _ in range(max_size // (frames * size) + 1):
                client.pipe.send(batch)
        assert_refused(server, client, before, max_size // 1024 + SLACK_KIB)


def test_empty_fragments_without_end_cost_nothing(limited: tuple[Running, int]) -> None:
    server, _ = limited
    with ws.connect(server.host, server.port, timeout=20) as client:
        before = forget_peak(server.pid)
        client.send_frame(ws.TEXT, fin=False)
        batch = ws.frame(ws.CONTINUATION, fin=False) * 10_000
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                client.pipe.send(batch)
            client.send_frame(ws.CONTINUATION, b"end")
        assert client.read() == "end"
        assert peak_kib(server.pid) - before <= SLACK_KIB


def test_thousand_idle_websockets_with_deflate_cost_at_most_40_mib(suite_server: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * IDLE_COUNT + 200
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with running(suite_server, APP) as server, contextlib.ExitStack() as stack:
        warm_up(server)
        before = memory_kib(server.pid)
        for number in range(IDLE_COUNT):
            client = stack.enter_context(ws.connect(server.host, server.port, extensions=ws.DEFLATE))
            assert client.is_deflate
            # A message each way fills the windows, where a server keeps any.
            message = f"message {number}: " + "lorem ipsum dolor sit amet " * 200
            client.send_deflated(message)
            assert client.read() == message
        wait_until_idle(server.pid)
        grown = memory_kib(server.pid) - before
    assert grown <= IDLE_KIB, f"{grown} KiB"
