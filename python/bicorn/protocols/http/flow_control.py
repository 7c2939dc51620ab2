"""The bounds that uvicorn's flow control has; Rust keeps its own (`bicorn-http/exchange.rs`)."""

from bicorn.protocols.stand_in import refuse_name, stand_in

__all__ = ["CLOSE_HEADER", "HIGH_WATER_LIMIT", "FlowControl"]

# The bytes of request content that wait for an application.
HIGH_WATER_LIMIT = 65_536

CLOSE_HEADER = (b"connection", b"close")

FlowControl = stand_in(__name__, "FlowControl")


def __getattr__(name: str) -> object:
    refuse_name(__name__, name)
