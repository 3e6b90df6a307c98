"""Traces for OpenTelemetry, by the extra `ramify[traces]`: each run is a span, and a tree of jobs is one trace."""

from typing import Final

try:
    from opentelemetry import trace
    from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("traces need a library: install ramify[traces]", name=error.name) from error

from ramify.ids import to_uuid
from ramify.model import JobId
from ramify.worker.watch import Run

_SECOND: Final = 1_000_000_000


class Spans:
    """Makes a span of each run, with the times that it had. One watches a worker: it is called with each.

    The trace has the number of the tree, whose id is a UUID, so that whoever knows the tree finds it.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer or trace.get_tracer("ramify")

    def __call__(self, run: Run) -> None:
        """Make the span of a run."""
        ended = int(run.ended * _SECOND)
        span = self._tracer.start_span(
            run.task,
            trace.set_span_in_context(NonRecordingSpan(context_of(run.tree))),
            SpanKind.CONSUMER,
            {
                "messaging.system": "ramify",
                "messaging.destination.name": run.queue,
                "messaging.message.id": run.job,
                "ramify.tree": run.tree,
                "ramify.attempt": run.attempt,
                "ramify.outcome": run.outcome,
            },
            start_time=ended - int(run.seconds * _SECOND),
        )
        if run.failure is not None:
            span.set_attribute("error.type", run.failure.type or run.failure.kind)
            span.set_status(Status(StatusCode.ERROR, run.failure.message))
        span.end(ended)


def context_of(tree: JobId) -> SpanContext:
    """Return what stands for a tree in traces: whoever adds it can make it the parent of spans of his own."""
    number = to_uuid(tree).int
    return SpanContext(number, number & ((1 << 64) - 1), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
