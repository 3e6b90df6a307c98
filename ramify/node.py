"""Descriptions of work that is not stored yet.

A node is a value: `options` returns a copy, and one node used in two places is one job with two parents. What a node
means is decided in `graph/`; how one is made from a function stands in `task.py`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Literal, NoReturn, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from ramify.codec import Blank
from ramify.errors import BadNode
from ramify.model import JobId, Policy, Retry, Unique, Unless, When
from ramify.span import read_span

T_co = TypeVar("T_co", covariant=True)


class Ref(Blank, Generic[T_co]):
    """A stored job, as an argument or in `after`: wait for it, and hand over its result."""

    __slots__ = ("id",)

    def __init__(self, id: JobId) -> None:
        self.id = id


class Options(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How and when a node runs. None means: as the node above it, or the default.

    `previous` hands over the result of the sibling before; `series` makes every child wait for the one before;
    `fast` cancels the other children when one ends badly; `limit` is the time limit of the whole subtree in seconds.
    """

    after: tuple[tuple[Any, When], ...] = ()
    blocking: bool = False
    barrier: bool = False
    previous: bool = False
    hold: bool | JobId = False
    delay: float | None = None
    at: float | None = None
    priority: int | None = None
    queue: str | None = None
    label: str | None = None
    slot: str | None = None
    units: int = 1
    series: bool = False
    fast: bool = False
    limit: float | None = None
    marks: tuple[str, ...] = ()
    unless: Unless | None = None
    unique: Unique | None = None
    policy: Policy = Policy()


PLAIN: Final = Options()
MAX_NAME: Final = 500
"""Characters of a label, queue or slot."""


class Node(Blank, Generic[T_co]):
    """One call of a task, a group of nodes, or both: children, then the task as their body.

    `how.after` holds pairs of a node or `Ref` and the end that is asked for. Treat a node as frozen.
    """

    __slots__ = ("args", "children", "function", "how", "kwargs", "task")

    def __init__(
        self,
        task: str | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        children: tuple["AnyNode", ...] = (),
        how: Options = PLAIN,
        function: Callable[..., T_co] | None = None,
    ) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.children = children
        self.how = how
        self.function = function

    def options(  # noqa: PLR0912 -- one branch for each option
        self,
        *,
        after: "Before | Sequence[Before] | None" = None,
        when: Literal["done", "ended", "failed"] = "done",
        blocking: bool | None = None,
        barrier: bool | None = None,
        hold: "bool | JobId | Ref[Any] | None" = None,
        delay: float | str | timedelta | None = None,
        at: float | datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        label: str | None = None,
        slot: str | None = None,
        units: int | None = None,
        timeout: float | str | timedelta | None = None,
        retry: int | Retry | None = None,
        fail: Literal["finish", "fast"] | None = None,
        repeatable: bool | None = None,
        unique: "bool | str | Sequence[str] | Unique | None" = None,
        start_before: "float | datetime | timedelta | None" = None,
    ) -> "Node[T_co]":
        """Return a copy with these options; what is not given stays, and `after` adds to what was there.

        `after` waits for jobs or nodes to end as `when` says. `blocking` holds up later siblings, `barrier` also waits
        for all earlier ones. `hold` keeps the job until it (or the gate named here) is released. `delay` and
        `timeout` are seconds, `at` is a date or seconds since 1970; the `timeout` of a node with children is that of
        its whole subtree. A higher `priority` goes first. At most as many jobs of one `slot` run as its limit says.
        `unique` makes an unfinished job with the same arguments (those named, or the same key) stand for this one.
        What nobody has begun at `start_before`, a time or a span from now on, is skipped.
        Raise `BadNode` naming the option that is wrong.
        """
        how, changes = self.how, dict[str, Any]()
        if after is not None:
            changes["after"] = (*how.after, *_read_after(after, when))
        elif when != "done":
            raise BadNode(f"when={when!r} says how a job of `after` must end; name that job too")
        for name, flag in (("blocking", blocking), ("barrier", barrier)):
            if flag is not None:
                changes[name] = _expect(bool, name, flag)
        for name, text in (("queue", queue), ("label", label), ("slot", slot)):
            if text is not None:
                changes[name] = _read_name(name, text)
        if hold is not None:
            changes["hold"] = hold.id if isinstance(hold, Ref) else _expect(bool | str, "hold", hold)
        if (delay if delay is not None else how.delay) is not None and (at if at is not None else how.at) is not None:
            raise BadNode("a job has a delay or a time, not both: give `delay` or `at`")
        if delay is not None:
            changes["delay"] = read_span("delay", delay, least=0)
        if at is not None:
            changes["at"] = _read_seconds("at", at.timestamp() if isinstance(at, datetime) else at)
        if priority is not None:
            changes["priority"] = _read_whole("priority", priority, -(2**31), 2**31 - 1)
        if units is not None:
            changes["units"] = _read_whole("units", units, 0, 2**31 - 1)
        if fail is not None:
            if fail not in {"finish", "fast"}:
                raise BadNode(f"fail is 'finish' or 'fast', not {fail!r}")
            changes["fast"] = fail == "fast"
        if unique is not None:
            changes["unique"] = _read_unique(unique)
        policy = self._read_policy(timeout, retry, repeatable, start_before, changes)
        return self.changed(**changes, policy=policy) if policy is not how.policy else self.changed(**changes)

    def _read_policy(
        self,
        timeout: float | str | timedelta | None,
        retry: int | Retry | None,
        repeatable: bool | None,
        start_before: float | datetime | timedelta | None,
        how: dict[str, Any],
    ) -> Policy:
        changes = dict[str, Any]()
        if timeout is not None:
            seconds = read_span("timeout", timeout, least=0)
            if seconds == 0:
                raise BadNode("timeout is more than 0 seconds; leave it out for a run without limit")
            if self.children or self.task is None:
                how["limit"] = seconds
            else:
                changes["timeout"] = seconds
        if retry is not None:
            changes["retry"] = _read_retry(retry)
        if repeatable is not None:
            changes["repeatable"] = _expect(bool, "repeatable", repeatable)
        if isinstance(start_before, timedelta):
            changes["start_within"] = read_span("start_before", start_before, least=0)
        elif start_before is not None:
            at = start_before.timestamp() if isinstance(start_before, datetime) else start_before
            changes["start_before"] = _read_seconds("start_before", at)
        return msgspec.structs.replace(self.how.policy, **changes) if changes else self.how.policy

    def changed(self, **options: Any) -> "Node[T_co]":
        """Return a copy with these fields of `Options` replaced, unchecked."""
        how = msgspec.structs.replace(self.how, **options)
        return Node(self.task, self.args, self.kwargs, self.children, how, self.function)

    def __repr__(self) -> str:
        if self.task is None:
            return f"<group of {len(self.children)}>"
        return f"<node {self.task}{f' after {len(self.children)} children' if self.children else ''}>"

    def __iter__(self) -> NoReturn:
        raise BadNode(f"{self!r} is work to be done, not its result; pass it as an argument instead of looping over it")


AnyNode: TypeAlias = Node[Any]
Before: TypeAlias = Node[Any] | Ref[Any]


def _read_after(after: Before | Sequence[Before], when: str) -> list[tuple[Before, When]]:
    if when not in set(When):
        raise BadNode(f"when is 'done', 'ended' or 'failed', not {when!r}")
    jobs = [after] if isinstance(after, Node | Ref | str) else list(after)
    for job in jobs:
        if not isinstance(job, Node | Ref):
            raise BadNode(f"after names nodes and jobs, not {job!r}; look a job up by its id with app.job(id)")
    return [(job, When(when)) for job in jobs]


def _read_seconds(name: str, value: object, least: float = -math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadNode(f"{name} is a number of seconds, not {value!r}")
    if value < least:
        raise BadNode(f"{name} is at least {least:g}, not {value:g}")
    return float(value)


def _read_retry(retry: object) -> Retry:
    if not isinstance(retry, Retry):
        return Retry(_read_whole("retry", retry, 0, 2**31 - 1))
    _read_whole("retry.times", retry.times, 0, 2**31 - 1)
    for name in ("factor", "longest"):
        _read_seconds(f"retry.{name}", getattr(retry, name), least=0)
    pauses: object = retry.backoff
    for pause in pauses if isinstance(pauses, tuple | list) and pauses else [pauses]:
        _read_seconds("retry.backoff", pause, least=0)
    if not 0 <= _read_seconds("retry.jitter", retry.jitter) <= 1:
        raise BadNode(f"retry.jitter is a share from 0 to 1, not {retry.jitter!r}")
    listed: object = retry.on
    if not isinstance(listed, tuple | list) or not all(map(_is_exception, listed)):
        raise BadNode(f"retry.on lists exceptions, as (ConnectionError,), or their names, not {listed!r}")
    changes = {"on": tuple(map(_name_exception, listed))} if listed else {}
    if isinstance(pauses, list):
        changes["backoff"] = tuple(pauses)
    return msgspec.structs.replace(retry, **changes) if changes else retry


def _is_exception(wanted: object) -> bool:
    return isinstance(wanted, str) or (isinstance(wanted, type) and issubclass(wanted, BaseException))


def _name_exception(wanted: Any) -> str:
    """Return the name under which a failure tells of this exception."""
    if isinstance(wanted, str):
        return wanted
    own: str = wanted.__qualname__
    return own if wanted.__module__ == "builtins" else f"{wanted.__module__}.{own}"


def _read_unique(unique: object) -> Unique | None:
    if unique is False:
        return None
    if isinstance(unique, str):
        return Unique(key=_read_name("unique", unique))
    if isinstance(unique, list | tuple):
        return _read_unique(Unique(by=tuple(unique)))
    if not isinstance(unique, Unique):
        return Unique() if _expect(bool, "unique", unique) else None
    if unique.by is not None and not all(isinstance(name, str) for name in unique.by):
        raise BadNode(f"unique names arguments, as ['customer'], not {unique.by!r}")
    within = None if unique.within is None else read_span("unique.within", unique.within, least=0)
    return msgspec.structs.replace(unique, within=within)


def _read_whole(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadNode(f"{name} is a whole number from {least} to {most}, not {value!r}")
    return value


def _read_name(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadNode(f"{name} is a text that is not empty, not {value!r}")
    if len(value) > MAX_NAME:
        raise BadNode(f"{name} is a text of at most {MAX_NAME} characters, not {len(value):,}")
    if "\0" in value or (not value.isascii() and value.encode("utf-8", "replace").decode() != value):
        raise BadNode(f"{name} has characters that cannot be stored: {value!r}")
    return value


def _expect(kind: Any, name: str, value: object) -> object:
    if not isinstance(value, kind):
        raise BadNode(f"{name} cannot be {value!r}")
    return value
