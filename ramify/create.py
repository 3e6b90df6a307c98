"""What is done once for jobs of `JobProc` classes: see whether the arguments are right, name them, prepare them.

It is user's code, so it is done by the program that enqueues, or in the process of the job that spawns; a job whose
class is not imported there goes without.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ramify.codec import annotations, decode, restore
from ramify.errors import BadArguments, BadNode
from ramify.graph.sketch import Flat
from ramify.model import Batch, JobId
from ramify.proc import JobProc, is_proc
from ramify.task import find_function

Made = list[tuple[int, JobProc]]
"""Procedures that have a `post_create`, each with the number of its job among those that have a task."""


def create(flats: Sequence[Flat]) -> Made:
    """Make the procedures that these jobs will run and name the jobs; raise what a constructor raises.

    Whoever stores the jobs calls `prepare` then. A procedure that takes results of other jobs is made when those are
    known, in the worker. Raise `BadNode` if it has a `post_create`.
    """
    called = [flat for flat in flats if flat.task is not None]
    procs = {task: found for task in {flat.task for flat in called} if is_proc(found := find_function(task or ""))}
    made: Made = []
    for number, flat in enumerate(called if procs else ()):
        proc = procs.get(flat.task)
        if proc is None:
            continue
        prepares = proc.post_create is not JobProc.post_create
        if not flat.slots:
            one = _make(proc, flat)
            if flat.how.label is None and one.label is not None:
                flat.how = msgspec.structs.replace(flat.how, label=one.label[:500] or None)
            if prepares:
                made.append((number, one))
        elif prepares:
            raise BadNode(
                f"{flat.task} takes the result of another job, so there is nothing yet for its post_create; "
                "do that in run, or pass what is known"
            )
    return made


def prepare(made: Made, batch: Batch, aliases: Mapping[JobId, JobId]) -> None:
    """Call `post_create` for those jobs that were stored, and not for those that an earlier one stands for."""
    if batch.request is not None and batch.rows[-1].id in aliases:
        return  # nothing was
    ids = [row.id for row in batch.rows if row.lane.task is not None]
    for number, each in made:
        if ids[number] not in aliases:
            each.post_create()


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
