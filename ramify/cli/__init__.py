"""The command line: `ramify worker`, `run`, `info`, `tree`, `result`, `cancel`, `retry`, `doctor`.

`run_live` is what `ramify run` does once the work is stored; programs may use it as well.
"""

from ramify.cli.commands import main
from ramify.cli.live import run_live

__all__ = ["main", "run_live"]
