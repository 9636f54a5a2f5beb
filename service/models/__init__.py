"""Trained snapshots in a directory or a bucket: write, verify, promote, roll back, map; knows no training."""

from service.models.errors import ModelError, ModelsAway, NoModel
from service.models.manifest import FORMAT_VERSION, ManifestSummary
from service.models.store import ModelStore
from service.models.warming import warm

__all__ = ["FORMAT_VERSION", "ManifestSummary", "ModelError", "ModelStore", "ModelsAway", "NoModel", "warm"]
