"""The two kinds of place that models lie in, alike for tests: a store, and the files that it is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.models import ModelError, ModelStore
from tests.models.made_models import DIGEST, SETTINGS, TRAINED_AT, made_model
from tests.s3 import S3Server

REPOSITORY = Path(__file__).parents[2]
PREFIX = "shops/one"


@dataclass(frozen=True)
class Place:
    """A place and how to open it."""

    name: str  # what messages call it
    files: Path  # its files: <version>/manifest.json and so on, and `current`
    options: dict[str, Any]
    missing: str  # what messages say of a file that is not there

    @property
    def store(self) -> ModelStore:
        """Open it anew, as another process would."""
        return ModelStore.open(self.name, **self.options)

    def called(self, path: Path) -> str:
        """Return what messages call one of its files."""
        return f"{self.name}/{path.relative_to(self.files)}"

    def point(self, content: str) -> None:
        """Replace the pointer by something else, in one step: a service may be looking."""
        written = self.files / ".pointer"
        written.write_text(content)
        written.replace(self.files / "current")

    @property
    def cache(self) -> Path:
        """The folder of the copies that belong to this bucket, once there are any."""
        (folder,) = self.options["cache_directory"].iterdir()
        return folder


def directory_place(folder: Path) -> Place:
    """Make a place that is a directory."""
    path = folder / "models"
    return Place(str(path), path, {"cache_directory": folder / "cache"}, "no such file or directory")


def bucket_place(folder: Path, server: S3Server, **options: Any) -> Place:
    """Make a place that is a prefix of a new bucket; `folder` is where the copies go."""
    bucket, files = server.new_bucket()
    return Place(
        f"s3://{bucket}/{PREFIX}",
        files / PREFIX,
        {
            "cache_directory": folder / "cache",
            "endpoint": server.endpoint,
            "credentials_file": server.credentials_file,
            "request_seconds": 5,
        }
        | options,
        "no such object",
    )


def save(store: ModelStore, number: int = 0) -> str:
    """Save one of several models, the later the higher its number; return its version."""
    model = made_model(seed=number, trained_at=TRAINED_AT + number * 1_000_000)
    return store.save(model, settings=SETTINGS, data_digest=DIGEST)


def refusal(action: Callable[[], object], kind: type[ModelError] = ModelError) -> str:
    """Return the one line that an action is refused with."""
    with pytest.raises(kind) as raised:
        action()
    message = str(raised.value)
    assert "\n" not in message
    return message


def flip_a_bit(path: Path) -> None:
    """Damage a file without changing its size."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
