"""The port every store of jobs implements, and the values that go through it.

A store keeps two things: jobs, and versioned documents (*records*) that jobs are about. What belongs
together goes through :meth:`Store.commit` as one :class:`Change`, all of it or nothing: a job's end,
the new state of its instance, and the webhook that tells of it are never one without the other.

Every method answers with a :class:`Future`, because stores work in threads of
their own: a plain client blocks on it, an awaiting one suspends, and neither waits for a disk flush
on an event loop. A store tells no time: whoever calls says what time it is, so a test can.
"""

import json
import os
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

import attrs

from .._promise import Future
from ..models import Job, JobPriority, JobQueueStats, JobStatus, JobThroughput, JobType
from ..models._base import Json, JsonObject
from . import _life
from ._checks import is_number
from ._errors import JobError, JobRefused, JobStateError
from ._listing import JobPage, JobQuery
from ._retention import STEP

__all__ = [
    "Again",
    "Backlog",
    "Batch",
    "Change",
    "Claim",
    "Done",
    "GiveUp",
    "HandBack",
    "NewJob",
    "Offer",
    "Outcome",
    "Record",
    "Retry",
    "Settlement",
    "Store",
    "Write",
    "job_id",
    "new_job",
]


MINUTES: Final = (1, 5, 60)
"""Over how long the jobs that ended are counted."""

_SIGNS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = tuple(first + second for first in _SIGNS for second in _SIGNS)


@attrs.frozen(kw_only=True)
class Record:
    """A document in a store.

    Attributes:
        kind: What it is, such as ``instance``.
        key: Which one.
        version: Grows with each write; never used twice for the same key, not even after a deletion.
        body: Its content; empty where that cannot be read.
        wrong: Why it cannot be read, or None.
    """

    kind: str
    key: str
    version: int
    body: JsonObject = attrs.field(repr=False)  # may hold env values and passwords
    wrong: str | None = None


@attrs.frozen(kw_only=True)
class Write:
    """A record to write, or to delete.

    Attributes:
        kind: What it is, such as ``instance``.
        key: Which one.
        body: The new content; None deletes.
        expected: The version the writer has seen; 0 when there must be none; None to write over
            whatever is there.
    """

    kind: str
    key: str
    body: JsonObject | None = attrs.field(repr=False)
    expected: int | None = None


@attrs.frozen(kw_only=True)
class NewJob:
    """A job to store.

    Attributes:
        job: The job, pending. Its ``next_retry_at`` says when it is due; without one it is due as soon
            as it was created.
        key: At most one pending or processing job of a key exists: while there is one, a further
            :class:`NewJob` of that key is dropped without a word.
    """

    job: Job
    key: str | None = None


@attrs.frozen(kw_only=True)
class Claim:
    """The right to work on a job, until its lease ends.

    Attributes:
        job: The job as it was claimed, this attempt counted.
        owner: Whose claim it is.
        number: The how-manieth claim of this job; a later claim makes this one void.
        due: Epoch seconds since when it had been due.
    """

    job: Job
    owner: str
    number: int
    due: float = attrs.field(default=0.0, eq=False)


@attrs.frozen(kw_only=True)
class Done:
    """The job is finished; what follows from it is stored with that."""

    writes: tuple[Write, ...] = ()
    jobs: tuple[NewJob, ...] = ()


@attrs.frozen(kw_only=True)
class Again:
    """The job is not finished: look again *after* seconds. That costs no attempt.

    The attempts start anew, so a job that looks a thousand times may still fail twice in a row.

    Attributes:
        after: Seconds from now.
        due: Epoch seconds, instead of *after*: jobs that name the same moment are taken together then.
        writes: Records to write with it.
        jobs: Jobs to add with it.
    """

    after: float = 0.0
    due: float | None = None
    writes: tuple[Write, ...] = ()
    jobs: tuple[NewJob, ...] = ()


@attrs.frozen(kw_only=True)
class GiveUp:
    """The job failed for good, whatever attempts are left."""

    error: str
    writes: tuple[Write, ...] = ()
    jobs: tuple[NewJob, ...] = ()


@attrs.frozen(kw_only=True)
class Retry:
    """This attempt failed; the next is due *after* seconds. Without an attempt left, the job failed.

    Made by the runner from an exception; a handler returns one itself when it knows better how long to
    wait, as with ``Retry-After``.
    """

    error: str
    after: float


@attrs.frozen(kw_only=True)
class HandBack:
    """Nothing was done: the attempt is not counted, and the job is due *after* seconds, with the error it had.

    Made by the runner when the worker stops; a handler returns one when it is not the time for the job.
    """

    after: float = 0.0


Outcome: TypeAlias = Done | Again | GiveUp | Retry | HandBack
"""How an attempt ended."""


@attrs.frozen(kw_only=True)
class Settlement:
    """The end of an attempt.

    Attributes:
        claim: Whose attempt; the settlement is refused when that claim is no longer held.
        outcome: How it ended.
        at: When, in epoch seconds.
    """

    claim: Claim
    outcome: Outcome
    at: float


@attrs.frozen(kw_only=True)
class Change:
    """What is stored together: all of it or nothing.

    Attributes:
        writes: Records to write, in this order.
        jobs: Jobs to add, after the settlement, so that a follow-up may take over its key.
        settle: The end of an attempt.
        held: A claim that must still be held, for a change in the middle of an attempt.
    """

    writes: tuple[Write, ...] = ()
    jobs: tuple[NewJob, ...] = ()
    settle: Settlement | None = None
    held: Claim | None = None

    def all_writes(self) -> tuple[Write, ...]:
        """Its own writes and those of the outcome."""
        return self.writes + told_with(self.settle)[0]

    def all_jobs(self) -> tuple[NewJob, ...]:
        """Its own jobs and those of the outcome."""
        return self.jobs + told_with(self.settle)[1]


def told_with(settlement: Settlement | None) -> tuple[tuple[Write, ...], tuple[NewJob, ...]]:
    """What is stored together with the end of an attempt."""
    outcome = settlement.outcome if settlement is not None else None
    return (outcome.writes, outcome.jobs) if isinstance(outcome, _TELLING) else ((), ())


_TELLING: Final = (Done, Again, GiveUp)


def _no_slots() -> dict[str, int]:
    return {}


@attrs.frozen(kw_only=True)
class Batch:
    """What a look for work found.

    Attributes:
        claims: The jobs taken, in order.
        next_due: Epoch seconds when it is worth looking again if nothing is announced before: a job
            for a slot that is still free falls due, or a lease ends. None when nothing is in sight.
        offered: Slots by type that stay on offer.
    """

    claims: tuple[Claim, ...]
    next_due: float | None
    offered: Mapping[str, int] = attrs.field(factory=_no_slots)


@attrs.frozen(kw_only=True, eq=False)
class Offer:
    """Slots that stay free take a job in the very change that stores it, so that nobody has to be woken to ask for it.

    Attributes:
        types: Types of jobs whose slots are offered.
        now: Tells the time, in epoch seconds, on any thread.
        deliver: Is given the claims once they are stored, on any thread. It must neither block nor raise.
    """

    types: Collection[str]
    now: Callable[[], float]
    deliver: Callable[[tuple[Claim, ...]], object]


@attrs.frozen(kw_only=True)
class Backlog:
    """What waits.

    Attributes:
        depth: Jobs that are due and not taken.
        oldest_due: Epoch seconds since when the oldest of them is due, or None.
    """

    depth: int
    oldest_due: float | None


class Store(Protocol):
    """Keeps jobs and records. Every method may be called from any thread.

    Futures fail with :class:`StoreError` when the store itself is in trouble.
    """

    def commit(self, change: Change) -> "Future[None]":
        """Store *change*, all of it or nothing.

        Fails with :class:`RecordChanged`, :class:`ClaimLost`, or :class:`JobRefused`.
        """
        ...

    def settle(self, settlements: Sequence[Settlement]) -> "Future[tuple[JobError | None, ...]]":
        """End attempts, each with what follows from it and each on its own.

        Answers, in the same order, why each was refused as :meth:`commit` would have: None for those that were stored.
        """
        ...

    def read(self, kind: str, key: str) -> "Future[Record | None]":
        """The record, or None. It shows every change whose commit has been answered."""
        ...

    def scan(self, kind: str) -> "Future[tuple[Record, ...]]":
        """All records of *kind*, by key."""
        ...

    def versions(self, kind: str, keys: Collection[str]) -> "Future[Mapping[str, int]]":
        """The version of each record of *kind* that is among *keys*, by key: what changed, without its content."""
        ...

    def job(self, job_id: str) -> "Future[Job | None]":
        """The job, or None."""
        ...

    def holder(self, key: str) -> "Future[Job | None]":
        """The pending or processing job of *key*, or None."""
        ...

    def jobs(self, query: JobQuery) -> "Future[tuple[Job, ...]]":
        """The jobs *query* asks for."""
        ...

    def page(self, query: JobQuery) -> "Future[JobPage]":
        """The same, and where the page after them begins."""
        ...

    def stats(self, now: float | None = None) -> "Future[JobQueueStats]":
        """How many jobs there are, by status and by type.

        Told what time it is (epoch seconds), it also says how many are due, since when, and how many ended lately.
        """
        ...

    def backlog(self, now: float) -> "Future[Backlog]":
        """What is due at *now* (epoch seconds) and not taken."""
        ...

    def claim(
        self,
        owner: str,
        limit_by_type: Mapping[str, int],
        now: float,
        lease: float,
        offer: "Offer | None" = None,
        monotonic: float | None = None,
    ) -> "Future[Batch]":
        """Take due jobs for *owner*, of each type at most so many, for *lease* seconds.

        Before that, jobs whose lease has ended or whose owner is known to be dead go back. Types that
        are not named stay where they are.

        *monotonic* tells the time on a clock of this process that is never set. With it, a wall clock that jumps takes
        no job from an owner who is known to live: from then on there is one more *lease* on that clock to renew in.

        With *offer*, slots that stay free may be filled by a later change of this store, once: what is taken is
        delivered, and the rest is off offer with that. It spares a worker being woken to ask; announcements are made in
        any case. The next claim of the owner takes its offer back: slots still on offer then count as free beside
        *limit_by_type*.
        """
        ...

    def withdraw(self, owner: str) -> "Future[None]":
        """Take the slots of *owner* off offer; once it has answered nothing more is delivered."""
        ...

    def renew(self, claims: Sequence[Claim], now: float, lease: float) -> "Future[frozenset[str]]":
        """Give *claims* of one owner another *lease* seconds; answer with the ids of lost ones."""
        ...

    def lost(self, claims: Sequence[Claim]) -> "Future[frozenset[str]]":
        """The ids of those of *claims* that are no longer held: what renewing would answer, and nothing is changed."""
        ...

    def retry(self, job_id: str, now: float) -> "Future[Job]":
        """Give a failed job a new life. Fails with :class:`JobNotFound`, :class:`JobStateError`."""
        ...

    def cancel(self, job_id: str, now: float, reason: str) -> "Future[Job]":
        """End a pending or processing job as failed. Fails as :meth:`retry` does."""
        ...

    def purge(
        self, before: float, status: JobStatus | None = None, limit: int = STEP
    ) -> "Future[int]":
        """Remove jobs that ended at *before* (epoch seconds) or earlier; answer with how many.

        The earliest go first, at most *limit* of them: whoever wants all asks until none is left. *status* is
        completed or failed, None for both. Raises ValueError for any other: a job that has not ended stays.
        """
        ...

    def changed(self, kind: str, key: str, after: int) -> "Future[Record | None]":
        """Wait until the record's version is more than *after* (0: until there is one).

        Comes to the record, or to None once it was deleted. Cancel the future to stop waiting.
        """
        ...

    def settled(self, job_id: str) -> "Future[Job]":
        """Wait until the job has completed or failed. Fails with :class:`JobNotFound`."""
        ...

    def on_work(self, listener: Callable[[float], None]) -> Callable[[], None]:
        """Have *listener* told when there is work, with the epoch seconds it is due; 0 for unknown.

        It is told 0 too when a job was taken from the worker that is at it, and when another process did anything:
        then whoever holds claims may ask which of them are :meth:`lost`.
                It is called on any thread and must neither block nor raise. Returns what ends it.
        """
        ...

    def close(self, timeout: float | None = None) -> None:
        """Finish what was accepted, at most for *timeout* seconds, and let go of everything."""
        ...


def new_job(
    type: JobType | str,
    payload: JsonObject,
    *,
    now: float,
    after: float = 0.0,
    priority: JobPriority = JobPriority.NORMAL,
    max_attempts: int = 3,
    key: str | None = None,
) -> NewJob:
    """Return a job to store, made at *now* (epoch seconds) and due *after* seconds later.

    Raises:
        JobRefused: There is no such time or no such type; the rest is looked at by the store that is to take it.
    """
    try:
        created = _life.moment(now)
        return NewJob(
            job=Job(
                id=job_id(now),
                type=job_type(type),
                payload=payload,
                status=JobStatus.PENDING,
                priority=priority,
                max_attempts=max_attempts,
                created_at=created,
                # Not "if it is above 0": of what is no number that would make a job that is due at once.
                next_retry_at=None if after <= 0 else _life.moment(now + after),
            ),
            key=key,
        )
    except (TypeError, ValueError, OverflowError) as error:
        told = "; ".join(_unmade(type, now, after)) or str(error)
        raise JobRefused(f"no job was made: {told}") from error


def _unmade(type_: object, now: object, after: object) -> Iterator[str]:
    if not isinstance(type_, str):
        yield f"type is {type_!r}, not a text"
    if not (is_number(now) and _life.is_moment(now)):
        yield f"now is {now!r}, not seconds since 1970 of the years 1 to 9999"
    elif not (is_number(after) and _life.is_moment(now + after)):
        yield f"after is {after!r}, not seconds from now to the year 9999 at most"


# Remembered: for a type that only the program knows, asking the enumeration costs more than all else about a job.
job_type: Final[Callable[[str], JobType]] = lru_cache(maxsize=1000)(JobType)
"""The type of this name."""


def job_id(now: float) -> str:
    """Return a fresh id: ``job_``, Unix milliseconds, nine random characters."""
    return f"job_{int(now * 1000)}_{_nine_signs(_chance.getrandbits(48))}"


def settle(job: Job, settlement: Settlement) -> Job:
    """Return *job*, which is being processed, as *settlement* leaves it."""
    outcome, at = settlement.outcome, settlement.at
    if isinstance(outcome, Done):
        return _life.done(job, at)
    if isinstance(outcome, Again):
        return _life.again(job, at, outcome.after if outcome.due is None else outcome.due - at)
    if isinstance(outcome, GiveUp):
        return _life.give_up(job, at, outcome.error)
    if isinstance(outcome, Retry):
        return _life.retry(job, at, outcome.after, outcome.error)
    return _life.hand_back(job, at, outcome.after)


def unfit(settlement: Settlement, error: BaseException) -> JobRefused:
    """Return the refusal of a *settlement* with something in it that no store can keep."""
    refused = JobRefused(
        f"the end of job {settlement.claim.job.id!r} was not stored: {type(error).__name__}: {error}"
    )
    refused.__cause__ = error
    return refused


# Made once: json.dumps would make an encoder for each call.
_from_json: Final = json.JSONDecoder().decode
_to_json: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def to_text(what: str, body: JsonObject) -> str:
    """Return *body* as JSON text; raise JobRefused when it is not JSON."""
    if not isinstance(body, dict):
        raise JobRefused(f"{what} was not stored: its content is {type(body).__name__}, not a dict")
    try:
        # NaN is not JSON; stored, it would break the first reader that is not Python.
        return _to_json(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise JobRefused(f"{what} was not stored: its content is not JSON: {error}") from error


def from_text(text: str) -> dict[str, Json]:
    """Return the JSON object in *text*, fresh for each caller. Raises what the decoder does, and TypeError."""
    body: dict[str, Json] = _from_json(text)
    if body.__class__ is not dict:
        raise TypeError(f"expected an object, got {type(body).__name__}")
    return body


def queue_stats(counts: Mapping[tuple[str, JobStatus], int]) -> JobQueueStats:
    """Return *counts* by type and status as the service contract reports them: no known type is left out."""
    by_type = {str(type_): 0 for type_ in JobType}
    by_status = dict.fromkeys(JobStatus, 0)
    for (type_, status), count in counts.items():
        if not count:
            continue
        by_type[type_] = by_type.get(type_, 0) + count
        by_status[status] += count
    return JobQueueStats(
        total_jobs=sum(by_status.values()),
        pending_jobs=by_status[JobStatus.PENDING],
        processing_jobs=by_status[JobStatus.PROCESSING],
        completed_jobs=by_status[JobStatus.COMPLETED],
        failed_jobs=by_status[JobStatus.FAILED],
        jobs_by_type=by_type,
    )


def measured(stats: JobQueueStats, backlog: Backlog, ended: Sequence[int]) -> JobQueueStats:
    """Return *stats* with what is due, and how many *ended* in each of `MINUTES`."""
    last_minute, last_five_minutes, last_hour = ended
    return attrs.evolve(
        stats,
        due_jobs=backlog.depth,
        oldest_due_at=None if backlog.oldest_due is None else _life.moment(backlog.oldest_due),
        throughput=JobThroughput(
            last_minute=last_minute, last_five_minutes=last_five_minutes, last_hour=last_hour
        ),
    )


def key_taken(job_id: str, key: str, holder: str) -> JobStateError:
    """Return the error for a job that cannot come back, since another live one has its key."""
    return JobStateError(
        f"job {job_id!r} cannot be tried again: "
        f"job {holder!r} of the same key {key!r} is not finished"
    )


_chance = random.Random(os.urandom(32))

if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    # Two processes forked from one must not come to the same ids. Not asked of the system each time: that lets go of
    # the interpreter's lock, and with a busy store beside it takes longer than all the rest of making a job.
    os.register_at_fork(after_in_child=lambda: _chance.seed(os.urandom(32)))


def _nine_signs(number: int) -> str:
    """Nine signs that tell *number*, but for what 36**9 is too small for."""
    number, first = divmod(number, 36)
    number, pair = divmod(number, 1296)
    number, other = divmod(number, 1296)
    number, third = divmod(number, 1296)
    return _SIGNS[first] + _PAIRS[pair] + _PAIRS[other] + _PAIRS[third] + _PAIRS[number % 1296]
