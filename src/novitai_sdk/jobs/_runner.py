"""Takes jobs from a store and runs their handlers, on asyncio or trio.

The promise is *at least once*: a job that was accepted is run until it has ended, and if its worker dies
halfway it is run again from the start. So a handler looks at what is there before it acts, and puts down
with :meth:`JobContext.commit` what it is about to do.
"""

import logging
import math
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import anyio
import anyio.abc
import attrs

from .._calling import Async
from .._waiting import AsyncWaiter, Waiter
from ..models import Job
from ._announce import resolve
from ._errors import ClaimLost, JobError, RunnerFailed, StoreError
from ._schedule import Backoff, RetryPolicy
from ._store import (
    Again,
    Batch,
    Change,
    Claim,
    Done,
    GiveUp,
    HandBack,
    Outcome,
    Retry,
    Settlement,
    Store,
)

__all__ = ["Handler", "JobContext", "Runner"]

T = TypeVar("T")

_log = logging.getLogger("novitai_sdk")

# A clock that was set, a laptop that slept, an announcement of another process that nobody heard: all
# of them are noticed after at most so many seconds.
_LONGEST_NAP: Final = 30.0

# A due time is a float: without a floor, rounding could make the loop look again and again for the
# microsecond that is missing.
_SHORTEST_NAP: Final = 0.001


@attrs.frozen(kw_only=True)
class JobContext:
    """What a handler knows besides its job.

    Attributes:
        claim: The right to work on the job; lost when another worker has it.
        waiter: How to wait and what time it is.
    """

    claim: Claim
    waiter: Waiter[Async] = attrs.field(repr=False)
    _store: Store = attrs.field(repr=False, alias="store")

    @property
    def job(self) -> Job:
        """The job, this attempt counted."""
        return self.claim.job

    @property
    def last_attempt(self) -> bool:
        """Whether the job fails for good if this attempt fails."""
        return self.job.attempts >= self.job.max_attempts

    async def commit(self, change: Change) -> None:
        """Store *change* in the middle of the attempt, if the claim is still held.

        Raises:
            ClaimLost: The job belongs to another worker now; stop at once.
            RecordChanged: A record was written meanwhile.
            StoreError: The store is in trouble.
        """
        await self.waiter.result(self._store.commit(attrs.evolve(change, held=self.claim)))


Handler: TypeAlias = Callable[[Job, JobContext], Awaitable[Outcome]]
"""Does the work of one type of job. An exception counts as a failed attempt."""


@attrs.define(eq=False)
class _Slot:
    """One handler at work."""

    claim: Claim
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)
    lost: bool = False

    @property
    def type(self) -> str:
        return str(self.claim.job.type)


class Runner:
    """Runs the jobs of *store* whose types have a handler here; others stay for another process.

    Args:
        store: Where the jobs are.
        handlers: What to do, by type of job.
        waiter: How to wait and what time it is.
        policy: When to try again after an exception.
        policies: The same for single types.
        slots: Jobs of one type that are worked on at the same time. Each type has slots of its own, so
            slow jobs of one never hold up another.
        slots_by_type: The same for single types.
        lease: Seconds after which the jobs of a worker that fell silent go to another. Leases are
            renewed three times in that span.
        time_limit: Seconds after which an attempt counts as failed.
        owner: Name of this worker, unlike that of any other: letters, digits and hyphens.
    """

    def __init__(
        self,
        store: Store,
        handlers: Mapping[str, Handler],
        *,
        waiter: Waiter[Async] | None = None,
        policy: RetryPolicy | None = None,
        policies: Mapping[str, RetryPolicy] = MappingProxyType({}),
        slots: int = 8,
        slots_by_type: Mapping[str, int] = MappingProxyType({}),
        lease: float = 60.0,
        time_limit: float = 900.0,
        owner: str | None = None,
    ) -> None:
        self.owner: str = owner or f"{os.getpid()}-{random.SystemRandom().getrandbits(64):016x}"
        self.error: BaseException | None = None
        self.trouble: StoreError | None = None
        self.running: bool = False
        self._store = store
        self._handlers = {str(type_): handler for type_, handler in handlers.items()}
        self._waiter: Waiter[Async] = waiter or AsyncWaiter()
        self._policies = {
            type_: policies.get(type_) or policy or Backoff() for type_ in self._handlers
        }
        self._slots = {type_: slots_by_type.get(type_, slots) for type_ in self._handlers}
        self._lease = lease
        self._time_limit = time_limit
        self._at_work: dict[tuple[str, int], _Slot] = {}
        self._full: frozenset[str] = frozenset()  # types that may have jobs waiting for a slot
        self._renew_at = 0.0
        self._wake: Future[None] = Future()
        self._asleep_until = math.inf
        self._ran = False
        self._stopping = False
        self._drain_for = 0.0

    async def run(self) -> None:
        """Work until :meth:`stop`; hand back what is unfinished then.

        Raises:
            RunnerFailed: The store failed in a way that waiting does not mend; the cause is attached
                and stays in ``error``.
        """
        if self._ran:
            raise RuntimeError("a runner runs once; make another one")
        self._ran = self.running = True
        unsubscribe = self._store.on_work(self._on_work)
        try:
            async with anyio.create_task_group() as tasks:
                try:
                    await self._serve(tasks)
                    await self._drain()
                except Exception as error:  # noqa: BLE001 - raised below, out of the task group
                    self.error = error
                for slot in self._at_work.values():
                    slot.scope.cancel()
            if self.error is not None:
                _log.error("the job runner died: %s", describe(self.error))
                raise RunnerFailed(f"the job runner died: {describe(self.error)}") from self.error
        finally:
            self.running = False
            unsubscribe()

    def stop(self, drain: float = 0.0) -> None:
        """Take no more jobs; after *drain* seconds hand back those that are still worked on.

        It returns at once and may be called from any thread; :meth:`run` returns when all is done.
        """
        self._drain_for = drain
        self._stopping = True
        self._rouse()

    async def _serve(self, tasks: anyio.abc.TaskGroup) -> None:
        self._renew_at = self._waiter.monotonic() + self._lease / 3
        pauses = _pauses()
        while True:
            # Renewed before looking: what is announced from here on cuts the coming nap short.
            self._wake, self._asleep_until = Future(), math.inf
            if self.error is not None:
                raise self.error
            if self._stopping:
                return
            try:
                await self._renew()
                batch = await self._claim()
            except StoreError as error:
                self._bear(error)
                await self._nap(next(pauses))
                continue
            self.trouble, pauses = None, _pauses()
            for claim in batch.claims:
                self._start(tasks, claim)
            await self._nap(self._pause(batch.next_due))

    async def _claim(self) -> Batch:
        free = self._free()
        # Until the answer is here, any type may turn out to have had more jobs than slots.
        self._full = frozenset(self._slots)
        batch = Batch(claims=(), next_due=None)
        # Shielded: whoever is cancelled between asking and hearing would hold jobs that he does not know of.
        with anyio.CancelScope(shield=True):
            batch = await self._waiter.result(
                self._store.claim(self.owner, free, self._waiter.time(), self._lease)
            )
        taken = Counter(str(claim.job.type) for claim in batch.claims)
        self._full = frozenset(type_ for type_ in self._slots if taken[type_] == free.get(type_, 0))
        return batch

    def _free(self) -> dict[str, int]:
        busy = Counter(slot.type for slot in self._at_work.values())
        return {
            type_: slots - busy[type_]
            for type_, slots in self._slots.items()
            if slots > busy[type_]
        }

    async def _renew(self) -> None:
        now = self._waiter.monotonic()
        if now < self._renew_at:
            return
        slots = list(self._at_work.values())
        if slots:
            lost = await self._waiter.result(
                self._store.renew([slot.claim for slot in slots], self._waiter.time(), self._lease)
            )
            for slot in slots:
                if slot.claim.job.id in lost:
                    slot.lost = True
                    slot.scope.cancel()
        self._renew_at = now + self._lease / 3

    def _pause(self, next_due: float | None) -> float:
        pause = min(_LONGEST_NAP, self._renew_at - self._waiter.monotonic())
        if next_due is not None:
            pause = min(pause, next_due - self._waiter.time())
        return max(_SHORTEST_NAP, pause)

    async def _nap(self, seconds: float) -> None:
        # Last of all before the wait: a listener on another thread compares with it.
        self._asleep_until = self._waiter.time() + seconds
        try:
            await self._waiter.result(self._wake, seconds)
        except TimeoutError:
            return

    def _on_work(self, due: float) -> None:
        if due < self._asleep_until:
            self._rouse()

    def _rouse(self) -> None:
        resolve(self._wake, None)

    def _bear(self, error: StoreError) -> None:
        """Go on in spite of *error* if it may pass; raise it otherwise."""
        if not error.passing:
            raise error
        if self.trouble is None:
            _log.warning("the job store is in trouble, trying on: %s", describe(error))
        self.trouble = error

    def _start(self, tasks: anyio.abc.TaskGroup, claim: Claim) -> None:
        slot = _Slot(claim)
        # Counted here and not in the task: the next look must not take more than there are slots.
        self._at_work[claim.job.id, claim.number] = slot
        tasks.start_soon(self._work, slot, name=f"{slot.type} {claim.job.id}")

    async def _work(self, slot: _Slot) -> None:
        outcome: Outcome = HandBack()  # what stands if the handler is cancelled
        try:
            with slot.scope:
                outcome = await self._attempt(slot)
        finally:
            # Also when all of the runner is cancelled: the job shall not wait for its lease to end.
            with anyio.CancelScope(shield=True):
                await self._settle(slot, outcome)
            del self._at_work[slot.claim.job.id, slot.claim.number]
            if slot.type in self._full or self._stopping:
                self._rouse()

    async def _attempt(self, slot: _Slot) -> Outcome:
        claim = slot.claim
        context = JobContext(claim=claim, waiter=self._waiter, store=self._store)
        try:
            with anyio.move_on_after(self._time_limit):
                return _outcome(await self._handlers[slot.type](claim.job, context))
            raise TimeoutError(f"no outcome within {self._time_limit:g} seconds")
        except ClaimLost:
            slot.lost = True
            return HandBack()
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a failed attempt
            return self._verdict(claim, error)

    def _verdict(self, claim: Claim, error: Exception) -> Retry:
        job, text = claim.job, describe(error)
        last = job.attempts >= job.max_attempts
        _log.log(
            logging.WARNING if last else logging.INFO,
            "attempt %d of %d of job %s (%s) failed: %s",
            job.attempts,
            job.max_attempts,
            job.id,
            job.type,
            text,
        )
        return Retry(error=text, after=self._policies[str(job.type)].wait_after(job.attempts))

    async def _settle(self, slot: _Slot, outcome: Outcome) -> None:
        # Past the lease the store would refuse anyway, and a store that stays full must not hold up
        # the end of the process.
        give_up_at = self._waiter.monotonic() + (0.0 if self._stopping else self._lease)
        pauses = _pauses()
        while not slot.lost:
            settlement = Settlement(claim=slot.claim, outcome=outcome, at=self._waiter.time())
            try:
                await self._waiter.result(self._store.commit(Change(settle=settlement)))
                return
            except ClaimLost:
                slot.lost = True
            except StoreError as error:
                if not error.passing or self._waiter.monotonic() >= give_up_at:
                    self.error = self.error or (None if error.passing else error)
                    _log.warning(
                        "the end of job %s was not stored, it will run again: %s",
                        slot.claim.job.id,
                        describe(error),
                    )
                    self._rouse()
                    return
                await self._waiter.sleep(next(pauses))
            except JobError as error:  # what was to be stored with it was refused
                outcome = self._verdict(slot.claim, error)
        _log.info("job %s is no longer ours; its result was dropped", slot.claim.job.id)

    async def _drain(self) -> None:
        deadline = self._waiter.monotonic() + self._drain_for
        while self._at_work:
            self._wake = Future()
            left = deadline - self._waiter.monotonic()
            if left <= 0:
                return
            try:
                await self._renew()
            except StoreError as error:
                self._bear(error)
            await self._nap(max(_SHORTEST_NAP, min(left, self._lease / 3)))


def _outcome(answer: object) -> Outcome:
    if isinstance(answer, Done | Again | GiveUp | Retry | HandBack):
        return answer
    raise TypeError(f"the handler answered {answer!r}, not an outcome")


def describe(error: BaseException) -> str:
    """Return class and message of *error*, and of what a group of errors holds; never a traceback."""
    # Asked by attribute: before Python 3.11 groups come from a package that need not be installed.
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())
    if inner:
        return "; ".join(describe(one) for one in inner)
    message = str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _pauses() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause
        pause = min(10.0, pause * 2)
