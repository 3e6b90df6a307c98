"""`ramify purge`: what ended long ago is forgotten."""

from ramify import Ramify
from tests.cli.conftest import Command
from tests.face.tasks import double


def test_only_what_ended_so_long_ago_is_purged(app: Ramify, ask: Command) -> None:
    """A time is asked for, as for all that cannot be taken back."""
    app.enqueue(double, 1)
    app.run_until_empty()
    waiting = app.enqueue(double, 2)

    without, young, old = ask("purge"), ask("purge", "--older-than", "30d"), ask("purge", "--older-than", "0", "--json")

    assert (without.code, "--older-than" in without.err) == (2, True)
    assert (young.out, old.out.strip()) == ("0 trees purged\n", '{"purged":1}')
    assert list(app.jobs()) == [waiting]
