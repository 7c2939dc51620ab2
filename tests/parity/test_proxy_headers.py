"""X-Forwarded-For and X-Forwarded-Proto: whom to trust, and what becomes of client and scheme."""

from __future__ import annotations

from typing import Any

import pytest

from tests import raw
from tests.apps import ScopeKeeper
from tests.conftest import Serve, ServeShared

Fields = list[tuple[str, str]]
UNCHANGED = None


def forwarded(server: Any, keeper: ScopeKeeper, headers: Fields) -> tuple[tuple[str, int] | None, str]:
    """Return the client the app saw (None if it is the real one) and the scheme."""
    with server.connect() as client:
        assert client.exchange(raw.request(headers=headers)).status == 200
        scope = keeper.next()
        # The headers themselves stay.
        seen = [(name, value.strip()) for name, value in scope["headers"][1:]]
        assert seen == [(name.lower().encode(), value.strip().encode()) for name, value in headers]
        assert type(scope["client"]) is tuple
        return (UNCHANGED if scope["client"] == client.address else scope["client"]), scope["scheme"]


FROM_TRUSTED_LOCALHOST: list[tuple[Fields, tuple[str, int] | None, str]] = [
    ([], UNCHANGED, "http"),
    ([("X-Forwarded-Proto", "https")], UNCHANGED, "https"),
    ([("X-Forwarded-Proto", " https ")], UNCHANGED, "https"),
    ([("X-Forwarded-Proto", "HTTPS")], UNCHANGED, "http"),
    ([("X-Forwarded-Proto", "https,http")], UNCHANGED, "http"),
    ([("X-Forwarded-Proto", "ftp")], UNCHANGED, "http"),
    ([("X-Forwarded-Proto", "wss")], UNCHANGED, "wss"),
    ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")], UNCHANGED, "http"),
    ([("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")], UNCHANGED, "https"),
    ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "")], UNCHANGED, "http"),
    ([("X-Forwarded-For", "1.2.3.4")], ("1.2.3.4", 0), "http"),
    ([("X-Forwarded-For", "1.2.3.4:5678")], ("1.2.3.4", 5678), "http"),
    ([("X-Forwarded-For", "1.2.3.4:port")], ("1.2.3.4:port", 0), "http"),
    ([("X-Forwarded-For", "2001:db8::1")], ("2001:db8::1", 0), "http"),
    ([("X-Forwarded-For", "[2001:db8::1]")], ("2001:db8::1", 0), "http"),
    ([("X-Forwarded-For", "[2001:db8::1]:443")], ("2001:db8::1", 443), "http"),
    ([("X-Forwarded-For", "[2001:db8::1]x")], ("[2001:db8::1]x", 0), "http"),
    ([("X-Forwarded-For", "[2001:db8::1")], ("[2001:db8::1", 0), "http"),
    ([("X-Forwarded-For", "unknown")], ("unknown", 0), "http"),
    ([("X-Forwarded-For", "")], UNCHANGED, "http"),
    ([("X-Forwarded-For", "1.1.1.1, 2.2.2.2")], ("2.2.2.2", 0), "http"),
    ([("X-Forwarded-For", "1.1.1.1,2.2.2.2 ,  3.3.3.3 ")], ("3.3.3.3", 0), "http"),
    ([("X-Forwarded-For", "1.1.1.1, 127.0.0.1")], ("1.1.1.1", 0), "http"),
    ([("X-Forwarded-For", "1.1.1.1, 2.2.2.2, 127.0.0.1, ::1")], ("2.2.2.2", 0), "http"),
    ([("X-Forwarded-For", "1.1.1.1, 127.0.0.1:99")], ("1.1.1.1", 0), "http"),
    ([("X-Forwarded-For", "127.0.0.1, ::1")], ("127.0.0.1", 0), "http"),
    ([("X-Forwarded-For", "1.1.1.1,")], UNCHANGED, "http"),
    ([("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")], ("2.2.2.2", 0), "http"),
    ([("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "127.0.0.1")], ("1.1.1.1", 0), "http"),
    ([("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-Proto", "https")], ("9.9.9.9", 0), "https"),
    ([("Forwarded", "for=1.1.1.1;proto=https"), ("X-Real-IP", "1.1.1.1")], UNCHANGED, "http"),
    ([("X-Forwarded-Host", "other"), ("X-Forwarded-Port", "1")], UNCHANGED, "http"),
]


@pytest.mark.parametrize(("headers", "client", "scheme"), FROM_TRUSTED_LOCALHOST)
def test_headers_from_a_trusted_peer(
    headers: Fields, client: tuple[str, int] | None, scheme: str, serve_shared: ServeShared
) -> None:
    keeper = ScopeKeeper()
    assert forwarded(serve_shared(keeper), keeper, headers) == (client, scheme)


BOTH = [("X-Forwarded-For", "1.1.1.1, 10.0.0.7, 10.9.9.9"), ("X-Forwarded-Proto", "https")]


@pytest.mark.parametrize(
    ("options", "client", "scheme"),
    [
        ({"proxy_headers": False}, UNCHANGED, "http"),
        ({"forwarded_allow_ips": ""}, UNCHANGED, "http"),
        ({"forwarded_allow_ips": "10.0.0.0/8"}, UNCHANGED, "http"),
        ({"forwarded_allow_ips": "127.0.0.1"}, ("10.9.9.9", 0), "https"),
        ({"forwarded_allow_ips": ["127.0.0.1", "10.9.9.9"]}, ("10.0.0.7", 0), "https"),
        ({"forwarded_allow_ips": "127.0.0.0/8, 10.0.0.0/8"}, ("1.1.1.1", 0), "https"),
        ({"forwarded_allow_ips": "0.0.0.0/0"}, ("1.1.1.1", 0), "https"),
        ({"forwarded_allow_ips": "*"}, ("1.1.1.1", 0), "https"),
        ({"forwarded_allow_ips": ["*"]}, ("1.1.1.1", 0), "https"),
        ({"forwarded_allow_ips": "nonsense,127.0.0.1"}, ("10.9.9.9", 0), "https"),
    ],
)
def test_whom_to_trust_is_an_option(
    options: dict[str, Any], client: tuple[str, int] | None, scheme: str, serve: Serve
) -> None:
    keeper = ScopeKeeper()
    with serve(keeper, **options) as server:
        assert forwarded(server, keeper, BOTH) == (client, scheme)


def test_access_log_shows_the_forwarded_client(serve_shared: ServeShared) -> None:
    keeper = ScopeKeeper()
    server = serve_shared(keeper)
    forwarded(server, keeper, [("X-Forwarded-For", "1.2.3.4:5678")])
    record = server.logs.wait_for("GET /", logger_name="uvicorn.access")
    assert isinstance(record.args, tuple)
    assert record.args[0] == "1.2.3.4:5678"
