"""A report on Python's standard library, made by some 1,700 dependent jobs in one SQLite file.

A directory is a job that adds jobs for what it finds: one for each file, one for each sub-directory, and one that adds
up what these return. Nobody knows the tree before it has grown. Stop it with Ctrl-C, and the same command goes on
where it was: what is done is not done again. `--fresh` forgets everything first.
"""

import argparse
import ast
import os
import shutil
import sys
import sysconfig
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import stdlib_picture

from ramify import JobEnded, Ramify, State, current, group, job
from ramify.cli import run_live
from ramify.model import UNDONE

LIBRARY = Path(sysconfig.get_path("stdlib"))
LEFT_OUT = {"site-packages", "dist-packages", "idlelib", "turtledemo", "__pycache__"}
DATABASE, TEXT, PICTURE = Path("stdlib-report.db"), Path("stdlib-report.txt"), Path("stdlib-report.svg")


@dataclass
class Part:
    """What there is to say about a file, or about all files of a directory. Results are stored as JSON."""

    files: int = 0
    unreadable: int = 0
    lines: int = 0
    classes: int = 0
    functions: int = 0
    largest: list[tuple[int, str]] = field(default_factory=list)
    imports: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


def explore(folder: Path) -> None:
    """Look into a directory, and add the jobs for what is in it.

    `contents` is an argument of the job that adds up, so that one runs after it, with the list of its results. Both
    are added as siblings, not children: the same happens in each sub-directory, so what is added up there lands among
    the `contents` here. That is the whole join.
    """
    found = sorted(path for path in folder.iterdir() if path.name not in LEFT_OUT)
    files = [job(parse, path).options(label=path.name) for path in found if path.suffix == ".py"]
    folders = [job(explore, path) for path in found if path.is_dir()]
    if files or folders:
        contents = group(*files, *folders)
        current().spawn_sibling(job(add_up, contents).options(label=folder.name))


def parse(path: Path) -> Part:
    """Count what is in a file. One that is no Python (some are there to test that) is counted as such."""
    source = path.read_bytes()
    place = path.relative_to(LIBRARY)
    name = place.parts[0].removesuffix(".py")
    lines = source.count(b"\n")
    part = Part(files=1, lines=lines, largest=[(lines, str(place))], sizes={name: lines})
    try:
        with warnings.catch_warnings(action="ignore"):
            nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        part.unreadable = 1
        return part
    part.classes = sum(isinstance(node, ast.ClassDef) for node in nodes)
    part.functions = sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes)
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    part.imports = {name: sorted({module.partition(".")[0] for module in imported} - {name, ""})}
    return part


def add_up(parts: list[Part | None]) -> Part:
    """Make one part of many. A directory's own job returns nothing; its sum comes beside it."""
    known = [part for part in parts if part is not None]
    whole = Part(
        files=sum(part.files for part in known),
        unreadable=sum(part.unreadable for part in known),
        lines=sum(part.lines for part in known),
        classes=sum(part.classes for part in known),
        functions=sum(part.functions for part in known),
        largest=sorted((found for part in known for found in part.largest), reverse=True)[:12],
    )
    sizes, imports = Counter[str](), dict[str, set[str]]()
    for part in known:
        sizes.update(part.sizes)
        for name, modules in part.imports.items():
            imports.setdefault(name, set()).update(modules)
    whole.sizes = dict(sizes)
    whole.imports = {name: sorted(modules) for name, modules in sorted(imports.items())}
    return whole


def write(whole: Part) -> str:
    """Write the two files; return the text."""
    users = Counter(module for name, modules in whole.imports.items() if name != "test" for module in modules)
    rows = [
        f"The standard library of Python {sys.version.split()[0]}",
        f"{LIBRARY}\n",
        f"{whole.files:>9,} files, {whole.unreadable} of them not Python",
        f"{whole.lines:>9,} lines",
        f"{whole.classes:>9,} classes",
        f"{whole.functions:>9,} functions",
        f"\n{'lines':>9} largest modules",
        *(f"{lines:>9,} {name}" for lines, name in whole.largest),
        f"\n{'users':>9} most imported, tests left aside",
        *(f"{n:>9,} {name}" for name, n in users.most_common(12)),
    ]
    text = "\n".join(rows) + "\n"
    TEXT.write_text(text, "utf-8")
    PICTURE.write_text(stdlib_picture.draw(whole.imports, whole.sizes), "utf-8")
    return text


def main() -> int:
    """Start the work or go on with it, show it, and print what came out."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--fresh", action="store_true", help="forget what was done before")
    if options.parse_args().fresh:
        shutil.rmtree(f"{DATABASE}-sessions", ignore_errors=True)
        for file in Path().glob(f"{DATABASE}*"):
            file.unlink()
    with Ramify(f"sqlite:///{DATABASE}", tasks=["stdlib_report"]) as app:
        work = job(add_up, group(job(explore, LIBRARY))).options(label="report")
        # The same request is the same work: the second time this returns the job that is there already.
        report = app.enqueue(work, request=f"report on {LIBRARY}")
        complete = report.state is State.DONE
        if report.state in UNDONE:
            report.retry()
        try:
            whole = run_live(app, report)
        except KeyboardInterrupt:
            print("stopped; the same command goes on where it was")
            return 130
        except JobEnded as error:
            print(f"{error}\nThe same command tries again what failed, and only that.")
            return 1
    print(write(whole))
    if complete:
        print("This was complete already, so nothing was run; --fresh begins anew.")
    command = os.path.relpath(Path(sys.executable).with_name("ramify"))
    print(f"{TEXT} and {PICTURE} are written. Look at the jobs: {command} info --url sqlite:///{DATABASE}")
    return 0


if __name__ == "__main__":
    # A job is found by the name of its module, and "__main__" is another one for each program. So this runs as what
    # it is called when it is imported.
    import stdlib_report

    sys.exit(stdlib_report.main())
