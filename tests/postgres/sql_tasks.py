"""Tasks for jobs that come in by SQL."""

from pathlib import Path
from typing import Literal

from ramify import needs, same, task


def task1(file_path: str, a: int, b: int) -> None:
    """Write a sum."""
    Path(file_path).write_text(str(a + b))


def double(x: int) -> int:
    """Return twice the argument."""
    return 2 * x


def letter(letter: Literal["A", "B"] = "A", n: int = 0) -> str:
    """Take one of two letters."""
    return letter * n


@task(queue="slow", priority=7, retry=3, timeout=60, slot="press", units=2, label="optioned")
def optioned(x: int) -> int:
    """Carry every option."""
    return x


def make(path: str, n: int = 0) -> str:
    """Make what others use."""
    return path


@task(needs=needs(make, within="1h", path=same))
def use(path: str) -> str:
    """Use what was made."""
    return f"used {path}"
