"""Child processes: how a supervisor makes one, and what happens in it before its target.

They are spawned, so that each begins with a fresh interpreter, unless `--preload` asks for a copy of this one.
Names and parameters are uvicorn's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

    from bicorn.config import Config

__all__ = ["SpawnProcess", "get_subprocess", "spawn", "subprocess_started"]

# Sockets and connections may be arguments of a child.
multiprocessing.allow_connection_pickling()
spawn = multiprocessing.get_context("spawn")


def get_subprocess(config: Config, target: Callable[..., object], sockets: list[socket.socket]) -> BaseProcess:
    """Make a child process, not started yet, that calls `target(sockets=sockets)`."""
    arguments = {"config": config, "target": target, "sockets": sockets, "stdin_fileno": _stdin_fileno()}
    if is_forked(config):
        return multiprocessing.get_context("fork").Process(target=subprocess_started, kwargs=arguments)
    return spawn.Process(target=subprocess_started, kwargs=arguments)


def is_forked(config: Config) -> bool:
    """Tell whether children are copies of this process, with the app that it has imported."""
    return config.preload and not config.reload


def subprocess_started(
    config: Config, target: Callable[..., object], sockets: list[socket.socket], stdin_fileno: int | None
) -> None:
    """Run in the child: set up what a new interpreter does not have, then call the target.

    Args:
        stdin_fileno: multiprocessing has put /dev/null in the place of `sys.stdin`; a debugger needs the real one.
    """
    if stdin_fileno is not None:
        sys.stdin = os.fdopen(stdin_fileno)
    config.configure_logging()
    # A SIGINT that the server has answered by ending; the traceback would say nothing.
    with contextlib.suppress(KeyboardInterrupt):
        target(sockets=sockets)


def _stdin_fileno() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        # None, a replacement without a descriptor, or closed.
        return None
