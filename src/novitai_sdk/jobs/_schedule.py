"""When a job is tried again, and which of the waiting ones is taken first.

Values that answer questions: nothing here sleeps or looks at a clock.
"""

import random
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import attrs

__all__ = ["AGEING", "Backoff", "JobRetryPolicy", "Steps", "claim_order", "effective_priority"]

AGEING: Final = 60.0
"""Seconds of waiting that lift a due job by one priority, so that none starves."""

HIGHEST: Final = 4


class JobRetryPolicy(Protocol):
    """Says how long to wait after a failed attempt."""

    def wait_after(self, attempts: int) -> float:
        """Seconds to wait after *attempts* failed ones (1 after the first)."""
        ...


def _at_least_zero(_: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{attribute.name} is {value}: at least 0 is expected")


def _fraction(_: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} is {value}: 0 to 1 is expected")


def _as_tuple(waits: Iterable[float]) -> tuple[float, ...]:
    return tuple(waits)


def _some_waits(_: object, attribute: object, waits: tuple[float, ...]) -> None:
    if not waits or min(waits) < 0:
        raise ValueError(f"waits is {waits!r}: one or more seconds are expected, none below 0")


@attrs.frozen(kw_only=True)
class Backoff:
    """Waits that grow by a factor up to a longest one, spread so that failures do not march in step.

    Attributes:
        first: Seconds after the first failed attempt.
        factor: How much longer each further wait is.
        longest: Seconds no wait exceeds, the spread included.
        jitter: Part of the wait that is left to chance, 0 to 1: 0.2 means 20 % less to 20 % more.
        chance: Where chance comes from: a callable giving 0.0 to 1.0.

    Raises:
        ValueError: A wait below zero, or a jitter outside 0 to 1.

    >>> steady = Backoff(first=1, factor=2, longest=5, jitter=0)
    >>> [steady.wait_after(attempts) for attempts in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    first: float = attrs.field(default=2.0, validator=_at_least_zero)
    factor: float = attrs.field(default=2.0, validator=_at_least_zero)
    longest: float = attrs.field(default=300.0, validator=_at_least_zero)
    jitter: float = attrs.field(default=0.2, validator=_fraction)
    chance: Callable[[], float] = attrs.field(default=random.random, repr=False, eq=False)

    def wait_after(self, attempts: int) -> float:
        """Seconds to wait after *attempts* failed ones (1 after the first)."""
        try:
            wait = self.first * float(self.factor) ** (max(1, attempts) - 1)
        except OverflowError:
            wait = self.longest
        return min(float(self.longest), _spread(min(wait, self.longest), self.jitter, self.chance))


@attrs.frozen(kw_only=True)
class Steps:
    """Waits written out one by one; the last is repeated when attempts outnumber them.

    Attributes:
        waits: Seconds after the first failed attempt, after the second, and so on.
        jitter: Part of the wait that is left to chance, 0 to 1.
        chance: Where chance comes from: a callable giving 0.0 to 1.0.

    Raises:
        ValueError: No waits, one below zero, or a jitter outside 0 to 1.

    >>> Steps(waits=(5, 300, 1800), jitter=0).wait_after(2)
    300.0
    """

    waits: tuple[float, ...] = attrs.field(converter=_as_tuple, validator=_some_waits)
    jitter: float = attrs.field(default=0.2, validator=_fraction)
    chance: Callable[[], float] = attrs.field(default=random.random, repr=False, eq=False)

    def wait_after(self, attempts: int) -> float:
        """Seconds to wait after *attempts* failed ones (1 after the first)."""
        step = min(max(1, attempts), len(self.waits)) - 1
        return _spread(self.waits[step], self.jitter, self.chance)


def effective_priority(priority: int, waited: float) -> int:
    """Return *priority* as lifted by *waited* seconds of being due.

    >>> effective_priority(1, 30), effective_priority(1, 130), effective_priority(2, 1e9)
    (1, 3, 4)
    """
    return min(HIGHEST, priority + int(max(0.0, waited) // AGEING))


def claim_order(priority: int, due: float, age: int, now: float) -> tuple[int, float, int]:
    """Return a sort key: the smallest is claimed first.

    The lifted priority decides, then who has been due for longer, then *age*, the number of arrival.

    >>> fresh, old = (3, 100.0, 2), (2, 30.0, 1)
    >>> min(fresh, old, key=lambda job: claim_order(*job, now=100.0))
    (2, 30.0, 1)
    """
    return -effective_priority(priority, now - due), due, age


def _spread(wait: float, jitter: float, chance: Callable[[], float]) -> float:
    return float(wait) * (1 + jitter * (2 * chance() - 1))
