"""What is done once for jobs of `JobProc` classes: see whether the arguments are right, name them, prepare them.

It is user's code, so it is done by the program that enqueues, or in the process of the job that spawns; a job whose
class is not imported there goes without.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ramify.codec import annotations, decode, restore
from ramify.errors import BadArguments, BadNode
from ramify.graph.sketch import Flat
from ramify.proc import JobProc, is_proc
from ramify.task import find_function


def create(flats: Sequence[Flat]) -> list[JobProc]:
    """Make the procedures that these jobs will run and name the jobs; raise what a constructor raises.

    Whoever stores the jobs calls `post_create` of each when nothing else is in the way. A procedure that takes results
    of other jobs is made when those are known, in the worker. Raise `BadNode` if it has a `post_create`.
    """
    tasks = {flat.task for flat in flats if flat.task is not None}
    procs = {task: found for task in tasks if is_proc(found := find_function(task))}
    made: list[JobProc] = []
    for flat in flats if procs else ():
        proc = procs.get(flat.task or "")
        if proc is None:
            continue
        if not flat.slots:
            made.append(_make(proc, flat))
            label = made[-1].label
            if flat.how.label is None and label is not None:
                flat.how = msgspec.structs.replace(flat.how, label=label[:500] or None)
        elif proc.post_create is not JobProc.post_create:
            raise BadNode(
                f"{flat.task} takes the result of another job, so there is nothing yet for its post_create; "
                "do that in run, or pass what is known"
            )
    return made


def _make(proc: type[JobProc], flat: Flat) -> JobProc:
    args, kwargs = decode(flat.args)
    bound = _bind(proc, flat.task or "", args, kwargs)
    made: Callable[..., object] = proc
    hints = annotations(made)
    for name, parameter in bound.signature.parameters.items():
        if name in bound.arguments:
            bound.arguments[name] = _restore(parameter, hints.get(name, Any), bound.arguments[name], name)
    return proc(*bound.args, **bound.kwargs)


def _bind(proc: type[JobProc], task: str, args: list[Any], kwargs: dict[str, Any]) -> inspect.BoundArguments:
    try:
        return inspect.signature(proc).bind(*args, **kwargs)
    except TypeError as error:
        raise BadArguments(f"{task}: {error}") from None


def _restore(parameter: inspect.Parameter, hint: Any, value: Any, name: str) -> Any:
    """Return an argument as the type that its parameter asks for, as the worker will hand it over."""
    if isinstance(hint, list | tuple | set | frozenset):  # values, which were checked
        return value
    what = f"argument {name!r}"
    if parameter.kind is parameter.VAR_POSITIONAL:
        return tuple(restore(each, hint, what) for each in value)
    if parameter.kind is parameter.VAR_KEYWORD:
        return {key: restore(each, hint, what) for key, each in value.items()}
    return restore(value, hint, what)
