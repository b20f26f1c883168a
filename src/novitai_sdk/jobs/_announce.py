"""Who waits for what in a store, and telling them after a commit."""

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from .._promise import Promise, fulfil, reject
from ..models import Job
from ._store import Record

if TYPE_CHECKING:
    from ._offers import Standing

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

_log = logging.getLogger("novitai_sdk")


class Events:
    """What one commit did that somebody may wait for.

    Attributes:
        records: Version and record, None where deleted, by kind and key.
        settled: Jobs that completed or failed.
        due_by_type: Epoch seconds when the earliest job it made available is due, by type.
        offers: What owners offer from now on, None where they offer nothing.
        lost: Whether a job was taken from the worker that is at it.
    """

    __slots__ = ("due_by_type", "lost", "offers", "records", "settled")

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[int, Record | None]] = {}
        self.settled: list[Job] = []
        self.due_by_type: dict[str, float] = {}
        self.offers: dict[str, Standing | None] = {}
        self.lost = False

    def clear(self) -> None:
        """Note that nothing happened after all."""
        self.records.clear()
        self.settled.clear()
        self.due_by_type.clear()
        self.offers.clear()
        self.lost = False

    def add(self, other: "Events") -> None:
        """Note what *other* noted too."""
        self.records.update(other.records)
        self.settled += other.settled
        self.offers.update(other.offers)
        self.lost = self.lost or other.lost
        for type_, due in other.due_by_type.items():
            self.work(type_, due)

    def work(self, type_: str, due: float) -> None:
        """Note a job of *type_* that is due at *due*."""
        known = self.due_by_type.get(type_)
        if known is None or due < known:
            self.due_by_type[type_] = due


class _Waiting(Generic[K, T]):
    """Futures by what they wait for; a cancelled one leaves by itself."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._futures: defaultdict[K, dict[Promise[T], int]] = defaultdict(dict)

    def add(self, key: K, after: int = 0) -> Promise[T]:
        future: Promise[T] = Promise()
        with self._lock:
            self._futures[key][future] = after
        future.add_done_callback(lambda _: self._leave(key, future))
        return future

    def at(self, key: K) -> list[tuple[Promise[T], int]]:
        # Copied: futures are settled outside the lock, since their callbacks come back for it.
        with self._lock:
            return list(self._futures[key].items()) if key in self._futures else []

    def __bool__(self) -> bool:
        return bool(self._futures)

    def keys(self) -> list[K]:
        with self._lock:
            return list(self._futures)

    def everyone(self) -> list[Promise[T]]:
        with self._lock:
            return [future for futures in self._futures.values() for future in futures]

    def _leave(self, key: K, future: Promise[T]) -> None:
        with self._lock:
            futures = self._futures.get(key)
            if futures is not None:
                futures.pop(future, None)
                if not futures:
                    del self._futures[key]


class Announcer:
    """Tells those who wait for records, for jobs to end, and for work.

    To miss nothing, a store registers the waiter first and looks at what is there second.
    """

    def __init__(self) -> None:
        self._records: _Waiting[tuple[str, str], Record | None] = _Waiting()
        self._jobs: _Waiting[str, Job] = _Waiting()
        self._listeners: dict[object, Callable[[float], None]] = {}

    def await_record(self, kind: str, key: str, after: int) -> Promise[Record | None]:
        """A future for the record's next version after *after*."""
        return self._records.add((kind, key), after)

    def await_job(self, job_id: str) -> Promise[Job]:
        """A future for the end of the job."""
        return self._jobs.add(job_id)

    def on_work(self, listener: Callable[[float], None]) -> Callable[[], None]:
        """Have *listener* told of work; returns what ends it."""
        token = object()
        self._listeners[token] = listener

        def unsubscribe() -> None:
            self._listeners.pop(token, None)

        return unsubscribe

    @property
    def listening(self) -> bool:
        """Whether anybody waits for anything."""
        return bool(self._listeners or self._records or self._jobs)

    def awaited_records(self) -> Sequence[tuple[str, str]]:
        """Kind and key of the records that somebody waits for."""
        return self._records.keys()

    def awaited_jobs(self) -> Sequence[str]:
        """Ids of the jobs that somebody waits for."""
        return self._jobs.keys()

    def publish(self, events: Events) -> None:
        """Tell everyone concerned; called after the commit, never before."""
        for (kind, key), (version, record) in events.records.items():
            self.show_record(kind, key, version, record)
        for job in events.settled if self._jobs else ():
            self.show_job(job)
        if events.lost:
            self.show_work(0.0)
        elif events.due_by_type:
            self.show_work(min(events.due_by_type.values()))

    def show_record(self, kind: str, key: str, version: int, record: Record | None) -> None:
        """Tell those whose wait for the record is over, now that it is *record* at *version*."""
        for future, after in self._records.at((kind, key)):
            # News may arrive late and out of order; versions only grow, so old news is recognised. Whoever
            # waits for a record to appear (after 0) is not concerned by its deletion.
            if version > after and (record is not None or after > 0):
                fulfil(future, record)

    def show_job(self, job: Job) -> None:
        """Tell those who wait for the end of *job*."""
        for future, _ in self._jobs.at(job.id):
            fulfil(future, job)

    def show_no_job(self, job_id: str, error: Exception) -> None:
        """Tell those who wait for a job that does not exist."""
        for future, _ in self._jobs.at(job_id):
            reject(future, error)

    def show_work(self, due: float) -> None:
        """Tell the listeners that there is work, due at *due* (epoch seconds; 0 for unknown, and for lost claims)."""
        for listener in tuple(self._listeners.values()):
            try:
                listener(due)
            except Exception:  # noqa: BLE001 - one listener's mistake must not stop the others, nor the store
                _log.exception("a listener for work failed")

    def close(self, error: Callable[[], Exception]) -> None:
        """Let everybody's wait fail."""
        self._listeners.clear()
        for one in self._records.everyone():
            reject(one, error())
        for other in self._jobs.everyone():
            reject(other, error())
