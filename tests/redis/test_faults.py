"""Servers that are down, full, read-only or forgetful, and connections that are cut."""

import contextlib
import threading
import time

import pytest
from redis.exceptions import BusyLoadingError, MasterDownError, ReadOnlyError, ResponseError

from ramify.checkup import Snapshot
from ramify.errors import Lost, RamifyError, StoreDown, StoreFull
from ramify.graph.check import find_violations
from ramify.model import Batch, Ended, Failure, Page, Rule, State, Verb, Want, Which
from ramify.stores.redis import Redis
from ramify.stores.redis.address import read_address
from ramify.stores.redis.link import Link, Word
from ramify.stores.redis.plain import ask
from ramify.stores.redis.tables import RedisTables
from tests.redis.conftest import Cut, Open, Start
from tests.redis.kit import add, batch, claim, done, enter, group, leaf, states
from tests.worker.test_worker import until

KEEPING = ("--appendonly", "yes")


def test_scripts_that_the_server_forgot_are_sent_again(start: Start, open_: Open) -> None:
    """A server that was restarted or flushed knows no scripts."""
    server = start()
    store = open_(server.url())
    server.ask("SCRIPT FLUSH")

    root = add(store)

    assert states(store) == {root: "ready"}


def test_a_cut_connection_is_made_again(start: Start, open_: Open) -> None:
    """A connection that a server or a firewall closed costs nothing but a new one."""
    server = start()
    store = open_(server.url())
    root = add(store)
    states(store)
    server.ask("CLIENT KILL TYPE normal")

    other = add(store)

    assert states(store) == {root: "ready", other: "ready"}


def test_a_server_that_is_down_is_said_and_waited_out(start: Start, open_: Open) -> None:
    """The same call that failed while it was down succeeds when it is back."""
    server = start(*KEEPING)
    store = open_(server.url())
    enter(store)
    root = add(store)
    server.stop()
    with pytest.raises(StoreDown):
        claim(store)
    with pytest.raises(StoreDown):
        store.jobs(Which())
    server.start()

    reply = claim(store)

    assert [claim.row.id for claim in reply.claims] == [root]


def test_a_replica_is_not_written_to(start: Start, open_: Open) -> None:
    """A master that became a replica counts as down, until it is one no more."""
    server, master = start(), start()
    store = open_(server.url())
    add(store)
    server.ask("CONFIG SET replica-serve-stale-data yes")
    server.ask(f"REPLICAOF {master.socket} 1")

    with pytest.raises(StoreDown):
        add(store)
    server.ask("REPLICAOF NO ONE")
    add(store)

    assert len(states(store)) == 2


@pytest.mark.slow
def test_a_server_that_loads_is_waited_out(start: Start, open_: Open) -> None:
    """After a restart it reads its data first; nothing but `StoreDown` is raised meanwhile."""
    server = start("--rdbcompression", "no")
    store = open_(server.url())
    add(store)
    server.ask("DEBUG POPULATE 100 other 400000")
    server.ask("SAVE")
    server.stop()
    server.wait = lambda: None  # type: ignore[method-assign]
    server._options = ("--key-load-delay", "10000")
    server.start()

    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(StoreDown):
            add(store)
            break

    assert len(states(store)) == 2


@pytest.mark.parametrize(
    "error",
    [
        BusyLoadingError("Redis is loading the dataset in memory"),
        ReadOnlyError("You can't write against a read only replica."),
        ResponseError("CLUSTERDOWN The cluster is down"),
        ResponseError("BUSY Redis is busy running a script."),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    ],
)
def test_what_passes_is_an_outage(error: Exception) -> None:
    """A server that cannot write now counts as down, whatever it calls that."""
    link = Link(read_address("redis://h"), lambda: None)

    assert type(link.translate(error)) is StoreDown


def test_a_server_that_reads_its_journal_is_down_until_it_has(start: Start, open_: Open) -> None:
    """It says meanwhile that it keeps no journal, which is no reason to refuse it, or not to wait for its disk."""
    server = start(*KEEPING, "--appendfsync", "always")
    store = open_(server.url(durability="full"))
    store._link.calls([["SET", f"filler{n}", n] for n in range(8_000)])
    root = add(store)
    server.kill()
    server.begin("--key-load-delay", "100")
    until(lambda: server.ask("PING") != b"")

    said = set()
    for one in (store, None):
        while True:
            try:
                known = states(one or open_(server.url(durability="full")))
            except StoreDown as error:
                said.add(str(error))
                time.sleep(0.01)
            else:
                break
        assert known == {root: "ready"}

    assert any("is loading what it keeps" in words for words in said), said
    assert "every step is on the server's disk" in store.info().facts["durability"]


def test_a_full_server_refuses_and_a_purge_makes_room(start: Start, open_: Open) -> None:
    """Nothing is stored by half, and what frees memory is still possible."""
    server = start("--maxmemory", "8mb", "--maxmemory-policy", "noeviction")
    store = open_(server.url())
    enter(store)
    roots = []
    with pytest.raises(StoreFull):
        for _ in range(1000):
            roots.append(add(store, group(*[leaf() for _ in range(200)])))
    assert len(states_of_roots(store)) == len(roots)
    server.ask("CONFIG SET maxmemory 20mb")
    store.move(Which(ids=(roots[0],)), Verb.CANCEL)
    while store.drain():
        pass
    server.ask("CONFIG SET maxmemory 4mb")

    store.move(Which(ids=(roots[0],)), Verb.PURGE)
    while store.drain():
        pass

    assert store.jobs(Which(tree=roots[0])) == []


def states_of_roots(store: Redis) -> list[str]:
    """Return the states of all trees."""
    return [row.state.value for row in store.jobs(Which(roots=True), Page(size=-1))]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_lost_reply_changes_nothing(start: Start, open_: Open, cut: Cut, n: int) -> None:
    """Whichever reply of an exchange is cut, its outcomes count once, and what it claims is claimed once."""
    server = start()
    proxy = cut(server)
    store = open_(f"unix://{proxy.place}?prefix=ramify")
    enter(store)
    add(store, group(leaf("a"), leaf("b")))
    first = claim(store)

    proxy.cut_reply(n)
    reply = store.exchange("s", done(first), Want(10))
    proxy.cut_reply(0)

    assert reply.refused == {}
    assert [claim.row.lane.task for claim in reply.claims] == [None]
    assert store.exchange("s", done(reply), Want(10)).refused == {}
    assert set(states(store).values()) == {"done"}
    assert find_violations(store.snapshot()) == []


def test_a_repeated_exchange_is_answered_as_the_first_was(start: Start, open_: Open) -> None:
    """Also if a step of somebody else has begun meanwhile: what was claimed must be known to who claimed it."""
    server = start()
    store = open_(server.url())
    enter(store)
    add(store, group(leaf("a"), leaf("b")))
    words = ask("once", "s", [], Want(2), store._lanes, 1000, None)
    first = store._run("exchange", *words)
    server.ask("SET {ramify}:lock somebody PX 60000")

    again = store._run("exchange", *words)

    assert len(first[3]) == 2
    assert again[3:] == first[3:]


def test_what_is_out_of_the_ordinary_is_done_by_a_step(start: Start, open_: Open) -> None:
    """With a limit, or with one failed job among those that are reported, an exchange means what it always means."""
    store = open_(start().url())
    enter(store)
    add(store, group(leaf("a"), leaf("b"), leaf("c")))
    first, *others = done(claim(store, n=2))
    failed = Ended(first.job, first.attempt, State.FAILED, failure=Failure("error", "no luck"))

    reply = store.exchange("s", [failed, *others], Want(5))
    store.limit("task:m:c", Rule(0))
    last = store.exchange("s", done(reply), Want(5))

    assert [c.row.lane.task for c in reply.claims] == ["m:c"]
    assert [c.row.bads for c in last.claims] == [1]
    assert sorted(states(store).values()) == ["done", "done", "failed", "running"]
    assert find_violations(store.snapshot()) == []


def test_an_addition_whose_reply_was_lost_is_there_once(start: Start, open_: Open, cut: Cut) -> None:
    """The batch is sent again, and found."""
    server = start()
    proxy = cut(server)
    store = open_(f"unix://{proxy.place}?prefix=ramify")
    add(store)
    proxy.cut_reply(1)

    root = add(store)

    assert len(states(store)) == 2
    assert store.counts(Which(), "state") == {"ready": 2}
    assert root in states(store)


def test_a_large_addition_that_lost_a_part_is_not_there(start: Start, open_: Open) -> None:
    """Its parts are not waited for one by one, but they are counted before anything is done."""
    server = start()
    store = open_(server.url())
    tell, told = store._link.tell_script, []

    def lose_one(script: str, key: str, *words: Word) -> None:
        told.append(script)
        if len(told) != 2:
            tell(script, key, *words)

    store._link.tell_script = lose_one  # type: ignore[method-assign]
    with pytest.raises(StoreDown, match="was never there"):
        add(store, group(*[leaf() for _ in range(5000)]))
    assert states_of(store) == []

    add(store, group(*[leaf() for _ in range(5000)]))

    assert len(states_of(store)) == 5001
    assert find_violations(store.snapshot()) == []


def test_a_frozen_program_cannot_end_its_step(start: Start, open_: Open) -> None:
    """Who lost the lock has its step refused whole, however late it comes."""
    server = start()
    slow, quick = open_(server.url()), open_(server.url())
    enter(slow)
    root = add(slow)

    with pytest.raises(StoreDown, match="was never there"), slow._write() as tables:
        assert tables.start("s", [root])
        server.ask("DEL {ramify}:lock")  # as when its time has passed
        enter(quick, "t")
        assert [claim.row.id for claim in claim(quick, session="t").claims] == [root]

    [row] = quick.jobs(Which())
    assert (row.state, row.session, row.attempt) == (State.RUNNING, "t", 1)
    assert find_violations(quick.snapshot()) == []


def test_a_slow_step_counts_if_nobody_came_in_between(start: Start, open_: Open) -> None:
    """On a busy host a step may take longer than its lock lasts, and nobody is harmed."""
    server = start()
    slow = open_(server.url())
    enter(slow)
    root = add(slow)

    with slow._write() as tables:
        tables.start("s", [root])
        server.ask("DEL {ramify}:lock")  # as when its time has passed

    assert states(slow) == {root: "running"}
    assert find_violations(slow.snapshot()) == []


def test_a_long_step_that_is_heard_of_is_waited_for(start: Start, open_: Open) -> None:
    """A step may take longer than the patience of others, as long as it reads now and then."""
    server = start()
    slow, quick = open_(server.url()), open_(server.url())
    slow.patience = 200
    enter(slow)
    root = add(slow)
    claims: list[str] = []

    with slow._write() as tables:
        thread = threading.Thread(target=lambda: claims.extend(c.row.id for c in claim(quick).claims))
        thread.start()
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            tables.rows([f"unknown {time.monotonic()}"])
        tables.start("s", [root])
    thread.join(10)

    assert claims == []
    assert states(quick) == {root: "running"}


def test_a_large_step_whose_program_died_is_finished_by_the_next(start: Start, open_: Open) -> None:
    """Once it is decided, it happens, whoever is still there."""
    server = start()
    dying, living = open_(server.url()), open_(server.url())
    planned = batch(group(*[leaf() for _ in range(5000)]))

    def die(token: str) -> None:
        server.ask("DEL {ramify}:lock")
        raise KeyboardInterrupt

    dying._redo = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        dying.add(planned)
    enter(living)

    reply = claim(living, n=10)

    assert len(reply.claims) == 10
    assert living.counts(Which(), "state") == {"ready": 4990, "running": 10, "waiting": 1}
    assert len(states_of(living)) == 5001
    assert find_violations(living.snapshot()) == []


def states_of(store: Redis) -> list[str]:
    """Return the states of all jobs."""
    return [row.state.value for row in store.jobs(Which(), Page(size=-1))]


def test_writes_that_the_server_lost_end_all_sessions(start: Start, open_: Open) -> None:
    """A server that was set back is noticed by whoever saw more: jobs that ran are run again, under new sessions."""
    server = start()
    store = open_(server.url())
    enter(store)
    root = add(store)
    server.ask("SAVE")
    claim(store)
    server.kill()
    server.start()

    with pytest.raises(Lost):
        claim(store)
    enter(store, "t")
    reply = claim(store, session="t")

    assert [claim.row.id for claim in reply.claims] == [root]
    assert "lost writes" in store.info().facts["restored"]


def test_writes_that_were_lost_are_noticed_after_others_have_written(start: Start, open_: Open) -> None:
    """Others may have written more meanwhile than was lost; who comes back sees what this run began with."""
    server = start()
    store, other = open_(server.url()), open_(server.url())
    enter(store)
    add(store)
    server.ask("SAVE")
    claim(store)
    server.kill()
    server.start()
    for _ in range(20):
        add(other)

    with pytest.raises(Lost):
        claim(store)


def test_a_server_that_does_not_answer_is_given_up(start: Start, open_: Open) -> None:
    """One that is frozen takes what it is sent and says nothing; when it goes on, so does the store."""
    server = start()
    store = open_(server.url(socket_timeout="0.3"))
    root = add(store)
    states(store)
    server.freeze()
    try:
        with pytest.raises(StoreDown, match="no answer"):
            states(store)
        with pytest.raises(StoreDown, match="no answer"):
            add(store)
    finally:
        server.freeze(False)

    assert states(store)[root] == "ready"


def test_what_a_run_of_the_server_began_with_is_noted_once(start: Start, open_: Open) -> None:
    """By it whoever comes back late sees that writes were lost; so those who come in between leave it as it is."""
    server = start("--appendonly", "yes", "--appendfsync", "always")
    store = open_(server.url())
    for _ in range(3):
        add(store)
    server.kill()
    server.start()
    [written] = store._ask([["HGET", "meta", "written"]])
    for _ in range(3):
        add(open_(server.url()))

    [[began, run]] = store._ask([["HMGET", "meta", "began", "run"]])

    assert int(began) == int(written) == 3
    assert b"run_id:" + run in server.ask("INFO server")


def test_a_snapshot_into_which_a_restart_fell_is_read_again(start: Start, open_: Open) -> None:
    """It shows the store as it was at one moment, so not jobs that the server has lost since."""
    server = start()
    store = open_(server.url())
    kept = add(store)
    server.ask("SAVE")
    add(store)
    read, reads = store._read_all, []

    def read_and_restart(opened: RedisTables) -> Snapshot:
        reads.append(read(opened))
        if len(reads) == 1:
            server.kill()
            server.start()
        return reads[-1]

    store._read_all = read_and_restart  # type: ignore[method-assign]

    snapshot = store.snapshot()

    assert [len(each.rows) for each in reads] == [2, 1]
    assert [row.id for row in snapshot.rows] == [kept]


def test_an_emptied_server_is_a_new_store(start: Start, open_: Open) -> None:
    """Somebody else's FLUSHALL takes the jobs, but nobody works on with what is left in his head."""
    server = start()
    store = open_(server.url())
    enter(store)
    add(store)
    server.ask("FLUSHALL")

    root = add(store)

    assert states(store) == {root: "ready"}
    with pytest.raises(Lost):
        claim(store)


def test_purged_stores_leave_other_keys_alone(start: Start, open_: Open) -> None:
    """Emptying a store deletes jobs and nothing else: only the store's few words about itself remain."""
    server = start()
    server.ask("SET somebody:else 1")
    store, other = open_(server.url()), open_(server.url(prefix="other"))
    kept = add(other)
    roots = [add(store, group(leaf(), leaf())) for _ in range(3)]
    store.move(Which(ids=tuple(roots)), Verb.CANCEL)
    while store.drain():
        pass
    store.move(Which(roots=True), Verb.PURGE)
    while store.drain():
        pass

    left = server.ask("KEYS *").decode().split()
    ours = {key for key in left if key.startswith("{ramify}:")}
    assert ours <= {"{ramify}:meta", "{ramify}:lane", "{ramify}:count", "{ramify}:did"}
    assert "somebody:else" in left
    assert states(other) == {kept: "ready"}


@pytest.mark.slow
def test_many_workers_run_every_job_once(start: Start, open_: Open) -> None:
    """Steps of many programs wait for each other in a line, and none is lost or taken twice."""
    server = start()
    store = open_(server.url())
    for _ in range(20):
        add(store, group(*[leaf() for _ in range(20)]))
    claimed: list[str] = []

    def work(name: str) -> None:
        own = open_(server.url())
        enter(own, name)
        reply = claim(own, n=3, session=name)
        while reply.claims or reply.more or len(claimed) < 420:
            claimed.extend(claim.row.id for claim in reply.claims)
            reply = own.exchange(name, done(reply), Want(3))
            assert reply.refused == {}

    threads = [threading.Thread(target=work, args=(f"s{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (len(claimed), len(set(claimed))) == (420, 420)
    assert store.counts(Which(), "state") == {"done": 420}
    assert find_violations(store.snapshot()) == []


def test_an_unplanned_error_gives_the_lock_back(start: Start, open_: Open) -> None:
    """A step that fails in the middle leaves nothing behind, least of all a lock."""
    server = start()
    store, other = open_(server.url()), open_(server.url())
    with pytest.raises(RamifyError):
        store.add(Batch(into="nobody", edges=[]))

    enter(other)

    assert server.ask("EXISTS {ramify}:lock").strip() == b":0"
