"""What the tests of the command line share: a directory with a module of tasks, and `ramify` run in it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

import ramify.cli
from ramify import Ramify

ROOT = Path(__file__).parents[2]

CHORES = '''
import time

from ramify import current


def double(x: int) -> int:
    return 2 * x


def boom(text: str = "no \\x1b[31m such thing") -> None:
    raise ValueError(text)


def wait_for(path: str) -> str:
    """Return once there is such a file; say that we wait by making another."""
    import pathlib

    pathlib.Path(path + ".awaited").touch()
    while not pathlib.Path(path).exists():
        time.sleep(0.01)
    return "it is there"
'''


class Reply(Struct):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Command = Callable[..., Reply]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAMIFY_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "PYTHONUTF8": "1"} | more


def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
    """Start `ramify` in the working directory."""
    return subprocess.Popen(
        [sys.executable, "-m", "ramify.cli", *arguments],
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, **more: str) -> Reply:
    """Run `ramify` in the working directory, in a process of its own."""
    with start(*arguments, **more) as process:
        out, err = process.communicate(timeout=30)
    return Reply(process.returncode, out, err)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `chores.py`."""
    (tmp_path / "chores.py").write_text(CHORES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAMIFY_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def ask(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """Run `ramify` in this process: quicker, for commands that import nothing of the user."""

    def ask(*arguments: str) -> Reply:
        with pytest.raises(SystemExit) as ended:
            ramify.cli.main(arguments)
        out, err = capfdbinary.readouterr()
        return Reply(int(ended.value.code or 0), out.decode(), err.decode())

    return ask


@pytest.fixture
def app(place: Path) -> Iterator[Ramify]:
    """The store that the commands find in the working directory."""
    with Ramify("sqlite:///ramify.db?durability=fast", tasks=["tests.face.tasks"]) as app:
        yield app
