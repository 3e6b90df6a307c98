"""What `--json` says: one object on one line for each thing, in shapes that do not change."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import typer
from msgspec import Struct

from ramify.cli.screen import escape_json
from ramify.model import Row, State

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, an object on each line.")]

SCHEDULED: Final = "scheduled"


def print_facts(*objects: Mapping[str, Any] | Struct) -> None:
    """Print each object as JSON on a line of its own, in UTF-8 always."""
    for each in objects:
        sys.stdout.buffer.write(escape_json(msgspec.json.encode(each)) + b"\n")
    sys.stdout.buffer.flush()


def state_of(row: Row) -> str:
    """Return the state as people see it: a ready job whose time has not come is scheduled."""
    return SCHEDULED if row.state is State.READY and row.due is not None else row.state.value


def facts_of(row: Row) -> dict[str, Any]:
    """Return what `--json` says of a job. Times are seconds since 1970; `hold` is the job whose release lets it go."""
    return {
        "id": row.id,
        "state": state_of(row),
        "label": row.label,
        "task": row.lane.task,
        "queue": row.lane.queue,
        "slot": row.lane.slot,
        "priority": row.priority,
        "tree": row.tree,
        "parent": row.parent,
        "children": row.size,
        "hold": row.hold,
        "attempt": row.attempt,
        "due": row.due,
        "started": row.started,
        "ended": row.ended,
    }
