"""`ramify doctor` on each store: what belongs to nobody or cannot be read is named, and left as it is.

Rows that are not as they should be are the matter of test_doctor.py.
"""

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from ramify import Ramify, group, job, series
from ramify.cli.doctor import examine, put_right
from ramify.model import TICK, Payload, Result, Row, Rule, Session, State, Value, Want, Which
from ramify.stores.directory import Directory
from ramify.stores.memory import Memory
from ramify.stores.postgres import Postgres
from ramify.stores.redis import Redis
from ramify.stores.redis.insert import digest
from ramify.stores.redis.records import edge_key, encode, encode_edge, encode_record
from ramify.stores.sqlite import Sqlite
from tests.urls import URLS

NOBODY: Final = "01m7zaj7hcft89b4tw2e8fwb72"
TICKS: Final = f"{TICK}chores:double/60"
DAMAGES: Final = int(os.environ.get("STORM_DAMAGE", "0"))

SAID: Final = {
    "lost arguments": "its arguments are gone",
    "broken arguments": "its arguments are not JSON",
    "broken policy": "cannot be read|not JSON",
    "broken failure": "cannot be read",
    "arguments of nobody": "its arguments are stored, but it is not",
    "result of nobody": "its result is stored, but it is not",
    "mark of nobody": "but is not stored|where it does not belong",
    "request of nobody": "but is not stored",
    "tick of two": "has 2 jobs",
    "no such state": "what no job can be|cannot be read",
    "no such verdict": "what no edge can|cannot be read",
    "no such lane": "its lane 999 is not stored",
    "no such work": "which nobody can",
    "broken slots": "cannot be read",
    "broken session": "session cut: what is stored of it cannot be read",
    "lost job": "which is not stored|but it is not",
    "lost edge": "no edge leads into its parent|but it waits for",
    "edge from nobody": "which is not stored|index out",
    "edge from itself": "waits for itself|index out",
    "unique twice": "bears the same unique mark",
    "early result": "is ready, but has a value",
    "broken result": "its value is not JSON",
}
"""What is said of each kind of damage."""

SQL: Final = {
    "lost arguments": "DELETE FROM payload WHERE job = '{job}'",
    "broken arguments": "UPDATE payload SET args = {brace} WHERE job = '{job}'",
    "broken policy": "UPDATE payload SET policy = '{{' WHERE job = '{job}'",
    "broken failure": "INSERT INTO result (job, failure) VALUES ('{job}', '{{')",
    "arguments of nobody": "INSERT INTO payload (job, args, takes) SELECT '{nobody}', args, takes FROM payload LIMIT 1",
    "result of nobody": "INSERT INTO result (job) VALUES ('{nobody}')",
    "mark of nobody": "INSERT INTO mark (mark, job) VALUES ('red', '{nobody}')",
    "request of nobody": "INSERT INTO request (request, job) VALUES ('red', '{nobody}')",
    "tick of two": "INSERT INTO mark (mark, job) VALUES ('{tick}', '{job}'), ('{tick}', '{other}')",
    "no such state": "UPDATE job SET state = 'lost' WHERE id = '{job}'",
    "no such verdict": "UPDATE edge SET verdict = 'maybe' WHERE after = '{after}'",
    "no such lane": "UPDATE job SET lane = 999 WHERE id = '{job}'",
    "no such work": "INSERT INTO work (job, verb, cursor) VALUES ('{job}', 'praise', '')",
    "no work": "DELETE FROM work",
    "no session": "DELETE FROM session WHERE id = 'cut'",
    "broken slots": "UPDATE edge SET slots = '{{' WHERE after = '{after}'",
    "broken session": "INSERT INTO session (id, about, {lease}) VALUES ('cut', '{{', {no_lease})",
    "lost job": "DELETE FROM job WHERE id = '{job}'",
    "lost edge": "DELETE FROM edge WHERE before = '{job}' AND place >= 0",
    "edge from nobody": "UPDATE edge SET before = '{nobody}' WHERE before = '{job}'",
    "edge from itself": "UPDATE edge SET before = after WHERE before = '{job}' AND place >= 0",
    "unique twice": "INSERT INTO mark (mark, job) VALUES ('unique/1', '{job}'), ('unique/1', '{other}')",
    "early result": "INSERT INTO result (job, value) VALUES ('{job}', {null})",
    "broken result": "INSERT INTO result (job, value) VALUES ('{job}', {brace})",
}

UNDO: Final = {"no such work": "no work", "broken session": "no session"}
"""What not even `reset` survives."""

SQLITE: Final = {"brace": "x'7b'", "null": "x'6e756c6c'", "lease": "lease, boot", "no_lease": "0, ''"}
POSTGRES: Final = {"brace": "'\\x7b'", "null": "'\\x6e756c6c'", "lease": "lease", "no_lease": "0"}
"""What the statements call the same."""

MEMORY: Final = SAID.keys() - {
    *("broken arguments", "broken policy", "broken failure", "broken slots", "broken session"),
    *("no such state", "no such verdict", "no such lane", "no such work"),
}
"""What can be damaged where all is kept as objects."""


def hurt_memory(store: Memory, kind: str, names: dict[str, str]) -> None:
    """Do damage to dictionaries."""
    tables, one, two = store._tables, names["job"], names["other"]
    child = next(key for key in tables.out[one] if key[1] >= 0)
    acts: dict[str, Callable[[], object]] = {
        "lost arguments": lambda: tables.payloads.pop(one),
        "arguments of nobody": lambda: tables.payloads.update({NOBODY: Payload()}),
        "result of nobody": lambda: tables.results.update({NOBODY: Result(NOBODY)}),
        "mark of nobody": lambda: tables.marks.update({"red": {NOBODY}}),
        "request of nobody": lambda: tables.requests.update({"red": NOBODY}),
        "tick of two": lambda: tables.marks.update({TICKS: {one, two}}),
        "unique twice": lambda: tables.marks.update({"unique/1": {one, two}}),
        "early result": lambda: tables.keep_value(one, Value(b"null")),
        "broken result": lambda: tables.keep_value(one, Value(b"{")),
        "lost job": lambda: tables.by_id.pop(one),
        "lost edge": lambda: tables.edges_by_place.pop(child),
        "edge from nobody": lambda: setattr(tables.edges_by_place[child], "before", NOBODY),
        "edge from itself": lambda: setattr(tables.edges_by_place[child], "before", child[0]),
    }
    acts[kind]()


def hurt_redis(store: Redis, kind: str, names: dict[str, str]) -> None:
    """Do damage to keys."""
    one, two, after = names["job"], names["other"], names["after"]
    tick = digest(TICKS)
    [row] = store.jobs(Which(ids=(one,)))
    [edge] = store.edges([after])[:1]
    key = edge_key(after, edge.place)
    [[stored]] = store._ask([["HMGET", "edge", key]])
    [child] = [edge for edge in store.edges([one], out=True) if edge.place >= 0]
    parent = edge_key(child.after, child.place)
    record = encode_record(row, store._lanes.number(row.lane), 0, 0)
    commands: dict[str, list[list[Any]]] = {
        "lost arguments": [["HDEL", "payload", one]],
        "broken arguments": [["HSET", "payload", one, encode([b"{"])]],
        "broken policy": [["HSET", "payload", one, encode([b"[[],{}]", "none"])]],
        "broken failure": [["HSET", "result", one, encode([None, False, "none"])]],
        "arguments of nobody": [["HSET", "payload", NOBODY, encode([b"[[],{}]"])]],
        "result of nobody": [["HSET", "result", NOBODY, encode([])]],
        "mark of nobody": [["ZADD", "mark", 0, f"{digest('red')} {NOBODY}"]],
        "request of nobody": [["HSET", "request", digest("red"), NOBODY]],
        "tick of two": [["ZADD", "mark", 0, f"{tick} {id}"] for id in (one, two)]
        + [["ZADD", "name", 0, f"{id} m{tick}"] for id in (one, two)],
        "no such state": [["HSET", "job", one, b"\xff" + record[1:]]],
        "no such verdict": [["HSET", "edge", key, b"?" + stored[1:]]],
        "no such lane": [["HSET", "job", one, encode_record(row, 999, 0, 0)]],
        "no such work": [["ZADD", "order", 1, f"{one} praise"]],
        "no work": [["DEL", "order"]],
        "no session": [["HDEL", "session", "cut"]],
        "broken session": [["HSET", "session", "cut", "{"]],
        "lost job": [["HDEL", "job", one]],
        "lost edge": [["HDEL", "edge", parent]],
        "edge from nobody": [["HSET", "edge", parent, encode_edge(replace(child, before=NOBODY))]],
        "edge from itself": [["HSET", "edge", parent, encode_edge(replace(child, before=child.after))]],
        "unique twice": [["ZADD", "mark", 0, f"{digest('unique/1')} {id}"] for id in (one, two)]
        + [["ZADD", "name", 0, f"{id} m{digest('unique/1')}"] for id in (one, two)],
        "early result": [["HSET", "result", one, encode([b"null"])]],
        "broken result": [["HSET", "result", one, encode([b"{"])]],
        "broken slots": [["HSET", "edge", key, stored.partition(b" ")[0] + b" {"]],
    }
    store._ask(commands[kind])


def hurt(app: Ramify, kind: str, names: dict[str, str]) -> None:
    """Do damage behind the store's back."""
    store = app.store
    if isinstance(store, Memory):
        hurt_memory(store, kind, names)
    elif isinstance(store, Redis):
        hurt_redis(store, kind, names)
    elif isinstance(store, Postgres):
        with store._server.connection() as connection:
            connection.execute(f"SET search_path = {store.schema}")
            connection.execute(SQL[kind].format(**POSTGRES, **names))
            connection.execute("RESET search_path")
    elif isinstance(store, Directory):
        store._replica.connection.execute(SQL[kind].format(**SQLITE, **names))
    else:
        assert isinstance(store, Sqlite)
        with store._file.reading() as connection:
            connection.execute(SQL[kind].format(**SQLITE, **names))


def fill(app: Ramify, rng: random.Random) -> dict[str, str]:
    """Store jobs, and return some of them, by what they are in the statements."""
    for n in range(3):
        first = [job("chores:double", n), job("chores:double", 2)]
        app.enqueue(series(group(*first), job("chores:double", first[0])))
    waiting = [row for row in app.store.snapshot().rows if row.state is State.WAITING]
    fed = {edge.after for row in waiting for edge in app.store.edges([row.id]) if edge.slots}
    ready = [row.id for row in app.store.snapshot().rows if row.state is State.READY]
    one, two = rng.sample(ready, 2)
    return {"job": one, "other": two, "after": rng.choice(sorted(fed)), "nobody": NOBODY, "tick": TICKS}


@pytest.fixture(autouse=True)
def tasks(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module of tasks can be imported here."""
    monkeypatch.syspath_prepend(str(place))
    yield
    sys.modules.pop("chores", None)


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * DAMAGES)
@pytest.mark.parametrize("kind", URLS)
def test_what_belongs_to_nobody_or_cannot_be_read_is_found_on_each_store(tmp_path: Path, kind: str) -> None:
    """It is named, every other look goes on or is not begun, and a repair guesses nothing."""
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"STORM_SEED={seed}")
    rng = random.Random(seed)
    kinds = [each for each in SAID if kind != "memory" or each in MEMORY]
    found = 0
    with Ramify(URLS[kind](tmp_path), tasks=["chores"]) as app:
        for turn in range(max(len(kinds), DAMAGES)):
            each = kinds[turn % len(kinds)]
            app.store.reset()
            names = fill(app, rng)
            assert examine(app.store).wrong == []

            hurt(app, each, names)

            wrong = examine(app.store).wrong
            assert wrong, f"{each} was not found"
            assert any(part in text for part in SAID[each].split("|") for text in wrong), (each, wrong)
            found += 1
            damaged = comparable(app) if examine(app.store).jobs else None
            put_right(app.store)
            again = examine(app.store)
            if kind == "redis" and each == "mark of nobody":  # marks are an index there, which is put right
                assert again.wrong == []
            else:
                assert again.wrong
            assert set(again.wrong) <= set(wrong)
            assert damaged is None or comparable(app) == damaged, f"{each}: a repair changed jobs"
            if each in UNDO:
                hurt(app, UNDO[each], names)
        app.store.reset()
    print(f"{found} of {found} damages were found on {kind}")


def comparable(app: Ramify) -> tuple[list[Row], object]:
    """Return the rows and edges that there are."""
    found = app.store.snapshot()
    return found.rows, found.edges


@pytest.mark.parametrize("kind", URLS)
def test_limits_that_were_lowered_are_noted(tmp_path: Path, kind: str) -> None:
    """More may run than a limit says if that was lowered meanwhile; that is worth a note and no damage."""
    with Ramify(URLS[kind](tmp_path), tasks=["chores"]) as app:
        for n in range(2):
            app.enqueue(job("chores:double", n))
            assert app.claim() is not None
        app.store.limit("queue:default", Rule(1))

        found = examine(app.store)

        assert found.wrong == []
        assert any(note.startswith("queue:default: 2 run, of at most 1") for note in found.notes)
        app.store.limit("queue:default", None)


@pytest.mark.parametrize("kind", URLS)
def test_jobs_of_workers_that_are_gone_are_noted(tmp_path: Path, kind: str) -> None:
    """They are no damage: the next worker takes them over. While their own worker lives, nothing is said."""
    said = "1 running job of workers that are gone; the next worker takes it over"
    with Ramify(URLS[kind](tmp_path), tasks=["chores"]) as app:
        app.enqueue("chores:double", 1)
        app.store.enter(Session("s"))
        [claim] = app.store.exchange("s", [], Want(1)).claims
        assert said not in examine(app.store).notes

        app.store.leave("s")

        found = examine(app.store)
        assert (found.wrong, said in found.notes) == ([], True)
        app.store.enter(Session("other"))
        assert [each.row.id for each in app.store.adopt("other", 1)] == [claim.row.id]
        assert said not in examine(app.store).notes
