"""What `ws="auto"` is; see `bicorn.protocols.stand_in`."""

from bicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol as AutoWebSocketsProtocol

__all__ = ["AutoWebSocketsProtocol"]
