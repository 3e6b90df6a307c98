"""Jobs from SQL: wherever there is a connection, without Python, in the caller's own transaction."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ramify import JobFailed, Ramify, job
from ramify.graph.need import make_mark
from ramify.ids import is_id, make_id
from ramify.model import Which
from tests.postgres.server import Server

TASKS = "tests.postgres.sql_tasks"
Ask = Callable[..., Any]


@pytest.fixture
def app(database: Server, schema: str) -> Iterator[Ramify]:
    """A program with tasks, deployed."""
    with Ramify(database.url(schema=schema), tasks=[TASKS]) as app:
        assert app.deploy() == []
        yield app


@pytest.fixture
def ask(connection: psycopg.Connection, schema: str) -> Ask:
    """Execute a statement as a program does that knows nothing of ramify; return the first row."""

    def ask(text: str, *values: Any) -> Any:
        cursor = connection.execute(text.replace("ramify.", f"{schema}."), values or None)
        return cursor.fetchone() if cursor.description else None

    return ask


def call(ask: Ask, task: str, args: object, **named: Any) -> str:
    """Enqueue a call from SQL; return the id of its job."""
    extra = "".join(f", {name} => %s" for name in named)
    [id] = ask(f"SELECT ramify.enqueue(%s, %s{extra})", f"{TASKS}:{task}", json.dumps(args), *named.values())
    return str(id)


def refusal(ask: Ask, task: str, args: object) -> str:
    """Return why a call from SQL is refused."""
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        call(ask, task, args)
    return str(caught.value.diag.message_primary)


def test_r3_20_a_call_from_sql_waits_with_its_priority_and_runs(app: Ramify, ask: Ask, tmp_path: Path) -> None:
    """The document's own statement: one waiting job of priority 10; a worker then writes the sum into the file."""
    args = json.dumps({"file_path": str(tmp_path / "sum.txt"), "a": 1, "b": 2})
    ask(f"CALL ramify.insert_job('{TASKS}', 'task1', 10, '{args}'::json)")
    [waiting] = app.jobs()

    before = (waiting.state, app.store.jobs(_these(waiting.id))[0].priority)
    app.run_until_empty()

    assert (before, (tmp_path / "sum.txt").read_text()) == (("ready", 10), "3")


def test_r3_21_both_orders_of_arguments_are_known(app: Ramify, ask: Ask) -> None:
    """(type, task, priority, json) as the document has it, and (type, task, json, priority, …) as its code."""
    one = ask(f"CALL ramify.insert_job('{TASKS}', 'double', 10, '{{\"x\": 1}}'::json)")
    other = ask(f"CALL ramify.insert_job('{TASKS}', 'double', '{{\"x\": 2}}'::json, 7, 'the web')")

    assert ["inserted job"] * 2 == [one[1], other[1]]
    assert [10, 7] == [app.store.jobs(_these(id))[0].priority for id, _ in (one, other)]


def test_r3_22_the_priority_is_1_if_none_is_given(app: Ramify, ask: Ask) -> None:
    """Left out, the priority is 1."""
    id, _ = ask(f"CALL ramify.insert_job('{TASKS}', 'double', '{{\"x\": 1}}'::json)")

    assert app.store.jobs(_these(id))[0].priority == 1


def test_r3_23_an_unknown_task_is_named(app: Ramify, ask: Ask) -> None:
    """No job, and a message that names the task; `enqueue` raises the same."""
    reply = ask("CALL ramify.insert_job('nothing', 'known', 10, '{}'::json)")

    assert (None, "Invalid task: nothing.known") == reply
    assert refusal(ask, "nix", {}) == f"Invalid task: {TASKS}.nix"
    assert list(app.jobs()) == []


def test_r3_24_missing_unknown_and_illegal_arguments_are_named(app: Ramify, ask: Ask) -> None:
    """No job, and a message that names what is wrong."""
    [_, message] = ask(f"CALL ramify.insert_job('{TASKS}', 'task1', 10, '{{\"b\": 2}}'::json)")

    assert message == "Missing arguments: file_path, a"
    assert refusal(ask, "double", {}) == "Missing arguments: x"
    assert refusal(ask, "double", {"x": 1, "z": 2}) == "Unknown arguments: z"
    assert refusal(ask, "double", [1, 2]) == "Unknown arguments: argument 2"
    assert refusal(ask, "letter", {"letter": "C"}) == 'Illegal arguments: letter must be one of "A","B"'
    assert refusal(ask, "double", 3) == "Illegal arguments: they are an object with their names, or an array"
    assert refusal(ask, "double", {"x": "x" * (1 << 20)}).startswith("Illegal arguments: more than 1 MiB")
    assert list(app.jobs()) == []


def test_r3_25_success_is_told_with_the_id(app: Ramify, ask: Ask) -> None:
    """The id of the job, in the form of all ids, and the document's message."""
    id, message = ask(f"CALL ramify.insert_job('{TASKS}', 'double', 10, '{{\"x\": 1}}'::json)")

    assert (is_id(id), message) == (True, "inserted job")
    assert [id] == [job.id for job in app.jobs()]


def test_r3_26_a_waiting_job_that_includes_the_arguments_is_used(app: Ramify, ask: Ask) -> None:
    """No second job while one of the task waits whose arguments include all that are given; when it is over, one."""
    insert = "CALL ramify.insert_job('{}', 'letter', 10, '{}'::json)"
    first, _ = ask(insert.format(TASKS, '{"letter": "A", "n": 1}'))
    again = ask(insert.format(TASKS, '{"letter": "A"}'))
    _, other = ask(insert.format(TASKS, '{"letter": "B"}'))
    app.run_until_empty()
    _, later = ask(insert.format(TASKS, '{"letter": "A"}'))

    assert ((first, "job already in queue"), "inserted job", "inserted job") == (again, other, later)


@pytest.mark.slow
def test_r3_27_psql_needs_no_python(app: Ramify, database: Server, schema: str) -> None:
    """A job from psql runs like any other."""
    text = f"SELECT {schema}.enqueue('{TASKS}:double', '[4]')"
    command = [database.programs / "psql", "-At", "-h", database.folder, "-U", "postgres", "-c", text, "postgres"]
    reply = subprocess.run(command, check=True, capture_output=True, text=True)
    app.run_until_empty()

    assert app.job(reply.stdout.strip()).result(timeout=0) == 8


def test_r3_28_higher_priority_first_then_older(app: Ramify, ask: Ask) -> None:
    """Jobs from SQL and from Python stand in one line."""
    low, first = call(ask, "double", [1], priority=1), call(ask, "double", [2], priority=5)
    second = app.enqueue(f"{TASKS}:double", 3)
    third = call(ask, "double", [4], priority=5)

    claimed = [job.id for _ in range(4) if (job := app.claim())]

    assert [first, third, low, second.id] == claimed


def test_a_job_is_there_if_and_only_if_its_transaction_was_committed(
    app: Ramify, database: Server, schema: str
) -> None:
    """Rolled back with the caller's own rows, committed with them."""
    with psycopg.connect(database.url()) as caller:
        caller.execute(f"SELECT {schema}.enqueue(%s, '[1]')", [f"{TASKS}:double"])
        unseen = list(app.jobs())
        caller.rollback()
        gone = list(app.jobs())
        caller.execute(f"SELECT {schema}.enqueue(%s, '[1]')", [f"{TASKS}:double"])

    assert ([], [], 1) == (unseen, gone, len(list(app.jobs())))


def test_a_trigger_makes_jobs(app: Ramify, ask: Ask, schema: str) -> None:
    """A row that is inserted into a table of the user's becomes a job."""
    ask("CREATE TABLE ramify.mine (n int)")
    ask(
        "CREATE FUNCTION ramify.on_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"PERFORM ramify.enqueue('{TASKS}:double', json_build_object('x', new.n)); RETURN new; END $$"
    )
    ask("CREATE TRIGGER t AFTER INSERT ON ramify.mine FOR EACH ROW EXECUTE FUNCTION ramify.on_insert()")

    ask("INSERT INTO ramify.mine VALUES (20), (21)")
    app.run_until_empty()

    assert sorted(job.result(timeout=0) for job in app.jobs()) == [40, 42]


def test_a_job_can_wait_for_its_time_in_a_queue_of_its_own_with_a_label(app: Ramify, ask: Ask) -> None:
    """`delay`, `at`, `queue` and `label` are named arguments."""
    later = call(ask, "double", [1], delay="1 hour", queue="slow", label="mine")
    at = call(ask, "double", [1], at="2100-01-01 00:00+00")
    past = call(ask, "double", [1], at="2000-01-01 00:00+00")

    rows = [app.store.jobs(_these(id))[0] for id in (later, at, past)]

    assert [(rows[0].lane.queue, rows[0].label), rows[1].due, rows[2].due] == [("slow", "mine"), 4102444800.0, None]
    assert app.counts() == {"scheduled": 2, "ready": 1}


def test_a_key_makes_one_job(app: Ramify, ask: Ask) -> None:
    """The same key gives the same job until that is over, from SQL as from Python; `within` also afterwards."""
    first = call(ask, "double", [1], key="k")
    second = app.enqueue(app_node("double", 1))
    third = call(ask, "double", [9], key="k")
    app.run_until_empty()
    recent = call(ask, "double", [1], key="k", within="1 hour")
    fresh = call(ask, "double", [1], key="k")

    assert (first, first, first) == (second.id, third, recent)
    assert fresh != first


def app_node(name: str, *args: Any) -> Any:
    """Return a call with the key k, as Python makes it."""
    return job(f"{TASKS}:{name}", *args).options(unique="k")


def test_the_options_that_a_task_declares_hold(app: Ramify, ask: Ask) -> None:
    """Queue, priority, slot, units, retries and time limit are those of the decorator."""
    id = call(ask, "optioned", {"x": 1})
    by_python = app.enqueue(f"{TASKS}:optioned", 1)

    one, other = [app.store.jobs(_these(each))[0] for each in (id, by_python.id)]

    assert (one.lane, one.priority, one.label) == (other.lane, other.priority, other.label)
    assert [2] == list({app.store.counts(_these(id, by_python.id), "queue")["slow"]})


def test_jobs_from_sql_are_found_by_needs(app: Ramify, ask: Ask) -> None:
    """A job from SQL is the fresh one that a later job needs; no second one is made."""
    made = call(ask, "make", {"path": "p", "n": 1})
    user = call(ask, "use", {"path": "p"})
    app.run_until_empty()

    assert app.job(user).result(timeout=0) == "used p"
    assert {made, user} == {job.id for job in app.jobs()}


def test_a_project_is_planned_by_a_worker(app: Ramify, ask: Ask) -> None:
    """A whole project is one JSON document; a mistake in it fails its job with the path to it."""
    good = {"jobs": [{"func": f"{TASKS}:double", "args": 1, "blocking": True}, {"func": f"{TASKS}:double", "args": 2}]}
    bad = {"jobs": [{"jobs": [{"args": 1}]}]}
    [one] = ask("SELECT ramify.enqueue_project(%s)", json.dumps(good))
    [other] = ask("SELECT ramify.enqueue_project(%s)", json.dumps(bad))
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="a project is a JSON object"):
        ask("SELECT ramify.enqueue_project('[1]')")

    app.run_until_empty()

    assert sorted(job.result(timeout=0) for job in app.jobs(tasks=[f"{TASKS}:double"])) == [2, 4]
    assert app.job(one).state == "done"
    with pytest.raises(JobFailed, match=r"jobs\[0\]\.jobs\[0\]"):
        app.job(other).result(timeout=0)


# A whole number that was a float beyond 2**53 is another one in binary than in decimal.
NUMBERS = st.one_of(st.integers(-(1 << 60), 1 << 60), st.floats(-1e9, 1e9))
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), NUMBERS, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('aé"\\\n😀Z', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=VALUES)
def test_marks_are_those_of_python(app: Ramify, ask: Ask, value: Any) -> None:
    """What SQL and Python make of the same arguments is the same mark, so each finds the other's jobs."""
    [mark] = ask("SELECT ramify.make_mark('need', 'm:f', %s::jsonb)", msgspec.json.encode(value).decode())

    assert make_mark("need", "m:f", value) == mark


def test_ids_are_made_as_python_makes_them(app: Ramify, ask: Ask) -> None:
    """Ids made in turn by both are ids, and come in order, as far as the clock is that fine."""
    before = make_id()
    made = [ask("SELECT ramify.make_id()")[0] for _ in range(50)]
    after = make_id()

    assert all(map(is_id, made))
    assert [before[:10], *made[:1], after[:10]] == sorted([before[:10], *made[:1], after[:10]])
    assert len(set(made)) == 50


def _these(*ids: str) -> Which:
    return Which(ids=ids)


def test_what_no_worker_could_read_is_refused(app: Ramify, ask: Ask) -> None:
    """Arguments have the bounds that they have in Python, 64 levels among them; those within run."""
    deep = [json.loads("[" * levels + "]" * levels) for levels in (64, 65)]

    id = call(ask, "double", {"x": deep[0]})
    many = ask(f"CALL ramify.insert_job('{TASKS}', 'double', 1, %s::json)", json.dumps({"x": deep[1]}))

    assert app.job(id).state == "ready"
    assert refusal(ask, "double", {"x": deep[1]}) == "Illegal arguments: more than 64 arrays and objects in each other"
    assert refusal(ask, "double", [deep[1]]) == "Illegal arguments: more than 64 arrays and objects in each other"
    assert many == (None, "Illegal arguments: more than 64 arrays and objects in each other")
    for number in ("1e400", "-1e400", "9" * 5000):
        for form in ("double', '[%s]'", 'double\', \'{"x": {"y": [%s]}}\''):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match="a number of more than 308 digits"):
                ask(f"SELECT ramify.enqueue('{TASKS}:{form % number})")
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="a number of more than 308 digits"):
            ask(f"""SELECT ramify.enqueue_project('{{"jobs": [{{"func": "m:f", "delay": {number}}}]}}')""")
    assert len(list(app.jobs())) == 1


def test_times_and_names_from_sql_have_bounds(app: Ramify, ask: Ask) -> None:
    """A time that is no date, and names that are too long for an index, are refused; as Python refuses them."""
    for due in ("at => 'infinity'", "at => '-infinity'", "at => '10000-01-01'", "delay => '9000 years'"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="in one of the years 1 to 9999"):
            ask(f"SELECT ramify.enqueue('{TASKS}:double', '[1]', {due})")
    for name in ("queue", "label"):
        for statement in (f"enqueue('{TASKS}:double', '[1]'", "enqueue_project('{\"jobs\": []}'"):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match="queue and label have 1 to 500 bytes"):
                ask(f"SELECT ramify.{statement}, {name} => %s)", "界" * 167)

    ask(f"SELECT ramify.enqueue('{TASKS}:double', '[1]', at => '9999-12-31', queue => %s)", "界" * 166)
    assert app.counts() == {"scheduled": 1}
