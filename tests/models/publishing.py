"""Saves a model in a bucket and promotes it, for the parent to kill it on the way.

Arguments: the URL, the endpoint, the credentials file, the cache directory.
"""

import sys
from pathlib import Path

from service.models import ModelStore
from tests.models.made_models import DIGEST, SETTINGS, TRAINED_AT, made_model

url, endpoint, credentials, cache = sys.argv[1:]
store = ModelStore.open(
    url, endpoint=endpoint, credentials_file=Path(credentials), cache_directory=Path(cache)
)
later = made_model(seed=2, trained_at=TRAINED_AT + 60_000_000)
store.promote(store.save(later, settings=SETTINGS, data_digest=DIGEST))
