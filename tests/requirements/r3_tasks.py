"""The tasks of the R3 tests: those of the document, and some that show one thing each."""

import enum
import time
from pathlib import Path
from typing import Literal

from ramify import Retry, needs, same, task


@task
def task1(file_path: str, a: int, b: int) -> None:
    """Write the sum of two numbers into a file.

    :param file_path: where the sum goes
    :param a: one number
    :param b: another one
    """
    Path(file_path).write_text(str(a + b))


@task
def foo(file_path: str, number: int) -> None:
    """Write a number."""
    Path(file_path).write_text(str(number))


@task(needs=needs(foo, within="6h", file_path=same))
def bar(file_path: str, number: int, letter: ["A", "B", "C"] = "A") -> None:  # type: ignore[valid-type]
    """Add a number and a letter."""
    Path(file_path).write_text(f"{number + int(Path(file_path).read_text())}{letter}")


@task(
    limit=3,
    needs=[needs(foo, within="2h", number=10, file_path=same), needs(bar, within="2h", file_path=same)],
)
def baz(file_path: str) -> str:
    """Read what the others wrote."""
    return Path(file_path).read_text()


@task
def make(path: str, number: int = 1) -> None:
    """Write a line, so that a test can count."""
    with Path(path).open("a") as file:
        file.write(f"{number}\n")


@task(needs=needs(make, within="1h", path=same))
def use(path: str) -> int:
    """Count the lines there are."""
    return len(Path(path).read_text().splitlines())


@task(needs=needs(make, path=same, number=same + 1))
def plus(path: str, number: int) -> None: ...


@task(needs=needs(make, path=same, number=same - 1))
def minus(path: str, number: int) -> None: ...


@task(needs=needs(make, path=same, number=same * 2))
def times(path: str, number: int) -> None: ...


@task(needs=needs(make, path=same, number=same / 2))
def divided(path: str, number: int) -> None: ...


@task(needs="tests.requirements.r3_tasks.once")
def by_name() -> None: ...


@task(needs=["tests.requirements.r3_tasks:once", needs("tests.requirements.r3_tasks:once", within=60)])
def by_names() -> None: ...


@task
def once() -> None: ...


@task
def fail_if(path: str) -> None:
    """Fail as long as the file is there."""
    assert not Path(path).exists()


@task(needs=needs(fail_if, within=60, path=same))
def after_fail(path: str) -> str:
    return path


@task
def first_of(x: Literal["one", "two"], y: None, z: int = 3) -> list[object]:
    return [x, y, z]


@task(needs=needs(first_of))
def needs_first_of() -> None: ...


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@task(fan_out=["letter", "colour"])
def paint(name: str, letter: ["A", "B", "C"], colour: Colour = Colour.RED) -> str:  # type: ignore[valid-type]
    """Paint a letter."""
    return f"{name} {letter} {colour.value}"


@task(unique=True)
def only(x: int, y: int = 2) -> None: ...


@task(unique=["customer"])
def report(customer: str, day: str) -> None: ...


class OutOfPaint(Exception): ...


@task(retry=Retry(2, backoff=0.01, on=("ConnectionError",)))
def flaky(path: str, error: str) -> None:
    """Fail, and say so in a file."""
    with Path(path).open("a") as file:
        file.write("x")
    raise {"connection": ConnectionResetError, "other": ValueError, "own": OutOfPaint}[error]


@task(repeatable=False, retry=5)
def at_most_once() -> None:
    raise OSError


@task(units=3)
def large() -> None: ...


@task(limit=3)
def limited(folder: str) -> None:
    """Be there for a moment, and say how many are."""
    here = Path(folder) / str(time.monotonic_ns())
    here.touch()
    with (Path(folder) / "seen").open("a") as file:
        file.write(f"{len(list(Path(folder).glob('[0-9]*')))}\n")
    time.sleep(0.02)
    here.unlink()
