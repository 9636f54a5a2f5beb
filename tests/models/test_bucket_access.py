"""Keys and certificates of a bucket: wrong, missing, without rights, replaced while the service runs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.models import ModelsAway, NoModel
from service.security.authority import Authority
from tests.models.made_models import made_model
from tests.models.places import Place, bucket_place, refusal, save
from tests.s3 import S3Server


@pytest.fixture
def place(tmp_path: Path, s3: S3Server) -> Place:
    return bucket_place(tmp_path, s3)


def test_a_wrong_secret_is_refused_without_being_told(tmp_path: Path, s3: S3Server) -> None:
    wrong = s3.write_credentials(tmp_path / "wrong", secret="not-the-secret")
    store = bucket_place(tmp_path, s3, credentials_file=wrong).store
    message = refusal(store.current_version)
    assert message.endswith(f"refuses the key in {wrong} (403 SignatureDoesNotMatch)")
    assert "not-the-secret" not in message
    assert "not-the-secret" not in repr(vars(store._place._objects))  # type: ignore[attr-defined]


def test_an_unknown_key_and_no_key_are_refused(tmp_path: Path, s3: S3Server) -> None:
    unknown = s3.write_credentials(tmp_path / "unknown", key="stranger")
    store = bucket_place(tmp_path, s3, credentials_file=unknown).store
    for action in (store.current_version, store.list):
        assert f"refuses the key in {unknown}" in refusal(action)
    anonymous = bucket_place(tmp_path, s3, credentials_file=None).store
    assert "refuses callers without a key (403 AccessDenied)" in refusal(anonymous.current_version)


def test_a_key_without_the_right_to_write_may_read_and_is_told_when_it_writes(
    tmp_path: Path, server: S3Server
) -> None:
    store = bucket_place(tmp_path, server).store
    first, second = save(store), save(store, 1)
    store.promote(first)
    server.kill()
    server.start("--readonly")
    assert store.load().version == first
    for action in (lambda: save(store, 2), lambda: store.promote(second), lambda: store.prune(0)):
        assert f"refuses the key in {server.credentials_file} (403 AccessDenied)" in refusal(action)
    assert store.current_version() == first


def test_a_key_that_was_changed_is_taken_up_when_the_store_refuses_the_old_one(
    tmp_path: Path, s3: S3Server
) -> None:
    file = s3.write_credentials(tmp_path / "credentials", secret="expired")
    store = bucket_place(tmp_path, s3, credentials_file=file).store
    refusal(store.current_version)
    s3.write_credentials(file)
    store.promote(save(store))
    assert np.array_equal(store.load().weights, made_model().weights)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "no such file or directory"),
        ("aws_secret_access_key = hush", "is not in the form of ~/.aws/credentials"),
        ("[default]\nhush hush", "is not in the form of ~/.aws/credentials"),
        ("[other]\naws_access_key_id = a", "has no section [default]"),
        ("[default]\naws_access_key_id = a", "aws_secret_access_key of [default] is missing"),
        (
            "[default]\naws_access_key_id = a\naws_secret_access_key = hush\n  hush",
            "printable ASCII in one line",
        ),
    ],
)
def test_a_credentials_file_that_is_none_is_refused_without_being_quoted(
    tmp_path: Path, s3: S3Server, text: str | None, rule: str
) -> None:
    file = tmp_path / "credentials"
    if text is not None:
        file.write_text(text)
    message = refusal(lambda: bucket_place(tmp_path, s3, credentials_file=file).store)
    assert message.startswith(f"{file}: ")
    assert rule in message
    assert "hush" not in message


def test_variables_of_other_programs_change_nothing(
    place: Place, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "stranger",
        "AWS_SECRET_ACCESS_KEY": "stranger",
        "AWS_SESSION_TOKEN": "stranger",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_REGION": "eu-north-1",
        "AWS_SKIP_SIGNATURE": "true",
    }.items():
        monkeypatch.setenv(name, value)
    place.store.promote(save(place.store))
    anonymous = bucket_place(tmp_path, s3, credentials_file=None).store
    assert "callers without a key" in refusal(anonymous.current_version)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


@pytest.fixture(scope="module")
def tls_server(authority: Authority) -> Iterator[S3Server]:
    with S3Server(authority.issue("objects", hosts=["127.0.0.1"], server=True)) as server:
        yield server


def bundle(path: Path, *authorities: Authority) -> Path:
    path.write_bytes(b"".join(each.pair.certificate for each in authorities))
    return path


def test_a_store_behind_a_private_authority_is_used_when_its_bundle_is_given(
    tmp_path: Path, tls_server: S3Server, authority: Authority
) -> None:
    ca_file = bundle(tmp_path / "ca.crt", Authority.create(), authority)
    store = bucket_place(tmp_path, tls_server, ca_file=ca_file).store
    store.promote(save(store))
    assert np.array_equal(store.load().weights, made_model().weights)


def test_a_store_whose_certificate_does_not_do_is_told_so_and_no_key_is_sent(
    tmp_path: Path, tls_server: S3Server, authority: Authority
) -> None:
    other = bundle(tmp_path / "other.crt", Authority.create("Another CA"))
    for options in ({}, {"ca_file": other}):
        store = bucket_place(tmp_path, tls_server, **options).store
        message = refusal(store.current_version, ModelsAway)
        assert message.endswith(f"{tls_server.endpoint} shows a certificate that does not do: UnknownIssuer")
    trusted = bundle(tmp_path / "ca.crt", authority)
    elsewhere = tls_server.endpoint.replace("127.0.0.1", "localhost")
    store = bucket_place(tmp_path, tls_server, ca_file=trusted, endpoint=elsewhere).store
    assert refusal(store.current_version, ModelsAway).endswith("does not do: NotValidForNameContext")


def test_a_bundle_that_was_changed_is_taken_up_when_the_store_is_not_trusted(
    tmp_path: Path, tls_server: S3Server, authority: Authority
) -> None:
    ca_file = bundle(tmp_path / "ca.crt", Authority.create())
    store = bucket_place(tmp_path, tls_server, ca_file=ca_file).store
    refusal(store.current_version, ModelsAway)
    bundle(ca_file, authority)
    refusal(store.current_version, NoModel)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, "no such file or directory"),
        (b"", "is not a PEM bundle of CA certificates"),
        (b"\xff\x00", "is not a PEM bundle of CA certificates"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "is not a PEM bundle of CA certificates",
        ),
        (b"#" * (1 << 21), "is not a PEM bundle of CA certificates"),
    ],
    ids=["missing", "empty", "binary", "broken", "huge"],
)
def test_a_bundle_that_is_none_is_refused(
    tmp_path: Path, tls_server: S3Server, content: bytes | None, rule: str
) -> None:
    ca_file = tmp_path / "ca.crt"
    if content is not None:
        ca_file.write_bytes(content)
    message = refusal(lambda: bucket_place(tmp_path, tls_server, ca_file=ca_file).store)
    assert message == f"{ca_file}: {rule}"
