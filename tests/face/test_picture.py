"""`job.draw()`, `job.mermaid()` and what a notebook shows: bounded, folded, escaped."""

import re
import subprocess
import sys
from html import unescape

import pytest

from ramify import Job, Ramify, group, job, series
from ramify.ids import make_id
from tests.face.tasks import boom, double, total

NASTY = '<script>alert("1")</script> `x` # [a](b) \x1b[31m'


@pytest.fixture
def tree(app: Ramify) -> Job[object]:
    """A tree with a fold, a failure, a series, and jobs that run after others."""
    first = job(double, 1).options(label="first")
    tree = app.enqueue(
        group(
            series(group(first, job(double, 2)), group(job(double, 3)).options(label="then")),
            group(*(job(double, n) for n in range(30))),
            job(boom, "x").options(label="bad"),
            job(total, group(job(double, 1))).options(after=first, when="ended"),
        ).options(label="all")
    )
    app.run_until_empty()
    return tree


def test_a_tree_as_text(tree: Job[object]) -> None:
    """The lines of `ramify tree`, with ids, folds and reasons; `depth` cuts it."""
    lines = [re.sub(r"  \w{26}", "", line) for line in tree.draw().splitlines()]

    assert lines[0] == "failed    all"
    assert "│  └─ done      double × 30" in lines
    assert lines[lines.index("├─ failed    bad") + 1] == "│     ValueError: x"
    assert tree.draw().splitlines()[0].endswith(tree.id)
    assert len(tree.draw(depth=1).splitlines()) == 6


def test_a_tree_as_a_mermaid_graph(tree: Job[object]) -> None:
    """Each line of the tree is a node, arrows lead up to the job above, dotted ones from what was waited for."""
    lines = [line.strip() for line in tree.mermaid().splitlines()]
    keys = dict(reversed(line.rstrip('"]').split('["')) for line in lines if '["' in line)

    assert lines[0] == "graph LR"
    assert f"{keys['double × 30 · done']} --> " in "\n".join(lines)
    assert f"{keys['bad · failed']} --> {keys['all · failed']}" in lines
    assert f"{keys['first · done']} -.->|ended| {keys['total · done']}" in lines
    # Of a series only the groups are linked, though all under the second waits for the first.
    dotted = [line for line in lines if "-.->" in line]
    assert len(dotted) == 2
    assert any(line.endswith(f" {keys['then · done']}") for line in dotted)
    assert f"class {keys['all · failed']},{keys['bad · failed']} failed" in lines


def test_a_notebook_shows_the_tree(tree: Job[object]) -> None:
    """`_repr_html_` is the text in colour, and asks for nothing from elsewhere."""
    picture = tree._repr_html_()

    assert picture is not None
    assert unescape(re.sub(r"<[^>]*>", "", picture)).splitlines() == tree.draw().splitlines()
    assert "http" not in picture
    assert "color: " in picture


def test_names_are_text_and_nothing_else(app: Ramify) -> None:
    """What a label holds is shown, not obeyed, in HTML and in Mermaid."""
    nasty = app.enqueue(job(double, 1).options(label=NASTY))

    picture, graph = nasty._repr_html_(), nasty.mermaid()

    assert picture is not None
    assert "<script>" not in picture
    assert "\x1b" not in picture + graph + nasty.draw()
    [node] = re.findall(r'\["(.*)"\]', graph)
    assert not set(node) & set('"<>`[]()')
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), node) == NASTY.replace("\x1b", "\\x1b") + " · ready"


def test_a_huge_tree_is_a_small_picture(app: Ramify) -> None:
    """What is too much for a picture is counted."""
    groups = [group(job(double, m).options(label=f"job {m}"), job(double, 1)) for m in range(300)]
    huge = app.enqueue(group(*(one.options(label=f"g{n % 30}") for n, one in enumerate(groups)), job(boom, "x")))

    flat = app.enqueue(group(*(job(double, n).options(label=f"{n}") for n in range(3000))))
    deep = app.enqueue(group(*(group(*(job(double, n).options(label=f"{n}") for n in range(20))) for _ in range(4))))
    wide = app.enqueue(group(*(group(deep_one, job(double, 1)) for deep_one in map(make_group, range(4)))))

    for stored in (huge, flat, deep, wide):
        picture = stored._repr_html_()
        assert picture is not None
        assert len(picture.splitlines()) <= 203
        assert len(picture) < 100_000
        assert stored.mermaid().count('["') <= 220
    assert "more" in wide.mermaid()


def make_group(n: int) -> object:
    return group(*(group(*(job(double, m).options(label=f"{n} {k} {m}") for m in range(30))) for k in range(4)))


def test_a_job_that_is_gone_has_no_picture(app: Ramify) -> None:
    """A notebook falls back to its id."""
    gone = app.enqueue(double, 1)
    gone.id = make_id()

    assert gone._repr_html_() is None
    assert repr(gone) == f"<job {gone.id}>"


def test_a_program_that_draws_nothing_does_not_load_what_draws() -> None:
    """`import ramify` stays small."""
    ask = "import sys, ramify; print('rich' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout == "False\n"
