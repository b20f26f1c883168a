"""The life of a circuit as a table: it neither waits nor knows what time it is."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

import attrs

from ._circuit import CircuitBreaker
from .models._base import Model

__all__ = ["CLEAR", "Circuit", "Event", "Phase", "admits", "after"]


class Phase(Enum):
    """What a circuit does with a call."""

    CLOSED = "closed"
    """It goes."""

    OPEN = "open"
    """It is refused until the next probe is due."""

    HALF_OPEN = "half-open"
    """One is under way to see whether the cloud is back; the others are refused."""


class Event(Enum):
    """What befalls a circuit."""

    SUCCESS = "success"
    """The cloud answered, be it with a refusal."""

    FAULT = "fault"
    """No answer, or a failure of the server (5xx)."""

    PROBE = "probe"
    """A call is let through to see."""

    NOTHING = "nothing"
    """The probe ended without telling anything, as when its caller was cancelled."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Circuit(Model):
    """The state of a circuit. Moments are seconds on a monotonic clock."""

    phase: Phase = Phase.CLOSED

    faults: int = 0
    """Faults in a row."""

    since: float = 0.0
    """The first of them."""

    why: str = ""
    """The last of them."""

    probe_at: float = 0.0
    """When a call will be let through; while one is under way, when it began."""


CLEAR: Final = Circuit()
"""Closed, and nothing to remember."""


def after(
    breaker: CircuitBreaker, circuit: Circuit, event: Event, now: float, why: str = ""
) -> Circuit:
    """Return the state after *event*; *why* says what a fault was.

    >>> breaker = CircuitBreaker(faults=2, lasting=0.0, rest=10.0)
    >>> circuit = after(breaker, CLEAR, Event.FAULT, 0.0, "503")
    >>> circuit.phase.value
    'closed'
    >>> circuit = after(breaker, circuit, Event.FAULT, 1.0, "503")
    >>> circuit.phase.value, circuit.since, circuit.probe_at
    ('open', 0.0, 11.0)
    """
    move = _MOVES.get((circuit.phase, event))
    return circuit if move is None else move(breaker, circuit, now, why)


def admits(breaker: CircuitBreaker, circuit: Circuit, now: float) -> bool:
    """Whether a call may go; in an open circuit, as its probe."""
    if circuit.phase is Phase.CLOSED:
        return True
    # A probe that hangs holds nobody up for longer than a rest.
    rest = 0.0 if circuit.phase is Phase.OPEN else breaker.rest
    return now >= circuit.probe_at + rest


def _clear(breaker: CircuitBreaker, circuit: Circuit, now: float, why: str) -> Circuit:
    return CLEAR


def _count(breaker: CircuitBreaker, circuit: Circuit, now: float, why: str) -> Circuit:
    since = circuit.since if circuit.faults else now
    counted = attrs.evolve(circuit, faults=circuit.faults + 1, since=since, why=why)
    if counted.faults >= breaker.faults and now - since >= breaker.lasting:
        return attrs.evolve(counted, phase=Phase.OPEN, probe_at=now + breaker.rest)
    return counted


def _probe(breaker: CircuitBreaker, circuit: Circuit, now: float, why: str) -> Circuit:
    return attrs.evolve(circuit, phase=Phase.HALF_OPEN, probe_at=now)


def _open_again(breaker: CircuitBreaker, circuit: Circuit, now: float, why: str) -> Circuit:
    faults = circuit.faults + 1
    return attrs.evolve(
        circuit, phase=Phase.OPEN, faults=faults, why=why, probe_at=now + breaker.rest
    )


def _let_another(breaker: CircuitBreaker, circuit: Circuit, now: float, why: str) -> Circuit:
    return attrs.evolve(circuit, phase=Phase.OPEN, probe_at=now)


# What is not here changes nothing: a call that began before the circuit opened may fail when it is open already.
_MOVES: Final[
    Mapping[tuple[Phase, Event], Callable[[CircuitBreaker, Circuit, float, str], Circuit]]
] = {
    (Phase.CLOSED, Event.SUCCESS): _clear,
    (Phase.CLOSED, Event.FAULT): _count,
    (Phase.OPEN, Event.SUCCESS): _clear,
    (Phase.OPEN, Event.PROBE): _probe,
    (Phase.HALF_OPEN, Event.PROBE): _probe,
    (Phase.HALF_OPEN, Event.SUCCESS): _clear,
    (Phase.HALF_OPEN, Event.FAULT): _open_again,
    (Phase.HALF_OPEN, Event.NOTHING): _let_another,
}
