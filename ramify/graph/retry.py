"""Whether a job that failed is tried again, and when. Pure: the random number is given."""

import math
from collections.abc import Collection
from typing import Final

from ramify.model import Failure, Policy, Retry

WORTH: Final = frozenset({"error", "timeout"})
"""Kinds of failures that another try may mend; arguments that do not fit once never will."""


def retries_of(policy: Policy) -> int:
    """Return how often a job that failed may be tried again."""
    return policy.retry.times if policy.retry else 0


def delay_before_retry(
    retry: Retry | None, tries: int, failure: Failure, names: Collection[str], luck: float
) -> float | None:
    """Return the seconds until the next try, None if there is none.

    `tries` counts the retries so far, `names` are those of the exception and its bases (with and without their
    module), `luck` is a random number from 0 to 1.
    """
    if retry is None or tries >= retry.times or failure.kind not in WORTH:
        return None
    if retry.on and not any(name in retry.on for name in names):
        return None
    delay = min(retry.longest, _pause(retry, tries))
    return max(0.0, delay * (1 + retry.jitter * (2 * luck - 1)))


def _pause(retry: Retry, tries: int) -> float:
    if isinstance(retry.backoff, tuple):
        return retry.backoff[min(tries, len(retry.backoff) - 1)]
    # In logarithms, because factor ** tries overflows long before `longest` is reached by counting.
    exponent = tries * math.log(retry.factor) if retry.factor > 0 else 0.0
    return retry.backoff * math.exp(min(exponent, 700.0))
