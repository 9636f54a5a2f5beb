"""What a handshake looks like to a TLS client that is not gRPC."""

import subprocess

import pytest

from tests.tools import require_tool


@pytest.fixture
def handshake(serve, files, client):
    openssl = require_tool("openssl")
    (files / "client.crt").write_bytes(client.certificate)
    (files / "client.key").write_bytes(client.key)
    port = serve(files).port

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [
            openssl,
            "s_client",
            "-connect",
            f"localhost:{port}",
            "-alpn",
            "h2",
            "-CAfile",
            files / "ca.crt",
        ]
        command += ["-cert", files / "client.crt", "-key", files / "client.key", *arguments]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=30
        )

    return run


def test_openssl_verifies_chain_and_name_over_tls_1_3(handshake):
    done = handshake("-verify_return_error", "-verify_hostname", "localhost", "-showcerts")
    assert done.returncode == 0, done.stderr
    assert "Verify return code: 0 (ok)" in done.stdout
    assert "TLSv1.3" in done.stdout
    assert "ALPN protocol: h2" in done.stdout
    assert "depth=1 CN = CA of the tests" in done.stderr


def test_tls_1_2_is_accepted(handshake):
    done = handshake("-verify_return_error", "-tls1_2")
    assert done.returncode == 0, done.stderr
    assert "TLSv1.2" in done.stdout


def test_tls_1_1_is_refused_by_the_server(handshake):
    # Level 0 lets this client offer it at all.
    done = handshake("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    assert done.returncode != 0
    assert "no protocols available" not in done.stderr  # so it was offered
    assert "Cipher is (NONE)" in done.stdout
