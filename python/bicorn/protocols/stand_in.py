"""Classes in the place of uvicorn's protocol classes, which nothing here could make work.

A program may import one, annotate with one, or give it to `Config` as `http` or `ws`, where it stands for the option of
its name. To call it, derive from it, or read or set something of it raises an error with the way that there is.
"""

from __future__ import annotations

from typing import Any, NoReturn

INSTEAD = (
    "headers and bodies belong into an ASGI middleware, socket options onto a socket that is given to"
    " Server.serve(sockets=[...]), limits and timeouts into options (docs/settings.md)"
)


class NotInBicorn(TypeError, AttributeError):
    """Something of uvicorn's protocols that there is no counterpart of; the text says what to use."""


class StandIn(type):
    """The type of stand-ins: a class that can be named, and nothing else."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> StandIn:
        """Make a stand-in; to derive from one is refused."""
        for base in bases:
            if isinstance(base, StandIn):
                base._refuse(f"derive {name} from")
        return super().__new__(cls, name, bases, namespace)

    def __call__(cls, *_: object, **__: object) -> NoReturn:
        """Refuse to make an instance."""
        cls._refuse("call")

    def __getattr__(cls, name: str) -> NoReturn:
        cls._refuse(f"read {name} of")

    def __setattr__(cls, name: str, value: object) -> None:
        cls._refuse(f"set {name} of")

    def _refuse(cls, what: str) -> NoReturn:
        raise NotInBicorn(
            f"cannot {what} {cls.__module__}.{cls.__qualname__}: bicorn speaks HTTP and WebSocket in Rust; {INSTEAD}"
        )


def stand_in(module: str, name: str) -> type:
    """Make the stand-in for a class of a module."""
    return StandIn(name, (), {"__module__": module, "__doc__": "Not here; see `bicorn.protocols.stand_in`."})


def refuse_name(module: str, name: str) -> NoReturn:
    """Answer a question for a name that a module has in uvicorn."""
    raise AttributeError(
        f"module {module!r} has no attribute {name!r}: bicorn speaks HTTP and WebSocket in Rust; {INSTEAD}"
    )
