"""The bare loop on PostgreSQL: a supervisor with two children over pipes that does the least it can, durable.

Arguments, results, what is ready and what is claimed have tables of their own; one function of the server keeps
results and claims the next hundred, in one round trip. The children are those of `bare.py`. It checks no fence, knows
no edges, limits or queues, and hands each child its next jobs only when it has done the last ones.
"""

import json
import sys
import time
from multiprocessing.connection import Connection, wait

import psycopg

from bench.bare import BATCH, pack, start_children, unpack

SCHEMA = """
DROP SCHEMA IF EXISTS bare CASCADE;
CREATE SCHEMA bare;
SET search_path = bare;
CREATE TABLE job (id bigint PRIMARY KEY, args bytea NOT NULL);
CREATE TABLE ready (id bigint PRIMARY KEY);
CREATE TABLE result (id bigint NOT NULL, value bytea);
CREATE TABLE claim (child int PRIMARY KEY, ids bigint[]) WITH (fillfactor = 10);
CREATE FUNCTION turn(of int, done bigint[], given bytea[], n int) RETURNS TABLE (id bigint, args bytea)
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE taken bigint[];
BEGIN
    INSERT INTO bare.result SELECT * FROM unnest(done, given);
    WITH gone AS (
        DELETE FROM bare.ready WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM bare.ready r ORDER BY r.id LIMIT n FOR UPDATE SKIP LOCKED))
        RETURNING ready.id
    ) SELECT array_agg(gone.id) INTO taken FROM gone;
    INSERT INTO bare.claim VALUES (of, taken) ON CONFLICT (child) DO UPDATE SET ids = excluded.ids;
    RETURN QUERY SELECT j.id, j.args FROM bare.job j WHERE j.id = ANY(taken);
END $$;
"""
TURN = "SELECT id, args FROM bare.turn(%b, %b::int8[], %b::bytea[], %b)"


def drain(url: str, n: int) -> float:
    """Return how many jobs a second it does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA)
        with connection.transaction(), connection.cursor().copy("COPY bare.job FROM STDIN") as copy:
            for i in range(n):
                copy.write_row((i, json.dumps([i]).encode()))
        connection.execute("INSERT INTO bare.ready SELECT id FROM bare.job")
        connection.execute("ANALYZE bare.job, bare.ready")
        return n / _run(connection, start_children(), n)


def _run(connection: psycopg.Connection, lines: list[Connection], left: int) -> float:
    cursor = connection.cursor(binary=True)

    def turn(line: Connection, results: list[tuple[int, bytes]]) -> bool:
        done, given = [id for id, _ in results], [value for _, value in results]
        frame = cursor.execute(TURN, (lines.index(line), done, given, BATCH), prepare=True).fetchall()
        line.send_bytes(pack(frame))
        return bool(frame)

    begin = time.perf_counter()
    busy = [line for line in lines if turn(line, [])]
    while left:
        for line in wait(busy):
            assert isinstance(line, Connection)
            results = unpack(line.recv_bytes())
            left -= len(results)
            if not turn(line, results):
                busy.remove(line)
    return time.perf_counter() - begin


if __name__ == "__main__":
    print(json.dumps(drain(sys.argv[1], int(sys.argv[2]))))
