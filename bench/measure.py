"""Rounds, medians, ratios, and where they are written."""

import json
import os
import platform
import sqlite3
import statistics
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
Numbers = dict[str, float]


def interleave(rounds: int, cases: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run every case once a round, A B C A B C …, so that a noisy moment hits them alike; return their figures."""
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            figures[name].append(run())
    return figures


def summary(figures: Mapping[str, list[float]]) -> dict[str, Numbers]:
    """Return minimum, median and maximum of each."""
    return {
        name: {"min": min(values), "median": statistics.median(values), "max": max(values)}
        for name, values in figures.items()
    }


def ratio(figures: Mapping[str, list[float]], ours: str, theirs: str) -> Numbers:
    """Return how many times `theirs` goes into `ours`: round by round, and of the medians."""
    pairs = [a / b for a, b in zip(figures[ours], figures[theirs], strict=True)]
    medians = statistics.median(figures[ours]) / statistics.median(figures[theirs])
    return {"min": min(pairs), "median": statistics.median(pairs), "max": max(pairs), "of_medians": medians}


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of the others does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def facts() -> dict[str, Any]:
    """Return what the figures were measured on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    ask = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "cpu": model.partition(": ")[2],
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": os.getloadavg()[0],
        "commit": commit.stdout.strip(),
    }


def write(name: str, measured: Mapping[str, Any]) -> None:
    """Write a figure and its circumstances to `bench/results/NAME.json`."""
    folder = ROOT / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"machine": facts(), **measured}, indent=1) + "\n")
