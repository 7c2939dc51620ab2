"""sslyze's judgement of a server with default options.

sslyze may live in an environment of its own; the variable `SSLYZE` then names its program.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.apps import hello
from tests.conftest import Serve
from tests.tls import Authority

SSLYZE = os.environ.get("SSLYZE") or shutil.which("sslyze")
VERSIONS = {
    "--sslv2": "ssl_2_0",
    "--sslv3": "ssl_3_0",
    "--tlsv1": "tls_1_0",
    "--tlsv1_1": "tls_1_1",
    "--tlsv1_2": "tls_1_2",
    "--tlsv1_3": "tls_1_3",
}
OTHERS = (
    "--compression",
    "--early_data",
    "--reneg",
    "--fallback",
    "--heartbleed",
    "--openssl_ccs",
    "--robot",
    "--resum",
)


@pytest.mark.skipif(SSLYZE is None, reason="sslyze is not installed")
@pytest.mark.timeout(120)
def test_sslyze_finds_only_new_versions_and_no_weakness(serve: Serve, tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("localhost", ecdsa=False)
    with serve(hello, **pair.options) as server:
        found = scan(server.port, tmp_path / "result.json")

    def suites(version: str) -> list[str]:
        return [suite["cipher_suite"]["name"] for suite in found[f"{version}_cipher_suites"]["accepted_cipher_suites"]]

    accepted = {version: suites(version) for version in VERSIONS.values()}
    assert [version for version, names in accepted.items() if names] == ["tls_1_2", "tls_1_3"], accepted
    names = [name for names in accepted.values() for name in names]
    assert [name for name in names if "GCM" not in name and "CHACHA20" not in name] == []
    assert not found["tls_compression"]["supports_compression"]
    assert not found["tls_1_3_early_data"]["supports_early_data"]
    assert not found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
    assert found["tls_fallback_scsv"]["supports_fallback_scsv"]
    assert not found["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert found["robot"]["robot_result"].startswith("NOT_VULNERABLE")
    resumption = found["session_resumption"]
    # Tickets are not asked about: each resumption brings a new one, which sslyze takes for none.
    assert resumption["session_id_resumption_result"] == "FULLY_SUPPORTED", resumption


def scan(port: int, output: Path) -> dict[str, Any]:
    """Run the commands above and return the result of each."""
    where = f"localhost:{port}{{127.0.0.1}}"
    command = [str(SSLYZE), "--mozilla_config=disable", f"--json_out={output}", *VERSIONS, *OTHERS, where]
    done = subprocess.run(command, capture_output=True, check=False, timeout=100)
    assert output.exists(), done.stderr.decode(errors="replace")
    (server,) = json.loads(output.read_text())["server_scan_results"]
    attempts = server["scan_result"]
    assert attempts is not None, server
    failed = {name: one for name, one in attempts.items() if one["status"] == "ERROR"}
    assert not failed, failed
    return {name: attempt["result"] for name, attempt in attempts.items()}
