"""The database as files that processes share: written, verified, mapped, renewed; knows no database."""

from service.mirror.building import build
from service.mirror.directory import current_version, prune, sole_builder
from service.mirror.errors import MirrorError
from service.mirror.mapped import Mirror

__all__ = ["Mirror", "MirrorError", "build", "current_version", "prune", "sole_builder"]
