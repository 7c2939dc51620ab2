"""What `http="auto"` is; see `bicorn.protocols.stand_in`."""

from bicorn.protocols.http.httptools_impl import HttpToolsProtocol as AutoHTTPProtocol

__all__ = ["AutoHTTPProtocol"]
