"""`python -m tests.mutants [WORD…]`: break ramify in many ways, one after the other, and see whether its tests notice.

Exit status 1 if a mutant survives: then a test is missing.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, convert

ROOT: Final = Path(__file__).parents[2]
LONGEST: Final = 600
"""Seconds in which a mutant must be caught."""

RUN: Final = "import os, sys, pytest; os._exit(pytest.main(sys.argv[1:]))"
"""Runs the tests and does not wait for processes that a failed one has left."""


class Mutant(Struct, frozen=True):
    """One way to break ramify, and the tests that must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]


def read_mutants() -> list[Mutant]:
    """Return all mutants."""
    written = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text("utf-8"))
    return convert(written["mutant"], list[Mutant])


def is_caught(mutant: Mutant, place: Path) -> bool:
    """Tell whether the tests fail with this mutant, in a copy of everything."""
    path = place / mutant.file
    sound = path.read_text("utf-8")
    path.write_text(sound.replace(mutant.old, mutant.new), "utf-8")
    tests = subprocess.Popen(
        # A test that hangs ends the run at its time limit, whatever it waits for.
        [
            sys.executable,
            "-c",
            RUN,
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-o",
            "timeout_method=thread",
            *mutant.tests,
        ],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(place)},  # or their processes would find the sound one
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # 1: tests failed; anything else, as a test that is not there, is a mistake in the list.
        return tests.wait(LONGEST) == 1
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(tests.pid, signal.SIGKILL)
        tests.wait()
        path.write_text(sound, "utf-8")


def main(words: Sequence[str]) -> int:
    """Try all mutants whose name holds one of the words; return the exit status."""
    survivors = []
    chosen = [mutant for mutant in read_mutants() if not words or any(word in mutant.name for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("ramify", "tests", "examples"):
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "Makefile", "README.md"):
            shutil.copy(ROOT / name, place)
        for mutant in chosen:
            begun = time.monotonic()
            caught = is_caught(mutant, place)
            print(
                f"{'caught  ' if caught else 'SURVIVES'} {time.monotonic() - begun:5.1f} s  {mutant.name}", flush=True
            )
            survivors += [] if caught else [mutant.name]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants were caught")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
