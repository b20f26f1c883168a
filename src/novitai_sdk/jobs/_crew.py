"""The handlers at work: one call each, side by side where they wait for anything."""

import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from typing import Final

import anyio
import anyio.abc
import attrs
from anyio.lowlevel import checkpoint

from .._calling import Async
from .._job_event import JobEvent, OnJob
from .._loops import loop_time
from .._waiting import Waiter
from ..models import Job
from ._errors import ClaimLost
from ._handling import SILENT, Handler, JobContext, Together, checked, describe, facts
from ._mishaps import exits, goes_on, may_be_ctrl_c, no_error
from ._schedule import Backoff, JobRetryPolicy
from ._store import Claim, Outcome, Retry, Store
from ._watching import listens

__all__ = ["Crew", "Kind", "Work"]

_log = logging.getLogger("novitai_sdk")

# Jobs that wait for nothing, one after the other: then others get a turn, and what ended goes to the store while the
# rest is done.
_AT_A_STRETCH: Final = 32

# Deadlines so near to each other, in seconds, are taken for the same: each costs a timer.
_ALIKE: Final = 0.001


@attrs.frozen
class Kind:
    """How jobs of one type are run."""

    handler: "Handler | Together"
    slots: int
    policy: JobRetryPolicy
    time_limit: float

    def free(self, busy: int) -> int:
        """Jobs that may be taken while *busy* calls of the handler are under way."""
        if isinstance(self.handler, Together):
            return self.handler.most if busy < self.handler.calls else 0
        return max(0, self.slots - busy)


@attrs.define(eq=False)
class Work:
    """One call of a handler."""

    type: str
    kind: Kind
    claims: Sequence[Claim]
    began: float
    lost: set[str] = attrs.Factory(set[str])  # jobs that belong to somebody else by now
    scope: anyio.CancelScope | None = None  # while it is under way
    cut: bool = False  # ended from here, and not by its time limit

    def lose(self, job_id: str) -> None:
        self.lost.add(job_id)
        if len(self.lost) == len(self.claims):
            self.cancel()

    def cancel(self) -> None:
        self.cut = True
        if self.scope is not None:
            self.scope.cancel()


@attrs.define(eq=False)
class _Lane:
    """A task that makes one call after the other.

    There is one scope for all of them, whose deadline moves on: to enter one costs more than the rest of a short job.
    """

    scope: anyio.CancelScope = attrs.Factory(anyio.CancelScope)
    time: Callable[[], float] = attrs.Factory(loop_time)
    work: Work | None = None  # what it is at

    def set_out(self, work: Work) -> None:
        """Begin with *work*, within its time limit."""
        self.work, work.scope = work, self.scope
        ends = self.time() + work.kind.time_limit
        if not 0 <= ends - self.scope.deadline < _ALIKE:
            self.scope.deadline = ends
        if work.cut:
            self.scope.cancel()

    async def give_way(self) -> None:
        """Let others have a turn."""
        self.scope.deadline = math.inf
        await checkpoint()


class Crew:
    """Calls handlers for claims, each within its time limit, and turns what becomes of them into outcomes.

    Args:
        store: Given to the handlers.
        waiter: How to wait and what time it is.
        on_job: Told of every attempt that begins.
        ended: Called at the end of each call, with how each attempt ended; a job that is not named was not worked on to
            an end.
    """

    def __init__(
        self,
        store: Store,
        waiter: Waiter[Async],
        on_job: OnJob | None,
        ended: Callable[[Work, Mapping[str, Outcome]], object],
    ) -> None:
        self.busy: Counter[str] = Counter()
        self.exits = 0  # attempts that failed of what may end a loop
        self._store = store
        self._waiter = waiter
        self._on_job = on_job
        self._ended = ended
        self._todo: deque[Work] = deque()
        self._lane_comes = False
        self._idle: anyio.Event | None = None  # what a lane without work waits for
        self._leaving = False
        self._hook_failed = False

    def begin(self, type_: str, kind: Kind, claims: Sequence[Claim]) -> Work:
        """Have *claims* worked on by one call, as soon as `go` is called."""
        work = Work(type_, kind, claims, self._waiter.monotonic())
        # Counted here and not in the task: the next look must not take more than there are slots.
        self.busy[type_] += 1
        self._todo.append(work)
        return work

    def leave(self) -> None:
        """Give up what was not begun yet, and let the lane without work go."""
        self._leaving = True
        self._rouse()
        while self._todo:
            self._end(self._todo.popleft(), {})

    @property
    def at_work(self) -> bool:
        """Whether any call is under way or about to be."""
        return any(self.busy.values())

    @property
    def ready(self) -> bool:
        """Whether `go` starts no task: then it may be called where none can be started, as in a call of the loop."""
        return self._lane_comes or self._idle is not None

    def go(self, tasks: anyio.abc.TaskGroup) -> None:
        """Begin with what is to be done."""
        if self._todo and not self._lane_comes:
            self._lane_comes = True
            if not self._rouse():
                tasks.start_soon(self._lane, tasks, name="novitai-jobs")

    def _rouse(self) -> bool:
        idle, self._idle = self._idle, None
        if idle is None:
            return False
        idle.set()
        return True

    async def _lane(self, tasks: anyio.abc.TaskGroup) -> None:
        """Do one thing after the other, while a further lane stands by.

        It comes to run as soon as a handler waits for anything. So handlers that wait run side by side, and those that
        do not wait cost no task each, which is most of what a short job costs. One lane stays when there is nothing to
        do: it begins a turn of the loop earlier than a new task would.
        """
        as_it_was = True
        while as_it_was:
            self._lane_comes = False
            as_it_was = await self._stretch(tasks)
            if as_it_was and not await self._wait_for_work():
                return
        self.go(tasks)

    async def _wait_for_work(self) -> bool:
        """Wait until there is work; answer with False where this lane is not needed for that."""
        if self._todo:
            return not self._lane_comes
        if self._idle is not None or self._leaving:
            return False
        self._idle = idle = anyio.Event()
        try:
            await idle.wait()
        finally:
            if self._idle is idle:  # cancelled: it must not be taken for one that waits
                self._idle = None
        return not self._leaving

    async def _stretch(self, tasks: anyio.abc.TaskGroup) -> bool:
        """Work until there is nothing to do; answer whether the task is as it was."""
        lane = _Lane()
        outcomes: Mapping[str, Outcome] = {}
        as_it_was = False
        try:
            with lane.scope:
                as_it_was = await self._one_after_the_other(lane, tasks)
            if lane.work is not None and not lane.work.cut:
                limit = lane.work.kind.time_limit
                error = TimeoutError(f"no outcome within {limit:g} seconds")
                outcomes = self._failed(lane.work, error)
        finally:
            if lane.work is not None:
                self._end(lane.work, outcomes)
        return as_it_was

    async def _one_after_the_other(self, lane: "_Lane", tasks: anyio.abc.TaskGroup) -> bool:
        done = 0
        while self._todo:
            work = self._todo.popleft()
            self.go(tasks)
            before = copy_context()
            # First: whatever happens from here on, the work is at an end when the lane is.
            lane.set_out(work)
            for claim in work.claims if self.heard else ():
                self.tell(JobEvent(what="claimed", job=claim.job))
            try:
                outcomes = await self._attempt(work)
            except BaseException as error:
                if may_be_ctrl_c(error):
                    # It goes on; but the attempt counts, or a handler that raises such a thing itself would be begun
                    # again for ever.
                    lane.work = None
                    self._end(work, self._failed(work, no_error(error)))
                raise
            lane.work = None
            self._end(work, outcomes)
            # What a handler leaves in its task must not be found by the next one.
            if lane.scope.cancel_called or copy_context() != before:
                return False
            done += 1
            if done % _AT_A_STRETCH == 0:
                await lane.give_way()
        return True

    async def _attempt(self, work: Work) -> Mapping[str, Outcome]:
        handler = work.kind.handler
        try:
            if not isinstance(handler, Together):
                (claim,) = work.claims
                return {claim.job.id: checked(await handler(claim.job, self._context(claim)))}
            contexts = [self._context(claim) for claim in work.claims]
            answers = await handler.handle(contexts)
            return {
                claim.job.id: self._end_of(work, claim, answers.get(claim.job.id, SILENT))
                for claim in work.claims
                if not self._is_lost(work, answers.get(claim.job.id))
            }
        except ClaimLost as error:
            work.lost.add(error.job_id)
            return self._failed(work, error)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a failed attempt
            return self._failed(work, error)
        except BaseException as error:
            if goes_on(error):
                raise
            # One job ends neither the program nor the others.
            self.exits += exits(error)
            return self._failed(work, no_error(error))

    def _end_of(self, work: Work, claim: Claim, answer: object) -> Outcome:
        if isinstance(answer, Exception):
            return self.verdict(work, claim, answer)
        return checked(answer)

    def _is_lost(self, work: Work, answer: object) -> bool:
        if isinstance(answer, ClaimLost):
            work.lost.add(answer.job_id)
            return True
        return False

    def _context(self, claim: Claim) -> JobContext:
        return JobContext(claim=claim, waiter=self._waiter, store=self._store)

    def _failed(self, work: Work, error: Exception) -> dict[str, Outcome]:
        return {
            claim.job.id: self.verdict(work, claim, error)
            for claim in work.claims
            if claim.job.id not in work.lost
        }

    def verdict(self, work: Work, claim: Claim, error: Exception) -> Retry:
        """What follows from *error*. It does not raise."""
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
            extra=facts(job, self._waiter.monotonic() - work.began),
        )
        return Retry(error=text, after=_wait_after(work.kind.policy, job))

    def _end(self, work: Work, outcomes: Mapping[str, Outcome]) -> None:
        work.scope = None
        self.busy[work.type] -= 1
        self._ended(work, outcomes)

    @property
    def heard(self) -> bool:
        """Whether anybody listens; if not, there is no need to work out what to tell."""
        return self._on_job is not None and listens(self._on_job)

    def tell(self, event: JobEvent) -> None:
        """Tell the hook, whose mistakes are not the job's."""
        if self._on_job is None:
            return
        try:
            self._on_job(event)
        except BaseException as error:
            if goes_on(error):
                raise
            # Once: a hook that fails would otherwise fill the log with every job.
            if not self._hook_failed:
                _log.exception("on_job failed; its further failures are not logged")
            self._hook_failed = True


def _wait_after(policy: JobRetryPolicy, job: Job) -> float:
    try:
        wait = float(policy.wait_after(job.attempts))
    except BaseException as error:
        # Of a policy of the program's own: its mistake must not end all jobs.
        if goes_on(error):
            raise
        _log.exception(
            "the retry policy of %s jobs failed; Backoff() is used in its place", job.type
        )
    else:
        if -math.inf < wait < math.inf:
            return wait
        _log.error(
            "the retry policy of %s jobs says %s; Backoff() is used in its place", job.type, wait
        )
    return Backoff().wait_after(job.attempts)
