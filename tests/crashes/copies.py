"""What a file has to hold after its processes ended badly: everything that was answered before."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import attrs
from journals import Entry
from verdict import told

from novitai_sdk.jobs import JobQuery, SqliteStore
from novitai_sdk.models import JobStatus

SOON = 30.0
SETTLED = (JobStatus.COMPLETED, JobStatus.FAILED)


@attrs.frozen
class Answered:
    """What callers had been told.

    Attributes:
        jobs: Jobs whose commit was answered.
        settled: Jobs whose end was.
    """

    jobs: frozenset[str] = frozenset()
    settled: frozenset[str] = frozenset()


@attrs.frozen(kw_only=True)
class Outcome:
    """How often, how, and what was wrong."""

    ways: Mapping[str, int] = attrs.Factory(Counter[str])
    jobs: int = 0
    settled: int = 0
    broken: Sequence[str] = ()

    def report(self) -> str:
        """The figures, line by line."""
        return (
            f"  {told(self.ways)}\n"
            f"  answered before: {self.jobs} jobs, {self.settled} ends of jobs; broken: {len(self.broken)}"
        )


def answered(entries: Iterable[Entry]) -> Answered:
    """What *entries* say that callers were told."""
    jobs: set[str] = set()
    settled: set[str] = set()
    for entry in entries:
        if entry.word == "acknowledges":
            jobs.update(entry.facts[0])
        elif entry.word == "ended" and entry.facts[1] in ("completed", "failed"):
            settled.add(entry.facts[0])
    return Answered(frozenset(jobs), frozenset(settled))


def faults(path: Path, told_before: Answered) -> Sequence[str]:
    """Open the file at *path*, and say what it lacks of what was *told_before*."""
    with closing(SqliteStore(path)) as store:
        there = {job.id: job.status for job in store.jobs(JobQuery()).result(SOON)}
    found: list[str] = []
    with closing(sqlite3.connect(path)) as db:
        (integrity,) = db.execute("PRAGMA integrity_check").fetchone()
    if integrity != "ok":
        found.append(f"integrity: {integrity}")
    lost = sorted(told_before.jobs - there.keys())
    if lost:
        found.append(f"lost: {lost}")
    undone = sorted(one for one in told_before.settled if there.get(one) not in SETTLED)
    if undone:
        found.append(f"no longer settled: {undone}")
    return found
