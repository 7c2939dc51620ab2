"""The scope: its keys and their order, every value, and its types."""

from __future__ import annotations

import tempfile
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests import raw
from tests.apps import Receive, ScopeKeeper, Send, hello
from tests.conftest import Serve, ServeShared

KEYS = [
    "type",
    "asgi",
    "http_version",
    "server",
    "client",
    "scheme",
    "root_path",
    "headers",
    "state",
    "method",
    "path",
    "raw_path",
    "query_string",
]


def next_scope(keeper: ScopeKeeper) -> dict[str, Any]:
    """Return the next scope without `extensions`, which bicorn alone has over HTTP/1: last, and a dict."""
    scope = keeper.next()
    if "extensions" in scope:
        assert list(scope)[-1] == "extensions"
        assert type(scope.pop("extensions")) is dict
    return scope


def scope_of(server: Any, keeper: ScopeKeeper, request: bytes) -> dict[str, Any]:
    with server.connect() as client:
        assert client.exchange(request).status == 200
    return next_scope(keeper)


@pytest.fixture
def keeper() -> ScopeKeeper:
    return ScopeKeeper()


def test_whole_scope(keeper: ScopeKeeper, serve_shared: ServeShared) -> None:
    server = serve_shared(keeper)
    with server.connect() as client:
        client.exchange(raw.request("GET", "/a/b?c=d", [("X-One", "1")], host="example.com"))
        scope = next_scope(keeper)
        assert type(scope) is dict
        assert list(scope) == KEYS
        assert scope == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", server.port),
            "client": client.address,
            "scheme": "http",
            "root_path": "",
            "headers": [(b"host", b"example.com"), (b"x-one", b"1")],
            "state": {},
            "method": "GET",
            "path": "/a/b",
            "raw_path": b"/a/b",
            "query_string": b"c=d",
        }


def test_types_of_values(keeper: ScopeKeeper, serve_shared: ServeShared) -> None:
    scope = scope_of(serve_shared(keeper), keeper, raw.request())
    assert {key: type(value) for key, value in scope.items()} == {
        "type": str,
        "asgi": dict,
        "http_version": str,
        "server": tuple,
        "client": tuple,
        "scheme": str,
        "root_path": str,
        "headers": list,
        "state": dict,
        "method": str,
        "path": str,
        "raw_path": bytes,
        "query_string": bytes,
    }
    assert list(scope["asgi"]) == ["version", "spec_version"]
    assert [type(part) for part in (*scope["server"], *scope["client"])] == [str, int, str, int]
    assert [type(part) for part in scope["headers"][0]] == [bytes, bytes]
    assert type(scope["headers"][0]) is tuple


def test_scopes_share_nothing_an_app_can_change(keeper: ScopeKeeper, serve_shared: ServeShared) -> None:
    server = serve_shared(keeper)
    with server.connect() as client:
        client.exchange(raw.request())
        first = keeper.next()
        for mutable in (first["asgi"], first["state"]):
            mutable["added"] = True
        first["headers"].append((b"added", b"1"))
        first["path"] = "/changed"
        client.exchange(raw.request())
    second = keeper.next()
    assert second["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert (second["state"], second["headers"], second["path"]) == ({}, [(b"host", b"test")], "/")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"])
def test_method(method: str, keeper: ScopeKeeper, serve_shared: ServeShared) -> None:
    assert scope_of(serve_shared(keeper), keeper, raw.request(method))["method"] == method


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_http_version(version: str, keeper: ScopeKeeper, serve_shared: ServeShared) -> None:
    assert scope_of(serve_shared(keeper), keeper, raw.request(version=version))["http_version"] == version


TARGETS = {
    "/": ("/", b"/", b""),
    "/plain": ("/plain", b"/plain", b""),
    "/a%20b": ("/a b", b"/a%20b", b""),
    "/a+b": ("/a+b", b"/a+b", b""),
    "/%C3%A9": ("/é", b"/%C3%A9", b""),
    "/%c3%a9": ("/é", b"/%c3%a9", b""),
    "/%E2%82%AC/%F0%9F%A6%84": ("/€/🦄", b"/%E2%82%AC/%F0%9F%A6%84", b""),
    "/invalid-%FF-%C3": ("/invalid-�-�", b"/invalid-%FF-%C3", b""),
    "/truncated-%E2%82x": ("/truncated-�x", b"/truncated-%E2%82x", b""),
    "/surrogate-%ED%A0%80": ("/surrogate-���", b"/surrogate-%ED%A0%80", b""),
    "/overlong-%C0%AF": ("/overlong-��", b"/overlong-%C0%AF", b""),
    "/too-far-%F4%90%80%80": ("/too-far-����", b"/too-far-%F4%90%80%80", b""),
    "/%2F%2f": ("///", b"/%2F%2f", b""),
    "/%00": ("/\x00", b"/%00", b""),
    "/not-hex-%zz-%2-%": ("/not-hex-%zz-%2-%", b"/not-hex-%zz-%2-%", b""),
    "/%25%32%30": ("/%20", b"/%25%32%30", b""),
    "//double//slash": ("//double//slash", b"//double//slash", b""),
    "/../up/./here": ("/../up/./here", b"/../up/./here", b""),
    "/semi;colon=1,comma": ("/semi;colon=1,comma", b"/semi;colon=1,comma", b""),
    "/?": ("/", b"/", b""),
    "/??": ("/", b"/", b"?"),
    "/?a=b&c=d": ("/", b"/", b"a=b&c=d"),
    "/?a=%20+%FF?x=/y": ("/", b"/", b"a=%20+%FF?x=/y"),
    "/p?q=%E2%82%AC": ("/p", b"/p", b"q=%E2%82%AC"),
    "http://example.com/abs?x=1": ("/abs", b"/abs", b"x=1"),
    "http://example.com:8080/": ("/", b"/", b""),
}


@pytest.mark.parametrize(("target", "expected"), TARGETS.items())
def test_path_raw_path_and_query_string(
    target: str, expected: tuple[str, bytes, bytes], keeper: ScopeKeeper, serve_shared: ServeShared
) -> None:
    host = "example.com:8080" if ":8080" in target else "example.com"
    scope = scope_of(serve_shared(keeper), keeper, raw.request(target=target, host=host))
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == expected


def test_headers_keep_order_and_duplicates_and_lose_case(keeper: ScopeKeeper, serve_shared: ServeShared) -> None:
    fields = [("X-B", "1"), ("x-a", "2"), ("Cookie", "a=1"), ("X-B", "3"), ("cookie", "b=2"), ("ACCEPT", "*/*")]
    scope = scope_of(serve_shared(keeper), keeper, raw.request(headers=fields))
    assert scope["headers"] == [
        (b"host", b"test"),
        (b"x-b", b"1"),
        (b"x-a", b"2"),
        (b"cookie", b"a=1"),
        (b"x-b", b"3"),
        (b"cookie", b"b=2"),
        (b"accept", b"*/*"),
    ]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X-Test:no-space", b"no-space"),
        ("X-Test:   \t padded", b"padded"),
        ("X-Test:", b""),
        ("X-Test:   ", b""),
        ("X-Test: a:b: c", b"a:b: c"),
        ("X-Test: inner  spaces\tand tab", b"inner  spaces\tand tab"),
        ("X-Test: \xe9\xff", b"\xe9\xff"),
        ("X-Test: \x85next\xa0", b"\x85next\xa0"),
        ('X-Test: "quoted, (comment)"', b'"quoted, (comment)"'),
    ],
)
def test_header_value_bytes(line: str, value: bytes, keeper: ScopeKeeper, serve_shared: ServeShared) -> None:
    request = f"GET / HTTP/1.1\r\nHost: test\r\n{line}\r\n\r\n".encode("latin-1")
    assert scope_of(serve_shared(keeper), keeper, request)["headers"][1] == (b"x-test", value)


@pytest.mark.parametrize("name", ["x_under_score", "!#$%&'*+-.^`|~", "X-1", "a" * 200])
def test_header_names_of_all_token_characters(name: str, keeper: ScopeKeeper, serve_shared: ServeShared) -> None:
    scope = scope_of(serve_shared(keeper), keeper, raw.request(headers=[(name, "v")]))
    assert scope["headers"][1] == (name.lower().encode(), b"v")


@pytest.mark.parametrize(
    ("target", "path", "raw_path"),
    [("/a%20b", "/root/a b", b"/root/a%20b"), ("/root/x", "/root/root/x", b"/root/root/x"), ("/", "/root/", b"/root/")],
)
def test_root_path_is_put_before_path_and_raw_path(
    target: str, path: str, raw_path: bytes, keeper: ScopeKeeper, serve: Serve
) -> None:
    with serve(keeper, root_path="/root") as server:
        scope = scope_of(server, keeper, raw.request(target=target))
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/root", path, raw_path)


def test_root_path_is_not_decoded(keeper: ScopeKeeper, serve: Serve) -> None:
    with serve(keeper, root_path="/a%20b/") as server:
        scope = scope_of(server, keeper, raw.request(target="/x"))
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/a%20b/", "/a%20b//x", b"/a%20b//x")


def test_options_asterisk(keeper: ScopeKeeper, serve_shared: ServeShared) -> None:
    scope = scope_of(serve_shared(keeper), keeper, raw.request("OPTIONS", "*"))
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("OPTIONS", "*", b"*")


def test_unix_socket(keeper: ScopeKeeper, serve: Serve) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "socket")
        with serve(keeper, uds=path), raw.Client(uds=path) as client:
            client.exchange(raw.request())
        scope = keeper.next()
    assert (scope["server"], scope["client"], scope["scheme"]) == ((path, None), None, "http")


def test_ipv6(keeper: ScopeKeeper, serve: Serve) -> None:
    with serve(keeper, host="::1") as server, server.connect() as client:
        client.exchange(raw.request())
        scope = keeper.next()
        assert scope["server"] == ("::1", server.port)
        assert scope["client"] == client.address


def test_asgi2_app_is_told_version_2(serve: Serve) -> None:
    scopes: SimpleQueue[dict[str, Any]] = SimpleQueue()

    class App:
        def __init__(self, scope: dict[str, Any]) -> None:
            self.scope = scope

        async def __call__(self, receive: Receive, send: Send) -> None:
            scopes.put(self.scope)
            await hello(self.scope, receive, send)

    with serve(App, interface="asgi2") as server, server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"
    assert scopes.get(timeout=5)["asgi"] == {"version": "2.0", "spec_version": "2.3"}
