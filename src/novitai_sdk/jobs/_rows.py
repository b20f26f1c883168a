"""Jobs and records as rows: every statement by which they are read and written.

What a move does to a job is decided in ``_life``; here it is only put down. Nothing knows of files,
threads or transactions: each function works inside the transaction its caller has begun.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from ..models import Job, JobPriority, JobQueueStats, JobStatus, JobType
from . import _counts, _life, _schedule, _upkeep
from ._announce import Events
from ._errors import ClaimLost, JobNotFound, JobRefused, RecordChanged
from ._layout import Connection
from ._store import (
    Backlog,
    Batch,
    Change,
    Claim,
    JobQuery,
    NewJob,
    Record,
    Write,
    from_text,
    key_taken,
    settle,
    to_text,
)

# Written out for each status, since SQLite uses a partial index only where it can see its condition.
_LIVE: Final = "status IN ('pending', 'processing')"
_COLUMNS: Final = (
    "seq, id, type, body, status, priority, attempts, max_attempts, created_at, processed_at,"
    " completed_at, next_retry_at, error, key, owner, number, lease_until"
)


@attrs.frozen
class _Row:
    """A job and what only the store knows of it."""

    job: Job
    seq: int
    key: str | None
    owner: str | None
    number: int
    lease_until: float | None

    def held_by(self, claim: Claim) -> bool:
        return (
            self.job.status is JobStatus.PROCESSING
            and self.owner == claim.owner
            and self.number == claim.number
        )


def _row(values: Sequence[Any]) -> _Row:
    processed, completed, retry_at = (
        None if value is None else _life.moment(value) for value in values[9:12]
    )
    job = Job(
        id=values[1],
        type=JobType(values[2]),
        payload=from_text(values[3]),
        status=JobStatus(values[4]),
        priority=JobPriority(values[5]),
        attempts=values[6],
        max_attempts=values[7],
        created_at=_life.moment(values[8]),
        processed_at=processed,
        completed_at=completed,
        next_retry_at=retry_at,
        error=values[12],
    )
    return _Row(job, values[0], *values[13:17])


class Rows:
    """The statements, on one connection."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    # Reading

    def read(self, kind: str, key: str) -> Record | None:
        """The record, or None."""
        found = self._db.execute(
            "SELECT version, body FROM records WHERE kind = ? AND key = ?", (kind, key)
        ).fetchone()
        return found and Record(kind=kind, key=key, version=found[0], body=from_text(found[1]))

    def scan(self, kind: str) -> tuple[Record, ...]:
        """All records of *kind*, by key."""
        rows = self._db.execute(
            "SELECT key, version, body FROM records WHERE kind = ? ORDER BY key", (kind,)
        )
        return tuple(
            Record(kind=kind, key=key, version=version, body=from_text(body))
            for key, version, body in rows
        )

    def revision(self) -> int:
        """The highest version given so far."""
        value: int = self._db.execute("SELECT value FROM revision").fetchone()[0]
        return value

    def job(self, job_id: str) -> Job | None:
        """The job, or None."""
        row = self._find(job_id)
        return row.job if row else None

    def jobs(self, query: JobQuery) -> tuple[Job, ...]:
        """The jobs *query* asks for."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM jobs JOIN payloads USING (seq)"
            " WHERE (:status IS NULL OR status = :status) AND (:type IS NULL OR type = :type)"
            " ORDER BY priority DESC, created_at, seq LIMIT :limit OFFSET :offset",
            {
                "status": None if query.status is None else str(query.status),
                "type": query.type,
                "limit": query.limit or -1,
                "offset": query.offset,
            },
        )
        return tuple(_row(row).job for row in rows)

    def stats(self) -> JobQueueStats:
        """How many jobs there are, by status and by type."""
        return _counts.stats(self._db)

    def backlog(self, now: float) -> Backlog:
        """What is due at *now* and not taken."""
        return _counts.backlog(self._db, now)

    def owners(self) -> set[str]:
        """Who holds claims."""
        rows = self._db.execute("SELECT DISTINCT owner FROM jobs WHERE status = 'processing'")
        return {owner for (owner,) in rows}

    # Writing

    def commit(self, change: Change, events: Events) -> None:
        """Put down *change*."""
        if change.held is not None:
            self._held(change.held)
        if change.settle is not None:
            row = self._held(change.settle.claim)
            self._put([attrs.evolve(row, job=settle(row.job, change.settle), owner=None)], events)
        for write in change.all_writes():
            self._write(write, events)
        for new in change.all_jobs():
            self._add(new, events)

    def lapse(self, now: float, dead: Collection[str], events: Events) -> None:
        """Take back the jobs whose lease has ended or whose owner is among the *dead*."""
        rows = self._rows("status = 'processing' AND lease_until <= ?", (now,))
        for owner in dead:
            rows += self._rows(
                "status = 'processing' AND owner = ? AND lease_until > ?", (owner, now)
            )
        back = [attrs.evolve(row, job=_life.lapse(row.job, now), owner=None) for row in rows]
        self._put(back, events)

    def claim(
        self, owner: str, limit_by_type: Mapping[str, int], now: float, lease: float, events: Events
    ) -> Batch:
        """Take due jobs for *owner*."""
        taken: list[_Row] = []
        sights: list[float] = []
        for type_, limit in limit_by_type.items():
            for seq in self._ripe(type_, limit, now, sights):
                (row,) = self._rows("seq = ?", (seq,))
                taken.append(
                    _Row(
                        job=_life.claim(row.job, now),
                        seq=seq,
                        key=row.key,
                        owner=owner,
                        number=row.number + 1,
                        lease_until=now + lease,
                    )
                )
        self._put(taken, events)
        (lease_end,) = self._db.execute(
            "SELECT min(lease_until) FROM jobs WHERE status = 'processing'"
        ).fetchone()
        sights += [] if lease_end is None else [lease_end]
        claims = (Claim(job=row.job, owner=owner, number=row.number) for row in taken)
        return Batch(claims=tuple(claims), next_due=min(sights, default=None))

    def renew(self, claims: Sequence[Claim], now: float, lease: float) -> frozenset[str]:
        """Give *claims* another *lease* seconds; answer with the ids of lost ones."""
        held: set[tuple[str, str, int]] = set()
        for owner in {claim.owner for claim in claims}:
            held |= {
                (id_, owner, number)
                for id_, number in self._db.execute(
                    "SELECT id, number FROM jobs WHERE status = 'processing' AND owner = ?",
                    (owner,),
                )
            }
        kept = [claim for claim in claims if (claim.job.id, claim.owner, claim.number) in held]
        self._db.executemany(
            "UPDATE jobs SET lease_until = ? WHERE id = ?",
            ((now + lease, claim.job.id) for claim in kept),
        )
        return frozenset(claim.job.id for claim in claims if claim not in kept)

    def retry(self, job_id: str, now: float, events: Events) -> Job:
        """Give a failed job a new life."""
        row = self._expect(job_id)
        job = _life.revive(row.job, now)
        holder = row.key and self._holder(row.key)
        if row.key and holder:
            raise key_taken(job_id, row.key, holder)
        self._put([attrs.evolve(row, job=job)], events)
        return job

    def cancel(self, job_id: str, now: float, reason: str, events: Events) -> Job:
        """End a pending or processing job as failed."""
        row = self._expect(job_id)
        job = _life.cancel(row.job, now, reason)
        self._put([attrs.evolve(row, job=job, owner=None)], events)
        return job

    def release(self, owners: Collection[str], now: float, events: Events) -> None:
        """Take back what *owners* still hold; they are about to go."""
        for owner in owners:
            rows = self._rows("status = 'processing' AND owner = ?", (owner,))
            back = [attrs.evolve(row, job=_life.lapse(row.job, now), owner=None) for row in rows]
            self._put(back, events)

    def purge(self, before: float, statuses: Collection[JobStatus], limit: int) -> int:
        """Remove jobs that ended at *before* or earlier."""
        return _upkeep.purge(self._db, before, statuses, limit)

    def _rows(self, where: str, values: Sequence[Any]) -> list[_Row]:
        # Read to the end before anything is written: a select that goes on through an update of the
        # rows it visits may see them twice.
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM jobs JOIN payloads USING (seq) WHERE {where} ORDER BY seq",
            values,
        )
        return [_row(values) for values in found]

    def _find(self, job_id: str) -> _Row | None:
        return next(iter(self._rows("id = ?", (job_id,))), None)

    def _expect(self, job_id: str) -> _Row:
        row = self._find(job_id)
        if row is None:
            raise JobNotFound(job_id)
        return row

    def _held(self, claim: Claim) -> _Row:
        row = self._find(claim.job.id)
        if row is None or not row.held_by(claim):
            raise ClaimLost(claim.job.id)
        return row

    def _holder(self, key: str) -> str | None:
        found = self._db.execute(
            f"SELECT id FROM jobs WHERE key = ? AND key IS NOT NULL AND {_LIVE}", (key,)
        ).fetchone()
        return found and str(found[0])

    def _ripe(self, type_: str, limit: int, now: float, sights: list[float]) -> list[int]:
        """The next jobs of a type; with a slot to spare, also when one more falls due."""
        candidates: list[tuple[tuple[int, float, int], float, int]] = []
        for priority in (4, 3, 2, 1) if limit > 0 else ():
            waiting = self._db.execute(
                "SELECT seq, due FROM jobs WHERE status = 'pending' AND type = ? AND priority = ?"
                " ORDER BY due, seq LIMIT ?",
                (type_, priority, limit + 1),
            )
            candidates += [
                (_schedule.claim_order(priority, due, seq, now), due, seq) for seq, due in waiting
            ]
        ripe = [seq for _, due, seq in sorted(candidates) if due <= now][:limit]
        if len(ripe) < limit:
            sights += [due for _, due, _ in candidates if due > now]
        return ripe

    def _put(self, rows: Iterable[_Row], events: Events) -> None:
        changes: list[tuple[Any, ...]] = []
        for row in rows:
            job = row.job
            held = job.status is JobStatus.PROCESSING
            changes.append(
                (
                    str(job.status),
                    job.attempts,
                    *_times(job),
                    job.error,
                    row.owner if held else None,
                    row.number,
                    row.lease_until if held else None,
                    row.seq,
                )
            )
            _note(job, events)
        self._db.executemany(
            "UPDATE jobs SET status = ?, attempts = ?, processed_at = ?, completed_at = ?,"
            " next_retry_at = ?, due = ?, error = ?, owner = ?, number = ?, lease_until = ?"
            " WHERE seq = ?",
            changes,
        )

    def _add(self, new: NewJob, events: Events) -> None:
        job = _life.admit(new.job)
        if new.key is not None and self._holder(new.key) is not None:
            return
        if self._find(job.id) is not None:
            raise JobRefused(f"job {job.id!r} was not stored: there is one of that id")
        payload = to_text(f"job {job.id!r}", job.payload)
        added = self._db.execute(
            "INSERT INTO jobs (id, type, status, priority, attempts, max_attempts,"
            " created_at, processed_at, completed_at, next_retry_at, due, error, key)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                job.id,
                str(job.type),
                str(job.status),
                int(job.priority),
                job.attempts,
                job.max_attempts,
                _life.when(job.created_at),
                *_times(job),
                job.error,
                new.key,
            ),
        )
        self._db.execute("INSERT INTO payloads VALUES (?, ?)", (added.lastrowid, payload))
        _note(job, events)

    def _write(self, write: Write, events: Events) -> None:
        place = write.kind, write.key
        there = self._db.execute(
            "SELECT version FROM records WHERE kind = ? AND key = ?", place
        ).fetchone()
        found = there[0] if there else 0
        if write.expected is not None and write.expected != found:
            raise RecordChanged(write.kind, write.key, write.expected, found)
        if write.body is None and there is None:
            return
        self._db.execute("UPDATE revision SET value = value + 1")
        version = self.revision()
        if write.body is None:
            self._db.execute("DELETE FROM records WHERE kind = ? AND key = ?", place)
            events.records[place] = version, None
            return
        text = to_text(f"{write.kind} {write.key!r}", write.body)
        self._db.execute(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", (*place, version, text)
        )
        record = Record(kind=write.kind, key=write.key, version=version, body=from_text(text))
        events.records[place] = version, record


def _times(job: Job) -> tuple[float | None, ...]:
    dates = (job.processed_at, job.completed_at, job.next_retry_at)
    return (*(None if date is None else _life.when(date) for date in dates), _life.due(job))


def _note(job: Job, events: Events) -> None:
    if job.status is JobStatus.PENDING:
        events.work(_life.due(job))
    elif job.status in _life.SETTLED:
        events.settled.append(job)
