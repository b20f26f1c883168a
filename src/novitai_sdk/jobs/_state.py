"""What a memory store holds, and the changes to it before they are made."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection
from itertools import takewhile
from operator import itemgetter

import attrs

from ..models import Job, JobStatus
from . import _life, _schedule
from ._announce import Events
from ._errors import ClaimLost, JobNotFound, JobRefused, RecordChanged
from ._retention import ENDED, Retention
from ._store import Change, Claim, NewJob, Record, Write, from_text, settle, to_text

Waits = tuple[float, int, str]


@attrs.frozen
class Entry:
    """A job and what only the store knows of it. The payload is kept as text: nobody can change it."""

    job: Job
    payload: str
    seq: int
    key: str | None = None
    owner: str | None = None
    number: int = 0
    lease_until: float = 0.0

    def shown(self) -> Job:
        return attrs.evolve(self.job, payload=from_text(self.payload))

    def moved(self, job: Job) -> "Entry":
        return attrs.evolve(self, job=job, owner=None)

    def held_by(self, claim: Claim) -> bool:
        return (
            self.job.status is JobStatus.PROCESSING
            and self.owner == claim.owner
            and self.number == claim.number
        )

    @property
    def waits(self) -> tuple[float, int, str]:
        """Its place among waiting jobs of its type and priority."""
        return _life.due(self.job), self.seq, self.job.id

    @property
    def ended(self) -> tuple[float, int, str]:
        """Its place among those that ended as it did."""
        at = self.job.completed_at
        return _life.when(at) if at else 0.0, self.seq, self.job.id


class Draft:
    """What one operation is about to do; seen by nobody until it is applied."""

    def __init__(self, state: "State") -> None:
        self._state = state
        self.entries: dict[str, Entry] = {}
        self.records: dict[tuple[str, str], tuple[str, int] | None] = {}
        self.keys: dict[str, str] = {}
        self.events = Events()
        self.revision = state.revision
        self.arrivals = state.arrivals

    def entry(self, job_id: str) -> Entry | None:
        return self.entries.get(job_id) or self._state.entries.get(job_id)

    def expect(self, job_id: str) -> Entry:
        entry = self.entry(job_id)
        if entry is None:
            raise JobNotFound(job_id)
        return entry

    def put(self, entry: Entry) -> None:
        self.entries[entry.job.id] = entry
        if entry.job.status is JobStatus.PENDING:
            self.events.work(str(entry.job.type), _life.due(entry.job))
        elif entry.job.status in _life.SETTLED:
            self.events.settled.append(entry.shown())

    def holder(self, key: str) -> Entry | None:
        """The live job of *key*."""
        job_id = self.keys.get(key) or self._state.keys.get(key)
        entry = self.entry(job_id) if job_id else None
        return entry if entry is not None and entry.job.status in _life.LIVE else None

    def held(self, claim: Claim) -> Entry:
        entry = self.entry(claim.job.id)
        if entry is None or not entry.held_by(claim):
            raise ClaimLost(claim.job.id)
        return entry

    def change(self, change: Change) -> None:
        if change.held is not None:
            self.held(change.held)
        if change.settle is not None:
            entry = self.held(change.settle.claim)
            self.put(entry.moved(settle(entry.job, change.settle)))
        for write in change.all_writes():
            self._write(write)
        for new in change.all_jobs():
            self._add(new)

    def _write(self, write: Write) -> None:
        place = write.kind, write.key
        there = self.records[place] if place in self.records else self._state.records.get(place)
        found = there[1] if there else 0
        if write.expected is not None and write.expected != found:
            raise RecordChanged(write.kind, write.key, write.expected, found)
        if write.body is None and there is None:
            return
        self.revision += 1
        if write.body is None:
            self.records[place] = None
            self.events.records[place] = self.revision, None
            return
        text = to_text(f"{write.kind} {write.key!r}", write.body)
        self.records[place] = text, self.revision
        self.events.records[place] = self.revision, record_at(place, (text, self.revision))

    def _add(self, new: NewJob) -> None:
        job = _life.admit(new.job, new.key)
        text = to_text(f"job {job.id!r}", job.payload)
        if new.key is not None and self.holder(new.key) is not None:
            return
        if self.entry(job.id) is not None:
            raise JobRefused(f"job {job.id!r} was not stored: there is one of that id")
        self.arrivals += 1
        if new.key is not None:
            self.keys[new.key] = job.id
        self.put(Entry(job=job, payload=text, seq=self.arrivals, key=new.key))


def record_at(place: tuple[str, str], there: tuple[str, int]) -> Record:
    """Return the record at *place* from its text and version."""
    return Record(kind=place[0], key=place[1], version=there[1], body=from_text(there[0]))


class State:
    """Jobs and records, with the lists by which work is found."""

    def __init__(self) -> None:
        self.revision = 0
        self.arrivals = 0
        self.counts: Counter[tuple[str, JobStatus]] = Counter()
        self.records: dict[tuple[str, str], tuple[str, int]] = {}
        self.entries: dict[str, Entry] = {}
        self.keys: dict[str, str] = {}
        # Waiting jobs by type and priority, each list in the order in which its jobs are taken. Places of
        # jobs that have moved on are left behind and dropped when they come up.
        self._waiting: dict[tuple[str, int], list[Waits]] = {}
        self._processing: set[str] = set()
        # When each finished job ended, by status, the earliest first.
        self._ended: dict[JobStatus, list[Waits]] = {status: [] for status in ENDED}

    def apply(self, draft: Draft) -> None:
        """Make the changes of *draft*; it is empty afterwards, and its events are kept."""
        self.revision, self.arrivals = draft.revision, draft.arrivals
        for place, there in draft.records.items():
            if there is None:
                self.records.pop(place, None)
            else:
                self.records[place] = there
        for entry in draft.entries.values():
            self._place(entry)
        self.keys.update(draft.keys)
        draft.entries, draft.records, draft.keys = {}, {}, {}

    def held(self) -> list[Entry]:
        """Jobs being processed, by arrival."""
        return sorted(
            (self.entries[job_id] for job_id in self._processing), key=lambda entry: entry.seq
        )

    def ripe(self, type_: str, limit: int, now: float) -> tuple[list[Entry], float | None]:
        """Return the next jobs of a type, and when one more is due if fewer than *limit* are there."""
        candidates = sorted(
            (
                entry
                for priority in (4, 3, 2, 1)
                for entry in self._first((type_, priority), limit + 1)
            ),
            key=lambda entry: _schedule.claim_order(
                int(entry.job.priority), _life.due(entry.job), entry.seq, now
            ),
        )
        ripe = [entry for entry in candidates if _life.due(entry.job) <= now][:limit]
        if len(ripe) == limit:
            return ripe, None
        later = (_life.due(entry.job) for entry in candidates if _life.due(entry.job) > now)
        return ripe, min(later, default=None)

    def dues(self, now: float) -> list[float]:
        """Since when each job that waits is due, of those that are at *now*."""
        return [
            waits[0]
            for queue in self._waiting.values()
            for waits in takewhile(lambda waits: waits[0] <= now, queue)
            if self._stands_at(waits) is not None
        ]

    def ended_since(self, at: float) -> int:
        """How many jobs ended later than *at*."""
        return sum(
            len(ended) - bisect_right(ended, at, key=itemgetter(0))
            for ended in self._ended.values()
        )

    def purge(self, before: float, statuses: Collection[JobStatus], limit: int) -> int:
        """Remove jobs of *statuses* that ended at *before* or earlier, the earliest first."""
        most = max(0, limit)
        old = sorted(
            (*place, status)
            for status in statuses
            for place in self._ended[status][:most]
            if place[0] <= before
        )
        taken = Counter(status for *_, status in old[:most])
        return sum(self._remove(status, count) for status, count in taken.items())

    def retain(self, retention: Retention, now: float) -> None:
        """Remove what has been kept for long enough, one step of it."""
        left = retention.step
        for status in ENDED:
            before = retention.before(status, now)
            if before is not None:
                left -= self.purge(before, (status,), left)
        excess = retention.excess(len(self._ended[JobStatus.COMPLETED]))
        self._remove(JobStatus.COMPLETED, min(left, excess))

    def forget_live(self) -> None:
        """Keep what has ended and the records; what waits or is worked on is somebody else's."""
        live = [one for one, entry in self.entries.items() if entry.job.status in _life.LIVE]
        for job_id in live:
            self._forget(self.entries.pop(job_id))
        self.keys = {key: job_id for key, job_id in self.keys.items() if job_id in self.entries}
        self._waiting.clear()

    def _remove(self, status: JobStatus, count: int) -> int:
        """Remove the *count* jobs that ended as *status* first."""
        gone = self._ended[status][:count]
        del self._ended[status][:count]  # at once: one by one, each would move all that follow
        for _, _, job_id in gone:
            entry = self.entries.pop(job_id)
            self.counts[str(entry.job.type), status] -= 1
            if entry.key is not None and self.keys.get(entry.key) == job_id:
                del self.keys[entry.key]
        return len(gone)

    def _forget(self, entry: Entry) -> None:
        """Take *entry* out of all that is counted."""
        job = entry.job
        self.counts[str(job.type), job.status] -= 1
        self._processing.discard(job.id)
        if job.status in _life.SETTLED:
            ended = self._ended[job.status]
            del ended[bisect_left(ended, entry.ended)]

    def _place(self, entry: Entry) -> None:
        job = entry.job
        before = self.entries.get(job.id)
        if before is not None:
            self._forget(before)
        self.entries[job.id] = entry
        self.counts[str(job.type), job.status] += 1
        if job.status is JobStatus.PROCESSING:
            self._processing.add(job.id)
        elif job.status in _life.SETTLED:
            insort(self._ended[job.status], entry.ended)
        elif job.status is JobStatus.PENDING:
            queue = self._waiting.setdefault((str(job.type), int(job.priority)), [])
            at = bisect_left(queue, entry.waits)
            if queue[at : at + 1] != [
                entry.waits
            ]:  # cancelled and revived, it may still stand there
                queue.insert(at, entry.waits)

    def _stands_at(self, waits: Waits) -> Entry | None:
        """The job that waits at this place, or None if it has moved on."""
        entry = self.entries.get(waits[2])
        if entry is None or entry.job.status is not JobStatus.PENDING or entry.waits != waits:
            return None
        return entry

    def _first(self, place: tuple[str, int], count: int) -> list[Entry]:
        queue = self._waiting.get(place)
        if not queue:
            return []
        found: list[Entry] = []
        looked_at = 0
        for waits in queue:
            if len(found) == count:
                break
            looked_at += 1
            entry = self._stands_at(waits)
            if entry is not None:
                found.append(entry)
        # Only the head is rewritten: a hundred thousand delayed jobs behind it cost nothing.
        queue[:looked_at] = [entry.waits for entry in found]
        return found
