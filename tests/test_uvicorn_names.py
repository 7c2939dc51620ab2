"""What programs find where uvicorn has it: the names of its modules, and answers instead of its protocol classes."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

import bicorn
from bicorn import Config
from bicorn.protocols.http.h11_impl import H11Protocol
from bicorn.protocols.stand_in import NotInBicorn
from tests.apps import hello


def loaded(**options: Any) -> Config:
    config = Config(hello, log_config=None, **options)
    config.load()
    return config


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("config", ("HTTP_PROTOCOLS", "WS_PROTOCOLS", "LIFESPAN", "LOOP_FACTORIES", "INTERFACES", "LOG_LEVELS")),
        ("config", ("LOGGING_CONFIG", "TRACE_LOG_LEVEL", "SSL_PROTOCOL_VERSION", "STARTUP_FAILURE", "LoopFactoryType")),
        ("server", ("HANDLED_SIGNALS", "Server", "ServerState")),
        ("logging", ("AccessFormatter", "ColourizedFormatter", "DefaultFormatter", "TRACE_LOG_LEVEL")),
        ("importer", ("ImportFromStringError", "import_from_string")),
        ("middleware.proxy_headers", ("ProxyHeadersMiddleware",)),
        ("middleware.wsgi", ("WSGIMiddleware",)),
        ("middleware.asgi2", ("ASGI2Middleware",)),
        ("middleware.message_logger", ("MessageLoggerMiddleware",)),
        ("protocols.utils", ("ClientDisconnected", "get_client_addr", "get_path_with_query_string")),
    ],
)
def test_names_are_where_uvicorn_has_them(module: str, names: tuple[str, ...]) -> None:
    ours, theirs = importlib.import_module(f"bicorn.{module}"), importlib.import_module(f"uvicorn.{module}")
    for name in names:
        assert hasattr(ours, name), name
        assert hasattr(theirs, name), name


def test_modules_are_attributes_of_the_package() -> None:
    assert bicorn.config.LOGGING_CONFIG is importlib.import_module("bicorn.config").LOGGING_CONFIG  # type: ignore[attr-defined]
    assert bicorn.server.Server is bicorn.Server  # type: ignore[attr-defined]


def test_server_state_in_main_is_deprecated() -> None:
    with pytest.deprecated_call(match="uvicorn.main.ServerState is deprecated, use uvicorn.server.ServerState instead"):
        state = importlib.import_module("bicorn.main").ServerState
    assert state is importlib.import_module("bicorn.server").ServerState


def test_setup_event_loop_says_what_replaced_it() -> None:
    text = "The `setup_event_loop` method was replaced by `get_loop_factory` in uvicorn 0.36.0."
    with pytest.raises(AttributeError, match=text):
        Config(hello, log_config=None).setup_event_loop()


# `main` has the face of a click command.


def test_main_ends_the_process_as_a_click_command_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    module = sys.modules["bicorn.main"]
    monkeypatch.setattr(module, "run", lambda app, **options: seen.append((app, options["port"], options["headers"])))
    with pytest.raises(SystemExit) as raised:
        bicorn.main(["a:b", "--port", "1"], prog_name="program")
    assert raised.value.code == 0
    assert bicorn.main.main(["a:b"], standalone_mode=False) is None
    bicorn.main.callback(app="a:b", port=2, headers=["x:1:2"])
    assert seen == [("a:b", 1, []), ("a:b", 8000, []), ("a:b", 2, [("x", "1:2")])]


def test_what_main_has_not_is_named() -> None:
    with pytest.raises(AttributeError, match="has no params: it is not a click command"):
        bicorn.main.params  # noqa: B018


# Protocol classes.


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (H11Protocol, "h11"),
        ("bicorn.protocols.http.h11_impl:H11Protocol", "h11"),
        ("uvicorn.protocols.http.h11_impl:H11Protocol", "h11"),
        ("uvicorn.protocols.http.auto:AutoHTTPProtocol", "auto"),
    ],
)
def test_stand_in_stands_for_its_option(given: Any, name: str) -> None:
    config = loaded(http=given)
    assert config.http == name


def test_other_protocol_classes_are_refused() -> None:
    class Protocol:
        pass

    with pytest.raises(ValueError, match="bicorn speaks HTTP itself"):
        loaded(http=Protocol)
    with pytest.raises(ValueError, match="bicorn speaks WebSocket itself"):
        loaded(ws=Protocol)


def test_stand_in_cannot_be_derived_from() -> None:
    with pytest.raises(NotInBicorn, match=r"cannot derive Mine from bicorn\.protocols\.http\.h11_impl\.H11Protocol"):

        class Mine(H11Protocol):  # type: ignore[misc]
            pass


@pytest.mark.parametrize(
    "use",
    [
        lambda: H11Protocol(config=None),
        lambda: H11Protocol.handle_events,  # type: ignore[attr-defined]
        lambda: setattr(H11Protocol, "handle_events", None),
    ],
)
def test_stand_in_says_what_to_use_instead(use: Any) -> None:
    with pytest.raises(NotInBicorn, match=r"ASGI middleware.*sockets.*docs/settings\.md"):
        use()


def test_missing_name_in_a_protocol_module_says_what_to_use_instead() -> None:
    module = importlib.import_module("bicorn.protocols.http.httptools_impl")
    with pytest.raises(AttributeError, match="has no attribute 'STATUS_LINE': bicorn speaks HTTP"):
        module.STATUS_LINE  # noqa: B018


@pytest.mark.parametrize(
    ("options", "http_name", "ws_name"),
    [
        ({}, "HttpToolsProtocol", "WebSocketsSansIOProtocol"),
        ({"http": "h11", "ws": "wsproto"}, "H11Protocol", "WSProtocol"),
        ({"ws": "none"}, "HttpToolsProtocol", None),
    ],
)
def test_protocol_classes_of_a_config_can_be_looked_at(
    options: dict[str, Any], http_name: str, ws_name: str | None
) -> None:
    config = loaded(**options)
    assert config.http_protocol_class.__name__ == http_name
    assert getattr(config.ws_protocol_class, "__name__", None) == ws_name
    with pytest.raises(AttributeError):
        config.http_protocol_class = object  # type: ignore[misc, assignment]


def test_protocol_classes_are_there_only_after_load() -> None:
    config = Config(hello, log_config=None)
    for name in ("http_protocol_class", "ws_protocol_class", "ssl"):
        assert not hasattr(config, name)


def test_ssl_is_true_with_tls_and_says_what_it_is_not() -> None:
    assert loaded().ssl is None
    config = Config(hello, log_config=None, ssl_certfile="cert.pem")
    config.loaded = True
    assert config.ssl
    with pytest.raises(AttributeError, match=r"config\.ssl has no load_cert_chain: TLS is rustls"):
        config.ssl.load_cert_chain  # noqa: B018
