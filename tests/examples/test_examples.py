"""Every example prints what its docstring says."""

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SHORT = sorted(path for path in EXAMPLES.glob("*.py") if not path.name.startswith("stdlib_"))


# The producer waits for a worker: test_producer.py starts both. The bank needs a server: test_bank.py.
ALONE = [path for path in SHORT if path.stem not in ("producer", "bank")]


@pytest.mark.parametrize("example", ALONE, ids=lambda path: path.stem)
def test_an_example_prints_what_it_promises(example: Path, tmp_path: Path) -> None:
    """An example run by itself prints the block under "Prints:" and nothing else."""
    promise = ast.get_docstring(ast.parse(example.read_text("utf-8"))) or ""
    expected = textwrap.dedent(promise.partition("Prints:\n")[2]).strip()

    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, example],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert ran.stderr == ""
    assert expected == ran.stdout.strip()
    assert expected


def test_an_example_fits_a_screen_or_two() -> None:
    """A short example has fewer than 60 lines."""
    assert [path.name for path in SHORT if len(path.read_text("utf-8").splitlines()) >= 60] == []
