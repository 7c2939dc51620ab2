"""Modules of uvicorn that programs use by themselves: the same answers from bicorn's."""

from __future__ import annotations

import asyncio
import importlib
import io
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def proxy_headers(server_name: str) -> ModuleType:
    return importlib.import_module(f"{server_name}.middleware.proxy_headers")


@pytest.fixture
def utils(server_name: str) -> ModuleType:
    return importlib.import_module(f"{server_name}.protocols.utils")


def corrected(
    proxy_headers: ModuleType,
    headers: list[tuple[bytes, bytes]],
    trusted_hosts: str | list[str] = "127.0.0.1",
    **scope: Any,
) -> tuple[str, object]:
    """Return scheme and client of a scope behind the middleware."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    given = {"type": "http", "scheme": "http", "client": ("127.0.0.1", 1000), "headers": headers, **scope}
    asyncio.run(proxy_headers.ProxyHeadersMiddleware(app, trusted_hosts)(given, None, None))
    return seen["scheme"], seen["client"]


@pytest.mark.parametrize(
    ("header", "trusted_hosts", "client"),
    [
        ("1.2.3.4", "127.0.0.1", ("1.2.3.4", 0)),
        ("1.2.3.4:80", "127.0.0.1", ("1.2.3.4", 80)),
        ("[2001:db8::1]:80", "127.0.0.1", ("2001:db8::1", 80)),
        ("[2001:db8::1]", "127.0.0.1", ("2001:db8::1", 0)),
        ("2001:db8::1", "127.0.0.1", ("2001:db8::1", 0)),
        ("[2001:db8::1", "127.0.0.1", ("[2001:db8::1", 0)),
        ("[2001:db8::1]80", "127.0.0.1", ("[2001:db8::1]80", 0)),
        ("[2001:db8::1]:x", "127.0.0.1", ("2001:db8::1", 0)),
        ("1.2.3.4:x", "127.0.0.1", ("1.2.3.4:x", 0)),
        ("", "127.0.0.1", ("127.0.0.1", 1000)),
        ("1.1.1.1, 2.2.2.2", "127.0.0.1", ("2.2.2.2", 0)),
        ("1.1.1.1, 2.2.2.2, 10.0.0.1", ["127.0.0.1", "10.0.0.0/8"], ("2.2.2.2", 0)),
        ("10.0.0.2, 10.0.0.1", "127.0.0.1,10.0.0.0/8", ("10.0.0.2", 0)),
        ("1.1.1.1, 2.2.2.2", "*", ("1.1.1.1", 0)),
        ("1.1.1.1", "8.8.8.8", ("127.0.0.1", 1000)),
        ("1.1.1.1", [], ("127.0.0.1", 1000)),
    ],
)
def test_client_of_x_forwarded_for(
    proxy_headers: ModuleType, header: str, trusted_hosts: str | list[str], client: tuple[str, int]
) -> None:
    assert corrected(proxy_headers, [(b"x-forwarded-for", header.encode())], trusted_hosts)[1] == client


@pytest.mark.parametrize(
    ("values", "kind", "scheme"),
    [
        ([b"https"], "http", "https"),
        ([b"http", b" https "], "http", "https"),
        ([b"https,http"], "http", "http"),
        ([b"https"], "websocket", "wss"),
        ([b"http"], "websocket", "ws"),
        ([b"gopher"], "http", "http"),
    ],
)
def test_scheme_of_x_forwarded_proto(proxy_headers: ModuleType, values: list[bytes], kind: str, scheme: str) -> None:
    headers = [(b"x-forwarded-proto", value) for value in values]
    assert corrected(proxy_headers, headers, type=kind)[0] == scheme


def test_lines_of_x_forwarded_for_are_one_list(proxy_headers: ModuleType) -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"127.0.0.1")]
    assert corrected(proxy_headers, headers)[1] == ("1.1.1.1", 0)


@pytest.mark.parametrize(("trusted_hosts", "client"), [("127.0.0.1", None), ("*", ("1.1.1.1", 0))])
def test_peer_without_an_address_is_trusted_only_with_everybody(
    proxy_headers: ModuleType, trusted_hosts: str, client: object
) -> None:
    assert corrected(proxy_headers, [(b"x-forwarded-for", b"1.1.1.1")], trusted_hosts, client=None)[1] == client


def test_lifespan_goes_through_proxy_headers(proxy_headers: ModuleType) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope == {"type": "lifespan"}

    asyncio.run(proxy_headers.ProxyHeadersMiddleware(app)({"type": "lifespan"}, None, None))


# protocols.utils


class Transport:
    def __init__(self, **extra: Any) -> None:
        self.extra = extra

    def get_extra_info(self, name: str) -> Any:
        return self.extra.get(name)


def sock(**addresses: Any) -> Any:
    return SimpleNamespace(
        getpeername=lambda: addresses.get("peer"),
        getsockname=lambda: addresses.get("own"),
    )


@pytest.mark.parametrize(
    ("extra", "remote", "local"),
    [
        ({"socket": sock(peer=("1.2.3.4", 5), own=("::1", 6, 0, 0))}, ("1.2.3.4", 5), ("::1", 6)),
        ({"socket": sock(peer="", own="/a/path")}, None, ("/a/path", None)),
        ({"peername": ["1.2.3.4", 5], "sockname": ("1.2.3.4", 6)}, ("1.2.3.4", 5), ("1.2.3.4", 6)),
        ({"peername": None, "sockname": "/a/path"}, None, ("/a/path", None)),
        ({}, None, None),
    ],
)
def test_addresses_of_a_transport(utils: ModuleType, extra: dict[str, Any], remote: object, local: object) -> None:
    transport = Transport(**extra)
    assert (utils.get_remote_addr(transport), utils.get_local_addr(transport)) == (remote, local)
    assert (utils.is_ssl(transport), utils.is_ssl(Transport(sslcontext=object()))) == (False, True)


@pytest.mark.parametrize(("client", "text"), [(("1.2.3.4", 5), "1.2.3.4:5"), (None, "")])
def test_client_of_a_scope_as_text(utils: ModuleType, client: object, text: str) -> None:
    assert utils.get_client_addr({"client": client}) == text


@pytest.mark.parametrize(("path", "query", "text"), [("/ä b", b"", "/%C3%A4%20b"), ("/", b"a=%20", "/?a=%20")])
def test_path_with_query_string(utils: ModuleType, path: str, query: bytes, text: str) -> None:
    assert utils.get_path_with_query_string({"path": path, "query_string": query}) == text


def test_client_disconnected_is_an_os_error(utils: ModuleType) -> None:
    assert issubclass(utils.ClientDisconnected, OSError)


# The rest.


def test_environ_of_a_wsgi_app(server_name: str) -> None:
    scope = {
        **{"type": "http", "method": "GET", "http_version": "1.1", "path": "/a/ä", "root_path": "/a"},
        **{"query_string": b"q=1", "headers": [(b"x-a", b"1"), (b"x-a", b"2")]},
    }
    module = importlib.import_module(f"{server_name}.middleware.wsgi")
    environ = module.build_environ(scope, {"type": "http.request"}, io.BytesIO())
    names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_X_A")
    assert [environ[name] for name in names] == ["/a", "/ä".encode().decode("latin-1"), "q=1", "1,2"]


def test_asyncio_run_takes_a_loop_factory(server_name: str) -> None:
    run = importlib.import_module(f"{server_name}._compat").asyncio_run

    async def main() -> str:
        return type(asyncio.get_running_loop()).__name__

    assert run(main(), loop_factory=asyncio.SelectorEventLoop) in ("_UnixSelectorEventLoop", "SelectorEventLoop")
    with pytest.raises((TypeError, ValueError)):
        run(lambda: None)
