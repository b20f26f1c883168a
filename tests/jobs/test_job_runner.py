"""The runner: on both event loops in real time, and on trio through hours that pass in milliseconds."""

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing
from bench import BEGIN, SOON, LoopClock, add, done, ended, greet, running

from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.jobs import (
    Again,
    Backoff,
    Batch,
    Change,
    Claim,
    ClaimLost,
    Done,
    GiveUp,
    JobContext,
    JobError,
    JobEvent,
    MemoryStore,
    Offer,
    Outcome,
    RecordChanged,
    Retry,
    Runner,
    RunnerFailed,
    Settlement,
    SqliteStore,
    Store,
    StoreCorrupt,
    StoreFull,
    Together,
    Write,
    new_job,
)
from novitai_sdk.models import Job, JobStatus


def in_virtual_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run *test* on a clock that jumps whenever all tasks wait."""

    def run() -> None:
        trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


# On both loops, with both stores


@pytest.mark.anyio
async def test_a_job_is_run_and_what_follows_from_it_too(store: Store) -> None:
    async def first(job: Job, context: JobContext) -> Outcome:
        assert context.job == job
        second = greet(int(str(job.payload["number"])) + 1, type_="second", key="the second")
        return Done(writes=(Write(kind="thing", key="a", body={"by": job.id}),), jobs=(second,))

    async def second(job: Job, context: JobContext) -> Outcome:
        return Done(writes=(Write(kind="thing", key="b", body={"number": job.payload["number"]}),))

    async with running(store, {"greet": first, "second": second}):
        (job_id,) = await add(store, greet(1))
        assert (await ended(store, job_id)).status is JobStatus.COMPLETED
        record = await AsyncWaiter().result(store.changed("thing", "b", 0), SOON)
        assert record is not None
        assert record.body == {"number": 2}


@pytest.mark.anyio
async def test_jobs_that_were_there_before_are_taken_up(store: Store) -> None:
    ids = await add(store, *(greet(n) for n in range(50)))
    async with running(store, {"greet": done}):
        for job_id in ids:
            await ended(store, job_id)


@pytest.mark.anyio
async def test_an_exception_is_a_failed_attempt_and_its_text_is_kept(store: Store) -> None:
    attempts: list[tuple[int, bool]] = []

    async def fail(job: Job, context: JobContext) -> Outcome:
        attempts.append((job.attempts, context.last_attempt))
        raise ValueError("no luck")

    async with running(store, {"greet": fail}, policy=Backoff(first=0.001, jitter=0)):
        (job_id,) = await add(store, greet())
        job = await ended(store, job_id)
    assert (job.status, job.error) == (JobStatus.FAILED, "ValueError: no luck")
    assert attempts == [(1, False), (2, False), (3, True)]


@pytest.mark.anyio
async def test_slow_jobs_of_one_type_do_not_hold_up_another(store: Store) -> None:
    async def wait(job: Job, context: JobContext) -> Outcome:
        await anyio.sleep_forever()
        raise AssertionError

    async with running(store, {"slow": wait, "greet": done}, slots_by_type={"slow": 2}):
        await add(store, *(greet(n, type_="slow") for n in range(20)))
        (quick,) = await add(store, greet())
        await ended(store, quick)
        stats = await AsyncWaiter().result(store.stats())
        assert (stats.processing_jobs, stats.pending_jobs) == (2, 18)


@pytest.mark.anyio
async def test_stopping_hands_back_what_is_not_finished_and_counts_no_attempt(
    store: Store,
) -> None:
    began = anyio.Event()

    async def wait(job: Job, context: JobContext) -> Outcome:
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    (job_id,) = await add(store, greet())
    async with running(store, {"greet": wait}):
        await began.wait()
    job = await AsyncWaiter().result(store.job(job_id))
    assert job is not None
    assert (job.status, job.attempts) == (JobStatus.PENDING, 0)
    async with running(store, {"greet": done}):
        await ended(store, job_id)


@pytest.mark.anyio
async def test_a_cancelled_runner_hands_back_too(store: Store) -> None:
    began = anyio.Event()

    async def wait(job: Job, context: JobContext) -> Outcome:
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    (job_id,) = await add(store, greet())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Runner(store, {"greet": wait}, waiter=AsyncWaiter(LoopClock())).run)
        await began.wait()
        tasks.cancel_scope.cancel()
    job = await AsyncWaiter().result(store.job(job_id))
    assert job is not None
    assert (job.status, job.attempts) == (JobStatus.PENDING, 0)


@pytest.mark.anyio
async def test_stopping_lets_handlers_finish_for_the_drain_time(store: Store) -> None:
    began, go = anyio.Event(), anyio.Event()

    async def wait(job: Job, context: JobContext) -> Outcome:
        began.set()
        await go.wait()
        return Done()

    first, second = greet(1), greet(2)
    async with running(store, {"greet": wait}, slots=1) as runner:
        await add(store, first)
        await began.wait()
        runner.stop(SOON)
        await add(store, second)
        go.set()
        assert (await ended(store, first.job.id)).status is JobStatus.COMPLETED
    left = await AsyncWaiter().result(store.job(second.job.id))
    assert left is not None
    assert left.status is JobStatus.PENDING


@pytest.mark.anyio
async def test_a_checkpoint_is_stored_while_the_job_goes_on(store: Store) -> None:
    async def work(job: Job, context: JobContext) -> Outcome:
        await context.commit(Change(writes=(Write(kind="thing", key="a", body={"step": 1}),)))
        record = await context.waiter.result(store.read("thing", "a"))
        assert record is not None
        return Done(
            writes=(Write(kind="thing", key="a", body={"step": 2}, expected=record.version),)
        )

    async with running(store, {"greet": work}):
        (job_id,) = await add(store, greet())
        assert (await ended(store, job_id)).status is JobStatus.COMPLETED


@pytest.mark.anyio
async def test_a_checkpoint_after_the_claim_was_lost_ends_the_handler(store: Store) -> None:
    steps: list[str] = []

    async def work(job: Job, context: JobContext) -> Outcome:
        with anyio.CancelScope(shield=True):  # the runner hears of it too, and would cut it short
            await context.waiter.result(store.cancel(job.id, context.waiter.time(), "not wanted"))
            try:
                await context.commit(Change(writes=(Write(kind="thing", key="a", body={}),)))
            except ClaimLost:
                steps.append("lost")
                raise
        raise AssertionError

    async with running(store, {"greet": work}, drain=SOON):
        (job_id,) = await add(store, greet())
        job = await ended(store, job_id)
    assert (job.error, steps) == ("not wanted", ["lost"])
    assert await AsyncWaiter().result(store.scan("thing")) == ()


@pytest.mark.anyio
async def test_jobs_without_a_handler_here_stay(store: Store) -> None:
    other, mine = await add(store, greet(type_="other"), greet())
    async with running(store, {"greet": done}):
        await ended(store, mine)
    job = await AsyncWaiter().result(store.job(other))
    assert job is not None
    assert (job.status, job.attempts) == (JobStatus.PENDING, 0)


@pytest.mark.anyio
async def test_work_added_from_another_thread_wakes_the_runner(store: Store) -> None:
    async with running(store, {"greet": done}):
        await anyio.sleep(0.02)  # it sleeps by now, for half a minute if nobody wakes it
        new = greet()
        thread = threading.Thread(target=lambda: store.commit(Change(jobs=(new,))).result(SOON))
        thread.start()
        await AsyncWaiter().sleep(0.001)
        thread.join(SOON)
        with anyio.fail_after(5):
            await ended(store, new.job.id)


@pytest.mark.anyio
async def test_two_runners_on_one_store_share_the_work_and_double_none() -> None:
    store, seen = MemoryStore(), list[int]()

    async def work(job: Job, context: JobContext) -> Outcome:
        await anyio.lowlevel.checkpoint()
        seen.append(int(str(job.payload["number"])))
        return Done()

    async with running(store, {"greet": work}), running(store, {"greet": work}):
        for job_id in await add(store, *(greet(n) for n in range(100))):
            await ended(store, job_id)
    assert sorted(seen) == list(range(100))


@pytest.mark.anyio
async def test_a_runner_cancelled_while_it_claims_keeps_no_job(store: Store) -> None:
    ids = await add(store, *(greet(n) for n in range(8)))
    for _ in range(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Runner(store, {"greet": forever}, waiter=AsyncWaiter(LoopClock())).run)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    for job_id in ids:
        job = await AsyncWaiter().result(store.job(job_id))
        assert job is not None
        assert (job.status, job.attempts) == (JobStatus.PENDING, 0)


async def forever(job: Job, context: JobContext) -> Outcome:
    await anyio.sleep_forever()
    raise AssertionError


@pytest.mark.anyio
async def test_due_jobs_of_a_type_are_taken_together(store: Store) -> None:
    calls: list[int] = []

    async def look(contexts: Sequence[JobContext]) -> Mapping[str, Outcome]:
        calls.append(len(contexts))
        return {one.job.id: Done() for one in contexts}

    ids = await add(store, *(greet(n) for n in range(500)))
    async with running(store, {"greet": Together(look)}):
        for job_id in ids:
            assert (await ended(store, job_id)).status is JobStatus.COMPLETED
    assert calls == [500]


@pytest.mark.anyio
async def test_each_job_taken_together_ends_in_its_own_way(store: Store) -> None:
    async def look(contexts: Sequence[JobContext]) -> Mapping[str, Outcome]:
        words = {one.job.id: one.job.payload["number"] for one in contexts}
        told: dict[int, Outcome] = {0: Done(), 1: GiveUp(error="no"), 2: Done(writes=(wrong,))}
        return {id_: told[int(str(n))] for id_, n in words.items() if n != 3}

    wrong = Write(kind="thing", key="a", body={}, expected=99)
    new = [greet(n, max_attempts=1) for n in range(4)]
    async with running(store, {"greet": Together(look)}):
        await add(store, *new)
        ends = [await ended(store, one.job.id) for one in new]
    assert [job.status.value for job in ends] == ["completed", "failed", "failed", "failed"]
    errors = [job.error or "" for job in ends]
    assert errors[1] == "no"
    assert errors[2].startswith("RecordChanged")
    assert errors[3].startswith("LookupError")


@pytest.mark.anyio
async def test_jobs_wait_side_by_side_and_find_nothing_that_another_left(store: Store) -> None:
    left: ContextVar[int | None] = ContextVar("left", default=None)
    found, begun, go = list[int | None](), list[int](), anyio.Event()

    async def work(job: Job, context: JobContext) -> Outcome:
        number = int(str(job.payload["number"]))
        found.append(left.get())
        begun.append(number)
        if number % 2:
            left.set(number)
        if number % 3 == 0:
            await go.wait()
        return Done()

    new = [greet(n) for n in range(30)]
    await add(store, *new)
    async with running(store, {"greet": work}, slots=30):
        while len(begun) < 30:  # noqa: ASYNC110 - handlers announce nothing
            await anyio.sleep(0.001)
        go.set()
        for one in new:
            assert (await ended(store, one.job.id)).status is JobStatus.COMPLETED
    assert found == [None] * 30
    assert begun == list(range(30))


@pytest.mark.anyio
async def test_a_handler_that_is_added_later_runs_what_waits(store: Store) -> None:
    (job_id,) = await add(store, greet())
    async with running(store, {}) as runner:
        await anyio.sleep(0.01)
        runner.handle("greet", done)
        await ended(store, job_id)


@pytest.mark.anyio
async def test_the_hook_is_told_of_every_attempt_and_cannot_harm_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, int, JobStatus]] = []

    def hook(event: JobEvent) -> None:
        told.append((event.what, event.job.attempts, event.job.status))
        raise ValueError("a bug in the hook")

    async def twice(job: Job, context: JobContext) -> Outcome:
        return Retry(error="once more", after=0) if job.attempts == 1 else Done()

    async with running(store, {"greet": twice}, on_job=hook):
        (job_id,) = await add(store, greet())
        await ended(store, job_id)
    assert told == [
        ("claimed", 1, JobStatus.PROCESSING),
        ("retrying", 1, JobStatus.PENDING),
        ("claimed", 2, JobStatus.PROCESSING),
        ("completed", 2, JobStatus.COMPLETED),
    ]
    assert [one.message for one in caplog.records if "on_job" in one.message] == [
        "on_job failed; its further failures are not logged"
    ]


# In virtual time


@pytest.mark.anyio
async def test_a_cancelled_job_is_stopped_at_once_and_frees_its_slot_and_its_key(
    store: Store,
) -> None:
    begun, stopped = anyio.Event(), anyio.Event()

    async def work(job: Job, context: JobContext) -> Outcome:
        if job.payload["number"] == 1:
            begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                stopped.set()
        assert stopped.is_set()
        return Done()

    async with running(store, {"greet": work}, slots=1, lease=3600):
        (job_id,) = await add(store, greet(1, key="one at a time"))
        with anyio.fail_after(SOON):
            await begun.wait()
            await AsyncWaiter().result(store.cancel(job_id, LoopClock().time(), "not wanted"))
            await stopped.wait()
        (second,) = await add(store, greet(2, key="one at a time"))
        assert (await ended(store, second)).status is JobStatus.COMPLETED


@pytest.mark.anyio
async def test_a_job_that_another_process_cancels_is_stopped_about_a_second_later(
    path: Path,
) -> None:
    begun, stopped = anyio.Event(), anyio.Event()

    async def work(job: Job, context: JobContext) -> Outcome:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        raise AssertionError

    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other:
        async with running(one, {"greet": work}, lease=3600):
            (job_id,) = await add(one, greet())
            with anyio.fail_after(SOON):
                await begun.wait()
                await AsyncWaiter().result(other.cancel(job_id, LoopClock().time(), "not wanted"))
                await stopped.wait()


class SetClock(LoopClock):
    """A wall clock that is set while the other one goes on, as when a machine sleeps."""

    set_by = 0.0

    def time(self) -> float:
        return super().time() + self.set_by


@pytest.mark.parametrize("jumps", [(90.0,), (-7200.0, 0.0), (7200.0, 0.0, 90.0)])
@pytest.mark.anyio
async def test_a_wall_clock_that_jumps_takes_no_job_from_a_runner_at_work(
    store: Store, jumps: tuple[float, ...]
) -> None:
    clock, begun = SetClock(), list[int]()
    release = anyio.Event()

    async def work(job: Job, context: JobContext) -> Outcome:
        begun.append(job.attempts)
        await release.wait()
        return Done()

    runner = Runner(store, {"long": work, "greet": done}, waiter=AsyncWaiter(clock))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run)
        (job_id,) = await add(store, greet(type_="long"))
        for clock.set_by in jumps:
            (other,) = await add(store, new_job("greet", {}, now=clock.time()))
            await ended(store, other)
            # As one would that knows nothing of who lives: what is renewed in time is nobody else's.
            look = store.claim("another", {"long": 1}, clock.time() + 30, 60)
            assert (await AsyncWaiter().result(look)).claims == ()
        release.set()
        job = await ended(store, job_id)
        runner.stop()
    assert (job.status, begun) == (JobStatus.COMPLETED, [1])


@in_virtual_time
async def test_the_hook_hears_of_lost_and_of_handed_back_jobs() -> None:
    store, told = MemoryStore(), list[tuple[str, float]]()

    def hook(event: JobEvent) -> None:
        told.append((event.what, round(event.elapsed)))

    async with running(store, {"greet": forever}, on_job=hook, lease=60):
        (job_id,) = await add(store, greet())
        await anyio.sleep(5)
        await AsyncWaiter().result(store.cancel(job_id, LoopClock().time(), "not wanted"))
        await anyio.sleep(30)
        await add(store, greet())
        await anyio.sleep(5)
    assert told == [("claimed", 0), ("lost", 5), ("claimed", 0), ("handed_back", 5)]


@in_virtual_time
async def test_what_falls_due_while_many_are_looked_at_is_in_the_next_look() -> None:
    store, calls = MemoryStore(), list[int]()

    async def look(contexts: Sequence[JobContext]) -> Mapping[str, Outcome]:
        calls.append(len(contexts))
        await anyio.sleep(10)
        return {one.job.id: Again(after=5) for one in contexts}

    async with running(store, {"greet": Together(look, most=3)}):
        await add(store, greet(1))
        await anyio.sleep(1)
        await add(store, greet(2), greet(3), greet(4))
        await anyio.sleep(25)
    assert calls == [1, 3, 1]


@in_virtual_time
async def test_a_delayed_job_runs_when_it_is_due_hours_later() -> None:
    store, at = MemoryStore(), list[float]()

    async def note(job: Job, context: JobContext) -> Outcome:
        at.append(context.waiter.monotonic())
        return Done()

    async with running(store, {"greet": note}):
        (job_id,) = await add(store, greet(after=3 * 3600))
        await AsyncWaiter().result(store.settled(job_id))
    assert at == [pytest.approx(3 * 3600, abs=0.01)]


@in_virtual_time
async def test_a_monitor_looks_a_thousand_times_and_may_still_fail_twice_in_a_row() -> None:
    store, looks = MemoryStore(), list[float]()

    async def look(job: Job, context: JobContext) -> Outcome:
        looks.append(context.waiter.monotonic())
        if len(looks) % 3:
            raise OSError("the cloud hiccups")
        return Done() if len(looks) >= 999 else Again(after=10)

    async with running(store, {"greet": look}):
        (job_id,) = await add(store, greet())
        job = await AsyncWaiter().result(store.settled(job_id))
    assert (job.status, len(looks)) == (JobStatus.COMPLETED, 999)


@in_virtual_time
async def test_waits_between_attempts_follow_the_policy_of_the_type() -> None:
    store, at = MemoryStore(), list[float]()

    async def fail(job: Job, context: JobContext) -> Outcome:
        at.append(context.waiter.monotonic())
        raise ValueError

    policies = {"greet": Backoff(first=100, factor=10, longest=5000, jitter=0)}
    async with running(store, {"greet": fail}, policies=policies):
        (job_id,) = await add(store, greet(max_attempts=4))
        job = await AsyncWaiter().result(store.settled(job_id))
    assert at == pytest.approx([0, 100, 1100, 6100], abs=0.1)
    assert job.error == "ValueError"


@in_virtual_time
async def test_a_handler_may_say_itself_how_long_to_wait() -> None:
    store, at = MemoryStore(), list[float]()

    async def limited(job: Job, context: JobContext) -> Outcome:
        at.append(context.waiter.monotonic())
        return Retry(error="429", after=77) if len(at) == 1 else GiveUp(error="gone")

    async with running(store, {"greet": limited}):
        (job_id,) = await add(store, greet())
        job = await AsyncWaiter().result(store.settled(job_id))
    assert at == pytest.approx([0, 77], abs=0.01)
    assert (job.status, job.error) == (JobStatus.FAILED, "gone")


@in_virtual_time
async def test_a_long_handler_keeps_its_claim() -> None:
    store = MemoryStore()

    async def slow(job: Job, context: JobContext) -> Outcome:
        await anyio.sleep(600)
        return Done()

    async with running(store, {"greet": slow}), running(store, {"greet": slow}):
        (job_id,) = await add(store, greet())
        job = await AsyncWaiter().result(store.settled(job_id))
    assert job.attempts == 1


@in_virtual_time
async def test_a_job_that_was_cancelled_and_retried_at_work_runs_once_to_its_end() -> None:
    store, told = MemoryStore(), list[tuple[str, float]]()

    async def work(job: Job, context: JobContext) -> Outcome:
        await anyio.sleep(40 if len(told) > 1 else 1000)
        return Done()

    def hook(event: JobEvent) -> None:
        told.append((event.what, round(anyio.current_time())))

    async with running(store, {"greet": work}, on_job=hook, lease=60):
        (job_id,) = await add(store, greet())
        await anyio.sleep(5)
        await AsyncWaiter().result(store.cancel(job_id, LoopClock().time(), "not wanted"))
        await AsyncWaiter().result(store.retry(job_id, LoopClock().time()))
        await anyio.sleep(100)
    # What is lost is the claim before, not the one that has begun since.
    assert told == [("claimed", 0), ("claimed", 5), ("lost", 5), ("completed", 45)]


@in_virtual_time
async def test_a_handler_without_end_is_cut_short_by_the_time_limit() -> None:
    store = MemoryStore()

    async def hang(job: Job, context: JobContext) -> Outcome:
        await anyio.sleep_forever()
        raise AssertionError

    async with running(store, {"greet": hang}, time_limit=120):
        (job_id,) = await add(store, greet(max_attempts=2))
        job = await AsyncWaiter().result(store.settled(job_id))
    assert job.error == "TimeoutError: no outcome within 120 seconds"


@in_virtual_time
async def test_each_attempt_has_its_time_limit_to_itself() -> None:
    store, clock = MemoryStore(), trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)

    async def think(job: Job, context: JobContext) -> Outcome:
        clock.jump(50)  # nobody else has a turn meanwhile, and the next job follows in this task
        wait = job.payload["number"]
        assert isinstance(wait, int)
        if wait:
            await anyio.sleep(wait)
        return Done()

    async with running(store, {"greet": think}, time_limit=120, lease=10_000):
        for waits in (0, 0, 69), (0, 0, 71):
            ids = await add(store, *(greet(wait, max_attempts=1) for wait in waits))
            jobs = [await AsyncWaiter().result(store.settled(job_id)) for job_id in ids]
            assert [job.error for job in jobs] == [
                "TimeoutError: no outcome within 120 seconds" if wait > 70 else None
                for wait in waits
            ]


@in_virtual_time
async def test_the_jobs_of_a_worker_that_fell_silent_go_to_another() -> None:
    store = MemoryStore()
    await add(store, greet())
    await AsyncWaiter().result(store.claim("silent", {"greet": 1}, LoopClock().time(), 60))
    async with running(store, {"greet": done}):
        (job,) = await AsyncWaiter().result(store.jobs(_all()))
        ended_job = await AsyncWaiter().result(store.settled(job.id))
    assert ended_job.attempts == 2
    assert anyio.current_time() == pytest.approx(60, abs=1)


def _all() -> Any:
    from novitai_sdk.jobs import JobQuery

    return JobQuery()


@in_virtual_time
async def test_a_cancelled_job_stops_its_handler_at_the_next_renewal() -> None:
    store, cut = MemoryStore(), list[float]()

    async def slow(job: Job, context: JobContext) -> Outcome:
        try:
            await anyio.sleep(600)
        finally:
            cut.append(context.waiter.monotonic())
        return Done(writes=(Write(kind="thing", key="a", body={}),))

    async with running(store, {"greet": slow}, lease=60):
        (job_id,) = await add(store, greet())
        await anyio.sleep(5)
        await AsyncWaiter().result(store.cancel(job_id, LoopClock().time(), "not wanted"))
        await anyio.sleep(50)
    assert len(cut) == 1
    assert cut[0] <= 21
    assert await AsyncWaiter().result(store.scan("thing")) == ()


@in_virtual_time
async def test_a_result_that_comes_too_late_is_dropped() -> None:
    store = MemoryStore()
    gate = anyio.Event()

    async def stubborn(job: Job, context: JobContext) -> Outcome:
        with anyio.CancelScope(shield=True):
            await gate.wait()
        return Done(writes=(Write(kind="thing", key="a", body={}),))

    async with running(store, {"greet": stubborn}):
        (job_id,) = await add(store, greet())
        await anyio.sleep(1)
        await AsyncWaiter().result(store.cancel(job_id, LoopClock().time(), "not wanted"))
        gate.set()
        await anyio.sleep(1)
    assert await AsyncWaiter().result(store.scan("thing")) == ()


@in_virtual_time
async def test_what_a_handler_must_not_answer_is_a_failed_attempt() -> None:
    store = MemoryStore()

    async def nothing(job: Job, context: JobContext) -> Any:
        return None

    async def not_json(job: Job, context: JobContext) -> Outcome:
        return Done(writes=(Write(kind="thing", key="a", body={"x": object()}),))  # type: ignore[dict-item]  # the mistake under test

    async def outdated(job: Job, context: JobContext) -> Outcome:
        return Done(writes=(Write(kind="thing", key="a", body={}, expected=99),))

    handlers = {"nothing": nothing, "not_json": not_json, "outdated": outdated}
    async with running(store, handlers):
        errors = {}
        for type_ in handlers:
            (job_id,) = await add(store, greet(type_=type_))
            errors[type_] = (await AsyncWaiter().result(store.settled(job_id))).error or ""
    assert "answered None" in errors["nothing"]
    assert errors["not_json"].startswith("JobRefused")
    assert errors["outdated"].startswith(RecordChanged.__name__)


@in_virtual_time
async def test_the_errors_of_a_group_are_all_kept() -> None:
    store = MemoryStore()

    async def fail(message: str) -> None:
        raise ValueError(message)

    async def several(job: Job, context: JobContext) -> Outcome:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail, "one")
            tasks.start_soon(fail, "two")
        return Done()

    async with running(store, {"greet": several}):
        (job_id,) = await add(store, greet(max_attempts=1))
        job = await AsyncWaiter().result(store.settled(job_id))
    assert sorted((job.error or "").split("; ")) == ["ValueError: one", "ValueError: two"]


class Moody(MemoryStore):
    """A store whose claims and commits fail as they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.claim_errors: list[Exception] = []
        self.settle_errors: list[Exception] = []

    def claim(
        self,
        owner: str,
        limit_by_type: Mapping[str, int],
        now: float,
        lease: float,
        offer: Offer | None = None,
        monotonic: float | None = None,
    ) -> "Future[Batch]":
        if self.claim_errors:
            return _failed(self.claim_errors.pop())
        return super().claim(owner, limit_by_type, now, lease, offer, monotonic)

    def settle(self, settlements: Sequence[Settlement]) -> "Future[tuple[JobError | None, ...]]":
        if self.settle_errors:
            return _failed(self.settle_errors.pop())
        return super().settle(settlements)


def _failed(error: Exception) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


@in_virtual_time
async def test_trouble_that_may_pass_is_borne_and_told() -> None:
    store = Moody()
    store.claim_errors = [StoreFull("no room") for _ in range(5)]
    store.settle_errors = [StoreFull("no room") for _ in range(5)]
    (job_id,) = await add(store, greet())
    async with running(store, {"greet": done}) as runner:
        await anyio.sleep(0.05)
        assert isinstance(runner.trouble, StoreFull)
        job = await AsyncWaiter().result(store.settled(job_id))
        assert (job.status, job.attempts) == (JobStatus.COMPLETED, 1)
        await anyio.sleep(0.001)
        assert runner.trouble is None
        assert runner.running


@pytest.mark.parametrize("where", ["claim_errors", "settle_errors"])
def test_trouble_that_does_not_pass_ends_the_runner_and_is_told(where: str) -> None:
    async def main() -> None:
        store = Moody()
        getattr(store, where).append(StoreCorrupt("damaged"))
        await add(store, greet())
        runner = Runner(store, {"greet": done}, waiter=AsyncWaiter(LoopClock()))
        with pytest.raises(RunnerFailed, match="damaged") as failed:
            await runner.run()
        assert isinstance(failed.value.__cause__, StoreCorrupt)
        assert runner.error is failed.value.__cause__
        assert not runner.running

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@in_virtual_time
async def test_a_mistake_in_the_store_itself_surfaces() -> None:
    store = Moody()
    store.claim_errors = [ZeroDivisionError("a bug")]
    runner = Runner(store, {"greet": done}, waiter=AsyncWaiter(LoopClock()))
    with pytest.raises(RunnerFailed, match="a bug"):
        await runner.run()


@in_virtual_time
async def test_an_idle_runner_looks_twice_a_minute() -> None:
    class Counting(MemoryStore):
        looks = 0

        def claim(
            self,
            owner: str,
            limit_by_type: Mapping[str, int],
            now: float,
            lease: float,
            offer: Offer | None = None,
            monotonic: float | None = None,
        ) -> "Future[Batch]":
            self.looks += 1
            return super().claim(owner, limit_by_type, now, lease, offer, monotonic)

    store = Counting()
    await add(store, *(greet(n, after=1e6) for n in range(1000)))
    async with running(store, {"greet": done}):
        await anyio.sleep(3600)
    assert store.looks <= 3600 / 20 + 2


@in_virtual_time
async def test_a_runner_runs_once() -> None:
    runner = Runner(MemoryStore(), {}, waiter=AsyncWaiter(LoopClock()))
    runner.stop()
    await runner.run()  # stopped before it began: it has nothing to do
    with pytest.raises(RuntimeError, match="once"):
        await runner.run()


def test_a_handler_that_resists_does_not_lose_its_result_at_the_drain_and_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def stubborn(job: Job, context: JobContext) -> Outcome:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(100)
        return Done()

    @in_virtual_time
    async def story() -> None:
        store = MemoryStore()
        async with running(store, {"greet": stubborn}, drain=1):
            (job_id,) = await add(store, greet())
            await anyio.sleep(1)
        job = await AsyncWaiter().result(store.job(job_id))
        assert job is not None
        assert job.status is JobStatus.COMPLETED

    story()
    told = [record.getMessage() for record in caplog.records]
    assert told == ["the job runner waits for handlers that resist being cancelled: greet"]


def test_a_claim_shows_what_it_is() -> None:
    claim = Claim(job=greet_now(), owner="me", number=1)
    context = JobContext(claim=claim, waiter=AsyncWaiter(), store=MemoryStore())
    assert "MemoryStore" not in repr(context)


def greet_now() -> Job:
    return new_job("greet", {}, now=BEGIN).job
