"""When calls are held back because none gets through; see `_circuit_life` for what becomes of that."""

import attrs

from ._retry import at_least, seconds
from .models._base import Model

__all__ = ["CircuitBreaker"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CircuitBreaker(Model):
    """Hold calls back while none gets through, so that an outage is neither fed nor waited for by everybody.

    The circuit opens when tries have failed *faults* times in a row over at least *lasting* seconds: without any
    answer, or with a 5xx. A refusal (4xx) is an answer and closes it. While it is open, calls raise
    `novitai_sdk.CircuitOpen` at once; every *rest* seconds one is let through to see. Times are in seconds.
    Raises ValueError or TypeError for wrong values.

    >>> CircuitBreaker(faults=20, rest=30).lasting
    5.0
    """

    faults: int = attrs.field(default=10, validator=at_least(1))
    """Faults in a row that open it."""

    lasting: float = attrs.field(default=5.0, validator=seconds)
    """They must span so many seconds: a hundred calls broken in one moment are one event, and no outage yet."""

    rest: float = attrs.field(default=10.0, validator=seconds)
    """Seconds until a call is let through to see."""
