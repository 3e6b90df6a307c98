"""A store that is elsewhere: while it takes what there is to tell, the children are served."""

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ramify.stores.memory import Memory
from tests.worker.conftest import Place, call, group


class Elsewhere(Memory):
    """A store that answers to some exchanges only when another job has run meanwhile."""

    elsewhere = True

    def __init__(self, ledger: Path) -> None:
        super().__init__()
        self.ledger, self.seen = ledger, 0

    def exchange(self, *arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() and self.seen < 3:
            before, end = self._run(), time.monotonic() + 5.0
            while self._run() == before and time.monotonic() < end:
                time.sleep(0.001)
            self.seen += self._run() > before
        return super().exchange(*arguments)

    def _run(self) -> int:
        return self.ledger.stat().st_size


@pytest.mark.posix
def test_children_work_while_the_store_takes_its_time(tmp_path: Path) -> None:
    """Claimed jobs are handed out, and run, while an exchange goes on."""
    ledger = tmp_path / "ledger"
    ledger.touch()
    with closing(Elsewhere(ledger)) as store:
        place = Place(store, "memory:")

        root = place.run(group(*[call("note", str(ledger)) for _ in range(3000)]), children=2)

        assert (store.seen, ledger.stat().st_size, place.row(root).state) == (3, 3000, "done")
