"""`coverage.md` says what is true: every line of the checklist, every test of a line, and how each went."""

from pathlib import Path

import pytest

from tests.compat import coverage


def test_every_line_of_the_checklist_is_there() -> None:
    """In the order of the checklist, and none that it does not have."""
    assert coverage.lines() == list(dict.fromkeys(line for line, *_ in coverage.read()))


def test_every_test_of_a_line_is_there() -> None:
    """If this fails, a test was added, renamed or removed: `make coverage` writes the table anew."""
    listed = {test for _, test, *_ in coverage.read() if test != "–"}

    assert set(coverage.tests()) == listed


def test_every_line_has_a_test_that_passes() -> None:
    """On one store at least; which, the table says."""
    passed = {line for line, _, _, result in coverage.read() if result == "pass"}

    assert [row for row in coverage.read() if row[3].startswith("FAILED")] == []
    assert set(coverage.lines()) == passed


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("test_r1_02_x", ["R1-02"]),
        ("test_r5_65_66_and_69_x", ["R5-65", "R5-66", "R5-69"]),
        ("test_r3_22_to_25_x", ["R3-22", "R3-23", "R3-24", "R3-25"]),
        ("test_r4_x1_the_other", []),
        ("test_r5_28_and_x5_one", ["R5-28"]),
        ("test_read_10", []),
    ],
)
def test_lines_are_read_from_names(name: str, lines: list[str]) -> None:
    assert coverage.lines_of(name) == lines


def test_the_documents_are_copies() -> None:
    """They are data of tests, and are not edited here."""
    names = {path.name for path in (Path(__file__).parent / "documents").iterdir()}

    assert len(names) == 6
