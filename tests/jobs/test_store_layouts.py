"""A file of every earlier layout is opened, brought up to date, and nothing in it is lost."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from novitai_sdk.jobs import Change, JobQuery, SqliteStore, Write
from novitai_sdk.jobs._layout import APPLICATION_ID, LAYOUT, MIGRATIONS
from novitai_sdk.models import JobPriority, JobStatus

NOW = 1_700_000_000.0
SOON = 10.0

# As they were written by the versions that wrote them, word for word.
LAYOUT_1: Final = (
    """
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
        priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 4),
        attempts INTEGER NOT NULL CHECK (attempts >= 0),
        max_attempts INTEGER NOT NULL CHECK (max_attempts >= 1),
        created_at REAL NOT NULL,
        processed_at REAL,
        completed_at REAL,
        next_retry_at REAL,
        due REAL NOT NULL,
        error TEXT,
        key TEXT,
        owner TEXT,
        number INTEGER NOT NULL DEFAULT 0,
        lease_until REAL,
        CHECK ((status = 'processing') = (owner IS NOT NULL)),
        CHECK ((status = 'processing') = (lease_until IS NOT NULL))
    )
    """,
    "CREATE TABLE payloads (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)",
    "CREATE INDEX jobs_waiting ON jobs (type, priority, due) WHERE status = 'pending'",
    "CREATE INDEX jobs_held ON jobs (lease_until) WHERE status = 'processing'",
    """
    CREATE UNIQUE INDEX jobs_key ON jobs (key)
    WHERE key IS NOT NULL AND status IN ('pending', 'processing')
    """,
    "CREATE INDEX jobs_ended ON jobs (completed_at) WHERE status IN ('completed', 'failed')",
    """
    CREATE TABLE records (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE revision (value INTEGER NOT NULL)",
    "INSERT INTO revision VALUES (0)",
)

LAYOUT_2: Final = (
    *LAYOUT_1,
    "DROP INDEX jobs_ended",
    "CREATE INDEX jobs_completed ON jobs (type, completed_at) WHERE status = 'completed'",
    "CREATE INDEX jobs_failed ON jobs (type, completed_at) WHERE status = 'failed'",
    "ALTER TABLE jobs ADD COLUMN body TEXT",
)

EARLIER: Final[tuple[Sequence[str], ...]] = (LAYOUT_1, LAYOUT_2)

_JOBS = (
    "INSERT INTO jobs (id, type, status, priority, attempts, max_attempts, created_at, processed_at,"
    " completed_at, next_retry_at, due, error, key, owner, number, lease_until)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def write_layout(path: Path, layout: int, *, auto_vacuum: str = "INCREMENTAL") -> None:
    """Make a file of *layout* as its version left it, with jobs in every state; its columns never changed so far."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA auto_vacuum = {auto_vacuum}")
        for statement in EARLIER[layout - 1]:
            db.execute(statement)
        new = (
            "new",
            "greet",
            "pending",
            4,
            0,
            3,
            NOW,
            None,
            None,
            None,
            NOW,
            None,
            "a",
            None,
            0,
            None,
        )
        later = (
            "later", "greet", "pending", 2, 1, 3, NOW + 1, NOW + 2, None, NOW + 60.5, NOW + 60.5,
            "no luck", None, None, 1, None,
        )  # fmt: skip
        held = (
            "held", "part", "processing", 1, 2, 2, NOW + 2, NOW + 3, None, None, NOW + 2,
            None, "b", "a-dead-one", 7, NOW + 30,
        )  # fmt: skip
        done = (
            "done", "greet", "completed", 2, 1, 3, NOW + 3, NOW + 3, NOW + 4, None, NOW + 3,
            None, "a", None, 1, None,
        )  # fmt: skip
        also = ("also", *done[1:8], NOW + 5, *done[9:12], None, *done[13:])
        failed = (
            "failed", "part", "failed", 3, 3, 3, NOW + 4, NOW + 4, NOW + 6, None, NOW + 4,
            "no hope", "c", None, 3, None,
        )  # fmt: skip
        for values in (new, later, held, done, also, failed):
            added = db.execute(_JOBS, values)
            db.execute(
                "INSERT INTO payloads VALUES (?, ?)", (added.lastrowid, f'{{"of":"{values[0]}"}}')
            )
        db.execute("""INSERT INTO records VALUES ('thing', 'x', 41, '{"n":1}')""")
        db.execute("UPDATE revision SET value = 41")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {layout}")
        db.commit()
        db.execute("PRAGMA journal_mode = WAL")


def plan(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return sorted(
            (kind, name, " ".join(sql.split()))
            for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_master")
            if sql is not None
        )


@pytest.mark.parametrize("auto_vacuum", ["INCREMENTAL", "NONE"])
@pytest.mark.parametrize("layout", range(1, LAYOUT))
def test_a_file_of_an_earlier_layout_is_brought_up_to_date(
    path: Path, layout: int, auto_vacuum: str
) -> None:
    assert len(EARLIER) == LAYOUT - 1 == len(MIGRATIONS)
    write_layout(path, layout, auto_vacuum=auto_vacuum)
    store = SqliteStore(path)
    jobs = {job.id: job for job in store.jobs(JobQuery()).result(SOON)}
    assert {job_id: job.status for job_id, job in jobs.items()} == {
        "new": JobStatus.PENDING,
        "later": JobStatus.PENDING,
        "held": JobStatus.PROCESSING,
        "done": JobStatus.COMPLETED,
        "also": JobStatus.COMPLETED,
        "failed": JobStatus.FAILED,
    }
    assert all(job.payload == {"of": job_id} for job_id, job in jobs.items())
    assert (jobs["failed"].error, jobs["failed"].attempts) == ("no hope", 3)
    assert jobs["new"].priority is JobPriority.CRITICAL
    stats = store.stats().result(SOON)
    assert (stats.pending_jobs, stats.processing_jobs) == (2, 1)
    assert (stats.completed_jobs, stats.failed_jobs) == (2, 1)
    assert (stats.jobs_by_type["greet"], stats.jobs_by_type["part"]) == (4, 2)
    (record,) = store.scan("thing").result(SOON)
    assert (record.version, record.body) == (41, {"n": 1})
    store.close(SOON)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (LAYOUT,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("layout", range(1, LAYOUT))
def test_jobs_of_an_earlier_layout_go_on_where_they_were(path: Path, layout: int) -> None:
    write_layout(path, layout)
    store = SqliteStore(path)
    claims = store.claim("me", {"greet": 5, "part": 5}, NOW + 61, 60).result(SOON).claims
    # The lease of the one that was held has ended, and it had no attempt left.
    assert [(claim.job.id, claim.number) for claim in claims] == [("new", 1), ("later", 2)]
    held = store.job("held").result(SOON)
    assert held is not None
    assert held.status is JobStatus.FAILED
    assert store.retry("failed", NOW + 61).result(SOON).status is JobStatus.PENDING
    store.commit(Change(writes=(Write(kind="thing", key="x", body={}, expected=41),))).result(SOON)
    stats = store.stats().result(SOON)
    assert (stats.completed_jobs, stats.failed_jobs, stats.processing_jobs) == (2, 1, 2)
    assert store.purge(NOW + 100).result(SOON) == 3
    store.close(SOON)


@pytest.mark.parametrize("layout", range(1, LAYOUT))
def test_an_old_file_and_a_new_one_end_up_the_same(tmp_path: Path, path: Path, layout: int) -> None:
    write_layout(path, layout)
    SqliteStore(path).close(SOON)
    SqliteStore(tmp_path / "new.db").close(SOON)
    assert plan(path) == plan(tmp_path / "new.db")


def test_counts_are_right_whatever_happens_to_jobs_meanwhile(path: Path) -> None:
    """A process of the version before may still have the file open and knows nothing of counts."""
    write_layout(path, 1)
    store = SqliteStore(path)
    with closing(sqlite3.connect(path)) as earlier:
        earlier.execute("UPDATE jobs SET status = 'failed', completed_at = 1 WHERE id = 'new'")
        earlier.execute("UPDATE jobs SET error = 'again' WHERE status = 'failed'")
        earlier.execute("UPDATE jobs SET status = 'pending' WHERE id = 'failed'")
        earlier.execute("DELETE FROM jobs WHERE id IN ('done', 'later')")
        earlier.commit()
    stats = store.stats().result(SOON)
    assert (stats.pending_jobs, stats.processing_jobs) == (1, 1)
    assert (stats.completed_jobs, stats.failed_jobs) == (1, 1)
    store.close(SOON)
