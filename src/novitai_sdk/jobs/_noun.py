"""``client.jobs``: what the task runner does, and a hand on it."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import attrs

from .._calling import Mode, dual
from .._waiting import Waiter
from ..models import Job, JobQueueStats, JobStatus, JobType
from ._enqueueing import GLANCE, OwnJobs
from ._errors import JobNotFound
from ._kinds import Kinds
from ._store import JobQuery, Store

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
        status: JobStatus | str | None = None,
        type: JobType | str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[Job, ...]:
        """Return jobs, highest priority first and then oldest.

        Args:
            status: Only jobs of this status.
            type: Only jobs of this type.
            limit: At most so many; 0 for all.
            offset: Leave out so many first.

        Raises:
            ValueError: A limit or an offset below 0.
            StoreError: The store is in trouble.
        """
        if limit < 0 or offset < 0:
            raise ValueError(f"limit is {limit}, offset is {offset}: neither may be below 0")
        query = JobQuery(
            status=None if status is None else JobStatus(status),
            type=None if type is None else str(type),
            limit=limit,
            offset=offset,
        )
        return await self._answer(self._store.jobs(query))

    @dual
    async def stats(self) -> JobQueueStats:
        """Return how many jobs there are, by status and by type.

        Raises:
            StoreError: The store is in trouble.
        """
        return await self._answer(self._store.stats())

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
            timeout: Seconds to wait at most; None for as long as it takes.

        Raises:
            JobNotFound: There is none of that id.
            RunnerFailed: The runner of this process died.
            StoreError: The store is in trouble.
            TimeoutError: It has not ended in time; it goes on.
        """
        until = None if timeout is None else self._waiter.monotonic() + timeout
        while True:
            self._check()
            left = GLANCE if until is None else until - self._waiter.monotonic()
            try:
                return await self._waiter.result(
                    self._store.settled(job_id), max(0.0, min(GLANCE, left))
                )
            except TimeoutError:
                if left > GLANCE or until is None:
                    continue
                job = await self._get(job_id)
                raise TimeoutError(
                    f"job {job_id!r} ({job.type}) is {job.status} after {timeout:g} seconds"
                    + (f"; last error: {job.error}" if job.error else "")
                ) from None

    @dual
    async def retry(self, job_id: str) -> Job:
        """Give a failed job a new life, due at once and with all its attempts.

        Raises:
            JobNotFound: There is none of that id.
            JobStateError: It has not failed, or another job does its work already.
            StoreError: The store is in trouble.
        """
        job = await self._answer(self._store.retry(job_id, self._waiter.time()))
        self._started()
        return job

    @dual
    async def cancel(self, job_id: str, reason: str = "cancelled") -> Job:
        """End a job that is pending or being worked on; it ends as failed with *reason*.

        What its handler has done already stays done: cancelling the job that creates an instance does
        not delete the instance. A handler at work is stopped when its lease is next renewed.

        Raises:
            JobNotFound: There is none of that id.
            JobStateError: It has ended already.
            StoreError: The store is in trouble.
        """
        return await self._answer(self._store.cancel(job_id, self._waiter.time(), reason))

    @dual
    async def purge(self, *, older_than: float, status: JobStatus | str | None = None) -> int:
        """Remove jobs that ended more than *older_than* seconds ago, and return how many there were.

        The store does so by itself, as its `Retention` says; what waits or is worked on always stays.

        Args:
            older_than: Seconds since they ended; 0 for all.
            status: Only ``completed`` or only ``failed`` ones.

        Raises:
            ValueError: A time below 0, or a status of jobs that have not ended.
            StoreError: The store is in trouble; what was removed until then stays removed.
        """
        if not older_than >= 0:
            raise ValueError(f"older_than is {older_than}: 0 or more seconds are expected")
        before = self._waiter.time() - older_than
        of_status = None if status is None else JobStatus(status)
        removed = 0
        # In steps, since nobody else can write meanwhile.
        while gone := await self._answer(self._store.purge(before, of_status)):
            removed += gone
        return removed

    async def _get(self, job_id: str) -> Job:
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
