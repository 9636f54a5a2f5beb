"""Interactions in, a model and its figures out; knows neither storage nor snapshots on disk."""

from service.training.errors import TrainingError
from service.training.evaluation import COLUMNS, Evaluation, evaluate, popularity_alone
from service.training.holdout import compare, split, train_with_holdout
from service.training.learning import Progress, train
from service.training.provenance import data_digest
from service.training.settings import TrainingSettings

__all__ = [
    "COLUMNS",
    "Evaluation",
    "Progress",
    "TrainingError",
    "TrainingSettings",
    "compare",
    "data_digest",
    "evaluate",
    "popularity_alone",
    "split",
    "train",
    "train_with_holdout",
]
