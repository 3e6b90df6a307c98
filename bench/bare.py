"""The bare loop: what a supervisor with two children over pipes reaches with the least it can do, durable.

One process uses SQLite (a narrow row that changes, arguments and results in tables of their own, a partial index of
what is ready, the fence checked), two children decode JSON arguments, call a function, and encode JSON results, in
frames of 100 jobs. What ramify adds to this is what it promises. Source: the measurements behind the design, part 7.
"""

import json
import os
import sqlite3
import sys
import time
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait

import msgspec

BATCH = 100
SCHEMA = """
CREATE TABLE job (id INTEGER PRIMARY KEY, state INTEGER, session INTEGER, attempt INTEGER);
CREATE INDEX ready ON job (id) WHERE state = 0;
CREATE TABLE payload (id INTEGER PRIMARY KEY, args BLOB);
CREATE TABLE result (id INTEGER PRIMARY KEY, value BLOB);
"""
CLAIM = """UPDATE job SET state = 1, session = 1, attempt = attempt + 1
WHERE id IN (SELECT id FROM job WHERE state = 0 ORDER BY id LIMIT ?) RETURNING id"""
pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


def noop(x: int) -> int:
    """Return the argument."""
    return x


def serve(line: Connection) -> None:
    """Run frames of jobs until an empty one."""
    while frame := unpack(line.recv_bytes()):
        line.send_bytes(pack([(id, msgspec.json.encode(noop(*msgspec.json.decode(args)))) for id, args in frame]))


def start_children() -> list[Connection]:
    """Start two children, and return the lines to them."""
    lines = []
    for _ in range(2):
        near, far = Pipe()
        Process(target=serve, args=(far,), daemon=True).start()
        lines.append(near)
    return lines


def claim(store: sqlite3.Connection) -> list[tuple[int, bytes]]:
    """Take the next jobs."""
    ids = sorted(id for (id,) in store.execute(CLAIM, (BATCH,)))
    return store.execute(
        "SELECT id, args FROM payload WHERE id IN (SELECT value FROM json_each(?))", (str(ids),)
    ).fetchall()


def end(store: sqlite3.Connection, results: list[tuple[int, bytes]]) -> None:
    """Store results of jobs that are ours."""
    ids = str([id for id, _ in results])
    done = "UPDATE job SET state = 2 WHERE id IN (SELECT value FROM json_each(?)) AND session = 1 AND attempt = 1"
    assert store.execute(done, (ids,)).rowcount == len(results)
    store.executemany("INSERT INTO result VALUES (?, ?)", results)


def drain(path: str, n: int) -> float:
    """Return how many jobs a second it does."""
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.executescript(SCHEMA)
    store.execute("BEGIN")
    store.executemany("INSERT INTO job VALUES (?, 0, 0, 0)", [(i,) for i in range(n)])
    store.executemany("INSERT INTO payload VALUES (?, ?)", [(i, json.dumps([i]).encode()) for i in range(n)])
    store.execute("COMMIT")
    lines = start_children()
    begin = time.perf_counter()
    busy: list[Connection] = []
    store.execute("BEGIN IMMEDIATE")
    for line in lines:
        line.send_bytes(pack(claim(store)))
        busy.append(line)
    store.execute("COMMIT")
    left = n
    while left:
        for line in wait(busy):
            assert isinstance(line, Connection)
            results = unpack(line.recv_bytes())
            left -= len(results)
            store.execute("BEGIN IMMEDIATE")
            end(store, results)
            frame = claim(store)
            store.execute("COMMIT")
            line.send_bytes(pack(frame))
            if not frame:
                busy.remove(line)
    return n / (time.perf_counter() - begin)


if __name__ == "__main__":
    path, n = sys.argv[1], int(sys.argv[2])
    print(json.dumps(drain(os.path.join(path, "bare.db"), n)))
