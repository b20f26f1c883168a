"""What the calls of one client share: how fast they may go, whether the line is up, how much may be tried again.

The policies are values and do the arithmetic; here is the state they are asked about, from any thread. Nothing waits
here either: whoever has to wait is told for what.
"""

import threading
from collections import OrderedDict, deque
from contextlib import suppress
from typing import Final

from . import _circuit_life as life
from ._circuit import CircuitBreaker
from ._circuit_life import CLEAR, Circuit, Event, Phase
from ._inherited import Inherited
from ._meter import Meter
from ._promise import InvalidStateError, Promise
from ._rate import FULL, RateLimit
from ._retry import RetryPolicy
from .cloud._drift import Tally

__all__ = ["Breaker", "Bucket", "Gates", "Turn"]

# Moments are sums of many intervals: a token must not be missed for the last digit of one.
_ROUNDING: Final = 1e-6

Turn = Promise[None]
"""A place in the queue; it is settled when it becomes the first."""


class Bucket:
    """The tokens of one rate limit, and the queue of those who wait for one."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._interval = limit.interval
        self._free = FULL
        self.begin_anew()

    def begin_anew(self) -> None:
        """Let nobody wait: after a fork, those who did are in the parent."""
        self._lock = threading.Lock()
        self._queue: OrderedDict[Turn, None] = OrderedDict()

    def take(self, now: float) -> bool:
        """Take a token if one is there and nobody waits for it."""
        with self._lock:
            if self._queue:
                return False
            moment = self._limit.first_token(self._free, now)
            if moment > now + _ROUNDING:
                return False
            self._free = moment + self._interval
            return True

    def owe(self, now: float) -> None:
        """Take the next token before it is there, and before those who wait: they wait the longer."""
        with self._lock:
            self._free = self._limit.first_token(self._free, now) + self._interval

    def join(self, now: float, ends: float) -> tuple[float, Turn | None]:
        """Queue up; return when the token will be there at the latest, and a place unless that is after *ends*."""
        with self._lock:
            moment = self._limit.first_token(self._free, now) + len(self._queue) * self._interval
            if moment >= ends:
                return moment, None
            turn = Turn()
            self._queue[turn] = None
            if len(self._queue) == 1:
                turn.set_result(None)
            return moment, turn

    def due(self, now: float) -> float:
        """When the first of the queue may go."""
        with self._lock:
            return self._limit.first_token(self._free, now)

    def leave(self, turn: Turn, taken: float | None) -> None:
        """Leave the queue: with the token, *taken* at that moment, or without."""
        with self._lock:
            if taken is not None:
                self._free = self._limit.first_token(self._free, taken) + self._interval
            was_first = next(iter(self._queue), None) is turn
            self._queue.pop(turn, None)
            if was_first:
                # One that is being cancelled in this moment leaves by itself, and then calls the next.
                with suppress(InvalidStateError):
                    for following in self._queue:
                        following.set_result(None)
                        break


class Breaker:
    """The circuit of one breaker."""

    def __init__(self, policy: CircuitBreaker) -> None:
        self.policy = policy
        self.circuit: Circuit = CLEAR
        self.begin_anew()

    def begin_anew(self) -> None:
        """After a fork, lock and probe are the parent's."""
        self._lock = threading.Lock()
        self.circuit = life.after(self.policy, self.circuit, Event.NOTHING, self.circuit.probe_at)

    def refuses(self, now: float) -> bool:
        """Whether a call would not be let through at that moment."""
        return not life.admits(self.policy, self.circuit, now)

    def enter(self, now: float) -> bool | None:
        """Let a call through: True if it is the probe of an open circuit; None if it is refused."""
        with self._lock:
            if not life.admits(self.policy, self.circuit, now):
                return None
            before = self.circuit
            self.circuit = life.after(self.policy, before, Event.PROBE, now)
            return self.circuit is not before

    def tell(self, event: Event, now: float, why: str = "") -> bool:
        """Say how a call ended; True if that opened the circuit."""
        with self._lock:
            before = self.circuit
            self.circuit = life.after(self.policy, before, event, now, why)
            return before.phase is Phase.CLOSED and self.circuit.phase is Phase.OPEN


_MINUTE: Final = 60.0


class Gates:
    """What the calls of one client share. Siblings with the same policy share its state, too; another has its own."""

    def __init__(self, meter: Meter | None = None) -> None:
        self.meter: Meter = meter or Meter()
        self.tally: Tally = Tally()
        self._retries: deque[float] = deque()
        self._buckets: dict[RateLimit, Bucket] = {}
        self._breakers: dict[CircuitBreaker, Breaker] = {}
        _in_this_process.add(self)

    def bucket(self, limit: RateLimit | None) -> Bucket | None:
        """The tokens of *limit*, None where there is none."""
        return None if limit is None else self._buckets.setdefault(limit, Bucket(limit))

    def breaker(self, policy: CircuitBreaker | None) -> Breaker | None:
        """The circuit of *policy*, None where there is none."""
        return None if policy is None else self._breakers.setdefault(policy, Breaker(policy))

    def grant_retry(self, policy: RetryPolicy, now: float) -> bool:
        """Whether one retry more is within the budget; if so, it is counted."""
        retries = self._retries
        with suppress(IndexError):  # another thread was quicker
            while retries[0] < now - _MINUTE:
                retries.popleft()
        spent = len(retries)
        # Counting the calls costs something, and few retries need no budget.
        if spent >= policy.budget_floor:
            calls = self.meter.within(_MINUTE, at=now) - spent
            if spent >= policy.budget_floor + policy.budget * calls:
                return False
        retries.append(now)
        return True

    def begin_anew(self) -> None:
        """Start without those who waited in the parent of a fork."""
        self.tally.begin_anew()
        for bucket in self._buckets.values():
            bucket.begin_anew()
        for breaker in self._breakers.values():
            breaker.begin_anew()


_in_this_process = Inherited(Gates.begin_anew)
