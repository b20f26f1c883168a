"""A store in one SQLite file that survives the death of its process, and a power cut.

One thread writes: it takes all that waits, does it in one transaction, and only then answers. Another reads. Several
processes may share the file.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from .._mailbox import OneWake
from .._promise import Future, Promise, reject
from .._waiting import SystemClock
from ..models import Job, JobQueueStats, JobStatus
from . import _exits, _forks, _life
from ._announce import Announcer, Events
from ._arrivals import arrival
from ._batch import Refusal, Task, perform
from ._errors import JobError, JobNotFound, StoreClosed, StoreError
from ._file import StoreFile
from ._listing import JobPage, JobQuery
from ._offers import Delivery, Standing, fill, left_over, with_offered
from ._owners import OwnerLocks, Steadiness
from ._retention import STEP, Retention, ended
from ._rows import Rows
from ._store import Backlog, Batch, Change, Claim, Offer, Record, Settlement
from ._upkeep import Upkeep
from ._worker import Worker

__all__ = ["SqliteStore"]

T = TypeVar("T")

_log = logging.getLogger("novitai_sdk")

# Another process's commits are seen by asking a counter that costs three microseconds. Asked only while
# somebody here waits for something.
_GLANCE: Final = 0.5

# While another process holds jobs, its death is noticed within this many seconds.
_WATCH: Final = 2.0

# Seconds, as those who claim count them, between two looks for jobs that no claim would ever come by.
_ASTRAY: Final = 60.0

_EXIT_TIMEOUT: Final = 3.0

# A transaction that takes more seconds than this has waited: for another process, or for a slow disk.
_LONG: Final = 0.002

_CLOCK: Final = SystemClock()

_ONE_WAKE: Final = OneWake()

_never_closed: list[sqlite3.Connection] = []


def _absolute(path: "str | os.PathLike[str]") -> Path:
    """The whole path of a file. Raises StoreError where there can be none of that name."""
    if "\0" in os.fspath(path):
        raise StoreError(f"{os.fspath(path)!r} is no name of a file: it has a NUL in it")
    try:
        return Path(path).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # no such user, or no directory to be in
        raise StoreError(
            f"{os.fspath(path)!r} names no place: {error}; give its whole path"
        ) from error


class SqliteStore:
    """Keeps jobs and records in the SQLite file *path*.

    The file and what SQLite puts beside it are readable for this user only, also if a file of this user was
    not so before. It is made if it is not there; a file of another program, a damaged one or one of a later
    version is refused and left as it is. The file must be on a disk of this machine.

    Args:
        path: The file. A missing directory is made, for this user only.
        synchronous: ``"FULL"`` survives a power cut. ``"NORMAL"`` is several times faster for one
            caller and may forget the last moments at a power cut; the death of the process alone loses
            nothing either way.
        busy_timeout: Seconds to wait for another process that holds the file.
        max_bytes: Refuse to let the file grow beyond this size; None for no limit.
        retention: How long finished jobs are kept, by the clock of those who claim here.
        allow_network_disk: Take the file although it lies on a network file system. Then no second
            process may use it, above all none of another machine: they would not see each other's
            locks and damage it. And what was acknowledged is as safe as that file system makes it.

    Raises:
        StoreForeign: The file belongs to another program, or to another user.
        StoreTooNew: A later version of this library wrote it.
        StoreCorrupt: It is damaged.
        StoreReadOnly: It, or its directory, cannot be written.
        StoreBusy: Another process holds it.
        StoreFull: There is no room to make it.
        StoreGone: It was moved, removed or replaced while it was open; raised by later calls only.
        StoreError: It cannot be used for another reason, which the message names.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        synchronous: str = "FULL",
        busy_timeout: float = 5.0,
        max_bytes: int | None = None,
        retention: Retention | None = None,
        allow_network_disk: bool = False,
    ) -> None:
        if synchronous not in ("FULL", "NORMAL"):
            raise ValueError(f'synchronous is {synchronous!r}: "FULL" or "NORMAL" is expected')
        # Absolute: a program may change its directory later, and the threads open the file again.
        self.path: Path = _absolute(path)
        self._file = StoreFile(
            self.path,
            synchronous=synchronous,
            busy_timeout=busy_timeout,
            max_bytes=max_bytes,
            allow_network_disk=allow_network_disk,
        )
        self._retention = retention or Retention()
        self._closed = False
        self._now = 0.0
        self._file.prepare()
        self._begin()
        _forks.watch(self)
        _exits.stores.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._announcer = Announcer()
        self._owners = OwnerLocks(self.path)
        self._steadiness = Steadiness()
        self._looked_for_dead = float("-inf")
        self._looked_for_astray = float("-inf")
        self._others: frozenset[str] = frozenset()
        self._abroad: int | None = None
        self._offers: dict[str, Standing] = {}
        self._upkeep = Upkeep(self._retention)
        self._neglected = False
        self._write_db: sqlite3.Connection | None = None
        self._read_db: sqlite3.Connection | None = None
        name = self.path.name
        self._writer: Worker[Task[Any]] = Worker(
            f"novitai-store-write {name}", self._write, self._rest, self._leave_writer
        )
        self._reader: Worker[Task[Any]] = Worker(
            f"novitai-store-read {name}", self._read, lambda: None, self._leave_reader
        )

    # The port

    def commit(self, change: Change) -> "Future[None]":
        """Store *change*, all of it or nothing."""
        if change.writes or change.settle or change.held or not change.jobs:
            return self._do(self._writer, lambda rows, events: rows.commit(change, events))
        # Made into rows here: whoever goes on with what a job holds does not change what is stored.
        try:
            arrivals = tuple(map(arrival, change.jobs))
        except Exception as error:  # noqa: BLE001 - the caller finds it in the future
            refused: Promise[None] = Promise()
            refused.set_exception(self._closed_error() if self._closed else error)
            return refused
        return self._give(
            self._writer, Task(lambda rows, events: rows.add(arrivals, events), arrivals)
        )

    def settle(self, settlements: Sequence[Settlement]) -> "Future[tuple[JobError | None, ...]]":
        """End attempts, each on its own; answer with why each was refused."""
        ended = tuple(settlements)
        return self._do(self._writer, lambda rows, events: rows.settle(ended, events))

    def read(self, kind: str, key: str) -> "Future[Record | None]":
        """The record, or None."""
        return self._do(self._reader, lambda rows, _: rows.read(kind, key))

    def scan(self, kind: str) -> "Future[tuple[Record, ...]]":
        """All records of *kind*, by key."""
        return self._do(self._reader, lambda rows, _: rows.scan(kind))

    def versions(self, kind: str, keys: Collection[str]) -> "Future[Mapping[str, int]]":
        """The versions of those of *keys* that are there."""
        return self._do(self._reader, lambda rows, _: rows.versions(kind, tuple(keys)))

    def job(self, job_id: str) -> "Future[Job | None]":
        """The job, or None."""
        return self._do(self._reader, lambda rows, _: rows.job(job_id))

    def holder(self, key: str) -> "Future[Job | None]":
        """The pending or processing job of *key*, or None."""
        return self._do(self._reader, lambda rows, _: rows.holder(key))

    def jobs(self, query: JobQuery) -> "Future[tuple[Job, ...]]":
        """The jobs *query* asks for."""
        return self._do(self._reader, lambda rows, _: rows.page(query).jobs)

    def page(self, query: JobQuery) -> "Future[JobPage]":
        """The same, and where the page after them begins."""
        return self._do(self._reader, lambda rows, _: rows.page(query))

    def stats(self, now: float | None = None) -> "Future[JobQueueStats]":
        """How many jobs there are; with *now*, also how many are due and how many ended lately."""
        now = None if now is None else _life.rounded(now)
        return self._do(self._reader, lambda rows, _: rows.stats(now))

    def backlog(self, now: float) -> "Future[Backlog]":
        """What is due at *now* and not taken."""
        return self._do(self._reader, lambda rows, _: rows.backlog(_life.rounded(now)))

    def claim(
        self,
        owner: str,
        limit_by_type: Mapping[str, int],
        now: float,
        lease: float,
        offer: Offer | None = None,
        monotonic: float | None = None,
    ) -> "Future[Batch]":
        """Take due jobs for *owner*; those of the dead go back before."""
        asked, now = dict(limit_by_type), _life.rounded(now)
        self._now = now
        self._upkeep.tell(now)

        def take(rows: Rows, events: Events) -> Batch:
            self._owners.take(owner)
            grace = self._steadiness.grace(now, monotonic, lease)
            overdue = rows.overdue(now)
            dead, others = self._find_dead(rows, now, overdue)
            spared = overdue & (others | self._owners.mine) if grace > 0 else frozenset[str]()
            if dead or overdue > spared:
                rows.lapse(now, dead, events, spared)
            if abs(now - self._looked_for_astray) >= _ASTRAY:
                self._looked_for_astray = now
                rows.end_astray(asked, now, events)
            free = with_offered(asked, events.offers.get(owner, self._offers.get(owner)))
            batch = rows.claim(owner, free, now, lease, events)
            standing = left_over(free, batch.claims, offer, lease)
            events.offers[owner] = standing
            sights = [now + grace] if spared else []
            sights += [now + _WATCH] if others else []
            sights += [] if batch.next_due is None else [batch.next_due]
            return attrs.evolve(
                batch,
                next_due=min(sights, default=None),
                offered=standing.slots if standing else {},
            )

        return self._do(self._writer, take)

    def withdraw(self, owner: str) -> "Future[None]":
        """Take the slots of *owner* off offer."""
        return self._do(self._writer, lambda _, events: events.offers.update({owner: None}))

    def renew(self, claims: Sequence[Claim], now: float, lease: float) -> "Future[frozenset[str]]":
        """Give *claims* another *lease* seconds; answer with the ids of lost ones."""
        held = tuple(claims)
        return self._do(self._writer, lambda rows, _: rows.renew(held, now, lease))

    def lost(self, claims: Sequence[Claim]) -> "Future[frozenset[str]]":
        """The ids of those of *claims* that are no longer held."""
        held = tuple(claims)
        return self._do(self._reader, lambda rows, _: rows.lost(held))

    def retry(self, job_id: str, now: float) -> "Future[Job]":
        """Give a failed job a new life."""
        return self._do(self._writer, lambda rows, events: rows.retry(job_id, now, events))

    def cancel(self, job_id: str, now: float, reason: str) -> "Future[Job]":
        """End a pending or processing job as failed."""
        return self._do(self._writer, lambda rows, events: rows.cancel(job_id, now, reason, events))

    def purge(
        self, before: float, status: JobStatus | None = None, limit: int = STEP
    ) -> "Future[int]":
        """Remove jobs that ended at *before* or earlier."""
        before, statuses = _life.rounded(before), ended(status)
        return self._do(self._writer, lambda rows, _: rows.purge(before, statuses, limit))

    def changed(self, kind: str, key: str, after: int) -> "Future[Record | None]":
        """Wait until the record's version is more than *after*."""
        future = self._announcer.await_record(kind, key, after)
        return self._look_for(future, lambda rows, _: self._show_records(rows, [(kind, key)]))

    def settled(self, job_id: str) -> "Future[Job]":
        """Wait until the job has completed or failed."""
        future = self._announcer.await_job(job_id)
        return self._look_for(future, lambda rows, _: self._show_jobs(rows, [job_id]))

    def on_work(self, listener: Callable[[float], None]) -> Callable[[], None]:
        """Have *listener* told when there is work; returns what ends it."""
        unsubscribe = self._announcer.on_work(listener)
        self._watch_others()
        return unsubscribe

    def close(self, timeout: float | None = None) -> None:
        """Finish what was accepted, give back the jobs held from here, end the threads.

        Raises:
            StoreError: The threads did not end within *timeout* seconds; or jobs are held from here and none could be
                started to give them back, and the store is open still.
        """
        with self._lock:
            if self._closed:
                return
            if self._owners.mine:
                self._writer.put(Task(self._release))
            self._closed = True
        ended = self._writer.end(timeout) and self._reader.end(timeout)
        self._announcer.close(self._closed_error)
        _exits.stores.discard(self)
        if not ended:
            raise StoreError(f"{self.path}: still busy {timeout} seconds after it was closed")
        self._owners.release()

    def close_at_exit(self) -> None:
        """Finish what was accepted."""
        try:
            self.close(_EXIT_TIMEOUT)
        except StoreError as error:  # such as that the interpreter starts no new threads any more
            _log.warning("the job store was not closed at exit: %s", error)

    # Around a fork

    def before_fork(self) -> None:
        """Leave no connection open: SQLite's locks belong to a process, and a child that had inherited
        its bookkeeping of them could corrupt the file."""
        self._lock.acquire()
        self._writer.end(_EXIT_TIMEOUT)
        self._reader.end(_EXIT_TIMEOUT)

    def after_fork(self, in_child: bool) -> None:
        """Go on; the child begins anew, as an owner of its own."""
        if in_child:
            # Normally None. A connection that could not be closed in time must not be closed here either.
            _never_closed.extend(db for db in (self._write_db, self._read_db) if db is not None)
            self._owners.forget()
            self._begin()
            return
        self._lock.release()
        self._watch_others()

    # Threads

    def _do(self, worker: "Worker[Task[Any]]", run: Callable[[Rows, Events], T]) -> "Future[T]":
        return self._give(worker, Task(run))

    def _give(self, worker: "Worker[Task[Any]]", task: "Task[T]") -> "Future[T]":
        with self._lock:
            if self._closed:
                task.set_exception(self._closed_error())
                return task
            try:
                worker.put(task)
            except StoreError as error:
                task.set_exception(error)
        return task

    def _write(self, tasks: Sequence[Task[Any]]) -> None:
        """Do *tasks* in one transaction; those that fail alone do not sink the others."""
        self._upkeep.wrote()
        tasks = [task for task in tasks if task.set_running_or_notify_cancel()]
        events = Events()
        try:
            self._file.check()
            begun = _CLOCK.monotonic()
            if self._write_db is None:
                self._write_db = self._file.connect()
            ends, taken = perform(
                self._write_db,
                tasks,
                events,
                self._fill_offers,
                self._file.translate,
                offered=bool(self._offers),
            )
            # Again, where it had to wait: what went into a file that is gone must not be acknowledged. Of less, nobody
            # can tell whether the file went before it or after.
            if _CLOCK.monotonic() - begun > _LONG:
                self._file.check()
        except Exception as error:  # noqa: BLE001 - the callers find it in their futures
            self._abandon(tasks, error)
            return
        if events.offers or taken:
            self._keep_offers(events, taken)
        with _ONE_WAKE:
            for offer, claims in taken.values():
                offer.deliver(claims)
            for task, end in zip(tasks, ends, strict=True):
                if isinstance(end, Refusal):
                    task.set_exception(end.error)
                else:
                    task.set_result(end)
        self._announcer.publish(events)

    def _fill_offers(self, rows: Rows, events: Events) -> dict[str, Delivery]:
        """Let idle workers have what these tasks made due, in the same transaction."""
        if not (self._offers or events.offers):
            return {}
        offers = {**self._offers, **events.offers}
        standing = {owner: one for owner, one in offers.items() if one is not None}

        def take(
            owner: str, slots: Mapping[str, int], now: float, lease: float
        ) -> tuple[Claim, ...]:
            return rows.take(owner, slots, _life.rounded(now), lease, events)

        return fill(standing, dict(events.due_by_type), take)

    def _keep_offers(self, events: Events, taken: Collection[str]) -> None:
        for owner, standing in (*events.offers.items(), *((owner, None) for owner in taken)):
            if standing is None:
                self._offers.pop(owner, None)
            else:
                self._offers[owner] = standing

    def _abandon(self, tasks: Sequence[Task[Any]], error: Exception) -> None:
        """Let all of *tasks* fail, and begin the next batch on a fresh connection."""
        # First what it means, which may show in the files, and then the end of the connection, which tidies them.
        meanings = [self._file.translate(error) for _ in tasks]
        self._leave_writer()
        for task, meaning in zip(tasks, meanings, strict=True):
            task.set_exception(meaning)

    def _read(self, tasks: Sequence[Task[Any]]) -> None:
        for task in tasks:
            if not task.set_running_or_notify_cancel():
                continue
            try:
                self._file.check()
                if self._read_db is None:
                    self._read_db = self._file.connect()
                    # Not opened read-only: SQLite could not make the files beside it that reading needs.
                    self._read_db.execute("PRAGMA query_only = ON")
                self._read_db.execute("BEGIN")  # one view, however many statements look
                answer = task.run(Rows(self._read_db), Events())
                self._read_db.execute("COMMIT")
            except Exception as error:  # noqa: BLE001 - the caller finds it in the future
                self._leave_reader()
                task.set_exception(self._file.translate(error))
            else:
                task.set_result(answer)

    def _leave_writer(self) -> None:
        db, self._write_db, self._abroad = self._write_db, None, None
        if db is not None:
            db.close()  # an open transaction is rolled back by that

    def _leave_reader(self) -> None:
        db, self._read_db = self._read_db, None
        if db is not None:
            db.close()

    # Waiting, also for other processes

    def _look_for(self, future: Promise[T], look: Callable[[Rows, Events], None]) -> "Future[T]":
        """Look whether what *future* waits for is there already; then watch other processes too."""

        def looked(done: "Future[None]") -> None:
            error = done.exception()
            if error is not None:
                reject(future, error)

        self._do(self._reader, look).add_done_callback(looked)
        self._watch_others()
        return future

    def _watch_others(self) -> None:
        """Have the writer look, now and then, at what other processes did."""
        with self._lock:
            if self._closed:  # a thread that began after the end would never be told to go
                return
            # Where no thread can be started, what happens here is told all the same, and the next one looks abroad.
            with suppress(StoreError):
                self._writer.poke()

    def _show_records(self, rows: Rows, places: Sequence[tuple[str, str]]) -> None:
        for kind, key in places:
            # Read first: at worst an absence is dated too early, and the news of it is on its way.
            revision = rows.revision()
            record = rows.read(kind, key)
            self._announcer.show_record(kind, key, record.version if record else revision, record)

    def _show_jobs(self, rows: Rows, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            job = rows.job(job_id)
            if job is None:
                self._announcer.show_no_job(job_id, JobNotFound(job_id))
            elif job.status in _life.SETTLED:
                self._announcer.show_job(job)

    def _rest(self) -> float | None:
        """Look after the file while nobody wants anything; answer when to go on."""
        pauses = (self._look_abroad(), self._look_after())
        return min((pause for pause in pauses if pause is not None), default=None)

    def _look_after(self) -> float | None:
        # No file is open where there is trouble, which the next who writes is told.
        if self._write_db is None or self._upkeep.done:
            return None
        try:
            self._file.check()
            pause = self._upkeep.step(self._write_db)
        except (sqlite3.Error, StoreError) as error:
            if not self._neglected:  # once: it comes back with each write while the disk is full
                _log.warning("%s: not looked after: %s", self.path, error)
            self._neglected = True
            self._leave_writer()
            return None
        self._neglected = False
        return pause

    def _look_abroad(self) -> float | None:
        """See whether another process wrote; answer when to look again."""
        if not self._announcer.listening:
            self._abroad = None
            return None
        try:
            if self._write_db is None:
                self._write_db = self._file.connect()
            (version,) = self._write_db.execute("PRAGMA data_version").fetchone()
        except (sqlite3.Error, StoreError):
            # Whoever uses the store next is told; here there is nobody to tell.
            self._leave_writer()
            return _GLANCE
        # The first look counts as news: what was written just before it, nobody would tell.
        if version != self._abroad:
            self._abroad = version
            self._announcer.show_work(0.0)
            places, job_ids = self._announcer.awaited_records(), self._announcer.awaited_jobs()
            if places or job_ids:
                self._show_soon(places, job_ids)
        return _GLANCE

    def _show_soon(self, places: Sequence[tuple[str, str]], job_ids: Sequence[str]) -> None:
        try:
            self._reader.put(Task(lambda rows, _: self._show_all(rows, places, job_ids)))
        except StoreError:  # no thread can be started now: the next look counts as news again
            self._abroad = None

    def _show_all(
        self, rows: Rows, places: Sequence[tuple[str, str]], job_ids: Sequence[str]
    ) -> None:
        self._show_records(rows, places)
        self._show_jobs(rows, job_ids)

    # Owners

    def _find_dead(
        self, rows: Rows, now: float, silent: Collection[str]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Return who is dead and who lives elsewhere; where somebody is *silent*, by a look just now."""
        if not silent and abs(now - self._looked_for_dead) < _WATCH / 4:
            return frozenset(), self._others
        self._looked_for_dead = now
        dead, self._others = self._owners.find(rows.owners())
        return dead, self._others

    def _release(self, rows: Rows, events: Events) -> None:
        mine = self._owners.mine
        rows.release(mine, self._now, events)
        events.offers.update(dict.fromkeys(mine))  # or what goes back would be given to them again

    def _closed_error(self) -> StoreClosed:
        return StoreClosed(f"{self.path} was closed; open it again")
