"""A task is a function with a name, `module:qualname`, by which a worker finds it; `task` gives it options.

There is no registry: nothing is remembered but what stands on the function itself. `build.py` makes nodes from tasks,
`tasks.py` finds them again.
"""

import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import BuiltinFunctionType, MethodType
from typing import Any, Final, TypeAlias, TypeVar, overload

from msgspec import Struct

from ramify.errors import BadArguments, BadTask
from ramify.model import Retry
from ramify.node import PLAIN, Node, Options

F = TypeVar("F", bound=Callable[..., object])
Function: TypeAlias = Callable[..., Any]

MARK: Final = "__ramify_options__"
ALIASES: Final = "__ramify_aliases__"
_EMPTY: Final = Node[None]("options")


class Call(Struct, frozen=True):
    """What `job` must know of a function: its name, its options, and between how many positional arguments fit."""

    name: str
    how: Options
    least: float = 0
    most: float = math.inf
    function: Function | None = None
    signature: inspect.Signature | None = None


@overload
def task(function: F, /) -> F: ...
@overload
def task(
    *,
    queue: str | None = None,
    priority: int | None = None,
    label: str | None = None,
    retry: int | Retry | None = None,
    timeout: float | timedelta | None = None,
    slot: str | None = None,
    units: int | None = None,
    repeatable: bool | None = None,
    aliases: Sequence[str] = (),
) -> Callable[[F], F]: ...
def task(function: F | None = None, /, *, aliases: Sequence[str] = (), **options: Any) -> F | Callable[[F], F]:
    """Give a function options that hold for all its jobs; it stays callable as it was.

    They are options of a node: `retry` is how often a job that failed is tried again, or a `Retry` with the pauses;
    `timeout` is seconds for one run; `repeatable=False` keeps a job from being run twice when its worker dies.
    `aliases` are names that the function had before: jobs stored under them are run by it.
    """
    names = _read_aliases(aliases)
    # A mistake in an option is reported where it stands, not where the first job is made.
    how = _EMPTY.options(**options).how

    def mark(function: F) -> F:
        try:
            setattr(function, MARK, how)
            setattr(function, ALIASES, names)
        except AttributeError:
            raise BadTask(f"{function!r} takes no options; make it a function of your own") from None
        describe.cache_clear()
        return function

    return mark if function is None else mark(function)


def aliases_of(function: object) -> tuple[str, ...]:
    """Return the names that the function had before."""
    names = getattr(function, ALIASES, ())
    return names if isinstance(names, tuple) else ()


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
    how = getattr(what, MARK, PLAIN)
    try:
        signature = inspect.signature(what)
    except (TypeError, ValueError):  # a function that does not tell
        return Call(name, how, function=what)
    least, most = _count_positional(signature)
    return Call(name, how, least, most, what, signature)


def check_arguments(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise `BadArguments` if the task cannot be called so."""
    if call.signature is None:
        return
    try:
        call.signature.bind(*args, **kwargs)
    except TypeError as error:
        raise BadArguments(f"{call.name}{call.signature}: {error}") from None


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
    if isinstance(function, type):
        raise BadTask(f"{function.__qualname__} is a class; a task is a function, which may make an object of it")
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
