"""Damage that a look at the jobs would not show, or not survive: the words for it, which are the same for every store.

Where it is, each store finds in its own way: tables by the statements of `examine.sql`, Redis by reading all.
"""

import struct
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from ramify.checkup import Findings
from ramify.codec import decode
from ramify.errors import BadValue
from ramify.model import TICK, JobId
from ramify.stores import relational as columns

NAMED: Final = 20
"""So many pieces of damage of one kind are named."""

SAID: Final = {
    "words of jobs": "its columns say what no job can be: state {}, step {}",
    "words of edges": "its edge from {} says what no edge can: {}, {}, {}",
    "words of the worklist": "the worklist would {} it, which nobody can",
    "half of the worklist": "the worklist would {} it, but only half of that entry is stored",
    "lanes": "its lane {} is not stored",
    "rows": "its row cannot be read",
    "edges": "its edge at place {} cannot be read",
    "slots": "its edge from {} fills places that cannot be read",
    "results": "its result cannot be read",
    "failures": "its failure cannot be read",
    "arguments": "its arguments are not JSON",
    "policies": "its policy cannot be read",
    "no arguments": "its arguments are gone",
    "arguments of nobody": "its arguments are stored, but it is not",
    "results of nobody": "its result is stored, but it is not",
    "marks of nobody": "it has the mark {}, but is not stored",
    "requests of nobody": "it answers the request {}, but is not stored",
    "ticks": "its tick {} has {} jobs",
    "sessions": "what is stored of it cannot be read",
}
"""What is said of a job, or of a session, by kind of damage."""

BLINDING: Final = frozenset(
    {"words of jobs", "words of edges", "words of the worklist", "lanes", "rows", "edges", "slots", "results"}
    | {"failures", "sessions"}
)
"""With these a look at the jobs would end, or take them for something else."""

READERS: Final[dict[str, Callable[[Any], object]]] = {
    "slots": columns.read_slots,
    "failures": columns.read_failure,
    "arguments": decode,
    "policies": columns.read_policy,
    "sessions": columns.read_session,
}
"""Statements of these names give texts, and these read them."""


class Damage(NamedTuple):
    """Something that is wrong with a job, and the words that the sentence about it has room for."""

    kind: str
    job: JobId
    words: tuple[Any, ...] = ()


def tell(found: Iterable[Damage]) -> Findings:
    """Return in sentences what was found."""
    by_kind: dict[str, list[Damage]] = {}
    for damage in found:
        by_kind.setdefault(damage.kind, []).append(damage)
    wrong = [
        f"{'session' if kind == 'sessions' else 'job'} {job}: {SAID[kind].format(*words)}"
        for kind in SAID
        for _, job, words in sorted(set(by_kind.get(kind, ())))[:NAMED]
    ]
    return Findings(wrong=wrong, unreadable=bool(BLINDING & by_kind.keys()))


def find_in_tables(statements: Container[str], ask: Callable[[str], Iterable[tuple[Any, ...]]]) -> Iterator[Damage]:
    """Yield what the statements `examine.KIND` give: jobs and words, or for a reader jobs, texts and words."""
    for kind in SAID:
        if f"examine.{kind}" not in statements:
            continue
        if kind not in READERS:
            yield from (Damage(kind, job, tuple(words)) for job, *words in ask(f"examine.{kind}"))
            continue
        texts = ((job, words) for job, text, *words in ask(f"examine.{kind}") if not can_be(READERS[kind], text))
        yield from (Damage(kind, job, tuple(words)) for job, words in islice(texts, NAMED))


def find_beside(
    jobs: Mapping[JobId, bool],
    arguments: Collection[JobId],
    results: Collection[JobId],
    marks: Iterable[tuple[str, JobId]],
    requests: Iterable[tuple[str, JobId]],
) -> Iterator[Damage]:
    """Yield what belongs to nobody, what is not there, and ticks with several jobs; of `jobs`, who has a body."""
    yield from (Damage("no arguments", id) for id, has_body in jobs.items() if has_body and id not in arguments)
    yield from (Damage("arguments of nobody", id) for id in arguments if id not in jobs)
    yield from (Damage("results of nobody", id) for id in results if id not in jobs)
    yield from (Damage("requests of nobody", id, (request,)) for request, id in requests if id not in jobs)
    ticks: dict[str, list[JobId]] = {}
    for mark, id in marks:
        if id not in jobs:
            yield Damage("marks of nobody", id, (mark,))
        elif mark.startswith(TICK):
            ticks.setdefault(mark, []).append(id)
    yield from (Damage("ticks", min(ids), (mark, len(ids))) for mark, ids in ticks.items() if len(ids) > 1)


def can_be(read: Callable[[Any], object], stored: object) -> bool:
    """Tell whether something stored can be read so."""
    try:
        read(stored)
    except (ValueError, LookupError, TypeError, struct.error, BadValue):
        return False
    return True
