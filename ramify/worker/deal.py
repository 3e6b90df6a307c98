"""Which child gets which job, and how many more there is room for.

Functions run one at a time in a child, so each child has a share of the waiting work ahead, measured in seconds.
Coroutines only share an event loop. A job that must be alone, or that takes several units of this worker, has one or
more children kept free for it.
"""

from collections.abc import Sequence
from typing import Final

from ramify.worker.hand import Flight, Hand

AHEAD: Final = 0.02
"""Seconds of work that a child is given ahead."""

MOST: Final = 400
"""How many functions a child is given ahead; a few more fit into the buffers of its socket, if it has one."""

LONG: Final = 0.05
"""A function that has run so long does not keep others waiting behind it."""

COROUTINES: Final = 100
"""How many coroutines a child runs at once."""


def is_free(hand: Hand, now: float) -> bool:
    """Tell whether the child may be given more."""
    return not (hand.doom or hand.reserved or hand.runs_long(now, LONG))


def count_room(hands: Sequence[Hand], pending: Sequence[Flight], mean: float, now: float) -> tuple[int, int]:
    """Return how many more functions, of `mean` seconds each, and coroutines the children could be given."""
    functions = coroutines = 0
    for hand in hands:
        if is_free(hand, now):
            functions += max(not hand.functions, min(MOST - hand.functions, int((AHEAD - hand.load) / mean)))
            coroutines += COROUTINES - hand.coroutines
    waiting = sum(flight.awaits for flight in pending)
    return max(0, functions - len(pending) + waiting), max(0, coroutines - waiting)


def deal(flights: Sequence[Flight], hands: Sequence[Hand], now: float) -> list[Flight]:
    """Send the jobs to the children that have least to do; return those that found no room."""
    left: list[Flight] = []
    functions: list[Flight] = []
    for flight in flights:
        if flight.alone:
            if not _send_alone(flight, hands):
                left.append(flight)
        elif flight.awaits:
            if not _send_coroutine(flight, hands, now):
                left.append(flight)
        else:
            functions.append(flight)
    free = [hand for hand in hands if is_free(hand, now)]
    return left + (_send_shares(functions, free) if functions else [])


def release(flight: Flight, hands: Sequence[Hand]) -> None:
    """Let others use the children that were kept for this job."""
    for hand in hands:
        if hand.reserved is flight:
            hand.reserved = None


def _send_shares(flights: list[Flight], hands: list[Hand]) -> list[Flight]:
    """Give each child its share of the work, one child after the other: were jobs dealt out in turn, each one would
    wake a child that has just gone to sleep.
    """
    hands = sorted(hands, key=lambda hand: hand.load)
    work = sum([flight.expected for flight in flights]) + sum([hand.load for hand in hands])
    share = min(AHEAD, work / len(hands)) if hands else 0.0
    at = 0
    for hand in hands:
        while at < len(flights) and (not hand.functions or (hand.load < share and hand.functions < MOST)):
            if not hand.send(flights[at]):
                break
            at += 1
    return flights[at:]


def _send_coroutine(flight: Flight, hands: Sequence[Hand], now: float) -> bool:
    open_ = [hand for hand in hands if hand.coroutines < COROUTINES and is_free(hand, now)]
    return bool(open_) and min(open_, key=lambda hand: hand.coroutines).send(flight)


def _send_alone(flight: Flight, hands: Sequence[Hand]) -> bool:
    """Send the job once enough children are idle; until then keep those free that have least to do.

    One job at a time keeps children free, or two could wait for each other's.
    """
    alive = [hand for hand in hands if not hand.doom]
    waiting = [hand.reserved for hand in alive if hand.reserved and hand.reserved.hand is None]
    if any(other is not flight for other in waiting):
        return False
    release(flight, hands)
    usable = sorted((hand for hand in alive if not hand.reserved), key=lambda hand: len(hand.flights))
    need = max(1, min(flight.claim.row.lane.units, len(hands)))  # there may be no child just now
    if len(usable) < need:
        return False
    for hand in usable[:need]:
        hand.reserved = flight
    return not any(hand.flights for hand in usable[:need]) and usable[0].send(flight)
