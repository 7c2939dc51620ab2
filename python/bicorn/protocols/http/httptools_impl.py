"""Stand-ins for what uvicorn builds on httptools; see `bicorn.protocols.stand_in`."""

from bicorn.protocols.stand_in import refuse_name, stand_in

__all__ = ["HttpToolsProtocol", "RequestResponseCycle"]

HttpToolsProtocol = stand_in(__name__, "HttpToolsProtocol")
RequestResponseCycle = stand_in(__name__, "RequestResponseCycle")


def __getattr__(name: str) -> object:
    refuse_name(__name__, name)
