"""Tasks declared by jobmaster's words."""

from pathlib import Path

from ramify.compat.jobmaster import Dependency, dep, same, task

LETTERS = ["A", "B", "C"]


@task
def task1(file_path: str, a: int, b: int):
    """Write a sum.

    :param file_path: where it goes
    """
    with open(file_path, "w") as f:
        f.write(str(a + b))


@task
def foo(file_path: str, number: int):
    with open(file_path, "a") as f:
        f.write(f"foo {number}\n")


@task(dependencies=Dependency(foo, 6, number=same + 1, file_path=same), process_limit=3)
def bar(file_path: str, number: int, letter: LETTERS = "A"):
    with open(file_path, "a") as f:
        f.write(f"bar {number} {letter}\n")
    return letter


@task(dependencies=["master_tasks.bar", dep("master_tasks.foo", 0)], process_units=7)
def any_of(file_path: str):
    return Path(file_path).read_text()


@task(write_all=["letter"])
def each(file_path: str, letter: LETTERS):
    with open(file_path, "a") as f:
        f.write(f"{letter}\n")


@task
def fail():
    raise ValueError("no luck")
