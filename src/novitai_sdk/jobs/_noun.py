"""``client.jobs``: what the task runner does, and a hand on it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

import attrs

from .._calling import Mode, dual, dual_iter
from .._promise import Future
from .._waiting import Waiter
from ..models import Job, JobQueueStats, JobStatus, JobType
from ._checks import is_number, is_text, is_whole, timeout_problems
from ._enqueueing import GLANCE, OwnJobs
from ._errors import JobNotFound, JobWaitTimedOut
from ._kinds import Kinds
from ._life import SETTLED, is_moment
from ._listing import JobOrder, JobPage, JobQuery, JobWalk
from ._retention import ENDED
from ._store import Store

__all__ = ["Jobs", "QueueHealth"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class QueueHealth:
    """How the queue is doing.

    Attributes:
        depth: Jobs that are due and not taken.
        oldest_due_age: Seconds since the oldest of them fell due; 0 when there is none.
        running: Whether this process works on jobs, or could start to.
    """

    depth: int
    oldest_due_age: float
    running: bool


def _fine() -> None:
    """Nothing has failed."""


class Jobs(OwnJobs[Mode]):
    """Jobs of this client's store.

    Args:
        store: Where the jobs are, or what finds it when it is first needed.
        waiter: How to wait.
        check: Raises when the runner of this process has died.
        started: Called when there is work, so that somebody does it.
        kinds: The types of jobs the program defines.
    """

    __slots__ = ()

    def __init__(
        self,
        store: Store | Callable[[], Store],
        waiter: Waiter[Mode],
        *,
        check: Callable[[], None] = _fine,
        started: Callable[[], None] = _fine,
        kinds: Kinds | None = None,
    ) -> None:
        super().__init__(store, waiter, check=check, started=started, kinds=kinds or Kinds())

    @dual
    async def get(self, job_id: str) -> Job:
        """Return a job as it is now.

        Raises:
            JobNotFound: There is none of that id.
            StoreError: The store is in trouble.
        """
        return await self._get(job_id)

    @dual
    async def list(
        self,
        *,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        type: JobType | str | Iterable[JobType | str] | None = None,
        key: str | None = None,
        created_since: datetime | None = None,
        created_until: datetime | None = None,
        ended_since: datetime | None = None,
        ended_until: datetime | None = None,
        order: JobOrder = "priority",
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[Job, ...]:
        """Return jobs, highest priority first and then oldest, unless *order* says otherwise.

        Args:
            status: Only jobs of this status, or of one of these; an empty list finds none.
            type: Only jobs of this type, or of one of these; an empty list finds none.
            key: Only jobs that were stored with this key.
            created_since: Only jobs created then or later.
            created_until: Only jobs created before then.
            ended_since: Only jobs that ended then or later.
            ended_until: Only jobs that ended before then.
            order: ``priority``, or ``oldest`` or ``newest`` first, which is cheaper where there are many.
            limit: At most so many; 0 for all.
            offset: Leave out so many first. To see all, :meth:`iterate`: jobs that come and go move what stands where.

        Raises:
            ValueError: Not a status or an order, a time without a time zone, a limit or an offset below 0, a text that
                no store can hold; all of it is named.
            StoreError: The store is in trouble.
        """
        query = JobQuery(
            status=status,
            type=type,
            key=key,
            created_since=created_since,
            created_until=created_until,
            ended_since=ended_since,
            ended_until=ended_until,
            order=order,
            limit=limit,
            offset=offset,
        )
        return await self._answer(self._store.jobs(query))

    @dual
    async def list_page(self, query: JobQuery) -> JobPage:
        """Return some jobs and where to go on, for whoever hands pages to somebody else.

        Raises:
            TypeError: It is no `JobQuery`.
            StoreError: The store is in trouble.
        """
        _check_query(query)
        return await self._answer(self._store.page(query))

    @dual_iter
    def iterate(
        self,
        *,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        type: JobType | str | Iterable[JobType | str] | None = None,
        key: str | None = None,
        created_since: datetime | None = None,
        created_until: datetime | None = None,
        ended_since: datetime | None = None,
        ended_until: datetime | None = None,
        order: JobOrder = "oldest",
        page_size: int = 500,
    ) -> JobWalk:
        """Yield all jobs that match, oldest first, reading *page_size* at a time from the store.

        A job that is there and matches all the while comes once, whatever comes or goes meanwhile. The other arguments
        are those of :meth:`list`, and so is what is raised; whoever goes on after an error asks for the same
        page again.
        """
        problems: list[str] = []
        if not is_whole(page_size, 1):
            problems.append(f"page_size is {page_size!r}: 1 or more is expected")
        try:
            query = JobQuery(
                status=status,
                type=type,
                key=key,
                created_since=created_since,
                created_until=created_until,
                ended_since=ended_since,
                ended_until=ended_until,
                order=order,
                limit=1 if problems else page_size,
            )
        except ValueError as error:
            raise ValueError("; ".join([*problems, str(error)])) from None
        _refuse(problems)
        return JobWalk(lambda page: self._answer(self._store.page(page)), query)

    @dual
    async def stats(self) -> JobQueueStats:
        """Return how many jobs there are, by status and by type, how many are due, and how many ended lately.

        Raises:
            StoreError: The store is in trouble.
        """
        return await self._answer(self._store.stats(self._waiter.time()))

    @dual
    async def health(self) -> QueueHealth:
        """Return how long the queue is and whether it moves.

        Raises:
            StoreError: The store is in trouble.
        """
        now = self._waiter.time()
        backlog = await self._answer(self._store.backlog(now))
        age = 0.0 if backlog.oldest_due is None else max(0.0, now - backlog.oldest_due)
        return QueueHealth(depth=backlog.depth, oldest_due_age=age, running=self._runs())

    @dual
    async def wait(self, job_id: str, timeout: float | None = 3600.0) -> Job:
        """Wait until a job has completed or failed, and return it; look at its ``status``.

        Args:
            job_id: The job.
            timeout: Seconds to wait at most; 0 to have a look only, None for as long as it takes.

        Raises:
            ValueError: The timeout is no number.
            RuntimeError: It is called in a coroutine that a plain client runs as a job, whose loop it would hold up.
            JobNotFound: There is none of that id.
            RunnerFailed: The runner of this process died.
            StoreError: The store is in trouble.
            JobWaitTimedOut: It has not ended in time; it goes on. It is a TimeoutError too.
        """
        _refuse(timeout_problems(timeout))
        _check_id(job_id)
        self._check_outside("wait()")
        until = None if timeout is None else self._waiter.monotonic() + timeout
        while True:
            self._check()
            left = GLANCE if until is None else until - self._waiter.monotonic()
            with suppress(TimeoutError):
                return await self._waiter.result(
                    self._store.settled(job_id), max(0.0, min(GLANCE, left))
                )
            if timeout is None or left > GLANCE:
                continue
            # It may have ended at the last moment, or been asked about with no time for an answer.
            job = await self._get(job_id)
            if job.status in SETTLED:
                return job
            raise JobWaitTimedOut(job, timeout)

    @dual
    async def retry(self, job_id: str) -> Job:
        """Give a failed job a new life, due at once and with all its attempts.

        Raises:
            JobNotFound: There is none of that id.
            JobStateError: It has not failed, or another job does its work already.
            RunnerFailed: The runner of this process died, or could not be started; the job stays as it is.
            ClientClosed: The client is closed; the job stays as it is.
            StoreError: The store is in trouble.
        """
        _check_id(job_id)
        # Before it is retried: an error after that would say of a job that waits that it does not.
        self._check()
        self._started()
        return await self._answer(self._store.retry(job_id, self._waiter.time()))

    @dual
    async def cancel(self, job_id: str, reason: str = "cancelled") -> Job:
        """End a job that is pending or being worked on; it ends as failed with *reason*.

        What its handler has done already stays done: cancelling the job that creates an instance does
        not delete the instance. A handler at work is stopped within a moment, in another process within about a second.

        Raises:
            ValueError: The reason is not a text that can be stored.
            JobNotFound: There is none of that id.
            JobStateError: It has ended already.
            StoreError: The store is in trouble.
        """
        if not is_text(reason):
            raise ValueError(f"reason is {reason!r}: a text that can be stored is expected")
        _check_id(job_id)
        return await self._answer(self._store.cancel(job_id, self._waiter.time(), reason))

    @dual
    async def purge(self, *, older_than: float, status: JobStatus | str | None = None) -> int:
        """Remove jobs that ended more than *older_than* seconds ago, and return how many there were.

        The store does so by itself, as its `Retention` says; what waits or is worked on always stays.

        Args:
            older_than: Seconds since they ended; 0 for all.
            status: Only ``completed`` or only ``failed`` ones.

        Raises:
            ValueError: A time below 0 or beyond the calendar, or a status of jobs that have not ended; both are named.
            StoreError: The store is in trouble; what was removed until then stays removed.
        """
        now = self._waiter.time()
        _refuse(_purge_problems(older_than, status, now))
        before = now - older_than
        of_status = None if status is None else JobStatus(status)
        removed = 0
        # In steps, since nobody else can write meanwhile.
        while gone := await self._answer(self._store.purge(before, of_status)):
            removed += gone
        return removed

    async def _get(self, job_id: str) -> Job:
        _check_id(job_id)
        job = await self._answer(self._store.job(job_id))
        if job is None:
            raise JobNotFound(job_id)
        return job

    async def _answer(self, future: "Future[T]") -> T:
        return await self._waiter.result(future)

    def _runs(self) -> bool:
        try:
            self._check()
        except Exception:  # noqa: BLE001 - health answers; the next wait raises it
            return False
        return True


def _check_id(job_id: str) -> None:
    # No job has such an id, and a file could not even be asked for it.
    if not is_text(job_id):
        raise JobNotFound(job_id)


def _check_query(query: object) -> None:
    if not isinstance(query, JobQuery):
        raise TypeError(f"a JobQuery is expected, not {query!r}")


def _purge_problems(older_than: object, status: object, now: float) -> Iterator[str]:
    if not (is_number(older_than) and older_than >= 0 and is_moment(now - older_than)):
        yield f"older_than is {older_than!r}: 0 or more seconds are expected, not before the year 1"
    if status is not None and status not in ENDED:
        yield f"status is {status}: only completed and failed jobs can be removed"


def _refuse(problems: Iterable[str]) -> None:
    told = "; ".join(problems)
    if told:
        raise ValueError(told)
