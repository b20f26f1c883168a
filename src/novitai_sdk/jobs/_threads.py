"""Handlers that are ordinary functions: each attempt has a thread of its own."""

import logging
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

import attrs

from .._promise import Promise, fulfil, reject
from ..models import Job
from ._errors import ClaimLost
from ._handling import JobContext, facts
from ._mishaps import no_error
from ._store import Change, Claim

__all__ = ["PlainJobContext", "in_thread"]

T = TypeVar("T")

_log = logging.getLogger("novitai_sdk")


@attrs.frozen(kw_only=True, eq=False)
class PlainJobContext:
    """What a handler that is an ordinary function knows besides its payload.

    A thread cannot be stopped from outside. When the time limit has passed, the claim is lost or the client is closed,
    the attempt ends there and then: the job goes on without it, and what the function returns is dropped. The function
    itself runs on until it returns, so one that takes long looks at ``stopped`` now and then.
    """

    _context: JobContext = attrs.field(alias="context")
    _over: threading.Event = attrs.field(factory=threading.Event, init=False, repr=False)

    @property
    def claim(self) -> Claim:
        """The right to work on the job; lost when another worker has it."""
        return self._context.claim

    @property
    def job(self) -> Job:
        """The job, this attempt counted."""
        return self._context.job

    @property
    def last_attempt(self) -> bool:
        """Whether the job fails for good if this attempt fails."""
        return self._context.last_attempt

    @property
    def stopped(self) -> bool:
        """Whether the attempt is over, so that nobody waits for what the function returns."""
        return self._over.is_set()

    def commit(self, change: Change) -> None:
        """Store *change* in the middle of the attempt, if the claim is still held.

        Raises:
            ClaimLost: The attempt is over, or the job belongs to another worker; stop at once.
            RecordChanged: A record was written meanwhile.
            StoreError: The store is in trouble.
        """
        if self.stopped:
            raise ClaimLost(self.job.id)
        self._context.begin_commit(change).result()

    def end(self) -> None:
        """Say that the attempt is over; done by the runner."""
        self._over.set()


async def in_thread(work: Callable[[PlainJobContext], T], context: JobContext) -> T:
    """Return what *work* returns in a thread of its own; raise what it raises."""
    plain = PlainJobContext(context=context)
    answer: Promise[T] = Promise()
    # A daemon, so that a function nobody waits for any more does not keep the program from ending. Not one of anyio's
    # threads: Python waits for those before it says that it ends, and then nobody would tell them.
    within = copy_context()
    thread = threading.Thread(
        target=lambda: within.run(lambda: _fulfil(answer, work, plain)),
        name=f"novitai-job-{context.job.id}",
        daemon=True,
    )
    began = context.waiter.monotonic()
    thread.start()
    try:
        value = await context.waiter.result(answer)
    finally:
        plain.end()
        if answer.done() and not answer.cancelled():
            thread.join()  # it has nothing left to do
        else:
            _log.info(
                "job %s (%s): its handler was still at work, in thread %s, when its attempt ended",
                context.job.id,
                context.job.type,
                thread.name,
                extra=facts(context.job, context.waiter.monotonic() - began),
            )
    return value


def _fulfil(
    answer: "Promise[T]", work: Callable[[PlainJobContext], T], context: PlainJobContext
) -> None:
    try:
        value = work(context)
    except Exception as error:  # noqa: BLE001 - handed on to the runner
        reject(answer, error)
    except BaseException as error:  # noqa: BLE001 - it would end the runner in place of this attempt
        reject(answer, no_error(error))
    else:
        fulfil(answer, value)
