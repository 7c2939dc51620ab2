"""What programs import from `uvicorn.protocols.utils`: addresses and request lines, as logs show them."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

from bicorn.errors import ClientDisconnected

if TYPE_CHECKING:
    import asyncio

    from bicorn._types import Scope

__all__ = [
    "ClientDisconnected",
    "get_client_addr",
    "get_local_addr",
    "get_path_with_query_string",
    "get_remote_addr",
    "is_ssl",
]


def get_client_addr(scope: Scope) -> str:
    """Return `host:port` of a scope's client, or nothing where there is none."""
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else ""


def get_path_with_query_string(scope: Scope) -> str:
    """Return path and query string of a scope, quoted as in the access log."""
    path = urllib.parse.quote(scope["path"])
    query_string: bytes = scope["query_string"]
    return f"{path}?{query_string.decode('ascii')}" if query_string else path


def get_remote_addr(transport: asyncio.Transport) -> tuple[str, int] | None:
    """Return the peer of an asyncio transport, if it has an address with a port."""
    sock = transport.get_extra_info("socket")
    try:
        address = transport.get_extra_info("peername") if sock is None else sock.getpeername()
    except OSError:
        # Not connected any more.
        return None
    return _host_and_port(address, of_socket=sock is not None)


def get_local_addr(transport: asyncio.Transport) -> tuple[str, int | None] | None:
    """Return the address that an asyncio transport is bound to; for a Unix socket its path and None."""
    sock = transport.get_extra_info("socket")
    address = transport.get_extra_info("sockname") if sock is None else sock.getsockname()
    if isinstance(address, str):
        return address, None
    return _host_and_port(address, of_socket=sock is not None)


def is_ssl(transport: asyncio.Transport) -> bool:
    """Tell whether an asyncio transport speaks TLS."""
    return bool(transport.get_extra_info("sslcontext"))


def _host_and_port(address: object, of_socket: bool) -> tuple[str, int] | None:
    # An IPv6 socket has four items; a transport of another kind may give a list.
    is_address = isinstance(address, tuple) if of_socket else isinstance(address, (tuple, list)) and len(address) == 2
    return (str(address[0]), int(address[1])) if is_address else None  # type: ignore[index]  # it was looked at
