"""The pictures of the documentation are drawn by the program itself: `RAMIFY_DRAW=1 pytest tests/docs` draws anew."""

import io
import os
import re
from pathlib import Path

from rich.console import Console

from ramify import group, job
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.model import Ended, Failure, Page, Session, State, Value, Want, Which
from ramify.picture.draw import draw_tree
from ramify.picture.fold import read_tree
from ramify.stores.memory import Memory

PICTURES = Path(__file__).parents[2] / "docs/pictures"
FIRST = "01m7y31r2xe3r85zbvrvew2"


def draw_a_tree() -> str:
    """Return `ramify tree` of a film in the middle of its work, as SVG."""
    frames = [job("film:render", n).options(label="frame") for n in range(1, 25)]
    scene = group(*frames, body=job("film:join")).options(label="scene 1")
    title = job("film:title").options(label="titles")
    sound = job("film:mix", job("film:record")).options(label="sound")
    film = group(scene, title, sound, body=job("film:cut")).options(label="film")
    store = Memory()
    batch = plan(sketch([film]), lambda n: [f"{FIRST}{i:03d}" for i in range(n)])
    store.add(batch)
    store.enter(Session("s"))
    claims = store.exchange("s", [], Want(n=20)).claims
    ended = [Ended(claim.row.id, 1, State.DONE, Value()) for claim in claims[:14]]
    lens = Failure("error", "no lens cap", "OSError")
    ended.append(Ended(claims[14].row.id, 1, State.FAILED, failure=lens))
    store.exchange("s", ended, Want(n=0))
    [root] = store.jobs(Which(roots=True), Page(size=1))
    console = Console(record=True, width=72, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in draw_tree(store, read_tree(store, root, 6), 72):
        console.print(line)
    return console.export_svg(title="ramify tree", unique_id="tree")


def test_the_picture_of_a_tree_is_what_the_program_draws() -> None:
    """The README shows what `ramify tree` prints today."""
    drawn = draw_a_tree()
    path = PICTURES / "tree.svg"
    if os.environ.get("RAMIFY_DRAW"):
        path.write_text(drawn, "utf-8")

    assert words(drawn) == words(path.read_text("utf-8"))


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)
