"""Which test shows which line of the checklist, on which stores: `make coverage` runs them and writes `coverage.md`.

A test of a line is named after its id: `test_r4_10_…`, or `test_r5_65_66_and_69_…` and `test_r3_22_to_25_…` of several.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TABLE = HERE / "coverage.md"
STORES = ("memory", "sqlite", "postgres", "redis", "directory")
HEAD = """# Checklist, line by line

Written by `make coverage`; do not edit. The lines are those of [the checklist](documents/checklist.md). "any" is a test
that needs no store, or chooses its own.

| line | test | stores | result |
|---|---|---|---|
"""

Row = tuple[str, str, str, str]


def lines() -> list[str]:
    """Return the ids of the checklist."""
    return re.findall(r"^\| (R\d-\d\d) \|", (HERE / "documents" / "checklist.md").read_text(), re.MULTILINE)


def lines_of(name: str) -> list[str]:
    """Return the ids of the lines that a test is named after."""
    match = re.match(r"test_r(\d)((?:_(?:and|to|x?\d+)(?=_|$))+)", name)
    found: list[int] = []
    words = match[2].strip("_").split("_") if match else []
    for before, word in zip(["", *words], words, strict=False):
        if word.isdigit():
            found += range(found[-1] + 1 if before == "to" else int(word), int(word) + 1)
    return [f"R{match[1]}-{number:02}" for number in found] if match else []


def tests() -> Iterator[str]:
    """Yield `file::test` of every test that is named after a line, without importing it."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in re.findall(r"^(?:async )?def (test_r\d_\w+)", path.read_text(), re.MULTILINE):
            if lines_of(name):
                yield f"{path.relative_to(ROOT / 'tests')}::{name}"


class Watch:
    """Runs only tests of lines, and remembers how they went: by test, by store."""

    def __init__(self) -> None:
        self.went: dict[str, dict[str, set[str]]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if lines_of(getattr(item, "originalname", item.name))]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        test, _, parameters = report.nodeid.partition("[")
        words = re.split(r"[-:\]/]", f"{parameters}/{test}")  # a parameter, or the folder of a store's own tests
        store = next((store for store in STORES if store in words), "any")
        self.went.setdefault(test.removeprefix("tests/"), {}).setdefault(store, set()).add(report.outcome)


def rows(went: dict[str, dict[str, set[str]]]) -> Iterator[Row]:
    """Yield the rows of the table, at least one for each line."""
    for line in lines():
        own = [(test, how) for test, how in went.items() if line in lines_of(test.partition("::")[2])]
        for test, how in own:
            ran = [store for store, outcomes in how.items() if outcomes != {"skipped"}]
            failed = [store for store in ran if "failed" in how[store]]
            result = f"FAILED on {', '.join(failed)}" if failed else "pass" if ran else "not run here"
            yield line, test, ", ".join(sorted(ran, key=[*STORES, "any"].index)) or "–", result
        if not own:
            yield line, "–", "–", "no test yet"


def write(table: Iterable[Row]) -> str:
    """Return the table as text."""
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in table)


def read() -> list[Row]:
    """Return the rows of the table as it is stored."""
    found = re.findall(r"^\| (R\d-\d\d) \| (\S+) \| (.+?) \| (.+?) \|$", TABLE.read_text(), re.MULTILINE)
    return [(line, test, stores, result) for line, test, stores, result in found]


def main() -> int:
    """Run the tests of all lines and write the table; return pytest's status."""
    watch = Watch()
    status = pytest.main(["-q", "--no-header", str(ROOT / "tests")], plugins=[watch])
    TABLE.write_text(write(rows(watch.went)))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
