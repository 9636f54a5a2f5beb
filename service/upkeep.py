"""What a running service does on its own: takes up newly promoted models, keeps popularity fresh."""

import logging
import threading
import time
from typing import Self

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge

from service.domain.model import ItemModel
from service.domain.recommender import Recommender
from service.models import ModelError, ModelsAway, ModelStore, NoModel, warm
from service.operations.conditions import Conditions

MODEL = "model"  # the condition that a model answers

# Sorting the catalogue by what happened meanwhile; nobody notices a minute.
POPULARITY_SECONDS = 60.0
# A thread that waits for a store that hangs, or reads a large snapshot, is left behind: it changes no file
# but copies of models, of which no half one is ever used.
_JOIN_SECONDS = 2.0
# Verifying takes a tenth of a second of a core for 100 MB. Calls want the core too: four times as long.
_CORE_SHARE_BESIDE_CALLS = 0.25
# A version that was refused stays so until somebody mends it: it is not downloaded again at every look.
_REFUSED_SECONDS = 30.0
# Of a model's books that the catalogue has.
_LEAST_KNOWN_SHARE = 0.5

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
        Gauge(
            "recommendations_model_refused",
            "1 while the promoted model cannot be had or is refused, and another one answers or none.",
            registry=registry,
        ).set_function(lambda: bool(self._complaint))
        self._refused, self._refused_until = "", 0.0
        self._retired: ItemModel | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def __enter__(self) -> Self:
        """Take up the promoted model, then keep looking for newer ones.

        Where it cannot be had, the copy on this machine of the model that was in use before answers. Where
        there is none either, a store that is away or has none promoted is waited for, with popular books and
        not ready; one that denies, or has a broken model, raises ModelError.
        """
        try:
            self._look(core_share=1.0)
        except ModelError as error:
            if not self._use_kept() and not isinstance(error, NoModel | ModelsAway):
                raise
            self._complain(error)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        refreshed = time.monotonic()
        while not self._stop.wait(self._check_seconds):
            # The memory of a model that was replaced is given back here, not by the last call that used it.
            self._retired = None
            try:
                if time.monotonic() - refreshed >= self._popularity_seconds:
                    self._recommender.refresh_popularity()
                    refreshed = time.monotonic()
                self._look(_CORE_SHARE_BESIDE_CALLS)
            except ModelError as error:
                self._complain(error)
            except Exception:  # noqa: BLE001 - without this thread no model would ever be taken up again
                _log.exception("looking for a newly promoted model failed")

    def _look(self, core_share: float) -> None:
        promoted, in_use = self._models.current_version(), self._recommender.model
        if in_use is None or promoted != in_use.version:
            if promoted == self._refused and time.monotonic() < self._refused_until:
                return
            try:
                self._use(self._models.load(core_share=core_share), core_share)
            except ModelsAway:
                raise
            except ModelError:
                self._refused, self._refused_until = promoted, time.monotonic() + _REFUSED_SECONDS
                raise
        if self._complaint:
            self._complaint = ""
            _log.info("the model in use is the promoted one again")
        self._conditions.set(MODEL, True)

    def _use(self, model: ItemModel, core_share: float) -> None:
        catalogue = self._recommender.catalogue
        known = catalogue.positions_of_array(np.asarray(model.book_ids)) >= 0
        # Some books come and go while a model is in use; another shop's has hardly any in common. A catalogue
        # that is still empty has nothing to say of it.
        if len(catalogue) and known.sum() < _LEAST_KNOWN_SHARE * len(known):
            raise ModelError(
                f"model {model.version}: of its {len(known)} books the catalogue has {known.sum()}, less than"
                " half; is it another shop's?"
            )
        warm(model, core_share=core_share)
        self._retired = self._recommender.model
        self._recommender.use_model(model)
        self._loads.labels("success").inc()
        _log.info("answering from model %s", model.version)

    def _use_kept(self) -> bool:
        try:
            self._use(self._models.load_kept(), core_share=1.0)
        except ModelError as error:
            if not isinstance(error, NoModel):
                _log.warning("%s; there is no copy to answer from", error)
            return False
        return True

    def _complain(self, error: ModelError) -> None:
        # Once: it will be found again every few seconds until somebody mends it.
        if str(error) == self._complaint:
            return
        self._complaint = str(error)
        self._loads.labels("failure").inc()
        in_use = self._recommender.model
        meanwhile = f"still answering from {in_use.version}" if in_use else "no model yet"
        told = f"{error}; {meanwhile}"
        self._conditions.set(MODEL, in_use is not None, told)
        _log.error("%s", told)
