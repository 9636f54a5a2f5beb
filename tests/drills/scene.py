"""The stage of a drill: a PostgreSQL server with the sample shop, services, clients, the count at the end.

Knows nothing of what goes wrong.
"""

import json
import statistics
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.settings import variable
from tests.drills.load import MARK, Load
from tests.postgres import PostgresServer, free_port
from tests.replicas.conftest import copy_books
from tests.system.processes import ServiceProcess
from tests.world import Certificates, Client, Shop, settings_for, wait_until

# The defaults are an operator's; a test has less time.
SHORT_PATIENCE = {"database_connect_seconds": 1, "database_statement_seconds": 1, "follow_seconds": 0.2}
# As many as PopularBooks tells of.
_BOOKS = 100
# How long what was acknowledged may take to be in the table, and what is there to be in memory.
_REPLAY_SECONDS, _FOLLOWING_SECONDS = 60.0, 20.0
# A service that comes again at the same address is found within this time.
_CHANNEL_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 500)]


@dataclass(frozen=True)
class Outcome:
    """What the clients of a drill saw, and what the table has of what they were promised."""

    reads: int
    failed_reads: list[str]
    longest_read_gap_seconds: float
    acknowledged: int
    lost: int  # acknowledged, and not in the table
    duplicates: int  # more than once in the table
    miscounted: int  # books that a service's memory counts otherwise than the table
    failed_writes: list[str]  # not acknowledged, and not UNAVAILABLE either
    refused_writes: int
    median_refusal_seconds: float
    without_retry_info: int  # refused by a service that did not say when to come again


class Replica(ServiceProcess):
    """A service of the scene, with all its clients."""

    def __init__(self, name: str, settings: dict[str, str], directory: Path, prefix: list[str]) -> None:
        super().__init__(settings, directory, prefix)
        self.name = name
        self.port = int(settings[variable("port")])
        self.admin_port = int(settings[variable("admin_port")])

    def conditions(self) -> dict[str, dict[str, object]]:
        """Return what /readyz tells; empty where nobody answers."""
        page = self.get("/readyz")[1]
        return json.loads(page)["conditions"] if page else {}

    def is_away_from_database(self) -> bool:
        """Tell whether the metrics say that the database is away."""
        return 'recommendations_condition{condition="database"} 0.0' in self.get("/metrics")[1]


class Scene:
    """A server, a database and any number of services; a context manager that ends them all."""

    def __init__(
        self,
        directory: Path,
        shop: Shop,
        certificates: Certificates,
        settings: dict[str, object] | None = None,
    ) -> None:
        """Prepare in an empty directory; `settings` are those in which all services differ from defaults."""
        self.directory, self._shop, self._certificates = directory, shop, certificates
        self._settings = SHORT_PATIENCE if settings is None else settings
        self._addresses: dict[str, dict[str, int]] = {}
        self.replicas: dict[str, Replica] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._stack = stack
            self.server = stack.enter_context(PostgresServer())
            self._database = copy_books(self._shop, self.server)
            self.database_name = str(self._database["database_url"]).rpartition("/")[2]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def follow_with_standby(self) -> PostgresServer:
        """Add a second server with the same data; services started from now on know of both."""
        standby = self._stack.enter_context(PostgresServer(self.server))
        self.server.acknowledge_what_standbys_have()
        self._database["database_url"] = self.server.url(self.database_name, standby)
        return standby

    def start(self, name: str, *, prefix: list[str] | None = None, **settings: object) -> Replica:
        """Start a service without waiting for it; one that has been there comes again at its address."""
        address = self._addresses.setdefault(name, {"port": free_port(), "admin_port": free_port()})
        home = self.directory / name
        home.mkdir(exist_ok=True)
        described = settings_for(
            self._shop,
            self._certificates,
            mirror_directory=home / "mirror",
            **self._database,
            **(address | self._settings | settings),
        ).describe()
        described[variable("database_url")] = str(self._database["database_url"])  # described without secrets
        replica = Replica(name, described, home, prefix or [])
        self.replicas[name] = self._stack.enter_context(replica)
        return replica

    def ready(self, name: str, **settings: object) -> Replica:
        """Start a service and wait until it is ready."""
        replica = self.start(name, **settings)
        replica.wait_ready()
        return replica

    def client(self, replica: Replica) -> Client:
        """Connect to a service; the connection is closed with the scene."""
        credentials = self._certificates.channel_credentials(self._certificates.pair("client"))
        address = f"127.0.0.1:{replica.port}"
        channel = grpc.secure_channel(address, credentials, _CHANNEL_OPTIONS)
        return Client(self._stack.enter_context(channel))

    def load(self, writer: Replica, *readers: Replica) -> Load:
        """Return clients that write to one service and read from others, or from the same."""
        self._counts = self._popular(writer)
        return Load(
            [lambda reader=reader: self.client(reader) for reader in readers or (writer,)],
            lambda: self.client(writer),
            list(self._counts),
        )

    def stored(self) -> list[str]:
        """Return the ids of all interactions of the load that the database holds."""
        with self.server.connect(self.database_name) as connection:
            rows = connection.execute(
                "SELECT interaction_id FROM interactions WHERE starts_with(interaction_id, %s)", [MARK]
            )
            return [row[0] for row in rows]

    def outcome(self, load: Load) -> Outcome:
        """Count, once every service has seen what the table holds or will not any more."""
        _seen(lambda: load.acknowledged.issubset(self.stored()), _REPLAY_SECONDS)
        stored = self.stored()
        return Outcome(
            reads=load.reads,
            failed_reads=load.failed_reads,
            longest_read_gap_seconds=load.longest_gap_seconds,
            acknowledged=len(load.acknowledged),
            lost=len(load.acknowledged.difference(stored)),
            duplicates=len(stored) - len(set(stored)),
            miscounted=sum(self._miscounted(replica) for replica in self.replicas.values()),
            failed_writes=load.failed_writes,
            refused_writes=len(load.refusals),
            median_refusal_seconds=statistics.median([each.seconds for each in load.refusals] or [0.0]),
            without_retry_info=sum(each.by_service and each.retry_seconds is None for each in load.refusals),
        )

    def _popular(self, replica: Replica) -> dict[int, float]:
        request = pb.PopularBooksRequest(page_size=_BOOKS)
        return {
            each.book_id: each.score
            for each in self.client(replica).recommendations.PopularBooks(request).books
        }

    def _miscounted(self, replica: Replica) -> int:
        with self.server.connect(self.database_name) as connection:
            rows = connection.execute(
                "SELECT book_id, count(*) FROM interactions WHERE starts_with(interaction_id, %s) GROUP BY 1",
                [MARK],
            )
            counts = dict(rows.fetchall())
        expected = {book_id: score + counts.get(book_id, 0) for book_id, score in self._counts.items()}

        def differing() -> int:
            return len(set(self._popular(replica).items()) ^ set(expected.items())) // 2

        _seen(lambda: not differing(), _FOLLOWING_SECONDS)
        return differing()


def _seen(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for what should come; whether it did is counted afterwards."""
    with suppress(AssertionError):
        wait_until(condition, seconds)
