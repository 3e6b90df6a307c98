"""The store's time: what is decided by a time is decided by the same one on all hosts."""

from collections.abc import Callable

from ramify.model import Info
from ramify.stores.protocol import Store
from ramify.system import clock


class StoreTime:
    """What the store's clock said when it was last asked, counted on by a clock of ours that nobody can set."""

    def __init__(self, store: Store, count: Callable[[], float] = clock) -> None:
        self._store, self._count = store, count
        self._then = self._heard = 0.0

    def read(self) -> Info:
        """Ask the store what it says of itself, and its time."""
        info = self._store.info()
        self._then, self._heard = info.now, self._count()
        return info

    def now(self) -> float:
        """Return the store's time, in seconds since 1970; `read` comes first."""
        return self._then + self.age()

    def age(self) -> float:
        """Return how many seconds ago the store was asked."""
        return self._count() - self._heard
