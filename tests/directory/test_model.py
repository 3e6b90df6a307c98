"""The journal's protocol: no order of steps, kills, power cuts and lost answers breaks what it promises."""

import pytest

from tests.directory.model import Left, Model, explore

ALL = Left(kills=1, cuts=1, burials=1, lies=1, checkpoints=2, adds=1, opens=1, grows=1, cancels=1)
STORM = [pytest.mark.storm, pytest.mark.timeout(3600)]
NOTHING = Left(*[0] * len(ALL))


@pytest.mark.slow
@pytest.mark.parametrize("most", [40_000, pytest.param(2_500_000, marks=STORM)], ids=["quick", "full"])
def test_no_state_breaks_a_promise(most: int) -> None:
    """In none of the nearest states is anything lost, run twice, decided twice, or held differently by two."""
    states, violated = explore(Model(6), ALL, most)

    assert (violated, states >= most) == ("", True)
    print(f"{states:,} states")


@pytest.mark.slow
@pytest.mark.parametrize("records", [2, pytest.param(3, marks=STORM)], ids=["quick", "full"])
def test_each_small_world_is_explored_to_its_end(records: int) -> None:
    """With one kind of trouble at a time and few records all states there are were looked at."""
    for trouble in ("kills", "cuts", "burials", "lies", "opens", "grows", "cancels"):
        states, violated = explore(Model(records), NOTHING._replace(**{trouble: 1}), 1_000_000)

        assert (trouble, violated, states < 1_000_000) == (trouble, "", True)
        print(f"{trouble}: {states:,} states")


BROKEN = {
    "rename": ("two who read the same records", NOTHING._replace(adds=1)),
    "chain": ("", NOTHING._replace(cuts=1, adds=1)),
    "soft": ("what a caller was told of is lost", NOTHING._replace(cuts=1)),
    "names": ("what a caller was told of is lost", NOTHING._replace(cuts=1, adds=1)),
    "freed": ("two who read the same records", NOTHING._replace(checkpoints=2, adds=1)),
    "trusting": ("something was added twice", NOTHING._replace(lies=1, adds=1)),
    "guessing": (
        "something was added twice",
        NOTHING._replace(lies=1, adds=1, checkpoints=2),
    ),
    "request": ("a document became two jobs", NOTHING),
    "fence": ("that was not running", NOTHING._replace(burials=1)),
    "stale": ("two who read the same records", NOTHING),
}
"""What each slip leads to, and the trouble in which it shows: a link that takes the place of another; records that
count whomever they follow; not waiting for what a step builds on, or for its name; names that are free again; a link
that is believed to have failed, or so only if it was pruned before one could look; a document without its request; an
end that counts for whoever reports it; a step that takes the next free number without reading.
"""


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN)
def test_each_slip_is_found(broken: str) -> None:
    """A protocol that leaves something out breaks a promise."""
    words, left = BROKEN[broken]

    states, violated = explore(Model(5, broken), left, 400_000)

    assert violated, f"{states:,} states without a violation"
    assert words in violated
    print(f"{broken}: after {states:,} states")
