"""A pytest plugin: the fixture `bicorn_server`.

    pytest_plugins = ["bicorn.pytest_plugin"]   # in conftest.py

It is no entry point: pytest would import bicorn in every run, and rewrite the asserts of all its modules.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bicorn._types import ASGIApplication
    from bicorn.testing import RunningServer

__all__ = ["ServeApp", "bicorn_server"]


class ServeApp(Protocol):
    """What the fixture gives; the arguments are those of `bicorn.testing.serve`."""

    def __call__(self, app: ASGIApplication | Callable[..., Any] | str, **options: Any) -> RunningServer:
        """Serve an app until the end of the test."""
        ...


@pytest.fixture
def bicorn_server() -> Iterator[ServeApp]:
    """Call it to serve an app until the test ends; takes what `bicorn.testing.serve` takes."""
    # A run that has the plugin and no such test does not pay for the server.
    from bicorn.testing import serve

    with ExitStack() as servers:

        def serve_app(app: ASGIApplication | Callable[..., Any] | str, **options: Any) -> RunningServer:
            return servers.enter_context(serve(app, **options))

        yield serve_app
