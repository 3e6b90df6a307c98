"""Writing tasks into a store: what they are, what they need, how much of them may run.

Deployed tasks can be enqueued by name from programs that do not have the code. What is wrong with them comes out as
sentences; only what could never work is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from ramify.declared import Declaration, Need
from ramify.errors import BadNode, Cycle
from ramify.graph.fit import DECLARED
from ramify.graph.need import collect_asked, complete, find_loops, say_impossible
from ramify.graph.walk import name_loop
from ramify.model import Rule
from ramify.signature import is_allowed
from ramify.stores.protocol import Store
from ramify.stores.transactional import Transactional, say_without
from ramify.task import declare, terms_of
from ramify.tasks import Tasks

_NOTHING: Final = object()


def deploy(store: Store, tasks: Tasks, reset: bool = False) -> list[str]:
    """Write the tasks of these modules into the store, in place of what was there of these modules; jobs stay, unless
    everything is to be forgotten first (`reset`).

    Return what is wrong with them, in sentences. Raise `Cycle` if tasks need each other, `BadNode` if a need asks for
    an argument that there is not; then nothing is written.
    """
    known, gone = _read_all([] if reset else store.tasks(), tasks)
    if loops := find_loops(_needs(known)):
        raise Cycle(f"these tasks need each other: {name_loop(loops[0], str)}")
    if unfit := _find_unfit(known):
        raise BadNode(unfit[0])
    asked = collect_asked(need for task in known.values() for need in task.needs)
    marked = [replace(task, asked=tuple(sorted(asked.get(task.name, ())))) for task in known.values()]
    if reset:
        store.reset()
    store.declare(marked, gone)
    return find_impossible(known) + _find_without(store, tasks)


def find_wrong(store: Store, tasks: Tasks) -> list[str]:
    """Return what is wrong with the needs of these tasks, in sentences, those that are deployed already included."""
    known, _ = _read_all(store.tasks(), tasks)
    loops = [f"these tasks need each other: {name_loop(loop, str)}" for loop in find_loops(_needs(known))]
    return [*loops, *_find_unfit(known), *find_impossible(known), *_find_without(store, tasks)]


def find_impossible(known: Mapping[str, Declaration]) -> list[str]:
    """Return which needs can never be created, because a required argument has no value."""
    wrong = []
    for task, need in _each_need(known):
        needed = known.get(need.task)
        if needed is None:
            wrong.append(f"{task} needs {need.task}, which is not deployed")
            continue
        *_, missing = complete(needed, {given.name: _NOTHING for given in need.given})
        if missing:
            wrong.append(say_impossible(task, need.task, missing))
    return wrong


def declare_limits(store: Store, tasks: Tasks) -> None:
    """Bring the limits of tasks that were never deployed up to what their functions say."""
    limits = {f"{DECLARED}task:{name}": terms_of(tasks.find(name)).limit for name in tasks.names()}
    stored = store.info().limits
    changed = {name: n for name, n in limits.items() if (stored[name].n if name in stored else None) != n}
    if not changed:
        return
    deployed = {f"{DECLARED}task:{task.name}" for task in store.tasks()}
    for name in sorted(changed.keys() - deployed):
        n = changed[name]
        store.limit(name, None if n is None else Rule(n))


def _read_all(deployed: Sequence[Declaration], tasks: Tasks) -> tuple[dict[str, Declaration], list[str]]:
    """Return all tasks as they will be, and the names of those that are no more."""
    stored = {task.name: task for task in deployed}
    own = {name: declare(tasks.find(name)) for name in sorted(tasks.current())}
    gone = [name for name in stored if name.partition(":")[0] in tasks.modules and name not in own]
    return {name: task for name, task in {**stored, **own}.items() if name not in gone}, gone


def _find_without(store: Store, tasks: Tasks) -> list[str]:
    """Return which of these tasks ask for a transaction that the store does not have."""
    if isinstance(store, Transactional):
        return []
    return [say_without(name) for name in sorted(tasks.current()) if terms_of(tasks.find(name)).tx]


def _needs(known: Mapping[str, Declaration]) -> dict[str, Sequence[Need]]:
    return {name: task.needs for name, task in known.items()}


def _each_need(known: Mapping[str, Declaration]) -> list[tuple[str, Need]]:
    return [(name, need) for name, task in sorted(known.items()) for need in task.needs]


def _find_unfit(known: Mapping[str, Declaration]) -> list[str]:
    """Return which needs ask for arguments, or values, that the task does not take."""
    wrong = []
    for task, need in _each_need(known):
        parameters = {each.name: each for each in known[need.task].parameters} if need.task in known else {}
        if not parameters or any(each.kind == "others" for each in parameters.values()):
            continue
        for given in need.given:
            parameter = parameters.get(given.name)
            if parameter is None:
                wrong.append(f"{task} needs {need.task} with {given.name!r}, which is not an argument of it")
            elif (
                given.same is None and parameter.allowed is not None and not is_allowed(given.value, parameter.allowed)
            ):
                allowed = ",".join(map(repr, parameter.allowed))
                wrong.append(f"{task} needs {need.task} with {given.name}={given.value!r}; it must be one of {allowed}")
    return wrong
