"""Jobs of a program's own: saying what is done with a payload, and asking for it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from inspect import signature
from typing import Any, Final, Protocol, TypeVar, overload

from typing_extensions import Unpack

from .._calling import Async, Belonging, Mode, Sync, dual, is_awaited
from .._waiting import Waiter
from ..models import Job, JobPriority
from . import _life
from ._carrying import as_stored, handler_of
from ._checks import attempts_problems, is_number, key_problems, priority_problems, timeout_problems
from ._errors import JobRefused, RunnerFailed
from ._handling import Handler, JobContext
from ._inside import refuse_inside
from ._kinds import KindOptions, Kinds, make_kind, unknown
from ._store import Change, NewJob, Outcome, Store, new_job
from ._threads import PlainJobContext

__all__ = ["OwnJobs", "RegistersAny", "RegistersAwaited"]

P = TypeVar("P")

# A runner that died settles nothing and cannot say so to a future of the store: whoever waits looks
# after it this often.
GLANCE: Final = 2.0


class RegistersAwaited(Protocol[P]):
    """Takes the coroutine function that does the work, and gives it back."""

    def __call__(
        self, work: Callable[[P, JobContext], Awaitable[Outcome | None]], /
    ) -> Callable[[P, JobContext], Awaitable[Outcome | None]]:
        """Register *work*. Raises TypeError when it is no coroutine function, ValueError when it cannot be had."""
        ...


class RegistersAny(Protocol[P]):
    """Takes the function that does the work, with or without ``async``, and gives it back."""

    @overload
    def __call__(
        self, work: Callable[[P, JobContext], Awaitable[Outcome | None]], /
    ) -> Callable[[P, JobContext], Awaitable[Outcome | None]]: ...
    @overload
    def __call__(
        self, work: Callable[[P, PlainJobContext], Outcome | None], /
    ) -> Callable[[P, PlainJobContext], Outcome | None]: ...
    def __call__(self, work: Any, /) -> Any:
        """Register *work*. Raises ValueError when it cannot be had."""
        ...


class OwnJobs(Belonging[Mode]):
    """Jobs of types the program defines.

    Args:
        store: Where the jobs are, or what finds it when it is first needed.
        waiter: How to wait.
        check: Raises when the runner of this process has died.
        started: Called when there is work, so that somebody does it.
        kinds: The types of jobs.
    """

    __slots__ = ("_check", "_kinds", "_opened", "_started", "_waiter")

    def __init__(
        self,
        store: Store | Callable[[], Store],
        waiter: Waiter[Mode],
        *,
        check: Callable[[], None],
        started: Callable[[], None],
        kinds: Kinds,
    ) -> None:
        self._opened = store if callable(store) else lambda: store
        self._waiter = waiter
        self._check = check
        self._started = started
        self._kinds = kinds

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._waiter.mode

    @property
    def _store(self) -> Store:
        return self._opened()

    @overload
    def handler(
        self: "OwnJobs[Sync]", payload: type[P], /, **options: Unpack[KindOptions]
    ) -> RegistersAny[P]: ...
    @overload
    def handler(
        self: "OwnJobs[Async]", payload: type[P], /, **options: Unpack[KindOptions]
    ) -> RegistersAwaited[P]: ...
    def handler(self, payload: type[Any], /, **options: Unpack[KindOptions]) -> Any:
        """Say what is done for jobs with a *payload* of this attrs class; a decorator.

        The function is called with payload and context, and answers with an outcome, or None for `Done`; an exception
        counts as a failed attempt. A coroutine function gets a `JobContext`. On a plain client an ordinary function
        will do; it runs in a thread of its own, with a `PlainJobContext`.

        Jobs that wait in the store already are taken up as soon as a runner of this client works.
        A class or a function that is defined again takes the place of the earlier one.

        Args:
            payload: Class of the payloads.
            options: ``type``, the name of such jobs in the store, else that of the class in snake_case;
                ``slots``, how many are worked on at once (8); ``max_attempts`` (3) and ``priority`` (2, 1 to 4) of
                those that say nothing else; ``policy``, when to try again after an exception; ``time_limit``,
                seconds an attempt may take (900).

        Raises:
            TypeError: Not an attrs class, or one with secrets, which are not stored; or what is registered is not a
                function of two arguments.
            ValueError: Options that cannot be or that there are not, all named; or a type that another class has.
        """
        make_kind(payload, None, options)  # what is wrong is said here, where it is written
        only_awaited = self.mode is Async

        def register(work: Any) -> Any:
            function: object = work
            # Said here, where it is written: called, it would fail once for each attempt of each job.
            if not callable(function) or not _takes_both(function):
                raise TypeError(f"{work!r} is not a function of payload and context")
            if only_awaited and not is_awaited(work):
                raise TypeError(
                    f"{work!r} is not a coroutine function: on AsyncNovitai a handler is written `async def`"
                )
            kind = make_kind(payload, work, options)
            self._kinds.add(kind)
            if self._kinds.left(kind):
                self._begin()
            return work

        return register

    def declare(self, payload: type[Any], /, **options: Unpack[KindOptions]) -> None:
        """Say that another process works on jobs with a *payload* of this class, so that they can be enqueued here.

        Takes the options of `handler` and raises what it raises. Where a handler is registered here, it stays, with its
        options.
        """
        self._kinds.add(make_kind(payload, None, options))

    def handlers(self) -> Mapping[str, Handler]:
        """Return what is done for the program's own types, by type: functions of job and context.

        For another engine that carries the same jobs; the runner of this client needs nobody to call it.
        """
        return {kind.name: handler_of(kind) for kind in self._kinds.worked()}

    @dual
    async def enqueue(
        self,
        payload: object,
        *,
        after: float | None = None,
        at: datetime | None = None,
        priority: JobPriority | int | None = None,
        key: str | None = None,
        max_attempts: int | None = None,
    ) -> Job:
        """Store a job, and return it; it is done in the background, at least once.

        Args:
            payload: What it is about: of a class that was given to `handler` or `declare`.
            after: Seconds from now until it is due.
            at: When it is due, with a time zone; instead of *after*.
            priority: 1 to 4, the highest first; otherwise that of its type.
            key: At most one job of a key waits or is worked on at a time: while there is one, it is the one that is
                returned, and nothing is stored.
            max_attempts: How often it is tried; otherwise as its type says.

        Raises:
            JobRefused: The class of the payload is not known here, something in it cannot be stored or would not come
                back as it is, something else is wrong with what was asked, or a job of another type has the key;
                nothing was stored.
            RunnerFailed: The runner of this process died, or could not be started; nothing was stored.
            ClientClosed: The client is closed; nothing was stored, unless with a *key* it was closed meanwhile.
            StoreError: The store is in trouble.
        """
        kind = self._kinds.of(payload)
        now = self._waiter.time()
        body, problems = as_stored(payload) if kind else ({}, [unknown(payload)])
        problems += _problems(now, after, at, priority, key, max_attempts)
        if kind is None or problems:
            raise JobRefused("no job was stored: " + "; ".join(problems))
        new = new_job(
            kind.name,
            body,
            now=now,
            after=after or 0.0 if at is None else _life.when(at) - now,
            priority=JobPriority(kind.priority if priority is None else priority),
            max_attempts=kind.max_attempts if max_attempts is None else max_attempts,
            key=key,
        )
        self._check()
        if kind.work is not None:
            # Before it is stored: an error after that would say of a stored job that it was not.
            self._started()
            return await self._accepted(new)
        job = await self._accepted(new)
        self._kinds.leave(kind)
        if self._kinds.of(payload) in self._kinds.worked():  # registered in between
            self._begin()
        return job

    @dual
    async def work(self, timeout: float | None = None) -> None:
        """Work on what is in the store until *timeout* seconds are over, or for ever; jobs of other processes too.

        For a process that has no jobs of its own. Where jobs are enqueued it needs nothing: they are worked on while
        the program does something else.

        Raises:
            ValueError: The timeout is no number.
            RuntimeError: It is called in a coroutine that a plain client runs as a job, whose loop it would hold up.
            RunnerFailed: The runner of this process died.
        """
        for problem in timeout_problems(timeout):
            raise ValueError(problem)
        self._check_outside("work()")
        until = None if timeout is None else self._waiter.monotonic() + timeout
        self._started()
        while True:
            self._check()
            left = GLANCE if until is None else until - self._waiter.monotonic()
            if left <= 0:
                return
            await self._waiter.sleep(min(GLANCE, left))

    def _begin(self) -> None:
        """Have jobs begun that are stored already."""
        # Whoever waits for a job, or enqueues the next, is told that the runner cannot start.
        with suppress(RunnerFailed):
            self._started()

    def _check_outside(self, what: str) -> None:
        """Raise RuntimeError where *what*, which blocks, would keep the jobs from being done."""
        if self.mode is Sync:
            refuse_inside(self._store, what)

    async def _accepted(self, new: NewJob) -> Job:
        """Store *new*, or find the job that has its key."""
        store = self._store  # once: a client that is closed meanwhile must not hide what was stored
        while True:
            await self._waiter.result(store.commit(Change(jobs=(new,))))
            if new.key is None:
                return new.job
            stored = await self._waiter.result(store.job(new.job.id))
            found = stored or await self._waiter.result(store.holder(new.key))
            if found is not None and found.type == new.job.type:
                return found
            if found is not None:
                raise JobRefused(
                    f"no job was stored: key {new.key!r} is that of job {found.id!r}, which is a {found.type}, "
                    f"not a {new.job.type}"
                )
            # The one that had the key has ended in between, so now it is free.


def _problems(
    now: float, after: object, at: object, priority: object, key: object, max_attempts: object
) -> Iterator[str]:
    if after is not None and at is not None:
        yield "it is to be due both after some seconds and at a time: give one of them"
    if after is not None:
        yield from _after_problems(now, after)
    if at is not None:
        yield from _at_problems(at)
    if priority is not None:
        yield from priority_problems(priority)
    if max_attempts is not None:
        yield from attempts_problems(max_attempts)
    yield from key_problems(key)


def _after_problems(now: float, after: object) -> Iterator[str]:
    if not (is_number(after) and 0 <= after < float("inf")):
        yield f"after is {after!r}, not a number of seconds of 0 or more"
    elif not _life.is_moment(now + after):
        yield f"after is {after!r}, which is beyond the year 9999"


def _at_problems(at: object) -> Iterator[str]:
    if not isinstance(at, datetime):
        yield f"at is {at!r}, not a time"
    elif at.utcoffset() is None:
        yield "at has no time zone"
    elif not _life.is_moment(_life.when(at)):
        yield f"at is {at}, which is none of the years 1 to 9999 in UTC"


def _takes_both(work: Callable[..., object]) -> bool:
    """Whether *work* can be called with a payload and a context, as far as it tells."""
    try:
        # Of what wraps another function, its own: it may give that one less, or more.
        told = signature(work, follow_wrapped=False)
    except Exception:  # noqa: BLE001 - made by an extension, or annotated with what only a type checker imports
        return True
    try:
        told.bind(None, None)
    except TypeError:
        return False
    return True
