"""Values that uvicorn keeps in `uvicorn.config`, here without its imports.

`bicorn.main` needs them for the defaults of `run`, and `import bicorn` should cost next to nothing: so this
file imports neither `logging` nor `typing`. Users find the names in `bicorn.config`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Whose names, options and behaviour are kept.
UVICORN_VERSION = "0.54.0"

# The exit code of every failed start (uvicorn 0.50).
STARTUP_FAILURE = 3

# ssl.PROTOCOL_TLS_SERVER: TLS 1.2 and 1.3.
SSL_PROTOCOL_VERSION = 17

# Below DEBUG; switches the log of ASGI events on.
TRACE_LOG_LEVEL = 5

LOG_LEVELS: dict[str, int] = {
    "critical": 50,
    "error": 40,
    "warning": 30,
    "info": 20,
    "debug": 10,
    "trace": TRACE_LOG_LEVEL,
}

INTERFACES = ["auto", "asgi3", "asgi2", "wsgi"]

# Each names a stand-in (`bicorn.protocols.stand_in`): Rust speaks HTTP and WebSocket, whatever the name.
HTTP_PROTOCOLS: dict[str, str] = {
    "auto": "bicorn.protocols.http.auto:AutoHTTPProtocol",
    "h11": "bicorn.protocols.http.h11_impl:H11Protocol",
    "httptools": "bicorn.protocols.http.httptools_impl:HttpToolsProtocol",
    "zttp": "bicorn.protocols.http.zttp_impl:ZttpProtocol",
}
WS_PROTOCOLS: dict[str, str | None] = {
    "auto": "bicorn.protocols.websockets.auto:AutoWebSocketsProtocol",
    "none": None,
    "websockets": "bicorn.protocols.websockets.websockets_impl:WebSocketProtocol",
    "websockets-sansio": "bicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol",
    "wsproto": "bicorn.protocols.websockets.wsproto_impl:WSProtocol",
}

LIFESPAN = {
    "auto": "bicorn.lifespan:LifespanOn",
    "on": "bicorn.lifespan:LifespanOn",
    "off": "bicorn.lifespan:LifespanOff",
}

# Each names a function that takes `use_subprocess` and returns a loop factory; None leaves the choice to
# asyncio.
LOOP_FACTORIES: dict[str, str | None] = {
    "none": None,
    "auto": "bicorn.loops:auto_loop_factory",
    "asyncio": "bicorn.loops:asyncio_loop_factory",
    "uvloop": "bicorn.loops:uvloop_loop_factory",
    "zuvloop": "bicorn.loops:zuvloop_loop_factory",
}

# The format of the access log, apart from the dict that users may change.
ACCESS_FORMAT = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'

# Users copy this dict or change it in place before they start a server, so its shape is uvicorn's to the key.
LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {
            "()": "bicorn.logging.DefaultFormatter",
            "fmt": "%(levelprefix)s %(message)s",
            "use_colors": None,
        },
        "access": {
            "()": "bicorn.logging.AccessFormatter",
            "fmt": ACCESS_FORMAT,
        },
    },
    "handlers": {
        "default": {"formatter": "default", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
        "access": {"formatter": "access", "class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    },
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}
