"""A runner at work, and jobs for it, on whichever event loop a test is in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import trio

from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.jobs import (
    Change,
    Done,
    Handler,
    JobContext,
    NewJob,
    Outcome,
    Runner,
    Store,
    Together,
    new_job,
)
from novitai_sdk.models import Job

BEGIN = 1_700_000_000.0
SOON = 10.0


class LoopClock:
    """Tells the time of the event loop, which a test may own, also to other threads."""

    def __init__(self) -> None:
        on_trio = anyio.get_cancelled_exc_class() is trio.Cancelled
        self.monotonic: Callable[[], float] = (
            trio.lowlevel.current_clock().current_time
            if on_trio
            else asyncio.get_running_loop().time
        )

    def time(self) -> float:
        return BEGIN + self.monotonic()


def greet(number: int = 0, *, after: float = 0.0, type_: str = "greet", **more: Any) -> NewJob:
    return new_job(type_, {"number": number}, now=LoopClock().time(), after=after, **more)


async def add(store: Store, *jobs: NewJob) -> list[str]:
    await AsyncWaiter().result(store.commit(Change(jobs=jobs)))
    return [new.job.id for new in jobs]


async def ended(store: Store, job_id: str) -> Job:
    return await AsyncWaiter().result(store.settled(job_id), SOON)


@asynccontextmanager
async def running(
    store: Store, handlers: Mapping[str, Handler | Together], *, drain: float = 0.0, **options: Any
) -> AsyncIterator[Runner]:
    runner = Runner(store, handlers, waiter=AsyncWaiter(LoopClock()), **options)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run)
        await anyio.lowlevel.checkpoint()
        try:
            yield runner
        finally:
            runner.stop(drain)


async def done(job: Job, context: JobContext) -> Outcome:
    return Done()
