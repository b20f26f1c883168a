"""What a handler is: a function of a job and what it knows besides it, which answers how the attempt ended."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeAlias, cast

import attrs

from .._calling import Async
from .._promise import Future
from .._waiting import AsyncWaiter, Waiter
from ..models import Job
from ._life import writable
from ._store import Again, Change, Claim, Done, GiveUp, HandBack, NewJob, Outcome, Retry, Write

__all__ = ["SILENT", "Commits", "Handler", "JobContext", "Together", "checked", "describe", "facts"]


class Commits(Protocol):
    """Whatever takes what a handler stores in the middle of an attempt; every `Store` does."""

    def commit(self, change: Change) -> "Future[None]":
        """Store *change*, all of it or nothing; see `Store.commit`."""
        ...


@attrs.frozen(kw_only=True)
class JobContext:
    """What a handler knows besides its job.

    Attributes:
        claim: The right to work on the job; lost when another worker has it.
        waiter: How to wait and what time it is.
        store: Where `commit` stores.
    """

    claim: Claim
    waiter: Waiter[Async] = attrs.field(factory=AsyncWaiter, repr=False)
    _store: Commits = attrs.field(repr=False, alias="store")

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
        await self.waiter.result(self.begin_commit(change))

    def begin_commit(self, change: Change) -> "Future[None]":
        """Do what `commit` does, from any thread; the future tells when it is done, or what is wrong."""
        return self._store.commit(attrs.evolve(change, held=self.claim))


Handler: TypeAlias = Callable[[Job, JobContext], Awaitable[Outcome]]
"""Does the work of one type of job. An exception counts as a failed attempt."""


@attrs.frozen
class Together:
    """Takes all due jobs of a type at once, where one look answers for many.

    It is a handler itself, for an engine that delivers jobs one by one.

    Attributes:
        handle: Answers with how each attempt ended, by job id. An exception counts as that job's failed attempt; a job
            it says nothing of, and every job if it raises, counts as one too.
        most: Jobs one call gets at most.
        calls: Calls at the same time at most; jobs that fall due meanwhile are in the next.
    """

    handle: Callable[[Sequence[JobContext]], Awaitable[Mapping[str, Outcome | Exception]]]
    most: int = 10_000
    calls: int = 1

    async def __call__(self, job: Job, context: JobContext) -> Outcome:
        """Handle one job alone."""
        answer = (await self.handle([context])).get(job.id, SILENT)
        if isinstance(answer, Exception):
            raise answer
        return answer


SILENT: Final = LookupError("the handler did not say how this job's attempt ended")


def checked(answer: object) -> Outcome:
    """Return *answer* if it is an outcome that can be stored.

    Raises TypeError when it is none, ValueError with all that is wrong with it.
    """
    if isinstance(answer, Done) and answer.writes == () and answer.jobs == ():
        return answer
    if isinstance(answer, Done | Again | GiveUp | Retry | HandBack):
        return _in_order(answer)
    raise TypeError(f"the handler answered {answer!r}, not an outcome")


def _in_order(outcome: Outcome) -> Outcome:
    # Looked at here, where it is one handler's mistake. A store would find it among all that it is told at once.
    problems = list(_problems(outcome))
    if problems:
        name = type(outcome).__name__
        raise ValueError(f"the handler answered {name} with what cannot be: {'; '.join(problems)}")
    return outcome


def _problems(outcome: object) -> Iterator[str]:
    if isinstance(outcome, GiveUp | Retry) and not _is(outcome.error, str):
        yield f"error is {outcome.error!r}, not a text"
    if isinstance(outcome, Again | Retry | HandBack) and not _is_time(outcome.after, _LONGEST):
        yield f"after is {outcome.after!r}, not a number of seconds up to {_LONGEST:g}"
    if isinstance(outcome, Again) and not (outcome.due is None or _is_time(outcome.due, _LAST)):
        yield f"due is {outcome.due!r}, not a time in seconds since 1970 up to {_LAST:g}"
    if isinstance(outcome, Done | Again | GiveUp):
        if not _is_tuple(outcome.writes, Write):
            yield "writes is not a tuple of Write: mind the comma behind a single one"
        elif not all(_is(text, str) for one in outcome.writes for text in (one.kind, one.key)):
            yield "writes has a kind or a key that is not a text"
        if not _is_tuple(outcome.jobs, NewJob):
            yield "jobs is not a tuple of NewJob: mind the comma behind a single one"


def _is(value: object, wanted: type) -> bool:
    """Whether *value* is what its annotation says, which nobody checked."""
    return isinstance(value, wanted)


def _is_tuple(value: object, wanted: type) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(one, wanted) for one in cast(tuple[object, ...], value)
    )


def _is_time(value: object, most: float) -> bool:
    return isinstance(value, int | float) and -most <= value <= most


# A hundred years, and the year 5000: what is beyond cannot be a moment of the calendar.
_LONGEST: Final = 100 * 365 * 86_400.0
_LAST: Final = 95_617_584_000.0


def describe(error: BaseException) -> str:
    """Return class and message of *error*, and of what a group of errors holds; never a traceback.

    It does not raise, whatever *error* does when it is asked.
    """
    # Asked by attribute: before Python 3.11 groups come from a package that need not be installed.
    try:
        inner: object = getattr(error, "exceptions", ())
        if inner and _is_tuple(inner, BaseException):
            return "; ".join(describe(one) for one in cast(tuple[BaseException, ...], inner))
        message = writable(str(error))
    except BaseException as worse:  # noqa: BLE001 - see above
        message = f"(its message cannot be shown: {type(worse).__name__})"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def facts(job: Job, elapsed: float) -> Mapping[str, object]:
    """What log records of an attempt carry besides their text."""
    return {
        "job_id": job.id,
        "job_type": str(job.type),
        "attempt": job.attempts,
        "elapsed": elapsed,
    }
