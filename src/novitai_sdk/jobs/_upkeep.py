"""What a file needs while nobody wants anything of it: jobs filed, old ones removed, room given back, the log put away.

All of it goes in steps of a few milliseconds, so that whoever comes meanwhile waits for one of them at most.
"""

import math
from collections.abc import Collection
from typing import Final

from ..models import JobStatus
from ._arrivals import file_arrivals
from ._counts import types
from ._layout import Connection
from ._retention import Retention

__all__ = ["Upkeep", "purge"]

# Seconds without a write that count as rest. Putting the log away costs flushes of the disk, which the next
# caller would wait for.
_QUIET: Final = 1.0

# Seconds, as those who claim count them, between two looks for old jobs.
_LOOK: Final = 60.0

# The same between two steps in a store that never rests.
_PRESSED: Final = 0.25

# Pages given back at once, and free ones that are kept for what comes next.
_PAGES: Final = 256


def purge(db: Connection, before: float, statuses: Collection[JobStatus], limit: int) -> int:
    """Remove jobs of *statuses* that ended at *before* or earlier, the earliest first, at most *limit*."""
    found: list[tuple[float, int]] = []
    for status in statuses:
        for type_ in types(db, status):
            # Written out: SQLite uses a partial index only where it can see its condition.
            rows = db.execute(
                f"SELECT completed_at, seq FROM jobs WHERE status = '{status}' AND type = ? AND completed_at <= ?"
                " ORDER BY completed_at, seq LIMIT ?",
                (type_, before, max(0, limit)),
            )
            found += [(at, seq) for at, seq in rows]
    return _remove(db, [seq for _, seq in sorted(found)[: max(0, limit)]])


def _purge_excess(db: Connection, retention: Retention) -> int:
    if retention.most_completed is None:
        return 0
    (completed,) = db.execute("SELECT count(*) FROM jobs WHERE status = 'completed'").fetchone()
    limit = min(retention.step, retention.excess(completed))
    return purge(db, math.inf, (JobStatus.COMPLETED,), limit)


def _remove(db: Connection, seqs: Collection[int]) -> int:
    db.executemany("DELETE FROM payloads WHERE seq = ?", ((seq,) for seq in seqs))
    db.executemany("DELETE FROM jobs WHERE seq = ?", ((seq,) for seq in seqs))
    return len(seqs)


def _file(db: Connection) -> None:
    """Give the jobs that came alone their places, where also an earlier version of this library looks for work."""
    db.execute("BEGIN IMMEDIATE")
    file_arrivals(db)
    db.execute("COMMIT")


class Upkeep:
    """Decides what is due and does it, a step at a time, on the connection that writes."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._now: float | None = None  # as those who claim tell it
        self._looked = float("-inf")
        self._more = False
        self._fresh = False
        self._tidy = True

    def tell(self, now: float) -> None:
        """Take note of the time (epoch seconds)."""
        self._now = now

    def wrote(self) -> None:
        """Take note that somebody wants something of the store."""
        self._fresh, self._tidy = True, False

    @property
    def done(self) -> bool:
        """Whether there is nothing to do until somebody writes, or time passes."""
        return self._tidy and not (self._fresh or self._more or self._elapsed() >= _LOOK)

    def step(self, db: Connection) -> float | None:
        """Do a little; answer after how many seconds of rest to go on, None for not before the next write."""
        if self._fresh:
            self._fresh = False
            if self._elapsed() >= (_PRESSED if self._more else _LOOK):
                self._purge(db)
            return _QUIET
        if self._more or self._elapsed() >= _LOOK:
            self._purge(db)
            return 0.0
        if self._tidy:
            return None
        _file(db)
        if self._vacuum(db):
            return 0.0
        # Passive: it waits for nobody. What a reader still needs stays until the next time.
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._tidy = True
        return None

    def _elapsed(self) -> float:
        # A clock that was set back counts as a long time.
        return 0.0 if self._now is None else abs(self._now - self._looked)

    def _purge(self, db: Connection) -> None:
        """Remove what has been kept for long enough, in one transaction of its own."""
        assert self._now is not None  # or nothing would have elapsed
        self._looked = self._now
        step = self._retention.step
        db.execute("BEGIN IMMEDIATE")
        removed = 0
        for status in (JobStatus.COMPLETED, JobStatus.FAILED):
            before = self._retention.before(status, self._now)
            if before is not None:
                removed += purge(db, before, (status,), step - removed)
        if removed < step:
            removed += _purge_excess(db, self._retention)
        db.execute("COMMIT")
        self._more = removed >= step

    def _vacuum(self, db: Connection) -> bool:
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        if free <= _PAGES:
            return False
        # As a script: it answers with an empty row for each page, and execute() would stop at the first.
        db.executescript(f"PRAGMA incremental_vacuum({min(_PAGES, free - _PAGES)})")
        return True
