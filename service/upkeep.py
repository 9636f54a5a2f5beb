"""What a running service does on its own: takes up newly promoted models, keeps popularity fresh."""

import logging
import threading
import time
from typing import Self

from prometheus_client import CollectorRegistry, Counter

from service.domain.recommender import Recommender
from service.models import ModelError, ModelStore, NoModel
from service.operations.conditions import Conditions

MODEL = "model"  # the condition that a model answers

# Sorting the catalogue by what happened meanwhile; nobody notices a minute.
POPULARITY_SECONDS = 60.0
# Reading a large snapshot takes about a second, and an exit should not wait longer than that.
_JOIN_SECONDS = 2.0

_log = logging.getLogger("recommendations.upkeep")


class Upkeep:
    """A thread that looks at the model store every few seconds; a context manager that ends it."""

    def __init__(
        self,
        models: ModelStore,
        recommender: Recommender,
        conditions: Conditions,
        check_seconds: float,
        registry: CollectorRegistry,
        popularity_seconds: float = POPULARITY_SECONDS,
    ) -> None:
        self._models, self._recommender, self._conditions = models, recommender, conditions
        self._check_seconds, self._popularity_seconds = check_seconds, popularity_seconds
        self._loads = Counter(
            "recommendations_model_loads", "Models taken up, or refused.", ["result"], registry=registry
        )
        for result in ("success", "failure"):
            self._loads.labels(result)
        self._complaint = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def __enter__(self) -> Self:
        """Take up the promoted model, then keep looking for newer ones.

        A broken one raises ModelError: nothing good is in use yet that could go on. Where none has been
        promoted, the service answers with popular books, is not ready, and waits for one.
        """
        try:
            self._take_up_model()
        except NoModel as absence:
            self._complain(absence)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        refreshed = time.monotonic()
        while not self._stop.wait(self._check_seconds):
            try:
                if time.monotonic() - refreshed >= self._popularity_seconds:
                    self._recommender.refresh_popularity()
                    refreshed = time.monotonic()
                self._take_up_model()
            except ModelError as error:
                self._complain(error)
            except Exception:  # noqa: BLE001 - without this thread no model would ever be taken up again
                _log.exception("looking for a newly promoted model failed")

    def _take_up_model(self) -> None:
        promoted = self._models.current_version()
        in_use = self._recommender.model
        if in_use is None or promoted != in_use.version:
            self._recommender.use_model(self._models.load(promoted))
            self._loads.labels("success").inc()
            _log.info("answering from model %s", promoted)
        self._complaint = ""
        self._conditions.set(MODEL, True)

    def _complain(self, error: ModelError) -> None:
        # Once: it will be found again every few seconds until somebody mends it.
        if str(error) == self._complaint:
            return
        self._complaint = str(error)
        self._loads.labels("failure").inc()
        in_use = self._recommender.model
        if in_use is None:
            self._conditions.set(MODEL, False, self._complaint)
        _log.error("%s; %s", error, f"still answering from {in_use.version}" if in_use else "no model yet")
