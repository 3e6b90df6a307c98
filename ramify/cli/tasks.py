"""`ramify tasks`: what has been deployed."""

from typing import Final

import msgspec
from rich.text import Text

from ramify.cli.facts import Json, print_facts
from ramify.cli.screen import note, out
from ramify.cli.store import Url, open_existing
from ramify.declared import Declaration, Need, Parameter
from ramify.explain import spell
from ramify.picture.words import plain

SIGNS: Final = {"rest": "*", "others": "**"}
INDENT: Final = "    "


def tasks(
    json: Json = False,
    url: Url = None,
) -> None:
    """Show the tasks that were deployed.

    That is how they are called, what they need, and what holds for their jobs.
    """
    with open_existing(url) as app:
        found = app.store.tasks()
    if json:
        print_facts(*found)
        return
    console = out()
    if not found:
        note("no tasks; `ramify deploy MODULE…` writes them into the store")
    for task in found:
        console.print(Text(plain(signature(task)), "bold"), soft_wrap=True)
        for line in details(task):
            console.print(Text(INDENT + plain(line)), soft_wrap=True)


def signature(task: Declaration) -> str:
    """Return how a task is called."""
    return f"{task.name}({', '.join(map(_spell, task.parameters))})"


def details(task: Declaration) -> list[str]:
    """Return what else there is to say of a task, in lines."""
    lines = task.help.splitlines()[:1]
    lines += [f"{each.name}: {each.help}" for each in task.parameters if each.help]
    lines += [f"needs {_spell_need(need)}" for need in task.needs]
    lines += [f'{name} may be "ALL": a job for each value' for name in task.fan_out]
    if task.limit is not None:
        lines.append(f"at most {task.limit} at once")
    if task.cron is not None:
        lines.append(f"by itself: {task.cron} ({task.tz}), missed: {task.missed}")
    if task.tx:
        lines.append("ends in a transaction of the database that its jobs are in")
    if task.how.queue is not None:
        lines.append(f"queue {task.how.queue}")
    return lines


def _spell(parameter: Parameter) -> str:
    text = SIGNS.get(parameter.kind, "") + parameter.name
    if parameter.allowed is not None:
        text += f": {' | '.join(map(_as_json, parameter.allowed))}"
    elif parameter.type:
        text += f": {parameter.type}"
    return text if parameter.default is msgspec.UNSET else f"{text} = {_as_json(parameter.default)}"


def _spell_need(need: Need) -> str:
    given = [
        f"{each.name}={_as_json(each.value)}"
        if each.same is None
        else f"{each.name}=same{''.join(f' {sign} {_as_json(operand)}' for sign, operand in each.same)}"
        for each in need.given
    ]
    within = spell(need.within).removesuffix(" 0 h").removesuffix(" 0 min").removesuffix(" 0 s")
    return f"{need.task}({', '.join(given)}) within {within}"


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
