"""`ramify doctor`: does what is stored keep the promises of the store, and can it be put right?"""

import struct
from typing import Annotated, Final

import typer
from msgspec import Struct
from rich.text import Text

from ramify.checkup import Mending
from ramify.cli.facts import Json, print_facts
from ramify.cli.screen import note, out
from ramify.cli.store import Url, open_existing
from ramify.errors import RamifyError
from ramify.graph.check import find_excess, find_orphans, find_overtried, find_violations
from ramify.graph.mend import find_mending
from ramify.picture.words import many, plain
from ramify.stores.protocol import Store

TIMES: Final = 5
"""What is put right may show what else is to be put right: so often, at most."""


class Diagnosis(Struct):
    """What a look at a store found: `wrong` are sentences, each about a job or the place where it is kept.

    The look was not `whole` if something cannot be read without which the rest would be misread.
    """

    jobs: int
    edges: int
    wrong: list[str]
    notes: list[str]
    whole: bool = True


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what follows from the facts that are left.")
    ] = False,
    json: Json = False,
    url: Url = None,
) -> None:
    """Check that what is stored is sound; workers may go on meanwhile.

    Status 0: it is; 1: it is not; 2: it could not be checked.
    """
    with open_existing(url) as app:
        found = examine(app.store)
        before = found.wrong
        changes = put_right(app.store) if repair and before and found.whole else 0
        if changes:
            found = examine(app.store)
    mended = [wrong for wrong in before if wrong not in found.wrong]
    if json:
        told = {"jobs": found.jobs, "edges": found.edges, "violations": found.wrong, "notes": found.notes}
        print_facts({"sound": not found.wrong, **told, "mended": mended})
    else:
        _print(found, mended)
    if found.wrong:
        raise typer.Exit(1)


def examine(store: Store) -> Diagnosis:
    """Look at all that is stored. What is wrong must be so twice: what comes in meanwhile may disturb a look."""
    found = _look(store)
    if found.wrong:
        again = _look(store)
        again.wrong = [wrong for wrong in again.wrong if wrong in found.wrong]
        return again
    return found


def _look(store: Store) -> Diagnosis:
    try:
        return _look_at_all(store)
    except RamifyError:  # it could not be looked at
        raise
    except (ValueError, LookupError, struct.error) as error:  # what is seldom damaged is not looked at one by one
        return Diagnosis(0, 0, [f"something that is stored cannot be read: {error}"], [], whole=False)


def _look_at_all(store: Store) -> Diagnosis:
    place = store.examine()
    if place.unreadable:  # that would end a look at the jobs, or mislead it
        return Diagnosis(0, 0, place.wrong, place.notes, whole=False)
    snapshot = store.snapshot()
    wrong = [*place.wrong, *find_violations(snapshot), *find_overtried(snapshot)]
    about = store.info()
    alive = {session.id for session in about.sessions} - set(about.lost)
    notes = [*place.notes, *find_excess(snapshot), *find_orphans(snapshot, alive)]
    return Diagnosis(len(snapshot.rows), len(snapshot.edges), wrong, notes)


def put_right(store: Store) -> int:
    """Put right what can be; return how many changes that took. What cannot be read is not guessed at."""
    changes = 0
    for _ in range(TIMES):
        place = store.examine()
        if place.unreadable:
            break
        done = store.reindex() if place.wrong else 0
        mending = find_mending(store.snapshot())
        if mending != Mending():
            done += store.mend(mending)
            while store.drain():
                pass
        changes += done
        if not done:
            break
    return changes


def _print(found: Diagnosis, mended: list[str]) -> None:
    console = out()
    for line in mended:
        console.print(Text(f"mended: {plain(line)}", style="green"), soft_wrap=True)
    for line in found.wrong:
        console.print(Text(plain(line), style="red"), soft_wrap=True)
    for line in found.notes:
        note(f"note: {line}")
    if not found.whole:
        console.print(
            f"{many(len(found.wrong), 'violation')}; the rest is not looked at, nor put right", soft_wrap=True
        )
        return
    size = f"{many(found.jobs, 'job')}, {many(found.edges, 'edge')}"
    if found.wrong:
        console.print(f"{many(len(found.wrong), 'violation')} in {size}", soft_wrap=True)
    else:
        console.print(f"sound: {size}", soft_wrap=True)
