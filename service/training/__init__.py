"""Interactions in, a model and its figures out; knows neither storage nor snapshots on disk."""

from service.training.baselines import has_implicit
from service.training.chart import chart
from service.training.errors import TrainingError
from service.training.evaluation import evaluate, evaluate_ranker, popularity_alone, served, trial_of
from service.training.figures import Evaluation
from service.training.gate import refusal, serving_refusal
from service.training.holdout import compare, split, train_with_holdout
from service.training.learning import Progress, train
from service.training.provenance import data_digest, weights_of
from service.training.settings import TrainingSettings

__all__ = [
    "Evaluation",
    "Progress",
    "TrainingError",
    "TrainingSettings",
    "chart",
    "compare",
    "data_digest",
    "evaluate",
    "evaluate_ranker",
    "has_implicit",
    "popularity_alone",
    "refusal",
    "served",
    "serving_refusal",
    "split",
    "train",
    "train_with_holdout",
    "trial_of",
    "weights_of",
]
