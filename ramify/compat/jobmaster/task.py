"""`task` and `Dependency`: what a function needs, by jobmaster's names, and the tasks that were declared here."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar, overload

from msgspec import Struct

from ramify import task as native
from ramify.declared import Need
from ramify.need import needs
from ramify.task import Function, name_of

F = TypeVar("F", bound=Callable[..., object])


class Declared(Struct, frozen=True):
    """A declared task: the key of its type, and its function."""

    type_key: str
    function: Function


TASKS: Final[dict[str, Declared]] = {}
"""The declared tasks by their native names. A `JobMaster` is told its tasks in no other way."""


@overload
def task(function: F, /) -> F: ...
@overload
def task(
    *,
    dependencies: Need | str | Sequence[Need | str] = (),
    process_limit: int | None = None,
    process_units: int | None = None,
    write_all: str | Sequence[str] = (),
    type_key: str | None = None,
) -> Callable[[F], F]: ...
def task(
    function: F | None = None,
    /,
    *,
    dependencies: Need | str | Sequence[Need | str] = (),
    process_limit: int | None = None,
    process_units: int | None = None,
    write_all: str | Sequence[str] = (),
    type_key: str | None = None,
) -> F | Callable[[F], F]:
    """Make a function a task; it stays callable as it was. `write_all` names the arguments that take "ALL".

    Raise `ValueError` if the module has declared another task of this name.
    """
    several = [dependencies] if isinstance(dependencies, Need | str) else dependencies
    names = [name.strip() for name in write_all.split(",")] if isinstance(write_all, str) else list(write_all)

    def declare(function: F) -> F:
        wanted = [Dependency(each) if isinstance(each, str) else each for each in several]
        mark = native(limit=process_limit, units=process_units, needs=wanted, fan_out=[name for name in names if name])
        name = name_of_new(mark(function))
        TASKS[name] = Declared(type_key or function.__module__.rpartition(".")[2], function)
        return function

    return declare if function is None else declare(function)


def name_of_new(function: Function) -> str:
    """Return the native name of a task that is being declared, of which the module may know nothing yet."""
    name = f"{function.__module__}:{function.__qualname__}"
    before = TASKS.get(name)
    # A module that is imported again declares the same function in the same place.
    if before is not None and _place(before.function) != _place(function):
        raise ValueError(f"there is another task {name} already; give one of them another name")
    return name


def _place(function: Function) -> object:
    code = getattr(function, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else function


def find(type_key: str, task_key: str) -> str | None:
    """Return the native name of a task, whose type is the last part of its module's name, or all of it.

    Raise `ValueError` if that means several.
    """
    found = {
        name
        for name, declared in TASKS.items()
        if name.endswith(f":{task_key}") and type_key in (declared.type_key, declared.function.__module__)
    }
    if (exact := f"{type_key}:{task_key}") in found:
        return exact
    if len(found) > 1:
        raise ValueError(f"{type_key}.{task_key} may be any of {', '.join(sorted(found))}; give the whole module name")
    return next(iter(found), None)


def Dependency(task: Function | str, hours: float | None = None, /, **arguments: Any) -> Need:
    """Say that a job of a task, or of "type.task", must have been done in the last so many hours (720).

    Raise `ValueError` for a negative time.
    """
    if isinstance(task, str):
        type_key, _, task_key = task.rpartition(".")
        wanted: Function | str = find(type_key, task_key) or f"{type_key}:{task_key}"
    else:
        wanted = name_of(task)
    return needs(wanted, timedelta(hours=hours) if hours else None, **arguments)


dep = Dependency
