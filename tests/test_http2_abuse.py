"""HTTP/2 that is legal frame by frame and an attack as a whole: how soon it ends, what it costs, who else notices.

Each flood is sent up to its figure and not beyond, so that a server that waits longer fails. `--suite-server` runs the
same on another server.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests import http2_frames as h2
from tests import raw, raw_http2
from tests.processes import forget_peak, needs_proc, peak_kib, precise_cpu_seconds, wait_until_idle
from tests.raw import Closed, StillOpen
from tests.suites.servers import Running, running

pytestmark = [needs_proc, pytest.mark.timeout(60)]

APP = "tests.suites.apps:app"
# How many of a kind a connection may send before the server ends it, and the CPU time that may take.
RESETS, PINGS, SETTINGS, EMPTY_DATA = 200, 1_000, 1_000, 256
HEADER_BYTES = 256 * 1024
# 10 ms on a machine at rest; schedulers and frequency of a shared one make it several times that.
FLOOD_CPU_SECONDS = 0.05
CONNECTION_KIB = 8 * 1024
BLOCK = h2.request_block()


@pytest.fixture
def server(suite_server: str) -> Iterator[Running]:
    with running(suite_server, APP) as server:
        # What is allocated once is allocated now: threads, caches, arenas.
        for _ in range(3):
            with connect(server) as client:
                for path in (b"/", b"/big", b"/stream", b"/"):
                    assert client.exchange(path=path).status == 200
        wait_until_idle(server.pid)
        yield server


def connect(server: Running, **options: object) -> raw_http2.Client:
    return raw_http2.Client(server.host, server.port, **options)  # type: ignore[arg-type]  # the client's own


def flood(client: raw_http2.Client, data: bytes) -> None:
    """Send it all; a server that has had enough may close meanwhile."""
    with contextlib.suppress(ConnectionError):
        client.send(data)


def assert_others_are_served(server: Running) -> None:
    with connect(server) as other:
        assert other.exchange().status == 200


def assert_ended_calmly(server: Running, client: raw_http2.Client) -> None:
    assert client.wait_goaway().error == h2.ENHANCE_YOUR_CALM
    client.wait_closed()
    assert_others_are_served(server)


def test_rapid_reset_ends_within_200_streams(server: Running) -> None:
    with connect(server) as client:
        streams = [client.open_stream() for _ in range(RESETS)]
        flood(client, b"".join(h2.headers(stream, BLOCK) + h2.rst_stream(stream) for stream in streams))
        assert_ended_calmly(server, client)


def test_rapid_reset_of_running_requests_ends_within_200_streams(server: Running) -> None:
    block = h2.request_block(path=b"/waits")
    with connect(server) as client:
        with contextlib.suppress(ConnectionError, Closed):
            for _ in range(RESETS):
                stream = client.open_stream()
                client.send(h2.headers(stream, block))
                # The acknowledgement says that the server has read the head before it reads the reset.
                client.ping()
                client.send(h2.rst_stream(stream))
        assert_ended_calmly(server, client)


def _update_of_zero(stream: int) -> bytes:
    return h2.headers(stream, BLOCK, end_stream=False) + h2.window_update(0, stream)


def _update_beyond_the_window(stream: int) -> bytes:
    return h2.headers(stream, BLOCK, end_stream=False) + h2.window_update(0x7FFF_FFFF, stream)


def _data_after_the_end(stream: int) -> bytes:
    return h2.headers(stream, BLOCK) + h2.frame(h2.DATA, 0, stream, b"x")


def _headers_that_are_malformed(stream: int) -> bytes:
    return h2.headers(stream, h2.request_block(b"GET", b"/", (b"Upper-Case", b"x")))


@pytest.mark.parametrize(
    "offence", [_update_of_zero, _update_beyond_the_window, _data_after_the_end, _headers_that_are_malformed]
)
def test_resets_that_the_client_provokes_end_within_200(offence: Callable[[int], bytes], server: Running) -> None:
    with connect(server) as client:
        flood(client, b"".join(offence(client.open_stream()) for _ in range(RESETS)))
        # A server may also call the first of them an error of the connection.
        assert client.wait_goaway().error != h2.NO_ERROR
        client.wait_closed()
    assert_others_are_served(server)


def test_continuation_flood_ends_within_256_kib(server: Running) -> None:
    before = forget_peak(server.pid)
    piece = h2.literal(b"x-flood", b"y" * 16_000)
    with connect(server) as client:
        stream = client.open_stream()
        flood(client, h2.headers(stream, BLOCK, end_headers=False))
        sent = 0
        while sent < HEADER_BYTES:
            flood(client, h2.frame(h2.CONTINUATION, 0, stream, piece))
            sent += len(piece)
        # Once the limit is passed, the head may be answered (431), the stream reset or the connection closed; but what
        # goes on past it ends the connection.
        client.wait_closed()
    assert peak_kib(server.pid) - before <= 1024
    assert_others_are_served(server)


def test_ping_flood_ends_within_1000(server: Running) -> None:
    with connect(server) as client:
        client.wait_settings()
        before = precise_cpu_seconds(server.pid)
        flood(client, h2.frame(h2.PING, payload=b"bicorn42") * PINGS)
        assert client.wait_goaway().error == h2.ENHANCE_YOUR_CALM
        client.wait_closed()
        assert precise_cpu_seconds(server.pid) - before <= FLOOD_CPU_SECONDS
    assert_others_are_served(server)


def test_settings_flood_ends_within_1000(server: Running) -> None:
    with connect(server) as client:
        client.wait_settings()
        before = precise_cpu_seconds(server.pid)
        flood(client, h2.settings({h2.INITIAL_WINDOW_SIZE: 65_535}) * SETTINGS)
        assert client.wait_goaway().error == h2.ENHANCE_YOUR_CALM
        client.wait_closed()
        assert precise_cpu_seconds(server.pid) - before <= FLOOD_CPU_SECONDS
    assert_others_are_served(server)


def test_empty_data_flood_ends_within_256(server: Running) -> None:
    with connect(server) as client:
        stream = client.open_stream()
        block = h2.request_block(b"POST", b"/echo")
        flood(client, h2.headers(stream, block, end_stream=False))
        flood(client, h2.frame(h2.DATA, 0, stream) * EMPTY_DATA)
        assert_ended_calmly(server, client)


def test_few_of_each_kind_are_no_attack(server: Running) -> None:
    with connect(server) as client:
        for _ in range(10):
            stream = client.open_stream()
            client.send(h2.headers(stream, BLOCK) + h2.rst_stream(stream))
        client.send(h2.frame(h2.PING, payload=b"honestly") * 50)
        client.send(h2.settings() * 20)
        stream = client.open_stream()
        client.send(h2.headers(stream, h2.request_block(b"POST", b"/echo"), end_stream=False))
        client.send(h2.frame(h2.DATA, 0, stream) * 20)
        client.send_body(stream, b"after all")
        assert client.response(stream).body == b"after all"
        assert client.goaway is None


def test_hpack_bomb_costs_at_most_1_mib(server: Running) -> None:
    before = forget_peak(server.pid)
    # Entry 62 is 3.9 KiB long; each further byte refers to it: 16 KiB of frames stand for 60 MiB of fields.
    planted = h2.literal(b"x-bomb", b"y" * 3_900, indexed=True)
    bomb = BLOCK + planted + h2.indexed(62) * 12_000
    with connect(server) as client, contextlib.suppress(ConnectionError, Closed):
        for _ in range(20):
            stream = client.open_stream()
            client.send(h2.headers(stream, bomb))
            answer = client.response(stream)
            assert answer.reset is not None or answer.status == 431
    assert peak_kib(server.pid) - before <= 1024
    assert_others_are_served(server)


@pytest.mark.parametrize("path", [b"/big", b"/stream"], ids=["one event", "streamed"])
@pytest.mark.parametrize("window", [0, 1])
def test_client_that_takes_nothing_costs_at_most_8_mib(path: bytes, window: int, server: Running) -> None:
    before = forget_peak(server.pid)
    with connect(server, initial={h2.INITIAL_WINDOW_SIZE: window}, grants=False) as client:
        streams = [client.request(path=path) for _ in range(100)]
        for stream in streams:
            assert client.head(stream).status == 200
        if window:
            _take_bytes_one_by_one(client, streams)
        client.ping()
        for _ in range(20):
            assert_others_are_served(server)
        wait_until_idle(server.pid)
        assert peak_kib(server.pid) - before <= CONNECTION_KIB
        assert all(len(client.streams[stream].body) <= 10 * window for stream in streams)


def _take_bytes_one_by_one(client: raw_http2.Client, streams: list[int]) -> None:
    for count in range(1, 10):
        while any(len(client.streams[stream].body) < count for stream in streams):
            client.pump()
        client.send(b"".join(h2.window_update(1, stream) for stream in streams))


# What is idle is ended like what is slow: a server need not tell the two apart while a head is on its way.
DEADLINES = ["--timeout-request-head", "1", "--timeout-keep-alive", "1"]


# Until the preface is whole the peer may be of either version, so what answers it may be too.
@pytest.mark.parametrize("prefix", [b"", b"PRI * HTTP", h2.PREFACE[:-1]], ids=["nothing", "half", "all but one byte"])
def test_preface_that_does_not_come_ends_at_the_deadline(prefix: bytes, suite_server: str) -> None:
    with running(suite_server, APP, options=DEADLINES) as server, raw.Client(server.host, server.port) as client:
        client.send(prefix)
        with pytest.raises(StillOpen):
            client.wait_closed(0.5)
        client.wait_closed(2)


def test_preface_that_comes_byte_by_byte_ends_at_the_deadline(suite_server: str) -> None:
    with running(suite_server, APP, options=DEADLINES) as server, raw.Client(server.host, server.port) as client:
        # Ten bytes a second: the whole of it would take 2.4 s.
        started = time.monotonic()
        for byte in h2.PREFACE:
            client.send(bytes([byte]))
            if not client.silent_for(0.1):
                break
        client.wait_closed(1)
        assert time.monotonic() - started < 2


def test_settings_that_do_not_come_end_at_the_deadline(suite_server: str) -> None:
    with running(suite_server, APP, options=DEADLINES) as server, connect(server, opens=False) as client:
        client.send(h2.PREFACE)
        client.wait_closed(3)


def test_header_block_that_does_not_end_ends_at_the_deadline(suite_server: str) -> None:
    with running(suite_server, APP, options=DEADLINES) as server, connect(server) as client:
        client.send(h2.headers(client.open_stream(), BLOCK, end_headers=False))
        client.wait_closed(3)
