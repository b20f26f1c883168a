"""How many calls may go in a time: a bucket of tokens as arithmetic, which neither waits nor knows what time it is."""

import math
from typing import Final

import attrs

from ._retry import at_least, seconds
from .models._base import Model

__all__ = ["FULL", "RateLimit"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RateLimit(Model):
    """At most so many calls in so many seconds, over all threads and tasks of a client.

    A bucket holds *burst* tokens and is refilled evenly; each try takes one. Who finds none waits, first come, first
    served; the wait counts against the deadline of the call, and where it cannot end in time it is not begun.
    Raises ValueError or TypeError for wrong values.

    >>> RateLimit(calls=600, seconds=60).interval
    0.1
    """

    calls: int = attrs.field(default=100, validator=at_least(1))
    """Tries in that time, in the long run."""

    seconds: float = attrs.field(default=60.0, validator=(seconds, attrs.validators.gt(0)))

    burst: int = attrs.field(default=100, validator=at_least(1))
    """Tries that may go at once after a quiet time."""

    @property
    def interval(self) -> float:
        """Seconds until one token more is there."""
        return self.seconds / self.calls

    def first_token(self, free: float, now: float) -> float:
        """When the next token is, or was, there.

        *free* is the moment after the last token that was taken; ``-inf`` for a full bucket.
        """
        # A bucket that is full does not fill up further: it counts as if its oldest token had come just now.
        return max(free, now - (self.burst - 1) * self.interval)


FULL: Final = -math.inf
"""The moment of a bucket of which nothing was taken yet."""
