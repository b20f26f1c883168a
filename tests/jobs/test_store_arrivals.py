"""Jobs that come one by one stand apart until the next transaction files them, and nobody can tell."""

import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import SOON, opened

from novitai_sdk.jobs import (
    Change,
    Done,
    JobOrder,
    JobPage,
    JobQuery,
    JobRefused,
    NewJob,
    Settlement,
    SqliteStore,
    Write,
    _arrivals,
    _counts,
    new_job,
)
from novitai_sdk.jobs._upkeep import Upkeep
from novitai_sdk.models import JobPriority, JobStatus

NOW = 1_700_000_000.0


def greet(number: int, **options: float) -> NewJob:
    return new_job("greet", {"number": number}, now=NOW + number / 1000, **options)


def put(store: SqliteStore, *new: NewJob) -> None:
    """Store each alone."""
    for one in new:
        store.commit(Change(jobs=(one,))).result(SOON)


def touch(store: SqliteStore) -> None:
    """Commit what has nothing to do with jobs."""
    store.commit(Change(writes=(Write(kind="thing", key="a", body={}),))).result(SOON)


@contextmanager
def beside(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def standing(path: Path) -> int:
    """How many jobs are not filed yet."""
    with beside(path) as db:
        (count,) = db.execute("SELECT count(*) FROM arrivals").fetchone()
    return int(count)


def numbers(store: SqliteStore, query: JobQuery | None = None) -> list[object]:
    return [job.payload["number"] for job in store.jobs(query or JobQuery()).result(SOON)]


def test_what_came_alone_is_seen_by_whoever_looks_before_it_is_filed(path: Path) -> None:
    with opened(path) as store:
        filed, alone, later = greet(1), greet(2), greet(3, after=60)
        store.commit(Change(jobs=(filed, greet(0)))).result(SOON)
        put(store, alone, later)
        assert standing(path) == 2
        assert store.job(alone.job.id).result(SOON) == alone.job
        assert numbers(store) == [0, 1, 2, 3]
        assert numbers(store, JobQuery(order="newest")) == [3, 2, 0, 1]
        assert numbers(store, JobQuery(status=JobStatus.PENDING, limit=3)) == [0, 1, 2]
        assert numbers(store, JobQuery(status=JobStatus.COMPLETED)) == []
        assert numbers(store, JobQuery(type="greet", created_since=NOW + 0.002)) == [2, 3]
        stats = store.stats(NOW + 1).result(SOON)
        assert (stats.total_jobs, stats.pending_jobs, stats.jobs_by_type["greet"]) == (4, 4, 4)
        backlog = store.backlog(NOW + 1).result(SOON)
        assert (backlog.depth, backlog.oldest_due) == (3, NOW)
        assert standing(path) == 2


def test_a_backlog_of_nothing_but_arrivals_is_one(path: Path) -> None:
    with opened(path) as store:
        put(store, greet(5), greet(3))
        backlog = store.backlog(NOW + 1).result(SOON)
        assert (backlog.depth, backlog.oldest_due) == (2, NOW + 0.003)


def test_pages_go_on_from_what_is_filed_to_what_is_not(path: Path) -> None:
    with opened(path) as store:
        store.commit(Change(jobs=tuple(greet(number) for number in range(3)))).result(SOON)
        put(store, *(greet(number) for number in range(3, 7)))
        seen: list[object] = []
        after: str | None = None
        while True:
            page = store.page(JobQuery(limit=2, after=after)).result(SOON)
            seen += [job.payload["number"] for job in page.jobs]
            touch(store)  # files what stands there, between two pages
            if page.next is None:
                break
            after = page.next
        assert seen == list(range(7))


@given(
    filed=st.lists(st.integers(0, 9), max_size=6),
    alone=st.lists(st.integers(0, 9), max_size=6),
    order=st.sampled_from(["priority", "oldest", "newest"]),
    limit=st.integers(0, 5),
    offset=st.integers(0, 14),
)
@settings(max_examples=60)
def test_a_list_is_the_same_before_and_after_they_are_filed(
    filed: list[int], alone: list[int], order: JobOrder, limit: int, offset: int
) -> None:
    def some(number: int) -> NewJob:
        return new_job(
            "greet", {"number": number}, now=NOW + number, priority=JobPriority(1 + number % 4)
        )

    with (
        tempfile.TemporaryDirectory() as directory,
        opened(Path(directory, "jobs.db"), "NORMAL") as store,
    ):
        if filed:
            store.commit(Change(jobs=tuple(some(number) for number in (*filed, 0)))).result(SOON)
        put(store, *(some(number) for number in alone))
        query = JobQuery(order=order, limit=limit, offset=offset)

        def pages() -> list[JobPage]:
            first = store.page(query).result(SOON)
            if first.next is None:
                return [first]
            on = attrs.evolve(query, offset=0, after=first.next)
            return [first, store.page(on).result(SOON)]

        before, whole = pages(), store.jobs(JobQuery(order=order)).result(SOON)
        end = offset + 2 * limit if limit else None
        assert [job for page in before for job in page.jobs] == list(whole[offset:end])
        touch(store)
        assert pages() == before


def test_the_next_transaction_files_them_in_their_order(path: Path) -> None:
    with opened(path) as store:
        put(store, *(greet(number) for number in range(5)))
        before = store.jobs(JobQuery()).result(SOON)
        touch(store)
        assert standing(path) == 0
        assert store.jobs(JobQuery()).result(SOON) == before
        assert numbers(store) == list(range(5))


def test_a_worker_is_given_what_came_alone(path: Path) -> None:
    with opened(path) as store:
        urgent = new_job("greet", {"number": 9}, now=NOW, priority=JobPriority.CRITICAL)
        put(store, greet(1), urgent, greet(2, after=60))
        batch = store.claim("me", {"greet": 5}, NOW + 1, 60).result(SOON)
        assert [claim.job.payload["number"] for claim in batch.claims] == [9, 1]
        assert batch.next_due == NOW + 0.002 + 60


def test_a_job_that_came_alone_can_be_cancelled_at_once(path: Path) -> None:
    with opened(path) as store:
        new = greet(1)
        put(store, new)
        assert (
            store.cancel(new.job.id, NOW + 1, "not wanted").result(SOON).status is JobStatus.FAILED
        )
        assert standing(path) == 0


@pytest.mark.parametrize("filed", [True, False])
def test_an_id_is_given_once(path: Path, filed: bool) -> None:
    with opened(path) as store:
        new = greet(1)
        put(store, new)
        if filed:
            touch(store)
        other = attrs.evolve(new, job=attrs.evolve(new.job, payload={"number": 2}))
        with pytest.raises(JobRefused, match="there is one of that id"):
            put(store, other)
        assert numbers(store) == [1]


def test_there_are_never_more_than_a_few_dozen(path: Path) -> None:
    with opened(path) as store:
        most = 0
        for number in range(200):
            put(store, greet(number))
            most = max(most, standing(path))
        assert 10 < most < _arrivals._MOST
        assert numbers(store) == list(range(200))


def test_what_has_a_key_or_a_long_payload_stands_in_the_table_at_once(path: Path) -> None:
    with opened(path) as store:
        put(store, attrs.evolve(greet(1), key="a"), attrs.evolve(greet(2), key="a"))
        put(store, new_job("greet", {"number": 3, "text": "x" * 5000}, now=NOW))
        assert standing(path) == 0
        assert sorted(map(str, numbers(store))) == ["1", "3"]


def test_they_are_filed_when_nobody_wants_anything(path: Path) -> None:
    """A worker of an earlier version, which has the file open, looks into the table alone."""
    with opened(path) as store:
        put(store, greet(1), greet(2))
        with closing(store._file.connect()) as db:
            keeper = Upkeep(store._retention)
            keeper.wrote()
            while keeper.step(db) is not None:
                pass
            assert db.execute("SELECT count(*) FROM jobs").fetchone() == (2,)
        assert standing(path) == 0


def test_a_file_that_is_opened_again_has_them(path: Path) -> None:
    with opened(path) as store:
        put(store, greet(1), greet(2))
    assert standing(path) == 2
    with opened(path) as store:
        assert numbers(store) == [1, 2]
        put(store, greet(3))
        assert numbers(store) == [1, 2, 3]


def test_another_process_of_an_earlier_version_takes_no_place_of_theirs(path: Path) -> None:
    with opened(path) as store:
        put(store, greet(1), greet(2))
        with beside(
            path
        ) as earlier:  # it knows of the table alone, and numbers what it adds by that
            earlier.executemany(
                "INSERT INTO jobs (id, type, status, priority, attempts, max_attempts, created_at, due, body)"
                " VALUES (?, 'greet', 'pending', 2, 0, 3, ?, ?, ?)",
                [(f"job_{n}", NOW, NOW, f'{{"number":{n}}}') for n in (7, 8, 9)],
            )
        touch(store)
        assert standing(path) == 0
        assert numbers(store) == [7, 8, 9, 1, 2]


def test_several_processes_put_jobs_one_by_one_into_one_file(path: Path) -> None:
    with opened(path) as store, opened(path) as other:
        for number in range(0, 100, 2):
            put(store, greet(number))
            put(other, greet(number + 1))
        assert numbers(store) == numbers(other) == list(range(100))


def test_each_answer_is_of_one_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is filed between two looks would be counted twice, or not at all."""
    with opened(path) as store, opened(path) as other:
        put(store, greet(1), greet(2))
        look = _counts.backlog

        def look_after_a_while(db: sqlite3.Connection, now: float) -> object:
            filing = threading.Thread(target=touch, args=(other,))
            filing.start()
            filing.join(SOON)
            return look(db, now)

        monkeypatch.setattr(_counts, "backlog", look_after_a_while)
        stats = store.stats(NOW + 1).result(SOON)
        assert (stats.pending_jobs, stats.due_jobs) == (2, 2)
        assert standing(path) == 0


def test_one_that_somebody_spoiled_keeps_no_other_from_being_worked_on(path: Path) -> None:
    with opened(path) as store:
        put(store, *(greet(number) for number in range(5)))
        with beside(path) as db:
            db.execute("UPDATE arrivals SET priority = 9 WHERE seq = 3")
        claims = store.claim("me", {"greet": 9}, NOW + 1, 60).result(SOON).claims
        assert [claim.job.payload["number"] for claim in claims] == [0, 1, 3, 4]
        assert standing(path) == 1
        put(store, greet(5))
        (claim,) = store.claim("me", {"greet": 9}, NOW + 1, 60).result(SOON).claims
        assert claim.job.payload == {"number": 5}


def test_where_they_cannot_be_filed_jobs_still_end_and_make_room(path: Path) -> None:
    with opened(path) as store:
        store.commit(Change(jobs=(greet(1), greet(2)))).result(SOON)
        put(store, greet(3))
        with beside(path) as db:
            db.execute(
                "CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT raise(FAIL, 'database or disk is full'); END"
            )
        first, second = store.claim("me", {"greet": 5}, NOW + 1, 60).result(SOON).claims
        ends = [Settlement(claim=claim, outcome=Done(), at=NOW + 1) for claim in (first, second)]
        assert store.settle(ends).result(SOON) == (None, None)
        assert store.purge(NOW + 1).result(SOON) == 2
        assert numbers(store) == [3]
        with beside(path) as db:
            db.execute("DROP TRIGGER full")
        (claim,) = store.claim("me", {"greet": 5}, NOW + 1, 60).result(SOON).claims
        assert claim.job.payload == {"number": 3}
