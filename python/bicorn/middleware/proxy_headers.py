"""`X-Forwarded-For` and `X-Forwarded-Proto`, for programs that wrap an app themselves.

The server needs none of this: with `proxy_headers` it corrects client and scheme in Rust, before there is a scope. The
rules are the same (uvicorn 0.54 `ProxyHeadersMiddleware`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bicorn._types import ASGI3Application, Receive, Scope, Send

__all__ = ["ProxyHeadersMiddleware"]

SCHEMES = ("http", "https", "ws", "wss")


class ProxyHeadersMiddleware:
    """Puts client and scheme that a trusted proxy reports in place of the proxy's own."""

    def __init__(self, app: ASGI3Application, trusted_hosts: list[str] | str = "127.0.0.1") -> None:
        """Wrap an app; `trusted_hosts` are addresses, networks and literals, or `*` for everyone."""
        self.app = app
        self.trusted_hosts = TrustedHosts(trusted_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Correct the scope, if it came from a trusted host, and run the app."""
        if scope["type"] != "lifespan":
            client = scope.get("client")
            if (client[0] if client else None) in self.trusted_hosts:
                self._correct(scope)
        await self.app(scope, receive, send)

    def _correct(self, scope: Scope) -> None:
        protocols = _values(scope, b"x-forwarded-proto")
        # Each proxy adds a line or overwrites it: the last one is from the nearest.
        scheme = protocols[-1].strip() if protocols else ""
        if scheme in SCHEMES:
            scope["scheme"] = scheme.replace("http", "ws") if scope["type"] == "websocket" else scheme
        addresses = _values(scope, b"x-forwarded-for")
        if addresses:
            host, port = self.trusted_hosts.get_trusted_client_address(", ".join(addresses))
            if host:
                scope["client"] = (host, port)


def _values(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


class TrustedHosts:
    """Which hosts may say who the client is: `host in trusted_hosts`."""

    def __init__(self, trusted_hosts: list[str] | str) -> None:
        """Sort hosts into addresses, networks and literals; what is no address is a literal, such as a path."""
        self.always_trust = trusted_hosts in ("*", ["*"])
        self.trusted_hosts: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
        self.trusted_networks: set[ipaddress.IPv4Network | ipaddress.IPv6Network] = set()
        self.trusted_literals: set[str] = set()
        if self.always_trust:
            return
        for host in _split(trusted_hosts) if isinstance(trusted_hosts, str) else trusted_hosts:
            try:
                if "/" in host:
                    self.trusted_networks.add(ipaddress.ip_network(host))
                else:
                    # An IPv6 address can be written in many ways: objects are compared, not text.
                    self.trusted_hosts.add(ipaddress.ip_address(host))
            except ValueError:
                self.trusted_literals.add(host)

    def __contains__(self, host: str | None) -> bool:
        if self.always_trust or not host:
            return self.always_trust
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host in self.trusted_literals
        return address in self.trusted_hosts or any(address in network for network in self.trusted_networks)

    def get_trusted_client_address(self, x_forwarded_for: str) -> tuple[str, int]:
        """Return host and port of the client: the last that no trusted proxy answers for, else the first.

        Port 0 stands for a port that the proxy does not tell. An empty header gives an empty host.
        """
        addresses = [_host_and_port(text) for text in _split(x_forwarded_for)]
        return next((address for address in reversed(addresses) if address[0] not in self), addresses[0])


# uvicorn's name; tests of programs use it.
_TrustedHosts = TrustedHosts


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]


def _host_and_port(text: str) -> tuple[str, int]:
    """Read `host`, `host:port` or `[v6]:port`; anything else is a host as it stands, which nobody trusts."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return text, 0
        return host, _number(rest[1:]) or 0
    host, _, port_text = text.partition(":")
    port = _number(port_text)
    return (text, 0) if port is None else (host, port)


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
