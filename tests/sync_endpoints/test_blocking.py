"""`def` endpoints that block or burn CPU time: as many at once as anyio would let run, and nobody waits for them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests import raw
from tests.serving import Served, ServedProcess
from tests.sync_endpoints.apps_blocking import Meter, make_app
from tests.sync_endpoints.conftest import ServeMode, ServeModeProcess

APP = "tests.sync_endpoints.apps_blocking:app"

# Both kinds of call that a thread runs: an endpoint's, and a dependency's of an `async def` endpoint.
TARGETS = ("/sleep", "/dependency")
# On top of what the threads sleep; a third round would be later.
SLACK_SECONDS = 0.18
# A machine with other work to do may be late; it is not late each time.
TRIES = 5


@contextmanager
def asking(server: Served | ServedProcess, target: str, count: int) -> Iterator[list[raw.Client]]:
    """Send the same request on `count` connections at once."""
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect(timeout=20)) for _ in range(count)]
        for client in clients:
            client.send(raw.request(target=target))
        yield clients


def assert_answered(clients: list[raw.Client]) -> None:
    statuses = [client.response().status for client in clients]
    assert statuses == [200] * len(clients)


def seconds_for(server: Served | ServedProcess, target: str, count: int) -> float:
    since = time.monotonic()
    with asking(server, target, count) as clients:
        assert_answered(clients)
    return time.monotonic() - since


def best_seconds_for(server: Served | ServedProcess, target: str, count: int, *, enough: float) -> float:
    """Ask again as long as it takes more than `enough`, and return the least seconds."""
    best = float("inf")
    for _ in range(TRIES):
        best = min(best, seconds_for(server, target, count))
        if best < enough:
            break
    return best


@pytest.mark.parametrize("target", TARGETS)
def test_sixty_sleeps_take_two_rounds_of_forty(target: str, serve_mode: ServeMode) -> None:
    meter = Meter()
    with serve_mode(make_app(meter)) as server:
        seconds = best_seconds_for(server, f"{target}/200", 60, enough=0.4 + SLACK_SECONDS)
    assert meter.most == 40
    assert 0.4 <= seconds < 0.4 + SLACK_SECONDS


@pytest.mark.parametrize("target", TARGETS)
def test_the_second_flood_is_as_quick_as_the_first(target: str, serve_mode: ServeMode) -> None:
    meter = Meter()
    with serve_mode(make_app(meter)) as server:
        first = seconds_for(server, f"{target}/100", 40)
        again = best_seconds_for(server, f"{target}/100", 40, enough=0.1 + SLACK_SECONDS)
    assert meter.most == 40
    assert first >= 0.1
    assert 0.1 <= again < 0.1 + SLACK_SECONDS


def test_forty_endpoints_meet(serve_mode: ServeMode) -> None:
    # Each waits for all others: one that is not begun while another blocks is a deadlock.
    meter = Meter()
    with serve_mode(make_app(meter, parties=40)) as server, asking(server, "/meet", 40) as clients:
        assert_answered(clients)
    assert meter.most == 40


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("tokens", [1, 5, 60])
def test_limit_set_in_lifespan_is_kept(tokens: int, target: str, serve_mode: ServeMode) -> None:
    meter = Meter()
    with serve_mode(make_app(meter, tokens=tokens), lifespan="on") as server:
        seconds = seconds_for(server, f"{target}/100", 3 * tokens)
    assert meter.most == tokens
    assert seconds >= 0.3


@pytest.mark.modes("auto", "pool")
@pytest.mark.parametrize("target", TARGETS)
def test_limit_of_the_option_is_kept(target: str, serve_mode: ServeMode) -> None:
    meter = Meter()
    with serve_mode(make_app(meter), endpoint_threads=3) as server:
        seconds = seconds_for(server, f"{target}/50", 9)
    assert meter.most == 3
    assert seconds >= 0.15


def test_endpoint_and_dependency_share_the_limit(serve_mode: ServeMode) -> None:
    meter = Meter()
    with serve_mode(make_app(meter, tokens=4), lifespan="on") as server, ExitStack() as stack:
        for target in TARGETS:
            assert_clients = stack.enter_context(asking(server, f"{target}/50", 6))
            stack.callback(assert_answered, assert_clients)
    assert meter.most == 4


def test_async_endpoint_answers_while_all_threads_block(serve_mode: ServeMode) -> None:
    with serve_mode(make_app(Meter())) as server, asking(server, "/sleep/300", 60) as clients:
        with server.connect() as client:
            waits = sorted(timed(client, "/ping") for _ in range(100))
        assert_answered(clients)
    report("async endpoint beside 60 sleeps", waits)
    assert waits[90] < 0.05


def test_quick_endpoint_answers_while_others_block(serve_mode: ServeMode) -> None:
    with serve_mode(make_app(Meter())) as server, asking(server, "/sleep/500", 20) as clients:
        with server.connect() as client:
            waits = sorted(timed(client, "/quick") for _ in range(100))
        assert_answered(clients)
    report("def endpoint beside 20 sleeps", waits)
    assert waits[90] < 0.05


@pytest.mark.modes("auto", "pool")
@pytest.mark.parametrize("milliseconds", [1, 20])
def test_async_endpoint_answers_beside_a_flood_of_cpu_bound_ones(
    milliseconds: int, serve_mode_process: ServeModeProcess
) -> None:
    with serve_mode_process(APP, "--no-access-log") as server, ExitStack() as stack:
        # Pipelined: about 1.5 s of work that needs no client to keep it up.
        floods = [stack.enter_context(server.connect(timeout=20)) for _ in range(16)]
        each = 1_500 // 16 // milliseconds
        for client in floods:
            client.send(raw.request(target=f"/spin/{milliseconds}") * each)
        pings = stack.enter_context(server.connect())
        end = time.monotonic() + 1
        waits = []
        while time.monotonic() < end:
            waits.append(timed(pings, "/ping"))
        for client in floods:
            assert_answered([client] * each)
    waits.sort()
    report(f"async endpoint beside a flood of {milliseconds} ms", waits)
    assert statistics.median(waits) < 0.03
    assert waits[len(waits) * 9 // 10] < 0.06


def timed(client: raw.Client, target: str) -> float:
    since = time.monotonic()
    assert client.exchange(raw.request(target=target)).status == 200
    return time.monotonic() - since


def report(what: str, waits: list[float]) -> None:
    """Print the distribution; pytest shows it where a test fails, or with -s."""
    points = {name: waits[min(len(waits) - 1, int(len(waits) * part))] for name, part in POINTS.items()}
    figures = ", ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in points.items())
    print(f"{what}: {len(waits)} answers; ms: {figures}")


POINTS = {"median": 0.5, "p90": 0.9, "p99": 0.99, "worst": 1.0}
