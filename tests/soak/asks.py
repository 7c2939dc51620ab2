"""What is asked of the application, and what its answer must be."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests import raw
from tests.soak.app import FILE_CONTENT, piece_of

# No two requests of a run have the same.
_serials = itertools.count()


@dataclass(frozen=True)
class Ask:
    """One request and its only right answer."""

    path: str
    status: int
    answer: bytes
    content: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    # The answer ends early, so that its last byte is the connection's or the stream's.
    is_cut: bool = False

    @property
    def method(self) -> str:
        """GET, or POST with content."""
        return "GET" if self.content is None else "POST"

    def request(self, *headers: tuple[str, str], chunks: Iterable[bytes] | None = None) -> bytes:
        """Build the HTTP/1.1 request."""
        body = None if chunks is not None else self.content
        return raw.request(self.method, self.path, [*self.headers, *headers], body, chunks=chunks)

    def check(self, status: int, body: bytes) -> None:
        """Compare what came."""
        if status != self.status or bytes(body) != self.answer:
            raise AssertionError(f"{self.path} was answered with {status} {len(body)} bytes: {bytes(body[:80])!r}")


def small(draw: random.Random) -> Ask:
    """Ask for an answer of some bytes, from a coroutine or an endpoint thread."""
    token = _token(draw)
    path = draw.choice(("async", "async", "sync", "sync", "slow"))
    return Ask(f"/{path}/{token}", 200, f'"{token}"'.encode())


def upload(draw: random.Random, longest: int = 300_000) -> Ask:
    """Send content, and ask for its digest."""
    token, content = _token(draw), draw.randbytes(int(longest * draw.random() ** 3))
    return Ask(f"/digest/{token}", 200, f"{token} {hashlib.sha256(content).hexdigest()}".encode(), content)


def ignored_upload(draw: random.Random) -> Ask:
    """Send content that nobody reads."""
    token = _token(draw)
    return Ask(f"/ignore/{token}", 200, token.encode(), draw.randbytes(draw.randrange(1, 30_000)))


def download(draw: random.Random, pieces: int = 30) -> Ask:
    """Ask for a stream."""
    token, count, size = _token(draw), draw.randint(1, pieces), draw.choice((1, 100, 1024, 5000, 40_000))
    whole = b"".join(piece_of(token, number, size) for number in range(count))
    return Ask(f"/stream/{token}/{count}/{size}", 200, whole)


def long_download(draw: random.Random) -> Ask:
    """Ask for a stream of which a socket cannot hold all."""
    token, count = _token(draw), draw.randint(1, 60)
    whole = b"".join(piece_of(token, number, 40_000) for number in range(count))
    return Ask(f"/stream/{token}/{count}/40000", 200, whole)


def file(draw: random.Random) -> Ask:
    """Ask for a file, or for a part of it."""
    path = f"/file/{_token(draw)}"
    if draw.random() < 0.3:
        return Ask(path, 200, FILE_CONTENT)
    first = draw.randrange(len(FILE_CONTENT) - 1)
    last = min(len(FILE_CONTENT) - 1, first + draw.randrange(200_000))
    return Ask(path, 206, FILE_CONTENT[first : last + 1], headers=(("Range", f"bytes={first}-{last}"),))


def failing(draw: random.Random) -> Ask:
    """Ask for an exception."""
    return Ask(f"/raise/{_token(draw)}", 500, b"Internal Server Error")


def cut(draw: random.Random) -> Ask:
    """Ask for an answer that breaks off."""
    token = _token(draw)
    return Ask(f"/cut/{token}", 200, piece_of(token, 0, 1000), is_cut=True)


_KEPT: tuple[Callable[[random.Random], Ask], ...] = (small, upload, ignored_upload, download, file)
_KEPT_WEIGHTS = (60, 15, 5, 15, 5)


def any_of_kept(draw: random.Random) -> Ask:
    """Draw a request behind which the connection goes on."""
    return draw.choices(_KEPT, _KEPT_WEIGHTS)[0](draw)


def cut_up(draw: random.Random, data: bytes, most: int = 6) -> Iterator[bytes]:
    """Cut bytes at random places."""
    places = sorted(draw.randrange(len(data) + 1) for _ in range(draw.randrange(most)))
    for begin, end in itertools.pairwise((0, *places, len(data))):
        if begin < end:
            yield data[begin:end]


def _token(draw: random.Random) -> str:
    return f"{next(_serials)}-{draw.randrange(16**8):x}"
