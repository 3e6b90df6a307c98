"""Opening the file: what is made, what is refused, and in which words."""

import errno
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramify.errors import BadStore, NewerSchema, StoreDown
from ramify.model import Which
from ramify.stores.open import open_store
from ramify.stores.sqlite.file import file_system_of, refuse_bad_place
from ramify.stores.sqlite.statements import MIGRATIONS
from tests.sqlite.kit import Process, Trapped, die, fail, needs_processes, open_fast, opened, planned, session, trap
from tests.stores.kit import leaf

MOUNTS = """\
overlay / overlay rw,relatime 0 0
server:/home /home nfs4 rw 0 0
/dev/sda1 /home/local ext4 rw 0 0
//server/share /mnt/my\\040files cifs rw 0 0
sshfs#host: /mnt/far fuse.sshfs rw 0 0
/dev/sdb1 /mnt/stick fuseblk rw 0 0
tmpfs /mnt/far tmpfs rw 0 0
none\t
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be."""
    return tmp_path / "jobs.db"


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter, and that is not ours alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)
        os.chmod(name, 0o755)


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/dev/fd"))


def as_a_stranger(path: Path) -> tuple[type[BaseException], str]:
    """Open the store as a user who owns nothing; return what is raised."""

    def act(far: Any) -> tuple[type[BaseException], str]:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            open_fast(path).add(planned(leaf("a")))
        except Exception as error:
            return type(error), str(error)
        raise AssertionError("nothing is raised")

    process = Process(act)
    found: tuple[type[BaseException], str] = process.hear()
    assert process.wait() == 0
    return found


# What is made


def test_new_file_is_for_its_owner_only(path: Path) -> None:
    """Nobody else can read the file, what SQLite puts beside it, or the folder of the sessions."""
    with opened(path) as store:
        store.add(planned(leaf("a")))
        store.enter(session("s"))

        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.rglob("*")}

    assert {"jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-sessions", "s"} == modes.keys()
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes


def test_mode_of_a_file_that_is_there_is_kept(path: Path) -> None:
    """Whoever made the file decides who may use it."""
    path.touch(0o640)
    path.chmod(0o640)

    with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_empty_file_becomes_a_store(path: Path) -> None:
    """A file of nothing is nobody's, so it may be used."""
    path.touch()

    with opened(path) as store:
        store.add(planned(leaf("a")))


def test_what_is_stored_is_there_again(path: Path) -> None:
    """A store that is closed and opened has the same jobs."""
    with opened(path) as store:
        store.add(planned(leaf("a")))
        before = store.snapshot()

    with opened(path) as store:
        assert before == store.snapshot()


@pytest.mark.parametrize("durability", ["full", "fast"])
def test_address(path: Path, durability: str) -> None:
    """An address says where, and how durable; the store tells so."""
    store = open_store(f"sqlite:///{path}?durability={durability}")

    facts = store.info().facts
    store.close()

    assert (str(path), durability) == (facts["file"], facts["durability"])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite://host/jobs.db", "names no file"),
        ("sqlite:///jobs.db?durability=some", "'full' or 'fast'"),
        ("sqlite:///jobs.db?speed=9", "unknown options: speed"),
        ("sqlit:///jobs.db", "not the address of a store"),
    ],
)
def test_bad_addresses_are_refused(url: str, words: str) -> None:
    """What is wrong with an address is said, and nothing is made."""
    with pytest.raises(BadStore, match=words):
        open_store(url)

    assert not Path("jobs.db").exists()


@pytest.mark.parametrize(("durability", "level"), [("full", {2, 1}), ("fast", {1})])
def test_durability(path: Path, durability: str, level: set[int]) -> None:
    """What is accepted waits for the disk unless the store is fast; a claim alone never does."""
    levels: list[int] = []

    class Watching(sqlite3.Connection):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            if args[0] == "COMMIT":
                levels.append(super().execute("PRAGMA synchronous").fetchone()[0])
            return super().execute(*args)

    with opened(path, durability=durability, factory=Watching) as store:
        levels.clear()
        store.add(planned(leaf("a")))
        added, levels[:] = set(levels), []
        store.enter(session("s"))
        store.beat("s", [])
        entered = set(levels)

    assert ({max(level)}, {1}) == (added, entered)


def test_folder_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was opened by a relative path stays where it is when the program goes to another folder."""
    monkeypatch.chdir(tmp_path)
    with opened(Path("jobs.db")) as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

        store.enter(session("s"))
        store.add(planned(leaf("a")))

    assert [] == list((tmp_path / "elsewhere").iterdir())


def test_one_store_by_two_names(tmp_path: Path) -> None:
    """A link to the file is the same store, with the same queue of writers and the same sessions."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "data" / "jobs.db")

    with opened(tmp_path / "link.db") as link, opened(tmp_path / "data" / "jobs.db") as store:
        link.enter(session("s"))
        store.add(planned(leaf("a")))

        assert link.snapshot() == store.snapshot()
        assert {"data", "link.db"} == {each.name for each in tmp_path.iterdir()}


# What is refused


def test_another_programs_database_is_refused(path: Path) -> None:
    """A database that is not ours is left as it is, and nothing is put beside it."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bird (name TEXT)")
    connection.close()
    before, files = path.read_bytes(), descriptors()

    with pytest.raises(BadStore, match="another program; name another file"):
        open_fast(path)

    assert (before, [path], files) == (path.read_bytes(), list(path.parent.iterdir()), descriptors())


def test_database_with_another_programs_mark_is_refused(path: Path) -> None:
    """An empty database that bears another program's number is that program's."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 7")
    connection.close()

    with pytest.raises(BadStore, match="another program"):
        open_fast(path)


def test_other_files_are_refused(path: Path) -> None:
    """A file that is no database is left as it is, and nothing is put beside it."""
    path.write_text("Dear diary, " * 1000)
    files = descriptors()

    with pytest.raises(BadStore, match="not an SQLite database; name another file"):
        open_fast(path)

    assert ("Dear diary, " * 1000, [path]) == (path.read_text(), list(path.parent.iterdir()))
    assert files == descriptors()


def test_newer_schema_is_refused(path: Path) -> None:
    """What a newer ramify wrote is left to it; the remedy is named."""
    open_fast(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()

    with pytest.raises(NewerSchema, match=f"schema {len(MIGRATIONS) + 1}, this one knows {len(MIGRATIONS)}.*upgrade"):
        open_fast(path)


def test_directory_is_refused(path: Path) -> None:
    """A directory is no file; a name in it is proposed."""
    path.mkdir()

    with pytest.raises(BadStore, match=r"is a directory; name a file in it, as sqlite:///.*/jobs\.db/jobs\.db"):
        open_fast(path)


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    """No directory is made in passing."""
    with pytest.raises(BadStore, match=r"there is no directory .*missing; make it first"):
        open_fast(tmp_path / "missing" / "jobs.db")

    assert [] == list(tmp_path.iterdir())


@needs_processes
def test_read_only_directory(public: Path) -> None:
    """Where no file can be made, the message says so."""
    os.chmod(public, 0o555)

    assert (StoreDown, f"{public}/jobs.db cannot be written by this user; change its owner or mode") == as_a_stranger(
        public / "jobs.db"
    )


@needs_processes
def test_private_directory(public: Path) -> None:
    """A folder that this user may not enter is said to be so."""
    os.chmod(public, 0o700)

    assert "cannot be written by this user" in as_a_stranger(public / "jobs.db")[1]


@needs_processes
def test_read_only_file(public: Path) -> None:
    """A store that this user may read but not write is of no use to him, and the message says so."""
    open_fast(public / "jobs.db").close()
    os.chmod(public / "jobs.db", 0o444)
    os.chmod(public, 0o555)

    kind, words = as_a_stranger(public / "jobs.db")

    assert (StoreDown, f"{public}/jobs.db cannot be written by this user; change its owner or mode") == (kind, words)


@needs_processes
def test_file_that_cannot_be_read(public: Path) -> None:
    """Another user's store is refused, and the message says why."""
    open_fast(public / "jobs.db").close()

    assert "cannot be written by this user" in as_a_stranger(public / "jobs.db")[1]


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_system_error(path: Path, number: int) -> None:
    """What the system says of a file that it cannot handle is passed on."""

    class Broken(sqlite3.Connection):
        def __init__(self, *args: Any, **options: Any) -> None:
            raise OSError(number, os.strerror(number))

    with pytest.raises(StoreDown, match=f"jobs.db: {os.strerror(number)}"):
        open_fast(path, factory=Broken)


def test_open_that_fails_leaves_nothing_open(path: Path) -> None:
    """Whichever statement of opening fails, nothing is left open, and opening again succeeds."""
    kind, files = trap(fail), descriptors()
    n = 0
    while True:
        kind.arm(n)
        try:
            store = open_fast(path, factory=kind)
        except StoreDown:
            assert files == descriptors()
            n += 1
        else:
            break
    kind.arm(-1)
    store.add(planned(leaf("a")))
    store.close()

    assert (n > 10, files) == (True, descriptors())


@needs_processes
@pytest.mark.parametrize("step", range(3, 40, 6))
def test_death_while_opening(path: Path, step: int) -> None:
    """A process that dies while it makes the database leaves nothing that keeps others from it."""

    def act(far: Any) -> None:
        kind: type[Trapped] = trap(die)
        kind.arm(step)
        open_fast(path, factory=kind)
        die()

    assert Process(act).wait() == -9

    with opened(path) as store:
        store.add(planned(leaf("a")))
        assert len(store.jobs(Which())) == 1


# Network file systems


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/var/jobs.db", "overlay"),
        ("/home/me/jobs.db", "nfs4"),
        ("/home/local/me/jobs.db", "ext4"),
        ("/homely/jobs.db", "overlay"),
        ("/mnt/my files/jobs.db", "cifs"),
        ("/mnt/stick/jobs.db", "fuseblk"),
        ("/mnt/far/jobs.db", "tmpfs"),
    ],
)
def test_file_system(tmp_path: Path, place: str, kind: str) -> None:
    """The file system of a path is that of the longest mount point above it, of the last if there are two."""
    (tmp_path / "mounts").write_text(MOUNTS)

    assert kind == file_system_of(Path(place), str(tmp_path / "mounts"))


def test_no_table_of_mounts(tmp_path: Path) -> None:
    """Where the system keeps no table, nothing is known, and nothing refused."""
    assert file_system_of(tmp_path / "jobs.db", str(tmp_path / "missing")) == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "fuse.sshfs", "afs"])
def test_network_file_systems_are_refused(path: Path, kind: str) -> None:
    """Where SQLite's locks do not hold no store is opened; what is made for such disks is named."""
    mounts = path.parent / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/ {path.parent} {kind} rw 0 0\n")

    with pytest.raises(BadStore, match=rf"jobs.db lies on a network file system \({kind}\).*dir:///"):
        refuse_bad_place(path, str(mounts))


@pytest.mark.parametrize("kind", ["ext4", "overlay", "tmpfs", "xfs", "btrfs", "zfs", "fuseblk", "apfs"])
def test_local_file_systems_are_accepted(path: Path, kind: str) -> None:
    """Disks of this host, also through FUSE, are fine."""
    mounts = path.parent / "mounts"
    mounts.write_text(f"server:/ / nfs rw 0 0\n/dev/sda1 {path.parent} {kind} rw 0 0\n")

    refuse_bad_place(path, str(mounts))


def test_link_to_a_network_file_system_is_refused(tmp_path: Path) -> None:
    """It counts where the file lies, not where the link to it does."""
    (tmp_path / "far").mkdir()
    (tmp_path / "jobs.db").symlink_to(tmp_path / "far" / "jobs.db")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/ {tmp_path / 'far'} nfs4 rw 0 0\n")

    with pytest.raises(BadStore, match="network file system"):
        refuse_bad_place(tmp_path / "jobs.db", str(mounts))
