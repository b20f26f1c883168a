"""How many jobs a file holds, told without going through those that have ended.

What has ended is counted by triggers, in the transaction that ends it; what has not is counted through the partial
indexes, which hold nothing else.
"""

from typing import Final

from ..models import JobQueueStats, JobStatus
from ._layout import Connection
from ._store import Backlog, queue_stats

_LIVE: Final = (
    "SELECT type, 'pending', count(*) FROM jobs WHERE status = 'pending' GROUP BY type",
    "SELECT type, 'processing', count(*) FROM jobs WHERE status = 'processing' GROUP BY type",
)


def stats(db: Connection) -> JobQueueStats:
    """How many jobs there are, by status and by type."""
    rows = db.execute(" UNION ALL ".join((*_LIVE, "SELECT type, status, jobs FROM ended")))
    return queue_stats({(type_, JobStatus(status)): count for type_, status, count in rows})


def backlog(db: Connection, now: float) -> Backlog:
    """What is due at *now* and not taken."""
    depth, oldest = db.execute(
        "SELECT count(*), min(due) FROM jobs WHERE status = 'pending' AND due <= ?", (now,)
    ).fetchone()
    return Backlog(depth=depth, oldest_due=oldest)
