"""Stand-ins for what uvicorn builds on zttp; see `bicorn.protocols.stand_in`."""

from bicorn.protocols.stand_in import refuse_name, stand_in

__all__ = ["RequestResponseCycle", "ZttpProtocol"]

ZttpProtocol = stand_in(__name__, "ZttpProtocol")
RequestResponseCycle = stand_in(__name__, "RequestResponseCycle")


def __getattr__(name: str) -> object:
    refuse_name(__name__, name)
