"""Replacements: a worker leaves when, and only when, its successor serves.

    (nothing to do) ──▶ successor starts ──▶ it is ready: takes the place, the old worker retires
           ▲                   │ ├──▶ it ends, or is not ready in time: the old worker stays
           └───────────────────┘ └──▶ the old worker dies first: the successor takes the place as it is

One at a time, of two kinds: SIGHUP replaces every worker that was started before it (a roll), and a worker that has
served `--limit-max-requests` asks for a successor. A roll comes first, because all that it starts is newer.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bicorn.supervisors.deaths import RESPAWN_DELAYS

if TYPE_CHECKING:
    from bicorn.supervisors.multiprocess import Multiprocess
    from bicorn.supervisors.process import Process

logger = logging.getLogger("uvicorn.error")


@dataclass
class Replacement:
    """One that is under way."""

    old: Process
    new: Process
    cause: str
    """As `Board.count_restart` knows it: "hangup" or "limit"."""
    deadline: float
    """When the successor must be ready."""


class Replacements:
    """Decides which worker is replaced next, and sees it through."""

    def __init__(self, supervisor: Multiprocess) -> None:
        """Begin with nothing to do."""
        self._supervisor = supervisor
        self.current: Replacement | None = None
        # How many SIGHUPs there were. Workers know theirs, so a roll is over when all have the latest.
        self.generation = 0
        self.is_rolling = False
        # Successors that have failed in a row after a limit, and when there may be another.
        self._failures = 0
        self._not_before = -math.inf
        self._has_said_full = False

    def begin_roll(self) -> None:
        """Replace every worker that there is; if that is being done, once more."""
        self.generation += 1
        self.is_rolling = True
        if self.current is not None and self.current.cause == "limit":
            # Its successor is older than the signal, and has no deadline.
            self.cancel()

    def cancel(self) -> None:
        """Give up the successor that is on its way, if any."""
        if self.current is not None:
            current, self.current = self.current, None
            self._supervisor.discard(current.new)

    def next_due(self) -> float:
        """Return when `step` must be called, if nothing happens before."""
        if self.current is not None:
            return self.current.deadline
        return self._not_before if self._first_at_limit() is not None else math.inf

    def step(self, now: float) -> None:
        """Go on as far as is possible now."""
        current = self.current
        if current is not None:
            if current.new.is_ready(timeout=0):
                self._finish(current)
            elif now >= current.deadline:
                self._give_up(current, now)
        if self.current is None:
            self._begin(now)

    def is_about(self, process: Process) -> bool:
        """Tell whether a process is being replaced, or is the successor of one."""
        return self.current is not None and process in (self.current.old, self.current.new)

    def on_death(self, process: Process, now: float) -> None:
        """Hear that a process that this is about has ended."""
        current = self.current
        assert current is not None, "the caller has asked"
        if process is current.new:
            self._give_up(current, now)
        else:
            self.current = None
            self._supervisor.put_in_place(current.old, current.new)

    def _begin(self, now: float) -> None:
        chosen = self._choose(now)
        if chosen is None:
            return
        if not self._supervisor.has_room_for_leaving:
            if not self._has_said_full:
                logger.info("Waiting for child processes that leave, before others are replaced.")
            self._has_said_full = True
            return
        self._has_said_full = False
        old, cause, deadline = chosen
        new = self._supervisor.start_process()
        if new is None:
            self.is_rolling = False
            self._postpone(now)
            return
        self.current = Replacement(old, new, cause, deadline)

    def _choose(self, now: float) -> tuple[Process, str, float] | None:
        """Return who is next, why, and until when the successor must be ready."""
        if self.is_rolling:
            for process in self._supervisor.processes:
                if process.generation < self.generation:
                    return process, "hangup", now + self._supervisor.config.timeout_worker_healthcheck
            self.is_rolling = False
        at_limit = self._first_at_limit()
        if at_limit is None or now < self._not_before:
            return None
        # There is no hurry: the old one serves on.
        return at_limit, "limit", math.inf

    def _first_at_limit(self) -> Process | None:
        return next((process for process in self._supervisor.processes if process.has_reached_limit), None)

    def _finish(self, current: Replacement) -> None:
        self.current = None
        if current.cause == "limit":
            self._failures = 0
        self._supervisor.count_restart(current.cause)
        self._supervisor.put_in_place(current.old, current.new)
        self._supervisor.retire(current.old)

    def _give_up(self, current: Replacement, now: float) -> None:
        self.current = None
        what_follows = " and aborting the restart" if current.cause == "hangup" else ""
        logger.error(
            "New child process [%s] was not ready in time; keeping worker [%s]%s.",
            current.new.pid,
            current.old.pid,
            what_follows,
        )
        self._supervisor.discard(current.new)
        if current.cause == "limit":
            self._postpone(now)
        elif current.new.generation == self.generation:
            self.is_rolling = False

    def _postpone(self, now: float) -> None:
        self._failures += 1
        # A wait from the first: nothing is missing while the old worker serves.
        self._not_before = now + RESPAWN_DELAYS[min(self._failures, len(RESPAWN_DELAYS) - 1)]
