"""New jobs on their way into the table.

One that comes alone stands among the *arrivals* first; the next transaction files what stands there.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from . import _life
from ._announce import Events
from ._errors import JobRefused
from ._layout import LONGEST_INSIDE, Connection
from ._store import NewJob, to_text

__all__ = ["Arrival", "add", "add_alone", "arrival", "file_arrivals", "file_each", "holder_of"]

_INSERT: Final = (
    "INSERT INTO jobs"
    " (id, type, status, priority, attempts, max_attempts, created_at, next_retry_at, due, key, body)"
    " VALUES (?, ?, 'pending', ?, 0, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)

# Jobs that stand among the arrivals at most: each that comes is compared with them.
_MOST: Final = 64

# Each has the number that it would have in the table. One in so many is left to a transaction, which files the others.
# No numbers at the marks: from Python 3.14 on those are names, for which a sequence is refused.
_ADD_ALONE: Final = f"""
    INSERT INTO arrivals (seq, id, type, priority, max_attempts, created_at, next_retry_at, due, body)
    SELECT seq, ?, ?, ?, ?, ?, ?, ?, ?
    FROM (
        SELECT 1 + max(
            (SELECT coalesce(max(seq), 0) FROM jobs), (SELECT coalesce(max(seq), 0) FROM arrivals)
        ) AS seq
    )
    WHERE seq % {_MOST} <> 0
        AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = ?)
        AND NOT EXISTS (SELECT 1 FROM arrivals WHERE id = ?)
"""

# Moved up where the table has gone on without them, as it does under a version that knows of no arrivals and had
# the file open before one that does.
_FILE: Final = """
    INSERT INTO jobs
        (seq, id, type, status, priority, attempts, max_attempts, created_at, next_retry_at, due, body)
    SELECT seq + max(0, (SELECT coalesce(max(seq), 0) FROM jobs) + 1 - (SELECT min(seq) FROM arrivals)),
        id, type, 'pending', priority, 0, max_attempts, created_at, next_retry_at, due, body
    FROM arrivals WHERE true ORDER BY seq ON CONFLICT (id) DO NOTHING
"""
_FILE_ONE: Final = """
    INSERT INTO jobs
        (seq, id, type, status, priority, attempts, max_attempts, created_at, next_retry_at, due, body)
    SELECT max(seq, (SELECT coalesce(max(seq), 0) + 1 FROM jobs)),
        id, type, 'pending', priority, 0, max_attempts, created_at, next_retry_at, due, body
    FROM arrivals WHERE seq = ? ON CONFLICT (id) DO NOTHING
"""


class Arrival(NamedTuple):
    """A new job as its row.

    The values of the statement, in its order; and *apart*, a payload too long to stand there.
    """

    id: str
    type: str
    priority: int
    max_attempts: int
    created_at: float
    next_retry_at: float | None
    due: float
    key: str | None
    body: str | None
    apart: str | None

    @property
    def plain(self) -> bool:
        """Whether one statement adds it, without a look at what is there."""
        return self.apart is None and self.key is None

    def tell(self, events: Events) -> None:
        """Note that there is work."""
        events.work(self.type, self.due)


_row: Final[Callable[[Arrival], Sequence[object]]] = itemgetter(slice(-1))
"""The values of the statement that adds to the table."""

_lone: Final[Callable[[Arrival], Sequence[object]]] = itemgetter(0, 1, 2, 3, 4, 5, 6, 8, 0, 0)
"""Those of the statement that adds to the arrivals: no key, and at the end whose id must not be there yet."""


def arrival(new: NewJob) -> Arrival:
    """Return *new* as a row. Raises JobRefused."""
    job = _life.admit(new.job, new.key)
    payload = to_text(f"job {job.id!r}", job.payload)
    inside = len(payload) <= LONGEST_INSIDE
    created = _life.when(job.created_at)
    retry_at = None if job.next_retry_at is None else _life.when(job.next_retry_at)
    # _value_, which is the attribute; value is a property, two calls deep before Python 3.12.
    return Arrival(
        job.id,
        job.type._value_,
        job.priority._value_,
        job.max_attempts,
        created,
        retry_at,
        created if retry_at is None else retry_at,
        new.key,
        payload if inside else None,
        None if inside else payload,
    )


def add(db: Connection, arrivals: Iterable[Arrival], events: Events) -> None:
    """Add jobs, but for those whose key a live one has. Raises JobRefused."""
    together: list[Arrival] = []
    for one in arrivals:
        if one.plain:
            together.append(one)
            one.tell(events)
            continue
        # In their order, which is the order of their age.
        _insert(db, together)
        together.clear()
        _add_with_care(db, one, events)
    _insert(db, together)


def add_alone(db: Connection, one: Arrival, events: Events) -> bool:
    """Add a plain job by one statement, and nothing else.

    Answer False where that cannot be: there is one of its id, or it is time to file the arrivals.
    """
    if db.execute(_ADD_ALONE, _lone(one)).rowcount == 0:
        return False
    one.tell(events)
    return True


def file_arrivals(db: Connection) -> None:
    """Give the jobs that came alone their places in the table; first of all in a transaction."""
    if db.execute("SELECT 1 FROM arrivals LIMIT 1").fetchone() is not None:
        db.execute(_FILE)
        db.execute("DELETE FROM arrivals")


def file_each(db: Connection) -> None:
    """The same for those that can be filed, whatever is wrong with the others; a full disk may end the transaction."""
    for (seq,) in list(db.execute("SELECT seq FROM arrivals ORDER BY seq")):
        db.execute("SAVEPOINT arrival")
        try:
            db.execute(_FILE_ONE, (seq,))
            db.execute("DELETE FROM arrivals WHERE seq = ?", (seq,))
        except Exception:  # noqa: BLE001 - it is tried again, and told, by each transaction that has the same trouble
            if not db.in_transaction:
                return
            db.execute("ROLLBACK TO arrival")
        db.execute("RELEASE arrival")


def holder_of(db: Connection, key: str) -> str | None:
    """The id of the pending or processing job of *key*."""
    # Written out for each status, since SQLite uses a partial index only where it can see its condition.
    found = db.execute(
        "SELECT id FROM jobs WHERE key = ? AND key IS NOT NULL AND status IN ('pending', 'processing')",
        (key,),
    ).fetchone()
    return found and str(found[0])


def _insert(db: Connection, jobs: Sequence[Arrival]) -> None:
    """Add *jobs* by one statement."""
    added = db.executemany(_INSERT, map(_row, jobs)).rowcount if jobs else 0
    if added < len(jobs):
        raise _taken(db, jobs, added)


def _taken(db: Connection, jobs: Sequence[Arrival], added: int) -> JobRefused:
    """The error for the first of *jobs* whose id was taken, now that so many of them were *added*."""
    newest = db.execute("SELECT id FROM jobs ORDER BY seq DESC LIMIT ?", (added,))
    fresh = {id_ for (id_,) in newest}
    for job in jobs:
        if job.id not in fresh:
            return _there_is_one(job.id)
        fresh.discard(job.id)
    raise AssertionError(f"{added} of {len(jobs)} jobs were added, and none was there")


def _add_with_care(db: Connection, one: Arrival, events: Events) -> None:
    if one.key is not None and holder_of(db, one.key) is not None:
        return
    added = db.execute(_INSERT, _row(one))
    if added.rowcount == 0:
        raise _there_is_one(one.id)
    if one.apart is not None:
        db.execute("INSERT INTO payloads VALUES (?, ?)", (added.lastrowid, one.apart))
    one.tell(events)


def _there_is_one(job_id: str) -> JobRefused:
    return JobRefused(f"job {job_id!r} was not stored: there is one of that id")
