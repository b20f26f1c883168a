"""Jobs are found by what they are, and a list can be read page by page while jobs come and go."""

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

import attrs
import pytest

from novitai_sdk._calling import Sync
from novitai_sdk._waiting import AsyncWaiter, BlockingWaiter
from novitai_sdk.jobs import (
    Change,
    Done,
    JobOrder,
    JobPage,
    JobQuery,
    Jobs,
    NewJob,
    Settlement,
    Store,
    StoreError,
    new_job,
)
from novitai_sdk.models import Job, JobPriority, JobStatus

NOW = 1_700_000_000.0
SOON = 10.0
ORDERS: tuple[JobOrder, ...] = ("priority", "oldest", "newest")


def greet(
    number: int, *, type_: str = "greet", at: float = NOW, priority: int = 2, key: str | None = None
) -> NewJob:
    return new_job(type_, {"n": number}, now=at, priority=JobPriority(priority), key=key)


def add(store: Store, *jobs: NewJob) -> list[str]:
    store.commit(Change(jobs=jobs)).result(SOON)
    return [new.job.id for new in jobs]


def end_all(store: Store, at: float) -> None:
    for claim in store.claim("me", {"greet": 99}, at, 60).result(SOON).claims:
        store.commit(Change(settle=Settlement(claim=claim, outcome=Done(), at=at))).result(SOON)


def found(store: Store, **query: Any) -> list[object]:
    return numbers(store.jobs(JobQuery(**query)).result(SOON))


def numbers(jobs: Iterable[Job]) -> list[object]:
    return [job.payload["n"] for job in jobs]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


# What is asked for


def test_jobs_are_found_by_status_and_type_one_or_several(store: Store) -> None:
    add(store, greet(1))
    end_all(store, NOW)
    add(store, greet(2), greet(3, type_="part"), greet(4, type_="other"))
    gone = add(store, greet(5))
    store.cancel(gone[0], NOW, "not wanted").result(SOON)
    assert found(store, status="pending") == [2, 3, 4]
    assert found(store, status=(JobStatus.COMPLETED, "failed")) == [1, 5]
    assert found(store, type=["part", "other"]) == [3, 4]
    assert found(store, type="greet", status=JobStatus.PENDING) == [2]
    assert found(store, status=None, type=None) == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="asleep"):
        JobQuery(status="asleep")


def test_none_of_several_finds_no_job(store: Store) -> None:
    (job_id,) = add(store, greet(1))
    jobs = Jobs(store, BlockingWaiter())
    for nothing in ([], (), set[str](), iter(tuple[str, ...]())):
        assert jobs.list(status=nothing) == ()
        assert jobs.list(type=nothing) == ()
        assert list(jobs.iterate(status=nothing, type="greet")) == []
        assert list(jobs.iterate(status="pending", type=nothing)) == []
        assert jobs.list_page(JobQuery(status=nothing, limit=1)) == JobPage(jobs=(), next=None)
        assert jobs.list_page(JobQuery(type=nothing, order="oldest")).jobs == ()
    assert [job.id for job in jobs.list(status=None, type=None)] == [job_id]
    with pytest.raises(ValueError, match=r"status is \[\]"):
        jobs.purge(older_than=0, status=[])  # type: ignore[arg-type]  # must be refused


def test_jobs_are_found_by_the_key_they_were_stored_with(store: Store) -> None:
    add(store, greet(1, key="a"))
    end_all(store, NOW)
    add(store, greet(2, key="a"), greet(3, key="b"), greet(4))
    assert found(store, key="a") == [1, 2]


def test_jobs_are_found_by_when_they_were_made_and_ended(store: Store) -> None:
    for number in range(4):
        add(store, greet(number, at=NOW + number))
        if number < 3:
            end_all(store, NOW + 10 + number)
    assert found(store, created_since=NOW + 1, created_until=NOW + 3) == [1, 2]
    assert found(store, ended_since=NOW + 11) == [1, 2]
    assert found(store, ended_until=NOW + 11) == [0]
    assert found(store, ended_since=NOW + 11, created_until=NOW + 2) == [1]


def test_there_are_three_orders(store: Store) -> None:
    add(store, greet(1, at=NOW + 5), greet(2, priority=4), greet(3, at=NOW + 1), greet(4))
    assert found(store) == found(store, order="priority") == [2, 4, 3, 1]
    assert found(store, order="oldest") == [1, 2, 3, 4]
    assert found(store, order="newest", limit=3) == [4, 3, 2]
    with pytest.raises(ValueError, match="priority, oldest, newest"):
        JobQuery(order="random")  # type: ignore[arg-type]  # the mistake under test


# Page by page


@pytest.mark.parametrize("order", ORDERS)
def test_a_list_is_read_page_by_page_to_its_end(store: Store, order: JobOrder) -> None:
    add(store, *(greet(n, at=NOW + n % 3, priority=1 + n % 4) for n in range(10)))
    whole = store.jobs(JobQuery(order=order)).result(SOON)
    assert len(whole) == 10
    for limit in (1, 3, 5, 10, 11):
        query = JobQuery(order=order, limit=limit)
        pages: list[JobPage] = []
        while not pages or pages[-1].next is not None:
            pages.append(store.page(query).result(SOON))
            query = attrs.evolve(query, after=pages[-1].next)
        assert [job for page in pages for job in page.jobs] == list(whole)
        assert len(pages) == -(-10 // limit)


@pytest.mark.parametrize("order", ORDERS)
def test_jobs_that_come_and_go_meanwhile_neither_repeat_others_nor_hide_them(
    store: Store, order: JobOrder
) -> None:
    stays = [greet(n, at=NOW + n % 7, priority=1 + n % 4) for n in range(40)]
    goes = [greet(n + 100, type_="part", at=NOW + n % 5, priority=1 + n % 4) for n in range(40)]
    add(store, *(new for pair in zip(stays, goes, strict=True) for new in pair))
    query, seen, left = JobQuery(order=order, limit=7), list[str](), list(goes)
    while True:
        page = store.page(query).result(SOON)
        seen += [job.id for job in page.jobs]
        if page.next is None:
            break
        query = attrs.evolve(query, after=page.next)
        for _ in range(min(3, len(left))):  # also the one the page ended with, now and then
            last = next((new for new in left if new.job.id in seen[-2:]), None)
            gone = last or left[len(left) // 2]
            left.remove(gone)
            store.cancel(gone.job.id, NOW, "not wanted").result(SOON)
        store.purge(NOW + 1).result(SOON)
        add(store, *(greet(n + 200, at=NOW + n, priority=1 + n) for n in range(4)))
    assert len(set(seen)) == len(seen)
    assert {new.job.id for new in stays} <= set(seen)


@pytest.mark.parametrize(
    "after",
    ["", "oldest", "oldest:", "oldest:x", "oldest:1:2", "newest:1", "oldest:nan", "oldest:1e99"],
)
def test_what_is_no_cursor_is_refused(after: str) -> None:
    with pytest.raises(ValueError, match="no cursor of the order 'oldest'"):
        JobQuery(order="oldest", after=after)


@pytest.mark.parametrize("seconds", [0.0, 1e-06, 1e15 + 0.5])
def test_a_cursor_holds_any_time(seconds: float) -> None:
    query = JobQuery(order="priority", limit=1)
    job = attrs.evolve(greet(1).job, created_at=at(min(seconds, 1e9 + 0.000001)))
    cursor = query.page([(job, 1), (job, 2)]).next
    assert attrs.evolve(query, after=cursor).place() == query.place_of(job, 1)


# For people


def test_all_jobs_are_walked_through(store: Store) -> None:
    jobs: Jobs[Sync] = Jobs(store, BlockingWaiter())
    add(store, *(greet(n, type_="part" if n % 2 else "greet") for n in range(7)))
    assert numbers(jobs.iterate(page_size=2)) == list(range(7))
    assert numbers(jobs.iterate(page_size=2, order="newest", type="part")) == [5, 3, 1]
    assert numbers(jobs.iterate(type="none")) == []
    assert jobs.list_page(JobQuery(limit=5, order="oldest")).next == "oldest:5"
    with pytest.raises(ValueError, match="page_size"):
        jobs.iterate(page_size=0)


@pytest.mark.anyio
async def test_all_jobs_are_walked_through_by_an_awaiting_client(store: Store) -> None:
    jobs = Jobs(store, AsyncWaiter())
    add(store, *(greet(n) for n in range(5)))
    assert numbers([job async for job in jobs.iterate(page_size=2)]) == list(range(5))
    assert len((await jobs.list_page(JobQuery(limit=3))).jobs) == 3


def test_a_list_takes_times_as_people_have_them(store: Store) -> None:
    jobs = Jobs(store, BlockingWaiter())
    add(store, *(greet(n, at=NOW + n) for n in range(3)))
    end_all(store, NOW + 10)
    assert numbers(jobs.list(created_since=at(NOW + 1), ended_until=at(NOW + 11))) == [1, 2]
    assert numbers(jobs.list(status=["completed"], order="newest", limit=2)) == [2, 1]
    assert numbers(jobs.iterate(ended_since=at(NOW + 11), created_until=at(NOW + 1))) == []
    for ask in (jobs.list, jobs.iterate):
        with pytest.raises(ValueError, match="no time zone"):
            ask(created_since=datetime(2023, 1, 1))  # noqa: DTZ001 - the mistake under test


def test_a_walk_goes_on_after_an_error_where_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs(store, BlockingWaiter())
    add(store, *(greet(n) for n in range(4)))
    walk = jobs.iterate(page_size=2)
    assert numbers([next(walk), next(walk)]) == [0, 1]
    page: Callable[[JobQuery], object] = store.page

    def fail(query: JobQuery) -> object:
        monkeypatch.setattr(store, "page", page)
        raise StoreError("trouble")

    monkeypatch.setattr(store, "page", fail)
    with pytest.raises(StoreError):
        next(walk)
    assert numbers(walk) == [2, 3]
