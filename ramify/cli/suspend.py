"""`ramify suspend`, `resume` and `limit`: how much may run at once, and whether anything may."""

from typing import Annotated, Any, Final

import typer
from rich.text import Text

from ramify.app import Ramify
from ramify.cli.complete import names_of
from ramify.cli.facts import Json, print_facts
from ramify.cli.screen import note, out
from ramify.cli.store import Url, open_existing
from ramify.cli.text import read_seconds, suggest
from ramify.explain import spell_moment
from ramify.graph.fit import DECLARED, SUSPENDED, unexpired
from ramify.model import Info, Rule, Which
from ramify.picture.words import plain

Queues = Annotated[
    list[str] | None,
    typer.Option("--queue", "-q", metavar="NAME", help="Only this queue.", autocompletion=names_of("queue")),
]
TaskNames = Annotated[
    list[str] | None,
    typer.Option("--task", "-t", metavar="MODULE:FUNCTION", help="Only this task.", autocompletion=names_of("task")),
]
KINDS: Final = ("queue", "task", "slot", "host")
NONE: Final = "none"


def suspend(
    queues: Queues = None,
    tasks: TaskNames = None,
    duration: Annotated[
        str | None, typer.Option("--duration", metavar="TIME", help="Only for so long: 90, 90s, 5m, 2h, 1d.")
    ] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Let no job start, or none of a queue or task.

    What runs is finished. `ramify resume` lets them start again.
    """
    seconds = read_seconds("--duration", duration)
    with open_existing(url) as app:
        until = None if seconds is None else app.store.info().now + seconds
        for scope in _scopes(queues, tasks):
            app.store.limit(SUSPENDED + scope, Rule(0, until))
            running = app.store.counts(_which(scope), "state").get("running", 0)
            if json:
                print_facts(rule_facts(SUSPENDED + scope, Rule(0, until)) | {"running": running})
                continue
            ends = f" until {spell_moment(until)}" if until is not None else ""
            _say(f"{_spell(scope)} is suspended{ends}; {running:,} still running")
            if not _is_known(app, scope):
                note(f"note: there is no job of {_spell(scope)}{_meant(app, scope)}")


def resume(
    queues: Queues = None,
    tasks: TaskNames = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Let jobs start again that were suspended.

    Without --queue or --task those are all.
    """
    with open_existing(url) as app:
        suspended = [name.removeprefix(SUSPENDED) for name in limits_of(app.store.info()) if name.startswith(SUSPENDED)]
        for scope in _scopes(queues, tasks) if queues or tasks else suspended or ["all"]:
            app.store.limit(SUSPENDED + scope, None)
            was = scope in suspended
            if json:
                print_facts({"scope": scope, "resumed": was})
            else:
                _say(f"{_spell(scope)} {'goes on' if was else 'was not suspended'}")


def limit(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="all, queue:NAME, task:MODULE:FUNCTION, slot:NAME, host:NAME.")
    ] = None,
    n: Annotated[str | None, typer.Argument(metavar="N", help="How many may run at once, or none: no limit.")] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Let at most N jobs of a queue, task or slot run at once.

    Without N show the limit, and without arguments all limits.
    """
    with open_existing(url) as app:
        if name is not None:
            _check(name)
        if name is not None and n is not None:
            app.store.limit(name, _read_rule(name, n))
        limits = limits_of(app.store.info())
        shown = {key: rule for key, rule in limits.items() if name in {None, rule_facts(key, rule)["scope"]}}
        if json:
            print_facts(*(rule_facts(key, rule) for key, rule in shown.items()))
            return
        for key, rule in shown.items():
            _say(spell_rule(key, rule))
        if not shown:
            _say(f"no limit on {name}" if name else "no limits")


def limits_of(info: Info) -> dict[str, Rule]:
    """Return the limits whose time is not over, by name."""
    return dict(sorted(unexpired(info.limits, info.now).items()))


def rule_facts(name: str, rule: Rule) -> dict[str, Any]:
    """Return what `--json` says of a limit: what it counts, whether it was `set`, `declared` or `suspended`, and n."""
    scope = name.removeprefix(DECLARED).removeprefix(SUSPENDED)
    source = name.removesuffix(scope).rstrip(":") or "set"
    return {"scope": scope, "source": source, "n": rule.n, "until": rule.until}


def spell_rule(name: str, rule: Rule) -> str:
    """Return a limit in words."""
    facts = rule_facts(name, rule)
    until = f" until {spell_moment(rule.until)}" if rule.until is not None else ""
    if facts["source"] == "suspended":
        return f"{_spell(facts['scope'])} is suspended{until}"
    declared = ", as the task declares" if facts["source"] == "declared" else ""
    return f"limit on {facts['scope']}: {rule.n} running{until}{declared}"


def _scopes(queues: list[str] | None, tasks: list[str] | None) -> list[str]:
    if not all([*(queues or ()), *(tasks or ())]):
        raise typer.BadParameter("a queue or task has a name; without --queue and --task all is meant")
    named = [*(f"queue:{queue}" for queue in queues or ()), *(f"task:{task}" for task in tasks or ())]
    return named or ["all"]


def _spell(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return f"{kind} {name}" if name else "everything"


def _which(scope: str) -> Which:
    kind, _, name = scope.partition(":")
    names = frozenset({name})
    return Which(queues=names if kind == "queue" else None, tasks=names if kind == "task" else None)


def _is_known(app: Ramify, scope: str) -> bool:
    return scope == "all" or bool(app.store.counts(_which(scope), "state"))


def _meant(app: Ramify, scope: str) -> str:
    kind, _, name = scope.partition(":")
    return suggest(name, app.store.counts(Which(), kind))


def _check(name: str) -> None:
    kind, colon, rest = name.partition(":")
    if name != "all" and not (kind in KINDS and rest):
        meant = "" if colon else f"; did you mean 'queue:{name}'?"
        raise typer.BadParameter(
            f"{name!r} cannot be limited: all, queue:NAME, task:MODULE:FUNCTION, slot:NAME, host:NAME{meant}"
        )


def _read_rule(name: str, n: str) -> Rule | None:
    if n == NONE:
        return None
    if not n.isdecimal() or int(n) >= 1 << 31:
        raise typer.BadParameter(f"a limit on {name} is a number of running jobs or {NONE!r}, not {n!r}")
    return Rule(int(n))


def _say(text: str) -> None:
    out().print(Text(plain(text)), soft_wrap=True)
