"""Which child gets which job."""

from time import monotonic

from ramify.model import Claim, Lane, Payload, Row
from ramify.worker.deal import deal
from ramify.worker.hand import Flight


def test_a_suspect_waits_while_all_children_are_dead() -> None:
    """A job that must run alone is kept until there is a child for it, as when a host lost all of them at once."""
    claim = Claim(Row("job", "job", lane=Lane(task="jobs:crash"), crashes=2), Payload(b"[]"))
    flight = Flight(claim, False, True, 0.1, monotonic())

    assert deal([flight], [], monotonic()) == [flight]
