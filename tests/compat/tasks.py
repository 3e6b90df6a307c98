"""Functions that programs written for rq enqueue."""

import os
import time
from pathlib import Path
from typing import Any

from ramify.compat.rq import get_current_job, job


def double(x: int) -> int:
    return 2 * x


def echo(*args: Any, **kwargs: Any) -> list[Any]:
    return [list(args), kwargs]


def boom(message: str) -> None:
    raise ValueError(message)


def note(path: str, word: str) -> str:
    with open(path, "a") as file:
        file.write(f"{word}\n")
    return word


def mend(path: str) -> str:
    """Fail until the file is there."""
    return Path(path).read_text()


def tell_process() -> int:
    return os.getpid()


def tell_parents() -> list[str]:
    """Return what the interpreter that runs this was started with."""
    return [part.decode() for part in Path("/proc/self/cmdline").read_bytes().split(b"\0")]


def tell_job() -> str | None:
    here = get_current_job()
    return None if here is None else here.get_id()


def wait_for(path: str, patience: float = 20.0) -> str:
    """Say that we began, and return when the file is there."""
    Path(f"{path}.begun").touch()
    end = time.monotonic() + patience
    while not Path(path).exists():
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.01)
    return path


def sleep_long() -> None:
    time.sleep(600)


def cut_bread(parts: int) -> str:
    return f"{parts} slices"


def add_marmalade(kind: str) -> str:
    return f"{kind} marmalade"


@job("low")
def add(x: int, y: int) -> int:
    return x + y


def nothing() -> None:
    return None
