"""The producer and the consumer of the examples, each in its own process as a reader would start them."""

import ast
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ("producer", "consumer")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with both."""
    for name in MODULES:
        shutil.copy(ROOT / "examples" / f"{name}.py", tmp_path)
    return tmp_path


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAMIFY_")}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=place,
        env=kept | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_producer_gets_what_the_consumer_computes(place: Path) -> None:
    """Started in either order, the producer ends with all results, and the worker has said what it was to say."""
    promise = ast.get_docstring(ast.parse((place / "producer.py").read_text("utf-8"))) or ""

    with start(place, "producer.py") as producer, start(place, "-m", "ramify.cli", "worker", "consumer") as worker:
        try:
            out, err = producer.communicate(timeout=50)
        finally:
            producer.kill()
            worker.terminate()
        said, _ = worker.communicate(timeout=30)

    assert (producer.returncode, err) == (0, "")
    assert out.strip() == textwrap.dedent(promise.partition("Prints:\n")[2]).strip()
    assert sorted(said.splitlines()) == ["4 words", "6 words"]
