"""How the queue stands: what waits, since when, and how fast it moves."""

from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from novitai_sdk import converter
from novitai_sdk._waiting import BlockingWaiter
from novitai_sdk.jobs import (
    Change,
    Done,
    GiveUp,
    Jobs,
    Outcome,
    Settlement,
    SqliteStore,
    Store,
    new_job,
)
from novitai_sdk.jobs._counts import _BY_TYPE
from novitai_sdk.models import JobQueueStats, JobThroughput

NOW = 1_700_000_000.0
SOON = 10.0


class Still:
    """A clock that shows one moment."""

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return NOW


def add(store: Store, *, type_: str = "greet", after: float = 0.0, at: float = NOW) -> str:
    new = new_job(type_, {}, now=at, after=after)
    store.commit(Change(jobs=(new,))).result(SOON)
    return new.job.id


def end(store: Store, outcome: Outcome, *, at: float, type_: str = "greet") -> None:
    add(store, type_=type_, at=NOW - 9999)
    (claim,) = store.claim("me", {type_: 1}, NOW - 9998, 60).result(SOON).claims
    store.commit(Change(settle=Settlement(claim=claim, outcome=outcome, at=at))).result(SOON)


def test_an_empty_queue_stands_still(store: Store) -> None:
    stats = store.stats(NOW).result(SOON)
    assert (stats.due_jobs, stats.oldest_due_at) == (0, None)
    assert stats.throughput == JobThroughput(last_minute=0, last_five_minutes=0, last_hour=0)


def test_what_is_due_and_since_when(store: Store) -> None:
    add(store, at=NOW - 10)
    oldest = add(store, at=NOW - 70, after=10)
    add(store, type_="part", at=NOW)
    add(store, after=0.5)
    stats = store.stats(NOW).result(SOON)
    assert (stats.pending_jobs, stats.due_jobs) == (4, 3)
    assert stats.oldest_due_at == datetime.fromtimestamp(NOW - 60, timezone.utc)
    store.cancel(oldest, NOW, "not wanted").result(SOON)
    stats = store.stats(NOW).result(SOON)
    assert stats.oldest_due_at == datetime.fromtimestamp(NOW - 10, timezone.utc)
    assert stats.due_jobs == store.backlog(NOW).result(SOON).depth == 2


def test_a_job_that_was_taken_and_came_back_is_counted_once(store: Store) -> None:
    add(store, at=NOW - 5)
    for at in (NOW, NOW + 100, NOW + 200):  # its lease ends each time
        store.claim("me", {"greet": 1}, at, 60).result(SOON)
        assert store.stats(at).result(SOON).due_jobs == 0
    store.claim("me", {}, NOW + 300, 60).result(SOON)
    assert store.stats(NOW + 300).result(SOON).due_jobs == 0  # that was its last attempt
    assert store.stats(NOW + 300).result(SOON).failed_jobs == 1


def test_how_many_ended_lately_well_or_not(store: Store) -> None:
    end(store, Done(), at=NOW - 59.9)
    end(store, GiveUp(error="no hope"), at=NOW - 1, type_="part")
    end(store, Done(), at=NOW - 60)
    end(store, Done(), at=NOW - 299, type_="part")
    end(store, GiveUp(error="no hope"), at=NOW - 3599)
    end(store, Done(), at=NOW - 3600)
    stats = store.stats(NOW).result(SOON)
    assert stats.throughput == JobThroughput(last_minute=2, last_five_minutes=4, last_hour=5)
    assert (stats.completed_jobs, stats.failed_jobs) == (4, 2)
    store.purge(NOW - 200).result(SOON)
    after = store.stats(NOW).result(SOON).throughput
    assert after == JobThroughput(last_minute=2, last_five_minutes=3, last_hour=3)


def test_a_client_tells_all_of_it(store: Store) -> None:
    jobs = Jobs(store, BlockingWaiter(Still()))
    add(store, at=NOW - 30)
    stats = jobs.stats()
    assert stats.due_jobs == 1
    assert stats.throughput is not None
    written = converter.unstructure(stats)
    assert written["dueJobs"] == 1
    assert written["throughput"] == {"lastMinute": 0, "lastFiveMinutes": 0, "lastHour": 0}
    assert converter.structure(written, JobQueueStats) == stats


def test_without_a_time_there_is_what_the_contract_names_and_nothing_else(store: Store) -> None:
    stats = store.stats().result(SOON)
    assert (stats.due_jobs, stats.oldest_due_at, stats.throughput) == (None, None, None)
    assert set(converter.unstructure(stats)) == {
        "totalJobs",
        "pendingJobs",
        "processingJobs",
        "completedJobs",
        "failedJobs",
        "jobsByType",
    }


@pytest.mark.parametrize(
    ("status", "index"),
    [
        ("pending", "waiting"),
        ("processing", "held"),
        ("completed", "completed"),
        ("failed", "failed"),
    ],
)
def test_jobs_of_a_status_are_counted_by_the_index_that_holds_no_others(
    path: Path, status: str, index: str
) -> None:
    store = SqliteStore(path)
    (ask,) = (
        one for one in _BY_TYPE.split(" UNION ALL ") if f"jobs WHERE status = '{status}'" in one
    )
    with closing(store._file.connect()) as db:
        steps = [step[3] for step in db.execute(f"EXPLAIN QUERY PLAN {ask}")]
    assert steps[0].endswith(f"INDEX jobs_{index}")
    store.close(SOON)
