"""The pictures of the documentation are drawn by the program itself: `RAMIFY_DRAW=1 pytest tests/docs` draws anew.

They show a film in the middle of its work. Its ids, times and places are always the same.
"""

import io
import os
import re
import sys
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pexpect
import pytest
from rich.console import Console
from rich.text import Text

from bench.picture import draw
from ramify import group, job
from ramify.cli.watch import draw_frame
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.model import Ended, Failure, Page, Progress, Session, State, Value, Want, Which
from ramify.stores.memory import Memory
from ramify.stores.open import open_store
from ramify.stores.protocol import Store

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs/pictures"
FIRST = "01m7y31r2xe3r85zbvrvew2"
WIDTH, HEIGHT = 72, 30
CELL = 12.2
TITLES = {"figures": "jobs a second, two processes, results stored"}
AGE = 2 * 3600 + 5 * 60 + 30


def make_film(store: Store) -> None:
    """Store a film, of which one worker has rendered 14 frames; one failed, and four are being rendered."""
    frames = [job("film:render", n).options(label="frame") for n in range(1, 25)]
    scene = group(*frames, body=job("film:join")).options(label="scene 1")
    title = job("film:title").options(label="titles")
    sound = job("film:mix", job("film:record")).options(label="sound", queue="audio")
    film = group(scene, title, sound, body=job("film:cut")).options(label="film")
    store.add(plan(sketch([film]), lambda n: [f"{FIRST}{i:03d}" for i in range(n)]))
    session = Session("s", "farm", 4711, ("default", "audio"), ("film",), time.time() - AGE)
    store.enter(session)
    claims = store.exchange("s", [], Want(n=19)).claims
    ended = [Ended(claim.row.id, 1, State.DONE, Value()) for claim in claims[:14]]
    lens = Failure("error", "no lens cap", "OSError")
    ended.append(Ended(claims[14].row.id, 1, State.FAILED, failure=lens))
    store.exchange("s", ended, Want(n=0))
    store.beat("s", [Progress(claim.row.id, 20 * n, "ray tracing") for n, claim in enumerate(claims[15:], 1)])


def draw_command(folder: Path, *arguments: str) -> list[Text]:
    """Return what a command prints in a terminal."""
    store = open_store(f"sqlite:///{folder}/film.db")
    make_film(store)
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR", "RAMIFY_URL"}}
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "ramify.cli", *arguments, "--url", "sqlite:///film.db"],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "PAGER": "cat"},
        dimensions=(HEIGHT, 200),  # wide, as the path of a test may be long
        encoding="utf-8",
        codec_errors="replace",
        timeout=20,
    )
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0, terminal.before
    store.close()
    text = terminal.before.replace("\r\n", "\n").replace(str(folder.resolve()), "/srv/film").rstrip()
    text = re.sub(r"oldest ready: .*", "oldest ready: audio 2 min, default 5 min", text)
    return Text.from_ansi(re.sub(r"(sqlite: )[\d.]+", r"\g<1>3.50.0", text)).split()


def draw_info(folder: Path) -> list[Text]:
    """Return `ramify info`."""
    return draw_command(folder, "info")


def draw_tree(folder: Path) -> list[Text]:
    """Return `ramify tree` of the film."""
    return draw_command(folder, "tree", f"{FIRST}028")


def draw_run(folder: Path) -> list[object]:
    """Return what `ramify run` and `make run` show of it after 12 seconds."""
    store = Memory()
    make_film(store)
    [film] = store.jobs(Which(roots=True), Page(size=1))
    return [draw_frame(store, film, 12, WIDTH, HEIGHT)]


def draw_figures(folder: Path) -> list[Text]:
    """Return how fast jobs are worked off, as measured."""
    return draw()


def to_svg(lines: list[Text] | list[object], name: str) -> str:
    """Return lines as an SVG that asks for nothing from elsewhere."""
    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        legacy_windows=False,
        _environ={},
    )
    for line in lines:
        console.print(line, no_wrap=True, overflow="ellipsis")
    svg = console.export_svg(title=TITLES.get(name, f"ramify {name}"), unique_id=name)
    svg = re.sub(r"\s*@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)
    return re.sub(r'x="([\d.]+)" (y="[\d.]+") textLength="([\d.]+)"([^>]*)>((?:&#160;)+)', indent, svg)


def indent(found: re.Match[str]) -> str:
    """Begin a text where its first letter stands: not every viewer keeps spaces at the beginning."""
    shift = CELL * len(found[5]) / len("&#160;")
    x, length = float(found[1]) + shift, max(0, float(found[3]) - shift)
    return f'x="{x:g}" {found[2]} textLength="{length:g}"{found[4]}>'


@pytest.mark.parametrize("draw", [draw_info, draw_tree, draw_run, draw_figures], ids=lambda draw: draw.__name__[5:])
def test_a_picture_is_what_the_program_draws(draw: Callable[[Path], list[Text]], tmp_path: Path) -> None:
    """The README shows what `ramify info`, `tree` and `run` print today, and the latest figures, in a few kilobytes."""
    name = draw.__name__[5:]
    drawn = to_svg(draw(tmp_path), name)
    path = PICTURES / f"{name}.svg"
    if os.environ.get("RAMIFY_DRAW"):
        path.write_text(drawn, "utf-8")

    assert words(drawn) == words(path.read_text("utf-8"))
    assert f"({path.relative_to(ROOT)})" in (ROOT / "README.md").read_text("utf-8")
    assert "url(http" not in drawn
    assert len(drawn) < 40_000


def words(svg: str) -> list[list[str]]:
    """Return the words of each line: where they stand is left to the library."""
    lines: dict[str, list[str]] = {}
    for place, text in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        lines.setdefault(place, []).extend(unescape(text).split())
    return list(lines.values())
