"""`ramify cancel`, `retry` and `release`: put jobs out of their misery, give them another chance, let them go.

What could not be done is told with the reason, and makes the status 1.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, Final

import typer
from msgspec import Struct
from rich.text import Text

from ramify.app import Ramify
from ramify.cli.complete import ids_of, names_of
from ramify.cli.facts import Json, print_facts, state_of
from ramify.cli.screen import complain, out
from ramify.cli.store import Url, find_jobs, open_existing
from ramify.cli.text import suggest
from ramify.errors import AlreadyReleased, Taken
from ramify.model import ENDED, UNDONE, JobId, Page, Row, State, Verb, Which
from ramify.picture.words import many, name_of, plain
from ramify.stores.protocol import SLICE
from ramify.stores.read import UNFINISHED, name_row, read_row, read_rows

HELD: Final = frozenset({State.HELD})


class _Answer(Struct):
    """What became of one job: what was done in words, or else why nothing was."""

    row: Row
    done: str = ""
    refused: str = ""
    others: list[JobId] = []


def cancel(
    jobs: Annotated[
        list[str],
        typer.Argument(
            metavar="ID…", help="Jobs; what is under them goes with them.", autocompletion=ids_of(UNFINISHED)
        ),
    ],
    json: Json = False,
    url: Url = None,
) -> None:
    """Cancel jobs and all under them.

    What waits never runs, what runs is stopped. Status 1: one had ended.
    """
    with open_existing(url) as app:
        _tell((_cancel(app, row) for row in find_jobs(app, jobs)), json)


def release(
    jobs: Annotated[
        list[str],
        typer.Argument(metavar="ID…", help="Held jobs; what is held with them goes too.", autocompletion=ids_of(HELD)),
    ],
    json: Json = False,
    url: Url = None,
) -> None:
    """Let held jobs go, with all that is held with them.

    Status 1: one was not held.
    """
    with open_existing(url) as app:
        _tell((_release(app, row) for row in find_jobs(app, jobs)), json)


def retry(
    jobs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID…", help="Jobs that failed, were cancelled or skipped.", autocompletion=ids_of(UNDONE)
        ),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="All that failed, instead of ids.")] = False,
    queues: Annotated[
        list[str] | None,
        typer.Option(
            "--queue", "-q", metavar="NAME", help="All that failed in this queue.", autocompletion=names_of("queue")
        ),
    ] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Try jobs again that failed, were cancelled or skipped.

    So are all in their trees that made them end badly; what is done stays done. Status 1: one of them cannot.
    """
    if [bool(jobs), all, bool(queues)].count(True) != 1:
        raise typer.BadParameter(
            "name jobs by their ids, or all that failed by --all or --queue NAME, one or the other"
        )
    with open_existing(url) as app:
        if jobs:
            _tell((_retry(app, row) for row in find_jobs(app, jobs)), json)
            return
        known = app.store.counts(Which(), "queue") if queues else {}
        unknown = [queue for queue in queues or () if queue not in known]
        for queue in unknown:
            complain(f"there is no job of queue {queue!r}{suggest(queue, known)}")
        if unknown:
            raise typer.Exit(1)
        n = _retry_failed(app, queues)
        if json:
            print_facts({"retried": n})
        else:
            where = f" of queue {', '.join(queues)}" if queues else ""
            out().print(Text(plain(f"{many(n, 'failed job')}{where} will be tried again")), soft_wrap=True)


def _cancel(app: Ramify, row: Row) -> _Answer:
    if row.state in ENDED or not app.job(row.id).cancel():
        now = read_row(app.store, row.id)
        why = (
            f"had ended already, and is {now.state}"
            if now.state in ENDED
            else f"was told to stop already: it is {now.state}"
        )
        return _Answer(row, refused=f"it {why}")
    return _Answer(row, "is told to stop" if read_row(app.store, row.id).state is State.RUNNING else "is cancelled")


def _release(app: Ramify, row: Row) -> _Answer:
    try:
        app.job(row.id).release()
    except AlreadyReleased:
        if row.hold is not None and row.hold != row.id:
            by = read_rows(app.store, [row.hold]).get(row.hold)
            return _Answer(
                row, refused=f"it is held by {name_row(by) if by else row.hold}; `ramify release {row.hold}`"
            )
        return _Answer(row, refused=f"it is not held: it is {row.state}")
    return _Answer(row, "is let go")


def _retry(app: Ramify, row: Row) -> _Answer:
    # A retry may bring back others of those that were named.
    now = read_row(app.store, row.id)
    if now.state in UNDONE:
        try:
            others = [other.id for other in app.job(row.id).retry()]
        except Taken as error:
            return _Answer(row, refused=f"it stays {now.state}, for {error}")
        return _Answer(row, "will be tried again", others=others)
    if row.state in UNDONE:
        return _Answer(row, "will be tried again")
    if now.state is State.DONE:
        return _Answer(row, refused="it is done, and what is done never runs again")
    return _Answer(row, refused=f"it has not ended: it is {now.state}; `ramify explain {row.id}` says why")


def _retry_failed(app: Ramify, queues: list[str] | None) -> int:
    """Retry all jobs that failed, a page at a time; return how many."""
    which = Which(states=frozenset({State.FAILED}), queues=frozenset(queues) if queues else None)
    n, after = 0, None
    while page := app.store.jobs(which, Page(after, SLICE)):
        with suppress(Taken):
            n += app.store.move(Which(ids=tuple(row.id for row in page)), Verb.RETRY)
        after = page[-1].id
    while app.store.drain():
        pass
    return n


def _tell(answers: Iterator[_Answer], json: bool) -> None:
    """Say what became of each job, and exit with 1 if nothing could be done for one."""
    refused = False
    for answer in answers:
        refused = refused or bool(answer.refused)
        if json:
            print_facts(_facts(answer))
        elif answer.refused:
            complain(f"{name_of(answer.row)} ({answer.row.id}) is left alone: {answer.refused}")
        else:
            out().print(f"{name_of(answer.row)} {answer.done}", soft_wrap=True)
            for other in answer.others:
                out().print(f"  it waits for {other} in another tree, which did not end well either", soft_wrap=True)
    if refused:
        raise typer.Exit(1)


def _facts(answer: _Answer) -> dict[str, Any]:
    return {
        "id": answer.row.id,
        "was": state_of(answer.row),
        "changed": not answer.refused,
        "reason": answer.refused or None,
        "others": answer.others,
    }
