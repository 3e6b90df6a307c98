"""Which ready jobs may start, and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from ramify.graph.fit import Candidate, Room, choose, in_force, open_lanes, scopes, unexpired
from ramify.model import Lane, Rule, Want

A, B = Lane("a", "m:x"), Lane("b", "m:y", "slot")


def candidate(number: int, lane: Lane, priority: int = 0, tree: int = 0) -> Candidate:
    """Return a ready job."""
    return (-priority, str(tree), str(number), lane)


def test_scopes() -> None:
    """A running job counts against the limit on all, on its queue, its task, and its slot if it has one."""
    assert scopes(A) == ("all", "queue:a", "task:m:x")
    assert scopes(B) == ("all", "queue:b", "task:m:y", "slot:slot")


def test_no_limits() -> None:
    """Without limits there is room for whatever is asked for."""
    assert Room({}, {A: 1000}).left(A, 7) == 7


def test_what_runs_takes_room() -> None:
    """What runs counts against every limit it comes under; a limit that was lowered below it leaves none."""
    room = Room({"all": Rule(5), "queue:a": Rule(2), "task:m:y": Rule(0)}, {A: 1, B: 1})

    assert (room.left(A, 9), room.left(B, 9)) == (1, 0)
    assert [room.take(A), room.take(A)] == [True, False]


def test_taking_counts_against_every_limit() -> None:
    """Starting a job of one lane takes room from others under the same limit."""
    room = Room({"all": Rule(1)}, {})

    assert [room.take(A), room.take(B)] == [True, False]


def test_open_lanes() -> None:
    """A worker looks into lanes of its queues, in its order, of tasks it knows, with units and room left."""
    lanes = [Lane("c"), B, A, Lane("a", "m:z"), Lane("other")]
    room = Room({"queue:c": Rule(0)}, {})

    assert [B, A, Lane("a", "m:z")] == open_lanes(lanes, Want(9, ("c", "b", "a")), room)
    assert open_lanes(lanes, Want(9, ("a",), frozenset({"m:x"})), room) == [A]
    assert [Lane("a", "m:z")] == open_lanes(lanes, Want(9, ("a",), None, frozenset({A})), room)


def test_order_of_claims() -> None:
    """Queues as the worker lists them, then priority, then older trees, then older jobs."""
    last, first = candidate(1, A), candidate(9, B)
    high, old = candidate(7, B, priority=1), candidate(8, B, tree=-1)

    assert choose([last, first, high, old], Want(9, ("b", "a")), Room({}, {})) == ["7", "8", "9", "1"]


def test_at_most_as_many_as_wanted() -> None:
    """No more are chosen than the worker asks for."""
    assert choose([candidate(n, A) for n in range(5)], Want(2, ("a",)), Room({}, {})) == ["0", "1"]


def test_a_full_lane_does_not_hold_up_another() -> None:
    """Jobs of a lane without room are passed over."""
    candidates = [candidate(0, A), candidate(1, A), candidate(2, B)]

    assert choose(candidates, Want(9, ("a", "b")), Room({"queue:a": Rule(1)}, {})) == ["0", "2"]


LANES = st.builds(Lane, st.sampled_from("ab"), st.sampled_from(["m:x", "m:y"]), st.sampled_from([None, "s"]))
LIMITS = st.dictionaries(
    st.sampled_from(["all", "queue:a", "task:m:x", "slot:s"]), st.builds(Rule, st.integers(0, 4)), max_size=3
)


@given(
    LIMITS, st.dictionaries(LANES, st.integers(1, 3)), st.lists(st.tuples(LANES, st.integers(-1, 1))), st.integers(0, 9)
)
def test_limits_hold_and_nothing_is_left_idle(
    limits: dict[str, Rule], running: dict[Lane, int], ready: list[tuple[Lane, int]], n: int
) -> None:
    """No limit is overrun by what is chosen; what is passed over had no room; each lane is taken in order."""
    candidates = [candidate(number, lane, priority, number % 3) for number, (lane, priority) in enumerate(ready)]
    want = Want(n, ("b", "a"))

    chosen = choose(candidates, want, Room(limits, running))

    lanes = {id: lane for _, _, id, lane in candidates}
    runs = [lane for lane, number in running.items() for _ in range(number)] + [lanes[id] for id in chosen]
    for name, rule in limits.items():
        before = sum(name in scopes(lane) for lane in running for _ in range(running[lane]))
        assert sum(name in scopes(lane) for lane in runs) <= max(rule.n, before)
    full = {name for name, rule in limits.items() if sum(name in scopes(lane) for lane in runs) >= rule.n}
    for _, _, id, lane in candidates:
        assert id in chosen or len(chosen) == n or full & set(scopes(lane))
    for lane in {lane for _, _, _, lane in candidates}:
        taken = [id in chosen for *_, id, own in sorted(candidates, key=lambda c: c[:3]) if own == lane]
        assert taken == sorted(taken, reverse=True)


def test_a_limit_whose_time_is_over_does_not_count() -> None:
    """A rule may end by itself: at its time it is gone."""
    limits = {"all": Rule(1), "suspended:all": Rule(0, 100.0)}

    assert {"all": 0} == in_force(unexpired(limits, 99.9))
    assert {"all": 1} == in_force(unexpired(limits, 100.0))
