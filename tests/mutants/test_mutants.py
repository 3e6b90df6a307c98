"""The list of mutants keeps up with the code that it breaks."""

import pytest

from tests.mutants.__main__ import ROOT, Mutant, read_mutants


@pytest.mark.parametrize("mutant", read_mutants(), ids=lambda mutant: mutant.name)
def test_each_mutant_still_breaks_something(mutant: Mutant) -> None:
    """What it replaces stands in its file exactly once, and its tests are there."""
    assert (ROOT / mutant.file).read_text("utf-8").count(mutant.old) == 1
    assert all((ROOT / test).exists() for test in mutant.tests)


def test_there_are_enough() -> None:
    """At least twenty rules are broken, each in a way of its own."""
    mutants = read_mutants()

    assert len({mutant.name for mutant in mutants}) == len(mutants) >= 20
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in mutants}) == len(mutants)
