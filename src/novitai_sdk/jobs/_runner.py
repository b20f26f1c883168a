"""Takes jobs from a store and runs their handlers, on asyncio or trio.

The promise is *at least once*: a job that was accepted is run until it has ended, and if its worker dies
halfway it is run again from the start. So a handler looks at what is there before it acts, and puts down
with :meth:`JobContext.commit` what it is about to do.

One loop talks to the store. What handlers came to since the last time, the renewal of what is still worked on, and
the claim for the slots that are free go to it together, and a store commits together what comes together: a busy
worker pays one flush for a batch of jobs, not three for each.
"""

import logging
import math
import os
import random
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Final

import anyio
import anyio.abc
import attrs

from .._calling import Async
from .._job_event import JobEvent, OnJob, What
from .._mailbox import kept
from .._promise import Future, Promise, fulfil
from .._waiting import AsyncWaiter, Waiter
from ..models import JobStatus
from ._crew import Crew, Kind, Work
from ._errors import ClaimLost, JobError, RunnerFailed, StoreError
from ._handling import Handler, Together, describe, facts
from ._inside import runs_here
from ._schedule import Backoff, JobRetryPolicy
from ._store import (
    Again,
    Batch,
    Claim,
    Done,
    GiveUp,
    HandBack,
    Offer,
    Outcome,
    Retry,
    Settlement,
    Store,
    settle,
)

__all__ = ["Runner"]

_log = logging.getLogger("novitai_sdk")

# A clock that was set, a laptop that slept, an announcement of another process that nobody heard: all
# of them are noticed after at most so many seconds.
_LONGEST_NAP: Final = 30.0

# A due time is a float: without a floor, rounding could make the loop look again and again for the
# microsecond that is missing.
_SHORTEST_NAP: Final = 0.001

# Seconds a cancelled handler gets to clean up before anybody is told that it holds up the end.
_PATIENCE: Final = 5.0


@attrs.define(eq=False)
class _Ending:
    """How an attempt ended, until the store knows."""

    work: Work
    claim: Claim
    outcome: Outcome
    at: float  # epoch seconds
    drop_at: float  # on the monotonic clock: past the lease the store would refuse anyway
    refused: bool = False  # what the handler answered could not be stored


class Runner:
    """Runs the jobs of *store* whose types have a handler here; others stay for another process.

    Args:
        store: Where the jobs are.
        handlers: What to do, by type of job. More can be added with :meth:`handle`.
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
        finish: Types whose due jobs are begun even while it drains, if there is a drain time.
        on_job: Told of every attempt that begins or ends.
    """

    def __init__(
        self,
        store: Store,
        handlers: "Mapping[str, Handler | Together]",
        *,
        waiter: Waiter[Async] | None = None,
        policy: JobRetryPolicy | None = None,
        policies: Mapping[str, JobRetryPolicy] = MappingProxyType({}),
        slots: int = 8,
        slots_by_type: Mapping[str, int] = MappingProxyType({}),
        lease: float = 60.0,
        time_limit: float = 900.0,
        owner: str | None = None,
        finish: Collection[str] = (),
        on_job: OnJob | None = None,
    ) -> None:
        self.owner: str = owner or f"{os.getpid()}-{random.SystemRandom().getrandbits(64):016x}"
        self.error: BaseException | None = None
        self.trouble: StoreError | None = None
        self.running: bool = False
        self._store = store
        self._waiter: Waiter[Async] = waiter or AsyncWaiter()
        self._policy = policy or Backoff()
        self._slots = slots
        self._time_limit = time_limit
        self._lease = lease
        self._to_finish = frozenset(finish)
        self._crew = Crew(store, self._waiter, on_job, self._end)
        self._kinds: Mapping[str, Kind] = {}
        for type_, handler in handlers.items():
            self.handle(type_, handler, slots=slots_by_type.get(type_), policy=policies.get(type_))
        self._held: dict[tuple[str, int], Work] = {}  # every claim that is not settled yet
        self._endings: list[_Ending] = []
        self._offered: Mapping[str, int] = {}  # slots that the store may fill by itself
        self._offers = 0  # made so far
        self._standing = 0  # the number of the latest that the store has taken
        self._delivered: deque[tuple[int, tuple[Claim, ...]]] = deque()
        self._renewing: Sequence[Claim] = ()
        self._doubt = False  # whether somebody may have taken what is held
        self._full: frozenset[str] = frozenset()  # types that may have jobs waiting for a slot
        self._look = True
        self._due_at: float | None = None
        self._renew_at = 0.0
        self._renewed_at = 0.0  # by the wall clock
        self._wake: Promise[None] = Promise()
        self._asleep_until = math.inf
        self._ran = False
        self._tasks: anyio.abc.TaskGroup | None = None  # while it runs
        self._stopping = False
        self._finishing = False
        self._drain_for = 0.0

    def handle(
        self,
        type: str,
        handler: "Handler | Together",
        *,
        slots: int | None = None,
        policy: JobRetryPolicy | None = None,
        time_limit: float | None = None,
    ) -> None:
        """Run jobs of *type* with *handler* from now on; may be called at any time and from any thread.

        Args:
            type: The type of job.
            handler: What to do.
            slots: Jobs of it that are worked on at the same time.
            policy: When to try again after an exception.
            time_limit: Seconds after which an attempt counts as failed.
        """
        kind = Kind(
            handler=handler,
            slots=self._slots if slots is None else slots,
            policy=policy or self._policy,
            time_limit=self._time_limit if time_limit is None else time_limit,
        )
        # Replaced and not changed: the loop may be going through it in another thread.
        self._kinds = {**self._kinds, str(type): kind}
        if self.running:
            self._rouse(look=True)

    async def run(self) -> None:
        """Work until :meth:`stop`; hand back what is unfinished then.

        Raises:
            RunnerFailed: The store failed in a way that waiting does not mend; the cause is attached
                and stays in ``error``.
        """
        if self._ran:
            raise RuntimeError("a runner runs once; make another one")
        self._ran = self.running = True
        with kept() as box, runs_here(self._store):
            self._post = box.post
            await self._run()

    async def _run(self) -> None:
        unsubscribe = self._store.on_work(self._on_work)
        ended = False
        try:
            async with anyio.create_task_group() as self._tasks:
                tasks = self._tasks
                try:
                    await self._serve(tasks)
                    await self._drain(tasks)
                    ended = True
                except Exception as error:  # noqa: BLE001 - raised below, out of the task group
                    self.error = error
                finally:
                    # Also when all of the runner is cancelled: its jobs shall not wait for their leases to end.
                    with anyio.CancelScope(shield=True):
                        await self._finish(tasks)
            if not ended and self.error is None:
                # Nobody stopped it, and it was not cancelled as a whole, or this line would not be reached.
                self.error = RuntimeError("a task of it was cancelled by somebody else")
            if self.error is not None:
                _log.error("the job runner died: %s", describe(self.error))
                raise RunnerFailed(f"the job runner died: {describe(self.error)}") from self.error
        finally:
            self.running, self._tasks = False, None
            unsubscribe()

    def stop(self, drain: float = 0.0) -> None:
        """Take no more jobs; after *drain* seconds hand back those that are still worked on.

        It returns at once and may be called from any thread; :meth:`run` returns when all is done.
        """
        self._drain_for = drain
        self._stopping = True
        self._rouse()

    @property
    def exits(self) -> int:
        """Attempts that failed of what asyncio lets end its loop, such as SystemExit in a task of a handler."""
        return self._crew.exits

    # The loop

    async def _serve(self, tasks: anyio.abc.TaskGroup) -> None:
        self._renew_at = self._waiter.monotonic() + self._lease / 3
        self._renewed_at = self._waiter.time()
        pauses = _pauses()
        while not self._stopping:
            self._stay_awake()
            look, self._look = self._look, False
            try:
                await self._turn(tasks, look)
            except StoreError as error:
                self._bear(error)
                self._look = True
                await self._nap(next(pauses))
                continue
            self.trouble, pauses = None, _pauses()
            if self.error is not None:
                raise self.error
            if not self._stopping:
                await self._nap(self._pause())

    async def _drain(self, tasks: anyio.abc.TaskGroup) -> None:
        """Let the handlers finish, for as long as was said, and begin what is not to be left behind."""
        deadline = self._waiter.monotonic() + self._drain_for
        pauses = _pauses()
        await self._withdraw(tasks)
        self._look = bool(self._to_finish)
        while self._held or self._look:
            self._stay_awake()
            longest = self._lease / 3
            look, self._look = self._look, False
            left = deadline - self._waiter.monotonic()
            try:
                await self._turn(tasks, look and left > 0)
            except StoreError as error:
                self._bear(error)
                self._look = look
                longest = next(pauses)
            left = deadline - self._waiter.monotonic()
            if left <= 0:
                return
            if self._held or self._look:
                await self._nap(max(_SHORTEST_NAP, min(left, longest)))

    async def _finish(self, tasks: anyio.abc.TaskGroup) -> None:
        """Cut short what is still worked on, and put down how it ended."""
        self._stopping = self._finishing = True
        await self._withdraw(tasks)
        self._crew.leave()
        for work in dict.fromkeys(self._held.values()):
            work.cancel()
        since, told = self._waiter.monotonic(), False
        # Not while anything is held: what cannot be put down stays so, and lapses with its lease.
        while self._endings or self._crew.at_work:
            self._stay_awake()
            try:
                await self._turn(tasks, look=False)
            except Exception as error:  # noqa: BLE001 - run() raises it
                self.error = self.error or error
                return
            if self._crew.at_work:
                told = told or self._tell_who_resists(since)
                await self._nap(min(self._lease / 3, _PATIENCE))

    def _tell_who_resists(self, since: float) -> bool:
        if self._waiter.monotonic() - since < _PATIENCE:
            return False
        _log.warning(
            "the job runner waits for handlers that resist being cancelled: %s",
            ", ".join(sorted(str(type_) for type_, calls in self._crew.busy.items() if calls)),
        )
        return True

    def _stay_awake(self) -> None:
        # Before the turn: what is announced from here on cuts the coming nap short.
        self._wake, self._asleep_until = Promise(), math.inf

    async def _turn(self, tasks: anyio.abc.TaskGroup, look: bool) -> None:
        """Tell the store all there is to tell, and start what it hands out; raise its first complaint."""
        self._take_delivered(tasks)
        endings, self._endings = self._endings, []
        telling = self._tell(endings) if endings else None
        renewing = self._hold_on()
        claiming = self._claim() if look else None
        trouble: StoreError | None = None
        # Shielded: whoever is cancelled between asking and hearing would hold jobs that he does not know of.
        with anyio.CancelScope(shield=True):
            if telling is not None:
                try:
                    self._note_endings(endings, await self._waiter.result(telling))
                except StoreError as error:
                    self._keep(endings, error)
                    trouble = error
                except Exception as error:
                    self._forget(endings, error)
                    raise
            if renewing is not None:
                try:
                    self._renewed(await self._waiter.result(renewing))
                except StoreError as error:
                    self._doubt, trouble = True, error
            if claiming is not None:
                try:
                    self._start(tasks, await self._waiter.result(claiming))
                except StoreError as error:
                    trouble = error
        if trouble is not None and not (trouble.passing and self._finishing):
            raise trouble

    def _tell(self, endings: Sequence[_Ending]) -> "Future[tuple[JobError | None, ...]]":
        try:
            return self._store.settle([_settlement(one) for one in endings])
        except Exception as error:
            self._forget(endings, error)
            raise

    def _claim(self) -> "Future[Batch]":
        free = {
            type_: max(0, kind.free(self._crew.busy[type_]) - self._offered.get(type_, 0))
            for type_, kind in self._kinds.items()
            if not self._stopping or type_ in self._to_finish
        }
        # Until the answer is here, any type may turn out to have had more jobs than slots.
        self._full = frozenset(self._kinds)
        # Not where one call takes all there is: it is to be one call at a time.
        singly = [type_ for type_ in free if not isinstance(self._kinds[type_].handler, Together)]
        self._offers += 1
        deliver = partial(self._deliver, self._offers)
        offer = Offer(types=singly, now=self._waiter.time, deliver=deliver)
        return self._store.claim(
            self.owner,
            free,
            self._waiter.time(),
            self._lease,
            None if self._stopping else offer,
            self._waiter.monotonic(),
        )

    def _start(self, tasks: anyio.abc.TaskGroup, batch: Batch) -> None:
        self._standing, self._offered = self._offers, batch.offered
        self._full = frozenset(type_ for type_ in self._kinds if not batch.offered.get(type_))
        self._due_at = batch.next_due
        self._take_on(batch.claims)
        self._crew.go(tasks)

    def _deliver(self, offer: int, claims: tuple[Claim, ...]) -> None:
        """Hear of jobs that a change of the store took for us; on any thread."""
        self._delivered.append((offer, claims))
        self._post(self._welcome)

    def _welcome(self) -> None:
        """Begin what was delivered, in the loop, before the loop's own task wakes: that would be a turn later."""
        if self._crew.ready and self._tasks is not None:
            self._take_delivered(self._tasks)
        self._rouse(look=True)

    def _take_delivered(self, tasks: anyio.abc.TaskGroup) -> None:
        while self._delivered:
            offer, claims = self._delivered.popleft()
            # What was left of it is off offer too. One that a claim has replaced meanwhile says nothing of what stands.
            if offer == self._standing:
                self._offered = {}
            self._take_on(claims)
        self._crew.go(tasks)

    async def _withdraw(self, tasks: anyio.abc.TaskGroup) -> None:
        """Offer nothing any more; what was delivered meanwhile is worked on as all else."""
        if self._offered:
            with suppress(StoreError):  # one in such trouble takes nothing for us either
                await self._waiter.result(self._store.withdraw(self.owner))
        self._take_delivered(tasks)

    def _take_on(self, claims: Sequence[Claim]) -> None:
        by_type: dict[str, list[Claim]] = {}
        for claim in claims:
            by_type.setdefault(str(claim.job.type), []).append(claim)
        for type_, of_type in by_type.items():
            kind = self._kinds[type_]
            if isinstance(kind.handler, Together):
                self._begin(type_, kind, of_type)
                # There may be more than one call takes, and room for another call.
                self._look = self._look or len(of_type) >= kind.handler.most
            else:
                for claim in of_type:
                    self._begin(type_, kind, (claim,))

    def _begin(self, type_: str, kind: Kind, claims: Sequence[Claim]) -> None:
        work = self._crew.begin(type_, kind, claims)
        for claim in claims:
            self._held[claim.job.id, claim.number] = work

    def _hold_on(self) -> "Future[frozenset[str]] | None":
        """Renew what is held when it is time, or ask what is lost of it when that is in doubt."""
        now, wall, often = self._waiter.monotonic(), self._waiter.time(), self._lease / 3
        # A wall clock that was set has brought the end of the leases nearer, or moved it far away.
        steady = self._renewed_at <= wall < self._renewed_at + often
        due = now >= self._renew_at or not steady
        if not (due or self._doubt):
            return None
        self._doubt = (
            False  # before it is asked: what is announced from here on is asked about once more
        )
        if due:
            self._renew_at, self._renewed_at = now + often, wall
        self._renewing = [
            claim
            for work in dict.fromkeys(self._held.values())
            for claim in work.claims
            if claim.job.id not in work.lost
        ]
        if not self._renewing:
            return None
        if not due:
            return self._store.lost(self._renewing)
        return self._store.renew(self._renewing, wall, self._lease)

    def _renewed(self, lost: frozenset[str]) -> None:
        # The store tells jobs, not claims. This worker may have taken a job anew, after its lease ran out or somebody
        # retried it: then the older claim is what is lost, and the newer is asked about without it the next time.
        oldest = {one.job.id: one for one in reversed(self._renewing) if one.job.id in lost}
        for claim in oldest.values():
            work = self._held.get((claim.job.id, claim.number))
            if work is not None:
                work.lose(claim.job.id)

    def _pause(self) -> float:
        if self._endings or self._look:
            return _SHORTEST_NAP
        pause = min(_LONGEST_NAP, self._renew_at - self._waiter.monotonic())
        if self._due_at is not None:
            pause = min(pause, self._due_at - self._waiter.time())
        return max(_SHORTEST_NAP, pause)

    async def _nap(self, seconds: float) -> None:
        # Last of all before the wait: a listener on another thread compares with it.
        self._asleep_until = self._waiter.time() + seconds
        try:
            await self._waiter.result(self._wake, seconds)
        except TimeoutError:
            self._look = True

    def _on_work(self, due: float) -> None:
        if due <= 0:
            self._doubt = True
        if due < self._asleep_until:
            self._rouse(look=True)

    def _rouse(self, *, look: bool = False) -> None:
        if look:
            self._look = True
        if (
            not self._wake.done()
        ):  # cheaper than to find out by trying, when a hundred jobs end at once
            fulfil(self._wake, None)

    def _bear(self, error: StoreError) -> None:
        """Go on in spite of *error* if it may pass; raise it otherwise."""
        if not error.passing:
            raise error
        if self.trouble is None:
            _log.warning("the job store is in trouble, trying on: %s", describe(error))
        self.trouble = error

    def _end(self, work: Work, outcomes: Mapping[str, Outcome]) -> None:
        now = self._waiter.time()
        drop_at = self._waiter.monotonic() + self._lease
        for claim in work.claims:
            if claim.job.id in work.lost:
                self._drop(work, claim)
            else:
                # What stands if the handler was cut short is that it is handed back.
                outcome = outcomes.get(claim.job.id) or HandBack()
                self._endings.append(_Ending(work, claim, outcome, now, drop_at))
        self._rouse(look=work.type in self._full)

    def _note_endings(
        self, endings: Sequence[_Ending], answers: tuple[JobError | None, ...]
    ) -> None:
        for ending, refusal in zip(endings, answers, strict=True):
            work, claim = ending.work, ending.claim
            if isinstance(refusal, ClaimLost):
                self._drop(work, claim)
            elif refusal is not None and ending.refused:  # so it will be refused each time
                self._forget([ending], refusal)
            elif refusal is not None:  # what was to be stored with it
                ending.outcome, ending.refused = self._crew.verdict(work, claim, refusal), True
                self._endings.append(ending)
            else:
                del self._held[claim.job.id, claim.number]
                if self._crew.heard:
                    self._tell_of_end(ending)

    def _keep(self, endings: Sequence[_Ending], error: StoreError) -> None:
        """The store could not take *endings*: keep them for the next turn, if that may help."""
        now = self._waiter.monotonic()
        for ending in endings:
            if error.passing and not self._finishing and now < ending.drop_at:
                self._endings.append(ending)
            else:
                self._forget([ending], error)

    def _forget(self, endings: Sequence[_Ending], error: Exception) -> None:
        """Let jobs go whose end cannot be stored; their leases end them."""
        for ending in endings:
            claim = ending.claim
            _log.warning(
                "the end of job %s was not stored, it will run again: %s",
                claim.job.id,
                describe(error),
                extra=facts(claim.job, self._waiter.monotonic() - ending.work.began),
            )
            self._held.pop((claim.job.id, claim.number), None)

    def _drop(self, work: Work, claim: Claim) -> None:
        del self._held[claim.job.id, claim.number]
        elapsed = self._waiter.monotonic() - work.began
        _log.info(
            "job %s is no longer ours; its result was dropped",
            claim.job.id,
            extra=facts(claim.job, elapsed),
        )
        self._crew.tell(JobEvent(what="lost", job=claim.job, elapsed=elapsed))

    def _tell_of_end(self, ending: _Ending) -> None:
        """Tell the hook how a job was stored."""
        outcome, job = ending.outcome, settle(ending.claim.job, _settlement(ending))
        what: What = _ENDS[type(outcome)]
        if isinstance(outcome, Retry) and job.status is JobStatus.FAILED:
            what = "failed"
        elapsed = self._waiter.monotonic() - ending.work.began
        self._crew.tell(JobEvent(what=what, job=job, elapsed=elapsed))


_ENDS: Final[Mapping[type[Outcome], What]] = {
    Done: "completed",
    GiveUp: "failed",
    Again: "again",
    Retry: "retrying",
    HandBack: "handed_back",
}


def _settlement(ending: _Ending) -> Settlement:
    return Settlement(claim=ending.claim, outcome=ending.outcome, at=ending.at)


def _pauses() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause
        pause = min(10.0, pause * 2)
