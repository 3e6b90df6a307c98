"""Adding: rows and edges, all or nothing."""
from tests.stores.kit import Desk, leaf, tree


def test_runs(desk: Desk) -> None:
    desk.add(tree("top", leaf("a"), leaf("b")))

    assert ["a", "b", "top"] == desk.work()
    assert {"a": "done", "b": "done", "top": "done"} == desk.states()
