"""The runner's thread: it starts with the first use, surfaces its failure, and leaves nothing behind."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio
import pytest

from novitai_sdk.jobs import (
    BackgroundRunner,
    Change,
    Done,
    Handler,
    JobContext,
    MemoryStore,
    Outcome,
    Runner,
    RunnerFailed,
    Store,
    StoreClosed,
    _background,
    new_job,
)
from novitai_sdk.models import Job, JobStatus

SOON = 10.0


async def done(job: Job, context: JobContext) -> Outcome:
    return Done()


def making(
    store: Store, handlers: Mapping[str, Handler], log: "list[str] | None" = None
) -> Callable[[], AbstractAsyncContextManager[Runner]]:
    @asynccontextmanager
    async def make() -> AsyncIterator[Runner]:
        if log is not None:
            log.append(f"opened in {threading.current_thread().name}")
        yield Runner(store, handlers)
        if log is not None:
            log.append("closed")

    return make


def add(store: Store, type_: str = "greet") -> str:
    new = new_job(type_, {}, now=time.time())
    store.commit(Change(jobs=(new,))).result(SOON)
    return new.job.id


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_runs_jobs_in_a_thread_of_its_own_and_leaves_none_behind(
    store: Store, backend: Literal["asyncio", "trio"]
) -> None:
    log: list[str] = []
    before = threading.active_count()
    background = BackgroundRunner(making(store, {"greet": done}, log), backend=backend)
    assert not background.alive
    assert log == []
    for _ in range(2):
        background.ensure_started()
        assert store.settled(add(store)).result(SOON).status is JobStatus.COMPLETED
        assert background.alive
    background.close()
    background.close()
    assert not background.alive
    assert background.error is None
    assert log == ["opened in novitai-jobs", "closed"]
    store.close(SOON)
    assert threading.active_count() <= before


def test_closing_gives_handlers_the_drain_time_and_hands_back_the_rest(store: Store) -> None:
    began = threading.Barrier(3)

    async def quick(job: Job, context: JobContext) -> Outcome:
        began.wait(SOON)
        await anyio.sleep(0.05)
        return Done()

    async def endless(job: Job, context: JobContext) -> Outcome:
        began.wait(SOON)
        await anyio.sleep_forever()
        raise AssertionError

    # Two runners: the barrier blocks the loop it is in.
    runners = [
        BackgroundRunner(making(store, {name: handler}))
        for name, handler in (("quick", quick), ("endless", endless))
    ]
    ids = [add(store, name) for name in ("quick", "endless")]
    for runner in runners:
        runner.ensure_started()
    began.wait(SOON)
    for runner in runners:
        runner.close(drain=0.2)
    jobs = [store.job(job_id).result(SOON) for job_id in ids]
    assert [job and (job.status, job.attempts) for job in jobs] == [
        (JobStatus.COMPLETED, 1),
        (JobStatus.PENDING, 0),
    ]


def test_a_runner_that_dies_is_seen_and_says_why() -> None:
    store = MemoryStore()
    store.close()
    background = BackgroundRunner(making(store, {"greet": done}))
    background.ensure_started()
    thread = next(t for t in threading.enumerate() if t.name == "novitai-jobs")
    thread.join(SOON)
    assert not background.alive
    assert isinstance(background.error, StoreClosed)
    for ask in (background.raise_if_failed, background.ensure_started):
        with pytest.raises(RunnerFailed, match="closed") as failed:
            ask()
        assert failed.value.__cause__ is background.error
    background.close()


def test_a_runner_that_cannot_be_made_is_seen_too() -> None:
    @asynccontextmanager
    async def make() -> AsyncIterator[Runner]:
        raise OSError("no sockets left")
        yield

    background = BackgroundRunner(make)
    background.ensure_started()
    thread = next((t for t in threading.enumerate() if t.name == "novitai-jobs"), None)
    if thread is not None:
        thread.join(SOON)
    with pytest.raises(RunnerFailed, match="no sockets left"):
        background.ensure_started()
    background.close()


def test_closed_before_it_was_ready_it_still_ends(store: Store) -> None:
    go = threading.Event()

    @asynccontextmanager
    async def make() -> AsyncIterator[Runner]:
        go.wait(SOON)
        yield Runner(store, {"greet": done})

    background = BackgroundRunner(make)
    background.ensure_started()
    threading.Timer(0.02, go.set).start()
    background.close(drain=0)
    assert not background.alive
    assert background.error is None


def test_one_whose_thread_cannot_be_started_says_so_and_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    add(store)  # a store has its threads by then
    background = BackgroundRunner(making(store, {"greet": done}))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(RunnerFailed, match=r"could not be started.*can't start new thread"):
                background.ensure_started()
    assert not background.alive
    background.ensure_started()
    assert store.settled(add(store)).result(SOON).status is JobStatus.COMPLETED
    background.close()


def test_after_close_it_does_not_start_again(store: Store) -> None:
    background = BackgroundRunner(making(store, {"greet": done}))
    background.close()
    # What was stored while it was closed is accepted all the same, and waits for the next.
    job_id = add(store)
    background.ensure_started()
    assert not background.alive
    assert background.error is None
    job = store.job(job_id).result(SOON)
    assert job is not None
    assert job.status is JobStatus.PENDING


class Grouped(BaseException):
    """What a task group raises for a task that was interrupted, also where Python has no groups."""

    exceptions = (KeyboardInterrupt(),)


def fails_alone(
    store: Store, handler: Handler, backend: Literal["asyncio", "trio"], raised: type[BaseException]
) -> None:
    """What *handler* raises ends its attempt, and neither the next job nor the runner."""
    background = BackgroundRunner(making(store, {"odd": handler, "greet": done}), backend=backend)
    new = new_job("odd", {}, now=time.time(), max_attempts=1)
    store.commit(Change(jobs=(new,))).result(SOON)
    background.ensure_started()
    assert raised.__name__ in str(store.settled(new.job.id).result(SOON).error)
    assert store.settled(add(store)).result(SOON).status is JobStatus.COMPLETED
    background.close()
    assert background.error is None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("raised", [KeyboardInterrupt, GeneratorExit, Grouped])
def test_what_is_raised_where_no_ctrl_c_comes_fails_its_attempt_and_nothing_else(
    store: Store, backend: Literal["asyncio", "trio"], raised: type[BaseException]
) -> None:
    async def handler(job: Job, context: JobContext) -> Outcome:
        raise raised

    fails_alone(store, handler, backend, raised)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_a_task_of_a_handler_may_exit_too(
    store: Store, backend: Literal["asyncio", "trio"], raised: type[BaseException]
) -> None:
    async def exit_() -> None:
        raise raised

    async def handler(job: Job, context: JobContext) -> Outcome:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exit_)
        raise AssertionError

    fails_alone(store, handler, backend, raised)


def test_a_task_that_nobody_waits_for_ends_the_runner_and_not_for_ever_anew(store: Store) -> None:
    began: list[str] = []

    async def exit_() -> None:
        raise SystemExit

    async def handler(job: Job, context: JobContext) -> Outcome:
        began.append(job.id)
        left_alone = asyncio.create_task(exit_())
        try:
            await anyio.sleep(SOON)
        finally:
            left_alone.exception()  # or asyncio would log that nobody asked for it
        raise AssertionError

    background = BackgroundRunner(making(store, {"odd": handler}))
    add(store, "odd")
    background.ensure_started()
    thread = next(one for one in threading.enumerate() if one.name == "novitai-jobs")
    thread.join(SOON)
    assert isinstance(background.error, SystemExit)
    assert len(began) == 1
    background.close()


def test_a_handler_may_close_the_runner_it_runs_in(store: Store) -> None:
    background: BackgroundRunner

    async def closing(job: Job, context: JobContext) -> Outcome:
        background.close(drain=5)
        return Done()

    background = BackgroundRunner(making(store, {"greet": closing}))
    background.ensure_started()
    assert store.settled(add(store)).result(SOON).status is JobStatus.COMPLETED
    background.close()
    assert not background.alive


EXIT = """
import sys, time
from contextlib import asynccontextmanager
import anyio
from novitai_sdk.jobs import *

store = open_store(sys.argv[1])

async def endless(job, context):
    print("began", flush=True)
    await anyio.sleep_forever()

@asynccontextmanager
async def make():
    yield Runner(store, {"greet": endless})

background = BackgroundRunner(make)
background.ensure_started()
store.commit(Change(jobs=(new_job("greet", {}, now=time.time()),))).result(10)
while store.stats().result(10).processing_jobs == 0:
    time.sleep(0.001)
# and it ends here, without having closed anything; this one nobody waited for:
store.commit(Change(jobs=(new_job("other", {}, now=time.time()),)))
"""


def test_a_program_that_forgets_to_close_ends_and_hands_back(path: Path) -> None:
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXIT, path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert time.monotonic() - began < 10
    from novitai_sdk.jobs import JobQuery, SqliteStore

    store = SqliteStore(path)
    jobs = {str(job.type): job for job in store.jobs(JobQuery()).result(SOON)}
    store.close(SOON)
    assert {job.status for job in jobs.values()} == {JobStatus.PENDING}
    assert jobs["greet"].attempts == 0
    assert set(jobs) == {"greet", "other"}


def test_closing_tells_of_a_runner_that_a_handler_keeps_from_ending(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_background, "_GRACE", 0.0)
    began, let_go = threading.Event(), threading.Event()

    async def stubborn(job: Job, context: JobContext) -> Outcome:
        began.set()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(let_go.wait, SOON)
        return Done()

    background = BackgroundRunner(making(store, {"greet": stubborn}))
    background.ensure_started()
    add(store)
    assert began.wait(SOON)
    for _ in range(2):  # and once only
        background.close(0.0)
        assert background.alive
    (told,) = [record.getMessage() for record in caplog.records]
    assert "left behind in thread novitai-jobs: a handler resists being cancelled" in told
    let_go.set()
    monkeypatch.setattr(_background, "_GRACE", SOON)
    background.close()
    assert not background.alive
    store.close(SOON)


FORK = """
import os, sys, time, threading, warnings
from contextlib import asynccontextmanager
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
from novitai_sdk.jobs import *

store = open_store(sys.argv[1])

async def greet(job, context):
    return Done(writes=(Write(kind="by", key=job.id, body={"pid": os.getpid()}),))

@asynccontextmanager
async def make():
    yield Runner(store, {"greet": greet})

background = BackgroundRunner(make)

def run_one():
    background.ensure_started()
    new = new_job("greet", {}, now=time.time())
    store.commit(Change(jobs=(new,))).result(10)
    store.settled(new.job.id).result(10)

run_one()
child = os.fork()
if child == 0:
    assert not background.alive
    run_one()
    background.close()
    store.close(10)
    assert threading.active_count() == 1, threading.enumerate()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
run_one()
background.close()
store.close(10)
print("fine")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_parent_and_child_have_a_runner_each_after_a_fork(path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK, path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "fine\n"), ended.stderr
