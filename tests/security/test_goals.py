"""What nobody may do who can only write to the store, and what never shows; each test is named after its goal.

The goals and how much of bad input each has been given are listed in docs/reliability.md.
"""

import ast
import json
import os
import random
import string
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any, Final

import pytest

import ramify
from ramify import Ramify, job
from ramify.codec import decode, encode, restore
from ramify.errors import BadTask, BadValue, RamifyError, TooLarge
from ramify.model import Page, State, Which
from ramify.node import Node
from ramify.picture.words import plain
from ramify.stores.address import mask
from ramify.tasks import Tasks
from tests.urls import URLS

PACKAGE: Final = Path(ramify.__file__).parent
TASKS: Final = "tests.face.tasks"
NAMES: Final = int(os.environ.get("STORM_NAMES", "2000"))
NEVER: Final = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "ctypes.pythonapi"}
CALLS: Final = {"eval", "exec", "__import__", "compile"}
ALLOWED: Final = {
    ("codec.py", "eval"): "annotations of the user's own functions, as typing.get_type_hints does",
    ("modules.py", "import_module"): "modules that the operator names",
    ("tasks.py", "import_module"): "modules that the operator names",
    ("worker/watch.py", "import_module"): "functions that the operator names",
    ("compat/cgkit/place.py", "spec_from_file_location"): "the queue's own scripts, whose owner is checked",
    ("compat/cgkit/place.py", "exec_module"): "likewise",
}


def test_s1_no_code_is_made_of_data() -> None:
    """No pickle, eval or import of what a payload says stands anywhere in the package; each exception has a reason."""
    found = set[tuple[str, str]]()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
                found |= {(name, module) for module in modules if module.partition(".")[0] in NEVER}
            elif isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                plainly = isinstance(node.func, ast.Name) and called in CALLS
                if plainly or called in {"import_module", "spec_from_file_location", "exec_module", "system", "popen"}:
                    found.add((name, called))

    assert found == set(ALLOWED)


LOADERS: Final = """
import random, string, sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from ramify.codec import decode, restore
from ramify.errors import RamifyError
from ramify.project import read
from ramify.worker.call import decode_call, decode_message

rng, n = random.Random(int(sys.argv[1])), int(sys.argv[2])
words = ["os:system", "__class__", "__reduce__", "builtins:eval", "py/object", "$ref", "!!python/object", "func",
         "jobs", "args", "__proto__", "\\ud800", "\\0", "'; DROP TABLE job; --", "{{7*7}}", "../../etc/passwd",
         "tests.face.tasks:double"]

def make(depth):
    kind = rng.randrange(9 if depth else 6)
    if kind < 2: return rng.choice(words)
    if kind == 2: return rng.choice([0, -1, 1e308, 10**400, None, True, float("nan")])
    if kind < 6: return "".join(rng.choices(string.printable, k=rng.randrange(20)))
    if kind < 8: return {rng.choice(words): make(depth - 1) for _ in range(rng.randrange(5))}
    return [make(depth - 1) for _ in range(rng.randrange(5))]

import json
texts = [json.dumps(make(5)).encode("utf-8", "surrogatepass") for _ in range(n)]
wanted = [int, str, datetime, UUID, Decimal, Path, dict[str, int], list[UUID], bytes, tuple[int, ...]]
for load in (lambda: restore(decode(b'"x"'), str), lambda: read({"func": "a:b"})): load()
seen = []
sys.addaudithook(lambda event, args: seen.append((event, args[0])) if event in
    {"import", "exec", "compile", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "open"} else None)
for number, text in enumerate(texts):
    broken = bytearray(text)
    for _ in range(number % 4):
        if broken: broken[rng.randrange(len(broken))] = rng.randrange(256)
    for load in (decode, decode_call, decode_message, lambda data: read(decode(data)),
                 lambda data: restore(decode(data), wanted[number % len(wanted)])):
        try: load(bytes(broken))
        except (RamifyError, ValueError, RecursionError): pass
print(len(seen), seen[:5])
"""


def test_s1_hostile_documents_run_nothing() -> None:
    """Whatever stands in payloads, calls, reports and project documents, nothing is imported, opened or started."""
    n = int(os.environ.get("STORM_DOCUMENTS", "2000"))

    told = subprocess.run(
        [sys.executable, "-c", LOADERS, "1", str(n)], capture_output=True, text=True, timeout=600, check=False
    )

    assert (told.returncode, told.stdout) == (0, "0 []\n"), told.stderr


def odd_names(rng: random.Random, n: int) -> list[str]:
    """Return names that a forger might store for a task."""
    modules = ["os", "sys", "subprocess", "builtins", "shutil", TASKS, "tests.face", "ramify.tasks", "", "__main__"]
    functions = [
        "system",
        "Popen",
        "eval",
        "exec",
        "__import__",
        "__class__",
        "double.__globals__",
        "double ",
        "Double",
    ]
    functions += ["d\u043euble", "double\0", "__init__", "main", "", "double:double", "job", "task", "Ramify"]
    joints = [":", ".", "::", "/", "\uff1a", ""]
    return [
        rng.choice(modules) + rng.choice(joints) + rng.choice(functions) + rng.choice(["", "", f"{rng.randrange(n)}"])
        for _ in range(n)
    ]


def test_s2_forged_names_select_nothing() -> None:
    """A stored name selects a function of the modules that the operator named, or nothing; nothing is imported."""
    tasks = Tasks([TASKS])
    known, modules = tasks.names(), set(sys.modules)
    forged = [name for name in odd_names(random.Random(1), NAMES) if name not in known]
    assert len(forged) > 0.9 * NAMES

    for name in forged:
        with pytest.raises(BadTask):
            tasks.find(name)

    assert set(sys.modules) == modules


@pytest.mark.parametrize("kind", URLS)
def test_s2_forged_jobs_do_not_run(tmp_path: Path, kind: str) -> None:
    """Jobs of other functions than those that are served stay where they are, on every store."""
    names = [name for name in set(odd_names(random.Random(2), 300)) if name.isprintable() and ":" in name]
    with Ramify(URLS[kind](tmp_path), tasks=[TASKS]) as app:
        known = app.tasks.names()
        forged = []
        for name in names:
            if name not in known:
                with_ = Node(name, ("touch " + str(tmp_path / "owned"),))
                try:
                    forged.append(app.enqueue(with_))
                except RamifyError:
                    continue
        good = app.enqueue(f"{TASKS}:double", 4)

        app.run_until_empty()

        assert good.result(timeout=0) == 8
        assert {each.state for each in forged} <= {State.READY}
    assert not (tmp_path / "owned").exists()


def test_s4_limits_hold_at_and_over() -> None:
    """At a limit a value is stored and read, over it it is refused by name, and memory stays small."""
    tracemalloc.start()
    for size in range((1 << 20) - 4, (1 << 20) + 4):
        text = "x" * size
        if size + 2 <= 1 << 20:
            assert decode(encode(text)) == text
        else:
            with pytest.raises(TooLarge):
                encode(text)
    for value in (float("nan"), float("inf"), -float("inf"), {"a": [float("nan")]}, {1: object()}, "\ud800"):
        with pytest.raises(BadValue):
            encode(value)
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(BadValue):
        encode(deep)
    with pytest.raises(BadValue):
        decode(b"[" * 100_000)
    with pytest.raises((RamifyError, ValueError)):
        restore(decode(b"1" * 5000), int)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 256 << 20


@pytest.mark.parametrize("kind", URLS)
def test_s5_hostile_names_are_only_names(tmp_path: Path, kind: str) -> None:
    """Queues and labels that look like SQL, commands or paths are stored and found as they were given."""
    rng = random.Random(3)
    seeds = [
        "'; DROP TABLE job; --",
        '"; DROP SCHEMA ramify CASCADE',
        "%s",
        "$1",
        ":x",
        "\\",
        "{{",
        "}}",
        "*",
        "?",
        "[a-z]",
    ]
    seeds += [
        "\r\nFLUSHALL\r\n",
        "../..",
        "/etc/passwd",
        "a/b",
        ".",
        "é",
        "\u202e",
        "'",
        '"',
        "`id`",
        "$(id)",
        "|",
        "\t",
    ]
    odd = {"".join(rng.sample(seeds, 2)) + str(n) for n in range(NAMES // 20)}
    with Ramify(URLS[kind](tmp_path), tasks=[TASKS]) as app:
        stored = {}
        for name in sorted(odd):
            try:
                stored[name] = app.enqueue(job(f"{TASKS}:double", 1).options(queue=name, label=name))
            except RamifyError:  # refused by name, before anything is stored
                continue
        first = next(iter(stored))

        assert {row.label for row in app.store.jobs(Which(), Page(size=-1))} == set(stored)
        assert [each.id for each in app.jobs(queues={first})] == [stored[first].id]
        assert len(stored) + sum(name not in stored for name in odd) == len(odd)


def test_s11_passwords_are_never_shown() -> None:
    """Of 1,000 addresses with passwords of all letters none shows its password, nor a part of it."""
    rng = random.Random(4)
    letters = string.ascii_letters + string.digits + "!$%^*()_+-=[]{};'|,.<>/?:~"
    for n in range(1000):
        secret = "".join(rng.choices(letters, k=12)) + f"canary{n}"
        scheme = rng.choice(["postgresql", "redis", "rediss", "valkey", "redis+sentinel"])
        for url in (
            f"{scheme}://me:{secret}@db:1/0",
            f"{scheme}://:{secret}@db/x",
            f"{scheme}://db/0?password=canary{n}",
        ):
            assert "canary" not in mask(url), url


def test_s12_ten_thousand_labels_cannot_speak_to_a_terminal() -> None:
    """Whatever a label is, what is shown of it is printable and of one line."""
    rng = random.Random(5)
    for _ in range(10_000):
        label = "".join(
            chr(rng.choice([rng.randrange(32), rng.randrange(0x250), 0x9B, 0x2028, 0x202E])) for _ in range(20)
        )
        assert plain(label).isprintable()
    assert json.loads(json.dumps(plain("\x1b[2J"))) == r"\x1b[2J"
