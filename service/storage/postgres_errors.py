"""What PostgreSQL's errors mean for callers and operators; knows no connections and no tables.

A server says in its own language what is wrong, and libpq hands over no code while it connects: words that
are not known count as passing, and are shown as they are.
"""

import re

import psycopg

from service.storage.errors import DatabaseAway, StorageError


class Refused(StorageError):
    """A connection that was made and given up, or could not be tried; an operator must mend something."""


_PASSWORD = "RECOMMENDATIONS_DATABASE_PASSWORD_FILE"  # noqa: S105 - the name of a setting

# What an operator must mend, by words of libpq's or the server's.
_LASTING = {
    r"authentication failed|no password supplied": f"refuses the user or the password; look at {_PASSWORD}",
    r"database \".*\" does not exist": "has no such database; create it",
    r"role \".*\" does not exist": "has no such user; create it",
    r"pg_hba\.conf|not permitted to log in|permission denied for database": "lets this user not in from here;"
    " look at its pg_hba.conf",
    r"certificate verify failed|root certificate file|server certificate for": "shows a certificate that is"
    " not trusted; look at sslrootcert and the host's name",
    r"client certificate|private key|certificate file|alert unknown ca|alert bad certificate": "does not take"
    " this client's certificate; look at sslcert and sslkey",
    r"does not support SSL": "has no TLS, which sslmode asks for",
    r"expected authentication request|invalid response|received invalid": "is not a PostgreSQL server",
    r"invalid (integer|port|connection option|URI|sslmode)|unexpected spaces|invalid .* value": "has a URL"
    " that libpq cannot use",
}
# SQLSTATEs: connection lost, resources used up, operator's doing, trouble of the server's machine, a wait
# given up for a lock or in an idle transaction, and the two that a retry mends.
_PASSING = ("08", "53", "57", "58", "25P03", "55P03", "40001", "40P01")
_RETRIED = ("08", "57P", "25P03", "40001", "40P01")
_AWAY = ("08", "57P", "58")
_DEFINITE = {
    "25006": "is read-only, perhaps a standby; name its primary too and add target_session_attrs=read-write",
    "3F000": "has no schema to make tables in",
    "42501": "refuses this user a right that it needs; grant it the tables",
    "42P01": "lacks a table; run `recommendations migrate`",
    "55P03": "is being migrated or written by another; wait for it to end",
}


def should_retry(error: BaseException | None) -> bool:
    """Tell whether a transaction that failed may succeed at once: on another connection, or alone."""
    return _state_is(error, _RETRIED)


def is_away(error: BaseException | None) -> bool:
    """Tell whether an error means that no statement can be run now, whichever."""
    return isinstance(error, Refused) or _state_is(error, _AWAY)


def trouble(error: BaseException | None) -> str | None:
    """Say for operators what keeps the database from being used for now; None for any other error."""
    if isinstance(error, Refused):
        return f"cannot be used right now: {error}"
    definite = _DEFINITE.get(getattr(error, "sqlstate", None) or "")
    if definite and isinstance(error, psycopg.Error):
        return f"{definite} ({one_line(error)})"
    return f"cannot be used right now ({one_line(error)})" if _state_is(error, _PASSING) else None


def refusal(error: BaseException | None, label: str) -> StorageError | None:
    """Turn what kept the database from being opened into the line that says what to do."""
    if not isinstance(error, psycopg.Error):
        return None
    said = one_line(error)
    for words, meaning in _LASTING.items():
        if error.sqlstate is None and re.search(words, said):
            return StorageError(f"{label} {meaning} ({said})")
    passing = _state_is(error, _PASSING)
    if definite := _DEFINITE.get(error.sqlstate or ""):
        return (DatabaseAway if passing else StorageError)(f"{label} {definite} ({said})")
    if passing:
        return DatabaseAway(f"{label} cannot be reached ({said})")
    return StorageError(f"{label} cannot be used ({said})")


def one_line(error: BaseException | None) -> str:
    """Return what an error says as one line of bounded length."""
    return " ".join(str(error).split())[:300]


def without_secrets(error: BaseException) -> str:
    """Return what libpq says of a URL without the parts of it that it quotes: one may be a password."""
    return re.sub(r'(?<!URI query parameter: )"[^"]*"|(?<=key/value separator).*', '"…"', one_line(error))


def _state_is(error: BaseException | None, states: tuple[str, ...]) -> bool:
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        # No server said it. Of the driver's own errors this is the one of connections: lost, or never made.
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(states)
