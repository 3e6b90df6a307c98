"""What a task says of itself: its parameters, what it needs, how much of it may run, when it runs by itself.

Plain values that can be stored as JSON, so that a program without Python, or without the module, knows the task too.
`signature.py` reads them from a function, `graph/need.py` says what needs mean.
"""

from typing import Any, Final, Literal

from msgspec import UNSET, Struct

from ramify.node import PLAIN, Options

MONTH: Final = 720 * 3600.0
"""For how many seconds an earlier job satisfies a need that does not say it: 30 days."""


class Given(Struct, frozen=True, omit_defaults=True):
    """What a need asks of one argument: a constant, or the argument of that name of the job that needs it, changed by
    `same`: steps of `+ - * /` and an operand.
    """

    name: str
    value: Any = None
    same: tuple[tuple[str, Any], ...] | None = None


class Need(Struct, frozen=True, omit_defaults=True):
    """A job of this task with these arguments must have been done within so many seconds."""

    task: str
    within: float = MONTH
    given: tuple[Given, ...] = ()


class Parameter(Struct, frozen=True, omit_defaults=True):
    """One parameter of a task. `kind` is how it is given: `rest` and `others` take all that is left, without or with
    names. `allowed` and `default` are as JSON has them; without `required` and default, the default is no JSON.
    """

    name: str
    kind: Literal["any", "position", "name", "rest", "others"] = "any"
    required: bool = False
    type: str = ""
    allowed: tuple[Any, ...] | None = None
    default: Any = UNSET
    help: str = ""


class Terms(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the decorator of a task says: options of its jobs, and what holds for the task as a whole.

    `limit` is how many of its jobs may run at once, `fan_out` names the parameters that take "ALL". `missed` says what
    becomes of ticks of `cron` at which no worker was there; `aliases` are names that the task had before. With `tx` its
    jobs end in a transaction of their own in the database that they are in.
    """

    how: Options = PLAIN
    needs: tuple[Need, ...] = ()
    limit: int | None = None
    fan_out: tuple[str, ...] = ()
    cron: str | None = None
    tz: str = "UTC"
    missed: Literal["skip", "last", "all"] = "last"
    aliases: tuple[str, ...] = ()
    tx: bool = False


class Declaration(Terms, frozen=True, kw_only=True, omit_defaults=True):
    """A task as it is deployed. `asked` are the sets of its arguments that needs of other tasks look for."""

    name: str
    parameters: tuple[Parameter, ...] = ()
    help: str = ""
    asked: tuple[tuple[str, ...], ...] = ()


NO_TERMS: Final = Terms()
