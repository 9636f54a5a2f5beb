"""The development certificates on disk."""

import datetime
import os
import shutil
import stat
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from service.security import certificates
from service.security.authority import Authority, Pair, utc_now
from service.security.certificates import CertificateError, make_development_certificates

NAMES = {f"{name}.{kind}" for name in ("ca", "server", "client", "reader") for kind in ("crt", "key")}
DAY = datetime.timedelta(days=1)


def contents(directory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def load(path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def alternatives(path, kind) -> list[str]:
    names = load(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name) for name in names.get_values_for_type(kind)]


def test_files_are_written_with_owner_only_keys(tmp_path):
    directory = tmp_path / "certs" / "dev"
    written = make_development_certificates(directory)
    assert {path.name for path in written} == NAMES == set(contents(directory))
    assert all(path.parent == directory for path in written)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_are_owner_only_from_the_first_byte(tmp_path, monkeypatch):
    opened = {}
    real = os.open

    def recorded(path, flags, mode=0o777, **rest):
        opened[Path(path).name] = flags, mode
        return real(path, flags, mode, **rest)

    monkeypatch.setattr(os, "open", recorded)
    make_development_certificates(tmp_path)
    for name in ("ca.key", "server.key", "client.key", "reader.key"):
        flags, mode = opened[name]
        assert mode == 0o600
        assert flags & os.O_EXCL


def test_names_and_purposes(tmp_path):
    make_development_certificates(tmp_path, hosts=["shop.example", "10.0.0.1", "::1"])
    assert alternatives(tmp_path / "server.crt", x509.DNSName) == ["shop.example"]
    assert alternatives(tmp_path / "server.crt", x509.IPAddress) == ["10.0.0.1", "::1"]
    for name, path in (("server", "recommendations"), ("client", "client"), ("reader", "reader")):
        certificate = tmp_path / f"{name}.crt"
        assert alternatives(certificate, x509.UniformResourceIdentifier) == [
            f"spiffe://onlinebooks.example/{path}"
        ]
        usage = load(certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        purpose = (
            x509.oid.ExtendedKeyUsageOID.SERVER_AUTH
            if name == "server"
            else x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH
        )
        assert list(usage) == [purpose]
        constraints = load(certificate).extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert not constraints.value.ca
        load(certificate).verify_directly_issued_by(load(tmp_path / "ca.crt"))
    assert load(tmp_path / "ca.crt").extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_they_serve_and_call(tmp_path, serve):
    make_development_certificates(tmp_path)
    server = serve(tmp_path)
    trusted = (tmp_path / "ca.crt").read_bytes()
    for name in ("client", "reader"):
        pair = Pair((tmp_path / f"{name}.crt").read_bytes(), (tmp_path / f"{name}.key").read_bytes())
        assert server.call(trusted, pair) is grpc.StatusCode.OK


@pytest.mark.parametrize("name", sorted(NAMES))
def test_nothing_is_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(CertificateError, match=rf"{name}: exists"):
        make_development_certificates(tmp_path)
    assert contents(tmp_path) == {name: b"mine"}


def test_rotation_issues_new_pairs_under_the_same_authority(tmp_path):
    make_development_certificates(tmp_path)
    before = contents(tmp_path)
    written = make_development_certificates(tmp_path, rotate=True, days=30)
    after = contents(tmp_path)
    assert {path.name for path in written} == NAMES - {"ca.crt", "ca.key"}
    assert {name for name in NAMES if before[name] == after[name]} == {"ca.crt", "ca.key"}
    assert set(after) == NAMES
    assert load(tmp_path / "server.crt").not_valid_after_utc < utc_now() + 31 * DAY
    load(tmp_path / "server.crt").verify_directly_issued_by(load(tmp_path / "ca.crt"))


@pytest.mark.parametrize("left", [-1, 10])
def test_rotation_replaces_an_authority_that_ends(tmp_path, left):
    make_development_certificates(tmp_path)
    old = Authority.create(not_before=utc_now() - 30 * DAY, not_after=utc_now() + left * DAY)
    (tmp_path / "ca.crt").write_bytes(old.pair.certificate)
    (tmp_path / "ca.key").write_bytes(old.pair.key)
    written = make_development_certificates(tmp_path, rotate=True)
    assert {path.name for path in written} == NAMES
    assert load(tmp_path / "ca.crt").not_valid_after_utc > utc_now() + 1000 * DAY
    load(tmp_path / "client.crt").verify_directly_issued_by(load(tmp_path / "ca.crt"))


@pytest.mark.parametrize("name", ["ca.crt", "ca.key"])
def test_rotation_without_its_authority_is_refused(tmp_path, name):
    make_development_certificates(tmp_path)
    (tmp_path / name).unlink()
    before = contents(tmp_path)
    with pytest.raises(CertificateError, match=rf"{name}: missing"):
        make_development_certificates(tmp_path, rotate=True)
    assert contents(tmp_path) == before


def test_rotation_with_the_key_of_another_authority_is_refused(tmp_path):
    make_development_certificates(tmp_path)
    (tmp_path / "ca.key").write_bytes(Authority.create().pair.key)
    with pytest.raises(CertificateError, match="do not belong together"):
        make_development_certificates(tmp_path, rotate=True)


class Killed(BaseException):
    """Stands for a process that ends in the middle."""


@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("moment", range(8))
def test_run_killed_while_writing_can_be_repeated(tmp_path, monkeypatch, moment, rotate):
    if rotate:
        make_development_certificates(tmp_path)
        moment %= 6
    before = contents(tmp_path)
    write, written = certificates._write, []

    def killed(path, *rest):
        written.append(path)
        if len(written) > moment:
            raise Killed
        write(path, *rest)

    monkeypatch.setattr(certificates, "_write", killed)
    with pytest.raises(Killed):
        make_development_certificates(tmp_path, rotate=rotate)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    make_development_certificates(tmp_path, rotate=rotate)
    assert set(contents(tmp_path)) == NAMES


def test_run_killed_while_moving_into_place_is_finished_by_the_next(tmp_path):
    directory, other = tmp_path / "dev", tmp_path / "other"
    make_development_certificates(other)
    expected = contents(other)
    directory.mkdir()
    shutil.move(other, directory / ".made")
    shutil.move(directory / ".made" / "ca.crt", directory / "ca.crt")
    finished = make_development_certificates(directory)
    assert {path.name for path in finished} == NAMES - {"ca.crt"}
    assert contents(directory) == expected


@pytest.mark.parametrize(
    "host", ["", "*", "UPPER.example", "a b", "-a.example", "host:50051", "x" * 64, "a..b"]
)
def test_host_that_is_neither_name_nor_address_is_refused(tmp_path, host):
    with pytest.raises(CertificateError, match="hosts: "):
        make_development_certificates(tmp_path, hosts=[host])
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_days_out_of_range_are_refused(tmp_path, days):
    with pytest.raises(CertificateError, match=f"days: {days}"):
        make_development_certificates(tmp_path, days=days)


def test_directory_that_is_a_file_is_named(tmp_path):
    (tmp_path / "dev").write_text("")
    with pytest.raises(CertificateError, match="dev: File exists"):
        make_development_certificates(tmp_path / "dev")


def test_key_is_not_in_the_representation_of_a_pair():
    assert "PRIVATE" not in repr(Authority.create().pair)
