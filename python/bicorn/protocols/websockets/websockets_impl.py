"""Stand-ins for what uvicorn builds on websockets, the old implementation; see `bicorn.protocols.stand_in`."""

from bicorn.protocols.stand_in import refuse_name, stand_in

__all__ = ["WebSocketProtocol"]

WebSocketProtocol = stand_in(__name__, "WebSocketProtocol")


def __getattr__(name: str) -> object:
    refuse_name(__name__, name)
