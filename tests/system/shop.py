"""A folder as `make serve` leaves it: database, models, certificates and roles; knows no tests."""

import shutil
from pathlib import Path
from typing import Self

from tests.system.processes import run

REPOSITORY = Path(__file__).parents[2]


class Shop:
    """The files of one service, and the settings that name them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = directory / "var" / "recommendations.db"
        self.models = directory / "var" / "models"
        self.certificates = directory / "certs" / "dev"
        self.roles = directory / "certs" / "roles.toml"

    @property
    def settings(self) -> dict[str, str]:
        """What differs from the defaults, which name these files relative to the folder: waits are short."""
        return {"RECOMMENDATIONS_DRAIN_SECONDS": "0", "RECOMMENDATIONS_MODEL_CHECK_SECONDS": "0.1"}

    def prepare(self) -> None:
        """Do what `make serve` does; what the commands printed is kept in prepared.txt."""
        self.database.parent.mkdir(parents=True)
        self.roles.parent.mkdir(parents=True)
        shutil.copy(REPOSITORY / "certs" / "roles.toml", self.roles)
        outputs = []
        for arguments in (("certs",), ("migrate",), ("import", "sample"), ("train",)):
            result = run(*arguments, settings=self.settings, cwd=self.directory)
            assert result.returncode == 0, (arguments, result.stderr)
            outputs.append(result.stdout)
        (self.directory / "prepared.txt").write_text("".join(outputs))

    def copy_to(self, directory: Path) -> Self:
        """Copy everything."""
        shutil.copytree(self.directory, directory, dirs_exist_ok=True)
        return type(self)(directory)
