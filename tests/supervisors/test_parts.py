"""The parts of a supervisor that need no process: pulses, delays, causes, flags, arguments."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

import bicorn
from bicorn.supervisors import ChangeReload, Multiprocess, deaths
from bicorn.supervisors.deaths import OutOfMemoryKills, describe_exit, early_deaths, respawn_delay
from bicorn.supervisors.multiprocess import Process
from bicorn.supervisors.process import split_arguments
from bicorn.supervisors.pulse import FIRST_ANSWER_SECONDS, Pulse
from bicorn.supervisors.wakeup import ExitFlag, SignalQueue, Waker
from tests import serving
from tests.apps import hello

pytestmark = pytest.mark.usefixtures("_restored")


@pytest.fixture
def _restored():
    numbers = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTTIN", "SIGTTOU")]
    numbers += [signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH]
    before = {number: signal.getsignal(number) for number in numbers}
    with serving.logging_restored():
        yield
    for number, handler in before.items():
        signal.signal(number, handler)


# Pulses.


def answered(pulse: Pulse) -> None:
    """Do what a worker's thread does."""
    os.write(pulse.theirs.fileno(), os.read(pulse.theirs.fileno(), 100))


def test_silence_counts_from_the_first_question_that_nobody_answers() -> None:
    pulse = Pulse()
    pulse.beat(0.0)
    answered(pulse)
    for now in (1.0, 2.0, 3.0):
        pulse.beat(now)
    assert not pulse.is_silent(5.9, timeout=5)
    assert pulse.is_silent(6.0, timeout=5)
    answered(pulse)
    pulse.beat(7.0)
    assert not pulse.is_silent(7.0, timeout=5)


def test_first_answer_may_take_longer() -> None:
    pulse = Pulse()
    pulse.beat(0.0)
    assert not pulse.is_silent(FIRST_ANSWER_SECONDS - 1, timeout=5)
    assert pulse.is_silent(FIRST_ANSWER_SECONDS, timeout=5)


def test_own_sleep_is_nobodys_silence() -> None:
    pulse = Pulse()
    pulse.beat(0.0)
    answered(pulse)
    pulse.beat(1.0)
    pulse.forgive(100.0)
    assert not pulse.is_silent(104.0, timeout=5)
    assert pulse.is_silent(105.0, timeout=5)


def test_worker_that_never_reads_does_not_block_its_supervisor() -> None:
    pulse = Pulse()
    for now in range(300_000):
        pulse.beat(float(now))
    assert pulse.is_silent(300_000.0, timeout=5)
    pulse.close()


# Deaths.


def test_delays_grow_with_deaths_that_come_early() -> None:
    count, delays = 0, []
    for _ in range(10):
        count = early_deaths(count, served_seconds=0.1)
        delays.append(respawn_delay(count, served_seconds=0.1))
    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_worker_that_has_served_for_a_while_is_followed_at_once() -> None:
    count = early_deaths(6, served_seconds=5)
    assert (count, respawn_delay(count, served_seconds=5)) == (6, 0.0)


def test_minute_of_health_forgets_early_deaths() -> None:
    assert early_deaths(6, served_seconds=60) == 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, ("exit code 0", "exit")),
        (3, ("exit code 3", "exit")),
        (-6, ("killed by SIGABRT", "signal")),
        (-9, ("killed by SIGKILL", "signal")),
        (-63, ("killed by signal 63", "signal")),
    ],
)
def test_cause_of_an_end(code: int, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("oom_kill 4\n")
    monkeypatch.setattr(deaths, "_counters", lambda: [events])
    assert describe_exit(code, OutOfMemoryKills()) == expected


def test_kill_for_memory_is_told_from_other_kills(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 3\noom_kill 4\n")
    monkeypatch.setattr(deaths, "_counters", lambda: [events])
    kills = OutOfMemoryKills()
    events.write_text("low 0\noom 4\noom_kill 5\n")
    text = "killed by SIGKILL, which is what the kernel does when memory is short"
    assert describe_exit(-9, kills) == (text, "memory")
    assert describe_exit(-9, kills) == ("killed by SIGKILL", "signal")


def test_kill_may_be_for_memory_where_nobody_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(deaths, "_counters", lambda: [tmp_path / "missing"])
    text = "killed by SIGKILL, which is what the kernel does when memory is short"
    assert describe_exit(-9, OutOfMemoryKills()) == (text, "signal")


# What wakes.


def test_flag_wakes_who_waits() -> None:
    flag = ExitFlag()
    thread = threading.Timer(0.05, flag.set)
    thread.start()
    assert flag.wait(10)
    assert flag.wait()
    assert flag.is_set()
    thread.join()


def test_flag_that_is_not_set_lets_the_time_pass() -> None:
    begin = time.monotonic()
    assert not ExitFlag().wait(0.05)
    assert time.monotonic() - begin >= 0.05


def test_queue_wakes_for_each_signal_and_gives_them_in_order() -> None:
    waker = Waker()
    queue = SignalQueue(waker.wake)
    queue.append(signal.SIGHUP)
    queue.append(signal.SIGTERM)
    waker.drain()
    assert [queue.take(), queue.take(), queue.take()] == [signal.SIGHUP, signal.SIGTERM, None]
    waker.close()


# uvicorn's face.


def target(sockets: list[socket.socket]) -> None:
    pass


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        (([],), {}),
        ((), {"sockets": []}),
        ((target, []), {}),
        ((target,), {"sockets": []}),
        ((), {"target": target, "sockets": []}),
    ],
)
def test_both_signatures_are_understood(arguments: tuple, keywords: dict) -> None:
    config = bicorn.Config(hello, workers=2, log_config=None)
    supervisor = Multiprocess(config, *arguments, **keywords)
    assert supervisor.target is (target if target in (*arguments, *keywords.values()) else None)
    assert supervisor.sockets == []
    assert Process(config, *arguments, **keywords).pid is None


@pytest.mark.parametrize("arguments", [(), (target,), ([], []), (3,)])
def test_other_arguments_are_not(arguments: tuple) -> None:
    with pytest.raises(TypeError):
        split_arguments(arguments, None, None)


def test_names_are_where_uvicorn_has_them() -> None:
    from bicorn.supervisors.basereload import BaseReload
    from bicorn.supervisors.statreload import StatReload
    from bicorn.supervisors.watchfilesreload import WatchFilesReload

    assert ChangeReload is WatchFilesReload
    assert issubclass(StatReload, BaseReload)


def test_supervisor_in_a_thread_ends_by_its_flag() -> None:
    supervisor = Multiprocess(bicorn.Config("tests.apps:hello", workers=1, log_config=None), sockets=[])
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    supervisor.should_exit.set()
    thread.join(10)
    assert not thread.is_alive()
    assert not supervisor.has_failed


def test_workers_may_be_joined_in_another_thread() -> None:
    supervisor = Multiprocess(bicorn.Config("tests.apps:hello", workers=2, log_config=None), sockets=[])
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    supervisor.signal_queue.append(signal.SIGINT)
    supervisor.join_all()
    thread.join(10)
    assert not thread.is_alive()
