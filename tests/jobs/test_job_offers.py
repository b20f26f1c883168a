"""A worker with nothing to do is given a job in the change that stores it, and never more than it has slots for."""

import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.jobs import (
    Change,
    Claim,
    Done,
    GiveUp,
    HandBack,
    JobContext,
    JobNotFound,
    NewJob,
    Offer,
    Outcome,
    RecordChanged,
    Retry,
    Runner,
    Settlement,
    SqliteStore,
    Store,
    Together,
    Write,
    new_job,
)
from novitai_sdk.models import Job, JobStatus

NOW = 1_700_000_000.0
SOON = 5.0


class Desk:
    """A worker that offers its slots and writes down what it is given."""

    def __init__(self, store: Store, owner: str = "me") -> None:
        self.store, self.owner, self.now = store, owner, NOW
        self.given: list[Claim] = []

    def offer(
        self, asked: Mapping[str, int], *, types: "tuple[str, ...] | None" = None
    ) -> "Mapping[str, int]":
        """Ask for jobs, and offer what stays free; answer with what the store says is on offer."""
        made = Offer(
            types=tuple(asked) if types is None else types,
            now=lambda: self.now,
            deliver=lambda claims: self.given.extend(claims),
        )
        batch = self.store.claim(self.owner, asked, self.now, 60, made).result(SOON)
        self.given.extend(batch.claims)
        return batch.offered

    def ids(self) -> list[str]:
        return [claim.job.id for claim in self.given]


def add(store: Store, *jobs: NewJob) -> list[str]:
    store.commit(Change(jobs=jobs)).result(SOON)
    return [new.job.id for new in jobs]


def greet(**options: float) -> NewJob:
    return new_job("greet", {}, now=NOW, **options)  # type: ignore[arg-type]  # times only


def test_a_job_is_given_away_by_the_time_it_is_acknowledged(store: Store) -> None:
    desk = Desk(store)
    assert desk.offer({"greet": 2}) == {"greet": 2}
    (job_id,) = add(store, greet())
    (claim,) = desk.given
    assert (claim.job.id, claim.owner, claim.number, claim.job.attempts) == (job_id, "me", 1, 1)
    kept = store.job(job_id).result(SOON)
    assert kept is not None
    assert kept.status is JobStatus.PROCESSING
    store.commit(Change(settle=Settlement(claim=claim, outcome=Done(), at=NOW))).result(SOON)


def test_no_more_is_given_than_there_are_slots(store: Store) -> None:
    desk = Desk(store)
    desk.offer({"greet": 2})
    added = add(store, *(greet() for _ in range(5)))
    assert desk.ids() == added[:2]
    assert desk.offer({"greet": 0}) == {"greet": 0}
    assert len(desk.given) == 2


def test_what_was_offered_is_off_offer_once_anything_was_taken(store: Store) -> None:
    desk = Desk(store)
    desk.offer({"greet": 3, "wave": 3})
    (first,) = add(store, greet())
    (second,) = add(store, greet())
    assert desk.ids() == [first]
    assert desk.offer({"greet": 2, "wave": 3}) == {"greet": 1, "wave": 3}
    assert desk.ids() == [first, second]


def test_slots_still_on_offer_count_as_free_at_the_next_claim(store: Store) -> None:
    desk = Desk(store)
    desk.offer({"greet": 3})
    assert desk.offer({"greet": 0}) == {"greet": 3}
    assert desk.offer({"greet": 0}, types=()) == {}
    add(store, greet())
    assert desk.given == []


def test_a_job_that_is_due_later_stays_until_then(store: Store) -> None:
    desk = Desk(store)
    desk.offer({"greet": 1})
    (later,) = add(store, greet(after=10))
    assert desk.given == []
    desk.now = NOW + 10
    desk.offer({"greet": 0})
    assert desk.ids() == [later]


def test_a_job_of_another_type_stays(store: Store) -> None:
    desk = Desk(store)
    desk.offer({"greet": 1})
    add(store, new_job("wave", {}, now=NOW))
    assert desk.given == []


@pytest.mark.parametrize(
    "outcome", [Retry(error="no", after=0.0), HandBack()], ids=["retry", "handed back"]
)
def test_a_job_that_comes_back_is_given_away_as_a_new_one_is(
    store: Store, outcome: Outcome
) -> None:
    other, desk = Desk(store, "other"), Desk(store)
    (job_id,) = add(store, greet())
    other.offer({"greet": 1}, types=())
    desk.offer({"greet": 1})
    (claim,) = other.given
    store.settle([Settlement(claim=claim, outcome=outcome, at=NOW)]).result(SOON)
    assert desk.ids() == [job_id]


def test_what_follows_from_a_job_is_given_away_with_it(store: Store) -> None:
    desk = Desk(store)
    add(store, new_job("first", {}, now=NOW))
    desk.offer({"first": 1, "greet": 1})
    following = greet()
    outcome = Done(jobs=(following,))
    store.settle([Settlement(claim=desk.given[0], outcome=outcome, at=NOW)]).result(SOON)
    assert desk.ids()[1:] == [following.job.id]


def test_after_it_has_withdrawn_a_worker_is_given_nothing(store: Store) -> None:
    desk = Desk(store)
    desk.offer({"greet": 1})
    store.withdraw("me").result(SOON)
    store.withdraw("nobody").result(SOON)
    add(store, greet())
    assert desk.given == []
    desk.offer({"greet": 1}, types=())
    assert len(desk.given) == 1


def test_a_change_that_is_refused_gives_nothing_away(store: Store) -> None:
    desk = Desk(store)
    desk.offer({"greet": 1})
    first = greet()
    stale = Write(kind="thing", key="a", body={}, expected=7)
    with pytest.raises(RecordChanged):
        store.commit(Change(jobs=(first,), writes=(stale,))).result(SOON)
    assert desk.given == []
    assert store.job(first.job.id).result(SOON) is None
    with pytest.raises(JobNotFound):
        store.retry("none-such", NOW).result(SOON)
    (job_id,) = add(store, greet())
    assert desk.ids() == [job_id]


def test_two_workers_never_get_the_same_job(store: Store) -> None:
    desks = [Desk(store, "one"), Desk(store, "two")]
    for desk in desks:
        desk.offer({"greet": 2})
    added = add(store, *(greet() for _ in range(3)))
    assert sorted(desks[0].ids() + desks[1].ids()) == sorted(added)
    assert max(len(desk.given) for desk in desks) == 2


def test_a_job_given_away_goes_back_when_its_lease_has_ended(store: Store) -> None:
    desk, other = Desk(store), Desk(store, "other")
    desk.offer({"greet": 1})
    (job_id,) = add(store, greet())
    other.now = NOW + 61
    other.offer({"greet": 1})
    assert other.ids() == [job_id]
    (stale,) = desk.given
    (refused,) = store.settle([Settlement(claim=stale, outcome=Done(), at=NOW + 61)]).result(SOON)
    assert refused is not None


def test_a_job_cancelled_before_it_was_seen_is_nobody_s(store: Store) -> None:
    desk = Desk(store)
    desk.offer({"greet": 1})
    (job_id,) = add(store, greet())
    store.cancel(job_id, NOW, "not wanted").result(SOON)
    outcome = GiveUp(error="too late")
    (refused,) = store.settle([Settlement(claim=desk.given[0], outcome=outcome, at=NOW)]).result(
        SOON
    )
    assert refused is not None


def test_a_job_is_given_away_when_it_would_outlive_the_worker(path: Path) -> None:
    seen: list[list[tuple[str, int]]] = []

    def look(_: object) -> None:
        with closing(sqlite3.connect(path)) as other:  # sees what would be left if all ended now
            seen.append(other.execute("SELECT status, attempts FROM jobs").fetchall())

    with closing(SqliteStore(path)) as here:
        made = Offer(types=("greet",), now=lambda: NOW, deliver=look)
        here.claim("me", {"greet": 1}, NOW, 60, made).result(SOON)
        add(here, greet())
    assert seen == [[("processing", 1)]]


def test_what_a_store_gives_back_as_it_closes_is_not_given_to_those_who_offer_slots_here(
    path: Path,
) -> None:
    here, there = SqliteStore(path), SqliteStore(path)
    desk, other = Desk(here, "me"), Desk(here, "other")
    job_ids = add(here, new_job("greet", {}, now=NOW, max_attempts=1), greet())
    desk.offer({"greet": 8})
    other.offer({"greet": 8})
    assert sorted(desk.ids()) == sorted(job_ids)
    here.close(SOON)
    assert (len(desk.given), other.given) == (2, [])
    for job_id in job_ids:
        job = there.job(job_id).result(SOON)
        assert job is not None
        # Whoever stops spends no attempt, not even the last.
        assert (job.status, job.attempts, job.error) == (JobStatus.PENDING, 0, None)
    there.close(SOON)


def test_another_process_s_slots_are_not_filled_from_here(path: Path) -> None:
    here, there = SqliteStore(path), SqliteStore(path)
    desk = Desk(there, "there")
    desk.offer({"greet": 1})
    (job_id,) = add(here, greet())
    assert desk.given == []
    desk.offer({"greet": 0})
    assert desk.ids() == [job_id]
    here.close(SOON)
    there.close(SOON)


# The runner


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_runner_never_works_on_more_than_it_has_slots_for(store: Store, backend: str) -> None:
    """Four threads enqueue while it works; slots that are on offer are not counted twice."""
    busy: dict[str, int] = {"greet": 0, "wave": 0}
    most = dict(busy)
    ended: list[str] = []
    all_of_them = 4 * 60

    async def work(job: Job, _: JobContext) -> Outcome:
        type_ = str(job.type)
        busy[type_] += 1
        most[type_] = max(most[type_], busy[type_])
        await anyio.sleep(0.0005)
        busy[type_] -= 1
        ended.append(job.id)
        if len(ended) == all_of_them:
            runner.stop()
        return Done()

    async def wave_all(contexts: "tuple[JobContext, ...]") -> "dict[str, Outcome]":
        assert busy["wave"] == 0  # one call at a time
        busy["wave"] += 1
        most["wave"] = max(most["wave"], busy["wave"])
        await anyio.sleep(0.001)
        busy["wave"] -= 1
        ended.extend(context.job.id for context in contexts)
        if len(ended) == all_of_them:
            runner.stop()
        return {context.job.id: Done() for context in contexts}

    handlers = {"greet": work, "wave": Together(wave_all)}  # type: ignore[arg-type]  # any sequence will do
    runner = Runner(store, handlers, slots=3)

    def enqueue(number: int) -> None:
        for count in range(60):
            type_ = ("greet", "wave")[(number + count) % 3 == 0]
            store.commit(Change(jobs=(new_job(type_, {}, now=0.0),))).result(SOON)

    async def main() -> None:
        with anyio.fail_after(30):
            await runner.run()

    threads = [threading.Thread(target=enqueue, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    anyio.run(main, backend=backend)
    for thread in threads:
        thread.join()
    assert len(set(ended)) == len(ended) == all_of_them
    assert most["greet"] <= 3
    assert most["wave"] == 1
    assert store.stats().result(SOON).completed_jobs == all_of_them


@pytest.mark.anyio
async def test_a_stopped_runner_leaves_what_comes_after_it_to_others(store: Store) -> None:
    async def work(job: Job, _: JobContext) -> Outcome:
        return Done()

    runner = Runner(store, {"greet": work})
    done = store.settled(add(store, greet())[0])
    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await AsyncWaiter().result(done)
            runner.stop()
    (left,) = add(store, greet())
    job = store.job(left).result(SOON)
    assert job is not None
    assert (job.status, job.attempts) == (JobStatus.PENDING, 0)
