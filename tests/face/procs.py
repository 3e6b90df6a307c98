"""Classes that are tasks."""

import asyncio
from pathlib import Path
from typing import Any

from ramify import JobProc, current, job, task


class Frames(JobProc):
    """Render frames of a scene.

    :param scene: which one
    """

    def __init__(self, scene: str, frames: int = 2, *, ledger: Path | None = None) -> None:
        if frames < 1:
            raise ValueError(f"{frames} frames are none")
        self.label = f"{scene}, {frames} frames"
        self.scene, self.frames, self.ledger = scene, frames, ledger
        self.heard: list[str] = []

    def post_create(self) -> None:
        if self.ledger is not None:
            with self.ledger.open("a") as file:
                file.write(f"{self.scene}\n")

    def on_stdout(self, number: int, line: str) -> None:
        self.heard.append(f"{number} {line}")
        current().progress(number, self.frames)

    def on_stderr(self, number: int, line: str) -> None:
        self.heard.append(f"! {number} {line}")

    def run(self) -> list[str]:
        self.exec(f"for n in $(seq {self.frames}); do echo frame $n; done")
        self.exec(["sh", "-c", "echo over >&2"])
        return self.heard


@task(queue="slow", retry=2)
class Slow(JobProc):
    """A procedure with options, whose run is a coroutine."""

    def __init__(self, x: int) -> None:
        self.x = x

    async def run(self) -> int:
        await asyncio.sleep(0.01)
        return 2 * self.x


class Slower(Slow):
    """Made from one with options, without any itself."""


class Last(JobProc):
    """A procedure that takes what another one returned."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def run(self) -> str:
        return self.lines[-1]


class Spawning(JobProc):
    """A procedure that adds jobs."""

    def __init__(self, ledger: Path, frames: int) -> None:
        self.ledger, self.frames = ledger, frames

    def run(self) -> Any:
        current().spawn(job(Frames, "spawned", self.frames, ledger=self.ledger))


class Preparing(JobProc):
    """A procedure that makes a directory once; to make it twice is an error."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def post_create(self) -> None:
        self.place.mkdir()

    def run(self) -> bool:
        return self.place.is_dir()


class Failing(JobProc):
    """A procedure that does not end well."""

    def run(self) -> None:
        raise LookupError("no such scene")


helper = Frames  # another name is no other task
