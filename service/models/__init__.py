"""Trained snapshots on disk: write, verify, list, promote, roll back, map; knows nothing of training."""

from service.models.errors import ModelError, NoModel
from service.models.manifest import FORMAT_VERSION, ManifestSummary
from service.models.store import ModelStore

__all__ = ["FORMAT_VERSION", "ManifestSummary", "ModelError", "ModelStore", "NoModel"]
