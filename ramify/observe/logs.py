"""The log as lines of JSON, for programs that collect logs. Arguments and results of jobs never appear in it."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from ramify.worker.watch import Run

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_log = logging.getLogger("ramify.runs")


class Json(logging.Formatter):
    """Writes each record as an object on a line of its own, with whatever was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _USUAL},
        }
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, default=str)


def tell(run: Run) -> None:
    """Log a run, with all that is known of it; it watches a worker."""
    facts: dict[str, Any] = {
        "job": run.job,
        "tree": run.tree,
        "task": run.task,
        "queue": run.queue,
        "attempt": run.attempt,
        "outcome": run.outcome,
        "seconds": round(run.seconds, 6),
    }
    if run.failure is not None:
        facts |= {"kind": run.failure.kind, "error": run.failure.type}
    _log.info("%s %s", run.task, run.outcome, extra=facts)
