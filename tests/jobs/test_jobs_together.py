"""One call of a handler for all due jobs of a type."""

import logging
from collections.abc import Callable, Mapping, Sequence

import anyio
import pytest

from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.jobs import (
    Again,
    Change,
    ClaimLost,
    Done,
    GiveUp,
    JobContext,
    Outcome,
    Runner,
    Store,
    Together,
    new_job,
)
from novitai_sdk.models import JobStatus

SOON = 10.0

Answers = Mapping[str, "Outcome | Exception"]


async def play(store: Store, together: Together, until: Callable[[], bool]) -> None:
    """Run jobs of type ``look`` until *until* holds after one of them has ended."""
    runner = Runner(store, {"look": together}, on_job=lambda _: until() and runner.stop())
    with anyio.fail_after(SOON):
        await runner.run()


def add(store: Store, count: int) -> list[str]:
    jobs = tuple(
        new_job("look", {"number": number}, now=0.0, max_attempts=2) for number in range(count)
    )
    store.commit(Change(jobs=jobs)).result(SOON)
    return [new.job.id for new in jobs]


def status(store: Store, job_id: str) -> JobStatus:
    job = store.job(job_id).result(SOON)
    assert job is not None
    return job.status


@pytest.mark.anyio
async def test_each_job_ends_as_the_one_call_says(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "novitai_sdk")
    done, failed, lost, silent = ids = add(store, 4)
    calls: list[int] = []

    async def handle(contexts: Sequence[JobContext]) -> Answers:
        calls.append(len(contexts))
        answers: dict[str, Outcome | Exception] = {
            done: Done(),
            failed: ValueError("out of order"),
            lost: ClaimLost(lost),
        }
        return {one.job.id: answers[one.job.id] for one in contexts if one.job.id in answers}

    def ended() -> bool:
        found = [store.job(id_).result(SOON) for id_ in ids]
        return [job and (job.error or job.completed_at) for job in found].count(None) == 1

    await play(store, Together(handle), ended)
    assert calls[0] == 4
    assert status(store, done) is JobStatus.COMPLETED
    job = store.job(failed).result(SOON)
    assert job is not None
    assert job.error == "ValueError: out of order"
    job = store.job(silent).result(SOON)
    assert job is not None
    assert "did not say how this job's attempt ended" in str(job.error)
    job = store.job(lost).result(SOON)
    assert job is not None
    assert job.error is None
    assert f"job {lost} is no longer ours" in caplog.text
    assert f"of job {lost}" not in caplog.text


@pytest.mark.anyio
async def test_a_call_that_hangs_does_not_hold_up_those_that_come_after_it(store: Store) -> None:
    release = anyio.Event()
    first, second = add(store, 2)
    at_once: list[int] = []

    async def handle(contexts: Sequence[JobContext]) -> Answers:
        at_once.append(len(contexts))
        if contexts[0].job.id == first:
            await release.wait()
        else:
            release.set()
        return {one.job.id: Done() for one in contexts}

    def ended() -> bool:
        return status(store, first) is status(store, second) is JobStatus.COMPLETED

    await play(store, Together(handle, most=1, calls=2), ended)
    assert at_once == [1, 1]


@pytest.mark.anyio
async def test_jobs_that_name_the_same_moment_come_in_one_call(store: Store) -> None:
    waiter = AsyncWaiter()
    add(store, 3)
    sizes: list[int] = []
    due = waiter.time() + 0.05

    async def handle(contexts: Sequence[JobContext]) -> Answers:
        sizes.append(len(contexts))
        if sum(sizes) <= 3:  # one after the other, a little apart
            return {one.job.id: Again(due=due) for one in contexts}
        return {one.job.id: Done() for one in contexts}

    await play(store, Together(handle, most=1), lambda: sum(sizes) >= 6)
    assert sizes == [1, 1, 1, 1, 1, 1]
    sizes.clear()
    due = waiter.time() + 0.05
    add(store, 3)
    await play(store, Together(handle, most=3), lambda: sum(sizes) >= 6)
    assert sizes[-1] == 3


@pytest.mark.anyio
async def test_an_engine_may_call_it_with_one_job(store: Store) -> None:
    answer: Outcome | Exception | None = GiveUp(error="no")

    async def handle(contexts: Sequence[JobContext]) -> Answers:
        (context,) = contexts
        return {} if answer is None else {context.job.id: answer}

    add(store, 1)
    (claim,) = store.claim("me", {"look": 1}, 1.0, 60).result(SOON).claims
    waiter: AsyncWaiter = AsyncWaiter()
    context = JobContext(claim=claim, waiter=waiter, store=store)
    handler = Together(handle)
    assert await handler(claim.job, context) == GiveUp(error="no")
    answer = KeyError("gone")
    with pytest.raises(KeyError, match="gone"):
        await handler(claim.job, context)
    answer = None
    with pytest.raises(LookupError, match="did not say"):
        await handler(claim.job, context)
