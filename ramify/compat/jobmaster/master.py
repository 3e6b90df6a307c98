"""`JobMaster`: the tasks that this program declared, and the store in which their jobs are."""

import json
import logging
import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from ramify import build, handle
from ramify.app import Ramify
from ramify.compat.connect import connect
from ramify.compat.jobmaster.job import Job
from ramify.compat.jobmaster.task import TASKS, find
from ramify.declared import Declaration
from ramify.errors import BadArguments
from ramify.ids import make_id
from ramify.model import JobId, Which
from ramify.signature import bind
from ramify.stores.open import address_of
from ramify.stores.read import each_row
from ramify.task import declare
from ramify.tasks import Tasks

UNITS: Final = "JOBMASTER_SYSTEM_PROCESS_UNITS"
SCHEMA: Final = "jobmaster"
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


class JobMaster:
    """Runs the declared tasks. `db_engine` is an engine of SQLAlchemy, the address of a store, or a `Ramify`.

    Jobs that run on this host take together no more than `system_process_units`.
    """

    def __init__(
        self,
        db_engine: Any,
        schema: str = SCHEMA,
        cmd_id: str | None = None,
        system_process_units: int | None = None,
        logger: Any = None,
        **unused: Any,
    ) -> None:
        self.app = connect(locate(db_engine, schema))
        self.logger = _read_logger(logger)
        given = os.environ.get(UNITS, "10000") if system_process_units is None else system_process_units
        self.system_process_units = int(given)

    def deploy(self, _reset: bool = False, reset: bool = False) -> list[str]:
        """Write the declared tasks into the store; jobs stay, unless all is to be forgotten first (`_reset`).

        Return what is wrong with the tasks, in sentences, which the logger hears too.
        """
        wrong = self._app_now().deploy(reset=_reset or reset)
        for sentence in wrong:
            self.logger.warning(sentence)
        return wrong

    def pop_job(self) -> Job | None:
        """Take the next job into this process, which is to call its `execute`; None if there is none."""
        claimed = self._app_now().claim(units=self.system_process_units)
        if claimed is None:
            self.logger.info("no job waits")
            return None
        return Job(self.app.store, claimed)

    def run(self) -> int:
        """Run jobs in this process until none is left; return how many ran."""
        return self._app_now().run_until_empty(units=self.system_process_units)

    def insert_job(
        self, type_key: str, task_key: str, first: Any = None, second: Any = None, system_name: str = "external"
    ) -> tuple[JobId | None, str]:
        """Queue a job as the procedure of that name does in SQL; return its id and a message.

        After the task come priority (1) and arguments, or arguments and priority; arguments may be JSON. An unfinished
        job with the same arguments is used instead of a new one.
        """
        arguments, priority = (second, first) if isinstance(first, int) else (first, second)
        values: Mapping[str, Any] = json.loads(arguments) if isinstance(arguments, str) else arguments or {}
        known = self._find(type_key, task_key)
        if known is None:
            return None, f"Invalid task: {type_key}.{task_key}"
        try:
            if missing := bind(known.name, known.parameters, (), values)[1]:
                return None, f"Missing arguments: {', '.join(missing)}"
            node = build.job(known.name, **values)
        except BadArguments as error:
            return None, str(error)
        unique = list(values) or True
        node = node.options(priority=1 if priority is None else priority, unique=unique if node.task else None)
        latest = make_id()  # ids of one process ascend
        id = self.app.enqueue(node).id
        return id, "inserted job" if id > latest else "job already in queue"

    def job(self, job_id: JobId) -> Job:
        """Return the job of this id. Raise `NotFound` if there is none."""
        return Job(self.app.store, self.app.job(job_id))

    def jobs_in_queue(self) -> list[Job]:
        """Return all jobs, oldest first."""
        store = self.app.store
        return [Job(store, handle.Job(store, row.id)) for row in each_row(store, Which())]

    def _app_now(self) -> Ramify:
        """Return the app, which serves what is declared by now."""
        modules = tuple(dict.fromkeys(declared.function.__module__ for declared in TASKS.values()))
        if modules and modules != self.app.tasks.modules:
            self.app.tasks = Tasks(modules)
        return self.app

    def _find(self, type_key: str, task_key: str) -> Declaration | None:
        """Return a task that is declared here, or was deployed by another program."""
        name = find(type_key, task_key)
        if name is not None:
            return declare(TASKS[name].function)
        return next(iter(self.app.store.tasks([f"{type_key}:{task_key}"])), None)


def locate(engine: Any, schema: str = SCHEMA) -> "Ramify | str":
    """Return where jobs are: a schema of PostgreSQL, keys with a prefix, or a file; another schema is another one."""
    if isinstance(engine, Ramify):
        return engine
    parts = urlsplit(address_of(engine) or "")
    kind = parts.scheme.partition("+")[0]
    options = {"schema": SCHEMA} if kind in ("postgresql", "postgres") else {}
    option = "schema" if options else "prefix"
    options |= dict(parse_qsl(parts.query))
    path = parts.path
    if kind == "sqlite" and not path:
        return "memory:"
    if schema != SCHEMA and kind in ("sqlite", "dir"):
        path = f"{path}.{schema}"
    elif schema != SCHEMA:
        options[option] = schema
    place = f"//{parts.netloc}{path}" if parts.netloc or path else ""
    return f"{parts.scheme}:{place}{'?' if options else ''}{urlencode(options)}"


def _read_logger(logger: Any) -> Any:
    if logger is None:
        return logging.getLogger("ramify.jobmaster")
    if logger is print:
        return _Printer()
    if not all(hasattr(logger, level) for level in _LEVELS):
        raise ValueError(f"a logger is None, print, or has {', '.join(_LEVELS)}; {logger!r} is none")
    return logger


class _Printer:
    """A logger that prints."""

    def __getattr__(self, level: str) -> Any:
        if level not in _LEVELS:
            raise AttributeError(level)
        return lambda message, *args: print(f"{level}: {message % args if args else message}")
