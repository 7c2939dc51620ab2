"""Stand-ins for what uvicorn builds on wsproto; see `bicorn.protocols.stand_in`."""

from bicorn.protocols.stand_in import refuse_name, stand_in

__all__ = ["WSProtocol"]

WSProtocol = stand_in(__name__, "WSProtocol")


def __getattr__(name: str) -> object:
    refuse_name(__name__, name)
