"""`ramify doctor`: does what is stored keep the promises of the store?"""

import typer
from rich.text import Text

from ramify.cli.facts import Json, print_facts
from ramify.cli.screen import out
from ramify.cli.store import Url, open_existing
from ramify.graph.check import find_violations
from ramify.picture.words import plain


def doctor(json: Json = False, url: Url = None) -> None:
    """Check that what is stored is sound.

    Status 0: it is; 1: it is not; 2: it could not be checked.
    """
    console = out()
    with open_existing(url) as app:
        snapshot = app.store.snapshot()
    violations = find_violations(snapshot)
    if json:
        jobs, edges = len(snapshot.rows), len(snapshot.edges)
        print_facts({"sound": not violations, "jobs": jobs, "edges": edges, "violations": violations})
        raise typer.Exit(bool(violations))
    for violation in violations:
        console.print(Text(plain(violation), style="red"), soft_wrap=True)
    size = f"{len(snapshot.rows):,} jobs, {len(snapshot.edges):,} edges"
    if violations:
        console.print(f"{len(violations):,} violations in {size}", soft_wrap=True)
        raise typer.Exit(1)
    console.print(f"sound: {size}", soft_wrap=True)
