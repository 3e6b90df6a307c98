"""A queue as people and other programs see it: plain files, documents put in by renaming, and what is refused."""

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ramify import Ramify, group, job, series, shell
from ramify.cli import main
from ramify.errors import BadStore, NewerSchema, StoreDown, StoreFull
from ramify.model import Line, Page, Progress, Session, State, Verb, Want, Which
from ramify.stores.directory import Directory, sessions
from ramify.stores.directory.disk import Disk
from ramify.stores.open import open_store
from ramify.stores.protocol import LEASE
from tests.directory.kit import opened
from tests.face.tasks import add, double
from tests.sqlite.kit import Process, done, needs_processes, planned, session, work
from tests.stores.kit import Clock, leaf, tree
from tests.stores.kit import series as row_of

TASKS = ["tests.face.tasks", "ramify.programs"]


def read(path: Path) -> str:
    return path.read_text().strip()


def test_a_person_can_read_it(path: Path) -> None:
    """Each job is a directory named by number, sub-jobs in it; label, state, output and result are plain files."""
    with Ramify(f"dir://{path}", tasks=TASKS) as app:
        frames = group(shell("echo frame 1; echo oops >&2"), shell("exit 3"))
        app.enqueue(job(add, 1, y=2).options(label="first"))
        app.enqueue(series(frames, job(double, 2)).options(label="film"))
        assert read(path / "jobs/2/state") == "waiting"
        app.run_until_empty()

    jobs = path / "jobs"
    assert sorted(entry.name for entry in jobs.iterdir()) == ["1", "2"]
    assert (read(jobs / "1/label"), read(jobs / "1/state"), read(jobs / "1/result.json")) == ("first", "done", "3")
    about = json.loads((jobs / "1/job.json").read_text())
    assert (about["task"], about["arguments"]) == ("tests.face.tasks:add", [[1], {"y": 2}])
    assert (read(jobs / "2/label"), read(jobs / "2/state")) == ("film", "failed")
    outputs = [file.read_text() for file in jobs.glob("2/**/output")]
    assert sorted(outputs[0].splitlines()) == ["  frame 1", "! oops"]
    failed = [json.loads(file.read_text())["message"] for file in jobs.glob("2/*/*/error.json")]
    assert failed == ["`exit 3` ended with exit status 3"]
    assert sorted(read(file) for file in jobs.glob("2/*/state")) == ["failed", "skipped"]
    assert all(json.loads(line) for record in path.glob("journal/*/*") for line in record.read_text().splitlines())


def test_a_tree_appears_by_one_rename(path: Path) -> None:
    """Who looks sees nothing of a tree, or all of it."""
    seen: list[tuple[bool, int]] = []

    class Looking(Disk):
        def rename(self, old: str, new: str) -> None:
            before = self.exists(new)
            super().rename(old, new)
            seen.append((before, len(list((self.path / new).glob("**/state")))))

    with opened(path, disk=Looking) as store:
        store.add(planned(tree("top", *[tree(str(n), leaf("a"), leaf("b")) for n in range(5)])))

    assert seen == [(False, 16)]


def test_deep_trees_lie_side_by_side(path: Path) -> None:
    """Below 64 levels jobs lie in one directory of their root, so that no path gets too long."""
    node = leaf("bottom")
    for level in range(100):
        node = tree(str(level), node)
    with opened(path) as store:
        store.add(planned(node))

    depths = [len(file.relative_to(path / "jobs").parts) - 1 for file in path.glob("jobs/**/state")]
    assert (len(depths), max(depths), len(list(path.glob("jobs/1/deep/*/state")))) == (101, 64, 1)


def test_a_purge_takes_the_directories(path: Path) -> None:
    """A tree that is purged is not seen any more, and its number is not used again."""
    with opened(path) as store:
        store.enter(session("s"))
        store.add(planned(leaf("a")))
        work(store, "s")
        store.move(Which(), Verb.PURGE)
        while store.drain():
            pass
        store.add(planned(leaf("b")))

    assert [entry.name for entry in (path / "jobs").iterdir()] == ["2"]


def test_what_a_dead_writer_did_not_show_is_shown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes the next checkpoint shows what another process changed and could not show."""
    with opened(path) as store:
        monkeypatch.setattr(type(store), "_show", lambda self: None)
        monkeypatch.setattr(type(store), "_show_more", lambda self, seconds: None)
        store.add(planned(leaf("a")))
    monkeypatch.undo()
    assert list((path / "jobs").iterdir()) == []

    with opened(path) as store:
        monkeypatch.setattr("ramify.stores.directory.journal.LEAST", 1)
        store._journal._size = 1
        store.add(planned(leaf("b")))

    assert sorted(read(file) for file in path.glob("jobs/*/label")) == ["a", "b"]


def test_what_dead_writers_left_is_removed(path: Path) -> None:
    """Files and directories in `tmp` that nobody has touched for an hour go with the next checkpoint."""
    with opened(path) as store:
        for name, old in (("old", True), ("new", False)):
            (path / f"tmp/{name}/1").mkdir(parents=True)
            (path / f"tmp/{name}/1/state").touch()
            (path / f"tmp/{name}.json").touch()
            for file in (path / f"tmp/{name}", path / f"tmp/{name}.json") if old else ():
                os.utime(file, (0, 0))
        store._journal._size = 1
        store.add(planned(leaf("a")))

        assert sorted(file.name for file in (path / "tmp").iterdir()) == ["new", "new.json"]


# Documents

CLIENT = r"""#!/bin/sh
# Put a project into a queue of ramify, wait for its end, and print what became of it. Nothing but files.
set -eu
queue=$1 document=$2
name=$(hostname)-$$-$(date +%s).json

cp "$document" "$queue/tmp/$name"          # aside, as long as it takes
mv "$queue/tmp/$name" "$queue/inbox/$name" # there all at once

while [ ! -e "$queue/taken/$name" ] && [ ! -e "$queue/refused/$name.why" ]; do
    sleep 0.1
done
if [ -e "$queue/refused/$name.why" ]; then
    cat "$queue/refused/$name.why" >&2
    exit 2
fi
read -r job < "$queue/taken/$name"
echo "$name is $job"

while read -r state < "$queue/$job/state"; do
    case $state in
        done | failed | cancelled | skipped) break ;;
    esac
    sleep 0.1
done
echo "$state"
[ "$state" = done ]
"""


def test_a_shell_script_submits(path: Path, tmp_path: Path) -> None:
    """Any program submits by writing a project document and renaming it, and sees how its job ends."""
    assert len(CLIENT.splitlines()) <= 31
    script, good, bad = tmp_path / "client.sh", tmp_path / "good.json", tmp_path / "bad.json"
    script.write_text(CLIENT)
    good.write_text(json.dumps({"jobs": [{"func": "tests.face.tasks:double", "args": 4, "label": "four"}]}))
    bad.write_text("[1, 2")
    with Ramify(f"dir://{path}?durability=fast", tasks=TASKS) as app:
        clients = [
            subprocess.Popen(["sh", str(script), str(path), str(file)], stdout=-1, stderr=-1, text=True)
            for file in (good, bad)
        ]
        while any(client.poll() is None for client in clients):
            app.run_until_empty()
            time.sleep(0.01)
        (out, _), (_, err) = (client.communicate() for client in clients)

        assert [client.returncode for client in clients] == [0, 2]
        assert out.splitlines()[-1] == "done"
        assert "Expected `object`" in err
        [four] = [found for found in app.jobs(tasks=["tests.face.tasks:double"])]
        assert four.result() == 8


def test_a_document_is_taken_once(path: Path) -> None:
    """A document whose taker dies before it is removed is found again and not added a second time."""
    with opened(path) as store:
        store.enter(session("s"))
        (path / "inbox/one.json").write_text('{"func": "m:x"}')
        store._inbox.taken = lambda name, place: None  # type: ignore[method-assign]
        store.exchange("s", [], Want(0, ends=0))
        store.exchange("s", [], Want(1, queues=("none",)))
    with opened(path) as store:
        store.exchange("s", [], Want(1, queues=("none",)))

        assert store.counts(Which(), "task") == {"ramify:plan": 1}
        assert (list((path / "inbox").iterdir()), read(path / "taken/one.json")) == ([], "jobs/1")


def test_odd_documents_are_put_aside(path: Path) -> None:
    """What is no document is refused with the reason, and holds up nothing: links, pipes, directories, large files."""
    with opened(path) as store:
        store.enter(session("s"))
        inbox = path / "inbox"
        (inbox / "list.json").write_text("[]")
        (inbox / "no text.json").write_bytes(b'{"func": "\xff"}')
        (inbox / "deep.json").write_text('{"jobs": ' + "[" * 100_000)
        (inbox / "large.json").write_text(json.dumps({"label": "x" * (1 << 20)}))
        (inbox / "link.json").symlink_to("/etc/passwd")
        os.mkfifo(inbox / "pipe.json")
        (inbox / "folder.json").mkdir()
        (inbox / "note.txt").write_text("not for us")
        (inbox / "new\nline.json").write_text('{"func": "m:x"}')
        store.exchange("s", [], Want(1, queues=("none",)))

        assert [entry.name for entry in inbox.iterdir()] == ["note.txt"]
        refused = {file.name for file in (path / "refused").iterdir() if file.name.endswith(".why")}
        odd = {"no text.json.why", "deep.json.why"}
        assert refused == odd | {"list.json.why", "large.json.why", "link.json.why", "pipe.json.why", "folder.json.why"}
        assert store.counts(Which(), "task") == {"ramify:plan": 1}


# Leases


def test_a_session_of_another_host_is_given_a_lease(path: Path) -> None:
    """A session that nobody hears of is dead after a lease by the observer's own clock, whatever the other's says."""
    clock = Clock()
    with opened(path) as far:
        far.enter(Session("far", host="far away"))
        home = (path / "sessions/far").read_text().replace(sessions.boot_id() or "-", "another boot")
        (path / "sessions/far").write_text(home)
        far.add(planned(leaf("a")))
        far.exchange("far", [], Want(1))
        with opened(path, lease_clock=clock) as near:
            near.enter(session("near"))
            assert near.adopt("near", 1) == []
            clock.advance(LEASE - 1)
            far.beat("far", [])
            assert near.adopt("near", 1) == []
            clock.advance(LEASE - 1)
            assert near.adopt("near", 1) == []

            clock.advance(2)

            assert [claim.row.label for claim in near.adopt("near", 1)] == ["a"]


@needs_processes
def test_a_dead_process_of_this_host_is_seen_at_once(path: Path) -> None:
    """Nobody waits for the lease of a process that is known to be gone."""

    def claim(far: object) -> int:
        store = Directory(str(path), durability="fast")
        store.enter(Session("dead", pid=os.getpid()))
        return len(store.exchange("dead", [], Want(1)).claims)

    with opened(path) as store:
        store.add(planned(leaf("a")))
        process = Process(claim)
        assert process.hear() == 1
        process.wait()
        store.enter(session("alive"))

        assert len(store.adopt("alive", 1)) == 1


# What lies there


def test_other_directories_are_refused(tmp_path: Path) -> None:
    """A directory with something else in it, a file, a place that is not there: an error that says what to do."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full/holiday.jpg").touch()
    (tmp_path / "file").touch()
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer/ramify.json").write_text('{"ramify": "queue", "format": 99}')
    (tmp_path / "other").mkdir()
    (tmp_path / "other/ramify.json").write_text("{}")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/jobs").symlink_to(tmp_path)

    for name, kind, words in [
        ("full", BadStore, "holiday.jpg"),
        ("file", BadStore, "is no directory"),
        ("newer", NewerSchema, "upgrade ramify"),
        ("other", BadStore, "does not say"),
        ("none/queue", BadStore, "make it first"),
        ("linked", BadStore, "is no directory"),
    ]:
        with pytest.raises(kind, match=words):
            open_store(f"dir://{tmp_path}/{name}")
    for url in ("dir://queue", "dir://", "dir:///"):
        with pytest.raises(BadStore, match="names no directory"):
            open_store(url)
    assert list((tmp_path / "full").iterdir()) == [tmp_path / "full/holiday.jpg"]


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is forbidden to root")
def test_a_directory_of_somebody_else_is_refused(path: Path) -> None:
    """What cannot be written is an error that names the remedy."""
    with opened(path) as store:
        store.add(planned(leaf("a")))
    os.chmod(path / "tmp", stat.S_IRUSR | stat.S_IXUSR)

    with pytest.raises(StoreDown, match="owner or mode"):
        open_store(f"dir://{path}")


def test_a_full_disk_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step for which there is no room changes nothing; with room again the same call succeeds."""
    batch = planned(leaf("a"))
    with opened(path) as store:
        before = store.snapshot()
        make = Disk.make

        def refuse(self: Disk, name: str, text: bytes, sync: bool = False) -> float:
            make(self, name, text[:10], sync)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Disk, "make", refuse)
        with pytest.raises(StoreFull, match="no room left"):
            store.add(batch)
        assert (before, list((path / "tmp").iterdir())) == (store.snapshot(), [])
        monkeypatch.undo()

        store.add(batch)
        assert len(store.jobs(Which())) == 1


def test_foreign_things_are_passed_over(path: Path, tmp_path: Path) -> None:
    """Links, pipes and files that others put between ours do no harm, and nothing outside of the queue is touched."""
    outside = tmp_path / "outside"
    outside.mkdir()
    with opened(path) as store:
        store.enter(session("s"))
        (path / "jobs/1").symlink_to(outside)
        (path / "jobs/2").mkdir()
        (path / "jobs/2/state").symlink_to(outside / "state")
        os.mkfifo(path / "jobs/3")
        for number in (3, 4):
            os.mkfifo(path / f"journal/000000/{number:09d}")
        (path / "checkpoints/000000099").symlink_to("/etc/passwd")
        (path / "checkpoints/junk").write_text("junk")
        for name in ("one", "two", "three", "four"):
            store.add(planned(row_of(name, leaf("a"), leaf("b"))))
        [claim] = store.exchange("s", [], Want(1)).claims
        store.append("s", [Line(claim.row.id, "said")])
        store.beat("s", [Progress(claim.row.id, 5)])
        store.exchange("s", done([claim]), Want(0, ends=0))

    with opened(path) as store:
        assert store.counts(Which(), "state")["done"] == 1
        assert len(store.jobs(Which(roots=True), Page())) == 4
    assert list(outside.iterdir()) == []
    assert read(path / "jobs/4/label") == "four"


def test_a_waiting_process_is_woken(path: Path) -> None:
    """Who waits wakes when another process has written, and when a document was put in."""
    with opened(path) as store, opened(path) as other:
        assert store.wait(None, 0.01) is False
        other.add(planned(leaf("a")))
        assert store.wait(None, 5) is True
        store.jobs(Which())
        process = subprocess.Popen(
            [sys.executable, "-c", f"import time; time.sleep(0.2); open({str(path / 'inbox/x.json')!r}, 'w')"]
        )
        before = time.monotonic()
        assert store.wait(None, 20) is True
        assert time.monotonic() - before < 15
        process.wait()


def test_a_thread_is_woken_by_what_another_has_read(path: Path) -> None:
    """What others wrote wakes each thread that waits, though another thread of its process has read it already."""
    woken: list[bool] = []
    with opened(path) as store, opened(path) as other:
        waiting = threading.Thread(target=lambda: woken.append(store.wait(None, 60)))
        waiting.start()
        other.add(planned(leaf("a")))
        assert len(store.jobs(Which())) == 1
        waiting.join(30)

    assert woken == [True]


def test_a_burst_is_shown_bit_by_bit(path: Path) -> None:
    """Steps that follow each other closely do not wait for the directories; who waits then shows the rest."""
    with opened(path) as store:
        store.enter(session("s"))
        for number in range(20):
            store.add(planned(tree(str(number), *[leaf(str(n)) for n in range(100)])))
        while claims := store.exchange("s", [], Want(500)).claims:
            store.exchange("s", done(claims), Want(0, ends=0))
        assert store.counts(Which(), "state") == {"done": 2020}
        until = time.monotonic() + 60
        states: list[str] = []
        while states.count("done") < 2020 and time.monotonic() < until:
            store.wait(None, 1)
            states = [read(file) for file in path.glob("jobs/**/state")]

    assert states == ["done"] * 2020


def test_states_are_those_of_the_store(path: Path) -> None:
    """Whatever happens, the file `state` of each job says what the store says, once the store was closed."""
    with opened(path) as store:
        store.enter(session("s"))
        for number in range(10):
            store.add(planned(row_of(str(number), leaf("a"), leaf("b"))))
        claims = store.exchange("s", [], Want(6)).claims
        store.exchange("s", done(claims[:3]), Want(1))
        roots = store.jobs(Which(roots=True), Page(size=4))
        store.move(Which(ids=tuple(row.id for row in roots)), Verb.CANCEL)
        while store.drain():
            pass
        states = {row.id: row.state.value for row in store.jobs(Which(), Page(size=-1))}

    shown = {
        json.loads((file.parent / "job.json").read_text())["id"]: read(file) for file in path.glob("jobs/**/state")
    }
    assert shown == states
    assert State.CANCELLED.value in shown.values()


def test_the_doctor_names_what_is_not_ours(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`ramify doctor` names the entries that are passed over, and still says that the queue is sound."""
    with opened(path) as store:
        store.add(planned(tree("a", leaf("b"))))
    (path / "holiday.jpg").touch()
    shutil.rmtree(path / "jobs/1/1")
    (path / "jobs/1/1").symlink_to("/etc")
    (path / "jobs/1/state").unlink()
    os.mkfifo(path / "jobs/1/state")
    (path / "jobs/1/scene.blend").touch()
    (path / "sessions/s").symlink_to("/etc/passwd")
    (path / "jobs/notes").mkdir()
    (path / "journal/000000/junk").touch()
    (path / "inbox/read\nme").touch()

    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--url", f"dir://{path}"])

    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (0, "sound: 2 jobs, 1 edge\n")
    passed = [line.removeprefix("note: passed over: ") for line in err.splitlines() if "passed over" in line]
    assert passed == [
        "holiday.jpg: not of ramify",
        "jobs/notes: the directory of no job",
        "jobs/1/1: no directory, so this job is not shown",
        "jobs/1/state: no plain file, so it shows nothing",
        r"inbox/read\nme: a document's name ends in .json",
        "sessions/s: no plain file",
        "journal/000000/junk: not of ramify",
    ]
