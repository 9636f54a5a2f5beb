"""Loads a model of a bucket and prints the error, for a parent that allows it little.

Arguments: the URL, the endpoint, the credentials file, the cache directory, the version.
"""

import sys
from pathlib import Path

from service.models import ModelError, ModelStore

url, endpoint, credentials, cache, version = sys.argv[1:]
store = ModelStore.open(
    url, endpoint=endpoint, credentials_file=Path(credentials), cache_directory=Path(cache)
)
try:
    store.load(version)
except ModelError as error:
    print(error)
