"""Saves a model and stops for good at a given call of fsync, for the parent to kill it there.

Arguments: the directory, and which call of fsync (1 is the first).
"""

import os
import sys
import time
from pathlib import Path

from service.models import ModelStore
from tests.models.made_models import DIGEST, SETTINGS, made_model

calls_left = int(sys.argv[2])
real_fsync = os.fsync


def fsync(descriptor: int) -> None:
    global calls_left
    calls_left -= 1
    if calls_left == 0:
        print("stopped", flush=True)
        time.sleep(60)  # the parent kills this process; without one it ends by itself
    real_fsync(descriptor)


os.fsync = fsync
ModelStore.open(sys.argv[1], cache_directory=Path(sys.argv[1])).save(
    made_model(), settings=SETTINGS, data_digest=DIGEST
)
print("saved", flush=True)
