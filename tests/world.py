"""What tests of the whole service share: a prepared shop, certificates, the running App and its clients.

Knows nothing of what any test is about.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
from google.rpc import error_details_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from grpc_status import rpc_status
from onlinebooks.recommendations.v1.catalogue_service_pb2_grpc import CatalogueServiceStub
from onlinebooks.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from prometheus_client.parser import text_string_to_metric_families
from recommendations_pb2_grpc import RecommendationsStub

from service.app import App
from service.clock import microseconds_now
from service.models import ModelStore
from service.sample import sample_books, sample_interactions
from service.security.authority import Authority, Pair
from service.security.certificates import IDENTITY_PREFIX, make_development_certificates
from service.settings import Settings
from service.storage import Database, migrate
from service.training import TrainingSettings, data_digest, train_with_holdout
from tests.tools import wait_until

ROLES_FILE = Path(__file__).parents[1] / "certs" / "roles.toml"
# A quarter of the sample: made and learned from in a second, and the model still beats popularity well.
READER_COUNT = 800
MAX_DETAILS_BYTES = 4096

# What a message must never tell: our code, our files, our statements, our objects.
_INTERNAL = re.compile(
    r"Traceback|\.py\b|/(work|tmp|home|usr|root|var)/|sqlite|SELECT |INSERT |DELETE |"
    r"<class|object at 0x|[a-z]Error\b|Exception|_pb2|numpy|np\.",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Shop:
    """A directory with a database and models. Whoever writes takes a copy."""

    directory: Path

    @classmethod
    def prepare(cls, directory: Path) -> "Shop":
        """Make the sample bookshop with a part of its readers, and train a model."""
        shop = cls(directory)
        migrate(shop.url)
        with Database.open(shop.url) as database:
            books = sample_books()
            database.upsert_books(books)
            database.record(list(sample_interactions(books, readers=READER_COUNT)))
        shop.train()
        return shop

    @property
    def file(self) -> Path:
        """The database."""
        return self.directory / "recommendations.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    @property
    def model_files(self) -> Path:
        """The directory of the models."""
        return self.directory / "models"

    @property
    def models(self) -> ModelStore:
        return ModelStore.open(str(self.model_files), cache_directory=self.directory / "models-cache")

    def copy_to(self, directory: Path) -> "Shop":
        return Shop(shutil.copytree(self.directory, directory))

    def train(self, how: TrainingSettings = TrainingSettings(), *, promote: bool = True) -> str:  # noqa: B008 - frozen
        """Learn a model from what is stored; return its version."""
        with Database.open(self.url) as database:
            log = database.interactions()
            book_ids = np.array([book.id for book in database.books()], dtype=np.int64)
        model = train_with_holdout(log, book_ids, settings=how)
        version = self.models.save(model, settings=asdict(how), data_digest=data_digest(log, book_ids))
        if promote:
            self.models.promote(version)
        return version

    def counts(self) -> tuple[int, int]:
        """Count the books and interactions that are stored."""
        with Database.open(self.url) as database:
            return tuple(database.counts())


class Certificates:
    """The files of development: ca, server, client (may call everything), reader (role reader-api alone)."""

    def __init__(self, directory: Path) -> None:
        make_development_certificates(directory)
        self.directory = directory
        self.authority = Authority.from_pair(self.pair("ca"))

    def pair(self, name: str) -> Pair:
        return Pair(self.file(f"{name}.crt").read_bytes(), self.file(f"{name}.key").read_bytes())

    def file(self, name: str) -> Path:
        return self.directory / name

    def issue(self, name: str, **validity: Any) -> Pair:
        """Sign a client certificate of the identity that the development's names begin with."""
        return self.authority.issue(name, uris=[IDENTITY_PREFIX + name], **validity)

    def channel_credentials(self, client: Pair | None) -> grpc.ChannelCredentials:
        """Return what a client connects with; None shows no certificate."""
        pair = (client.key, client.certificate) if client else ()
        return grpc.ssl_channel_credentials(self.file("ca.crt").read_bytes(), *pair)


class Client:
    """A connection and the stubs of everything that is served."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.tutorial = RecommendationsStub(channel)
        self.recommendations = RecommendationServiceStub(channel)
        self.catalogue = CatalogueServiceStub(channel)
        self.health = HealthStub(channel)
        self.reflection = ServerReflectionStub(channel)

    def send(self, path: str, message: bytes, **options: Any) -> bytes:
        """Call a method by its path with the bytes of a message; return those of the answer."""
        return self.channel.unary_unary(path)(message, **options)


class RunningApp:
    """The App with its access log, its metrics and any number of clients."""

    def __init__(self, app: App, shop: Shop, certificates: Certificates, lines: list[str], stack: ExitStack):
        self.app, self.shop, self.certificates = app, shop, certificates
        self._lines, self._stack = lines, stack
        self.client = self.connect(certificates.pair("client"))
        self.reader = self.connect(certificates.pair("reader"))

    def connect(self, pair: Pair | None, *, host: str = "127.0.0.1") -> Client:
        """Open a connection that shows a certificate, or none; it is closed with the app."""
        credentials = self.certificates.channel_credentials(pair)
        return self._client(grpc.secure_channel(f"{host}:{self.app.port}", credentials, _CHANNEL_OPTIONS))

    def connect_plaintext(self) -> Client:
        """Open a connection to the plaintext port."""
        return self._client(grpc.insecure_channel(f"127.0.0.1:{self.app.plaintext_port}", _CHANNEL_OPTIONS))

    def _client(self, channel: grpc.Channel) -> Client:
        return Client(self._stack.enter_context(channel))

    def log(self, count: int) -> list[dict[str, Any]]:
        """Return the access log once it has so many lines; a line may come a moment after the answer."""
        wait_until(lambda: len(self._lines) >= count)
        assert len(self._lines) == count
        return [json.loads(line) for line in self._lines]

    def get(self, path: str) -> str:
        """Return a page of the admin port."""
        with urlopen(f"http://127.0.0.1:{self.app.admin_port}{path}", timeout=10) as page:
            return page.read().decode()

    def metrics(self) -> dict[str, float]:
        """Return every series of /metrics by its name with its labels: 'name{a="b"}', sorted by label."""
        series = {}
        for family in text_string_to_metric_families(self.get("/metrics")):
            for sample in family.samples:
                labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
                series[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return series


# A connection that was made with another certificate must not be taken again.
_CHANNEL_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


def settings_for(shop: Shop, certificates: Certificates, **changed: Any) -> Settings:
    """Return settings for free ports; `.describe()` of them is the environment of a process."""
    values = {
        "host": "127.0.0.1",
        "port": 0,
        "admin_host": "127.0.0.1",
        "admin_port": 0,
        "tls_certificate_file": certificates.file("server.crt"),
        "tls_key_file": certificates.file("server.key"),
        "tls_client_ca_file": certificates.file("ca.crt"),
        "roles_file": ROLES_FILE,
        "database_url": shop.url,
        "models_url": str(shop.model_files),
        "models_cache_directory": shop.directory / "models-cache",
        "mirror_directory": shop.directory / "mirror",
        "drain_seconds": 0,
    }
    return Settings(**(values | changed))


@contextmanager
def running_app(
    shop: Shop,
    certificates: Certificates,
    *,
    now: Callable[[], int] = microseconds_now,
    span_exporter: Any = None,
    **settings: Any,
) -> Iterator[RunningApp]:
    """Run the service on a shop, with the settings that differ from `settings_for`."""
    lines: list[str] = []
    with (
        App(
            settings_for(shop, certificates, **settings),
            write_log=lines.append,
            now=now,
            span_exporter=span_exporter,
        ) as app,
        ExitStack() as stack,
    ):
        yield RunningApp(app, shop, certificates, lines, stack)


@dataclass(frozen=True, slots=True)
class Refused:
    """What a client is told about a call that failed."""

    code: grpc.StatusCode
    message: str
    violations: dict[str, str]  # google.rpc.BadRequest: description by field
    reason: str  # google.rpc.ErrorInfo
    retry_seconds: float | None  # google.rpc.RetryInfo


def refused(call: Callable[..., Any], *arguments: Any, **options: Any) -> Refused:
    """Make a call that must fail, and return how; nothing internal is told, in at most 4 KB of details."""
    try:
        answer = call(*arguments, **options)
        answer = list(answer) if isinstance(answer, grpc.Call) else answer
    except grpc.RpcError as error:
        return refusal_of(error)
    raise AssertionError(f"was not refused: {answer}")


def refusal_of(error: grpc.RpcError) -> Refused:
    """Read the status of a failed call."""
    message = error.details() or ""
    internal = _INTERNAL.search(message)
    assert internal is None, message
    violations, reason, retry_seconds = {}, "", None
    status = rpc_status.from_call(error)
    if status is not None:
        assert status.ByteSize() <= MAX_DETAILS_BYTES
        assert (status.code, status.message) == (error.code().value[0], message)
        for detail in status.details:
            bad, info, retry = (
                error_details_pb2.BadRequest(),
                error_details_pb2.ErrorInfo(),
                error_details_pb2.RetryInfo(),
            )
            if detail.Unpack(bad):
                violations = {each.field: each.description for each in bad.field_violations}
            elif detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(retry):
                retry_seconds = retry.retry_delay.ToNanoseconds() / 1e9
        assert not _INTERNAL.search(" ".join(violations.values())), violations
    return Refused(error.code(), message, violations, reason, retry_seconds)
