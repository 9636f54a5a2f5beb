"""The shop that the bench asks: the sample, trained; and readers drawn from it by how active they are."""

import os
import random
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from onlinebooks.recommendations.v1.recommendation_service_pb2 import RecommendRequest

from service.storage import Database
from tests.bench.cores import BenchError

# Far longer than the sample takes on a slow machine.
_SETUP_SECONDS = 180
# No reader of the sample has an id as large.
_FIRST_UNKNOWN_READER = 1_000_000_000


class Shop:
    """A prepared data directory: database, model and development certificates."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificates = directory / "certs"
        self._database_url = f"sqlite:///{directory}/recommendations.db"

    def environment(self, **settings: object) -> dict[str, str]:
        """Return this process's environment with these settings of the service and no others of it."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith("RECOMMENDATIONS_")}
        settings = {
            "database_url": self._database_url,
            "models_url": str(self.directory / "models"),
            "tls_certificate_file": self.certificates / "server.crt",
            "tls_key_file": self.certificates / "server.key",
            "tls_client_ca_file": self.certificates / "ca.crt",
            "mirror_directory": self.directory / "mirror",
        } | settings
        return ours | {f"RECOMMENDATIONS_{key.upper()}": str(value) for key, value in settings.items()}

    def prepare(self) -> None:
        """Make the database with the sample bookshop, a model and certificates, as `make serve` does."""
        for command in (
            ["migrate"],
            ["import", "sample"],
            ["train"],
            ["certs", "--directory", str(self.certificates)],
        ):
            done = subprocess.run(
                [sys.executable, "-m", "service", *command],
                env=self.environment(),
                capture_output=True,
                text=True,
                timeout=_SETUP_SECONDS,
            )
            if done.returncode:
                raise BenchError(f"recommendations {' '.join(command)} failed: {done.stderr.strip()}")

    def draw_readers(self, rounds: int, known: int, unknown: int, seed: int) -> list[list[int]]:
        """Draw the readers of each round: so many in proportion to their interactions, so many never seen."""
        with Database.open(self._database_url) as database:
            # An interaction drawn evenly names its reader in proportion to what the reader did.
            active: Sequence[int] = database.interactions().reader_ids.tolist()
        chance = random.Random(seed)
        never_seen = iter(range(_FIRST_UNKNOWN_READER, _FIRST_UNKNOWN_READER + rounds * unknown))
        return [
            [*chance.choices(active, k=known), *(next(never_seen) for _ in range(unknown))]
            for _ in range(rounds)
        ]


def framed(reader_id: int) -> bytes:
    """Return a Recommend request as gRPC sends it: a byte for uncompressed, the length, the message."""
    message = RecommendRequest(reader_id=reader_id).SerializeToString()
    return struct.pack(">BI", 0, len(message)) + message
