"""The settings, from the RECOMMENDATIONS_… variables of a mapping; the only reader of the environment.

Every mistake is reported at once, each with key, value and rule. Secrets are never values, only paths.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from service.failure import Failure

if TYPE_CHECKING:
    from service.domain.interactions import InteractionWeights

PREFIX = "RECOMMENDATIONS_"

Port = Annotated[int, Field(ge=0, le=65535)]  # 0: any free port


class SettingsError(Failure):
    """Settings that cannot be used; one line for each mistake."""


class Settings(BaseModel):
    """How the service runs. Field `x_y` is the variable RECOMMENDATIONS_X_Y."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Where it listens
    host: str = Field("0.0.0.0", description="address that the gRPC port listens on")  # noqa: S104 - mTLS guards it
    port: Port = Field(50051, description="gRPC port")
    plaintext_port: Port | None = Field(
        None, description="opt-in: gRPC without TLS on 127.0.0.1, for tutorial clients; callers are anonymous"
    )
    admin_host: str = Field("0.0.0.0", description="address that the admin port listens on")  # noqa: S104 - no data there
    admin_port: Port = Field(8080, description="HTTP port of /livez, /readyz and /metrics")

    # Who may call
    transport: Literal["mtls", "tls"] = Field(
        "mtls", description="mtls demands client certificates; tls leaves every caller anonymous"
    )
    tls_certificate_file: Path = Field(Path("certs/dev/server.crt"), description="PEM chain of the server")
    tls_key_file: Path = Field(Path("certs/dev/server.key"), description="PEM key of the server")
    tls_client_ca_file: Path = Field(
        Path("certs/dev/ca.crt"), description="PEM bundle that client certificates are checked against"
    )
    # Kubernetes refreshes mounted secrets about once a minute; looking more often than this gains nothing.
    tls_reload_seconds: float = Field(10, ge=0.1, le=3600, description="pause between looks at the files")
    roles_file: Path = Field(
        Path("certs/roles.toml"), description="TOML that maps certificate names to roles"
    )

    # What it knows
    database_url: str = Field(
        "sqlite:///var/recommendations.db",
        description="sqlite:///file, or a libpq URL of PostgreSQL: postgresql://user@host/name?sslmode=verify-full",
    )
    database_password_file: Path | None = Field(
        None, description="file with the password for PostgreSQL; none: as libpq finds one"
    )
    database_pool_size: int = Field(4, ge=1, le=100, description="connections to PostgreSQL at most")
    # A healthy server in reach connects within milliseconds, and writes a batch within tens of them.
    database_connect_seconds: float = Field(5, ge=1, le=60, description="longest wait for a connection")
    database_statement_seconds: float = Field(
        5, ge=0.1, le=600, description="longest wait for a statement of a call, also when the server hangs"
    )
    migrate_at_start: bool = Field(False, description="serve brings the schema up to date before it starts")
    # Replicas see each other's interactions within this and a poll's own time.
    follow_seconds: float = Field(
        0.5, ge=0.05, le=60, description="pause between looks at what others stored in the database"
    )
    mirror_directory: Path = Field(
        Path("var/mirror"),
        description="directory of the mirror: books and histories as files that all workers map",
    )
    mirror_hours: float = Field(
        24, gt=0, le=8760, description="age at which the mirror is written anew, without forgotten readers"
    )
    journal_directory: Path | None = Field(
        None,
        description="opt-in: directory where interactions are kept, on disk, while the database is away",
    )
    journal_max_bytes: int = Field(
        64 * 1024 * 1024, ge=1 << 20, le=1 << 36, description="size at which the journal takes no more"
    )
    exposure_ratio: float = Field(
        0.01, ge=0, le=1, description="part of the answers whose books are stored, to join with outcomes"
    )
    exposure_days: float = Field(30, gt=0, le=3650, description="how long stored answers are kept")
    models_url: str = Field(
        "var/models",
        description="trained models: a directory, or s3://bucket/prefix of an S3-compatible store",
    )
    models_endpoint: str = Field(
        "", description="URL of the S3-compatible store; empty: Amazon's for the region"
    )
    models_region: str = Field("us-east-1", description="region of the bucket")
    models_credentials_file: Path | None = Field(
        None, description="access key of the bucket, in the form of ~/.aws/credentials; none: anonymous"
    )
    models_ca_file: Path | None = Field(
        None, description="PEM bundle that the store's certificate may be signed by, beside public ones"
    )
    models_cache_directory: Path = Field(
        Path("var/models-cache"), description="where models of a bucket are put to be mapped"
    )
    models_kept: int = Field(5, ge=1, le=1000, description="models that stay when a new one is promoted")
    model_check_seconds: float = Field(
        5, ge=0.1, le=3600, description="pause between looks for a newly promoted model"
    )
    page_token_key_file: Path | None = Field(
        None,
        description="32 or more random bytes that sign page tokens; replicas share it; none: made at start",
    )

    # What readers did
    view_weight: float = Field(
        0.2, ge=0, le=1, description="how much a VIEW speaks for its book, beside a READ's 1"
    )
    wishlist_weight: float = Field(0.5, ge=0, le=1, description="how much a WISHLIST does")
    purchase_weight: float = Field(1, ge=0, le=1, description="how much a PURCHASE does")
    # Recency by steps is the model's own, learned from data. By days it depends on the shop.
    preference_half_life_days: float | None = Field(
        None,
        ge=1,
        le=36_500,
        description="age, before the reader's latest interaction, at which one weighs half; none: no age",
    )

    # A page is loaded more often than its reader does something. About 3 kB each.
    kept_answers: int = Field(
        4096, ge=0, le=1_000_000, description="answers kept for readers who ask again unchanged; 0: none"
    )

    # Bounds
    # Answers wait for no I/O (whatever does is given a spare thread): a few more than cores are plenty.
    handler_threads: int = Field(4, ge=1, le=64, description="threads that answer unary calls")
    stream_threads: int = Field(
        8, ge=1, le=256, description="streams open at once (RecommendMany, reflection)"
    )
    max_in_flight: int = Field(
        256, ge=1, le=100_000, description="unary calls taken up at once; more are refused"
    )
    max_connections: int = Field(2000, ge=1, le=100_000, description="connections at once")
    rate_per_second: float = Field(
        5000, gt=0, le=1_000_000, description="calls a second that one identity may make over time"
    )
    rate_burst: int = Field(
        10_000, ge=1, le=1_000_000, description="calls that one identity may make at once"
    )
    max_call_seconds: float = Field(
        10, gt=0, le=600, description="longest unary call, whatever the client allows"
    )
    max_stream_seconds: float = Field(1800, gt=0, le=86_400, description="longest stream")
    # 10,000 interactions take about 1.5 MB; gRPC's own default is the limit that clients know.
    max_request_bytes: int = Field(
        4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="largest message"
    )
    # New pods get traffic, and clients whose CA was removed go, within this time.
    max_connection_age_seconds: float = Field(
        900, ge=1, le=86_400, description="age at which connections are renewed"
    )

    # Stopping
    # Endpoints and load balancers take some seconds to learn that this process is going away.
    drain_seconds: float = Field(
        5, ge=0, le=600, description="time between NOT_SERVING and refusing new calls"
    )
    grace_seconds: float = Field(
        10, ge=0, le=600, description="time that calls in flight get to end after that"
    )

    # What it tells
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )
    otlp_endpoint: str = Field(
        "",
        description="OTLP/HTTP URL of a collector, as http://collector:4318/v1/traces; empty: no tracing",
    )
    trace_ratio: float = Field(
        0.01, ge=0, le=1, description="part of the calls without a sampled parent that are traced"
    )

    @field_validator(
        "tls_certificate_file",
        "tls_key_file",
        "tls_client_ca_file",
        "roles_file",
        "mirror_directory",
        "models_credentials_file",
        "models_ca_file",
        "models_cache_directory",
        "journal_directory",
    )
    @classmethod
    def _path_is_named(cls, value: Path | None) -> Path | None:
        if value == Path():
            raise ValueError("must name a file or folder")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_is_known(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgresql://")):
            raise ValueError("must be a sqlite:///path or a postgresql:// URL")
        if re.match(r"postgresql://[^/@]*:[^/@]*@", value) or re.search(r"[?&](ssl)?password=", value):
            raise ValueError("must hold no password; put it into the file of DATABASE_PASSWORD_FILE")
        return value

    @field_validator("models_url")
    @classmethod
    def _models_are_somewhere(cls, value: str) -> str:
        if "://" in value and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?", value):
            raise ValueError("must be a directory or s3://bucket/prefix")
        if not value:
            raise ValueError("must name a directory or a bucket")
        return value

    @field_validator("otlp_endpoint", "models_endpoint")
    @classmethod
    def _endpoint_is_http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @field_validator("host", "admin_host")
    @classmethod
    def _host_is_an_address(cls, value: str) -> str:
        if value != "localhost":
            try:
                ip_address(value)
            except ValueError:
                raise ValueError("must be an IP address or localhost") from None
        return value

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = [port for port in (self.port, self.plaintext_port, self.admin_port) if port]
        for port in ports:
            if ports.count(port) > 1:
                raise ValueError(f"{port} is given to more than one; they must differ")
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings; raise SettingsError that lists every mistake, unknown variables among them."""
        given = {key: value for key, value in environment.items() if key.upper().startswith(PREFIX)}
        values, mistakes = {}, []
        for key, value in given.items():
            name = key.removeprefix(PREFIX).lower()
            if key != variable(name) or name not in cls.model_fields:
                shown = key if key.isprintable() else ascii(key)
                mistakes.append(f"{shown}: is not a setting of this service")
            else:
                values[name] = None if value == "" and name in _OPTIONAL else value
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            mistakes += [_mistake(each) for each in error.errors(include_url=False)]
        if mistakes:
            raise SettingsError("\n".join(sorted(mistakes)))
        return settings

    @property
    def interaction_weights(self) -> "InteractionWeights":
        """What each kind of interaction weighs: the same to serving, learning, judging and the gate."""
        from service.domain.interactions import InteractionWeights  # numpy: most commands do without

        return InteractionWeights(
            self.view_weight, self.wishlist_weight, self.purchase_weight, self.preference_half_life_days
        )

    def describe(self) -> dict[str, str]:
        """Return every setting by its variable's name, passwords in URLs left out."""
        shown = ((variable(name), getattr(self, name)) for name in type(self).model_fields)
        return {key: "" if value is None else _without_secrets(str(value)) for key, value in shown}


_OPTIONAL = {name for name, field in Settings.model_fields.items() if field.default is None}


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def _mistake(error: ErrorDetails) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    place = error["loc"]
    if not place:
        return f"{PREFIX}PORT, {PREFIX}PLAINTEXT_PORT, {PREFIX}ADMIN_PORT: {message}"
    # What a password looks like in a value that is not even a URL nobody knows: all before the last @ goes,
    # and what a URL's options say.
    value = re.sub(r"^(\w+://)?.*@", r"\1***@", str(error["input"]), flags=re.DOTALL)
    value = re.sub(r"(?<==)[^&]+", "***", value)[:80] if "://" in value else value[:80]
    return f"{variable(str(place[0]))}={value!r}: {message[:1].lower()}{message[1:]}"


def _without_secrets(url: str) -> str:
    """Mask what of a URL may be a secret: the user's part and the query."""
    return re.sub(r"\?.*", "?***", re.sub(r"(?<=://)[^/?#]*@", "***@", url))
