"""What type checkers see: these files are checked by `mypy --strict`, where an unused `ignore` is an error too."""

from typing import Any, assert_type

from ramify import Job, JobProc, Node, Ramify, group, job, series, task


def double(x: int) -> int:
    return 2 * x


def spell(x: int, name: str = "", *, width: float = 0) -> str:
    return f"{x}{name}{width}"


async def later(x: int) -> bytes:
    return bytes(x)


async def join(a: bytes, b: str, c: int) -> bytes:
    return a


def many(a: int, b: str, c: float, d: bytes, e: int) -> None:
    return None


def total(numbers: list[int]) -> int:
    return sum(numbers)


@task
def plain(x: int) -> int:
    return x


@task(queue="slow", retry=3)
def optioned(x: int) -> int:
    return x


class Render(JobProc):
    def __init__(self, scene: str, frames: int = 1) -> None:
        self.scene, self.frames = scene, frames

    def run(self) -> bytes:
        return b""


def check_a_class_stands_for_what_its_run_returns(app: Ramify) -> None:
    """A `JobProc` takes the arguments of its constructor, and its node is of what `run` returns."""
    assert_type(job(Render, "forest", frames=2), Node[bytes])
    assert_type(app.enqueue(Render, "forest"), Job[bytes])
    job(Render)  # type: ignore[call-overload]


def check_job_keeps_the_types_of_its_function(stored: Job[int]) -> None:
    """`job` returns a node of what the function returns; a node or job of the right type stands for an argument."""
    a = job(double, 1)
    assert_type(a, Node[int])
    assert_type(job(double, a), Node[int])
    assert_type(job(double, stored), Node[int])
    assert_type(job(spell, 1, width=2), Node[str])
    assert_type(job(spell, a, width=2), Node[str])
    assert_type(job(spell, a, job(spell, a)), Node[str])
    assert_type(job(spell, a, "x", width=3), Node[str])
    assert_type(job(later, 1), Node[bytes])
    assert_type(job(later, a), Node[bytes])
    assert_type(job(join, job(later, a), job(spell, 1), stored), Node[bytes])
    assert_type(job(many, a, job(spell, 1), 1.0, job(later, 1), stored), Node[None])
    assert_type(job("module:function", 1, x=2), Node[Any])
    assert_type(a.options(priority=3), Node[int])


def check_job_checks_arguments() -> None:
    """An argument of another type, one too many and one too few are errors."""
    job(double, "x")  # type: ignore[call-overload]
    job(double, job(spell, 1))  # type: ignore[call-overload]
    job(double)  # type: ignore[call-overload]
    job(double, 1, 2)  # type: ignore[call-overload]
    job(spell, job(double, 1), 3)  # type: ignore[call-overload]
    job(spell, 1, height=3)  # type: ignore[call-arg, arg-type]
    job(total, group(job(spell, 1)))  # type: ignore[call-overload]


def check_groups_return_lists_or_what_their_body_returns() -> None:
    """A group is a list of its nodes' results, unless a body says otherwise."""
    a, b = job(double, 1), job(double, 2)
    assert_type(group(a, b), Node[list[int]])
    assert_type(series(a, b), Node[list[int]])
    assert_type(group(a, job(spell, 1), body=job(later, 3)), Node[bytes])
    assert_type(job(total, group(a, b)), Node[int])
    assert_type(group(group(a), group(b)), Node[list[list[int]]])


def check_task_leaves_functions_as_they_are() -> None:
    """A decorated function has the types it had."""
    assert_type(plain(1), int)
    assert_type(optioned(1), int)
    assert_type(job(optioned, 1), Node[int])
    plain("x")  # type: ignore[arg-type]
    task(color="red")  # type: ignore[call-overload]


def check_enqueue_keeps_the_types(app: Ramify, stored: Job[int]) -> None:
    """A handle knows what its job returns."""
    assert_type(app.enqueue(double, 1), Job[int])
    assert_type(app.enqueue(double, 1).result(timeout=3), int)
    assert_type(app.enqueue(double, stored), Job[int])
    assert_type(app.enqueue(spell, stored, "x", width=1), Job[str])
    assert_type(app.enqueue(later, 1), Job[bytes])
    assert_type(app.enqueue(job(spell, 1), request="once").result(), str)
    assert_type(app.enqueue(group(job(double, 1), job(double, 2))).result(), list[int])
    assert_type(app.enqueue("module:function", 1), Job[Any])
    assert_type(app.enqueue({"jobs": []}), Job[Any])
    app.enqueue(double, "x")  # type: ignore[call-overload]
    app.enqueue([job(double, 1)])  # type: ignore[call-overload]


async def check_jobs_as_they_end_keep_their_type(app: Ramify, stored: Job[int]) -> None:
    """`as_completed` works in both kinds of loop."""
    for each in app.as_completed([stored]):
        assert_type(each, Job[int])
    async with app:
        async for other in app.as_completed([stored], timeout=3):
            assert_type(await other, int)
    assert_type(stored.draw(), str)
    assert_type(stored.mermaid(), str)


async def check_awaiting_a_job_gives_its_result(stored: Job[int]) -> None:
    """`await job` is `job.result()`."""
    assert_type(await stored, int)
