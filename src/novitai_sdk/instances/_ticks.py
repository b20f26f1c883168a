"""When a machine is looked at next, so that one look serves many."""

import random
from bisect import bisect_right, insort
from collections.abc import Callable
from typing import Final

__all__ = ["LONGEST", "Steady", "Ticks", "look_after"]

LONGEST: Final = 15.0
"""Seconds between two looks at something old."""

# Far more than are asked for at the same time; what nobody forgot goes with the rest.
_MOST: Final = 10_000

# So that the processes of one account, begun by one deployment, do not ask in step for ever.
_LEFT_TO_CHANCE: Final = 0.05

# The share of a wait that is waited at least. With a half, two groups half a wait apart would never come together.
_AT_LEAST: Final = 0.45


def look_after(age: float, shortest: float) -> float:
    """Seconds until the next look at something that began *age* seconds ago.

    A look costs a request, a late look costs paid minutes: waiting a fifth of the age keeps both in proportion.

    >>> look_after(0.0, 0.5), look_after(10.0, 0.5), look_after(3600.0, 0.5)
    (0.5, 2.0, 15.0)
    """
    return max(shortest, min(LONGEST, age / 5))


class Steady:
    """Moments told by the wall clock, which may be set, held against a clock that is never set.

    How much time is left until one is worked out once, when it is first asked for; from then on time passes.

    Args:
        monotonic: Seconds on a clock that is never set.
        wall: Seconds since 1970.
    """

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._ends: dict[str, tuple[float, float]] = {}

    def left(self, key: str, moment: float, *, most: float) -> float:
        """Seconds left until *moment*, in epoch seconds, of *key*, which has one at a time; at first *most* at most."""
        now, known = self._monotonic(), self._ends.get(key)
        if known is None or known[0] != moment:
            if len(self._ends) >= _MOST:
                self._ends = {}
            known = self._ends[key] = moment, now + min(most, moment - self._wall())
        return known[1] - now

    def forget(self, key: str) -> None:
        """Forget what was asked for *key*."""
        self._ends.pop(key, None)


class Ticks:
    """The moments of the coming looks.

    Whoever is to be looked at within some time joins the last look that is planned for the end of it. So those
    who wait about as long as each other come together and stay together, however far apart they began, and those who
    wait for a shorter time take the looks of the others for theirs when they come near.

    Args:
        chance: Where chance comes from: a callable giving 0.0 to 1.0.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._planned: list[float] = []

    def within(self, wait: float, now: float) -> float:
        """Return when to look, in epoch seconds: at most *wait* seconds after *now*, at least 0.45 of that."""
        del self._planned[: bisect_right(self._planned, now)]
        last = bisect_right(self._planned, now + wait) - 1
        if last >= 0 and self._planned[last] >= now + wait * _AT_LEAST:
            return self._planned[last]
        # In whole milliseconds, which come through every sum and every store as the same number.
        tick = round(now + wait * (1 - _LEFT_TO_CHANCE * self._chance()), 3)
        insort(self._planned, tick)
        return tick
