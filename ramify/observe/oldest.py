"""How long the job that waits longest has waited."""

import time
from collections.abc import Iterable

from ramify.ids import made_at
from ramify.model import Page, State, Which
from ramify.stores.protocol import Store


def ages_of_oldest(store: Store, queue: str) -> Iterable[float]:
    """Yield how many seconds ago the oldest job of a queue that is ready was stored, if there is one."""
    which = Which(states=frozenset({State.READY}), queues=frozenset({queue}))
    for row in store.jobs(which, Page(size=1)):
        yield max(0.0, time.time() - made_at(row.id))
