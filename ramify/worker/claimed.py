"""One job that a program took into its own process, and the session that keeps it there."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from ramify.errors import BadNode, Lost
from ramify.model import Claim, JobId
from ramify.stores.protocol import Store
from ramify.tasks import Tasks
from ramify.worker.inline import Inline


class Claimed:
    """A claimed job with a session of its own, so that several may be held at once."""

    def __init__(self, inline: Inline, claim: Claim) -> None:
        self._inline, self._claim = inline, claim
        self.over = False

    @classmethod
    def take(cls, store: Store, tasks: Tasks, queues: Sequence[str], units: int | None = None) -> Self | None:
        """Claim the next job; None if there is none. `units` are this host's."""
        inline = Inline(store, tasks, queues, units)
        inline.__enter__()
        claim = None
        try:
            claim = inline.claim()
        finally:
            if claim is None:
                inline.__exit__(None, None, None)
        return None if claim is None else cls(inline, claim)

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self._claim.row.id

    def execute(self) -> None:
        """Run the job and report how it went. Raise `BadNode` if that was done, or it was given back."""
        if self.over:
            raise BadNode(f"job {self.id} is not held here any more; it was executed or given back")
        self.over = True
        try:
            self._inline.execute(self._claim)
        finally:
            self._inline.__exit__(None, None, None)

    def give_back(self) -> None:
        """Let others have the job, if it was not executed."""
        if not self.over:
            self.over = True
            with suppress(Lost):  # then others have it already
                try:
                    self._inline.give_back(self._claim)
                finally:
                    self._inline.__exit__(None, None, None)
