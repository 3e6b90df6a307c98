"""The main example: it can be interrupted, goes on where it was, and reports what is there."""

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ramify import Ramify
from ramify.model import State, Which
from ramify.stores.read import each_row

ROOT = Path(__file__).parents[2]
REPORT = [sys.executable, str(ROOT / "examples/stdlib_report.py")]


def start(place: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(REPORT, cwd=place, env=environment, stdout=-1, stderr=-1, text=True)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_report_survives_an_interrupt_and_is_made_once(tmp_path: Path) -> None:
    """After Ctrl-C the same command runs the rest and nothing twice; a third time nothing is left to do."""
    url = f"sqlite:///{tmp_path}/stdlib-report.db"

    with start(tmp_path) as interrupted:
        wait_until_done(url, 200)
        interrupted.send_signal(signal.SIGINT)
        interrupted.communicate(timeout=60)
    with Ramify(url) as app:
        done = {row.id: row.attempt for row in each_row(app.store, Which(states=frozenset({State.DONE})))}
    with start(tmp_path) as resumed:
        said, _ = resumed.communicate(timeout=120)
    with start(tmp_path) as again:
        repeated, _ = again.communicate(timeout=30)

    assert (interrupted.returncode, resumed.returncode, again.returncode) == (130, 0, 0)
    with Ramify(url) as app:
        assert app.counts().keys() == {"done"}
        assert 200 <= len(done) < app.counts()["done"]
        assert {row.id: row.attempt for row in each_row(app.store, Which()) if row.id in done} == done
        files = app.counts("task")["stdlib_report:parse"]
    assert f"{files:,} files" in said
    assert (tmp_path / "stdlib-report.txt").read_text("utf-8") in said
    assert "complete already" in repeated
    picture = ET.parse(tmp_path / "stdlib-report.svg").getroot()
    assert len(picture.findall(".//{http://www.w3.org/2000/svg}circle")) > 50


def wait_until_done(url: str, n: int) -> None:
    end = time.monotonic() + 60
    path = Path(url.removeprefix("sqlite:///"))
    while time.monotonic() < end:
        if path.exists():
            with Ramify(url) as app:
                if app.counts().get("done", 0) >= n:
                    return
        time.sleep(0.05)
    raise AssertionError(f"not {n} jobs in a minute")
