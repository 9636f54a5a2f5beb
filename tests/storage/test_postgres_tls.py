"""TLS to PostgreSQL: each side shows a certificate, and one that is not trusted is told from an outage."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from service.security.authority import Pair
from service.security.certificates import make_development_certificates
from service.storage import Database, DatabaseAway, StorageError, migrate
from tests.postgres import PostgresServer
from tests.storage.rows import read


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A folder with the CA of server and clients, and their pairs."""
    folder = tmp_path_factory.mktemp("certificates") / "own"
    make_development_certificates(folder)
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    """The same of an authority that the server does not know."""
    folder = tmp_path_factory.mktemp("certificates") / "other"
    make_development_certificates(folder)
    return folder


@pytest.fixture(scope="module")
def server(certificates) -> Iterator[PostgresServer]:
    """A server that speaks TLS, and asks clients of the database "guarded" for a certificate."""
    pair = Pair((certificates / "server.crt").read_bytes(), (certificates / "server.key").read_bytes())
    with PostgresServer(pair=pair) as own:
        (own.data / "ca.crt").write_bytes((certificates / "ca.crt").read_bytes())
        rules = own.data / "pg_hba.conf"
        guarded = "hostssl guarded all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
        rules.write_text(guarded + rules.read_text())
        with own.connect() as connection:
            connection.execute("ALTER SYSTEM SET ssl_ca_file = 'ca.crt'")
            connection.execute("CREATE DATABASE guarded OWNER shop")
        own.stop()
        own.start()
        yield own


def verified(server: PostgresServer, database: str, authority: Path, **options: object) -> str:
    """Return a URL that demands the server's name in a certificate of an authority."""
    given = {"sslmode": "verify-full", "sslrootcert": authority / "ca.crt"} | options
    return server.url(database, host="localhost") + "?" + urlencode(given)


def shown(pair: Path) -> dict[str, object]:
    """Return the options that show a client's certificate."""
    return {"sslcert": pair / "client.crt", "sslkey": pair / "client.key"}


def refusal(url: str, server: PostgresServer) -> str:
    with pytest.raises(StorageError) as caught:
        Database.open(url, connect_seconds=10, password_file=server.password_file)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, DatabaseAway), "an operator has to mend it"
    return str(caught.value)


def test_a_server_with_the_right_name_and_authority_is_used_over_tls(server, certificates):
    url = verified(server, server.create_database(), certificates)
    migrate(url, password_file=server.password_file)
    with Database.open(url, password_file=server.password_file) as database:
        assert all(database.record([read("a")]))
        with server.connect() as connection:
            used = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = %s"
            assert connection.execute(used, ("shop",)).fetchall() == [(True,)]


def test_certificate_of_another_authority_is_refused(server, others):
    assert "shows a certificate that is not trusted" in refusal(verified(server, "shop", others), server)


def test_certificate_of_another_name_is_refused(server, certificates):
    url = verified(server, "shop", certificates).replace("@localhost", "@shop.example")
    assert "shows a certificate that is not trusted" in refusal(url + "&hostaddr=127.0.0.1", server)


def test_missing_authority_is_refused(server, tmp_path):
    assert "look at sslrootcert" in refusal(verified(server, "shop", tmp_path), server)


def test_server_without_tls_is_refused_where_tls_is_asked_for(postgres, migrated):
    assert "has no TLS, which sslmode asks for" in refusal(
        postgres.url(migrated, sslmode="require"), postgres
    )


def test_a_client_that_shows_its_certificate_is_let_in(server, certificates):
    url = verified(server, "guarded", certificates, **shown(certificates))
    migrate(url, password_file=server.password_file)
    with Database.open(url, password_file=server.password_file) as database:
        assert all(database.record([read("a")]))


@pytest.mark.parametrize("who", ["nobody", "a stranger", "one without its key"])
def test_a_client_without_a_good_certificate_is_told_which_options_to_look_at(
    server, certificates, others, who, tmp_path
):
    options = {
        "nobody": {},
        "a stranger": shown(others),
        "one without its key": shown(certificates) | {"sslkey": tmp_path / "absent.key"},
    }[who]
    url = verified(server, "guarded", certificates, **options)
    assert "look at sslcert and sslkey" in refusal(url, server)
