"""What the service refuses to start on, each with one line that says what to mend."""

import datetime
import json
import os
import shutil
import socket
import sqlite3

import pytest

from service.app import App
from service.failure import Failure
from service.security.authority import Authority, utc_now
from service.settings import Settings
from tests.system.processes import PATIENCE_SECONDS, assert_fails, run


def start(shop, **settings: str):
    """Run `serve`, which is expected to end by itself; no logs are among what it prints."""
    free = {
        "RECOMMENDATIONS_PORT": "0",
        "RECOMMENDATIONS_ADMIN_PORT": "0",
        "RECOMMENDATIONS_LOG_LEVEL": "error",
    }
    return run("serve", "--hints", settings=shop.settings | free | settings, cwd=shop.directory)


def in_use(shop):
    """Return the folder of the snapshot that is in use."""
    return shop.models / (shop.models / "current").read_text().split()[0]


def without_database(shop):
    shop.database.unlink()


def database_is_a_folder(shop):
    shop.database.unlink()
    shop.database.mkdir()


def database_is_no_database(shop):
    shop.database.write_bytes(b"these are not the books that you are looking for\n" * 100)


def database_is_damaged(shop):
    content = bytearray(shop.database.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    shop.database.write_bytes(content)


def database_is_empty(shop):
    shop.database.write_bytes(b"")


def database_of_a_newer_release(shop):
    with sqlite3.connect(shop.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


def without_models(shop):
    shutil.rmtree(shop.models)


def snapshot_truncated(shop):
    weights = in_use(shop) / "weights.npy"
    os.truncate(weights, weights.stat().st_size - 1)


def snapshot_bit_flipped(shop):
    weights = in_use(shop) / "weights.npy"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def snapshot_of_another_format(shop):
    path = in_use(shop) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 2}))


def snapshot_gone(shop):
    shutil.rmtree(in_use(shop))


def without_certificate(shop):
    (shop.certificates / "server.crt").unlink()


def certificate_expired(shop):
    yesterday = utc_now() - datetime.timedelta(days=1)
    pair = Authority.create().issue("server", hosts=["localhost"], server=True, not_after=yesterday)
    (shop.certificates / "server.crt").write_bytes(pair.certificate)
    (shop.certificates / "server.key").write_bytes(pair.key)


def key_of_another_certificate(shop):
    shutil.copy(shop.certificates / "client.key", shop.certificates / "server.key")


def client_ca_is_no_certificate(shop):
    (shop.certificates / "ca.crt").write_text("not PEM\n")


def without_roles(shop):
    shop.roles.unlink()


def roles_are_not_toml(shop):
    shop.roles.write_text("[identities\n")


def role_is_unknown(shop):
    shop.roles.write_text('[identities]\n"spiffe://onlinebooks.example/x" = ["emperor"]\n')


SPOILED = [
    (without_database, ["recommendations.db does not exist", "recommendations migrate"]),
    (database_is_a_folder, ["recommendations.db is a folder"]),
    (database_is_no_database, ["is not a SQLite database"]),
    (database_is_damaged, ["is damaged"]),
    (database_is_empty, ["has no tables yet", "recommendations migrate"]),
    (database_of_a_newer_release, ["has schema 9999, newer than this release's"]),
    (without_models, ["models", "recommendations train"]),
    (snapshot_truncated, ["weights.npy", "bytes, its manifest says"]),
    (snapshot_bit_flipped, ["weights.npy", "was altered"]),
    (snapshot_of_another_format, ["manifest.json", "format version 2, this program reads 3"]),
    (snapshot_gone, ["current", "which is not there"]),
    (without_certificate, ["certs/dev/server.crt: No such file or directory"]),
    (certificate_expired, ["certs/dev/server.crt", "expired"]),
    (
        key_of_another_certificate,
        ["server.key", "does not belong to the certificate in certs/dev/server.crt"],
    ),
    (client_ca_is_no_certificate, ["certs/dev/ca.crt: holds no valid PEM certificate"]),
    (without_roles, ["certs/roles.toml: No such file or directory"]),
    (roles_are_not_toml, ["certs/roles.toml: not TOML"]),
    (role_is_unknown, ["certs/roles.toml", "'emperor' is not a role"]),
]


@pytest.mark.parametrize(("spoil", "parts"), SPOILED, ids=[spoil.__name__ for spoil, _ in SPOILED])
def test_a_start_is_refused_by_one_line_that_says_what_to_mend(shop, monkeypatch, spoil, parts):
    spoil(shop)
    monkeypatch.chdir(shop.directory)
    ports = {"RECOMMENDATIONS_PORT": "0", "RECOMMENDATIONS_ADMIN_PORT": "0"}
    with pytest.raises(Failure) as refused, App(Settings.from_environment(shop.settings | ports)):
        pass
    assert "\n" not in str(refused.value)
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("spoil", "exit_code", "part"),
    [
        (without_database, 1, "recommendations.db does not exist"),
        (database_is_damaged, 1, "is damaged"),
        (snapshot_bit_flipped, 1, "was altered"),
        (key_of_another_certificate, 3, "RECOMMENDATIONS_TLS_CERTIFICATE_FILE, RECOMMENDATIONS_TLS_KEY_FILE"),
        (without_roles, 3, "RECOMMENDATIONS_ROLES_FILE: "),
    ],
)
def test_the_command_tells_it_without_a_traceback_and_fails(shop, spoil, exit_code, part):
    spoil(shop)
    result = start(shop)
    assert_fails(result, exit_code, part)
    assert result.stdout == ""


@pytest.mark.parametrize("setting", ["PORT", "ADMIN_PORT", "PLAINTEXT_PORT"])
def test_a_port_in_use_refuses_the_start(shop, setting):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_fails(
            start(shop, **{f"RECOMMENDATIONS_{setting}": port}), 1, f"RECOMMENDATIONS_{setting}: {port}"
        )


def test_two_services_do_not_share_a_port(serve, shop, prepared_shop, tmp_path):
    port = str(serve(shop).wait_ready().port)
    other = prepared_shop.copy_to(tmp_path / "other")
    assert_fails(start(other, RECOMMENDATIONS_PORT=port), 1, f"RECOMMENDATIONS_PORT: {port}")


def test_wrong_settings_refuse_the_start_all_at_once(shop):
    result = start(
        shop, RECOMMENDATIONS_PORT="x", RECOMMENDATIONS_GRACE_SECONDS="-1", RECOMMENDATIONS_COLOUR="red"
    )
    assert_fails(result, 3, "_PORT='x'", "_GRACE_SECONDS='-1'", "_COLOUR: is not a setting", lines=3)


def test_a_short_page_token_key_refuses_the_start(shop):
    (shop.directory / "token.key").write_bytes(b"x" * 31)
    result = start(shop, RECOMMENDATIONS_PAGE_TOKEN_KEY_FILE="token.key")
    assert_fails(result, 1, "RECOMMENDATIONS_PAGE_TOKEN_KEY_FILE: token.key: 31 bytes")


def test_nothing_listens_any_more_after_a_refused_start(shop):
    with socket.create_server(("127.0.0.1", 0)) as chooser:
        admin_port = chooser.getsockname()[1]
    without_database(shop)
    assert_fails(start(shop, RECOMMENDATIONS_ADMIN_PORT=str(admin_port)), 1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", admin_port), timeout=PATIENCE_SECONDS).close()
