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

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import attrs

from ..models import Job, JobPriority, JobStatus, JobType
from ._checks import MOST, attempts_problems, is_text, key_problems, priority_problems
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
    """Return the aware datetime of *seconds* since 1970-01-01 UTC. Raises ValueError outside the years 1 to 9999."""
    try:
        # Not fromtimestamp(): on Windows it fails for times a test may well use, such as the first day.
        return _EPOCH + timedelta(seconds=seconds)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{seconds} seconds since 1970 is no time of the years 1 to 9999"
        ) from error


def when(at: datetime) -> float:
    """Return the seconds since 1970-01-01 UTC of *at*."""
    return (at - _EPOCH).total_seconds()


FIRST: Final = when(datetime.min.replace(tzinfo=timezone.utc))
END: Final = when(datetime.max.replace(tzinfo=timezone.utc))


def is_moment(seconds: float) -> bool:
    """Whether *seconds* since 1970-01-01 UTC is a time of the years 1 to 9999."""
    return FIRST <= seconds < END


def rounded(now: float) -> float:
    """Return *now* as a record would tell it, to the microsecond.

    Compared with anything finer, a job due now could seem to be due a moment later.
    """
    return when(moment(now))


def due(job: Job) -> float:
    """Return when a pending *job* may be taken, in epoch seconds."""
    return when(job.next_retry_at or job.created_at)


def admit(job: Job, key: str | None = None) -> Job:
    """Return *job* as a store takes it in, with *key*; raise JobRefused with every reason if it must not."""
    if _in_order(job, key):
        return job
    problems = list(_problems(job, key))
    if problems:
        raise JobRefused(f"job {job.id!r} was not stored: " + "; ".join(problems))
    return attrs.evolve(
        job,
        type=JobType(job.type),
        status=JobStatus.PENDING,
        priority=JobPriority(job.priority),
        created_at=job.created_at.astimezone(timezone.utc),
        next_retry_at=job.next_retry_at and job.next_retry_at.astimezone(timezone.utc),
        processed_at=None,
        completed_at=None,
        error=None,
        extra={},
    )


def _problems(job: Job, key: str | None) -> Iterator[str]:
    yield from _name_problems("id", job.id)
    yield from _name_problems("type", job.type)
    if job.status != JobStatus.PENDING:
        yield f"it is {job.status}, not pending"
    if job.attempts != 0:
        yield f"{job.attempts} attempts are counted already"
    yield from attempts_problems(job.max_attempts)
    yield from priority_problems(job.priority)
    yield from _time_problems("created_at", job.created_at)
    if job.next_retry_at is not None:
        yield from _time_problems("next_retry_at", job.next_retry_at)
    yield from key_problems(key)


def _name_problems(what: str, name: object) -> Iterator[str]:
    if name is None or name == "":
        yield f"it has no {what}"
    elif not is_text(name):
        yield f"its {what} {name!r} is not a text that can be stored"


def _time_problems(what: str, at: object) -> Iterator[str]:
    if not isinstance(at, datetime):
        yield f"{what} is {at!r}, not a time"
    elif at.utcoffset() is None:
        yield f"{what} has no time zone"
    elif not is_moment(when(at)):
        yield f"{what} is {at}, which is none of the years 1 to 9999 in UTC"


def _in_order(job: Job, key: str | None) -> bool:
    """Whether *job* is as `new_job` makes it, so that there is nothing to look for and nothing to change."""
    id_, type_, most, due_at = job.id, job.type, job.max_attempts, job.next_retry_at
    try:
        return (
            job.status is JobStatus.PENDING
            and job.created_at.tzinfo is timezone.utc
            and (due_at is None or due_at.tzinfo is timezone.utc)
            and not (job.attempts or job.processed_at or job.completed_at or job.error or job.extra)
            and type(most) is int
            and 1 <= most <= MOST
            and type(job.priority) is JobPriority
            and 1 <= job.priority <= 4
            and type(type_) is JobType
            and type(id_) is str
            and bool(id_ and type_)
            and id_.isascii()
            and type_.isascii()
            and (key is None or (type(key) is str and key.isascii()))
        )
    except AttributeError:  # a time that is none
        return False


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


def hand_back(job: Job, now: float, after: float = 0.0) -> Job:
    """The worker of *job* did nothing: it is due *after* seconds and the attempt is not counted."""
    return attrs.evolve(
        job,
        status=_after(job, Move.HAND_BACK),
        attempts=max(0, job.attempts - 1),
        next_retry_at=moment(now + max(0.0, after)),
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
    moves = ", ".join(one.value for one in NEXT.get(job.status, {}))
    instead = f"only {moves}" if moves else "and nothing else is"
    return JobStateError(
        f"job {job.id!r} is {job.status}: {move.value} is not possible there, {instead}"
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
