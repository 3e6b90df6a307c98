"""`ramify log`."""

from ramify import Ramify, shell
from tests.cli.conftest import Command, start
from tests.worker.jobs import shout


def test_a_log_is_printed(app: Ramify, ask: Command) -> None:
    """What a job said comes line by line, made harmless; what is not kept any more is told."""
    with Ramify(app.url, tasks=["ramify.programs"]) as runner:
        job = runner.enqueue(shell(r"echo one; printf '\033[31mred\n'"))
        runner.run_until_empty()

    reply = ask("log", job.id)

    assert (reply.code, reply.out) == (0, "one\n\\x1b[31mred\n")
    assert ["one", "\x1b[31mred"] == [line.text for line in app.job(job.id).log()]


def test_a_log_is_followed(app: Ramify) -> None:
    """`--follow` goes on until the job has ended, and misses nothing."""
    with Ramify(app.url, tasks=["ramify.programs"]) as runner:
        job = runner.enqueue(shell("seq 100"))
        with start("log", job.id, "--follow") as process:
            runner.run_until_empty()
            out, _ = process.communicate(timeout=20)

    assert (process.returncode, out.split()) == (0, [str(n) for n in range(1, 101)])


def test_what_a_function_prints_is_followed(app: Ramify) -> None:
    """Prints of a job are its log, as output of its programs is."""
    with Ramify(app.url, tasks=["tests.worker.jobs"]) as runner:
        job = runner.enqueue(shout, 100, 1)
        with start("log", job.id, "--follow") as process:
            runner.worker(children=1, burst=True).run()
            out, _ = process.communicate(timeout=20)

    assert (process.returncode, out.splitlines()) == (0, [f"{n} x" for n in range(100)])
