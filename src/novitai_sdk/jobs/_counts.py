"""How many jobs a file holds, told by its indexes alone: each holds the jobs of one status."""

from collections import Counter
from typing import Final

from ..models import JobQueueStats, JobStatus
from ._layout import Connection
from ._store import MINUTES, Backlog, measured, queue_stats

_BY_TYPE: Final = " UNION ALL ".join(
    (
        *(
            f"SELECT type, '{status}', count(*) FROM jobs WHERE status = '{status}' GROUP BY type"
            for status in JobStatus
        ),
        f"SELECT type, '{JobStatus.PENDING}', count(*) FROM arrivals GROUP BY type",
    )
)


def stats(db: Connection, now: float | None) -> JobQueueStats:
    """How many jobs there are, by status and by type; with *now*, also how many are due and how many ended lately."""
    counts = Counter[tuple[str, JobStatus]]()
    for type_, status, count in db.execute(_BY_TYPE):
        counts[type_, JobStatus(status)] += count
    found = queue_stats(counts)
    if now is None:
        return found
    ended = [0] * len(MINUTES)
    for type_, status in counts:
        if status in (JobStatus.COMPLETED, JobStatus.FAILED):
            # Written out: SQLite uses a partial index only where it can see its condition.
            for at, minutes in enumerate(MINUTES):
                (count,) = db.execute(
                    f"SELECT count(*) FROM jobs WHERE status = '{status}' AND type = ? AND completed_at > ?",
                    (type_, now - 60 * minutes),
                ).fetchone()
                ended[at] += count
    return measured(found, backlog(db, now), ended)


def backlog(db: Connection, now: float) -> Backlog:
    """What is due at *now* and not taken."""
    depth, dues = 0, list[float]()
    for type_ in types(db, JobStatus.PENDING):
        for priority in (4, 3, 2, 1):  # so that what is delayed is not gone through
            count, oldest = db.execute(
                "SELECT count(*), min(due) FROM jobs"
                " WHERE status = 'pending' AND type = ? AND priority = ? AND due <= ?",
                (type_, priority, now),
            ).fetchone()
            depth += count
            dues += [oldest] if count else []
    count, oldest = db.execute(
        "SELECT count(*), min(due) FROM arrivals WHERE due <= ?", (now,)
    ).fetchone()
    depth += count
    dues += [oldest] if count else []
    return Backlog(depth=depth, oldest_due=min(dues, default=None))


def types(db: Connection, status: JobStatus) -> list[str]:
    """The types of the jobs of *status*, found by a step each and not by going through all of them."""
    found: list[str] = []
    while True:
        (next_one,) = db.execute(
            f"SELECT min(type) FROM jobs WHERE status = '{status}' AND type > ?",
            (found[-1] if found else "",),
        ).fetchone()
        if next_one is None:
            return found
        found.append(next_one)
