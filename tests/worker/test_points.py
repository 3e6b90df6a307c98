"""T2: at each named point between a worker, its store and its children, something happens to the worker.

It is killed, its store breaks (before the point nothing was done, after it the reply is lost), it is told to stop, or
it is frozen for two leases. `make storm` does all of it on every store: STORM_POINTS=1.
"""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from ramify.graph.check import find_violations
from ramify.model import ENDED, Policy, Retry, State, Which
from tests.worker.conftest import Place, call, group
from tests.worker.points import CASES, CHILD, run
from tests.worker.test_worker import shared

__all__ = ["shared"]
ONCE_MORE = ("kill", "freeze")
STRIDE = 1 if os.environ.get("STORM_POINTS") else 17
FIRST = {"sqlite": 0, "dir": 5, "unix": 9, "postgresql": 13}
"""So that the few cases of `make test` are others on each store."""


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("point", "action"), CASES, ids=[", ".join(case) for case in CASES])
def test_t2_whatever_happens_at_a_point(shared: Place, tmp_path: Path, point: str, action: str) -> None:
    """Every job ends as it should, none early, none twice in one try, and a second time only for a reason."""
    if (CASES.index((point, action)) - FIRST[shared.url.partition(":")[0]]) % STRIDE:
        pytest.skip("one of many, all of which `make storm` does")
    ledger, mark = tmp_path / "ledger", tmp_path / "mark"
    one = call("enter_ledger", str(ledger), "one")
    retried = call("enter_ledger", str(ledger), "fails once", policy=Policy(retry=Retry(1, 0.01)))
    grows = call("enter_ledger", str(ledger), "grows")
    root = shared.add(group(one, call("enter_ledger", str(ledger), "two", one), retried, grows))
    if point.endswith("adopt"):
        subprocess.run(run([shared.url]), check=True, timeout=60)

    with (tmp_path / "log").open("wb") as log:
        subprocess.run(run([shared.url, str(mark), point, action]), stdout=log, stderr=log, timeout=60, check=False)
        assert mark.exists(), (tmp_path / "log").read_text()
        while shared.row(root).state not in ENDED:
            subprocess.run(run([shared.url, str(mark), "", action]), stdout=log, stderr=log, timeout=60, check=False)

    lines = [line.rpartition(" ")[0] for line in ledger.read_text().splitlines()]
    runs = Counter(lines)
    assert ["one", "two", "fails once", "grows"] == shared.value(root)
    assert {"one": 1, "two": 1, "fails once": 2, "grows": 1, "grown": 1}.keys() == runs.keys()
    assert len(set(ledger.read_text().splitlines())) == len(lines), "one attempt ran twice"
    assert lines.index("two") > lines.index("one")
    assert find_violations(shared.store.snapshot()) == []
    rows = shared.store.jobs(Which())
    assert {State.DONE} == {row.state for row in rows}
    extra = sum(runs.values()) - 6
    charges = [row.crashes + row.losses for row in rows]
    assert extra <= sum(charges)
    assert max(charges) <= (action in ONCE_MORE) + point.endswith("adopt"), (tmp_path / "log").read_text()
    assert sum(row.crashes for row in rows) <= (point in CHILD)
