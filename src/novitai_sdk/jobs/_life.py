"""The life of a job, as a table and the pure functions that walk it.

::

    pending ──CLAIM──> processing ──DONE──────────────────> completed
       ^                 │  │  │
       └──AGAIN──────────┘  │  └────GIVE_UP, LAPSE, RETRY──> failed   (no attempt is left)
       └──RETRY, LAPSE──────┘                                  │
       └──HAND_BACK─────────┘                                  │
       └───────────────────────────RETRY (by a person)─────────┘

Both stores move jobs through these functions only, so a memory store and a file cannot disagree about
what an attempt costs.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import attrs

from ..models import Job, JobStatus
from ._errors import JobRefused, JobStateError

__all__ = ["NEXT", "Move", "moment", "when"]


class Move(Enum):
    """Something that happens to a job."""

    CLAIM = "claim"
    """A worker takes it; this counts the attempt."""
    DONE = "done"
    """Its handler finished it."""
    AGAIN = "again"
    """Its handler wants to look again later; attempts start anew."""
    RETRY = "retry"
    """An attempt failed and another is due later; or a person gives a failed job a new life."""
    GIVE_UP = "give up"
    """It failed for good."""
    LAPSE = "lapse"
    """Its worker died or fell silent; the attempt stays counted."""
    HAND_BACK = "hand back"
    """Its worker stops and gives it back; the attempt is not counted."""
    CANCEL = "cancel"
    """A person does not want it any more."""


# Failing is one state however it came about. A retry or a lapse with no attempt left is the move
# GIVE_UP by another name, so the table has one way to `failed` from the worker and the functions
# below choose between the two.
NEXT: Final[Mapping[JobStatus, Mapping[Move, JobStatus]]] = MappingProxyType(
    {
        JobStatus.PENDING: MappingProxyType(
            {
                Move.CLAIM: JobStatus.PROCESSING,
                Move.CANCEL: JobStatus.FAILED,
            }
        ),
        JobStatus.PROCESSING: MappingProxyType(
            {
                Move.DONE: JobStatus.COMPLETED,
                Move.AGAIN: JobStatus.PENDING,
                Move.RETRY: JobStatus.PENDING,
                Move.LAPSE: JobStatus.PENDING,
                Move.HAND_BACK: JobStatus.PENDING,
                Move.GIVE_UP: JobStatus.FAILED,
                Move.CANCEL: JobStatus.FAILED,
            }
        ),
        JobStatus.COMPLETED: MappingProxyType({}),
        JobStatus.FAILED: MappingProxyType({Move.RETRY: JobStatus.PENDING}),
    }
)
"""What each move leads to from each status; what is not there cannot happen."""

LIVE: Final = frozenset({JobStatus.PENDING, JobStatus.PROCESSING})
SETTLED: Final = frozenset({JobStatus.COMPLETED, JobStatus.FAILED})

# An error text is shown in lists and sent in webhooks: a megabyte of HTML helps nobody there.
LONGEST_ERROR: Final = 2000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


# Remembered, for what happens to a batch of jobs happens to all of them at the same time.
@lru_cache(maxsize=64)
def moment(seconds: float) -> datetime:
    """Return the aware datetime of *seconds* since 1970-01-01 UTC."""
    # Not fromtimestamp(): on Windows it fails for times a test may well use, such as the first day.
    return _EPOCH + timedelta(seconds=seconds)


def when(at: datetime) -> float:
    """Return the seconds since 1970-01-01 UTC of *at*."""
    return (at - _EPOCH).total_seconds()


def rounded(now: float) -> float:
    """Return *now* as a record would tell it, to the microsecond.

    Compared with anything finer, a job due now could seem to be due a moment later.
    """
    return when(moment(now))


def due(job: Job) -> float:
    """Return when a pending *job* may be taken, in epoch seconds."""
    return when(job.next_retry_at or job.created_at)


def admit(job: Job) -> Job:
    """Return *job* as a store takes it in; raise JobRefused with every reason if it must not."""
    if _in_order(job):
        return job
    problems = [
        problem
        for wrong, problem in (
            (not job.id, "it has no id"),
            (not str(job.type), "it has no type"),
            (job.status is not JobStatus.PENDING, f"it is {job.status}, not pending"),
            (job.attempts != 0, f"{job.attempts} attempts are counted already"),
            (job.max_attempts < 1, f"max_attempts is {job.max_attempts}, less than 1"),
            (not 1 <= job.priority <= 4, f"priority {job.priority} is not 1 to 4"),
            (job.created_at.tzinfo is None, "created_at has no time zone"),
            (
                job.next_retry_at is not None and job.next_retry_at.tzinfo is None,
                "next_retry_at has no time zone",
            ),
        )
        if wrong
    ]
    if problems:
        raise JobRefused(f"job {job.id!r} was not stored: " + "; ".join(problems))
    return attrs.evolve(
        job,
        created_at=job.created_at.astimezone(timezone.utc),
        next_retry_at=job.next_retry_at and job.next_retry_at.astimezone(timezone.utc),
        processed_at=None,
        completed_at=None,
        error=None,
        extra={},
    )


def _in_order(job: Job) -> bool:
    """Whether *job* is as `new_job` makes it, so that there is nothing to look for and nothing to change."""
    due_at = job.next_retry_at
    return (
        job.status is JobStatus.PENDING
        and job.created_at.tzinfo is timezone.utc
        and (due_at is None or due_at.tzinfo is timezone.utc)
        and not (job.attempts or job.processed_at or job.completed_at or job.error or job.extra)
        and job.max_attempts >= 1
        and 1 <= job.priority <= 4
        and bool(job.id and job.type)
    )


def claim(job: Job, now: float) -> Job:
    """A worker takes *job*: the attempt is counted now, so one that kills its worker is counted too."""
    return _moved(
        job,
        _after(job, Move.CLAIM),
        attempts=job.attempts + 1,
        processed_at=moment(now),
        error=job.error,
    )


def done(job: Job, now: float) -> Job:
    """The handler finished *job*."""
    return _moved(
        job,
        _after(job, Move.DONE),
        attempts=job.attempts,
        processed_at=job.processed_at,
        completed_at=moment(now),
        next_retry_at=job.next_retry_at,
    )


def again(job: Job, now: float, after: float) -> Job:
    """*job* goes on: look again *after* seconds, with all attempts before it."""
    return _moved(
        job,
        _after(job, Move.AGAIN),
        attempts=0,
        processed_at=job.processed_at,
        completed_at=job.completed_at,
        next_retry_at=moment(now + max(0.0, after)),
    )


def retry(job: Job, now: float, after: float, error: str) -> Job:
    """An attempt failed: the next is due *after* seconds, unless this was the last."""
    if job.attempts >= job.max_attempts:
        return give_up(job, now, error)
    return attrs.evolve(
        job,
        status=_after(job, Move.RETRY),
        next_retry_at=moment(now + max(0.0, after)),
        error=_short(error),
    )


def give_up(job: Job, now: float, error: str) -> Job:
    """*job* failed for good."""
    return _failed(job, Move.GIVE_UP, now, error)


def lapse(job: Job, now: float) -> Job:
    """The worker of *job* died or fell silent: it is due at once, unless that was the last attempt."""
    if job.attempts >= job.max_attempts:
        times = "once" if job.attempts == 1 else f"{job.attempts} times"
        last = f"; last error before: {job.error}" if job.error else ""
        return give_up(job, now, f"its worker died or fell silent {times}{last}")
    return attrs.evolve(job, status=_after(job, Move.LAPSE), next_retry_at=moment(now))


def hand_back(job: Job, now: float) -> Job:
    """The worker of *job* stops: it is due at once and the attempt is not counted."""
    return attrs.evolve(
        job,
        status=_after(job, Move.HAND_BACK),
        attempts=max(0, job.attempts - 1),
        next_retry_at=moment(now),
    )


def cancel(job: Job, now: float, reason: str) -> Job:
    """A person does not want *job* any more; it ends as failed with *reason*."""
    return _failed(job, Move.CANCEL, now, reason)


def revive(job: Job, now: float) -> Job:
    """A person gives a failed *job* a new life: due at once, all attempts before it."""
    if job.status is not JobStatus.FAILED:  # RETRY from `processing` belongs to the worker
        raise _impossible(job, Move.RETRY)
    return attrs.evolve(
        job,
        status=_after(job, Move.RETRY),
        attempts=0,
        completed_at=None,
        next_retry_at=moment(now),
    )


def _moved(
    job: Job,
    status: JobStatus,
    *,
    attempts: int,
    processed_at: datetime | None,
    completed_at: datetime | None = None,
    next_retry_at: datetime | None = None,
    error: str | None = None,
) -> Job:
    """What `attrs.evolve` would return; that looks up every field by its name, and takes five times as long."""
    return Job(
        id=job.id,
        type=job.type,
        payload=job.payload,
        status=status,
        priority=job.priority,
        attempts=attempts,
        max_attempts=job.max_attempts,
        created_at=job.created_at,
        processed_at=processed_at,
        completed_at=completed_at,
        next_retry_at=next_retry_at,
        error=error,
        extra=job.extra,
    )


def _after(job: Job, move: Move) -> JobStatus:
    try:
        return NEXT[job.status][move]
    except KeyError:
        raise _impossible(job, move) from None


def _impossible(job: Job, move: Move) -> JobStateError:
    moves = ", ".join(one.value for one in NEXT.get(job.status, {})) or "nothing"
    return JobStateError(
        f"job {job.id!r} is {job.status}: {move.value} is not possible there, only {moves}"
    )


def _failed(job: Job, move: Move, now: float, error: str) -> Job:
    return attrs.evolve(
        job,
        status=_after(job, move),
        completed_at=moment(now),
        next_retry_at=None,
        error=_short(error),
    )


def writable(text: str) -> str:
    """Return *text* without what no file and no log can hold: halves of characters, as in some names of files."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _short(error: str) -> str:
    error = writable(error)
    return error if len(error) <= LONGEST_ERROR else error[: LONGEST_ERROR - 1] + "…"
