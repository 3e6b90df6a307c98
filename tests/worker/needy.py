"""Tasks of which some need others."""

from typing import Any

from ramify import needs, same, task


def source(path: Any) -> str:
    return "there"


@task(needs=needs(source, within="1h", path=same))
def needy(path: Any) -> str:
    return "done"


def plain(x: Any = 0) -> str:
    return "done"
