"""Handlers whose attempts are counted, for the health report."""

from collections.abc import Mapping, Sequence

import attrs

from ._calling import Async
from ._meter import Meter
from ._waiting import Waiter
from .jobs import GiveUp, HandBack, Handler, JobContext, Outcome, Retry, Together
from .models import Job

__all__ = ["counted"]


def counted(
    handler: Handler | Together, meter: Meter, lags: Meter, waiter: Waiter[Async]
) -> Handler | Together:
    """Return *handler* so that *meter* counts its attempts, and *lags* how long its jobs were overdue."""
    if isinstance(handler, Together):
        return _counted_together(handler, meter, lags, waiter)

    async def handle(job: Job, context: JobContext) -> Outcome:
        started, failed, done = waiter.monotonic(), True, True
        waited = waiter.time() - context.claim.due
        lags.count(at=started, took=max(0.0, waited), failed=False)
        try:
            outcome = await handler(job, context)
            failed = isinstance(outcome, GiveUp | Retry)
            done = not isinstance(outcome, HandBack)
        finally:
            now = waiter.monotonic()
            if done:  # a job that was handed back counts when it is done, however often that was
                meter.count(at=now, took=now - started, failed=failed)
        return outcome

    return handle


def _counted_together(
    handler: Together, meter: Meter, lags: Meter, waiter: Waiter[Async]
) -> Together:
    async def handle(contexts: Sequence[JobContext]) -> Mapping[str, Outcome | Exception]:
        started, time = waiter.monotonic(), waiter.time()
        for context in contexts:
            lags.count(at=started, took=max(0.0, time - context.claim.due), failed=False)
        answers: Mapping[str, Outcome | Exception] = {}
        try:
            answers = await handler.handle(contexts)
        finally:
            now = waiter.monotonic()
            for context in contexts:
                answer = answers.get(context.job.id)
                if isinstance(answer, HandBack):  # as above
                    continue
                # Each of them took all of it: that is how long its outcome was waited for.
                failed = answer is None or isinstance(answer, GiveUp | Retry | Exception)
                meter.count(at=now, took=now - started, failed=failed)
        return answers

    return attrs.evolve(handler, handle=handle)
