"""Checklist R1, project trees: each line is a test named after its id.

The words `manager`, `getProjectResults` and `Queue` come with the adapter; here the same dictionaries go to
`app.enqueue`, which is what the adapter will call. Where an order is claimed, jobs are claimed one by one and executed
as the test wants, so that nothing depends on speed.
"""

from pathlib import Path
from typing import Any

import pytest

from ramify import BadNode, Job, JobFailed, Ramify, State, TimedOut
from ramify.model import Which
from tests.requirements.r1_tasks import (
    add_in_order,
    addJobs,
    addJobsAsPrinted,
    addSubJob,
    addSubJobAsPrinted,
    answer,
    count_down,
    echo,
    fail,
    meet,
    pair,
    pair_in_list,
    simpleTask,
)

Project = dict[str, Any]

PARALLEL: Project = {"jobs": [{"func": simpleTask, "args": 1}, {"func": simpleTask, "args": 2}]}
IN_SERIES: Project = {"jobs": [{"func": simpleTask, "args": 1, "blocking": True}, {"func": simpleTask, "args": 2}]}
DEPENDENT: Project = {
    "jobs": [
        {"func": simpleTask, "args": 1},
        {"func": simpleTask, "previousJobArgs": True},
        {"func": simpleTask, "args": 3},
    ]
}
NESTED: Project = {
    "jobs": [
        {"blocking": True, "jobs": [{"func": simpleTask, "args": 1}, {"func": simpleTask, "args": 2}]},
        {"func": simpleTask, "args": 3},
    ]
}
EXAMPLES = [(PARALLEL, [2, 4]), (IN_SERIES, [2, 4]), (DEPENDENT, [2, 4, 6]), (NESTED, [[2, 4], 6])]


def run(app: Ramify, project: Project) -> Any:
    """Enqueue, work until nothing is left, and return the result."""
    job = app.enqueue(project)
    app.run_until_empty()
    return job.result(timeout=0)


def adding(adder: Any, last: int) -> Project:
    """The document's project in which a job of a blocking group adds jobs."""
    group = {"blocking": True, "jobs": [{"func": simpleTask, "args": 1}, {"func": adder, "args": 2}]}
    return {"jobs": [group, {"func": simpleTask, "args": last}]}


def labelled(*nodes: tuple[str, Project]) -> Project:
    """A project of these nodes, each with its name as label, so that a test can tell claims apart."""
    return {"jobs": [{"func": simpleTask, "args": 1, "label": label} | node for label, node in nodes]}


class Claims:
    """Claims everything that may start, and executes what the test names."""

    def __init__(self, app: Ramify) -> None:
        self.app = app
        self.jobs: dict[str, Job[Any]] = {}

    def startable(self) -> set[str]:
        """Return the labels of all jobs that were allowed to start so far and have not been executed."""
        while (job := self.app.claim()) is not None:
            [row] = self.app.store.jobs(Which(ids=(job.id,)))
            self.jobs[row.label or ""] = job
        return set(self.jobs)

    def execute(self, label: str) -> None:
        self.startable()
        self.jobs.pop(label).execute()


@pytest.fixture
def claims(app: Ramify) -> Claims:
    return Claims(app)


# 1.1 Shape and entry points


def test_r1_01_a_project_of_two_jobs_returns_both_results(app: Ramify) -> None:
    """The first project of the document returns [2, 4] (`manager` and `getProjectResults` come with the adapter)."""
    assert run(app, PARALLEL) == [2, 4]


def test_r1_02_enqueue_is_the_one_spelling(app: Ramify) -> None:
    """Natively there is `enqueue` only; `enque`, the document's typo, is offered by the adapter's `Queue` (to come)."""
    assert app.enqueue(simpleTask, 1).state == State.READY
    assert not hasattr(app, "enque")


def test_r1_03_unwrapped_args_are_one_argument(app: Ramify) -> None:
    """`args: 1` calls f(1)."""
    assert run(app, {"jobs": [{"func": echo, "args": 1}]}) == [[[1], {}]]


def test_r1_04_a_tuple_of_args_is_spread(app: Ramify) -> None:
    """`args: (1, 2)` calls f(1, 2)."""
    assert run(app, {"jobs": [{"func": echo, "args": (1, 2)}]}) == [[[1, 2], {}]]


def test_r1_05_a_list_of_args_is_one_argument(app: Ramify) -> None:
    """`args: [1, 2]` calls f([1, 2])."""
    assert run(app, {"jobs": [{"func": echo, "args": [1, 2]}]}) == [[[[1, 2]], {}]]


def test_r1_06_kwargs_are_keyword_arguments(app: Ramify) -> None:
    """`kwargs` are passed by name, also together with `previousJobArgs`."""
    project = {
        "jobs": [
            {"func": echo, "args": 1, "kwargs": {"y": 2}},
            {"func": echo, "previousJobArgs": True, "kwargs": {"z": 3}},
        ]
    }

    first = [[1], {"y": 2}]
    assert run(app, project) == [first, [[first], {"z": 3}]]


def test_r1_07_no_args_means_none(app: Ramify) -> None:
    """Neither `args` nor `previousJobArgs` calls f()."""
    assert run(app, {"jobs": [{"func": echo}]}) == [[[], {}]]


def test_r1_08_an_empty_project_returns_an_empty_list(app: Ramify) -> None:
    """`{'jobs': []}` returns []."""
    assert run(app, {"jobs": []}) == []


def test_r1_09_one_worker_completes_every_example(tmp_path: Path) -> None:
    """A worker with one process completes every example: nothing occupies it while it waits for others."""
    with Ramify(f"sqlite:///{tmp_path}/jobs.db", tasks=["tests.requirements.r1_tasks"]) as app:
        examples = [*EXAMPLES, (adding(addJobs, 3), [[2, 4, 0, 2], 6]), (adding(addSubJob, 3), [[2, 4, [0, 2]], 6])]
        jobs = [app.enqueue(project) for project, _ in examples]
        work(app, children=1)

        assert [job.result(timeout=0) for job in jobs] == [expected for _, expected in examples]


def test_r1_10_func_beside_jobs_runs_after_them(app: Ramify, claims: Claims) -> None:
    """A node with `jobs` and `func` runs `func` as its body, after its children."""
    project = {"func": answer, "args": "body", "label": "body", "jobs": labelled(("child", {}))["jobs"]}
    job = app.enqueue(project)

    assert claims.startable() == {"child"}
    claims.execute("child")
    assert claims.startable() == {"body"}
    claims.execute("body")
    assert job.result(timeout=0) == "body"


def test_r1_11_neither_jobs_nor_func_is_refused_with_the_path(app: Ramify) -> None:
    """A node with neither is refused when it is submitted, and nothing is stored."""
    project = {"jobs": [{"jobs": [*PARALLEL["jobs"], {"args": 1}]}]}

    with pytest.raises(BadNode, match=r"^jobs\[0\]\.jobs\[2\]: neither 'func' nor 'jobs'"):
        app.enqueue(project)

    assert app.counts() == {}


def test_r1_12_results_come_in_the_order_of_the_array(app: Ramify, claims: Claims) -> None:
    """Results stand by position, whichever job ends first."""
    job = app.enqueue(labelled(("a", {"args": 1}), ("b", {"args": 2}), ("c", {"args": 3})))

    for label in "cab":
        claims.execute(label)

    app.run_until_empty()
    assert job.result(timeout=0) == [2, 4, 6]


def test_r1_13_groups_return_lists_at_any_depth(app: Ramify) -> None:
    """The result of a group is the list of its children's results, groups in it included."""
    one, two = PARALLEL["jobs"]

    assert run(app, {"jobs": [one, {"jobs": [{"jobs": [two]}, {"jobs": []}, one]}]}) == [2, [[4], [], 2]]


def test_r1_14_loop_keys_become_a_time_limit(app: Ramify) -> None:
    """`maxLoop * sleepTime` is the project's time limit in seconds; without them there is none; `loop` is accepted."""

    def limit(keys: Project) -> float | None:
        [row] = app.store.jobs(Which(ids=(app.enqueue(PARALLEL | keys).id,)))
        return row.limit

    assert limit({"maxLoop": 10, "sleepTime": 0.5, "loop": 0}) == 5
    assert limit({"maxLoop": 10}) == 10
    assert limit({"sleepTime": 2}) == 1200
    assert limit({}) is None


def test_r1_15_a_snapshot_shows_status_id_and_result(app: Ramify) -> None:
    """The handle returns the project with `status`, `id` and `result` in each node, and it can be submitted again."""
    job = app.enqueue(NESTED)
    before = job.tree()
    app.run_until_empty()
    after = job.tree()

    [group, last] = after["jobs"]
    assert (after["id"], after["status"], after["result"]) == (job.id, "done", [[2, 4], 6])
    assert (group["status"], group["result"]) == ("done", [2, 4])
    assert [(node["status"], node["result"]) for node in group["jobs"]] == [("done", 2), ("done", 4)]
    assert (last["id"], last["result"]) == (job.children[1].id, 6)
    assert [node["status"] for node in before["jobs"]] == ["waiting", "waiting"]
    assert app.enqueue({"jobs": [PARALLEL["jobs"][0] | {"status": "done", "id": "x", "result": 2}]})


# 1.2 Order


def test_r1_20_plain_siblings_run_at_the_same_time(tmp_path: Path) -> None:
    """With two processes two siblings run together: each returns only once it has seen the other running."""
    places = [(str(tmp_path), "a", "b"), (str(tmp_path), "b", "a")]
    with Ramify(f"sqlite:///{tmp_path}/jobs.db", tasks=["tests.requirements.r1_tasks"]) as app:
        job = app.enqueue({"jobs": [{"func": meet, "args": place} for place in places]})
        work(app, children=2)

        assert job.result(timeout=0) == ["a", "b"]


def test_r1_21_a_blocking_sibling_is_waited_for(app: Ramify, claims: Claims) -> None:
    """After a blocking job the next does not start before it has finished."""
    job = app.enqueue(labelled(("first", {"blocking": True}), ("second", {"args": 2})))

    assert claims.startable() == {"first"}
    claims.execute("first")
    assert claims.startable() == {"second"}
    claims.execute("second")
    app.run_until_empty()
    assert job.result(timeout=0) == [2, 4]


def test_r1_22_a_blocking_group_is_waited_for_as_a_whole(app: Ramify, claims: Claims) -> None:
    """The job after a blocking group starts only after all of its children."""
    inner = labelled(("one", {}), ("two", {"args": 2}))
    job = app.enqueue({"jobs": [inner | {"blocking": True}, *labelled(("three", {"args": 3}))["jobs"]]})

    assert claims.startable() == {"one", "two"}
    claims.execute("two")
    assert claims.startable() == {"one"}
    claims.execute("one")
    assert claims.startable() == {"three"}
    claims.execute("three")
    app.run_until_empty()
    assert job.result(timeout=0) == [[2, 4], 6]


def test_r1_23_previous_job_args_wait_and_hold_nobody(app: Ramify, claims: Claims) -> None:
    """The job that takes a result waits for it; the one after it does not wait."""
    previous = {"func": simpleTask, "label": "takes", "previousJobArgs": True}
    jobs = labelled(("gives", {}), ("free", {"args": 3}))["jobs"]
    job = app.enqueue({"jobs": [jobs[0], previous, jobs[1]]})

    assert claims.startable() == {"gives", "free"}
    claims.execute("gives")
    assert claims.startable() == {"free", "takes"}
    claims.execute("takes")
    claims.execute("free")
    app.run_until_empty()
    assert job.result(timeout=0) == [2, 4, 6]


def test_r1_24_blocking_waits_for_that_job_only(app: Ramify, claims: Claims) -> None:
    """Of [slow, blocking, last] the last waits for the blocking one, not for the slow one before it."""
    app.enqueue(labelled(("slow", {}), ("blocking", {"blocking": True}), ("last", {})))

    assert claims.startable() == {"slow", "blocking"}
    claims.execute("blocking")
    assert claims.startable() == {"slow", "last"}


def test_r1_25_blocking_with_previous_job_args_holds_from_the_start(app: Ramify, claims: Claims) -> None:
    """Later siblings wait for a blocking job that itself still waits for a result."""
    blocking = {"func": simpleTask, "label": "blocking", "previousJobArgs": True, "blocking": True}
    jobs = labelled(("first", {}), ("last", {}))["jobs"]
    app.enqueue({"jobs": [jobs[0], blocking, jobs[1]]})

    assert claims.startable() == {"first"}
    claims.execute("first")
    assert claims.startable() == {"blocking"}
    claims.execute("blocking")
    assert claims.startable() == {"last"}


def test_r1_26_a_group_is_done_with_its_last_child(app: Ramify, claims: Claims) -> None:
    """A group is not done while any child is unfinished, added ones included."""
    job = app.enqueue({"jobs": labelled(("plain", {}))["jobs"] + [{"func": addJobs, "args": 1, "label": "adds"}]})

    claims.execute("plain")
    assert job.state != State.DONE
    claims.execute("adds")
    assert claims.startable() == {""}
    assert job.state != State.DONE
    claims.execute("")
    app.run_until_empty()
    assert job.state == State.DONE
    assert job.result(timeout=0) == [2, 2, 0]


def test_r1_27_nested_blocking_holds_its_own_array_only(app: Ramify, claims: Claims) -> None:
    """A blocking job in a group holds later jobs of that group, and of no other array."""
    inner = labelled(("blocking", {"blocking": True}), ("held", {}))
    app.enqueue({"jobs": [inner, *labelled(("outside", {}))["jobs"], labelled(("elsewhere", {}))]})

    assert claims.startable() == {"blocking", "outside", "elsewhere"}


# 1.3 Results as arguments


def test_r1_30_the_result_of_the_job_before_is_the_argument(app: Ramify) -> None:
    """`previousJobArgs` after a job that returned 2 calls f(2)."""
    previous = {"func": echo, "previousJobArgs": True}

    assert run(app, {"jobs": [{"func": simpleTask, "args": 1}, previous]}) == [2, [[2], {}]]


def test_r1_31_the_result_of_a_group_is_one_argument(app: Ramify) -> None:
    """After a group its nested list is one argument."""
    group = {"jobs": [PARALLEL, PARALLEL]}

    assert run(app, {"jobs": [group, {"func": echo, "previousJobArgs": True}]})[1] == [[[[2, 4], [2, 4]]], {}]


def test_r1_32_a_tuple_is_spread(app: Ramify) -> None:
    """After a job that returned (1, 2) the call is f(1, 2)."""
    assert run(app, {"jobs": [{"func": pair}, {"func": echo, "previousJobArgs": True}]})[1] == [[1, 2], {}]


def test_r1_33_a_list_is_one_argument(app: Ramify) -> None:
    """After a job that returned [1, 2] the call is f([1, 2])."""
    assert run(app, {"jobs": [{"func": pair_in_list}, {"func": echo, "previousJobArgs": True}]})[1] == [[[1, 2]], {}]


def test_r1_34_previous_job_args_win_over_args_with_a_warning(app: Ramify) -> None:
    """With both, `args` is ignored, and a warning says where."""
    project = {"jobs": [{"func": pair}, {"func": echo, "previousJobArgs": True, "args": 7}]}

    with pytest.warns(UserWarning, match=r"jobs\[1\]: 'args' is ignored"):
        job = app.enqueue(project)

    app.run_until_empty()
    assert job.result(timeout=0)[1] == [[1, 2], {}]


def test_r1_35_the_first_of_an_array_has_no_previous_job(app: Ramify) -> None:
    """`previousJobArgs` on the first job is refused at submission, with the path."""
    project = {"jobs": [{"func": pair}, {"jobs": [{"func": echo, "previousJobArgs": True}]}]}

    with pytest.raises(BadNode, match=r"^jobs\[1\]\.jobs\[0\]: .*no previous job"):
        app.enqueue(project)


def test_r1_36_after_a_failed_job_the_dependent_is_skipped(app: Ramify) -> None:
    """The dependent is skipped, the group fails, and asking for the result raises with the cause."""
    job = app.enqueue({"jobs": [{"func": fail}, {"func": echo, "previousJobArgs": True}]})
    app.run_until_empty()

    assert [child.state for child in job.children] == [State.FAILED, State.SKIPPED]
    assert job.state == State.FAILED
    with pytest.raises(JobFailed, match=r"because .*r1_tasks:fail \(\w+\) failed: ValueError: no such luck"):
        job.result(timeout=0)


# 1.4 Adding jobs while running


def test_r1_40_added_jobs_are_appended_to_the_array(app: Ramify) -> None:
    """Nodes in `addJobs` go to the end of the array that the task is in; its own result is `result`."""
    project = {"jobs": [{"func": addJobs, "args": 2}, {"func": simpleTask, "args": 7}]}

    assert run(app, project) == [4, 14, 0, 2]


def test_r1_41_an_added_project_is_one_node(app: Ramify) -> None:
    """`addJobs: {'jobs': [...]}` appends one node, whose result is a list."""
    project = {"jobs": [{"func": addSubJob, "args": 2}, {"func": simpleTask, "args": 7}]}

    assert run(app, project) == [4, 14, [0, 2]]


def test_r1_42_the_add_jobs_example_run_literally(app: Ramify) -> None:
    """The document's own code returns [[2, 4, 0, 2], 6], not what is printed beside it."""
    assert run(app, adding(addJobs, 3)) == [[2, 4, 0, 2], 6]


def test_r1_43_the_add_jobs_result_as_printed(app: Ramify) -> None:
    """With the arguments of the repository's examples the result is the printed one."""
    assert run(app, adding(addJobsAsPrinted, 3)) == [[2, 4, 8, 10], 6]


def test_r1_44_the_add_sub_job_example_run_literally(app: Ramify) -> None:
    """The document's own code returns [[2, 4, [0, 2]], 4]."""
    assert run(app, adding(addSubJob, 2)) == [[2, 4, [0, 2]], 4]


@pytest.mark.parametrize(("last", "result"), [(2, 4), (3, 6)])
def test_r1_45_the_add_sub_job_result_as_printed(app: Ramify, last: int, result: int) -> None:
    """With the arguments of the repository's examples it ends in 4, and in the printed 6 if the last argument is 3."""
    assert run(app, adding(addSubJobAsPrinted, last)) == [[2, 4, [8, 10]], result]


def test_r1_46_a_sibling_waits_for_what_a_blocking_group_gained(app: Ramify, claims: Claims) -> None:
    """The job after a blocking group waits for jobs added to the group, too."""
    group = {"blocking": True, "jobs": [{"func": addJobs, "args": 1, "label": "adds"}]}
    app.enqueue({"jobs": [group, *labelled(("after", {}))["jobs"]]})

    claims.execute("adds")
    assert claims.startable() == {""}
    claims.execute("")
    assert claims.startable() == {"after"}


def test_r1_47_what_a_blocking_job_adds_holds_nobody(app: Ramify, claims: Claims) -> None:
    """In a flat array the blocking adder holds later siblings; the jobs it adds do not."""
    adds = {"func": addJobs, "args": 1, "label": "adds", "blocking": True}
    app.enqueue({"jobs": [adds, *labelled(("later", {}))["jobs"]]})

    assert claims.startable() == {"adds"}
    claims.execute("adds")
    assert claims.startable() == {"later", ""}


def test_r1_48_added_jobs_may_add_jobs(app: Ramify) -> None:
    """Jobs add jobs that add jobs, and the group finishes with the last of them."""
    assert run(app, {"jobs": [{"func": count_down, "args": 5}]}) == [5, 4, 3, 2, 1, 0]


def test_r1_49_nothing_to_add_is_fine(app: Ramify) -> None:
    """`addJobs: []` leaves the result alone."""
    assert run(app, {"jobs": [{"func": answer, "args": {"result": 7, "addJobs": []}}]}) == [7]


def test_r1_50_add_jobs_without_result_returns_none(app: Ramify) -> None:
    """A dictionary with `addJobs` but no `result` means None."""
    added = {"func": "tests.requirements.r1_tasks:simpleTask", "args": 1}

    assert run(app, {"jobs": [{"func": answer, "args": {"addJobs": [added]}}]}) == [None, 2]


def test_r1_51_another_dictionary_is_the_result(app: Ramify) -> None:
    """A dictionary without `addJobs` is the result itself."""
    assert run(app, {"jobs": [{"func": answer, "args": {"result": 7}}]}) == [{"result": 7}]


def test_r1_52_added_nodes_mean_what_submitted_ones_mean(app: Ramify, claims: Claims) -> None:
    """`blocking`, `previousJobArgs` and `jobs` keep their meaning; previous is the node before it in the array."""
    job = app.enqueue({"jobs": [{"func": add_in_order, "args": 3, "label": "adds"}]})

    claims.execute("adds")
    assert len(app_ready(app)) == 2
    app.run_until_empty()
    assert job.result(timeout=0) == [3, 6, 20, [2, 4], [[[2, 4]], {}]]


# 1.5 Operations


def test_r1_60_nothing_needs_to_be_installed_or_started(tmp_path: Path) -> None:
    """With SQLite a project runs without a server (the commands `pool`, `service install` and `empty` are to come)."""
    with Ramify(f"sqlite:///{tmp_path}/jobs.db", tasks=["tests.requirements.r1_tasks"]) as app:
        assert run(app, PARALLEL) == [2, 4]


def test_r1_61_a_project_past_its_limit_raises_and_names_what_is_unfinished(app: Ramify) -> None:
    """When `maxLoop * sleepTime` has passed, asking for the result raises `TimeoutError` naming unfinished nodes."""
    job = app.enqueue(NESTED | {"maxLoop": 0, "sleepTime": 1})

    work(app, children=1)

    with pytest.raises(TimeoutError, match=r"unfinished: .*r1_tasks:simpleTask") as caught:
        job.result(timeout=0)
    assert isinstance(caught.value, TimedOut)


def app_ready(app: Ramify) -> list[Job[Any]]:
    return list(app.jobs(states=[State.READY]))


def work(app: Ramify, children: int) -> None:
    """Let a real worker with so many processes run until nothing is left."""
    app.worker(children=children, burst=True).run()
