"""What programs that watch learn of a worker's runs and of what is stored."""

import json
import logging
import sys
import urllib.request
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ramify import Ramify, group, job
from ramify.errors import BadSettings
from ramify.ids import to_uuid
from ramify.model import Retry
from ramify.observe.logs import Json
from ramify.observe.metrics import Runs, Stored
from ramify.observe.traces import Spans
from ramify.worker.watch import Run, Watch, find_watch
from tests.cli.conftest import run, start
from tests.urls import URLS

TASKS = """
import os
from ramify import current, job

def double(x):
    return 2 * x

def boom():
    raise LookupError("nothing here")

def crash():
    os._exit(7)

def grow():
    current().spawn(job(double, 4))
    return 1

RUNS: list[object] = []

def note(run):
    with open("seen", "a") as file:
        file.write(f"{run.task} {run.outcome}\\n")
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module of tasks."""
    (tmp_path / "watched.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "watched", raising=False)
    return tmp_path


@pytest.fixture(params=URLS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of each kind."""
    return URLS[request.param](tmp_path)


def work(app: Ramify, *watch: Watch) -> None:
    app.worker(children=1, burst=True, watch=watch).run()


def test_each_run_is_told_of_once(url: str) -> None:
    """A run that ended well, failed, was tried again, died or grew is told with how it was."""
    runs: list[Run] = []
    with Ramify(url, tasks=["watched"]) as app:
        again = app.enqueue(job("watched:boom").options(retry=Retry(1, backoff=0.0)))
        good = app.enqueue(job("watched:double", 2).options(label="two", queue="default"))
        dead, grown = app.enqueue("watched:crash"), app.enqueue("watched:grow")

        work(app, runs.append)

        told = sorted((each.job, each.outcome) for each in runs if each.task != "watched:double")
        assert [how for id, how in told if id == again.id] == ["again", "failed"]
        assert [how for id, how in told if id == grown.id] == ["grown"]
        assert {how for id, how in told if id == dead.id} <= {"again", "failed"}
        [two] = [each for each in runs if each.job == good.id]
        assert (two.outcome, two.label, two.queue, two.attempt, two.tree) == ("done", "two", "default", 1, good.id)
        assert two.seconds >= 0
        assert [each.failure.type for each in runs if each.job == again.id and each.failure] == ["LookupError"] * 2


def test_who_watches_and_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged, others are told, and the job is done."""
    runs: list[Run] = []

    def fail(run: Run) -> None:
        raise RuntimeError("cannot watch")

    with Ramify("memory:", tasks=["watched"]) as app:
        good = app.enqueue("watched:double", 2)

        work(app, fail, runs.append)

        assert (good.result(timeout=0), len(runs)) == (4, 1)
    assert "cannot watch" in caplog.text


def test_metrics_count_runs_and_what_is_stored(url: str) -> None:
    """Prometheus reads runs by task and outcome, jobs by state, workers and the age of the oldest ready job."""
    registry = CollectorRegistry()
    with Ramify(url, tasks=["watched"]) as app:
        app.enqueue(group(*[job("watched:double", n) for n in range(5)], job("watched:boom")))
        work(app, Runs(registry))
        app.enqueue("watched:double", 1)
        registry.register(Stored(app.store))

        text = generate_latest(registry).decode()

    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["ramify_runs_total", "default", "done", "watched:double"] == 5
    assert samples["ramify_runs_total", "default", "failed", "watched:boom"] == 1
    assert samples["ramify_run_seconds_count", "default", "watched:double"] == 5
    assert samples["ramify_jobs", "default", "done"] == 5
    assert samples["ramify_jobs", "default", "ready"] == 1
    assert 0 <= samples["ramify_oldest_ready_seconds", "default"] < 60
    assert samples["ramify_workers",] == 0


def test_ten_thousand_odd_names_break_no_line() -> None:
    """S12: whatever a queue or a task is called, what Prometheus reads is whole."""
    registry = CollectorRegistry()
    count = Runs(registry)
    odd = ['"', "\\", "\n", "\r", "\x1b[31m", "{", "}", "#", "é", "\0", "\u2028", ",", "="]
    names = {f"{a}{b}{c}{n % 5}" for n, (a, b, c) in enumerate((a, b, c) for a in odd for b in odd for c in odd)}
    for name in sorted(names):
        for outcome in ("done", "failed", "again", "cancelled", "grown"):
            count(Run("job", "tree", None, name, name, None, 1, outcome, 0.1, 0.0))

    families = list(text_string_to_metric_families(generate_latest(registry).decode()))

    [runs] = [family for family in families if family.name == "ramify_runs"]
    totals = [sample for sample in runs.samples if sample.name == "ramify_runs_total"]
    assert len(totals) == 5 * len(names) >= 10_000
    assert {sample.labels["task"] for sample in totals} == names


def test_a_tree_is_one_trace(url: str) -> None:
    """Each run is a span with its own times in the trace that has the tree's number; a failure is an error."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with Ramify(url, tasks=["watched"]) as app:
        tree = app.enqueue(group(job("watched:double", 1), job("watched:boom")))

        work(app, Spans(provider.get_tracer("tests")))

    good, bad = sorted(exporter.get_finished_spans(), key=lambda span: span.name, reverse=True)
    assert (good.name, good.status.is_ok, bad.name, bad.status.is_ok) == ("watched:double", True, "watched:boom", False)
    assert good.context is not None and bad.context is not None
    assert {good.context.trace_id, bad.context.trace_id} == {to_uuid(tree.id).int}
    assert good.start_time is not None and good.end_time is not None and good.start_time <= good.end_time
    assert bad.attributes is not None and bad.attributes["error.type"] == "LookupError"


def test_the_log_is_lines_of_json(place: Path) -> None:
    """With --log json each run is an object on a line of its own, and no argument of a job is in it."""
    with Ramify("sqlite:///ramify.db") as app:
        good, bad = app.enqueue("watched:double", 424242), app.enqueue("watched:boom")

    reply = run("worker", "watched", "--burst", "-n", "1", "--log", "json", "--watch", "watched:note", PYTHONPATH="")

    lines = [json.loads(line) for line in reply.err.splitlines() if line.startswith("{")]
    runs = {line["job"]: line for line in lines if line["logger"] == "ramify.runs"}
    assert (runs[good.id]["outcome"], runs[good.id]["task"], runs[good.id]["attempt"]) == ("done", "watched:double", 1)
    assert (runs[bad.id]["outcome"], runs[bad.id]["kind"], runs[bad.id]["error"]) == ("failed", "error", "LookupError")
    assert "424242" not in reply.err
    assert sorted((place / "seen").read_text().splitlines()) == ["watched:boom failed", "watched:double done"]


def test_json_keeps_what_is_odd_on_one_line() -> None:
    """S12: a message cannot end its line or speak to a terminal."""
    record = logging.makeLogRecord({"msg": "a\nb\x1b[31m\r\u2028", "levelno": logging.INFO, "levelname": "INFO"})

    line = Json().format(record)

    assert json.loads(line)["message"] == "a\nb\x1b[31m\r\u2028"
    assert len(line.splitlines()) == 1 and line.isprintable()


def test_what_is_stored_is_served(place: Path) -> None:
    """`ramify metrics` answers Prometheus, and prints with --once."""
    with Ramify("sqlite:///ramify.db") as app:
        app.enqueue("watched:double", 1)

    once = run("metrics", "--once")
    assert 'ramify_jobs{queue="default",state="ready"} 1.0' in once.out

    with start("metrics", "--port", "0") as process:
        try:
            assert process.stderr is not None
            address = process.stderr.readline().partition("http://")[2].partition(";")[0]
            with urllib.request.urlopen(f"http://{address}", timeout=10) as page:
                assert 'ramify_jobs{queue="default",state="ready"} 1.0' in page.read().decode()
        finally:
            process.terminate()


def test_a_watch_that_is_none_is_refused() -> None:
    """The setting is named, and what was looked for."""
    for name in ("nothing", "watched:nothing", "no_such_module:function", "watched:RUNS"):
        with pytest.raises(BadSettings, match="watch names no function"):
            find_watch(name)
