"""A store that forgets everything when the process ends."""

from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Lock
from typing import TypeVar

import attrs

from .._promise import Future, Promise, fulfil, reject
from ..models import Job, JobQueueStats, JobStatus
from . import _forks, _life
from ._announce import Announcer
from ._errors import ClaimLost, JobError, JobNotFound, StoreClosed, StoreError
from ._listing import JobPage, JobQuery
from ._offers import Delivery, Standing, fill, left_over, with_offered
from ._owners import Steadiness
from ._retention import STEP, Retention, ended
from ._state import Draft, State, record_at
from ._store import (
    MINUTES,
    Backlog,
    Batch,
    Change,
    Claim,
    Offer,
    Record,
    Settlement,
    key_taken,
    measured,
    queue_stats,
    unfit,
)

__all__ = ["MemoryStore"]

T = TypeVar("T")


class MemoryStore:
    """Keeps jobs and records in this process, for tests and for those who want no file.

    It answers at once, in the caller's thread, and follows the same rules as a durable store. After a fork
    the parent has all that is unfinished; the child begins with the records and the jobs that have ended.

    Args:
        retention: How long finished jobs are kept, by the clock of those who claim.
    """

    def __init__(self, *, retention: Retention | None = None) -> None:
        self._retention = retention or Retention()
        self._lock = Lock()
        self._announcer = Announcer()
        self._closed = False
        self._state = State()
        self._offers: dict[str, Standing] = {}
        self._steadiness = Steadiness()
        _forks.watch(self)

    def commit(self, change: Change) -> "Future[None]":
        """Store *change*, all of it or nothing."""
        return self._transact(lambda draft: draft.change(change))

    def settle(self, settlements: Sequence[Settlement]) -> "Future[tuple[JobError | None, ...]]":
        """End attempts, each on its own; answer with why each was refused."""
        answers: list[JobError | None] = []
        future: Promise[tuple[JobError | None, ...]] = Promise()
        for settlement in settlements:
            error = self.commit(Change(settle=settlement)).exception()
            if isinstance(error, StoreError):
                future.set_exception(error)
                return future
            if error is not None and not isinstance(error, JobError):
                error = unfit(settlement, error)
            answers.append(error)
        future.set_result(tuple(answers))
        return future

    def read(self, kind: str, key: str) -> "Future[Record | None]":
        """The record, or None."""

        def look() -> Record | None:
            there = self._state.records.get((kind, key))
            return record_at((kind, key), there) if there else None

        return self._look(look)

    def scan(self, kind: str) -> "Future[tuple[Record, ...]]":
        """All records of *kind*, by key."""
        return self._look(
            lambda: tuple(
                record_at(place, there)
                for place, there in sorted(self._state.records.items())
                if place[0] == kind
            )
        )

    def versions(self, kind: str, keys: Collection[str]) -> "Future[Mapping[str, int]]":
        """The versions of those of *keys* that are there."""

        def look() -> Mapping[str, int]:
            found = ((key, self._state.records.get((kind, key))) for key in keys)
            return {key: there[1] for key, there in found if there}

        return self._look(look)

    def job(self, job_id: str) -> "Future[Job | None]":
        """The job, or None."""

        def look() -> Job | None:
            entry = self._state.entries.get(job_id)
            return entry.shown() if entry else None

        return self._look(look)

    def holder(self, key: str) -> "Future[Job | None]":
        """The pending or processing job of *key*, or None."""

        def look() -> Job | None:
            entry = Draft(self._state).holder(key)
            return None if entry is None else entry.shown()

        return self._look(look)

    def jobs(self, query: JobQuery) -> "Future[tuple[Job, ...]]":
        """The jobs *query* asks for."""
        return self._look(lambda: self._page(query).jobs)

    def page(self, query: JobQuery) -> "Future[JobPage]":
        """The same, and where the page after them begins."""
        return self._look(lambda: self._page(query))

    def _page(self, query: JobQuery) -> JobPage:
        behind = query.place()
        found = sorted(
            (place, entry.job.id)
            for entry in self._state.entries.values()
            if query.asks_for(entry.job, entry.key)
            for place in (query.place_of(entry.job, entry.seq),)
            if behind is None or place > behind
        )
        last = query.offset + query.limit + 1 if query.limit else None
        entries = (self._state.entries[job_id] for _, job_id in found[query.offset : last])
        return query.page([(entry.shown(), entry.seq) for entry in entries])

    def stats(self, now: float | None = None) -> "Future[JobQueueStats]":
        """How many jobs there are; with *now*, also how many are due and how many ended lately."""

        def look() -> JobQueueStats:
            found = queue_stats(self._state.counts)
            if now is None:
                return found
            at = _life.rounded(now)
            ended = [self._state.ended_since(at - 60 * minutes) for minutes in MINUTES]
            return measured(found, self._backlog(at), ended)

        return self._look(look)

    def backlog(self, now: float) -> "Future[Backlog]":
        """What is due at *now* and not taken."""
        return self._look(lambda: self._backlog(_life.rounded(now)))

    def _backlog(self, now: float) -> Backlog:
        dues = self._state.dues(now)
        return Backlog(depth=len(dues), oldest_due=min(dues, default=None))

    def claim(
        self,
        owner: str,
        limit_by_type: Mapping[str, int],
        now: float,
        lease: float,
        offer: Offer | None = None,
        monotonic: float | None = None,
    ) -> "Future[Batch]":
        """Take due jobs for *owner*; lapsed ones go back before."""
        now = _life.rounded(now)

        def take(draft: Draft) -> Batch:
            # Whoever claimed here is of this process, which lives.
            grace = self._steadiness.grace(now, monotonic, lease)
            overdue = [entry for entry in self._state.held() if entry.lease_until <= now]
            for entry in overdue if grace <= 0 else ():
                draft.events.lost = True
                draft.put(entry.moved(_life.lapse(entry.job, now)))
            self._state.apply(draft)  # what has just gone back is there to be taken
            free = with_offered(limit_by_type, self._offers.get(owner))
            batch = self._take(draft, owner, free, now, lease)
            sights = [now + grace] if overdue and grace > 0 else []
            sights += [] if batch.next_due is None else [batch.next_due]
            standing = left_over(free, batch.claims, offer, lease)
            draft.events.offers[owner] = standing
            self._state.retain(self._retention, now)
            return attrs.evolve(
                batch,
                next_due=min(sights, default=None),
                offered=standing.slots if standing else {},
            )

        return self._transact(take)

    def _take(
        self, draft: Draft, owner: str, free: Mapping[str, int], now: float, lease: float
    ) -> Batch:
        claims: list[Claim] = []
        sights: list[float] = []
        for type_, limit in free.items():
            ripe, later = self._state.ripe(type_, limit, now)
            sights += [] if later is None else [later]
            for entry in ripe:
                number = entry.number + 1
                job = _life.claim(entry.job, now)
                taken = attrs.evolve(
                    entry, job=job, owner=owner, number=number, lease_until=now + lease
                )
                draft.put(taken)
                due = _life.due(entry.job)
                claims.append(Claim(job=taken.shown(), owner=owner, number=number, due=due))
        self._state.apply(draft)
        sights += [entry.lease_until for entry in self._state.held() if entry.lease_until > now]
        return Batch(claims=tuple(claims), next_due=min(sights, default=None))

    def withdraw(self, owner: str) -> "Future[None]":
        """Take the slots of *owner* off offer."""
        return self._transact(lambda draft: draft.events.offers.update({owner: None}))

    def renew(self, claims: Sequence[Claim], now: float, lease: float) -> "Future[frozenset[str]]":
        """Give *claims* another *lease* seconds; answer with the ids of lost ones."""

        def prolong(draft: Draft) -> frozenset[str]:
            lost: set[str] = set()
            for claim in claims:
                try:
                    draft.put(attrs.evolve(draft.held(claim), lease_until=now + lease))
                except ClaimLost:
                    lost.add(claim.job.id)
            return frozenset(lost)

        return self._transact(prolong)

    def lost(self, claims: Sequence[Claim]) -> "Future[frozenset[str]]":
        """The ids of those of *claims* that are no longer held."""

        def look() -> frozenset[str]:
            there = self._state.entries
            return frozenset(
                claim.job.id
                for claim in claims
                if claim.job.id not in there or not there[claim.job.id].held_by(claim)
            )

        return self._look(look)

    def retry(self, job_id: str, now: float) -> "Future[Job]":
        """Give a failed job a new life."""

        def revive(draft: Draft) -> Job:
            entry = draft.expect(job_id)
            job = _life.revive(entry.job, now)
            if entry.key is not None:
                holder = draft.holder(entry.key)
                if holder is not None:
                    raise key_taken(job_id, entry.key, holder.job.id)
                draft.keys[entry.key] = job_id
            draft.put(entry.moved(job))
            return draft.expect(job_id).shown()

        return self._transact(revive)

    def cancel(self, job_id: str, now: float, reason: str) -> "Future[Job]":
        """End a pending or processing job as failed."""

        def end(draft: Draft) -> Job:
            entry = draft.expect(job_id)
            draft.events.lost = entry.owner is not None
            draft.put(entry.moved(_life.cancel(entry.job, now, reason)))
            return draft.expect(job_id).shown()

        return self._transact(end)

    def purge(
        self, before: float, status: JobStatus | None = None, limit: int = STEP
    ) -> "Future[int]":
        """Remove jobs that ended at *before* or earlier."""
        before, statuses = _life.rounded(before), ended(status)
        return self._look(lambda: self._state.purge(before, statuses, limit))

    def changed(self, kind: str, key: str, after: int) -> "Future[Record | None]":
        """Wait until the record's version is more than *after*."""
        future = self._announcer.await_record(kind, key, after)

        def look() -> tuple[int, Record | None]:
            there = self._state.records.get((kind, key))
            return (
                (there[1], record_at((kind, key), there)) if there else (self._state.revision, None)
            )

        found = self._look(look)
        error = found.exception()
        if error is not None:
            reject(future, error)
        else:
            self._announcer.show_record(kind, key, *found.result())
        return future

    def settled(self, job_id: str) -> "Future[Job]":
        """Wait until the job has completed or failed."""
        future = self._announcer.await_job(job_id)
        found = self.job(job_id)
        error = found.exception()
        if error is not None:
            reject(future, error)
            return future
        job = found.result()
        if job is None:
            reject(future, JobNotFound(job_id))
        elif job.status in _life.SETTLED:
            fulfil(future, job)
        return future

    def on_work(self, listener: Callable[[float], None]) -> Callable[[], None]:
        """Have *listener* told when there is work; returns what ends it."""
        return self._announcer.on_work(listener)

    def close(self, timeout: float | None = None) -> None:
        """Refuse everything from now on."""
        with self._lock:
            self._closed = True
        self._announcer.close(lambda: StoreClosed("the store was closed"))

    def before_fork(self) -> None:
        """Let no thread be inside while the process forks."""
        self._lock.acquire()

    def after_fork(self, in_child: bool) -> None:
        """Go on; the child begins anew."""
        if in_child:
            # Its waiters are threads that the child does not have; and a job that both had would be done by both.
            self._announcer = Announcer()
            self._offers = {}
            self._state.forget_live()
        self._lock.release()

    def _look(self, look: Callable[[], T]) -> "Future[T]":
        return self._transact(lambda _: look())

    def _transact(self, work: Callable[[Draft], T]) -> "Future[T]":
        future: Promise[T] = Promise()
        with self._lock:
            draft = Draft(self._state)
            try:
                if self._closed:
                    raise StoreClosed("the store is closed")
                answer = work(draft)
            except Exception as error:  # noqa: BLE001 - the caller finds it in the future
                future.set_exception(error)
                return future
            self._state.apply(draft)
            taken = self._fill_offers(draft)
        # Outside the lock: those who are told may come right back.
        for offer, claims in taken.values():
            offer.deliver(claims)
        self._announcer.publish(draft.events)
        future.set_result(answer)
        return future

    def _fill_offers(self, draft: Draft) -> dict[str, Delivery]:
        """Let idle workers have what this change made due."""
        for owner, standing in draft.events.offers.items():
            if standing is None:
                self._offers.pop(owner, None)
            else:
                self._offers[owner] = standing

        def take(
            owner: str, slots: Mapping[str, int], now: float, lease: float
        ) -> tuple[Claim, ...]:
            return self._take(draft, owner, slots, _life.rounded(now), lease).claims

        taken = fill(self._offers, draft.events.due_by_type, take) if self._offers else {}
        for owner in taken:
            del self._offers[owner]
        return taken
