"""Certificates for tests, and clients that speak TLS."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests import raw

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="the openssl command is not installed")


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run the openssl command and return its standard output."""
    assert OPENSSL is not None
    command = [OPENSSL, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=20)
    assert done.returncode == 0, f"{command}: {done.stderr.decode(errors='replace')}"
    return done.stdout


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certfile: str
    keyfile: str

    @property
    def options(self) -> dict[str, Any]:
        """The options of a server that uses it."""
        return {"ssl_certfile": self.certfile, "ssl_keyfile": self.keyfile}

    @property
    def arguments(self) -> list[str]:
        """The same for a command line."""
        return ["--ssl-certfile", self.certfile, "--ssl-keyfile", self.keyfile]


class Authority:
    """A certificate authority, and a directory for what it issues."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self._directory = directory
        self.certfile = str(directory / "ca.pem")
        self._authority.cert_pem.write_to_path(self.certfile)

    def issue(self, *names: str, name: str | None = None, ecdsa: bool = True, common_name: str | None = None) -> Pair:
        """Issue a certificate for host names; `name` is that of the files."""
        kind = trustme.KeyType.ECDSA if ecdsa else trustme.KeyType.RSA
        issued = self._authority.issue_cert(*names, key_type=kind, common_name=common_name)
        stem = self._directory / (name or names[0].replace("*", "any"))
        certfile, keyfile = stem.with_suffix(".crt"), stem.with_suffix(".key")
        certfile.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(keyfile))
        return Pair(str(certfile), str(keyfile))

    def client_context(self, pair: Pair | None = None, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """Make what a client that trusts this authority needs; `pair` is the client's own certificate."""
        context = ssl.create_default_context(cafile=self.certfile)
        if pair is not None:
            context.load_cert_chain(pair.certfile, pair.keyfile)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def connect(
    port: int,
    context: ssl.SSLContext,
    *,
    server_hostname: str | None = "localhost",
    session: ssl.SSLSession | None = None,
    **options: Any,
) -> raw.Client:
    """Open a connection with the handshake done. The caller closes it."""
    client = raw.Client("127.0.0.1", port, **options)
    try:
        client.socket = context.wrap_socket(client.socket, server_hostname=server_hostname, session=session)
    except BaseException:
        client.close()
        raise
    return client


def secured(client: raw.Client) -> ssl.SSLSocket:
    """Return the client's socket, as what it is."""
    assert isinstance(client.socket, ssl.SSLSocket)
    return client.socket


def shown_certificate(port: int, context: ssl.SSLContext, server_hostname: str | None) -> bytes:
    """Return the certificate that the server showed, in DER.

    A request is answered first: in TLS 1.3 a client is done before its server, and a uvicorn whose client leaves then
    may wait for it for ever.
    """
    with connect(port, context, server_hostname=server_hostname) as client:
        assert client.exchange(raw.request()).status == 200
        certificate = secured(client).getpeercert(binary_form=True)
        assert certificate is not None
        return certificate


def der(certfile: str) -> bytes:
    """Return the first certificate of a PEM file in DER."""
    text = Path(certfile).read_text()
    return ssl.PEM_cert_to_DER_cert(text[: text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")


def leave_without_goodbye(client: raw.Client) -> None:
    """Send a FIN without the close_notify that should stand before it."""
    plain = socket.socket(fileno=secured(client).detach())
    plain.close()
