"""The peers, in a virtual environment of their own, each measured in a process of its own."""

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
PYTHON = ROOT / ".venv/bin/python"


def prepare() -> None:
    """Install what `requirements.txt` pins, once and whenever it has changed."""
    pinned, installed = ROOT / "requirements.txt", ROOT / ".venv/installed.txt"
    if installed.exists() and installed.read_text() == pinned.read_text():
        return
    if not PYTHON.exists():
        venv.create(ROOT / ".venv", with_pip=True)
    subprocess.run([PYTHON, "-m", "pip", "-q", "--disable-pip-version-check", "install", "-r", pinned], check=True)
    installed.write_text(pinned.read_text())


def huey(what: str, folder: Path, n: int, fsync: bool) -> Any:
    """Return what `huey_peer.py` measured in an empty folder: jobs a second, or seconds."""
    return run("huey_peer.py", what, folder, n, "fsync" if fsync else "no")


def run(script: str, *arguments: object) -> Any:
    """Return what a script of a peer prints as JSON."""
    command = [PYTHON, ROOT / script, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout)


def ours(module: str, *arguments: object) -> Any:
    """Return what a module of ours prints as JSON, run in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT.parent).stdout)
