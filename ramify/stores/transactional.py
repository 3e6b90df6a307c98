"""What a store can do besides whose jobs are in a database of the user's: take part in transactions there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ramify.errors import BadStore
from ramify.model import Batch, JobId, Outcome, Refusal, Row, SessionId
from ramify.stores.protocol import Store

Decide: TypeAlias = Callable[[Mapping[JobId, Row]], Outcome]


class Within(Protocol):
    """The store as seen from a transaction of the caller's. Nothing here commits."""

    def add(self, batch: Batch) -> dict[JobId, JobId]:
        """Store the batch, as `Store.add` does."""
        ...

    def end(self, session: SessionId, job: JobId, homes: Sequence[JobId], decide: Decide) -> Refusal | None:
        """Apply what `decide` makes of this job and of others that gain nodes, which nobody changes meanwhile.

        Return why it was refused, if it was; then nothing was changed, and the transaction should be rolled back.
        Raise `Lost` if the session is dead.
        """
        ...


@runtime_checkable
class Transactional(Protocol):
    """A store whose jobs are in a database of the user's. `url` is the address under which it can be opened again."""

    @property
    def url(self) -> str:
        """The address, with everything that it takes to get in."""
        ...

    def connect(self) -> Any:
        """Return a connection of the driver, as its users have it, which the caller closes."""
        ...

    def close(self) -> None:
        """Let go of connections and files, as `Store.close` does."""
        ...

    def within(self, connection: object) -> Within:
        """Return the store as seen from a transaction on a connection. Raise `BadStore` if its driver is not known."""
        ...


def within(store: Store, tx: object) -> Within:
    """Return the store as seen from a transaction of the caller's. Raise `BadStore` where there is no such thing."""
    if not isinstance(store, Transactional):
        raise BadStore("tx= needs jobs in PostgreSQL, in the database that the transaction is in")
    return store.within(tx)


def say_without(task: str) -> str:
    """Return the sentence about a task with `tx=True` whose jobs are elsewhere."""
    return (
        f"{task} has tx=True: its jobs end in a transaction of the database that they are in, which must be "
        "PostgreSQL; use a store there, or leave tx out"
    )
