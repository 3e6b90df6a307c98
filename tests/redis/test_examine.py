"""`ramify doctor` on Redis: each index and count is compared with the jobs themselves."""

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from ramify import Ramify, group, job, series
from ramify.cli import main
from ramify.cli.doctor import examine, put_right
from ramify.model import ENDED, Session, State
from tests.stores.redis_server import prefix_of, shared_server, shared_url
from tests.worker.test_worker import until

DAMAGES: Final = int(os.environ.get("STORM_DAMAGE", "30"))


@pytest.fixture
def app(tmp_path: Path) -> Ramify:
    """A store with jobs in every state."""
    app = Ramify(shared_url(tmp_path), tasks=["tests.face.tasks"])
    double = "tests.face.tasks:double"
    for n in range(6):
        app.enqueue(series(group(job(double, n), job(double, n + 1)), job(double, 3)))
    app.enqueue(group(job(double, 1)).options(hold=True))
    app.enqueue(job(double, 1).options(delay=1000))
    for _ in range(8):
        app.run_one()
    return app


def test_every_damage_to_an_index_is_found_and_put_right(app: Ramify, tmp_path: Path) -> None:
    """Whatever entries are removed, moved, made up or miscounted, the jobs tell what was right, and all of them end."""
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"STORM_SEED={seed}")
    rng = random.Random(seed)
    prefix = "{" + prefix_of(tmp_path) + "}:"
    before = app.counts()
    with app:
        for _ in range(DAMAGES):
            struck = [strike(rng, prefix) for _ in range(rng.randrange(1, 4))]

            assert examine(app.store).wrong, f"{struck} was not found"
            assert put_right(app.store)

            assert examine(app.store).wrong == [], f"{struck} was not put right"
        assert app.counts() == before
        app.run_until_empty()
        assert {row.state for row in app.store.snapshot().rows if row.state not in ENDED} <= {State.HELD, State.READY}
        assert [job.state for job in app.jobs(states={"ready"})] == [State.READY]  # the one that is not due


def test_what_is_added_meanwhile_is_no_damage(app: Ramify, tmp_path: Path) -> None:
    """Additions take no lock; a repair never takes an entry of a job that it has not seen for a wrong one."""
    prefix = "{" + prefix_of(tmp_path) + "}:"
    ended = threading.Event()
    added = []

    def add() -> None:
        with Ramify(shared_url(tmp_path), tasks=["tests.face.tasks"]) as other:
            while not ended.wait(0.01):
                added.append(other.enqueue("tests.face.tasks:double", 1).id)

    adder = threading.Thread(target=add)
    with app:
        adder.start()
        try:
            for n in range(10):
                until(lambda least=5 * n: len(added) > least)
                shared_server().ask(f"ZADD {prefix}state:done 0 nobody")
                assert app.store.reindex() == 1
        finally:
            ended.set()
            adder.join()
        assert examine(app.store).wrong == []
        app.run_until_empty()
        assert {app.job(id).state for id in added} == {State.DONE}


def strike(rng: random.Random, prefix: str) -> str:
    """Do damage to an index, and return which."""
    ask = shared_server().ask

    def read(command: str) -> list[str]:
        return [line.decode() for line in ask(command).split(b"\r\n") if line and line[:1] not in b"*$:"]

    def choose(command: str) -> str:
        return rng.choice(read(command))

    def wrong_count(key: str) -> str:
        field = choose(f"HKEYS {prefix}{key}")
        ask(f'HINCRBY {prefix}{key} "{field}" {rng.choice([-2, -1, 1, 5])}')
        return field

    states = [f"state:{state}" for state in ("held", "waiting", "ready", "done")]
    lanes = [f"ready:{number}" for number in range(1, 9)]
    keys = [*states, *lanes, "tree", "held", "due", "out", "ends"]
    key = rng.choice([key for key in keys if ask(f"EXISTS {prefix}{key}") == b":1\r\n"])
    kinds: dict[str, Callable[[], object]] = {
        "removed": lambda: ask(f'ZREM {prefix}{key} "{choose(f"ZRANGE {prefix}{key} 0 -1")}"'),
        "moved": lambda: ask(f'ZINCRBY {prefix}{key} 7 "{choose(f"ZRANGE {prefix}{key} 0 -1")}"'),
        "made up": lambda: ask(f'ZADD {prefix}{key} 0 "no body {rng.random()}"'),
        "emptied": lambda: ask(f"DEL {prefix}{key}"),
        "count": lambda: wrong_count("count"),
        "tally": lambda: wrong_count("tally"),
    }
    kind = rng.choice(sorted(kinds))
    kinds[kind]()
    return f"{kind} {key}"


def test_every_wrong_entry_is_found_and_nothing_else(app: Ramify, tmp_path: Path) -> None:
    """A job that is missing from an index, stands in a wrong one or at a wrong place, and a wrong count, are named."""
    rng = random.Random(1)
    prefix = "{" + prefix_of(tmp_path) + "}:"
    with app:
        assert examine(app.store).wrong == []
        ask = shared_server().ask
        keys = [f"state:{state}" for state in ("held", "waiting", "ready", "done")] + ["tree", "held", "due"]
        found = 0
        for key in keys:
            lines = ask(f"ZRANGE {prefix}{key} 0 -1").split(b"\r\n")
            members = [line.decode() for line in lines if line and line[:1] not in b"*$"]
            member = rng.choice(members)
            score = ask(f'ZSCORE {prefix}{key} "{member}"').split(b"\r\n")[1].decode()
            ask(f'ZREM {prefix}{key} "{member}"')
            assert [wrong for wrong in examine(app.store).wrong if f"missing from the index {key}" in wrong], key
            ask(f'ZADD {prefix}{key} {float(score) + 7} "{member}"')
            assert [wrong for wrong in examine(app.store).wrong if f"in the index {key}, but belongs" in wrong], key
            ask(f'ZADD {prefix}{key} {score} "{member}"')
            ask(f'ZADD {prefix}{key} 0 "nobody"')
            assert [wrong for wrong in examine(app.store).wrong if "job nobody: stands in" in wrong], key
            ask(f"ZREM {prefix}{key} nobody")
            assert examine(app.store).wrong == []
            found += 3
        field = ask(f"HKEYS {prefix}count").split(b"\r\n")[2].decode()
        ask(f'HINCRBY {prefix}count "{field}" 1')
        assert [wrong for wrong in examine(app.store).wrong if wrong.startswith(f"the count of {field}")]
    assert found == 3 * len(keys)


def test_a_session_without_lease_is_dead(app: Ramify, tmp_path: Path) -> None:
    """What runs in a session that is neither alive nor dead would run for ever; put right, somebody takes it over."""
    prefix = "{" + prefix_of(tmp_path) + "}:"
    with app:
        claimed = app.claim()
        assert claimed is not None
        [session] = {row.session for row in app.store.snapshot().rows if row.session is not None}
        shared_server().ask(f"ZREM {prefix}lease {session}")

        assert examine(app.store).wrong == [f"session {session}: is missing from the index dead"]
        assert put_right(app.store)

        assert examine(app.store).wrong == []
        app.store.enter(Session("other"))
        assert claimed.id in [claim.row.id for claim in app.store.adopt("other", 10)]
        app.store.leave("other")


def test_what_cannot_be_read_at_all_is_said(app: Ramify, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit that is none ends every step; the doctor says so, and a repair begins nothing."""
    prefix = "{" + prefix_of(tmp_path) + "}:"
    app.close()
    shared_server().ask(f"HSET {prefix}limit all many")

    for more in ([], ["--repair"]):
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--url", shared_url(tmp_path), *more])
        assert ended.value.code == 1
        assert capsys.readouterr().out == (
            "something that is stored cannot be read: invalid literal for int() with base 10: 'many'\n"
            "1 violation; the rest is not looked at, nor put right\n"
        )


def test_a_key_of_another_kind_is_not_looked_at(
    app: Ramify, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where somebody else's key is, nothing can be checked: that is status 2."""
    prefix = "{" + prefix_of(tmp_path) + "}:"
    app.close()
    shared_server().ask(f"DEL {prefix}edge")
    shared_server().ask(f"SET {prefix}edge theirs")

    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--url", shared_url(tmp_path)])

    assert ended.value.code == 2
    assert "keys with this prefix are another program's" in capsys.readouterr().err
