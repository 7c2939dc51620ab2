"""`BaseReload`: the supervisor of `--reload`, whatever finds out that files have changed. Names are uvicorn's.

One child serves. When a file changes, it ends and another starts on the same socket, which stays open, so that clients
wait instead of failing. A child that cannot start, because of a syntax error, is left at that until the next change.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from multiprocessing import Pipe, connection
from pathlib import Path
from typing import TYPE_CHECKING

from bicorn._subprocess import get_subprocess
from bicorn.logging import style
from bicorn.signals import HANDLED_SIGNALS
from bicorn.supervisors.tether import Tethered
from bicorn.supervisors.wakeup import ExitFlag

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess
    from types import FrameType

    from bicorn.config import Config

logger = logging.getLogger("uvicorn.error")


class BaseReload:
    """Iterates over what has changed, and restarts the child when something has."""

    def __init__(
        self, config: Config, target: Callable[[list[socket.socket] | None], None], sockets: list[socket.socket]
    ) -> None:
        """Start nothing yet.

        Args:
            target: What the child calls with `sockets`, such as `Server.run`.
            sockets: Bound; every child gets them.
        """
        self.config = config
        self.target = target
        self.sockets = sockets
        # Set it to end; from any thread, and from a signal handler.
        self.should_exit = ExitFlag()
        self.pid = os.getpid()
        # On Windows, ending the child means a signal to this process, too.
        self.is_restarting = False
        self.reloader_name: str | None = None
        self.process: BaseProcess
        # Closed when this process ends, however it does: then the child ends, too.
        self._tether, self._child_tether = Pipe()

    def signal_handler(self, sig: int, frame: FrameType | None) -> None:
        """End; a SIGINT after that ends the child at once."""
        if sys.platform == "win32" and self.is_restarting:
            self.is_restarting = False
        elif self.should_exit.is_set() and sig == signal.SIGINT:
            self.process.kill()
        else:
            self.should_exit.set()

    def run(self) -> None:
        """Serve until a signal, with the newest code that there is."""
        self.startup()
        for changes in self:
            if changes:
                names = ", ".join(map(_display_path, changes))
                logger.warning("%s detected changes in %s. Reloading...", self.reloader_name, names)
                self.restart()
        self.shutdown()

    def pause(self) -> None:
        """Sleep for `reload_delay` seconds.

        Raises:
            StopIteration: It is time to end.
        """
        if self.should_exit.wait(self.config.reload_delay):
            raise StopIteration

    def __iter__(self) -> Iterator[list[Path] | None]:
        return self

    def __next__(self) -> list[Path] | None:
        return self.should_restart()

    def startup(self) -> None:
        """Start the first child."""
        self._log("Started reloader process [{}] using {}", str(self.reloader_name))
        for number in HANDLED_SIGNALS:
            signal.signal(number, self.signal_handler)
        self._start()

    def restart(self) -> None:
        """End the child, and start another when it is gone."""
        self._end()
        self._start()

    def shutdown(self) -> None:
        """End the child, and close the sockets."""
        if sys.platform == "win32":
            # The child has had the same signal.
            self.should_exit.set()
            self.process.join()
        else:
            self._end()
        for listener in self.sockets:
            listener.close()
        self._log("Stopping reloader process [{}]")

    def _start(self) -> None:
        target = Tethered(self.config, self._child_tether, self.target)
        self.process = get_subprocess(self.config, target, self.sockets)
        self.process.start()

    def _end(self) -> None:
        if sys.platform == "win32":
            self.is_restarting = True
            assert self.process.pid is not None
            os.kill(self.process.pid, signal.CTRL_C_EVENT)
            # Python looks at its signals when it writes to the console.
            sys.stdout.write(" ")
            sys.stdout.flush()
        else:
            self.process.terminate()
        # Not `join`: a handler that kills the child must find it unjoined.
        connection.wait([self.process.sentinel])
        self.process.join()

    def _log(self, text: str, *names: str) -> None:
        values = (str(self.pid), *names)
        color_message = text.format(*(style(value, fg="cyan", bold=True) for value in values))
        logger.info(text.format(*values), extra={"color_message": color_message})

    def should_restart(self) -> list[Path] | None:
        """Wait for changes, not for ever, and return the files; falsy if there are none.

        Raises:
            StopIteration: It is time to end.
        """
        raise NotImplementedError("Reload strategies should override should_restart()")


def _display_path(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return f"'{path.relative_to(Path.cwd())}'"
    return f"'{path}'"
