"""`ServerState`: what of a running server can be read off `Server.server_state`, under uvicorn's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bicorn._bicorn import HttpServer


class ServerState:
    """What can be read off a server while it runs, under uvicorn's names; the numbers are Rust's."""

    def __init__(self) -> None:
        """Start at zero."""
        self.http_server: HttpServer | None = None
        # Those of the config, once the server starts, for those who look. What is sent is Rust's, and so is the date.
        self.default_headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def total_requests(self) -> int:
        """Responses completed."""
        return 0 if self.http_server is None else self.http_server.total_requests

    @property
    def connections(self) -> range:
        """As many items as there are open connections: for `len` and truth, the items mean nothing."""
        return range(0 if self.http_server is None else self.http_server.connections)

    @property
    def tasks(self) -> range:
        """As many items as there are running request tasks: for `len` and truth, the items mean nothing."""
        return range(0 if self.http_server is None else self.http_server.tasks)
