"""Endpoints that only fail: after five days of nothing else, or a 410, they are disabled until a webhook gets through.

Since when one fails is a record in the store, so it is known to all who share that, and after a restart. Of an endpoint
that works there is none.
"""

import logging
from hashlib import sha256
from typing import Final, Protocol

import attrs

from .._promise import Future
from .._waiting import Clock
from ..jobs import Change, Done, GiveUp, JobContext, Outcome, Record, RecordChanged, Retry, Write
from ..jobs._life import is_moment, moment
from ..models import Job
from ..models._shown import without_credentials

__all__ = ["Endpoint", "Endpoints", "Records"]

_log = logging.getLogger("novitai_sdk")

KIND: Final = "webhook_endpoint"

_DAY: Final = 86_400.0
_ENOUGH: Final = 5 * _DAY
# More than the longest wait between two attempts at a webhook. After a longer time without any, as where there is
# seldom something to tell, or where a clock was set, nobody knows that it failed all the while.
_GAP: Final = 2 * _DAY
# So that not each of many failures is put down.
_OFTEN: Final = 3600.0


class Records(Protocol):
    """Where endpoints are kept; every `Store` is one."""

    def read(self, kind: str, key: str) -> "Future[Record | None]":
        """The record, or None; see `Store.read`."""
        ...

    def scan(self, kind: str) -> "Future[tuple[Record, ...]]":
        """All records of *kind*; see `Store.scan`."""
        ...


@attrs.frozen
class _Failing:
    """An endpoint that has only failed, in epoch seconds: *since* when, and up to when that is known.

    One that is *gone* has said so: it answered 410.
    """

    since: float
    latest: float
    gone: bool = False

    @property
    def disabled(self) -> bool:
        return self.gone or self.latest - self.since >= _ENOUGH

    def is_stale(self, now: float) -> bool:
        """Whether it may have worked meanwhile, as far as anybody knows."""
        return not self.disabled and abs(now - self.latest) > _GAP

    def again(self, now: float) -> "_Failing":
        """What it is after one more failure."""
        if self.disabled:
            return self
        if self.is_stale(now):
            return _Failing(now, now)
        if now - self.since < _ENOUGH and abs(now - self.latest) < _OFTEN:
            return self
        return _Failing(self.since, now)


@attrs.frozen
class Endpoint:
    """What is known of a URL, all of it: behind one host may be many who have nothing to do with each other."""

    url: str = attrs.field(repr=False)
    version: int = 0
    failing: _Failing | None = None

    @property
    def key(self) -> str:
        """The key of its record: a URL may hold a secret, and be of any length."""
        return sha256(self.url.encode("utf-8", "surrogatepass")).hexdigest()

    def refusal(self, job: Job) -> GiveUp | None:
        """Return how *job* ends without a request, or None: it is not disabled, or somebody asks it by hand."""
        if self.failing is None or not self.failing.disabled or _is_by_hand(job):
            return None
        before = f"; last error before: {job.error}" if job.error else ""
        return GiveUp(error=f"not sent: {_said(self.failing)}{before}")


class Endpoints:
    """What the store knows of endpoints."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._tidied: float | None = None  # on the monotonic clock

    async def look_up(self, url: str, context: JobContext) -> Endpoint:
        """Return what is known of *url*. Raises StoreError."""
        nothing = Endpoint(url)
        record = await context.waiter.result(self._records.read(KIND, nothing.key))
        return nothing if record is None else Endpoint(url, record.version, _read(record))

    async def after(
        self, outcome: Outcome, endpoint: Endpoint, context: JobContext, *, gone: bool
    ) -> Outcome:
        """Count how *endpoint* answered a request, and return what follows: *outcome*, or giving up.

        Whether it is *gone*, it has said itself.

        Raises what `JobContext.commit` does, after a failure only: what was delivered must not be sent again because
        the store is in trouble.
        """
        if isinstance(outcome, GiveUp | Retry):
            failing = await self._failed(endpoint, context, gone)
            return (
                GiveUp(error=f"{outcome.error} ({_said(failing)})") if failing.disabled else outcome
            )
        if not endpoint.version:
            return outcome
        return Done(writes=(Write(kind=KIND, key=endpoint.key, body=None),))

    async def _failed(self, endpoint: Endpoint, context: JobContext, gone: bool) -> _Failing:
        while True:
            now = float(self._clock.time())
            before = endpoint.failing
            failing = before.again(now) if before else _Failing(now, now)
            if gone and not failing.disabled:
                failing = attrs.evolve(failing, latest=now, gone=True)
            if failing == before:
                return failing
            try:
                await context.commit(Change(writes=await self._writes(endpoint, failing, context)))
            except RecordChanged:  # by another attempt: what that put down may be enough
                endpoint = await self.look_up(endpoint.url, context)
                continue
            if failing.disabled:
                shown = without_credentials(endpoint.url)
                _log.warning("no more webhooks go to %s: %s", shown, _said(failing))
            return failing

    async def _writes(
        self, endpoint: Endpoint, failing: _Failing, context: JobContext
    ) -> tuple[Write, ...]:
        body = {"since": failing.since, "latest": failing.latest, "gone": failing.gone}
        write = Write(kind=KIND, key=endpoint.key, body=body, expected=endpoint.version)
        if endpoint.version:
            return (write,)
        return (write, *await self._removals(failing.latest, context))

    async def _removals(self, now: float, context: JobContext) -> tuple[Write, ...]:
        """Remove stale records, now and then: where each webhook has a URL of its own, they would become ever more."""
        at = self._clock.monotonic()
        if self._tidied is not None and at - self._tidied < _OFTEN:
            return ()
        self._tidied = at
        found = await context.waiter.result(self._records.scan(KIND))
        known = ((one, _read(one)) for one in found)
        return tuple(
            Write(kind=KIND, key=one.key, body=None, expected=one.version)
            for one, failing in known
            if failing is not None and failing.is_stale(now)
        )


def _is_by_hand(job: Job) -> bool:
    # Only somebody's retry lets attempts begin anew, and the error is still there.
    return job.attempts == 1 and job.error is not None


def _read(record: Record) -> _Failing | None:
    """What *record* holds; None if that is odd, and then it is written anew."""
    since, latest = record.body.get("since"), record.body.get("latest")
    if isinstance(since, float) and isinstance(latest, float) and is_moment(since):
        return _Failing(since, latest, record.body.get("gone") is True)
    return None


def _said(failing: _Failing) -> str:
    why = (
        f"it answered 410 (gone) at {_day(failing.latest)}"
        if failing.gone
        else f"nothing but failures since {_day(failing.since)}"
    )
    return f"the endpoint is disabled, {why}; jobs.retry of one of its webhooks asks it again"


def _day(at: float) -> str:
    return f"{moment(at):%Y-%m-%d %H:%M} UTC"
