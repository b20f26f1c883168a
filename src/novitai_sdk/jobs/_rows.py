"""Jobs and records as rows: the statements by which they are read and written; new jobs come in by ``_arrivals``.

What a move does to a job is decided in ``_life``; here it is only put down. Nothing knows of files,
threads or transactions: each function works inside the transaction its caller has begun.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from ..models import Job, JobQueueStats, JobStatus
from . import _counts, _life, _schedule, _upkeep
from ._announce import Events
from ._arrivals import Arrival, add, arrival, holder_of
from ._errors import ClaimLost, JobError, JobNotFound, RecordChanged
from ._file import is_no_text, is_unfit
from ._layout import Connection
from ._listing import JobPage, JobQuery
from ._reading import COLUMNS, COLUMNS_OF_ARRIVALS, Row, read_record, read_row, unread
from ._store import (
    Backlog,
    Batch,
    Change,
    Claim,
    Record,
    Settlement,
    Write,
    from_text,
    key_taken,
    settle,
    to_text,
    told_with,
    unfit,
)

_log = logging.getLogger("novitai_sdk")

_HELD: Final = "id = ? AND owner = ? AND number = ? AND status = 'processing'"
_SETTLE: Final = (
    "UPDATE jobs SET status = ?, attempts = ?, completed_at = ?, next_retry_at = ?, due = ?, error = ?,"
    f" owner = NULL, lease_until = NULL WHERE {_HELD}"
)
# The first of each priority: ageing decides between them, so none can be left out.
_RIPE: Final = " UNION ALL ".join(
    f"SELECT * FROM (SELECT {priority}, due, seq FROM jobs WHERE status = 'pending' AND type = :type"
    f" AND priority = {priority} AND due <= :now ORDER BY due, seq LIMIT :limit)"
    for priority in (4, 3, 2, 1)
)
# Beyond every number is what is none.
_NEXT_DUE: Final = " UNION ALL ".join(
    "SELECT min(due) FROM jobs"
    f" WHERE status = 'pending' AND type = :type AND priority = {priority} AND due > :now AND due < 9e999"
    for priority in (4, 3, 2, 1)
)
_NEXT_LAPSE: Final = (
    "SELECT min(lease_until) FROM jobs"
    " WHERE status = 'processing' AND lease_until > ? AND lease_until < 9e999"
)
# The gaps between what the claims go through: a step into the index each.
_ASTRAY: Final = " UNION ALL ".join(
    f"SELECT seq FROM jobs WHERE status = 'pending' AND type = :type AND {gap}"
    for gap in (
        "priority < 1",
        *(f"priority > {low} AND priority < {low + 1}" for low in (1, 2, 3)),
        "priority > 4",
        *(f"priority = {priority} AND due >= {_life.END!r}" for priority in (1, 2, 3, 4)),
    )
)
# Older SQLite takes 999 parameters at most.
_AT_ONCE: Final = 500


class Rows:
    """The statements, on one connection."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    # Reading

    def read(self, kind: str, key: str) -> Record | None:
        """The record, or None."""
        found = self._all(
            "SELECT key, version, body FROM records WHERE kind = ? AND key = ?", (kind, key)
        )
        return read_record(kind, *found[0]) if found else None

    def scan(self, kind: str) -> tuple[Record, ...]:
        """All records of *kind*, by key."""
        rows = self._all(
            "SELECT key, version, body FROM records WHERE kind = ? ORDER BY key", (kind,)
        )
        return tuple(read_record(kind, *row) for row in rows)

    def versions(self, kind: str, keys: Sequence[str]) -> Mapping[str, int]:
        """The versions of those of *keys* that are there."""
        found: dict[str, int] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            found.update(
                self._db.execute(
                    f"SELECT key, version FROM records WHERE kind = ? AND key IN ({marks})",
                    (kind, *some),
                )
            )
        return found

    def revision(self) -> int:
        """The highest version given so far."""
        value: int = self._db.execute("SELECT value FROM revision").fetchone()[0]
        return value

    def job(self, job_id: str) -> Job | None:
        """The job, or None."""
        found = self._rows("id = ?", (job_id,)) or self._standing(" WHERE id = ?", (job_id,))
        return found[0].job if found else None

    def holder(self, key: str) -> Job | None:
        """The pending or processing job of *key*, or None."""
        found = self._rows("key = ? AND status IN ('pending', 'processing')", (key,))
        return found[0].job if found else None

    def page(self, query: JobQuery) -> JobPage:
        """The jobs *query* asks for, and where the page after them begins."""
        new = [row for row in self._standing() if query.takes_in(row.job, row.key, row.seq)]
        if not new:
            return query.page([(row.job, row.seq) for row in self._listed(query)])
        # Whichever of them come first: no more of the table than this stands before the page.
        skipped = max(0, query.offset - len(new))
        offset, limit = query.offset - skipped, query.limit and query.limit + query.offset - skipped
        filed = self._listed(attrs.evolve(query, offset=skipped, limit=limit))
        found = sorted(
            ((row.job, row.seq) for row in (*filed, *new)), key=lambda one: query.place_of(*one)
        )
        return query.page(found[offset : limit + 1 if limit else None])

    def _listed(self, query: JobQuery) -> list[Row]:
        seqs, values = query.sql()
        rows = self._all(
            f"SELECT {COLUMNS} FROM jobs WHERE seq IN ({seqs}) ORDER BY {query.sql_order()}",
            values,
        )
        return [read_row(row) for row in rows]

    def _standing(self, where: str = "", values: Sequence[Any] = ()) -> list[Row]:
        """Jobs that are not filed yet."""
        found = self._all(f"SELECT {COLUMNS_OF_ARRIVALS} FROM arrivals{where}", values)
        return [read_row(row) for row in found]

    def lost(self, claims: Sequence[Claim]) -> frozenset[str]:
        """The ids of those of *claims* that are no longer held."""
        held = self._held_by({claim.owner for claim in claims})
        return frozenset(claim.job.id for claim in claims if _holding(claim) not in held)

    def stats(self, now: float | None) -> JobQueueStats:
        """How many jobs there are, by status and by type."""
        return _counts.stats(self._db, now)

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
            self._check_held(change.held)
        if change.settle is not None:
            self._settle(change.settle, events)
        for write in change.all_writes():
            self._write(write, events)
        self.add(map(arrival, change.all_jobs()), events)

    def settle(
        self, settlements: Sequence[Settlement], events: Events
    ) -> tuple[JobError | None, ...]:
        """End attempts, each on its own; answer with why each was refused."""
        if not any(any(told_with(one)) for one in settlements) and self._settle_all(
            settlements, events
        ):
            return (None,) * len(settlements)
        return tuple(self._settle_alone(one, events) for one in settlements)

    def _settle_all(self, settlements: Sequence[Settlement], events: Events) -> bool:
        """End attempts by one statement, if every claim is held and nothing is wrong with any."""
        self._db.execute("SAVEPOINT settlements")
        jobs: list[Job] = []
        try:
            jobs += [settle(one.claim.job, one) for one in settlements]
            ended = self._db.executemany(
                _SETTLE,
                (_settled(job, one.claim) for job, one in zip(jobs, settlements, strict=True)),
            )
            held = ended.rowcount == len(settlements)
        except Exception as error:
            if not is_unfit(error):
                raise
            held = False
        if not held:
            self._db.execute("ROLLBACK TO settlements")
        self._db.execute("RELEASE settlements")
        for job in jobs if held else ():
            _note(job, events)
        return held

    def _settle_alone(self, settlement: Settlement, events: Events) -> JobError | None:
        noted = Events()
        self._db.execute("SAVEPOINT settlement")
        try:
            self.commit(Change(settle=settlement), noted)
        except JobError as error:
            self._db.execute("ROLLBACK TO settlement")
            return error
        except Exception as error:
            if not is_unfit(error):
                raise
            self._db.execute("ROLLBACK TO settlement")
            return unfit(settlement, error)
        else:
            events.add(noted)
            return None
        finally:
            if self._db.in_transaction:  # a full disk may have ended it
                self._db.execute("RELEASE settlement")

    def overdue(self, now: float) -> set[str]:
        """Who holds claims whose lease has ended."""
        rows = self._db.execute(
            "SELECT DISTINCT owner FROM jobs WHERE status = 'processing' AND lease_until <= ?",
            (now,),
        )
        return {owner for (owner,) in rows}

    def lapse(
        self, now: float, dead: Collection[str], events: Events, spared: Collection[str] = ()
    ) -> None:
        """Take back the jobs whose lease has ended or whose owner is among the *dead*, but none of the *spared*."""
        ended = self._rows("status = 'processing' AND lease_until <= ?", (now,))
        rows = [row for row in ended if row.owner not in spared]
        for owner in dead:
            rows += self._rows(
                "status = 'processing' AND owner = ? AND lease_until > ?", (owner, now)
            )
        back = [attrs.evolve(row, job=_life.lapse(row.job, now), owner=None) for row in rows]
        events.lost = events.lost or bool(back)
        self._put(back, events)

    def end_astray(self, types: Iterable[str], now: float, events: Events) -> None:
        """End pending jobs of *types* that no claim would ever come by: a priority or a due time of theirs is none."""
        for type_ in types:
            seqs = [seq for (seq,) in self._db.execute(_ASTRAY, {"type": type_})]
            rows = (
                row if row.wrong else attrs.evolve(row, wrong=unread("it is due at no time"))
                for row in self._by_seq(seqs)
            )
            self._set_apart(rows, now, events)

    def claim(
        self,
        owner: str,
        limit_by_type: Mapping[str, int],
        now: float,
        lease: float,
        events: Events,
    ) -> Batch:
        """Take due jobs for *owner*, and tell when it is worth looking again."""
        claims = self.take(owner, limit_by_type, now, lease, events)
        taken = Counter(str(claim.job.type) for claim in claims)
        sights = [
            due
            for type_, limit in limit_by_type.items()
            if taken[type_] < limit
            for (due,) in self._db.execute(_NEXT_DUE, {"type": type_, "now": now})
        ]
        sights += self._db.execute(_NEXT_LAPSE, (now,)).fetchone()
        return Batch(
            claims=claims, next_due=min((at for at in sights if at is not None), default=None)
        )

    def take(
        self,
        owner: str,
        limit_by_type: Mapping[str, int],
        now: float,
        lease: float,
        events: Events,
    ) -> tuple[Claim, ...]:
        """Take due jobs for *owner*; those that nobody can be given end as failed."""
        rows = self._next(limit_by_type, now)
        while any(row.wrong for row in rows):
            self._set_apart((row for row in rows if row.wrong), now, events)
            rows = self._next(limit_by_type, now)
        claims = tuple(
            Claim(
                job=_life.claim(row.job, now),
                owner=owner,
                number=row.number + 1,
                due=_life.due(row.job),
            )
            for row in rows
        )
        at, until = _life.when(_life.moment(now)), now + lease
        self._db.executemany(
            "UPDATE jobs SET status = 'processing', attempts = ?, processed_at = ?, next_retry_at = NULL,"
            " owner = ?, number = ?, lease_until = ? WHERE seq = ?",
            (
                (claim.job.attempts, at, owner, claim.number, until, row.seq)
                for claim, row in zip(claims, rows, strict=True)
            ),
        )
        return claims

    def renew(self, claims: Sequence[Claim], now: float, lease: float) -> frozenset[str]:
        """Give *claims* another *lease* seconds; answer with the ids of lost ones."""
        owners = {claim.owner for claim in claims}
        held = self._held_by(owners)
        asked = {_holding(claim) for claim in claims}
        if held <= asked:  # as nearly always: one statement for all of them
            self._db.executemany(
                "UPDATE jobs SET lease_until = ? WHERE status = 'processing' AND owner = ?",
                ((now + lease, owner) for owner in owners),
            )
        else:  # an earlier runner of that name left some, and they shall lapse
            self._db.executemany(
                f"UPDATE jobs SET lease_until = ? WHERE {_HELD}",
                ((now + lease, *claim) for claim in asked & held),
            )
        return frozenset(id_ for id_, *_ in asked - held)

    def retry(self, job_id: str, now: float, events: Events) -> Job:
        """Give a failed job a new life."""
        row = self._expect(job_id)
        job = _life.revive(row.job, now)
        holder = row.key and holder_of(self._db, row.key)
        if row.key and holder:
            raise key_taken(job_id, row.key, holder)
        self._put([attrs.evolve(row, job=job)], events)
        return job

    def cancel(self, job_id: str, now: float, reason: str, events: Events) -> Job:
        """End a pending or processing job as failed."""
        row = self._expect(job_id)
        job = _life.cancel(row.job, now, reason)
        events.lost = events.lost or row.owner is not None
        self._put([attrs.evolve(row, job=job, owner=None)], events)
        return job

    def release(self, owners: Collection[str], now: float, events: Events) -> None:
        """Hand back what *owners* still hold; they are about to go."""
        for owner in owners:
            rows = self._rows("status = 'processing' AND owner = ?", (owner,))
            back = [
                attrs.evolve(row, job=_life.hand_back(row.job, now), owner=None) for row in rows
            ]
            self._put(back, events)

    def purge(self, before: float, statuses: Collection[JobStatus], limit: int) -> int:
        """Remove jobs that ended at *before* or earlier."""
        return _upkeep.purge(self._db, before, statuses, limit)

    def _held_by(self, owners: Collection[str]) -> set[tuple[str, str, int]]:
        return {
            (id_, owner, number)
            for owner in owners
            for id_, number in self._db.execute(
                "SELECT id, number FROM jobs WHERE status = 'processing' AND owner = ?", (owner,)
            )
        }

    def _rows(self, where: str, values: Sequence[Any]) -> list[Row]:
        # Read to the end before anything is written: a select that goes on through an update of the
        # rows it visits may see them twice. And sorted by +seq: for plain seq SQLite would rather go through the whole
        # table in that order than look into an index of the few it wants.
        found = self._all(f"SELECT {COLUMNS} FROM jobs WHERE {where} ORDER BY +seq", values)
        return [read_row(values) for values in found]

    def _all(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        """The rows, also those with a text in them that is none."""
        try:
            return list(self._db.execute(sql, values))
        except Exception as error:
            if not is_no_text(error):
                raise
        # Not always, for it costs a call for each text. What is no text is none of JSON either, written so.
        usual, self._db.text_factory = self._db.text_factory, _with_escapes
        try:
            return list(self._db.execute(sql, values))
        finally:
            self._db.text_factory = usual

    def _expect(self, job_id: str) -> Row:
        found = self._rows("id = ?", (job_id,))
        if not found:
            raise JobNotFound(job_id)
        return found[0]

    def _by_seq(self, seqs: Sequence[int]) -> list[Row]:
        """The rows, in the order asked for."""
        found: dict[int, Row] = {}
        for start in range(0, len(seqs), _AT_ONCE):
            some = seqs[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            found.update((row.seq, row) for row in self._rows(f"seq IN ({marks})", some))
        return [found[seq] for seq in seqs]

    def _check_held(self, claim: Claim) -> None:
        held = self._db.execute(f"SELECT 1 FROM jobs WHERE {_HELD}", _holding(claim)).fetchone()
        if held is None:
            raise ClaimLost(claim.job.id)

    def _settle(self, settlement: Settlement, events: Events) -> None:
        """End an attempt. The job is taken from the claim: nothing about it changes while the claim is held."""
        claim = settlement.claim
        job = settle(claim.job, settlement)
        ended = self._db.execute(_SETTLE, _settled(job, claim))
        if ended.rowcount != 1:
            raise ClaimLost(claim.job.id)
        _note(job, events)

    def _next(self, limit_by_type: Mapping[str, int], now: float) -> list[Row]:
        """The next jobs of each type."""
        return self._by_seq(
            [seq for type_, limit in limit_by_type.items() for seq in self._ripe(type_, limit, now)]
        )

    def _set_apart(self, rows: Iterable[Row], now: float, events: Events) -> None:
        """End jobs that nobody can be given: they would be the next ones for ever."""
        for row in rows:
            _log.error("job %r failed: %s", row.job.id, row.wrong)
            job = _life.cancel(row.job, now, str(row.wrong))
            self._put([attrs.evolve(row, job=job)], events)

    def _ripe(self, type_: str, limit: int, now: float) -> list[int]:
        """The next jobs of a type."""
        if limit <= 0:
            return []
        ripe: list[tuple[int, float, int]] = list(
            self._db.execute(_RIPE, {"type": type_, "now": now, "limit": limit})
        )
        if ripe and ripe[0][0] != ripe[-1][0]:  # of one priority alone they are in order
            ripe.sort(key=lambda one: _schedule.claim_order(one[0], one[1], one[2], now))
        return [seq for _, _, seq in ripe[:limit]]

    def _put(self, rows: Iterable[Row], events: Events) -> None:
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

    def add(self, arrivals: Iterable[Arrival], events: Events) -> None:
        """Add jobs, but for those whose key a live one has. Raises JobRefused."""
        add(self._db, arrivals, events)

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


def _with_escapes(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")


def _settled(job: Job, claim: Claim) -> tuple[Any, ...]:
    _, completed, retry_at, due = _times(job)
    return str(job.status), job.attempts, completed, retry_at, due, job.error, *_holding(claim)


def _holding(claim: Claim) -> tuple[str, str, int]:
    return claim.job.id, claim.owner, claim.number


def _times(job: Job) -> tuple[float | None, ...]:
    return (
        _when(job.processed_at),
        _when(job.completed_at),
        _when(job.next_retry_at),
        _life.due(job),
    )


def _when(at: datetime | None) -> float | None:
    return None if at is None else _life.when(at)


def _note(job: Job, events: Events) -> None:
    if job.status is JobStatus.PENDING:
        events.work(str(job.type), _life.due(job))
    elif job.status in _life.SETTLED:
        events.settled.append(job)
