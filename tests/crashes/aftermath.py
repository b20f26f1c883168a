"""What comes after the killing: those who are left finish the work, and what they leave is gathered."""

import sqlite3
import time
from contextlib import closing

from company import SOON, Company
from journals import read
from verdict import Evidence

from novitai_sdk.jobs import JobQuery, SqliteStore

LONGEST_DRAIN = 60.0


def drain(those: Company) -> None:
    """End the adding, and let workers finish what is there."""
    those.dismiss("producer", "checkpointer")
    for client in [one for one in those.members if one.role == "client"]:
        those.kill(client)
        those.hire("worker")
    until = time.monotonic() + LONGEST_DRAIN
    with closing(SqliteStore(those.path)) as store:
        while time.monotonic() < until:
            stats = store.stats().result(SOON)
            if stats.pending_jobs + stats.processing_jobs == 0:
                break
            for _ in those.bury_the_dead():
                those.hire("worker")
            time.sleep(0.05)
    those.dismiss("worker")


def evidence(those: Company) -> Evidence:
    with closing(SqliteStore(those.path)) as store:
        stats = store.stats().result(SOON)
        jobs = store.jobs(JobQuery()).result(SOON)
        effects = [record.body for record in store.scan("effect").result(SOON)]
    with closing(sqlite3.connect(those.path)) as db:
        (integrity,) = db.execute("PRAGMA integrity_check").fetchone()
    return Evidence(
        entries=read(those.journal_path),
        jobs=jobs,
        effects=effects,
        integrity=str(integrity),
        counted={
            "pending": stats.pending_jobs,
            "processing": stats.processing_jobs,
            "completed": stats.completed_jobs,
            "failed": stats.failed_jobs,
        },
    )
