"""A worker whose lease is a tenth of the usual, so that tests of what happens after it do not take minutes.

`python -m tests.worker.short URL CHILDREN` runs jobs until SIGTERM.
"""

import importlib
import logging
import sys
from typing import Final

from ramify.stores.open import open_store
from ramify.worker.loop import Worker

LEASE: Final = 3.0
SHORT: Final = {"LEASE": LEASE, "FENCE": 2.5, "SILENCE": 2.6, "BEAT": 0.5}
"""Lease, when a worker gives its jobs up, when its guard does, and how often it beats."""


def shorten() -> None:
    """Shorten the times in every module that has them."""
    importlib.import_module("ramify.worker.guard")
    for module in [module for name, module in list(sys.modules.items()) if name.startswith("ramify.")]:
        for name, seconds in SHORT.items():
            if hasattr(module, name):
                setattr(module, name, seconds)


if __name__ == "__main__":
    shorten()
    logging.basicConfig(level=logging.INFO, format="%(process)d %(message)s")
    Worker(open_store(sys.argv[1]), ["tests.worker.jobs"], children=int(sys.argv[2]), grace=0.5).run()
