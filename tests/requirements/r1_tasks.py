"""The functions of document R1, spelt as there, and those its checklist needs besides."""

import time
from pathlib import Path
from typing import Any

PATIENCE = 20.0


def simpleTask(x):
    return 2 * x


def addJobs(n):
    newJobArray = []
    for i in range(n):
        newJobArray.append({"func": simpleTask, "args": i})

    return {"result": 2 * n, "addJobs": newJobArray}


def addSubJob(n):
    newJobArray = []
    for i in range(n):
        newJobArray.append({"func": simpleTask, "args": i})

    newSubJob = {"jobs": newJobArray}
    return {"result": 2 * n, "addJobs": newSubJob}


def addJobsAsPrinted(n):
    """As in the repository's `exampleTasks.py`, which gives the result that the document prints."""
    return {"result": 2 * n, "addJobs": [{"func": simpleTask, "args": 2 * n + i} for i in range(n)]}


def addSubJobAsPrinted(n):
    jobs = [{"func": simpleTask, "args": 2 * n + i} for i in range(n)]
    return {"result": 2 * n, "addJobs": {"jobs": jobs}}


def echo(*args: Any, **kwargs: Any) -> list[Any]:
    """Return what it was called with."""
    return [list(args), kwargs]


def pair() -> tuple[int, int]:
    return (1, 2)


def pair_in_list() -> list[int]:
    return [1, 2]


def fail() -> None:
    raise ValueError("no such luck")


def answer(value: Any) -> Any:
    """Return what is given."""
    return value


def count_down(n: int) -> dict[str, Any]:
    """Add a job that counts on, down to zero."""
    more = [{"func": count_down, "args": n - 1}] if n else []
    return {"result": n, "addJobs": more}


def add_in_order(n: int) -> dict[str, Any]:
    """Add a job that takes this one's result, a blocking one, a group, and one that takes the group's result."""
    return {
        "result": n,
        "addJobs": [
            {"func": simpleTask, "previousJobArgs": True},
            {"func": simpleTask, "args": 10, "blocking": True},
            {"jobs": [{"func": simpleTask, "args": 1}, {"func": simpleTask, "args": 2}]},
            {"func": echo, "previousJobArgs": True},
        ],
    }


def meet(directory: str, me: str, other: str) -> str:
    """Return when a job called `other` runs at the same time; fail if none comes."""
    (Path(directory) / me).touch()
    end = time.monotonic() + PATIENCE
    while not (Path(directory) / other).exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{other} did not come")
        time.sleep(0.01)
    return me
