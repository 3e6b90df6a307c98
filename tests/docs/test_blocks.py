"""Every code block of the documentation runs.

A Python block that begins with `# name.py` is written to that file, any other is run. In a console block each line
after `$` is run by a shell and its output compared; `…` stands for anything. A block of `make` targets is looked up. A
page with blocks of SQL has a PostgreSQL database of its own, at $DATABASE_URL.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.postgres.server import default_version, server

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text("utf-8"))


def run(command: list[str] | str, folder: Path) -> str:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "100",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        shell=isinstance(command, str),
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_python(text: str, folder: Path) -> None:
    named = re.match(r"# (\w+\.py)\n", text)
    path = folder / (named[1] if named else "block.py")
    path.write_text(text, "utf-8")
    if not named:
        run([sys.executable, str(path)], folder)


def run_console(text: str, folder: Path) -> None:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        pattern = ".*".join(map(re.escape, expected.rstrip().split("…")))

        output = run(command, folder)

        assert re.fullmatch(pattern, output.rstrip(), re.DOTALL), f"$ {command}\n{output}"


def look_up_targets(text: str) -> None:
    targets = re.findall(r"^make (\w+)", text, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text("utf-8")

    missing = [target for target in targets if f"\n{target}:" not in makefile]

    assert missing == []


@pytest.mark.timeout(240)  # a page may run thirty commands, one after the other
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who types a page from top to bottom sees what it says."""
    has_sql = any(language == "sql" for language, _ in blocks(page))
    if has_sql:
        if default_version() is None:
            pytest.skip("no PostgreSQL here")
        monkeypatch.setenv("DATABASE_URL", server().url())
    for language, text in blocks(page):
        if language == "sql":
            with psycopg.connect(server().url(), autocommit=True) as connection:
                connection.execute(text)  # type: ignore[call-overload]
        elif language == "python":
            run_python(text, tmp_path)
        elif language == "console":
            run_console(text, tmp_path)
        elif language == "sh":
            look_up_targets(text)


def test_the_table_of_ends_is_that_of_the_code() -> None:
    """The README's table of how jobs end is generated from the code that decides it."""
    from ramify.graph.ends import TABLE

    lines = "\n".join(f"| {words} | `{end}` |" for words, _, _, end in TABLE)

    assert lines in (ROOT / "README.md").read_text("utf-8")
