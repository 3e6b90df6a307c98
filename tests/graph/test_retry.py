"""Whether a job is tried again, and when."""

import pytest

from ramify.graph.retry import delay_before_retry
from ramify.model import Failure, Retry

ERROR = Failure("error", "no luck")


def delays(retry: Retry, luck: float = 0.5) -> list[float | None]:
    """Return the delay before each retry until there is none."""
    found: list[float | None] = []
    while None not in found:
        found.append(delay_before_retry(retry, len(found), ERROR, (), luck))
    return found


def test_none_without_a_policy() -> None:
    """A job without policy is not tried again."""
    assert delay_before_retry(None, 0, ERROR, (), 0.5) is None


def test_delays_grow_up_to_the_longest() -> None:
    """Each delay is a multiple of the one before, and at most `longest`; after `times` retries there is none."""
    assert [d and round(d, 6) for d in delays(Retry(4, factor=3, longest=20, jitter=0))] == [1, 3, 9, 20, None]


def test_delays_one_by_one() -> None:
    """Pauses may be listed; the last one holds for all that follow, and `longest` for all."""
    assert delays(Retry(4, backoff=(5, 1, 40), longest=20, jitter=0)) == [5, 1, 20, 20, None]


@pytest.mark.parametrize(("luck", "delay"), [(0.0, 8.0), (0.5, 10.0), (1.0, 12.0)])
def test_jitter_is_a_share_both_ways(luck: float, delay: float) -> None:
    """Luck moves the delay by at most the share that is given as jitter."""
    assert delay == delays(Retry(1, backoff=10, jitter=0.2), luck)[0]


@pytest.mark.parametrize("kind", ["arguments", "result", "crashed", "limit", "cause"])
def test_hopeless_kinds(kind: str) -> None:
    """What another try cannot mend is not tried again."""
    assert delay_before_retry(Retry(9), 0, Failure(kind, ""), (), 0.5) is None


def test_time_limit_is_worth_a_try() -> None:
    """A run that took too long may be tried again."""
    assert delay_before_retry(Retry(9), 0, Failure("timeout", ""), (), 0.5) is not None


def test_only_named_exceptions() -> None:
    """With names, an exception must have one of them among its classes."""
    retry = Retry(9, on=("OSError",))

    assert delay_before_retry(retry, 0, ERROR, ["ConnectionError", "OSError"], 0.5) is not None
    assert delay_before_retry(retry, 0, ERROR, ["ValueError"], 0.5) is None


def test_thousands_of_tries() -> None:
    """However many tries there were, the delay is a number."""
    assert delay_before_retry(Retry(10**6, longest=60, jitter=0), 10**5, ERROR, (), 0.5) == 60
