"""What openssl's own client sees of the port."""

import re
import subprocess

import pytest

from tests.tools import require_tool

# gRPC closes the connection, mostly without the alert that would say why.
ENDED = re.compile(r"unexpected eof while reading|alert|reset by peer")


@pytest.fixture
def connect(shared_service):
    """Shake hands as openssl does, then hang up; returns the exit code and all that it says."""
    service, shop = shared_service
    program = require_tool("openssl")

    def run(*options: str, client: str | None = "client") -> tuple[int, str]:
        command = [
            program,
            "s_client",
            "-connect",
            f"localhost:{service.port}",
            "-CAfile",
            "ca.crt",
            "-alpn",
            "h2",
        ]
        if client:
            command += ["-cert", f"{client}.crt", "-key", f"{client}.key"]
        result = subprocess.run(
            [*command, *options],
            cwd=shop.certificates,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",  # the first HTTP/2 frames are shown as they come
            timeout=60,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr

    return run


@pytest.mark.parametrize(("option", "version"), [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")])
def test_the_handshake_succeeds_both_ways(connect, option, version):
    code, said = connect(option, "-verify_return_error", "-verify_hostname", "localhost")
    assert code == 0, said
    assert version in said
    assert "Verification: OK" in said
    assert "ALPN protocol: h2" in said


@pytest.mark.parametrize("option", ["-tls1", "-tls1_1"])
def test_versions_before_tls_1_2_are_refused(connect, option):
    code, said = connect(option, "-cipher", "DEFAULT@SECLEVEL=0")
    assert code != 0
    assert ENDED.search(said)
    assert "Cipher is (NONE)" in said


def test_without_a_certificate_the_connection_ends(connect):
    # In TLS 1.3 the client is through before it hears of it: it reads on until the server ends it.
    code, said = connect("-tls1_3", "-ign_eof", client=None)
    assert code != 0
    assert ENDED.search(said)
    code, said = connect("-tls1_2", client=None)
    assert code != 0
    assert ENDED.search(said)


def test_a_self_signed_certificate_is_not_accepted(connect, shared_service, tmp_path):
    program = require_tool("openssl")
    own = ["-keyout", str(tmp_path / "own.key"), "-out", str(tmp_path / "own.crt"), "-subj", "/CN=client"]
    make = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *own]
    subprocess.run(make, capture_output=True, check=True, timeout=60)
    code, said = connect("-tls1_3", "-ign_eof", client=str(tmp_path / "own"))
    assert code != 0
    assert ENDED.search(said)
