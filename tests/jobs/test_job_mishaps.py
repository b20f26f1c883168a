"""What goes wrong inside one job harms neither the others nor the runner, whatever it is."""

import asyncio
import math
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import anyio
import pytest
from bench import SOON, add, done, ended, greet, running

from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.jobs import (
    Again,
    Change,
    Claim,
    Done,
    GiveUp,
    HandBack,
    JobContext,
    JobEvent,
    JobRefused,
    MemoryStore,
    Outcome,
    Retry,
    Runner,
    RunnerFailed,
    Settlement,
    Store,
    Together,
    Write,
    new_job,
)
from novitai_sdk.models import Job, JobStatus

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

NOT_TEXT = os.fsdecode(b"bad name \xff")
WRITE = Write(kind="thing", key="a", body={})


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


class Panic(BaseException):
    """As extensions in Rust raise it, and some tools for tests."""


class UnspeakablePanic(Panic):
    def __str__(self) -> str:
        raise Panic("not even that")

    __repr__ = __str__


class SaysAPanic(Exception):
    def __str__(self) -> str:
        raise Panic("no words")


class Several(Panic):
    """A group, also where Python has none."""

    def __init__(self, *exceptions: BaseException) -> None:
        super().__init__("several")
        self.exceptions = exceptions

    def __repr__(self) -> str:
        return f"Several{self.exceptions}"


class OddGroup(Exception):
    exceptions = 5


def raises(error: Callable[[], BaseException]) -> Callable[[], Outcome]:
    def handler() -> Outcome:
        raise error()

    return handler


def answers(answer: Any) -> Callable[[], Outcome]:
    return lambda: answer


MISHAPS: dict[str, tuple[Callable[[], Outcome], str]] = {
    "an exception for an error text": (
        answers(GiveUp(error=ValueError("boo"))),
        "error is ValueError('boo'), not a text",
    ),
    "no error text": (answers(GiveUp(error=None)), "error is None"),
    "again after for ever": (answers(Again(after=math.inf)), "after is inf"),
    "again after no number": (answers(Again(after=math.nan)), "after is nan"),
    "again at the end of all days": (answers(Again(due=1e300)), "due is 1e+300"),
    "handed back for ever": (answers(HandBack(after=math.inf)), "after is inf"),
    "retry after for ever": (answers(Retry(error="no", after=math.inf)), "after is inf"),
    "retry after ages": (answers(Retry(error="no", after=1e15)), "after is 1000000000000000.0"),
    "a write without its tuple": (
        answers(Done(writes=WRITE)),
        "mind the comma",
    ),
    "a job that is none": (answers(Done(jobs=(None,))), "jobs is not a tuple of NewJob"),
    "nothing": (answers(None), "answered None, not an outcome"),
    "an error whose text is no text": (raises(lambda: ValueError(NOT_TEXT)), "bad name ?"),
    "a failure whose text is no text": (answers(GiveUp(error=NOT_TEXT)), "bad name ?"),
    "an error that cannot be shown": (raises(Unspeakable), "Unspeakable: (its message cannot"),
    "an error that is an odd group": (raises(OddGroup), "OddGroup"),
    "an exit": (raises(lambda: SystemExit(1)), "the handler raised SystemExit"),
    "a panic": (raises(lambda: Panic("a bug")), "the handler raised Panic('a bug')"),
    "a panic that cannot be shown": (raises(UnspeakablePanic), "raised UnspeakablePanic"),
    "an error that panics when it is shown": (
        raises(SaysAPanic),
        "SaysAPanic: (its message cannot",
    ),
    "a group with an exit": (
        raises(lambda: Several(ValueError("no"), SystemExit(1))),
        "Several(ValueError('no'), SystemExit(1))",
    ),
    "a cancellation that was meant for others": (
        raises(lambda: asyncio.CancelledError()),
        "CancelledError",
    ),
    "a group of cancellations that were meant for others": (
        raises(lambda: Several(asyncio.CancelledError(), asyncio.CancelledError())),
        "CancelledError",
    ),
}
"""What a handler does, and what the job's error says then."""


@pytest.mark.anyio
@pytest.mark.parametrize("mishap", MISHAPS)
async def test_a_mishap_is_a_failed_attempt_of_that_job_alone(
    store: Store, mishap: str, anyio_backend: str
) -> None:
    if "cancellation" in mishap and anyio_backend == "trio":
        pytest.skip("trio knows no cancellation but that of its scopes")
    happens, said = MISHAPS[mishap]

    async def handler(job: Job, context: JobContext) -> Outcome:
        return happens() if job.payload["number"] == 2 else Done()

    async with running(store, {"greet": handler, "other": done}) as runner:
        # In one change, so that the good ones end in one message with the bad one.
        ids = await add(store, *(greet(number, max_attempts=1) for number in range(5)))
        jobs = [await ended(store, job_id) for job_id in ids]
        failed = jobs.pop(2)
        assert failed.status is JobStatus.FAILED
        assert said in str(failed.error)
        assert {job.status for job in jobs} == {JobStatus.COMPLETED}
        assert {job.attempts for job in jobs} == {1}
        (other,) = await add(store, greet(type_="other"))
        assert (await ended(store, other)).status is JobStatus.COMPLETED
        assert runner.error is None


@pytest.mark.anyio
async def test_what_no_store_can_keep_is_the_failure_of_its_own_job(store: Store) -> None:
    async def handler(job: Job, context: JobContext) -> Outcome:
        key: Any = 2**70 if job.payload["number"] == 1 else "a"
        return Done(writes=(Write(kind="thing", key=key, body={}),))

    async with running(store, {"greet": handler}):
        ids = await add(store, *(greet(number, max_attempts=1) for number in range(3)))
        first, odd, last = [await ended(store, job_id) for job_id in ids]
    assert (first.status, last.status) == (JobStatus.COMPLETED, JobStatus.COMPLETED)
    assert odd.status is JobStatus.FAILED
    assert "a kind or a key that is not a text" in str(odd.error)


@pytest.mark.anyio
async def test_a_store_refuses_the_end_it_cannot_keep_and_takes_the_others(store: Store) -> None:
    waiter = AsyncWaiter()
    good, bad = greet(1), greet(2)
    await add(store, good, bad)
    later = bad.job.created_at.timestamp() + 1
    batch = await waiter.result(store.claim("me", {"greet": 2}, later, 60.0))
    odd: Any = object()

    def ends(claim: Claim) -> Settlement:
        error = "no" if claim.job.id == good.job.id else odd
        return Settlement(claim=claim, outcome=GiveUp(error=error), at=1.7e9)

    answers = await waiter.result(store.settle([ends(claim) for claim in batch.claims]))
    assert [isinstance(answer, JobRefused) for answer in answers] == [False, True]
    jobs = [await waiter.result(store.job(new.job.id)) for new in (good, bad)]
    assert [job and job.status for job in jobs] == [JobStatus.FAILED, JobStatus.PROCESSING]


class Absurd:
    def __init__(self, wait: Callable[[], float]) -> None:
        self._wait = wait

    def wait_after(self, attempts: int) -> float:
        return self._wait()


@pytest.mark.anyio
@pytest.mark.parametrize("wait", [lambda: 1 / 0, lambda: math.nan, lambda: math.inf, sys.exit])
async def test_a_retry_policy_that_fails_is_replaced_and_not_the_end(
    store: Store, wait: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(job: Job, context: JobContext) -> Outcome:
        raise ConnectionError

    async with running(store, {"greet": handler}, policy=Absurd(wait)) as runner:
        (last,) = await add(store, greet(max_attempts=1))
        assert (await ended(store, last)).status is JobStatus.FAILED
        assert runner.error is None
    assert "Backoff() is used in its place" in caplog.text


@pytest.mark.anyio
async def test_what_a_cancelled_handler_raises_besides_is_its_failure(store: Store) -> None:
    async def handler(job: Job, context: JobContext) -> Outcome:
        try:
            await anyio.sleep(SOON)
        except BaseException as cancelled:  # noqa: BLE001 - on either loop
            # As a task group does whose tasks cannot even be cancelled without a mishap.
            raise Several(cancelled, Panic("a bug")) from None
        raise AssertionError

    kinds = {"greet": handler, "other": done}
    async with running(store, kinds, time_limit=0.01) as runner:
        (job_id,) = await add(store, greet(max_attempts=1))
        assert "Panic('a bug')" in str((await ended(store, job_id)).error)
        (other,) = await add(store, greet(type_="other"))
        assert (await ended(store, other)).status is JobStatus.COMPLETED
        assert runner.error is None


@pytest.mark.anyio
async def test_a_group_that_is_nothing_but_the_end_of_the_runner_costs_no_attempt(
    store: Store,
) -> None:
    began = anyio.Event()

    async def handler(job: Job, context: JobContext) -> Outcome:
        try:
            began.set()
            await anyio.sleep(SOON)
        except BaseException as cancelled:  # noqa: BLE001 - on either loop
            raise BaseExceptionGroup("only that", [cancelled]) from None
        raise AssertionError

    async with running(store, {"greet": handler}):
        (job_id,) = await add(store, greet(max_attempts=1))
        await began.wait()
    job = await AsyncWaiter().result(store.job(job_id))
    assert job is not None
    assert (job.status, job.attempts) == (JobStatus.PENDING, 0)


@pytest.mark.anyio
async def test_a_call_for_many_may_exit_too(store: Store) -> None:
    async def handle(contexts: Any) -> Any:
        raise SystemExit(1)

    async with running(store, {"greet": Together(handle)}):
        ids = await add(store, *(greet(number, max_attempts=1) for number in range(3)))
        jobs = [await ended(store, job_id) for job_id in ids]
    assert {job.status for job in jobs} == {JobStatus.FAILED}


@pytest.mark.anyio
async def test_a_task_that_somebody_cancelled_is_no_end_of_the_runner(anyio_backend: str) -> None:
    if anyio_backend == "trio":
        pytest.skip("tasks of trio cannot be cancelled by hand")
    store = MemoryStore()

    async def handler(job: Job, context: JobContext) -> Outcome:
        sleeping = asyncio.ensure_future(asyncio.sleep(SOON))
        asyncio.get_running_loop().call_soon(sleeping.cancel)
        await sleeping
        raise AssertionError

    async with running(store, {"greet": handler, "other": done}) as runner:
        (job_id,) = await add(store, greet(max_attempts=1))
        assert "CancelledError" in str((await ended(store, job_id)).error)
        (other,) = await add(store, greet(type_="other"))
        assert (await ended(store, other)).status is JobStatus.COMPLETED
        assert runner.running


@pytest.mark.anyio
@pytest.mark.parametrize("raised", [SystemExit, Panic, LookupError])
@pytest.mark.parametrize("told", ["claimed", "completed"])
async def test_a_hook_that_raises_holds_up_neither_the_job_nor_the_end(
    store: Store, raised: type[BaseException], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(event: JobEvent) -> None:
        if event.what == told:
            raise raised

    with anyio.fail_after(SOON):
        async with running(store, {"greet": done}, on_job=hook) as runner:
            ids = await add(store, greet(1), greet(2))
            jobs = [await ended(store, job_id) for job_id in ids]
        assert {(job.status, job.attempts) for job in jobs} == {(JobStatus.COMPLETED, 1)}
        assert runner.error is None
    assert caplog.text.count("on_job failed") == 1


class Broken(MemoryStore):
    """A store with a mistake of its own."""

    def settle(self, settlements: Any) -> Any:
        raise AssertionError("a mistake")


class BrokenLater(MemoryStore):
    """One that makes it when it is asked for the answer."""

    def settle(self, settlements: Any) -> Any:
        answer: Future[Any] = Future()
        answer.set_exception(AssertionError("a mistake"))
        return answer


@pytest.mark.anyio
@pytest.mark.parametrize("make", [Broken, BrokenLater])
async def test_a_store_that_makes_a_mistake_ends_the_runner_and_it_says_so(
    make: type[MemoryStore], caplog: pytest.LogCaptureFixture
) -> None:
    store = make()
    runner = Runner(store, {"greet": done})
    await add(store, greet())
    with anyio.fail_after(SOON), pytest.raises(RunnerFailed, match="a mistake"):
        await runner.run()
    assert isinstance(runner.error, AssertionError)
    assert not runner.running
    assert "the end of job" in caplog.text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_interrupt_of_the_program_ends_it_and_counts(store: Store, backend: str) -> None:
    """It may be Ctrl-C that hit the handler, and it may be the handler's own, which must not come for ever."""

    async def handler(job: Job, context: JobContext) -> Outcome:
        raise KeyboardInterrupt

    new = new_job("greet", {}, now=0.0, max_attempts=1)
    store.commit(Change(jobs=(new,))).result(SOON)
    try:
        anyio.run(Runner(store, {"greet": handler}).run, backend=backend)
    except BaseException as error:  # noqa: BLE001 - alone or in a group, as the loop has it
        came = repr(error)
    assert "KeyboardInterrupt" in came
    job = store.job(new.job.id).result(SOON)
    assert job is not None
    assert job.status is JobStatus.FAILED


@pytest.mark.anyio
async def test_a_write_in_the_middle_that_cannot_be_kept_fails_its_attempt(store: Store) -> None:
    async def handler(job: Job, context: JobContext) -> Outcome:
        odd: Any = object()
        await context.commit(Change(writes=(Write(kind="thing", key="a", body={"a": odd}),)))
        return Done()

    async with running(store, {"greet": handler}):
        (job_id,) = await add(store, greet(max_attempts=1))
        assert "not JSON" in str((await ended(store, job_id)).error)
