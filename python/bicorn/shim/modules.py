"""uvicorn's modules, and the modules of bicorn that they are.

A name that uvicorn 0.54 does not have is not here either: `import uvicorn.reloaders` fails as it does with uvicorn.
"""

from __future__ import annotations

# Relative to `uvicorn` and to `bicorn`; None for a package of which only the modules in it mean something.
MODULES: dict[str, str | None] = {
    "__main__": "__main__",
    "_ansi": "logging",
    "_compat": "_compat",
    "_subprocess": "_subprocess",
    "_types": "_types",
    "config": "config",
    "importer": "importer",
    "lifespan": None,
    "lifespan.off": "lifespan",
    "lifespan.on": "lifespan",
    "logging": "logging",
    "loops": None,
    "loops.asyncio": "loops",
    "loops.auto": "loops",
    "loops.uvloop": "loops",
    "loops.zuvloop": "loops",
    "main": "main",
    "middleware": "middleware",
    "middleware.asgi2": "middleware.asgi2",
    "middleware.message_logger": "middleware.message_logger",
    "middleware.proxy_headers": "middleware.proxy_headers",
    "middleware.wsgi": "middleware.wsgi",
    "protocols": "protocols",
    "protocols.http": "protocols.http",
    "protocols.http.auto": "protocols.http.auto",
    "protocols.http.flow_control": "protocols.http.flow_control",
    "protocols.http.h11_impl": "protocols.http.h11_impl",
    "protocols.http.httptools_impl": "protocols.http.httptools_impl",
    "protocols.http.zttp_impl": "protocols.http.zttp_impl",
    "protocols.utils": "protocols.utils",
    "protocols.websockets": "protocols.websockets",
    "protocols.websockets.auto": "protocols.websockets.auto",
    "protocols.websockets.websockets_impl": "protocols.websockets.websockets_impl",
    "protocols.websockets.websockets_sansio_impl": "protocols.websockets.websockets_sansio_impl",
    "protocols.websockets.wsproto_impl": "protocols.websockets.wsproto_impl",
    "server": "server",
    "supervisors": "supervisors",
    "supervisors.basereload": "supervisors.basereload",
    "supervisors.multiprocess": "supervisors.multiprocess",
    "supervisors.statreload": "supervisors.statreload",
    "supervisors.watchfilesreload": "supervisors.watchfilesreload",
    # Needs gunicorn.
    "workers": "shim.workers",
}

# Modules of which nothing could mean anything, not even a name.
WITHOUT_COUNTERPART = ("protocols.http.auto_zttp_impl", "protocols.http.zttp_h2_impl")
