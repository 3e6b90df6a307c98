"""Checklist R3 in jobmaster's words; what the words mean is tested in `tests/requirements/test_r3.py`."""

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramify import Ramify
from ramify.compat import connect
from ramify.compat.jobmaster import Dependency, JobMaster, dep, same, task
from ramify.compat.jobmaster.master import locate
from ramify.compat.jobmaster.task import TASKS, find
from ramify.declared import MONTH
from ramify.task import declare, terms_of
from tests.compat import master_tasks
from tests.compat.master_tasks import any_of, bar, each, fail, foo, task1

HERE = master_tasks.__name__


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests declared is not ours."""
    for name in list(TASKS):
        if not name.startswith(f"{HERE}:"):
            monkeypatch.delitem(TASKS, name)


@pytest.fixture
def master(url: str, place: Path) -> Iterator[JobMaster]:
    """A master on each store."""
    with Ramify(url) as app:
        yield JobMaster(db_engine=app)


@pytest.fixture
def path(place: Path) -> str:
    """A file for what jobs write."""
    return str(place / "file.txt")


def lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def insert(master: JobMaster, name: str, **arguments: Any) -> str:
    id, message = master.insert_job("master_tasks", name, 10, arguments)
    assert (id is not None, message) == (True, "inserted job")
    return str(id)


# 3.1 Tasks


def test_r3_01_task_bare_and_with_arguments(master: JobMaster) -> None:
    """Both are registered."""
    master.deploy()

    assert {f"{HERE}:task1", f"{HERE}:bar"} <= {known.name for known in master.app.store.tasks()}


def test_r3_02_a_task_stays_a_function(path: str) -> None:
    task1(path, 1, 2)

    assert lines(path) == ["3"]


def test_r3_03_and_04_the_keys_are_module_and_function() -> None:
    """The last part of the module's name or all of it; what may be several is an error."""
    assert find("master_tasks", "task1") == find(HERE, "task1") == f"{HERE}:task1"
    assert find("tests", "task1") is None


def test_r3_03_an_ambiguous_key_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "elsewhere.master_tasks:task1", TASKS[f"{HERE}:task1"])

    with pytest.raises(ValueError, match="may be any of elsewhere"):
        find("master_tasks", "task1")
    assert find(HERE, "task1") == f"{HERE}:task1"


def test_r3_05_a_key_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another function of the same name is refused where it is declared; a module may be imported again."""

    def task1() -> None: ...

    task1.__module__, task1.__qualname__ = HERE, "task1"
    with pytest.raises(ValueError, match="another task"):
        task(task1)

    for name in list(TASKS):
        monkeypatch.setitem(TASKS, name, TASKS[name])
    importlib.reload(master_tasks)


def test_r3_06_and_07_help_and_choices_are_registered() -> None:
    """From the docstring, and from the annotation."""
    assert [each.help for each in declare(task1).parameters if each.name == "file_path"] == ["where it goes"]
    assert [each.allowed for each in declare(bar).parameters if each.name == "letter"] == [("A", "B", "C")]


def test_r3_08_and_09_wrong_arguments_are_refused(master: JobMaster, path: str) -> None:
    """A value that is not allowed, and a name that there is not."""
    value = master.insert_job("master_tasks", "each", {"file_path": path, "letter": "Z"})
    name = master.insert_job("master_tasks", "foo", {"file_path": path, "number": 1, "colour": "red"})

    assert value[0] is None and "letter must be one of 'A','B','C'" in value[1]
    assert name[0] is None and "no argument 'colour'" in name[1]
    assert master.jobs_in_queue() == []


def test_r3_10_and_11_limits_and_units_are_the_tasks() -> None:
    """`process_limit` is the limit over all workers, `process_units` what a job takes of its host."""
    assert (terms_of(bar).limit, terms_of(any_of).how.units) == (3, 7)


def test_r3_11_a_job_that_does_not_fit_waits(master: JobMaster, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the argument, or the variable; a smaller one may pass."""
    monkeypatch.setenv("JOBMASTER_SYSTEM_PROCESS_UNITS", "5")
    small = JobMaster(db_engine=master.app)
    Path(path).touch()
    insert(master, "foo", file_path=path, number=1)
    insert(master, "bar", file_path=path, number=0)
    master.run()
    waiting = insert(master, "any_of", file_path=path)

    assert small.system_process_units == 5
    assert (small.run(), small.job(waiting).status_str) == (0, "waiting")
    assert JobMaster(db_engine=master.app, system_process_units=7).run() == 1
    assert JobMaster(db_engine=master.app).system_process_units == 5


def test_r3_12_all_means_one_job_for_each_value(master: JobMaster, path: str) -> None:
    insert(master, "each", file_path=path, letter="ALL")
    master.run()

    assert lines(path) == ["A", "B", "C"]


# 3.2 Insertion


def test_r3_20_and_21_a_job_is_inserted_in_either_order(master: JobMaster, path: str) -> None:
    """Priority before arguments as the document has it, or after them as the program had; arguments may be JSON."""
    document = master.insert_job("master_tasks", "task1", 10, f'{{"file_path": "{path}", "a": 1, "b": 2}}')
    program = master.insert_job("master_tasks", "task1", {"file_path": path, "a": 1, "b": 3}, 5)

    assert [message for _, message in (document, program)] == ["inserted job"] * 2
    assert [job.priority for job in master.jobs_in_queue()] == [10, 5]
    assert [job.status for job in master.jobs_in_queue()] == [1, 1]
    first = master.pop_job()
    assert first is not None and first.execute().status_str == "complete"
    assert lines(path) == ["3"]


def test_r3_22_to_25_messages_of_insertion(master: JobMaster, path: str) -> None:
    """What was done, or why nothing was."""
    fine = master.insert_job("master_tasks", "foo", {"file_path": path, "number": 1})
    unknown = master.insert_job("master_tasks", "missing", {})
    missing = master.insert_job("master_tasks", "task1", {"a": 1})

    assert fine[1] == "inserted job"
    assert unknown == (None, "Invalid task: master_tasks.missing")
    assert missing == (None, "Missing arguments: file_path, b")
    assert [(job.job_id, job.priority) for job in master.jobs_in_queue()] == [(fine[0], 1)]


def test_r3_26_a_waiting_job_with_the_same_arguments_is_used(master: JobMaster, path: str) -> None:
    arguments = {"file_path": path, "number": 1}
    first, again = (master.insert_job("master_tasks", "foo", dict(arguments)) for _ in range(2))
    other = master.insert_job("master_tasks", "foo", arguments | {"number": 2})
    master.run()
    later = master.insert_job("master_tasks", "foo", arguments)

    assert again == (first[0], "job already in queue")
    assert [message for _, message in (other, later)] == ["inserted job"] * 2


def test_r3_27_a_program_without_the_code_inserts(
    master: JobMaster, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what was deployed."""
    master.deploy()
    monkeypatch.setattr(sys, "modules", {name: module for name, module in sys.modules.items() if name != HERE})
    with monkeypatch.context() as patch:
        for name in list(TASKS):
            patch.delitem(TASKS, name)
        inserted = master.insert_job(HERE, "foo", {"file_path": path, "number": 1})
        missing = master.insert_job(HERE, "foo", {})

    assert inserted[1] == "inserted job"
    assert missing == (None, "Missing arguments: file_path, number")


def test_r3_28_higher_priority_first_then_older(master: JobMaster, path: str) -> None:
    for number, priority in ((1, 1), (2, 5), (3, 5), (4, 1)):
        master.insert_job("master_tasks", "foo", priority, {"file_path": path, "number": number})
    master.run()

    assert lines(path) == ["foo 2", "foo 3", "foo 1", "foo 4"]


# 3.3 Execution


def test_r3_30_nothing_to_pop(master: JobMaster) -> None:
    assert master.pop_job() is None


def test_r3_31_popping_and_executing_runs_this_job(master: JobMaster, path: str) -> None:
    """And records state and result."""
    Path(path).write_text("bar 1 A\n")
    first, second = (insert(master, "foo", file_path=path, number=number) for number in (1, 2))

    job = master.pop_job()

    assert job is not None and (job.job_id, job.status_str) == (first, "running")
    job.execute()
    assert (job.status, master.job(second).status) == (3, 1)


def test_r3_32_run_goes_on_until_nothing_is_left(master: JobMaster, path: str) -> None:
    for number in range(3):
        insert(master, "foo", file_path=path, number=number)

    assert (master.run(), master.run()) == (3, 0)


def test_r3_33_statuses_are_numbers_and_words(master: JobMaster, path: str) -> None:
    """Waiting 1, running 2, complete 3, failed 4, cancelled 5; local 0 is what has no job yet."""
    done, failed = insert(master, "task1", file_path=path, a=1, b=2), insert(master, "fail")
    cancelled = insert(master, "foo", file_path=path, number=9)
    master.job(cancelled).native.cancel()
    waiting = master.job(done).status
    popped = master.pop_job()
    assert popped is not None
    running = popped.status
    popped.execute()
    master.run()

    statuses = [master.job(id).status for id in (done, failed, cancelled)]
    assert [waiting, running, *statuses] == [1, 2, 3, 4, 5]
    assert [master.job(id).status_str for id in (done, failed, cancelled)] == ["complete", "failed", "cancelled"]
    assert "no luck" in (master.job(failed).message or "")


def test_r3_34_a_process_that_dies_leaves_the_job_waiting(master: JobMaster, path: str) -> None:
    id = insert(master, "foo", file_path=path, number=1)
    assert master.pop_job() is not None

    for session in master.app.store.info().sessions:  # as when the lease of a dead process ends
        master.app.store.leave(session.id)
    master.run()

    assert master.job(id).status_str == "complete"


def test_r3_35_the_value_is_kept(master: JobMaster, path: str) -> None:
    """The message is the value as text."""
    insert(master, "foo", file_path=path, number=3)
    id = insert(master, "bar", file_path=path, number=2, letter="B")
    master.run()

    assert (master.job(id).result, master.job(id).message) == ("B", "B")


# 3.4 Dependencies


def test_r3_40_41_and_43_a_dependency_is_a_need_in_hours() -> None:
    """720 if it does not say; nothing is clamped, and less than nothing is refused."""
    assert Dependency(foo, 6, file_path=same).within == 6 * 3600
    assert {Dependency(foo).within, Dependency(foo, 0).within, Dependency(foo, None).within} == {MONTH}
    assert Dependency(foo, 1000).within == 3_600_000
    assert Dependency(foo, number=10).given[0].value == 10
    with pytest.raises(ValueError):
        Dependency(foo, -1)


@pytest.mark.parametrize(("changed", "value"), [(same, 6), (same + 1, 7), (same - 1, 5), (same * 2, 12), (same / 2, 3)])
def test_r3_44_and_45_same_may_be_changed(changed: Any, value: int) -> None:
    from ramify.graph.need import resolve

    [wanted] = resolve([Dependency(foo, number=changed)], {"number": 6}, lambda name: declare(foo))

    assert wanted.values == {"number": value}


def test_r3_47_a_dependency_by_its_name() -> None:
    """In a list or by itself, with `dep` or without."""
    assert [need.task for need in terms_of(any_of).needs] == [f"{HERE}:bar", f"{HERE}:foo"]
    assert dep("master_tasks.foo", 2) == Dependency(foo, 2)


def test_r3_48_and_52_what_is_missing_is_made_in_order(master: JobMaster, path: str) -> None:
    """With the priority of who needs it and one more, its arguments and the defaults."""
    insert(master, "bar", file_path=path, number=1)
    master.run()

    assert lines(path) == ["foo 2", "bar 1 A"]
    assert [job.priority for job in master.jobs_in_queue()] == [10, 11]


def test_r3_51_what_cannot_be_made_is_told(master: JobMaster, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """When deployed, and by the job that fails; nothing loops."""
    wrong = master.deploy()
    id = insert(master, "any_of", file_path=path)
    master.run()

    assert any("any_of" in sentence and "cannot be created automatically" in sentence for sentence in wrong)
    assert any(sentence in caplog.text for sentence in wrong)
    assert master.job(id).status_str == "failed"
    assert "has no value" in (master.job(id).message or "")


# 3.5 Deployment


def test_r3_60_a_schema_leaves_others_alone(place: Path) -> None:
    """In PostgreSQL it is a schema; of a file it is one beside it."""

    def twice(address: str) -> tuple[object, object]:
        return locate(address), locate(address, "mine")

    assert twice("postgresql+pg8000://u:p@h/d") == (
        "postgresql+pg8000://u:p@h/d?schema=jobmaster",
        "postgresql+pg8000://u:p@h/d?schema=mine",
    )
    assert twice("postgresql://h/d?schema=theirs") == (
        "postgresql://h/d?schema=theirs",
        "postgresql://h/d?schema=mine",
    )
    assert twice("sqlite+pysqlite:///a.db?durability=fast") == (
        "sqlite+pysqlite:///a.db?durability=fast",
        "sqlite+pysqlite:///a.db.mine?durability=fast",
    )
    assert twice("redis+sentinel://h:1/jobs/0") == (
        "redis+sentinel://h:1/jobs/0",
        "redis+sentinel://h:1/jobs/0?prefix=mine",
    )
    assert twice("dir:///shared/jobs") == ("dir:///shared/jobs", "dir:///shared/jobs.mine")
    assert locate("sqlite://") == "memory:"
    assert locate("memory:") == "memory:"


def test_r3_61_and_62_deploying_again_keeps_jobs(master: JobMaster, path: str) -> None:
    master.deploy()
    id = insert(master, "foo", file_path=path, number=1)
    master.deploy()

    assert master.job(id).status_str == "waiting"


@pytest.mark.parametrize("spelling", ["_reset", "reset"])
def test_r3_63_reset_forgets_jobs(master: JobMaster, path: str, spelling: str) -> None:
    """In both spellings."""
    insert(master, "foo", file_path=path, number=1)

    master.deploy(**{spelling: True})

    assert master.jobs_in_queue() == []


def test_r3_64_an_engine_is_taken_by_its_address(place: Path) -> None:
    """Whatever its driver."""

    class Url:
        def render_as_string(self, hide_password: bool) -> str:
            return f"sqlite+pysqlite:///{place}/engine.db?{'' if hide_password else 'durability=fast'}"

    class Engine:
        url = Url()

    master = JobMaster(db_engine=Engine())
    assert master.app.url == f"sqlite+pysqlite:///{place}/engine.db?durability=fast"
    assert (master.pop_job(), (place / "engine.db").exists()) == (None, True)
    master.app.close()
    connect._open.cache_clear()


def test_r3_64_engines_of_sqlalchemy(place: Path) -> None:
    """The library's own, with the password they hide."""
    sqlalchemy = pytest.importorskip("sqlalchemy")

    engine = sqlalchemy.create_engine(f"sqlite:///{place}/engine.db")
    assert locate(engine) == f"sqlite:///{place}/engine.db"
    hidden = sqlalchemy.engine.make_url("postgresql+pg8000://u:secret@h/d")

    class Engine:
        url = hidden

    assert locate(Engine()) == "postgresql+pg8000://u:secret@h/d?schema=jobmaster"


def test_r3_65_any_logger_will_do(master: JobMaster, capsys: pytest.CaptureFixture[str]) -> None:
    """None, `print`, or an object that logs; others are refused."""
    JobMaster(db_engine=master.app, logger=print).pop_job()
    JobMaster(db_engine=master.app, logger=logging.getLogger("theirs")).pop_job()

    assert capsys.readouterr().out == "info: no job waits\n"
    with pytest.raises(ValueError, match="a logger is"):
        JobMaster(db_engine=master.app, logger=3)


def test_r3_66_a_job_is_popped_once(master: JobMaster, path: str) -> None:
    """By several masters, as by several processes: each has a session of its own."""
    ids = {insert(master, "foo", file_path=path, number=number) for number in range(4)}
    popped = [JobMaster(db_engine=master.app).pop_job() for _ in range(5)]

    assert {job.job_id for job in popped if job is not None} == ids
    assert popped[4] is None
    for job in popped[:4]:
        assert job is not None
        job.execute()


def test_the_tasks_are_those_that_were_declared() -> None:
    assert {each.__name__, fail.__name__} <= {name.rpartition(":")[2] for name in TASKS}
