"""A runner that delivers webhooks on virtual time, and whoever sends them."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import trio
import trio.testing

from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.jobs import Change, JobEvent, MemoryStore, Runner
from novitai_sdk.models import Job
from novitai_sdk.testing import LoopClock
from novitai_sdk.webhooks import delivery_handler, webhook_job
from novitai_sdk.webhooks._port import Sending

EVENT = {"instanceId": "inst_1_a", "status": "running", "timestamp": "2026-01-01T00:00:00.000Z"}

Send: TypeAlias = Callable[..., Awaitable[list[Job]]]
"""Sends a webhook to each URL; returns their jobs when all have ended."""


def delivered(
    sending: Sending,
    story: Callable[[Send], Awaitable[None]],
    on_job: Callable[[JobEvent], object] | None = None,
) -> None:
    """Let a runner deliver, on virtual time, what *story* sends."""

    async def main() -> None:
        clock, store = LoopClock(), MemoryStore()
        waiter = AsyncWaiter(clock)
        handler = delivery_handler(sending, tuple, clock, store=store)
        runner = Runner(store, {"send_webhook": handler}, waiter=waiter, on_job=on_job)

        async def send(*urls: str) -> list[Job]:
            new = [webhook_job(EVENT, url, now=clock.time()) for url in urls]
            await waiter.result(store.commit(Change(jobs=tuple(new))))
            return [await waiter.result(store.settled(one.job.id)) for one in new]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await story(send)
            runner.stop()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
