"""What is to be kept running, whatever keeps it: the pool of one directory."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from ramify.errors import BadSettings, CannotInstall

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
LONGEST: Final = 60.0
"""Seconds that a tool of the system may take."""


class Service(Struct, frozen=True):
    """The pool of a directory. `grace` is how long its running jobs may take to end; `user` runs it."""

    name: str
    directory: Path
    python: str
    grace: float = 30.0
    user: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadSettings(f"{self.name!r} is no name for a service; use letters and digits, as --name shop")
        if any(not letter.isprintable() for letter in f"{self.directory}{self.python}{self.user}"):
            raise BadSettings(f"{str(self.directory)!r}: a service cannot run in a directory with such a name")

    @property
    def title(self) -> str:
        """How the system calls it."""
        return f"ramify-{self.name}"

    @property
    def command(self) -> list[str]:
        """What starts it, in its directory."""
        return [self.python, "-m", "ramify.cli", "pool"]


class Keeper(Protocol):
    """What keeps a service running."""

    def show(self, service: Service) -> str:
        """Return what `install` would write."""
        ...

    def install(self, service: Service) -> list[str]:
        """Write it and start it; return in sentences what was done. Raise `CannotInstall` with what the system says."""
        ...

    def uninstall(self, service: Service) -> list[str]:
        """Stop it and remove it; return in sentences what was done."""
        ...

    def status(self, service: Service) -> str:
        """Return in words whether it is installed."""
        ...


def tell(*command: str, text: str | None = None) -> str:
    """Run a tool of the system and return what it says. Raise `CannotInstall` if it fails."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=LONGEST, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CannotInstall(f"`{' '.join(command)}` failed: {said[-1] if said else f'status {done.returncode}'}")
    return done.stdout


def ask(*command: Sequence[str] | str) -> str:
    """Return the first line that a tool says, whether it succeeds or not; nothing if there is no such tool."""
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=LONGEST, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.strip().splitlines() or [""])[0]
