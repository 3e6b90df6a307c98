"""`ramify doctor` on Redis: each index and count is compared with the jobs themselves."""

import random
from pathlib import Path

import pytest

from ramify import Ramify, group, job, series
from ramify.cli.doctor import examine
from tests.stores.redis_server import prefix_of, shared_server, shared_url


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
