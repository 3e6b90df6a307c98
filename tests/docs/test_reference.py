"""The reference of Python names every public name, and no other."""

import re
from pathlib import Path

import pytest

import ramify
from ramify import Context, Job, JobProc, Node, Ramify

PAGE = (Path(__file__).parents[2] / "docs/python.md").read_text("utf-8")
CODE = " ".join(re.findall(r"`([^`]+)`", PAGE))


def parts() -> dict[str, type]:
    """Return the section of each class that people hold in their hands."""
    return {"The app": Ramify, "A stored job": Job, "Inside a job": Context, "Describing work": JobProc}


def section(title: str) -> str:
    """Return the text under one heading."""
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_name_of_the_package_stands_there() -> None:
    """Who looks for a name finds it."""
    named = set(re.findall(r"\w+", CODE))

    assert set(ramify.__all__) - named == set()


@pytest.mark.parametrize("title", parts())
def test_every_member_stands_in_the_section_of_its_class(title: str) -> None:
    """What is public in a class is told; what `Context` hands on to the worker alone is not."""
    inner = {"close", "tell"} if title == "Inside a job" else {"close"}
    members = {name for name in vars(parts()[title]) if not name.startswith("_")} - inner
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", section(title)))))

    assert members - named == set()


def test_every_option_stands_there() -> None:
    """All that `options` takes is in the table of options."""
    options = set(Node.options.__annotations__) - {"return"}
    named = set(re.findall(r"`(?:[^`]*, `)?(\w+)=", section("Describing work"))) | set(re.findall(r"(\w+)=", CODE))

    assert options - named == set()
