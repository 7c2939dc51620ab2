"""Listeners: the bound sockets, before Rust serves them.

Python binds, so that workers, reload, systemd and gunicorn can share a socket; Rust duplicates the
descriptors in `HttpServer.start`. Nothing here accepts a connection. Addresses, modes and error texts are
asyncio's and uvicorn's.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from bicorn.constants import STARTUP_FAILURE
from bicorn.logging import style
from bicorn.socket_file import SocketFile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from bicorn.config import Config

logger = logging.getLogger("uvicorn.error")

# Everyone may connect, as with a TCP socket; restrict the directory, or create the file first: its mode is
# kept.
UDS_MODE = 0o666


# Connections of the management listener that may wait: whoever asks comes once in a while.
ADMIN_BACKLOG = 64


class Acceptor(Protocol):
    """The part of `_bicorn.HttpServer` that accepts."""

    def stop_listening(self) -> None:
        """Accept what the kernel has completed, then no more."""

    @property
    def is_listening(self) -> bool:
        """False once nothing is accepted any more."""
        ...


class ListenerGroup:
    """Listeners opened together: an item of `Server.servers`, with the face of an `asyncio.Server`."""

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        http_server: Acceptor,
        wait_until: Callable[[Callable[[], bool]], Awaitable[object]],
        uds: str | None = None,
    ) -> None:
        """Take sockets that `http_server` serves, and a way to wait in its loop until a condition holds.

        The file `uds` is removed with its socket.
        """
        # Empty from `close` on.
        self.sockets = tuple(sockets)
        self._http_server = http_server
        self._wait_until = wait_until
        self._file = None if uds is None else SocketFile(uds)

    def close(self) -> None:
        """Take no new connections, on no listener of the server; those already completed are served."""
        if not self.sockets:
            return
        self._http_server.stop_listening()
        for listener in self.sockets:
            listener.close()
        self.sockets = ()
        if self._file is not None:
            self._file.remove()

    def check_path(self) -> None:
        """Warn, once, when the file of a Unix socket is gone."""
        if self._file is not None and self.sockets:
            self._file.check()

    async def wait_closed(self) -> None:
        """Wait until nothing is accepted any more."""
        await self._wait_until(lambda: not self._http_server.is_listening)

    def is_serving(self) -> bool:
        """Tell whether new connections are taken."""
        return bool(self.sockets) and self._http_server.is_listening


async def open_listeners(config: Config) -> list[socket.socket]:
    """Open what `config` asks for: a descriptor, a Unix socket, or a host and port.

    Raises:
        OSError: It cannot be opened; the text is for the log.
    """
    if config.fd is not None:
        return [_open_fd(config.fd, config.backlog)]
    if config.uds is not None:
        return [_open_unix(config.uds, config.backlog)]
    return await _open_tcp(config.host, config.port, config.backlog)


def start_listening(listener: socket.socket, backlog: int) -> None:
    """Make a bound socket a listener, in the shape that Rust expects."""
    listener.setblocking(False)
    listener.listen(backlog)


def _open_fd(fd: int, backlog: int) -> socket.socket:
    listener: socket.socket | None = None
    try:
        # The family is not looked at, so that any stream socket will do (uvicorn 0.54 Server.startup).
        listener = socket.fromfd(fd, socket.AF_UNIX, socket.SOCK_STREAM)
        start_listening(listener, backlog)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise OSError(f"cannot listen on fd {fd}: {_reason(error)}") from None
    return listener


def _open_unix(path: str, backlog: int) -> socket.socket:
    mode = os.stat(path).st_mode if os.path.exists(path) else UDS_MODE
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A server that was killed leaves its socket behind; any other file stays and makes `bind` fail.
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(path).st_mode):
                os.remove(path)
        listener.bind(path)
        os.chmod(path, mode)
        start_listening(listener, backlog)
    except (OSError, ValueError) as error:
        listener.close()
        raise OSError(f"cannot bind unix socket {path}: {_reason(error)}") from None
    return listener


async def _open_tcp(host: str | None, port: int, backlog: int) -> list[socket.socket]:
    """Bind every address of a host: `localhost` has two, None and the empty string stand for all."""
    listeners: list[socket.socket] = []
    unavailable = OSError(f"getaddrinfo({host!r}) returned empty list")
    try:
        # A name may resolve to the same address twice.
        for family, kind, protocol, _, address in dict.fromkeys(await _resolve(host or None, port)):
            try:
                listeners.append(_bind(family, kind, protocol, address))
            except OSError as error:
                if error.errno not in FAMILY_IS_OFF:
                    raise
                unavailable = error
        if not listeners:
            raise unavailable
        for listener in listeners:
            start_listening(listener, backlog)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Address]

# `localhost` has an IPv6 address also where IPv6 is switched off; that must not keep it from IPv4
# (bpo-30945).
FAMILY_IS_OFF = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def _resolve(host: str | None, port: int) -> Sequence[AddressInfo]:
    try:
        # A literal address needs no resolver, so this does not block.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)


def _bind(family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, address: Address) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Each family has a listener of its own.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        text = f"error while attempting to bind on address {address!r}: {_reason(error)}"
        raise OSError(error.errno, text) from None
    return listener


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def bind_shared_socket(config: Config) -> socket.socket:
    """Bind the one socket that worker processes share, and log where; exit if that fails.

    Unlike `open_listeners`, this takes one address family only and no file that exists (uvicorn 0.54
    Config.bind_socket).
    """
    try:
        listener = _bind_shared(config)
    except OSError as error:
        logger.error(error)
        sys.exit(STARTUP_FAILURE)
    log_running(config, listener)
    listener.set_inheritable(True)
    return listener


def _bind_shared(config: Config) -> socket.socket:
    if config.fd is not None:
        return socket.fromfd(config.fd, socket.AF_UNIX, socket.SOCK_STREAM)
    if config.uds is not None:
        listener = socket.socket(socket.AF_UNIX)
    else:
        listener = socket.socket(socket.AF_INET6 if ":" in (config.host or "") else socket.AF_INET)
    try:
        if config.uds is not None:
            listener.bind(config.uds)
            os.chmod(config.uds, UDS_MODE)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((config.host or "", config.port))
    except BaseException:
        listener.close()
        raise
    return listener


def bind_admin(config: Config) -> list[socket.socket]:
    """Bind the management listener of `admin_bind`; none without one.

    Raises:
        OSError: It cannot be bound; the text is for the log.
    """
    address = config.admin_bind
    if address is None:
        return []
    try:
        if "/" in address:
            listener = _open_unix(address, ADMIN_BACKLOG)
        else:
            host, _, port = address.rpartition(":")
            host = host.removeprefix("[").removesuffix("]")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = _bind(family, socket.SOCK_STREAM, 0, (host, int(port)))
            start_listening(listener, ADMIN_BACKLOG)
    except OSError as error:
        raise OSError(f"cannot use --admin-bind {address}: {error}") from None
    where = address if "/" in address else "http://{}:{}".format(*_shown(listener))
    logger.info("Management listener running on %s", where)
    return [listener]


def admin_file(config: Config) -> SocketFile | None:
    """Return the file of the management listener that was just bound, if it has one."""
    address = config.admin_bind
    return SocketFile(address) if address is not None and "/" in address else None


def _shown(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return (f"[{host}]" if ":" in host else host), port


def log_running(config: Config, listener: socket.socket) -> None:
    """Log where the server can be reached."""
    where: tuple[object, ...]
    if config.fd is not None:
        before, place, where = "socket ", "%s", (listener.getsockname(),)
    elif config.uds is not None:
        before, place, where = "unix socket ", "%s", (config.uds,)
    else:
        host = "0.0.0.0" if config.host is None else config.host
        before, place = "", "%s://[%s]:%d" if ":" in host else "%s://%s:%d"
        where = ("https" if config.is_ssl else "http", host, config.port or listener.getsockname()[1])
    logger.info(
        f"Bicorn running on {before}{place} (Press CTRL+C to quit)",
        *where,
        extra={"color_message": f"Bicorn running on {before}{style(place, bold=True)} (Press CTRL+C to quit)"},
    )
