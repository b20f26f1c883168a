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

    >>> meter = Meter()
    >>> meter.count(at=10.0, took=0.5, failed=False)
    >>> meter.read(at=30.0)
    Reading(per_minute=1.0, average=0.5, failed=0.0)
    """

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: deque[tuple[float, float, bool]] = deque(maxlen=_MOST)

    def count(self, *, at: float, took: float, failed: bool) -> None:
        """Count one event that ended *at* (seconds on a monotonic clock) and *took* so many seconds."""
        self._events.append((at, took, failed))

    def within(self, seconds: float, *, at: float) -> float:
        """Return how many events there were in so many *seconds* before *at*, without looking at each."""
        events = self._events
        first, last = 0, len(events)
        full = last == _MOST
        if not last:
            return 0.0
        # What others count meanwhile moves the middle by a few places, which this figure can bear.
        while first < last:
            middle = (first + last) // 2
            if events[middle][0] < at - seconds:
                first = middle + 1
            else:
                last = middle
        kept = len(events) - first
        if full and first == 0:  # they cover less than was asked for: extrapolated, as in `read`
            return kept * seconds / max(at - events[0][0], 0.001)
        return float(kept)

    def read(self, *, at: float) -> Reading:
        """Return what the minute before *at* was like."""
        recent = [event for event in tuple(self._events) if at - event[0] <= _WINDOW]
        if not recent:
            return Reading(per_minute=0.0, average=0.0, failed=0.0)
        # A full memory covers less than a minute: what it covers stands for the whole.
        covered = at - recent[0][0] if len(recent) == _MOST else _WINDOW
        return Reading(
            per_minute=len(recent) * _WINDOW / max(covered, 0.001),
            average=sum(took for _, took, _ in recent) / len(recent),
            failed=100.0 * sum(failed for _, _, failed in recent) / len(recent),
        )
