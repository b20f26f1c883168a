"""``client.jobs``, plain and awaited."""

import pickle

import pytest

from novitai_sdk._calling import Async, Sync
from novitai_sdk._waiting import AsyncWaiter, BlockingWaiter
from novitai_sdk.errors import NovitaError
from novitai_sdk.jobs import (
    Change,
    Done,
    GiveUp,
    JobNotFound,
    Jobs,
    JobStateError,
    JobWaitTimedOut,
    Outcome,
    RunnerFailed,
    Settlement,
    Store,
    new_job,
)
from novitai_sdk.models import JobStatus, JobType

SOON = 10.0


class Tomorrow:
    """A clock that stands still, a day after the jobs were made."""

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return 1_700_086_400.0


NOW = Tomorrow().time() - 86_400


def add(store: Store, type_: str = "greet") -> str:
    new = new_job(type_, {}, now=NOW)
    store.commit(Change(jobs=(new,))).result(SOON)
    return new.job.id


def end(store: Store, outcome: Outcome) -> None:
    (claim,) = store.claim("me", {"greet": 1}, NOW, 60).result(SOON).claims
    store.commit(Change(settle=Settlement(claim=claim, outcome=outcome, at=NOW))).result(SOON)


def test_jobs_are_looked_at_and_moved_by_hand(store: Store) -> None:
    started: list[str] = []
    jobs = Jobs(store, BlockingWaiter(Tomorrow()), started=lambda: started.append("yes"))
    assert jobs.mode is Sync
    first, second = add(store), add(store, "create_instance")
    assert jobs.get(first).id == first
    assert [job.id for job in jobs.list(type=JobType.CREATE_INSTANCE)] == [second]
    assert [job.id for job in jobs.list(status="pending", limit=1, offset=1)] == [second]
    end(store, GiveUp(error="no hope"))
    assert jobs.wait(first).status is JobStatus.FAILED
    assert jobs.retry(first).status is JobStatus.PENDING
    assert started == ["yes"]
    assert jobs.cancel(first, "changed my mind").error == "changed my mind"
    assert (jobs.stats().failed_jobs, jobs.stats().pending_jobs) == (1, 1)


@pytest.mark.anyio
async def test_the_awaited_face_is_the_same(store: Store) -> None:
    jobs = Jobs(store, AsyncWaiter())
    assert jobs.mode is Async
    job_id = add(store)
    end(store, Done())
    assert (await jobs.wait(job_id, timeout=SOON)).status is JobStatus.COMPLETED
    assert (await jobs.get(job_id)).status is JobStatus.COMPLETED
    assert await jobs.list(status=JobStatus.FAILED) == ()
    assert (await jobs.stats()).completed_jobs == 1
    with pytest.raises(JobStateError):
        await jobs.retry(job_id)


def test_finished_jobs_are_removed_by_hand(store: Store) -> None:
    jobs = Jobs(store, BlockingWaiter(Tomorrow()))
    for _ in range(3):
        add(store)
    end(store, Done())
    end(store, GiveUp(error="no hope"))
    assert jobs.purge(older_than=86_401) == 0
    assert jobs.purge(older_than=86_400, status="failed") == 1
    assert jobs.purge(older_than=0) == 1
    assert [job.status for job in jobs.list()] == [JobStatus.PENDING]
    with pytest.raises(ValueError, match="older_than"):
        jobs.purge(older_than=-1)
    with pytest.raises(ValueError, match="only completed and failed"):
        jobs.purge(older_than=0, status="pending")


def test_what_is_not_there_is_said_to_be_so(store: Store) -> None:
    jobs = Jobs(store, BlockingWaiter())
    for ask in (jobs.get, jobs.wait, jobs.retry, jobs.cancel):
        with pytest.raises(JobNotFound, match="job_unknown"):
            ask("job_unknown")


def test_a_page_below_zero_is_refused(store: Store) -> None:
    jobs = Jobs(store, BlockingWaiter())
    with pytest.raises(ValueError, match="below 0"):
        jobs.list(limit=-1)
    with pytest.raises(ValueError, match="below 0"):
        jobs.list(offset=-1)


def test_a_wait_ends_at_its_deadline_and_says_how_things_stand(store: Store) -> None:
    jobs = Jobs(store, BlockingWaiter())
    job_id = add(store)
    with pytest.raises(TimeoutError, match=f"{job_id}.*is pending after 0.01 seconds"):
        jobs.wait(job_id, timeout=0.01)
    with pytest.raises(JobWaitTimedOut) as late:
        jobs.wait(job_id, timeout=0)
    assert isinstance(late.value, NovitaError)
    assert late.value.retryable
    assert (late.value.job, late.value.timeout) == (jobs.get(job_id), 0)
    again = pickle.loads(pickle.dumps(late.value))
    assert (str(again), again.job) == (str(late.value), late.value.job)


@pytest.mark.parametrize("timeout", [0, 0.0, -1, 1e-9])
def test_a_job_that_has_ended_is_returned_however_little_time_there_is(
    store: Store, timeout: float
) -> None:
    jobs = Jobs(store, BlockingWaiter())
    job_id = add(store)
    jobs.cancel(job_id)
    for _ in range(20):
        assert jobs.wait(job_id, timeout=timeout).status == "failed"


@pytest.mark.anyio
async def test_an_awaiting_client_is_given_it_too(store: Store) -> None:
    jobs = Jobs(store, AsyncWaiter())
    job_id = add(store)
    with pytest.raises(JobWaitTimedOut):
        await jobs.wait(job_id, timeout=0)
    await jobs.cancel(job_id)
    assert (await jobs.wait(job_id, timeout=0)).status == "failed"


def test_a_wait_does_not_outlive_the_runner(store: Store) -> None:
    def check() -> None:
        raise RunnerFailed("the runner died")

    jobs = Jobs(store, BlockingWaiter(), check=check)
    with pytest.raises(RunnerFailed):
        jobs.wait(add(store))
    assert not jobs.health().running


def test_health_tells_how_long_the_oldest_job_has_been_waiting(store: Store) -> None:
    jobs = Jobs(store, BlockingWaiter(Tomorrow()))
    assert (jobs.health().depth, jobs.health().oldest_due_age) == (0, 0)
    add(store)
    add(store)
    health = jobs.health()
    assert (health.depth, health.oldest_due_age, health.running) == (2, 86_400, True)
