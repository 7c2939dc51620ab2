"""What programs replace in `Server` and `Config`, and what `run` does for those that call it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests import serving
from tests.apps import Receive, Scope, Send, hello
from tests.embedding import ask, make, make_started, port_of

pytestmark = pytest.mark.usefixtures("loggers_restored")


# Subclasses.


def recording_class(module: ModuleType, calls: list[str]) -> Any:
    """Make a subclass of which every step says that it is called, and then does what it did."""

    class Recording(module.Server):  # type: ignore[misc, name-defined]
        def run(self, sockets: Any = None) -> None:
            calls.append("run")
            super().run(sockets=sockets)

        async def serve(self, sockets: Any = None) -> None:
            calls.append("serve")
            await super().serve(sockets=sockets)

        async def _serve(self, sockets: Any = None) -> None:
            calls.append("_serve")
            await super()._serve(sockets)

        async def startup(self, sockets: Any = None) -> None:
            calls.append("startup")
            await super().startup(sockets=sockets)

        def _log_started_message(self, listeners: Any) -> None:
            calls.append(f"_log_started_message {listeners[0].getsockname()[0]}")

        async def main_loop(self) -> None:
            calls.append("main_loop")
            await super().main_loop()

        async def on_tick(self, counter: int) -> bool:
            if counter == 0:
                calls.append("on_tick")
                self.should_exit = True
            return bool(await super().on_tick(counter))

        async def shutdown(self, sockets: Any = None) -> None:
            calls.append("shutdown")
            await super().shutdown(sockets=sockets)

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            calls.append("capture_signals")
            with super().capture_signals():
                yield
            calls.append("capture_signals ends")

    return Recording


def test_every_step_may_be_overridden(module: ModuleType) -> None:
    calls: list[str] = []
    config = module.Config(hello, port=0, lifespan="off", log_config=None)
    recording_class(module, calls)(config).run()
    assert calls == [
        "run",
        "serve",
        "capture_signals",
        "_serve",
        "startup",
        "_log_started_message 127.0.0.1",
        "main_loop",
        "on_tick",
        "shutdown",
        "capture_signals ends",
    ]


@pytest.mark.parametrize("step", ["startup", "main_loop", "shutdown", "on_tick"])
def test_what_a_step_raises_ends_serve(module: ModuleType, step: str) -> None:
    class StepFailed(Exception):
        pass

    async def fail(*_: Any, **__: Any) -> None:
        raise StepFailed

    async def main() -> None:
        server = make(module)
        setattr(server, step, fail)
        if step == "shutdown":
            server.should_exit = True
        with pytest.raises(StepFailed):
            await server.serve()
        # uvicorn leaves open what it has opened.
        for one in getattr(server, "servers", ()):
            one.close()

    asyncio.run(main())


def test_startup_may_do_more_and_shutdown_too(module: ModuleType) -> None:
    order: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            event = await receive()
            order.append(event["type"])
            await send({"type": f"{event['type']}.complete"})

    class Extended(module.Server):  # type: ignore[misc, name-defined]
        async def startup(self, sockets: Any = None) -> None:
            order.append("before startup")
            await super().startup(sockets)
            order.append("after startup")
            self.should_exit = True

        async def shutdown(self, sockets: Any = None) -> None:
            order.append("before shutdown")
            await super().shutdown(sockets)
            order.append("after shutdown")

    Extended(module.Config(app, port=0, lifespan="on", log_config=None)).run()
    assert order == [
        "before startup",
        "lifespan.startup",
        "after startup",
        "before shutdown",
        "lifespan.shutdown",
        "after shutdown",
    ]


def test_handle_exit_may_be_assigned(module: ModuleType) -> None:
    received: list[int] = []
    before = signal.getsignal(signal.SIGTERM)

    async def main() -> None:
        server = make_started(module)
        # Undo what `make_started` does for other tests.
        del server.capture_signals

        def handle_exit(number: int, frame: Any) -> None:
            received.append(number)
            server.should_exit = True

        server.handle_exit = handle_exit
        task = asyncio.create_task(server.serve())
        await asyncio.wait_for(server.has_started.wait(), 10)
        assert signal.getsignal(signal.SIGTERM) is handle_exit
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(task, 10)

    asyncio.run(main())
    assert received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("how", ["assigned", "overridden"])
def test_capture_signals_may_be_replaced(module: ModuleType, how: str) -> None:
    seen: list[Any] = []
    before = signal.getsignal(signal.SIGTERM)

    class Quiet(module.Server):  # type: ignore[misc, name-defined]
        def capture_signals(self) -> Any:
            return contextlib.nullcontext()

    async def main() -> None:
        config = module.Config(hello, port=0, lifespan="off", log_config=None)
        server = Quiet(config) if how == "overridden" else module.Server(config)
        if how == "assigned":
            server.capture_signals = contextlib.nullcontext

        async def main_loop() -> None:
            seen.append(signal.getsignal(signal.SIGTERM))

        server.main_loop = main_loop
        await server.serve()

    asyncio.run(main())
    assert seen == [before]


def test_handlers_come_back_when_serve_is_cancelled(module: ModuleType) -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def main() -> None:
        server = make_started(module)
        del server.capture_signals
        task = asyncio.create_task(server.serve())
        await asyncio.wait_for(server.has_started.wait(), 10)
        assert signal.getsignal(signal.SIGTERM) is not before
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert signal.getsignal(signal.SIGTERM) is before
        for one in server.servers:
            one.close()

    asyncio.run(main())


# Ctrl+C and SIGTERM, in programs of their own.

PROGRAMS = {
    "run": "server.run()",
    "asyncio.run": "asyncio.run(server.serve())",
    "task": """
        async def main():
            await asyncio.create_task(server.serve())
        asyncio.run(main())
    """,
    "module.run": "bicorn.run(app, port=0, lifespan='off', log_level='info')",
    # An event, not the thread: before Python 3.13 a join that Ctrl+C interrupts takes the thread for ended, and the
    # next one returns at once. The interpreter then ends under the server, which uvloop's timers do not always survive.
    "thread": """
        ended = threading.Event()
        def serve():
            server.run()
            ended.set()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            ended.wait()
        except KeyboardInterrupt:
            server.should_exit = True
            thread.join()
            raise
    """,
}


def outcome(server_name: str, program: str, number: int) -> tuple[int, str]:
    """Run a program, send it a signal once it serves, and return its exit code and what it printed."""
    # The first line: what runs in the background of a shell inherits that Ctrl+C is ignored.
    code = f"""
import signal; signal.signal(signal.SIGINT, signal.default_int_handler)
import asyncio, threading, bicorn
from tests.apps import hello as app
server = bicorn.Server(bicorn.Config(app, port=0, lifespan="off"))
try:
{textwrap.indent(textwrap.dedent(program).strip(), "    ")}
except BaseException as error:
    print("raised", type(error).__name__)
    raise SystemExit(7)
print("returned")
""".replace("bicorn", server_name)
    command = [sys.executable, "-u", "-c", code]
    process = subprocess.Popen(
        command, cwd=serving.REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        lines: list[str] = []
        while "running on" not in "".join(lines[-1:]):
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        process.send_signal(number)
        stdout, _ = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    return process.returncode, stdout


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_ctrl_c_reaches_the_program(server_name: str, name: str) -> None:
    expected = (0, "returned\n") if name == "module.run" else (7, "raised KeyboardInterrupt\n")
    assert outcome(server_name, PROGRAMS[name], signal.SIGINT) == expected


@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - {"thread"}))
def test_sigterm_ends_the_program_as_a_signal(server_name: str, name: str) -> None:
    assert outcome(server_name, PROGRAMS[name], signal.SIGTERM) == (-signal.SIGTERM, "")


# What frameworks and tools call.


def test_signatures_are_uvicorns(module: ModuleType) -> None:
    server, config = module.Server, module.Config
    parameters = {
        f"{owner.__name__}.{name}": list(inspect.signature(getattr(owner, name)).parameters)
        for owner, names in (
            (server, ("run", "serve", "startup", "main_loop", "on_tick", "shutdown", "capture_signals", "handle_exit")),
            (config, ("load", "load_app", "bind_socket", "get_loop_factory", "configure_logging")),
        )
        for name in names
    }
    assert parameters == {
        "Server.run": ["self", "sockets"],
        "Server.serve": ["self", "sockets"],
        "Server.startup": ["self", "sockets"],
        "Server.main_loop": ["self"],
        "Server.on_tick": ["self", "counter"],
        "Server.shutdown": ["self", "sockets"],
        "Server.capture_signals": ["self"],
        "Server.handle_exit": ["self", "sig", "frame"],
        "Config.load": ["self"],
        "Config.load_app": ["self"],
        "Config.bind_socket": ["self"],
        "Config.get_loop_factory": ["self"],
        "Config.configure_logging": ["self"],
    }


def test_attributes_before_and_after_load(module: ModuleType) -> None:
    config = module.Config("tests.apps:hello", log_config=None, headers=[("X-One", "1")], server_header=False)
    server = module.Server(config)
    assert server.config is config
    state = (server.started, server.should_exit, server.force_exit, server.last_notified, server._captured_signals)
    assert state == (False, False, False, 0.0, [])
    assert (config.loaded, config.is_ssl, config.use_subprocess, config.should_reload) == (False, False, False, False)
    assert config.interface == "auto"
    config.load()
    assert (config.loaded, config.interface, config.asgi_version) == (True, "asgi3", "3.0")
    assert config.encoded_headers == [(b"x-one", b"1")]
    assert config.lifespan_class.__name__ == "LifespanOn"
    assert config.load_app() is hello
    assert callable(config.loaded_app)


def test_bound_socket_is_served_by_another_server(module: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    config = module.Config(hello, port=0, lifespan="off", log_config=None)
    listener = config.bind_socket()
    assert isinstance(listener, socket.socket)
    assert listener.get_inheritable()
    port = listener.getsockname()[1]
    server = make(module)
    begun = threading.Event()
    main_loop = server.main_loop

    async def tell_and_loop() -> None:
        begun.set()
        await main_loop()

    server.main_loop = tell_and_loop
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert begun.wait(10)
        assert ask(port) == b"hello"
        assert port_of(server) == port
    finally:
        server.should_exit = True
        thread.join(10)
    assert [message for message in caplog.messages if "running on" in message and str(port) in message]


def test_loop_factory_makes_the_loop(module: ModuleType) -> None:
    def loop_name(**options: Any) -> str:
        factory: Callable[[], asyncio.AbstractEventLoop] | None
        factory = module.Config(hello, log_config=None, **options).get_loop_factory()
        assert factory is not None
        loop = factory()
        loop.close()
        return f"{type(loop).__module__}.{type(loop).__name__}"

    assert loop_name(loop="uvloop") == loop_name(loop="auto") == "uvloop.Loop"
    assert loop_name(loop="asyncio") == "asyncio.unix_events._UnixSelectorEventLoop"
    assert loop_name(loop="uvloop:new_event_loop") == "uvloop.Loop"
    assert module.Config(hello, log_config=None, loop="none").get_loop_factory() is None
