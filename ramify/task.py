"""A task is a function, or `JobProc`, with a name, `module:qualname`, by which a worker finds it; `task` gives options.

Nothing is remembered but what stands on the function itself. `build.py` makes nodes from tasks, `tasks.py` finds them
again, `deploy.py` writes them into a store.
"""

import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final, Literal, TypeAlias, TypeVar, overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from msgspec import Struct

from ramify.codec import Blank
from ramify.declared import NO_TERMS, Declaration, Need, Parameter, Terms
from ramify.errors import BadArguments, BadNode, BadTask
from ramify.model import Retry, Unique
from ramify.node import PLAIN, Node, Options
from ramify.proc import is_proc
from ramify.signature import bind, check_values, read_help, read_parameters

F = TypeVar("F", bound=Callable[..., object])
Function: TypeAlias = Callable[..., Any]

MARK: Final = "__ramify_options__"
_EMPTY: Final = Node[None]("options")
_SHARED: Final = frozenset(
    {"delay", "label", "priority", "queue", "repeatable", "retry", "slot", "start_before", "timeout", "unique", "units"}
)
"""Options of nodes that may hold for all jobs of a task."""


class Call(Struct, frozen=True):
    """What `job` must know of a function: its name, its options, between how many positional arguments fit, and which
    parameters take certain values only, or "ALL" of them.
    """

    name: str
    how: Options
    least: float = 0
    most: float = math.inf
    function: Function | None = None
    signature: inspect.Signature | None = None
    choices: tuple[Parameter, ...] = ()
    fan_out: tuple[str, ...] = ()


@overload
def task(function: F, /) -> F: ...
@overload
def task(
    *,
    queue: str | None = None,
    priority: int | None = None,
    label: str | None = None,
    retry: int | Retry | None = None,
    timeout: float | str | timedelta | None = None,
    delay: float | str | timedelta | None = None,
    slot: str | None = None,
    units: int | None = None,
    repeatable: bool | None = None,
    unique: bool | str | Sequence[str] | Unique | None = None,
    start_before: timedelta | None = None,
    limit: int | None = None,
    needs: Need | str | Function | Sequence[Need | str | Function] = (),
    fan_out: Sequence[str] = (),
    cron: str | None = None,
    tz: str = "UTC",
    missed: Literal["skip", "last", "all"] = "last",
    aliases: Sequence[str] = (),
    tx: bool = False,
) -> Callable[[F], F]: ...
def task(
    function: F | None = None,
    /,
    *,
    limit: int | None = None,
    needs: Need | str | Function | Sequence[Need | str | Function] = (),
    fan_out: Sequence[str] = (),
    cron: str | None = None,
    tz: str = "UTC",
    missed: Literal["skip", "last", "all"] = "last",
    aliases: Sequence[str] = (),
    tx: bool = False,
    **options: Any,
) -> F | Callable[[F], F]:
    """Give a function options that hold for all its jobs; it stays callable as it was.

    Most are options of a node: `retry` is how often a job that failed is tried again, or a `Retry` with the pauses;
    `timeout` is seconds for one run; `repeatable=False` keeps a job from being run twice when its worker dies.
    `limit` is how many of the task's jobs run at once, over all workers. `needs` are other tasks whose jobs must have
    been done of late. A parameter named in `fan_out` takes "ALL": one job for each value that it allows. With `cron` a
    worker adds a job at each of these times in the zone `tz`; of times that were `missed` none, the last, or all.
    `aliases` are names that the function had before: jobs stored under them are run by it. With `tx`, which needs jobs
    in PostgreSQL, `current().tx` is their database, in a transaction that is committed with the job's outcome.
    """
    # A mistake in an option is reported where it stands, not where the first job is made.
    for name in options.keys() - _SHARED:
        raise TypeError(f"task has no option {name!r}; what holds for one job alone goes with job(…).options(…)")
    terms = Terms(
        how=_EMPTY.options(**options).how,
        needs=_read_needs(needs),
        limit=_read_limit(limit),
        fan_out=tuple([fan_out] if isinstance(fan_out, str) else fan_out),
        cron=_read_cron(cron, tz),
        tz=tz,
        missed=_read_missed(missed),
        aliases=_read_aliases(aliases),
        tx=_read_tx(tx),
    )

    def mark(function: F) -> F:
        _check_terms(terms, function)
        try:
            setattr(function, MARK, terms)
        except AttributeError:
            raise BadTask(f"{function!r} takes no options; make it a function of your own") from None
        describe.cache_clear()
        return function

    return mark if function is None else mark(function)


def find_function(name: str) -> Function | None:
    """Return the task of this name if its module is imported here; nothing is imported for it."""
    module, _, attribute = name.partition(":")
    function = getattr(sys.modules.get(module), attribute, None)
    if not (isinstance(function, FunctionType) or is_proc(function)):
        return None
    return function if (function.__module__, function.__qualname__) == (module, attribute) else None


def terms_of(function: Function) -> Terms:
    """Return what the decorator of a task says; a function without it says nothing."""
    # What is said of a class does not hold for those that are made from it.
    terms: Terms = vars(function).get(MARK, NO_TERMS) if is_proc(function) else getattr(function, MARK, NO_TERMS)
    return terms


def look_up(what: Function | str) -> Call:
    """Return what must be known of a task, as `describe`; one that is named is asked itself if it is imported here."""
    return describe((find_function(read_name(what)) or what) if isinstance(what, str) else what)


def _read_aliases(aliases: Sequence[str]) -> tuple[str, ...]:
    if isinstance(aliases, str):
        raise BadTask(f"aliases is a list of names, as ['shop:pay'], not {aliases!r}")
    return tuple(map(read_name, aliases))


@functools.lru_cache(maxsize=4096)
def describe(what: Function | str) -> Call:
    """Return what must be known of a task to make its jobs. Raise `BadTask` if no worker could find it by its name."""
    if isinstance(what, str):
        return Call(read_name(what), PLAIN)
    name = name_of(what)
    terms = terms_of(what)
    how = terms.how
    try:
        signature = inspect.signature(what)
    except (TypeError, ValueError):  # a function that does not tell
        return Call(name, how, function=what)
    least, most = _count_positional(signature)
    choices = tuple(parameter for parameter in read_parameters(what) if parameter.allowed is not None)
    return Call(name, how, least, most, what, signature, choices, terms.fan_out)


def check_arguments(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise `BadArguments` if the task cannot be called so."""
    if call.signature is None:
        return
    try:
        bound = call.signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise BadArguments(f"{call.name}{call.signature}: {error}") from None
    if call.choices:
        # What is not known yet is checked where it runs.
        known = {name: value for name, value in bound.items() if not isinstance(value, Blank)}
        check_values(call.name, call.choices, known)


def declare(function: Function) -> Declaration:
    """Return what a task says of itself, as it is deployed."""
    terms = terms_of(function)
    fields = {name: getattr(terms, name) for name in Terms.__struct_fields__}
    return Declaration(name=name_of(function), parameters=read_parameters(function), help=read_help(function), **fields)


def check_call(declaration: Declaration, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise `BadArguments` if the task, which is known by what it declared only, cannot be called so."""
    values, missing = bind(declaration.name, declaration.parameters, args, kwargs)
    if missing:
        raise BadArguments(f"{declaration.name}: missing arguments: {', '.join(missing)}")
    given = {name: value for name, value in values.items() if not isinstance(value, Blank)}
    check_values(declaration.name, declaration.parameters, given)


def read_name(text: str) -> str:
    """Return `module:function` for the same with a colon or a dot before the function."""
    module, colon, name = text.partition(":") if ":" in text else text.rpartition(".")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise BadTask(f"{text!r} does not name a function; write it as 'module:function'")
    return f"{module}:{name}"


def name_of(function: object) -> str:
    """Return the name by which a worker finds the function. Raise `BadTask` with the remedy if it has none."""
    if isinstance(function, functools.partial):
        raise BadTask(f"{function!r} has no name that a worker could find; give its arguments to job() instead")
    if isinstance(function, MethodType):
        raise BadTask(
            f"{function.__qualname__} is bound to an object of this process; make it a function of its module"
        )
    if isinstance(function, BuiltinFunctionType):
        raise BadTask(f"{function.__qualname__} is built in; call it from a function of a module that workers serve")
    if isinstance(function, type) and not is_proc(function):
        raise BadTask(f"{function.__qualname__} is a class; a task is a function, or a class made from JobProc")
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not callable(function) or not isinstance(module, str) or not isinstance(name, str):
        raise BadTask(f"{function!r} is not a function with a name")
    if "<lambda>" in name:
        raise BadTask(f"a lambda of {module} has no name that a worker could find; define it with `def` in the module")
    if "<locals>" in name:
        outer, _, inner = name.rpartition(".<locals>.")
        raise BadTask(
            f"{module}:{inner} is defined inside {outer}, where no worker could find it; "
            "move it to the top of the module (a decorator keeps the name with functools.wraps)"
        )
    if "." in name:
        raise BadTask(f"{module}:{name} is a method; make it a function of its module")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise BadTask(f"{module}:{name} is a generator, which has no result to store; return a list instead")
    if module in sys.modules and not hasattr(sys.modules[module], name):
        raise BadTask(f"{module} has no {name!r}; a task keeps the name under which it was defined")
    return f"{module}:{name}"


def _count_positional(signature: inspect.Signature) -> tuple[float, float]:
    """Return between how many positional arguments fit, if there are no others."""
    least, most = 0.0, 0.0
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = math.inf
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.default is parameter.empty:
                least = math.inf
        elif parameter.kind is not parameter.VAR_KEYWORD:
            most += 1
            least += parameter.default is parameter.empty
    return least, most


def _read_needs(needs: object) -> tuple[Need, ...]:
    several = needs if isinstance(needs, list | tuple) else [needs]
    return tuple(need if isinstance(need, Need) else Need(_read_task(need)) for need in several)


def _read_task(task: Any) -> str:
    return read_name(task) if isinstance(task, str) else name_of(task)


def _read_limit(limit: object) -> int | None:
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise BadNode(f"limit is how many jobs may run at once, a whole number, not {limit!r}")
    return limit


def _read_cron(cron: str | None, tz: str) -> str | None:
    try:
        zone = ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, TypeError):
        raise BadNode(f"tz is a time zone, as 'Europe/Berlin', not {tz!r}") from None
    if cron is not None:
        try:
            CronSim(cron, datetime.now(zone))
        except CronSimError as error:
            raise BadNode(f"cron is 'minute hour day month weekday', as '0 3 * * *', not {cron!r}: {error}") from None
    return cron


def _read_missed(missed: str) -> Any:
    if missed not in ("skip", "last", "all"):
        raise BadNode(f"missed is 'skip', 'last' or 'all', not {missed!r}")
    return missed


def _read_tx(tx: object) -> bool:
    if not isinstance(tx, bool):
        raise BadNode(f"tx is True for a task whose jobs end in the transaction of `current().tx`, not {tx!r}")
    return tx


def _check_terms(terms: Terms, function: Function) -> None:
    """Raise if what is said of parameters does not fit the function."""
    if terms.tx and inspect.iscoroutinefunction(function):
        raise BadTask(
            f"{function.__qualname__} is `async`, and a transaction is one function's: coroutines run together in one "
            "process, so tx=True is for plain functions"
        )
    if not (terms.needs or terms.fan_out or terms.cron or (terms.how.unique and terms.how.unique.by)):
        return
    parameters = {parameter.name: parameter for parameter in read_parameters(function)}
    task = getattr(function, "__qualname__", repr(function))
    open_ended = any(parameter.kind == "others" for parameter in parameters.values())
    same = [given.name for need in terms.needs for given in need.given if given.same is not None]
    for name in [*same, *(terms.how.unique.by or () if terms.how.unique else ()), *terms.fan_out]:
        if name not in parameters and not open_ended:
            raise BadArguments(f"{task} has no argument {name!r}, which its options name")
    for name in terms.fan_out:
        if name not in parameters or parameters[name].allowed is None:
            raise BadArguments(f"{task}: fan_out needs the values of {name!r}; annotate it with a list or a Literal")
    if terms.cron and (required := [each.name for each in parameters.values() if each.required]):
        raise BadArguments(f"{task} runs by itself, so nobody gives it {required[0]!r}; give that a default")
