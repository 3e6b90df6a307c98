"""Functions as tasks: which have a name that a worker can find, and what `task` adds to them."""

import builtins
import functools
import re
import sys
import types
from typing import Any

import pytest

from ramify import BadArguments, BadNode, BadTask, Retry, job, task
from ramify.model import Policy
from ramify.tasks import Tasks
from tests.face import tasks
from tests.face.tasks import add, bare, double, optioned, wrapped


def test_a_decorated_function_is_called_as_before() -> None:
    """`task`, bare or with options, returns the same function."""

    def function(x: int) -> int:
        return x + 1

    assert task(function) is function
    assert task(queue="slow")(function) is function
    assert bare(3) == optioned(3) == 3


def test_options_of_a_task_hold_for_its_jobs() -> None:
    """What `task` was given is found in each node that `job` makes, and a node's own options come on top."""
    how = job(optioned, 1).how

    assert (how.queue, how.priority, how.slot, how.units, how.label) == ("slow", 7, "press", 2, "optioned")
    assert how.policy == Policy(retry=Retry(times=3), timeout=60)
    assert job(optioned, 1).options(priority=1).how.priority == 1
    assert job(optioned, 1).options(priority=1).how.queue == "slow"
    assert job(bare, 1).how == job(double, 1).how


def test_options_given_later_hold_for_later_jobs() -> None:
    """A function that had jobs already can still be made a task."""

    def make(x: int) -> int:
        return x

    make.__qualname__, make.__module__ = "double", tasks.__name__
    before = job(make, 1)
    task(queue="late")(make)

    assert before.how.queue is None
    assert job(make, 1).how.queue == "late"


def test_a_mistake_in_an_option_is_reported_at_once() -> None:
    """`task` refuses wrong options where they stand."""
    with pytest.raises(BadNode, match="priority is a whole number"):
        task(priority="high")  # type: ignore[call-overload]
    with pytest.raises(BadTask, match="takes no options"):
        task(builtins.print)
    with pytest.raises(TypeError, match="color"):
        task(color="red")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="one job alone"):
        task(hold=True)  # type: ignore[call-overload]


def test_a_task_is_named_by_module_and_function() -> None:
    """A node carries `module:function`, also for a function in a decorator that keeps its name."""
    assert job(double, 1).task == "tests.face.tasks:double"
    assert job(wrapped, 1).task == "tests.face.tasks:wrapped"
    assert job(tasks.alias, 1).task == "tests.face.tasks:double"
    assert job("some.module:function").task == job("some.module.function").task == "some.module:function"


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        (tasks.anonymous, "a lambda of tests.face.tasks .* define it with `def`"),
        (tasks.make_nested(), "tests.face.tasks:nested is defined inside make_nested.* move it to the top"),
        (tasks.partial, "give its arguments to job"),
        (tasks.bound, "Holder.method is bound to an object"),
        (tasks.Holder.method, "Holder.method is a method; make it a function"),
        (tasks.Holder.static, "Holder.static is a method; make it a function"),
        (tasks.Holder, "Holder is a class; a task is a function"),
        (tasks.counted, "counted is a generator.* return a list"),
        (builtins.print, "print is built in; call it from a function"),
        (functools.lru_cache(tasks.make_nested()), "is defined inside make_nested"),
        (3, "3 is not a function"),
        ([], r"\[\] is not a function"),
        ("nothing", "'nothing' does not name a function; write it as 'module:function'"),
        ("os:pa th", "does not name a function"),
    ],
)
def test_what_no_worker_could_find_is_refused_with_the_remedy(function: Any, remedy: str) -> None:
    """`job` raises `BadTask` at once, and says what to do instead."""
    with pytest.raises(BadTask, match=remedy):
        job(function)


def test_a_function_under_another_name_is_refused() -> None:
    """A function that its module does not have under its own name could not be found again."""

    def orphan() -> None:
        return None

    orphan.__qualname__, orphan.__module__ = "orphan", tasks.__name__

    with pytest.raises(BadTask, match=r"tests\.face\.tasks has no 'orphan'"):
        job(orphan)


@pytest.mark.parametrize(
    ("args", "kwargs", "mistake"),
    [
        ((), {}, "missing a required argument: 'x'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"z": 2}, "unexpected keyword argument 'z'"),
        ((1,), {"x": 2}, "multiple values for argument 'x'"),
    ],
)
def test_arguments_are_checked_against_the_signature(args: Any, kwargs: Any, mistake: str) -> None:
    """`BadArguments` names the function, its signature and what is wrong."""
    with pytest.raises(BadArguments, match=re.escape("tests.face.tasks:add(x: int, y: int = 10, *, scale: int = 1)")):
        job(add, *args, **kwargs)
    with pytest.raises(BadArguments, match=mistake):
        job(add, *args, **kwargs)


def test_arguments_that_fit_are_kept() -> None:
    """Positional and keyword arguments stand in the node as they were given."""
    node = job(add, 1, scale=2)

    assert (node.args, node.kwargs) == ((1,), {"scale": 2})
    assert job(add, 1, 2).kwargs is None


def test_only_functions_defined_in_the_modules_are_served() -> None:
    """Imports, aliases, classes, methods, lambdas and partials of a module are not tasks of it."""
    names = Tasks(["tests.face.tasks"]).names()

    assert {f"tests.face.tasks:{name}" for name in ("double", "later", "bare", "wrapped", "cached")} <= names
    for name in ("alias", "system", "joined", "Point", "Holder", "anonymous", "bound", "partial", "counted"):
        assert f"tests.face.tasks:{name}" not in names
    assert all(name.startswith("tests.face.tasks:") for name in names)


@pytest.mark.parametrize("name", ["os:system", "posix:system", "tests.face.tasks:system", "builtins:eval", "nonsense"])
def test_data_is_never_code(name: str) -> None:
    """A name that is not that of a function of the served modules is refused, and the message says what is served."""
    with pytest.raises(BadTask, match=rf"{name} is not a function of .*\(tests.face.tasks\)"):
        Tasks([tasks]).find(name)


def test_a_task_is_found_by_its_name() -> None:
    """`find` returns the function as its module has it now."""
    assert Tasks([tasks]).find("tests.face.tasks:double") is double
    assert Tasks(["tests.face.tasks"]).find("tests.face.tasks:wrapped") is wrapped


def test_a_missing_module_is_named() -> None:
    """`BadTask` names a module that does not exist; an error inside a module is shown as it is."""
    with pytest.raises(BadTask, match=r"no module .tests\.face\.nowhere."):
        Tasks(["tests.face.nowhere"]).names()


def test_a_renamed_task_is_found_by_its_old_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """`aliases` are names that it had; a function that has such a name now goes before it."""
    module = types.ModuleType("renamed")
    code = """
from ramify import task

@task(aliases=["renamed:old", "elsewhere:old", "renamed:other"])
def new(): ...

def other(): ...
"""
    exec(code, vars(module))
    monkeypatch.setitem(sys.modules, "renamed", module)

    served = Tasks(["renamed"])

    assert served.names() == {"renamed:new", "renamed:other", "renamed:old", "elsewhere:old"}
    assert served.current() == {"renamed:new", "renamed:other"}
    assert served.find("elsewhere:old") is served.find("renamed:old") is module.new
    assert served.find("renamed:other") is module.other
    with pytest.raises(BadTask, match="aliases is a list of names"):
        task(aliases="renamed:old")
