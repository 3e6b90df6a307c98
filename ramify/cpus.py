"""How many processors this process may use: those of the machine, of its affinity, of the quota of its control group.

A container may be given two processors' worth of time on a machine of sixty-four; sixty-four workers would only wait.
"""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ramify import system


def count_cpus(root: Path = Path("/")) -> int:
    """Return how many processors this process may use, at least 1; a share of one counts as one."""
    there = system.count_allowed() or os.cpu_count() or 1
    return max(1, math.ceil(min([there, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield how many processors' worth of time each control group around this process has, where it is limited."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            # The first version has a tree for each controller.
            tree = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
            own = PurePosixPath(path.lstrip("/"))
            for group in (own, *own.parents):
                # A container sees its own group at the top, under whatever name it has outside.
                yield from _read_old(tree / group) if controllers else _read(tree / group)


def _read(group: Path) -> Iterator[float]:
    with suppress(OSError, ValueError):  # "max" is no number
        quota, period = (group / "cpu.max").read_text().split()
        yield int(quota) / int(period)


def _read_old(group: Path) -> Iterator[float]:
    with suppress(OSError, ValueError):
        quota, period = (int((group / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        if quota > 0:
            yield quota / period
