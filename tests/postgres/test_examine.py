"""`ramify doctor` on PostgreSQL: rows that belong to nobody, ticks with two jobs, an index that is not valid."""

from pathlib import Path

import psycopg
import pytest

from ramify import Ramify
from ramify.cli.doctor import examine
from tests.postgres.server import server
from tests.urls import URLS

DAMAGE = {
    "DELETE FROM payload": "its arguments are gone",
    "UPDATE payload SET args = '['": "its arguments are not JSON",
    "UPDATE payload SET args = '\\x80'": "its arguments are not JSON",
    "INSERT INTO payload VALUES ('nobody', '[]', NULL, false)": "job nobody: its arguments are stored",
    "INSERT INTO result (job) VALUES ('nobody')": "job nobody: its result is stored",
    "INSERT INTO mark VALUES ('red', 'nobody')": "job nobody: it has the mark red",
    "INSERT INTO request VALUES ('r', 'nobody')": "job nobody: it answers the request r",
    "INSERT INTO mark SELECT 'cron/t/1', id FROM job": "its tick cron/t/1 has 2 jobs",
    "UPDATE job SET lane = 999": "its lane 999 is not stored",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'edge_out'::regclass": "edge_out is not valid",
}


@pytest.mark.parametrize("statement", DAMAGE)
def test_damage_is_found(tmp_path: Path, statement: str) -> None:
    """Whatever is changed behind the store's back is named."""
    url = URLS["postgres"](tmp_path)
    with Ramify(url) as app:
        app.enqueue("tests.face.tasks:double", 1)
        app.enqueue("tests.face.tasks:double", 2)
        assert examine(app.store).wrong == []
        schema = app.store.info().facts["schema"]
        with psycopg.connect(server().url(), autocommit=True, options=f"-c search_path={schema}") as connection:
            connection.execute(statement)  # type: ignore[call-overload]

        assert any(DAMAGE[statement] in wrong for wrong in examine(app.store).wrong)
