"""Finished jobs are kept for a time and then removed, a few at a time, and the room they took is given back."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from novitai_sdk.jobs import (
    Change,
    Done,
    GiveUp,
    JobQuery,
    MemoryStore,
    NewJob,
    Outcome,
    Retention,
    Settlement,
    SqliteStore,
    Store,
    Write,
    new_job,
    open_store,
)
from novitai_sdk.jobs import _upkeep as upkeep
from novitai_sdk.jobs import _worker as worker
from novitai_sdk.jobs._upkeep import Upkeep
from novitai_sdk.models import JobStatus

NOW = 1_700_000_000.0
DAY = 86_400.0
SOON = 10.0

Open = Callable[[Retention], Store]


def greet(number: int, *, key: str | None = None, size: int = 0) -> NewJob:
    return new_job("greet", {"number": number, "text": "x" * size}, now=NOW, key=key)


def end(store: Store, outcome: Outcome, *numbers: int, at: float = NOW, size: int = 0) -> list[str]:
    """Add jobs and end them."""
    jobs = tuple(greet(number, size=size) for number in numbers)
    store.commit(Change(jobs=jobs)).result(SOON)
    claims = store.claim("me", {"greet": len(jobs)}, NOW, 60).result(SOON).claims
    assert len(claims) == len(jobs)
    for answer in [
        store.commit(Change(settle=Settlement(claim=claim, outcome=outcome, at=at)))
        for claim in claims
    ]:
        answer.result(SOON)
    return [new.job.id for new in jobs]


def kept(store: Store) -> list[object]:
    return sorted(job.payload["number"] for job in store.jobs(JobQuery()).result(SOON))  # type: ignore[type-var]  # they are numbers


def look_after(store: Store, now: float) -> None:
    """A worker asks for work, and comes again when the store has had a moment for itself."""
    store.claim("me", {}, now, 60).result(SOON)
    store.commit(Change()).result(SOON)


@pytest.fixture(params=["memory", "sqlite"])
def opened(
    request: pytest.FixtureRequest, path: Path, monkeypatch: pytest.MonkeyPatch
) -> "Callable[[Retention], Store]":
    monkeypatch.setattr(upkeep, "_PRESSED", 0.0)
    monkeypatch.setattr(worker, "_IN_A_ROW", 1)  # it has a moment for itself after each call

    def open_it(retention: Retention) -> Store:
        store = open_store("memory" if request.param == "memory" else path, retention=retention)
        request.addfinalizer(lambda: store.close(SOON))
        return store

    return open_it


# By hand


def test_what_ended_long_ago_is_removed_and_all_else_stays(store: Store) -> None:
    end(store, Done(), 1, at=NOW)
    end(store, GiveUp(error="no hope"), 2, at=NOW + 5)
    end(store, Done(), 3, at=NOW + 10)
    store.commit(Change(jobs=(greet(4), greet(5)))).result(SOON)
    store.claim("me", {"greet": 1}, NOW, 60).result(SOON)
    assert store.purge(NOW - 1).result(SOON) == 0
    assert store.purge(NOW + 5, JobStatus.COMPLETED).result(SOON) == 1
    assert kept(store) == [2, 3, 4, 5]
    assert store.purge(NOW + 5).result(SOON) == 1
    assert store.purge(NOW + 1e9).result(SOON) == 1
    assert kept(store) == [4, 5]
    stats = store.stats().result(SOON)
    assert (stats.total_jobs, stats.completed_jobs, stats.failed_jobs) == (2, 0, 0)


def test_the_earliest_go_first_and_no_more_than_asked_for(store: Store) -> None:
    for number, outcome in enumerate((Done(), GiveUp(error="no hope"), Done(), Done())):
        end(store, outcome, number, at=NOW - number)
    assert store.purge(NOW, limit=3).result(SOON) == 3
    assert kept(store) == [0]
    assert store.purge(NOW, limit=0).result(SOON) == 0
    assert store.purge(NOW, limit=-1).result(SOON) == 0


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.PROCESSING])
def test_a_job_that_has_not_ended_cannot_be_removed(store: Store, status: JobStatus) -> None:
    with pytest.raises(ValueError, match="only completed and failed"):
        store.purge(NOW, status)


def test_a_removed_job_leaves_its_id_and_its_key_to_others(store: Store) -> None:
    first = greet(1, key="the-only")
    store.commit(Change(jobs=(first,))).result(SOON)
    store.cancel(first.job.id, NOW, "not wanted").result(SOON)
    assert store.purge(NOW).result(SOON) == 1
    assert store.job(first.job.id).result(SOON) is None
    store.commit(Change(jobs=(first,))).result(SOON)
    store.commit(Change(jobs=(greet(2, key="the-only"),))).result(SOON)
    assert kept(store) == [1]


def test_what_came_back_to_life_is_not_removed_by_its_first_end(store: Store) -> None:
    (job_id,) = end(store, GiveUp(error="no hope"), 1)
    store.retry(job_id, NOW).result(SOON)
    assert store.purge(NOW + DAY).result(SOON) == 0
    store.cancel(job_id, NOW + 9, "not wanted").result(SOON)
    assert store.purge(NOW + 8).result(SOON) == 0
    assert store.purge(NOW + 9).result(SOON) == 1


def test_jobs_that_arrive_after_others_were_removed_keep_their_order(store: Store) -> None:
    end(store, Done(), 1, 2, 3)
    store.commit(Change(jobs=(greet(4), greet(5)))).result(SOON)
    store.purge(NOW).result(SOON)
    store.commit(Change(jobs=(greet(6), greet(7)))).result(SOON)
    claims = store.claim("me", {"greet": 9}, NOW, 60).result(SOON).claims
    assert [claim.job.payload["number"] for claim in claims] == [4, 5, 6, 7]


# By themselves


def test_completed_jobs_go_after_a_week_and_failed_ones_after_a_month(opened: Open) -> None:
    store = opened(Retention())
    end(store, Done(), 1)
    end(store, GiveUp(error="no hope"), 2)
    look_after(store, NOW + 7 * DAY - 60)
    assert kept(store) == [1, 2]
    look_after(store, NOW + 7 * DAY)
    assert kept(store) == [2]
    look_after(store, NOW + 30 * DAY - 60)
    assert kept(store) == [2]
    look_after(store, NOW + 30 * DAY)
    assert kept(store) == []


def test_how_long_they_are_kept_can_be_said_also_for_good(opened: Open) -> None:
    store = opened(Retention(completed=None, failed=60))
    end(store, Done(), 1)
    end(store, GiveUp(error="no hope"), 2)
    look_after(store, NOW + 1000 * DAY)
    assert kept(store) == [1]


def test_only_the_latest_completed_ones_are_kept(opened: Open) -> None:
    store = opened(Retention(most_completed=3))
    for number in range(5):
        end(store, Done(), number, at=NOW + number)
        end(store, GiveUp(error="no hope"), number + 10, at=NOW + number)
    look_after(store, NOW + 100)
    assert kept(store) == [2, 3, 4, 10, 11, 12, 13, 14]


def test_they_go_in_small_steps_between_two_calls() -> None:
    with closing(MemoryStore(retention=Retention(completed=0, failed=0, step=4))) as store:
        end(store, Done(), *range(6), at=NOW + 100)
        end(store, GiveUp(error="no hope"), *range(6, 10), at=NOW + 101)
        left: list[int] = []
        for later in range(4):
            store.claim("me", {}, NOW + 200 + later, 60).result(SOON)
            left.append(len(kept(store)))
    assert left == [6, 2, 0, 0]


def test_they_leave_a_file_in_small_steps(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        end(store, Done(), *range(6), at=NOW + 100)
        end(store, GiveUp(error="no hope"), *range(6, 10), at=NOW + 101)
        left: list[int] = []
        with closing(store._file.connect()) as db:
            keeper = Upkeep(Retention(completed=0, failed=0, step=4))
            keeper.tell(NOW + 200)
            while keeper.step(db) is not None:
                left.append(db.execute("SELECT count(*) FROM jobs").fetchone()[0])
    assert left[:3] == [6, 2, 0]


@pytest.mark.parametrize(
    "wrong",
    [{"completed": -1}, {"failed": float("nan")}, {"most_completed": -1}, {"step": 0}],
)
def test_what_cannot_be_a_retention_is_refused(wrong: "dict[str, float]") -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        Retention(**wrong)  # type: ignore[arg-type]  # the mistake under test


# The file


def rest(db: sqlite3.Connection, keeper: Upkeep) -> int:
    """Let the store rest until there is nothing more to do; return how many steps that took."""
    for steps in range(1000):
        if keeper.step(db) is None:
            return steps
    pytest.fail("there is always something more to do")


def test_payloads_go_with_their_jobs_and_the_file_shrinks(path: Path) -> None:
    store = SqliteStore(path)
    end(store, Done(), *range(400), size=20_000)
    store.commit(Change(jobs=(greet(999, size=20_000),))).result(SOON)
    with closing(store._file.connect()) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.stat().st_size
        assert before > 400 * 20_000
        keeper = Upkeep(Retention(step=100))
        keeper.tell(NOW + 7 * DAY)
        keeper.wrote()
        assert (
            keeper.step(db) == upkeep._QUIET
        )  # at once, and then when nobody has come for a while
        assert 10 < rest(db, keeper) < 30
        assert (
            db.execute("SELECT seq FROM payloads").fetchall()
            == db.execute("SELECT seq FROM jobs").fetchall()
        )
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close(SOON)
    assert path.stat().st_size < before / 4
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM jobs").fetchone() == (1,)


def test_a_store_at_rest_has_nothing_to_do_until_somebody_writes(path: Path) -> None:
    store = SqliteStore(path)
    end(store, Done(), 1)
    with closing(store._file.connect()) as db:
        keeper = Upkeep(Retention())
        assert keeper.step(db) is None  # nobody has said what time it is, and nobody wrote
        keeper.tell(NOW)
        keeper.wrote()
        assert keeper.step(db) == upkeep._QUIET
        rest(db, keeper)
        log, in_the_file = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1:]
        assert log == in_the_file
        assert keeper.step(db) is None
    store.close(SOON)


def test_a_log_that_a_reader_kept_long_is_short_again_afterwards(path: Path) -> None:
    store = SqliteStore(path, synchronous="NORMAL")
    log = path.with_name("jobs.db-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        for number in range(60):
            body = {"text": "x" * 400_000}
            store.commit(Change(writes=(Write(kind="thing", key="a", body=body),))).result(SOON)
            assert number < 30 or log.stat().st_size > 8 * 1024 * 1024
        assert reader.execute("SELECT count(*) FROM records").fetchone() == (0,)
        reader.execute("ROLLBACK")
    for _ in range(2):  # one copies what the log holds, the next begins it anew
        store.commit(Change(writes=(Write(kind="thing", key="a", body={}),))).result(SOON)
    assert log.stat().st_size <= 8 * 1024 * 1024
    store.close(SOON)
    assert not log.exists()


def test_trouble_in_looking_after_a_file_is_told_and_holds_up_nobody(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> float:
        raise sqlite3.OperationalError("database or disk is full")

    store = SqliteStore(path)
    monkeypatch.setattr(Upkeep, "step", fail)
    monkeypatch.setattr(worker, "_IN_A_ROW", 1)
    end(store, Done(), 1)
    end(store, Done(), 2)
    store.close(SOON)
    assert caplog.text.count("not looked after: database or disk is full") == 1
