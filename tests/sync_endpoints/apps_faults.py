"""FastAPI: endpoints that end badly, or not at all; what the tests open is `gates`."""

import sys
import time

from fastapi import FastAPI

from tests.sync_endpoints.apps_connections import gates
from tests.sync_endpoints.families import note


def make_app() -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    def hello() -> str:
        return "hello"

    @app.get("/held/{name}")
    def held(name: str) -> str:
        say(f"held {name}")
        gates.wait(name)
        return name

    @app.get("/slow")
    def slow() -> str:
        say("slow")
        time.sleep(0.5)
        return "slow"

    @app.get("/raise")
    def raising() -> None:
        raise ValueError("as asked")

    @app.get("/exit")
    def leaving() -> None:
        sys.exit(7)

    @app.get("/interrupt")
    def interrupting() -> None:
        raise KeyboardInterrupt

    @app.get("/deep")
    def deep() -> None:
        deep()

    @app.get("/async")
    async def asynchronous() -> str:
        note("async")
        return "async"

    return app


def say(text: str) -> None:
    """Print a line in one piece: other threads print, too."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


app = make_app()
