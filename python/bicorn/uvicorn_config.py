"""What programs find on a `Config` of uvicorn and this one makes nothing of: protocol classes, `ssl`, old methods.

`Config` has it from here, so that the question is answered: by a stand-in where the answer is only looked at, by an
error with the way that there is where something would have to follow from it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn

from bicorn.constants import HTTP_PROTOCOLS, WS_PROTOCOLS
from bicorn.importer import import_from_string

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("uvicorn.error")


class UvicornDeprecationWarning(UserWarning):
    """uvicorn's category, for programs that filter it; nothing here warns with it."""


class TlsStandIn:
    """In the place of an `ssl.SSLContext`: true, and nothing else."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"config.ssl has no {name}: TLS is rustls, not Python's ssl; changed certificates are read again"
            " from ssl_certfile and ssl_keyfile, which may be lists for SNI"
        )


class UvicornConfig:
    """The part of `Config` that is there for those who look."""

    http: str
    ws: str
    interface: str
    loaded: bool
    h11_max_incomplete_event_size: int | None

    def log_what_has_no_meaning(self) -> None:
        """Name the options that are taken and change nothing."""
        if self.http in ("h11", "httptools", "zttp"):
            logger.info("http=%s has no meaning here: bicorn speaks HTTP itself", self.http)
        if self.h11_max_incomplete_event_size is not None:
            logger.info("h11_max_incomplete_event_size has no meaning here: limit_request_head bounds a request head")

    if TYPE_CHECKING:

        @property
        def is_ssl(self) -> bool:
            """Whether TLS is spoken; `Config` knows."""

    @property
    def http_protocol_class(self) -> type:
        """The stand-in that `http` names."""
        self._after_load("http_protocol_class")
        protocol: type = import_from_string(HTTP_PROTOCOLS[self.http])
        return protocol

    @property
    def ws_protocol_class(self) -> type | None:
        """The stand-in that `ws` names; None where there are no WebSockets."""
        self._after_load("ws_protocol_class")
        protocol: type | None = import_from_string(None if self.interface == "wsgi" else WS_PROTOCOLS[self.ws])
        return protocol

    @property
    def ssl(self) -> TlsStandIn | None:
        """Something true if TLS is spoken, else None."""
        self._after_load("ssl")
        return TlsStandIn() if self.is_ssl else None

    def _after_load(self, name: str) -> None:
        if not self.loaded:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r} before load()")

    def setup_event_loop(self) -> NoReturn:
        """Say what replaced it.

        Raises:
            AttributeError: Always, in uvicorn's words.
        """
        raise AttributeError(
            "The `setup_event_loop` method was replaced by `get_loop_factory` in uvicorn 0.36.0.\n"
            "Neither is for programs to call: Server.run makes the loop, Server.serve takes the running one."
        )


def option_of(protocol: object, protocols: Mapping[str, str] | Mapping[str, str | None]) -> Any:
    """Return the option that a stand-in, or the import string of one, stands for; anything else as it is."""
    if isinstance(protocol, type):
        given = f"{protocol.__module__}:{protocol.__qualname__}"
    elif isinstance(protocol, str):
        given = protocol
    else:
        return protocol
    for package in ("bicorn", "uvicorn"):
        for name, path in protocols.items():
            if path is not None and given == path.replace("bicorn", package, 1):
                return name
    return protocol
