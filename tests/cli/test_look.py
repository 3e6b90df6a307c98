"""`ramify info`, `tree`, `result`, `doctor`: they look and change nothing."""

import json
import re
import sqlite3
from typing import Any

import pytest

from ramify import Ramify, group, job
from ramify.model import Ended, Failure, Page, Rule, Session, State, Want, Which
from ramify.picture.draw import draw_tree
from ramify.picture.fold import READ, read_tree
from ramify.stores.protocol import SLICE
from ramify.stores.read import read_row
from ramify.stores.sqlite import Sqlite
from tests.cli.conftest import Command
from tests.face.tasks import boom, double, total

ID = re.compile(r"\b[0-9a-z]{26}\b")


def shape(text: str) -> list[str]:
    """Return the lines of a tree without ids and without spaces at their ends."""
    return [ID.sub("", line).rstrip() for line in text.splitlines()]


def test_info_counts_by_queue_and_state(app: Ramify, ask: Command) -> None:
    """Each queue is a line, each state that occurs a column, with the sum of all below, and the latest trees."""
    app.enqueue(group(job(double, 1), job(double, 2).options(queue="mail")))
    app.run_until_empty()
    app.enqueue(job(double, 3).options(label="third"))

    lines = [line.split() for line in ask("info").out.splitlines()]

    assert ["queue", "waiting", "ready", "done"] in lines
    assert ["default", "1", "1", "1"] in lines
    assert ["mail", "·", "1", "·"] in lines
    assert ["all", "1", "2", "1"] in lines
    assert any(line[:2] == ["third", "ready"] for line in lines)
    assert ["worklist:", "empty"] in lines


def test_info_shows_the_lanes(app: Ramify, ask: Command) -> None:
    """Each task with unfinished jobs in a queue is a line, with how many of it may run."""
    app.enqueue(total, [1])
    app.run_until_empty()
    app.store.limit("task:tests.face.tasks:double", Rule(3))
    app.store.limit("queue:mail", Rule(2))
    app.enqueue(group(job(double, 1), job(double, 2).options(queue="mail")))
    app.enqueue(boom, "no")

    lines = [line.split() for line in ask("info").out.splitlines()]
    lanes = json.loads(ask("info", "--json").out)["lanes"]

    assert ["lane", "queue", "waiting", "ready", "at", "most"] in lines
    assert ["tests.face.tasks:double", "default", "·", "1", "3"] in lines
    assert ["tests.face.tasks:double", "mail", "·", "1", "2"] in lines
    assert ["tests.face.tasks:boom", "default", "·", "1", "·"] in lines
    assert ["(groups)", "default", "1", "·", "·"] in lines
    assert {"queue": "mail", "task": "tests.face.tasks:double", "jobs": {"ready": 1}, "room": 2} in lanes
    assert 4 == len(lanes)


def test_info_sums_up_lanes_that_are_many(app: Ramify, ask: Command) -> None:
    """The fullest lanes are named, the others counted together."""
    app.enqueue(group(*(job(double, n).options(queue=f"q{n}") for n in range(20))))

    lines = [line.split() for line in ask("info").out.splitlines()]

    assert ["9", "more", "·", "9"] in lines


def test_info_names_the_workers(app: Ramify, ask: Command) -> None:
    """Who is alive is listed with host, process, queues and modules."""
    app.store.enter(Session("s", "crow", 4711, ("default", "mail"), ("chores",), started=0.0))

    out = ask("info").out

    assert re.search(r"crow:4711 +default, mail +chores", out)


def test_a_tree_shows_every_state_with_its_id(app: Ramify, ask: Command) -> None:
    """Each job is a line with its state, its name and its id; a failure says why."""
    tree = app.enqueue(group(job(double, 1), job(boom, "it is broken").options(label="go"), label="all of it"))
    app.run_until_empty()

    out = ask("tree", tree.id.upper()).out

    assert shape(out) == [
        "failed    all of it",
        "├─ done      double",
        "└─ failed    go",
        "      ValueError: it is broken",
    ]
    assert [tree.id, *(child.id for child in tree.children)] == ID.findall(out)


def test_siblings_alike_are_one_line(app: Ramify, ask: Command) -> None:
    """Many siblings with one name and one state are counted; a few are named."""
    few = [job(double, n).options(label="few") for n in range(20)]
    tree = app.enqueue(group(*few, *(job(double, n) for n in range(980))))

    lines = shape(ask("tree", tree.id).out)

    assert lines == ["waiting   group", "├─ ready     few × 20", "└─ ready     double × 980"]


def test_siblings_with_too_many_names_are_folded_by_task(app: Ramify, ask: Command) -> None:
    """A label for each job does not make a line for each job."""
    tree = app.enqueue(group(*(job(double, n).options(label=f"number {n}") for n in range(100))))

    assert shape(ask("tree", tree.id).out) == ["waiting   group", "└─ ready     double × 100"]


def test_some_of_many_failures_are_named(app: Ramify, ask: Command) -> None:
    """Of many that failed alike the first are shown with the reason, the others counted."""
    tree = app.enqueue(group(*(job(boom, "it is broken") for _ in range(10))))
    app.run_until_empty()

    lines = shape(ask("tree", tree.id).out)

    assert sum("ValueError" in line for line in lines) == 4
    assert lines[-1] == "└─ failed    boom × 6"


def test_the_depth_is_limited(app: Ramify, ask: Command) -> None:
    """What lies deeper than `--depth` is counted."""
    tree = app.enqueue(group(group(group(job(double, 1)))))

    assert shape(ask("tree", tree.id, "--depth", "1").out) == ["waiting   group", "└─ waiting   group  (… 1 below)"]


def test_a_level_with_very_many_lines_is_not_opened(app: Ramify, ask: Command) -> None:
    """Even if every job has a name of its own, a tree is not more than some thousand lines."""
    boxes = [[job(double, n).options(label=f"{box}.{n}") for n in range(35)] for box in range(35)]
    full = [[group(node, label=f"in {node.how.label}") for node in box] for box in boxes]
    tree = app.enqueue(group(*(group(*box, label=f"box {number}") for number, box in enumerate(full))))

    lines = shape(ask("tree", tree.id).out)

    assert len(lines) == 1 + 35 + 35 * 35
    assert lines[-1] == "   └─ waiting   in 34.34  (… 1 below)"


def test_arguments_and_what_a_group_waits_for_are_in_the_tree(app: Ramify, ask: Command) -> None:
    """A node that was only an argument, or only in `after`, hangs under the job that named it."""
    whole = group(job(double, 1)).options(
        after=[job(double, 2).options(label="one"), job(double, 3).options(label="two")]
    )
    tree = app.enqueue(job(total, whole))

    assert shape(ask("tree", tree.id).out) == [
        "waiting   total",
        "└─ waiting   group",
        "   ├─ ready     one",
        "   ├─ ready     two",
        "   └─ waiting   double",
    ]


def test_a_job_with_two_parents_is_opened_once(app: Ramify, ask: Command) -> None:
    """A shared job is shown under both, and marked under the one that it does not belong to."""
    shared = group(job(double, 1)).options(label="shared")
    tree = app.enqueue(group(group(shared, label="first"), group(shared, label="second")))

    lines = shape(ask("tree", tree.id).out)

    assert "│  └─ waiting   shared" in lines
    assert "   └─ waiting   shared  (shown elsewhere)" in lines


def test_labels_cannot_command_the_terminal(app: Ramify, ask: Command) -> None:
    """Control characters in labels and reasons are spelt out."""
    tree = app.enqueue(job(boom, "\x1b]0;gotcha\x07").options(label="\x1b[2Jred\u202e"))
    app.run_until_empty()

    replies = ask("tree", tree.id), ask("info"), ask("result", tree.id)

    for reply in replies:
        assert not set("\x1b\x07\u202e") & set(reply.out + reply.err)
    assert r"\x1b[2Jred\u202e" in replies[0].out
    assert r"\x1b]0;gotcha\x07" in replies[2].err


def test_a_line_that_is_too_long_loses_its_name_but_not_its_id(app: Ramify) -> None:
    """On a narrow terminal the name gives way, since an id that is cut is none."""
    tree = app.enqueue(job(double, 1).options(label="a name that goes on and on and on"))

    [line] = draw_tree(app.store, read_tree(app.store, read_row(app.store, tree.id), 1), 60)

    assert len(line.plain) == 60
    assert line.plain.endswith(f"…  {tree.id}")


def count_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gains the number of jobs, or of edges, that each read brings into this process."""
    read: list[int] = []
    for name in ("jobs", "edges", "results"):
        bring = getattr(Sqlite, name)

        def counted(*args: Any, bring: Any = bring, **more: Any) -> Any:
            found = bring(*args, **more)
            read.append(len(found))
            return found

        monkeypatch.setattr(Sqlite, name, counted)
    return read


@pytest.mark.slow
def test_very_many_siblings_are_counted_by_the_store(app: Ramify, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many children a job has, few rows are read; some that failed are named all the same."""
    tree = app.enqueue(group(*(job(double, n).options(label=f"no {n}") for n in range(READ + 5)), job(boom, "no")))
    app.store.enter(Session("s"))
    claims = app.store.exchange("s", [], Want(n=READ + 6)).claims
    ended = [Ended(claim.row.id, 1, State.DONE) for claim in claims[: READ + 5]]
    broken = Ended(claims[-1].row.id, 1, State.FAILED, failure=Failure("error", "it is broken"))
    app.store.exchange("s", [*ended[3:], broken], Want())
    read = count_rows(monkeypatch)

    lines = draw_tree(app.store, read_tree(app.store, read_row(app.store, tree.id), 6), 100)

    assert shape("\n".join(line.plain for line in lines)) == [
        "waiting   group  99 %",
        "├─ failed    boom",
        "│     it is broken",
        f"├─ done      double × {READ + 2:,}",
        "├─ running   no 0",
        "├─ running   no 1",
        "└─ running   no 2",
    ]
    assert sum(read) <= SLICE + 30


def test_what_is_asked_for_has_a_line_among_very_many(app: Ramify) -> None:
    """The picture of a running tree counts what it does not show."""
    tree = app.enqueue(group(*(job(double, n) for n in range(READ + 1))))
    last = read_row(app.store, max(row.id for row in app.store.jobs(Which(under=tree.id), Page(size=1, newest=True))))

    root = read_tree(app.store, read_row(app.store, tree.id), 1, {last.id: last})

    assert [(branch.name, branch.n) for branch in root.children] == [("double", 1), ("double", READ)]


def test_a_result_is_json(app: Ramify, ask: Command) -> None:
    """The result goes to stdout as JSON, that of a group as the list of its children's."""
    tree = app.enqueue(group(job(double, 1), job(double, 2)))
    app.run_until_empty()

    reply = ask("result", tree.id)

    assert (reply.code, json.loads(reply.out)) == (0, [2, 4])


def test_a_job_without_result_says_why(app: Ramify, ask: Command) -> None:
    """Status 1 and the reason: it failed, or it has not ended."""
    failed = app.enqueue(job(boom, "it is broken").options(label="go"))
    app.run_until_empty()
    waiting = app.enqueue(double, 1)

    reply = ask("result", failed.id)
    assert (1, "") == (reply.code, reply.out)
    assert reply.err.startswith("Traceback") and "in boom" in reply.err
    assert reply.err.endswith(f"ramify: go ({failed.id}) failed: ValueError: it is broken\n")
    assert f"({waiting.id}) has no result yet: it is ready" in ask("result", waiting.id).err


def test_the_doctor_finds_a_sound_store_sound(app: Ramify, ask: Command) -> None:
    """Status 0 and how much was checked."""
    app.enqueue(group(job(double, 1), job(double, 2)))

    reply = ask("doctor")
    assert (reply.code, reply.out) == (0, "sound: 3 jobs, 2 edges\n")
    assert reply.err == "" or reply.err.startswith("note: SQLite ")  # an old library is named


def test_the_doctor_names_what_is_wrong(app: Ramify, ask: Command) -> None:
    """Status 1 and a line for each violation with the job."""
    tree = app.enqueue(group(job(double, 1)))
    with sqlite3.connect("ramify.db") as connection:
        connection.execute("UPDATE job SET waits = 7 WHERE id = ?", (tree.id,))
    connection.close()

    reply = ask("doctor")

    assert reply.code == 1
    assert f"job {tree.id}" in reply.out


def test_the_doctor_says_if_it_cannot_check(place: object, ask: Command) -> None:
    """Status 2: neither sound nor ill."""
    assert ask("doctor", "--url", "sqlite:///nowhere.db").code == 2
