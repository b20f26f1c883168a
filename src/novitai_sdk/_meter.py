"""What the last minute was like: counted as it happens, asked when somebody wants to know."""

from collections import deque
from typing import Final

import attrs

__all__ = ["Meter", "Reading"]

_WINDOW: Final = 60.0
# Bounds the memory; busier minutes are extrapolated from what is kept.
_MOST: Final = 4096


@attrs.frozen(kw_only=True)
class Reading:
    """Rates over the last minute."""

    per_minute: float
    """Events per minute."""

    average: float
    """Mean duration in seconds."""

    failed: float
    """Share that failed, in percent."""


class Meter:
    """Counts events of the last minute, from any thread.

    >>> meter = Meter(started=0.0)
    >>> meter.count(at=10.0, took=0.5, failed=False)
    >>> meter.read(at=30.0)
    Reading(per_minute=2.0, average=0.5, failed=0.0)
    """

    __slots__ = ("_events", "_started")

    def __init__(self, *, started: float) -> None:
        self._started = started
        self._events: deque[tuple[float, float, bool]] = deque(maxlen=_MOST)

    def count(self, *, at: float, took: float, failed: bool) -> None:
        """Count one event that ended *at* (seconds on a monotonic clock) and *took* so many seconds."""
        self._events.append((at, took, failed))

    def read(self, *, at: float) -> Reading:
        """Return the rates of the minute before *at*, or of the time since the start if that is shorter."""
        recent = [event for event in tuple(self._events) if at - event[0] <= _WINDOW]
        if not recent:
            return Reading(per_minute=0.0, average=0.0, failed=0.0)
        # A full memory covers less than the window: the rate is that of what it covers.
        since = recent[0][0] if len(recent) == _MOST else max(self._started, at - _WINDOW)
        minutes = max(at - since, 0.001) / 60
        return Reading(
            per_minute=len(recent) / minutes,
            average=sum(took for _, took, _ in recent) / len(recent),
            failed=100.0 * sum(failed for _, _, failed in recent) / len(recent),
        )
