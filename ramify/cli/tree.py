"""`ramify tree`: a tree of jobs, folded so that it can be read."""

from typing import Annotated, Any

import typer

from ramify.cli.complete import ids_of
from ramify.cli.facts import Json, print_facts
from ramify.cli.screen import out, print_lines
from ramify.cli.store import NoPager, Url, find_jobs, open_existing
from ramify.picture.draw import draw_tree
from ramify.picture.fold import Branch, read_tree


def tree(
    job: Annotated[
        str,
        typer.Argument(metavar="ID", help="A job; the tree under it is shown.", autocompletion=ids_of(roots=True)),
    ],
    depth: Annotated[int, typer.Option("--depth", "-d", min=0, help="How many levels to show.")] = 6,
    no_pager: NoPager = False,
    json: Json = False,
    url: Url = None,
) -> None:
    """Show a job and what is under it, siblings alike as one."""
    console = out()
    with open_existing(url) as app:
        (row,) = find_jobs(app, [job])
        root = read_tree(app.store, row, depth)
        if json:
            print_facts(_facts(root))
        else:
            print_lines(console, draw_tree(app.store, root, console.width), page=not no_pager)


def _facts(root: Branch) -> dict[str, Any]:
    """Return the folded tree: `n` jobs alike are one, `more` jobs under it were not looked at."""
    top: dict[str, Any] = {}
    stack = [(root, top)]
    while stack:
        branch, facts = stack.pop()
        facts |= {
            "name": branch.name,
            "state": branch.state,
            "progress": branch.percent,
            "n": branch.n,
            "id": branch.row.id if branch.row else None,
        }
        facts |= {"more": branch.more, "shared": branch.shared, "children": [{} for _ in branch.children]}
        stack += zip(branch.children, facts["children"], strict=True)
    return top
