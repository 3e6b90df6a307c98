"""Project dictionaries as data: what is read from them, and what each mistake is called."""

import json
from pathlib import Path
from typing import Any

import pytest

from ramify import BadNode, Retry
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.project import load, read, read_added
from tests.face.tasks import add, double

ONE = {"func": double, "args": 1}


def test_a_dictionary_becomes_the_same_node_as_job_makes() -> None:
    """`func`, `args` and `kwargs` make a call, options are those of a node."""
    node = read(
        {"func": add, "args": 1, "kwargs": {"scale": 2}, "label": "sum", "priority": 3, "queue": "q", "delay": 5}
    )

    assert (node.task, node.args, node.kwargs, node.function) == ("tests.face.tasks:add", (1,), {"scale": 2}, add)
    assert (node.how.label, node.how.priority, node.how.queue, node.how.delay) == ("sum", 3, "q", 5)
    assert node.how.policy.project


@pytest.mark.parametrize("name", ["tests.face.tasks:double", "tests.face.tasks.double"])
def test_a_function_may_be_named(name: str) -> None:
    """A text names the function, with a colon or with dots, and nothing is imported for it."""
    assert read({"func": name, "args": 1}).task == "tests.face.tasks:double"
    assert read({"func": "no.such:thing"}).task == "no.such:thing"


@pytest.mark.parametrize(
    ("args", "expected"),
    [(1, (1,)), (None, (None,)), ((1, 2), (1, 2)), ([1, 2], ([1, 2],)), ({"a": 1}, ({"a": 1},)), ((), ())],
)
def test_only_a_tuple_is_spread(args: Any, expected: tuple[Any, ...]) -> None:
    """Anything but a tuple is one argument."""
    assert read({"func": "module:function", "args": args}).args == expected


def test_a_retry_may_be_spelt_out() -> None:
    """`retry` is a number or a dictionary of what a `Retry` says."""
    assert read(ONE | {"retry": 2}).how.policy.retry == Retry(2)
    assert read(ONE | {"retry": {"times": 2, "backoff": 0.5}}).how.policy.retry == Retry(2, 0.5)


def test_a_date_may_be_spelt_as_text() -> None:
    """`at` is a number of seconds or a date as ISO 8601 writes it."""
    assert read(ONE | {"at": "2030-01-01T00:00:00+00:00"}).how.at == 1893456000


@pytest.mark.parametrize(
    ("document", "mistake"),
    [
        ({}, "the project: neither 'func' nor 'jobs'"),
        ({"func": None}, "the project: neither 'func' nor 'jobs'"),
        (3, "the project: a job is a dictionary with 'func' or 'jobs', not 3"),
        ({"jobs": 3}, "the project: 'jobs' is a list, not 3"),
        ({"jobs": [ONE, {"jobs": [{"jobs": []}, 7]}]}, r"jobs\[1\]\.jobs\[1\]: a job is a dictionary"),
        ({"jobs": [{"fnuc": double}]}, r"jobs\[0\]: unknown key 'fnuc'; did you mean 'func'\?"),
        ({"jobs": [ONE | {"previousJobArg": True}]}, r"jobs\[0\]: unknown key .* did you mean 'previousJobArgs'"),
        ({"jobs": [ONE | {3: True}]}, r"jobs\[0\]: unknown key 3"),
        ({"jobs": [ONE | {"maxLoop": 3}]}, r"jobs\[0\]: 'maxLoop' belongs to the project as a whole"),
        ({"jobs": [], "maxLoop": "x"}, "the project: 'maxLoop' and 'sleepTime' are numbers"),
        ({"jobs": [], "args": 3}, "the project: 'args' without a 'func' to give it to"),
        ({"jobs": [{"func": 7}]}, r"jobs\[0\]: 'func' is a function or 'module:function', not 7"),
        ({"jobs": [{"func": "nope"}]}, r"jobs\[0\]: 'nope' does not name a function"),
        ({"jobs": [{"func": lambda: 1}]}, r"jobs\[0\]: a lambda"),
        ({"jobs": [{"func": double}]}, r"jobs\[0\]: .*missing a required argument: 'x'"),
        ({"jobs": [ONE | {"kwargs": [1]}]}, r"jobs\[0\]: 'kwargs' is a dictionary"),
        ({"jobs": [ONE | {"priority": "high"}]}, r"jobs\[0\]: priority is a whole number"),
        ({"jobs": [ONE | {"retry": {"tims": 1}}]}, r"jobs\[0\]: .*unknown field `tims`"),
        ({"jobs": [ONE | {"at": "noon"}]}, r"jobs\[0\]: .*noon"),
        ({"jobs": [ONE | {"previousJobArgs": 1}]}, r"jobs\[0\]: 'previousJobArgs' is true or false, not 1"),
    ],
    ids=range(20),
)
def test_every_mistake_is_named_with_its_path(document: Any, mistake: str) -> None:
    """`BadNode` begins with the path to the mistake."""
    with pytest.raises(BadNode, match=f"^{mistake}"):
        read(document)


def test_a_project_in_itself_is_refused() -> None:
    """A dictionary that contains itself is found; one that stands in two places is two jobs."""
    endless: dict[str, Any] = {"jobs": [ONE]}
    endless["jobs"].append({"jobs": [ONE, endless]})

    with pytest.raises(BadNode, match=r"^jobs\[1\]\.jobs\[1\]: contains itself"):
        read(endless)
    assert len(sketch([read({"jobs": [ONE, ONE]})])) == 3


def test_ten_thousand_levels_are_fine() -> None:
    """Neither reading nor planning recurses, and a mistake at the bottom has its path."""
    document: dict[str, Any] = ONE
    wrong: dict[str, Any] = {}
    for _ in range(10_000):
        document, wrong = {"jobs": [document]}, {"jobs": [wrong]}

    assert len(plan(sketch([read(document)]), make_ids).rows) == 10_001
    with pytest.raises(BadNode, match=r"^jobs\[0\]\.jobs\[0\].*: neither"):
        read(wrong)


def test_added_jobs_are_read_as_nodes() -> None:
    """A list is several nodes, a dictionary one, and mistakes are named by their path in `addJobs`."""
    assert len(read_added([ONE, ONE])) == 2
    assert [len(node.children) for node in read_added({"jobs": [ONE, ONE]})] == [2]
    assert read_added([]) == []
    with pytest.raises(BadNode, match=r"^addJobs\[1\]\.jobs\[0\]: neither"):
        read_added([ONE, {"jobs": [{}]}])
    with pytest.raises(BadNode, match=r"^addJobs\.jobs\[1\]: neither"):
        read_added({"jobs": [ONE, {}]})
    with pytest.raises(BadNode, match=r"^addJobs: a job is a dictionary"):
        read_added(3)


def test_projects_are_loaded_from_files(tmp_path: Path) -> None:
    """JSON and TOML files hold the same dictionaries."""
    document = {"maxLoop": 3, "jobs": [{"func": "module:function", "args": [1, 2]}]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    (tmp_path / "a.toml").write_text('maxLoop = 3\n[[jobs]]\nfunc = "module:function"\nargs = [1, 2]\n')

    assert load(tmp_path / "a.json") == load(tmp_path / "a.toml") == document


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{"),
        ("a.json", "[]"),
        ("a.toml", "="),
        ("b.json", "[" * 9999),
        ("b.json", '{"jobs": [], "jobs": []}'),
    ],
)
def test_a_file_that_holds_no_project_is_named(tmp_path: Path, name: str, text: str) -> None:
    """`BadNode` begins with the file."""
    (tmp_path / name).write_text(text)

    with pytest.raises(BadNode, match=rf"{name}: "):
        load(tmp_path / name)
