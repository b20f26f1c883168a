"""How many jobs a file holds, told by its indexes alone: each holds the jobs of one status."""

from typing import Final

from ..models import JobQueueStats, JobStatus
from ._layout import Connection
from ._store import Backlog, queue_stats

_BY_TYPE: Final = " UNION ALL ".join(
    f"SELECT type, '{status}', count(*) FROM jobs WHERE status = '{status}' GROUP BY type"
    for status in JobStatus
)


def stats(db: Connection) -> JobQueueStats:
    """How many jobs there are, by status and by type."""
    rows = db.execute(_BY_TYPE)
    return queue_stats({(type_, JobStatus(status)): count for type_, status, count in rows})


def backlog(db: Connection, now: float) -> Backlog:
    """What is due at *now* and not taken."""
    depth, oldest = db.execute(
        "SELECT count(*), min(due) FROM jobs WHERE status = 'pending' AND due <= ?", (now,)
    ).fetchone()
    return Backlog(depth=depth, oldest_due=oldest)
