"""Functions that the tests of the Python face enqueue."""

import functools
import os.path
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from os import system  # noqa: F401 -- an import is no definition: it must not be served
from typing import Any, ParamSpec, TypeVar

from ramify import Node, current, job, task

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Point:
    x: int
    y: int


def double(x: int) -> int:
    return 2 * x


def add(x: int, y: int = 10, *, scale: int = 1) -> int:
    return (x + y) * scale


def total(numbers: list[int]) -> int:
    return sum(numbers)


async def later(x: int) -> str:
    return f"later {x}"


def make_point(x: int) -> Point:
    return Point(x, -x)


def make_pair() -> tuple[int, str]:
    return (1, "one")


def make_untyped_pair():
    return (1, "one")


def make_day() -> datetime:
    return datetime(2025, 3, 1)


def promise_wrongly() -> int:
    return "not a number"  # type: ignore[return-value]


def boom(message: str) -> None:
    raise ValueError(message)


def give_up(reason: str) -> None:
    current().fail(reason)


def tell() -> dict[str, Any]:
    """Return what a job knows of itself."""
    here = current()
    here.progress(1, 4)
    here.status("telling")
    return {"job": here.job, "tree": here.tree, "parent": here.parent, "attempt": here.attempt, "key": here.key}


def spawn(n: int) -> str:
    current().spawn(*(job(double, i) for i in range(n)))
    return "spawned"


def spawn_siblings(n: int) -> str:
    current().spawn_sibling(*(job(double, i) for i in range(n)))
    return "asked"


@task
def bare(x: int) -> int:
    return x


@task(queue="slow", priority=7, retry=3, timeout=60, slot="press", units=2, label="optioned")
def optioned(x: int) -> int:
    return x


def logged(function: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    return call


@logged
def wrapped(x: int) -> int:
    return x


@functools.lru_cache
def cached(x: int) -> int:
    return x


def counted() -> Iterator[int]:
    yield 1


def make_nested() -> Callable[[], None]:
    def nested() -> None:
        return None

    return nested


class Holder:
    def method(self) -> None:
        return None

    @staticmethod
    def static() -> None:
        return None


alias = double
anonymous = lambda x: x  # noqa: E731
bound = Holder().method
partial = functools.partial(add, 1)
joined = os.path.join


def nodes() -> list[Node[int]]:
    return [job(double, 1), job(double, 2)]


def advance_until(steps: list[float], path: str) -> None:
    """Say how far it is, in these steps, and go on until a file is there."""
    for step in steps:
        current().progress(step)
    while not os.path.exists(path):
        time.sleep(0.01)


def spawn_doubles(n: int) -> None:
    """Add so many jobs."""
    current().spawn(*(job(double, x) for x in range(n)))
