"""Functions that the tests of checklist R5 enqueue."""

from pathlib import Path
from typing import Any

from ramify import current


def note(path: str, name: str) -> str:
    """Write down that this ran."""
    with Path(path).open("a") as file:
        file.write(f"{name}\n")
    return name


def fail(reason: str) -> None:
    """Fail without an exception of its own."""
    current().fail(reason)


def report(steps: list[float], text: str) -> None:
    """Say how far it is, in these steps."""
    for step in steps:
        current().progress(step)
    current().status(text)


def run(command: str) -> dict[str, Any]:
    """Run a command; return its exit status and the lines that the callbacks got."""
    heard: dict[str, Any] = {"out": [], "err": []}
    heard["status"] = current().exec(
        command,
        check=False,
        on_stdout=lambda number, line: heard["out"].append((number, line)),
        on_stderr=lambda number, line: heard["err"].append((number, line)),
    )
    return heard


def stumble() -> int:
    """Run a command whose callback fails."""

    def hear(number: int, line: str) -> None:
        raise ValueError(line)

    return current().exec("echo a; echo b", on_stdout=hear)


def where() -> list[str]:
    """Return the running directory, and what a command that runs there says of it."""
    here = current().directory
    said: list[str] = []
    current().exec("pwd", directory=here, on_stdout=lambda number, line: said.append(line))
    return [str(here), *said]
