"""All commands under one name, and what every one of them shares: how a mistake ends it, and with which status."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer

import ramify
from ramify.cli.change import cancel, release, retry
from ramify.cli.deploy import check, deploy
from ramify.cli.doctor import doctor
from ramify.cli.empty import empty
from ramify.cli.enqueue import enqueue
from ramify.cli.explain import explain
from ramify.cli.health import health
from ramify.cli.info import info
from ramify.cli.init import init
from ramify.cli.jobs import jobs
from ramify.cli.log import log
from ramify.cli.metrics import metrics
from ramify.cli.pool import pool
from ramify.cli.purge import purge
from ramify.cli.result import result
from ramify.cli.run import run
from ramify.cli.screen import complain
from ramify.cli.service import service
from ramify.cli.suspend import limit, resume, suspend
from ramify.cli.tasks import tasks
from ramify.cli.tree import tree
from ramify.cli.worker import worker
from ramify.errors import RamifyError
from ramify.system import open_streams

MISTAKE: Final = 2
INTERRUPTED: Final = 130

# The class stands elsewhere in each version of typer; its child does not.
_UsageError: Final[Any] = typer.BadParameter.__bases__[0]

commands: Final = typer.Typer(
    name="ramify",
    help="Durable jobs that branch: run them, watch them, put them right.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "init": init,
    "worker": worker,
    "run": run,
    "enqueue": enqueue,
    "info": info,
    "jobs": jobs,
    "tree": tree,
    "explain": explain,
    "result": result,
    "log": log,
    "release": release,
    "cancel": cancel,
    "retry": retry,
    "requeue": retry,
    "empty": empty,
    "purge": purge,
    "suspend": suspend,
    "resume": resume,
    "limit": limit,
    "deploy": deploy,
    "tasks": tasks,
    "check": check,
    "health": health,
    "metrics": metrics,
    "doctor": doctor,
}
for name, command in COMMANDS.items():
    commands.command(name, short_help="The same as retry." if name == "requeue" else None)(command)
commands.add_typer(pool, name="pool")
commands.add_typer(service, name="service")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ramify {ramify.__version__}")
        raise typer.Exit


@commands.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 if all is well, 1 if the job is not, 2 after a mistake, 130 after Ctrl-C."""
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no "×" shows its number instead of a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: Sequence[str]) -> int:
    try:
        return commands(list(arguments), prog_name="ramify", standalone_mode=False) or 0
    except _UsageError as error:
        # A bare `ramify` has shown the help, and has nothing to add.
        if text := error.format_message().rstrip("."):
            if error.ctx is not None and error.ctx.info_name == "enqueue" and text.startswith("No such option: -"):
                text += "; put -- before arguments that begin with a dash"
            see = f"ee `{error.ctx.command_path if error.ctx else 'ramify'} --help`"
            complain(f"{text} S{see}" if text.endswith("?") else f"{text}; s{see}")
    except RamifyError as error:
        complain(str(error))
    except SystemExit as ended:
        # The reader has seen enough (`| head`), which typer and rich take for a failure.
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        # What is still buffered must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return MISTAKE
