"""`Multiprocess`: the supervisor of `--workers`. Method and attribute names are uvicorn's.

It owns the listening socket and the board, starts workers, and sleeps until something happens: a signal, a worker's
end, a worker's word, a deadline. Whatever takes time (a roll, a drain, the wait before a respawn) is a state that the
next turn looks at, never a wait of its own, so that signals and deaths are answered at any time.

It serves nothing by itself, and has no thread: with `--preload` workers are forks of it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import math
import os
import signal
import threading
import time
from multiprocessing import connection
from typing import TYPE_CHECKING

from bicorn._bicorn import Board
from bicorn._subprocess import is_forked
from bicorn.constants import STARTUP_FAILURE
from bicorn.listeners import admin_file, bind_admin
from bicorn.logging import style
from bicorn.socket_file import SocketFile
from bicorn.supervisors.deaths import OutOfMemoryKills, describe_exit, early_deaths, respawn_delay
from bicorn.supervisors.process import KILL_GRACE_SECONDS, Process, split_arguments
from bicorn.supervisors.replacements import Replacements
from bicorn.supervisors.signals import SIGNALS, SignalAnswers
from bicorn.supervisors.wakeup import Waker
from bicorn.supervisors.worker import Place

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from bicorn.config import Config

__all__ = ["Multiprocess", "Process"]

# How often workers are asked for a sign of life; more often if the health check allows them less than four times this.
BEAT_SECONDS = 1.0
# A sleep that is longer than asked for by more than this means that this process did not run, and its workers perhaps
# neither: their silence counts from there.
STALL_SECONDS = 1.0
# How many times the workers there may be slots on the board: one in service, one that leaves, and some to add.
SLOTS_A_WORKER = 4
MIN_SLOTS = 64
MAX_SLOTS = 4096

logger = logging.getLogger("uvicorn.error")


class Multiprocess(SignalAnswers):
    """Starts workers, and starts others in their place."""

    def __init__(
        self,
        config: Config,
        *arguments: object,
        target: Callable[..., object] | None = None,
        sockets: list[socket.socket] | None = None,
    ) -> None:
        """Take over the signals; nothing starts before `run`.

        Args:
            config: The workers' options, and how many there are.
            arguments: `sockets`, or `target, sockets`.
            target: What workers call with `sockets`; None is `Server.run`.
            sockets: Bound, for all workers together.
        """
        self.target, self.sockets = split_arguments(arguments, target, sockets)
        self._waker = Waker()
        super().__init__(config, self._waker.wake)
        # In service, or about to be. Not those that leave, and not a successor that is not ready.
        self.processes: list[Process] = []
        # Whether the end is a failure: a worker, or what all workers need, could not start.
        self.has_failed = False
        self._leaving: list[Process] = []
        self._replacements = Replacements(self)
        # When to start a worker in the place of a dead one, and how many early deaths there were before it.
        self._respawns: list[tuple[float, int]] = []
        self._next_beat = -math.inf
        # The thread of `run`: only there may workers be buried.
        self._runner: int | None = None
        self._out_of_memory = OutOfMemoryKills()
        self._board = Board(min(max(MIN_SLOTS, SLOTS_A_WORKER * config.workers), MAX_SLOTS))
        self._admin_sockets: list[socket.socket] = []
        # Of Unix sockets: the service's, and the management listener's.
        self._file: SocketFile | None = None
        self._admin_file: SocketFile | None = None

    # From start to end.

    def run(self) -> None:
        """Supervise until a signal, `should_exit`, or a worker that cannot start; `has_failed` tells which."""
        self._log_parent("Started")
        try:
            with self._waker.woken_by_signals():
                self._supervise()
        finally:
            # After an error, workers are still there: they drain and end when these are closed.
            for process in self._all:
                process.close()
        self._log_parent("Stopping")

    def _supervise(self) -> None:
        self._runner = threading.get_ident()
        try:
            self._admin_sockets = bind_admin(self.config)
            self._admin_file = admin_file(self.config)
        except OSError as error:
            logger.error(error)
            self.has_failed = True
            return
        if self.config.uds is not None and self.config.fd is None:
            # OSError: whoever bound the sockets has put it elsewhere.
            with contextlib.suppress(OSError):
                self._file = SocketFile(self.config.uds)
        if is_forked(self.config):
            self._preload()
        self.init_processes()
        while not self.should_exit.is_set():
            self._turn()
        self.set_draining()
        self._replacements.cancel()
        self.terminate_all()
        self._close_sockets()
        self.join_all()

    def _close_sockets(self) -> None:
        """Leave the sockets to the workers, so that a connection that none of them takes is refused, not forgotten."""
        for listener in (*self.sockets, *self._admin_sockets):
            listener.close()
        if self._admin_file is not None:
            self._admin_file.remove()

    def _preload(self) -> None:
        self.config.load_app()
        if threading.active_count() > 1:
            names = ", ".join(thread.name for thread in threading.enumerate()[1:])
            logger.warning("the app starts threads while it is imported, which workers do not have: %s", names)
        # Objects that are not looked at stay in memory that all workers share.
        gc.collect()
        gc.freeze()

    def _log_parent(self, what: str) -> None:
        color_message = f"{what} parent process [{style(str(os.getpid()), fg='cyan', bold=True)}]"
        logger.info(f"{what} parent process [{os.getpid()}]", extra={"color_message": color_message})

    def init_processes(self) -> None:
        """Start as many workers as the config asks for."""
        now = time.monotonic()
        for _ in range(self.processes_num):
            self._start_in_service(now, early_deaths=0)

    def _turn(self) -> None:
        self._sleep()
        self.handle_signals()
        if time.monotonic() >= self.exit_at:
            self.should_exit.set()
        self.keep_subprocess_alive()

    def _sleep(self) -> None:
        """Sleep until something happens or is due, then listen for signs of life."""
        processes = self._all
        now = time.monotonic()
        due = min(self._next_due(), now + BEAT_SECONDS)
        speakers = [process.parent_conn for process in processes if process.can_speak]
        flags = [] if self.should_exit.is_set() else [self.should_exit.waitable]
        sentinels = [process.sentinel for process in processes]
        connection.wait([self._waker.waitable, *flags, *sentinels, *speakers], max(0.0, due - now))
        self._waker.drain()
        now = time.monotonic()
        if now > due + STALL_SECONDS:
            for process in processes:
                process.pulse.forgive(now)
        if now >= self._next_beat:
            self._next_beat = now + min(BEAT_SECONDS, self.config.timeout_worker_healthcheck / 4)
            for process in processes:
                process.pulse.beat(now)
            for file in (self._file, self._admin_file):
                if file is not None:
                    file.check()

    def _next_due(self) -> float:
        deadlines = [process.kill_at for process in self._all if process.kill_at is not None]
        respawns = [due for due, _ in self._respawns]
        return min(self._next_beat, self.exit_at, self._replacements.next_due(), *deadlines, *respawns)

    def terminate_all(self) -> None:
        """Ask every worker to drain and end."""
        for process in self._all:
            process.terminate()

    def join_all(self) -> None:
        """Wait until every worker has ended; SIGINT ends them at once."""
        if self._runner not in (None, threading.get_ident()):
            for process in list(self.processes):
                process.join()
            return
        for process in self._all:
            logger.info("Waiting for child process [%s]", process.pid)
            while process.exitcode is None:
                self._sleep()
                self.handle_signals()
                self._kill_overdue(time.monotonic())
                for ended in (one for one in self._all if one.exitcode is not None):
                    self._bury(ended)

    # What happens to workers.

    @property
    def _all(self) -> list[Process]:
        current = self._replacements.current
        every = [*self.processes, *([] if current is None else [current.new]), *self._leaving]
        return [process for process in every if not process.is_closed]

    def keep_subprocess_alive(self) -> None:
        """Bury the dead, kill the hung, start what is missing, and go on with what is under way."""
        if self.should_exit.is_set():
            return
        now = time.monotonic()
        for process in self._all:
            process.hear()
        self._kill_overdue(now)
        for process in self._all:
            if process.exitcode is not None:
                self._on_death(process, process.exitcode, now)
        if self.should_exit.is_set():
            return
        due = [deaths for when, deaths in self._respawns if when <= now]
        self._respawns = [respawn for respawn in self._respawns if respawn[0] > now]
        for deaths in due:
            self._start_in_service(now, deaths)
        self._replacements.step(now)

    def _kill_overdue(self, now: float) -> None:
        timeout = self.config.timeout_worker_healthcheck
        for process in self._all:
            if process.exitcode is not None or process.is_hung:
                continue
            if process.pulse.is_silent(now, timeout):
                logger.error("Child process [%s] has not answered for %g seconds, killing it.", process.pid, timeout)
                process.is_hung = True
                process.kill()
            elif process.kill_at is not None and now >= process.kill_at:
                logger.error(
                    "Child process [%s] is still there %g seconds after its time was over, killing it.",
                    process.pid,
                    KILL_GRACE_SECONDS,
                )
                process.kill_at = None
                process.kill()

    def _on_death(self, process: Process, exit_code: int, now: float) -> None:
        self._bury(process)
        if process in self._leaving:
            self._leaving.remove(process)
            return
        served = process.served_seconds(now)
        is_startup_failure = exit_code == STARTUP_FAILURE and served == 0
        if is_startup_failure and process in self.processes:
            logger.error("Child process [%s] failed to start, stopping the parent process.", process.pid)
            self.has_failed = True
            self.should_exit.set()
            return
        text, cause = describe_exit(exit_code, self._out_of_memory)
        deaths = early_deaths(process.early_deaths, served)
        is_replaced = self._replacements.is_about(process)
        delay = 0.0 if is_replaced else respawn_delay(deaths, served)
        logger.log(
            logging.INFO if exit_code == 0 else logging.WARNING,
            "Child process [%s] died: %s%s",
            process.pid,
            text,
            f", starting another in {delay:g} seconds" if delay else "",
        )
        if process in self.processes:
            self.count_restart("hung" if process.is_hung else cause)
        if is_replaced:
            self._replacements.on_death(process, now)
        else:
            self.processes.remove(process)
            self._respawns.append((now + delay, deaths))

    def _bury(self, process: Process) -> None:
        process.close()
        if process.place is not None:
            self._board.free(process.place.slot)

    # What is done with workers; `Replacements` asks for it, too.

    def start_process(self) -> Process | None:
        """Start a worker and return it; None, with a line in the log, if the system or the board has no room."""
        taken = {process.place.slot for process in self._all if process.place is not None}
        slot = next((slot for slot in range(self._board.slots) if slot not in taken), None)
        if slot is None:
            logger.error("cannot start a child process: %d are there", len(self._all))
            return None
        place = Place(self._board, slot, self._admin_sockets)
        try:
            process = Process(self.config, target=self.target, sockets=self.sockets, place=place)
            process.generation = self._replacements.generation
            process.worker.leave_supervisor = functools.partial(self._leave_in_child, process)
            self._board.set_state(slot, "starting")
            process.start()
        except OSError as error:
            self._board.free(slot)
            logger.error("cannot start a child process: %s", (error.strerror or str(error)).lower())
            return None
        return process

    def _start_in_service(self, now: float, early_deaths: int) -> None:
        process = self.start_process()
        if process is None:
            self._respawns.append((now + respawn_delay(early_deaths + 2, 0), early_deaths + 1))
            return
        process.early_deaths = early_deaths
        self.processes.append(process)

    def _leave_in_child(self, child: Process) -> None:
        """Give up, in a forked child, what belongs to the supervisor."""
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        # They were blocked for the fork.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        self._waker.close()
        self.should_exit.close()
        for process in (child, *self._all):
            process.close_supervisor_ends()

    @property
    def has_room_for_leaving(self) -> bool:
        """Whether another worker may leave while those that do are not gone: as many as there are workers."""
        return len(self._leaving) < max(2, self.processes_num)

    def add_process(self) -> None:
        """Have one worker more."""
        self.processes_num += 1
        self._start_in_service(time.monotonic(), early_deaths=0)

    def remove_process(self) -> None:
        """Have one worker less: one that is missing anyway, or the last."""
        self.processes_num -= 1
        if self._respawns:
            self._respawns.pop()
            return
        process = self.processes.pop()
        if self._replacements.is_about(process):
            self._replacements.cancel()
        self.retire(process)

    def kill_all(self) -> None:
        """End every worker at once."""
        for process in self._all:
            process.kill()

    def set_draining(self) -> None:
        """Say on the board that the service is about to end, so that it is not ready any more."""
        self._board.set_draining(True)

    def put_in_place(self, old: Process, new: Process) -> None:
        """Let a successor take the place of a worker in service."""
        self.processes[self.processes.index(old)] = new

    def retire(self, process: Process) -> None:
        """Have a worker that is not in service any more end politely, in the background."""
        self._leaving.append(process)
        process.retire()
        logger.info("Waiting for child process [%s]", process.pid)

    def discard(self, process: Process) -> None:
        """End a worker that never was in service, in the background."""
        if process.exitcode is None:
            self._leaving.append(process)
            process.kill()

    def count_restart(self, cause: str) -> None:
        """Note on the board that a worker is replaced."""
        self._board.count_restart(cause)

    def restart_all(self) -> None:
        """Replace every worker, each when its successor is ready; within `run` it goes on in the background."""
        if self.should_exit.is_set():
            return
        self._replacements.begin_roll()
        # Whoever was waiting for better code need not wait any longer.
        self._respawns = [(-math.inf, 0) for _ in self._respawns]
        while self._replacements.is_rolling and self._runner is None and not self.should_exit.is_set():
            self.keep_subprocess_alive()
            if self._replacements.is_rolling:
                self._sleep()
