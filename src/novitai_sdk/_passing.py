"""Passing the gates before a try: the circuit, the rate limit, and their waits."""

from datetime import datetime, timezone
from typing import Any

from ._gates import Breaker, Bucket
from ._waiting import Waiter
from .errors import CallTimedOut, CircuitOpen

__all__ = ["pass_gates"]


async def pass_gates(
    waiter: Waiter[Any],
    bucket: Bucket | None,
    breaker: Breaker | None,
    now: float,
    ends: float,
    *,
    urgent: bool = False,
) -> tuple[float, bool]:
    """Return when a try may go, once it may, and whether it is the probe of an open circuit.

    What is *urgent* waits for neither: a machine that nobody wants any more costs as long as it waits.

    Raises CircuitOpen, and CallTimedOut if its turn would come after *ends*.
    """
    # Before the wait: who is refused takes no place and no token. And after it, for much may happen meanwhile.
    if urgent:
        if bucket is not None and not bucket.take(now):
            bucket.owe(now)
        return now, False
    if breaker is not None and breaker.refuses(now):
        raise _held_back(waiter, breaker, now)
    if bucket is not None and not bucket.take(now):
        now = await _turn(waiter, bucket, now, ends)
    if breaker is None:
        return now, False
    probing = breaker.enter(now)
    if probing is None:
        raise _held_back(waiter, breaker, now)
    return now, probing


async def _turn(waiter: Waiter[Any], bucket: Bucket, now: float, ends: float) -> float:
    """Wait for a token, first come, first served; return when it came."""
    due, turn = bucket.join(now, ends)
    if turn is None:
        raise _too_late(due - now)
    taken: float | None = None
    try:
        if not turn.done():
            try:
                await waiter.result(turn, ends - now)
            except TimeoutError:
                raise _too_late(due - now) from None
        now = waiter.monotonic()
        due = bucket.due(now)
        if due >= ends:
            raise _too_late(due - now)
        if due > now:
            await waiter.sleep(due - now)
        # Some clocks wake a moment early, and one in a hand does not move by itself.
        woken = max(due, waiter.monotonic())
        if (
            woken >= ends
        ):  # others wake late: what is begun now would be cut off, perhaps in the middle
            raise _too_late(0.0)
        taken = woken
        return taken
    finally:
        bucket.leave(turn, taken)


def _too_late(seconds: float) -> CallTimedOut:
    return CallTimedOut(
        f"nothing was sent: by this client's own rate limit its turn comes in {seconds:.1f} s, after its deadline",
        resend_safe=True,
    )


def _held_back(waiter: Waiter[Any], breaker: Breaker, now: float) -> CircuitOpen:
    circuit, epoch = breaker.circuit, waiter.time() - now
    since = datetime.fromtimestamp(epoch + circuit.since, timezone.utc)
    probe_at = datetime.fromtimestamp(epoch + circuit.probe_at, timezone.utc)
    return CircuitOpen(
        f"held back: no call has got through since {since:%H:%M:%S} UTC ({circuit.faults} faults, the last: "
        f"{circuit.why}); the next is let through at {probe_at:%H:%M:%S} UTC",
        since=since,
        why=circuit.why,
        probe_at=probe_at,
        resend_safe=True,
    )
