"""Stand-ins for what uvicorn builds on h11; see `bicorn.protocols.stand_in`."""

from bicorn.protocols.stand_in import refuse_name, stand_in

__all__ = ["H11Protocol", "RequestResponseCycle"]

H11Protocol = stand_in(__name__, "H11Protocol")
RequestResponseCycle = stand_in(__name__, "RequestResponseCycle")


def __getattr__(name: str) -> object:
    refuse_name(__name__, name)
