"""Stand-ins for what uvicorn builds on websockets; see `bicorn.protocols.stand_in`."""

from bicorn.protocols.stand_in import refuse_name, stand_in

__all__ = ["WebSocketsSansIOProtocol"]

WebSocketsSansIOProtocol = stand_in(__name__, "WebSocketsSansIOProtocol")


def __getattr__(name: str) -> object:
    refuse_name(__name__, name)
