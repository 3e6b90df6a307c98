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
    """Install what `requirements.txt` pins, once for each version of it."""
    wanted, there = ROOT / "requirements.txt", ROOT / ".venv/requirements.txt"
    if there.exists() and there.read_text() == wanted.read_text():
        return
    if not PYTHON.exists():
        venv.create(ROOT / ".venv", with_pip=True)
    subprocess.run([PYTHON, "-m", "pip", "-q", "--disable-pip-version-check", "install", "-r", wanted], check=True)
    there.write_text(wanted.read_text())


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
