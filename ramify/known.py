"""What a program knows of tasks: from the functions that it has imported, and from what was deployed to its store.

By it work is checked and marked before it is stored. Functions that are here are asked themselves; others are known by
what was deployed, which is read once in a while, not for every job.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from types import FunctionType
from typing import Any, Final

import msgspec
from msgspec import Struct

from ramify.codec import decode
from ramify.declared import Declaration, Need, Terms
from ramify.errors import BadArguments, BadTask
from ramify.graph.need import collect_asked, make_mark, marks_for
from ramify.graph.sketch import Flat
from ramify.model import Policy, Unless
from ramify.node import PLAIN, Node, Options
from ramify.proc import is_proc
from ramify.signature import bind
from ramify.stores.protocol import Store
from ramify.stores.transactional import Transactional, say_without
from ramify.task import check_call, declare, find_function, terms_of

FRESH: Final = 10.0
"""For how many seconds what was read of a task is taken to be so still."""


class _Entry(Struct):
    """What is known of one task: whether its function is here, which of its arguments are asked for, and why its jobs
    are refused, if they are.
    """

    declaration: Declaration | None
    here: bool
    asked: tuple[tuple[str, ...], ...]
    until: float
    refusal: str = ""

    @property
    def plain(self) -> bool:
        """Whether nothing has to be done for its jobs but what they say themselves."""
        return not self.asked and (self.here or self.declaration is None)


class Known:
    """Tasks by name. `modules` are those served by this program; needs declared in them are known as well."""

    def __init__(self, store: Store, modules: Iterable[str] = ()) -> None:
        self._store, self._modules = store, tuple(modules)
        self._entries: dict[str, _Entry] = {}

    def find(self, name: str) -> Declaration | None:
        """Return what is known of a task; None if it is neither here nor deployed."""
        return self._entry(name).declaration

    def asked(self, name: str) -> tuple[tuple[str, ...], ...]:
        """Return the sets of its arguments that known needs look for."""
        return self._entry(name).asked

    def prepare(self, flats: Iterable[Flat]) -> None:
        """Check calls of tasks that are not here, and give each job its options, and the marks by which it is found.

        Raise `BadTask` or `BadArguments` naming the task. Done twice, it changes nothing more.
        """
        seen: dict[str, _Entry] = {}
        for flat in flats:
            if flat.task is None:
                continue
            entry = seen.get(flat.task)
            if entry is None:
                entry = seen[flat.task] = self._entry(flat.task)
                if entry.refusal:
                    raise BadTask(entry.refusal)
            if flat.how.unique is not None or not entry.plain:
                _prepare(flat, entry)

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        now = time.monotonic()
        if entry is None or entry.until < now:
            entry = self._entries[name] = self._read(name, now + FRESH)
        return entry

    def _read(self, name: str, until: float) -> _Entry:
        function = find_function(name)
        stored = next(iter(self._store.tasks([name])), None)
        module = name.partition(":")[0]
        asked = collect_asked(_needs_of(dict.fromkeys([module, *self._modules]))).get(name, set())
        asked |= set(stored.asked) if stored else set()
        known = stored if function is None else declare(function)
        refusal = say_without(name) if known and known.tx and not isinstance(self._store, Transactional) else ""
        if function is not None or refusal:
            return _Entry(known, function is not None, tuple(sorted(asked)), until, refusal)
        # A module that was never deployed may have any function; of one that was, all are known.
        others = [] if stored else [task.name for task in self._store.tasks() if task.name.startswith(f"{module}:")]
        refusal = f"{name} is not deployed; of {module} there are {', '.join(others)}" if others else ""
        return _Entry(stored, False, tuple(sorted(asked)), until, refusal)


def _needs_of(modules: Iterable[str]) -> list[Need]:
    functions = [value for name in modules for value in list(vars(sys.modules.get(name, sys)).values())]
    return [
        need for each in functions if isinstance(each, FunctionType) or is_proc(each) for need in terms_of(each).needs
    ]


def _prepare(flat: Flat, entry: _Entry) -> None:
    args, kwargs = decode(flat.args)
    unknown = _blanks(flat)
    declaration = entry.declaration
    if declaration is not None and not entry.here:
        flat.how = merge(flat.how, declaration)
        if ALL_OF_PREVIOUS not in unknown:
            _put_blanks(args, kwargs, unknown)
            check_call(declaration, args, kwargs)
    values = call_values(flat.task or "", declaration, args, kwargs, unknown)
    how = flat.how
    marks = how.marks + marks_for(flat.task or "", entry.asked, values)
    if how.unique is not None:
        unless = make_unique(flat.task or "", how, args, kwargs, values)
        how = msgspec.structs.replace(how, unless=unless, unique=None)
        marks += (unless.mark,)
    flat.how = msgspec.structs.replace(how, marks=tuple(dict.fromkeys(marks)))


def make_unique(task: str, how: Options, args: Sequence[Any], kwargs: dict[str, Any], values: dict[str, Any]) -> Unless:
    """Return what stands for a job that must not be there twice."""
    unique = how.unique
    assert unique is not None
    if unique.key is not None:
        what: Any = unique.key
    elif unique.by is None:
        what = values or [list(args), kwargs]
    else:
        if missing := [name for name in unique.by if name not in values]:
            raise BadArguments(f"{task}: unique names {missing[0]!r}, which is not an argument known beforehand")
        what = {name: values[name] for name in unique.by}
    within = unique.within
    return Unless(make_mark("unique", task, what), within if isinstance(within, float) else None)


def call_values(
    task: str, declaration: Declaration | None, args: Sequence[Any], kwargs: dict[str, Any], unknown: set[Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name, as far as they are known before it runs."""
    if ALL_OF_PREVIOUS in unknown:
        return {}
    if declaration is None:
        return {name: value for name, value in kwargs.items() if ("kwargs", name) not in unknown}
    places = [_UNKNOWN if ("args", place) in unknown else value for place, value in enumerate(args)]
    names = {name: _UNKNOWN if ("kwargs", name) in unknown else value for name, value in kwargs.items()}
    try:
        values, _ = bind(task, declaration.parameters, places, names)
    except BadArguments:  # it fails where it runs, and says so
        return {}
    return {name: value for name, value in values.items() if value is not _UNKNOWN}


_UNKNOWN: Final = object()
ALL_OF_PREVIOUS: Final = ("*",)


def merge(how: Options, declared: Terms) -> Options:
    """Return the options of a job with those of its task where it has none."""
    own, base = msgspec.structs.asdict(how), msgspec.structs.asdict(declared.how)
    plain = msgspec.structs.asdict(PLAIN)
    policy = msgspec.structs.asdict(declared.how.policy) | {
        name: value
        for name, value in msgspec.structs.asdict(how.policy).items()
        if value != getattr(PLAIN.policy, name)
    }
    merged = {name: base[name] if own[name] == plain[name] else own[name] for name in own}
    return Options(**merged | {"policy": Policy(**policy)})


def _blanks(flat: Flat) -> set[Any]:
    """Return the arguments that take results, as pairs of "args" and place, or "kwargs" and name."""
    return {tuple(path[:2]) for _, path in flat.slots}


def _put_blanks(args: list[Any], kwargs: dict[str, Any], unknown: set[Any]) -> None:
    """Put a node where a result goes, so that its value is not judged yet."""
    blank = Node[Any]("later")
    for where, key in unknown:
        if where == "kwargs":
            kwargs[key] = blank
        elif key < len(args):
            args[key] = blank
