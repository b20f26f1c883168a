"""What delayed jobs cost while they wait: time, memory, and time of those who look for work beside them."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from queues import KIND, PAYLOAD, Queue

from novitai_sdk.jobs import Change, Done, Settlement, SqliteStore, new_job
from novitai_sdk.models import JobPriority

WAITING = 10_000
MANY = 100_000
WATCHED = 10.0
TAKEN = 100
LEASE = 60.0
DAY = 86_400.0
STEP = 100

Make = Callable[[Path], Queue]


async def idle_cpu(queue: Queue) -> float:
    """Milliseconds of CPU that this process spends in a second beside `WAITING` delayed jobs."""
    await queue.fill(WAITING, after=DAY)
    stop = await queue.work(int)
    await asyncio.sleep(3)  # what follows from adding them is over
    began, spent = time.perf_counter(), time.process_time()
    await asyncio.sleep(WATCHED)
    spent, taken = time.process_time() - spent, time.perf_counter() - began
    await stop()
    return spent / taken * 1e3


def memory(make: Make) -> float | None:
    """Megabytes by which a process with a worker grows with `WAITING` delayed jobs; None where that is not told."""
    if not Path("/proc/self/statm").exists():
        return None
    # A process of its own: in this one, memory that was freed before would be used again.
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_grown, (make,))


def _grown(make: Make) -> float:
    async def measure() -> float:
        with tempfile.TemporaryDirectory() as directory:
            queue = make(Path(directory, "jobs.db"))
            await queue.open()
            stop = await queue.work(int)
            for _ in range(10):
                await queue.put()
            await asyncio.sleep(0.5)
            before = _resident()
            for _ in range(WAITING // STEP):
                await queue.fill(STEP, after=DAY)
            await asyncio.sleep(0.5)
            grown = _resident() - before
            await stop()
            await queue.close()
        return grown / 1e6

    return asyncio.run(measure())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def claim_cost(rounds: int) -> dict[int, float]:
    """Milliseconds to take `TAKEN` jobs, by the number of delayed ones beside them.

    Without flushes, which cost the same beside any number.
    """
    with tempfile.TemporaryDirectory() as directory:
        stores = {
            beside: SqliteStore(Path(directory, f"{beside}.db"), synchronous="NORMAL")
            for beside in (0, MANY)
        }
        for beside, store in stores.items():
            for start in range(0, beside, 1000):
                _add(store, range(start, start + 1000), after=DAY)
        taken: dict[int, list[float]] = {beside: [] for beside in stores}
        for _ in range(rounds):
            for beside, store in stores.items():
                taken[beside].append(_claim(store))
        for store in stores.values():
            store.close()
    return {beside: median(times) for beside, times in taken.items()}


def _add(store: SqliteStore, numbers: range, after: float = 0.0) -> None:
    now = time.time()
    store.commit(
        Change(
            jobs=tuple(
                new_job(KIND, PAYLOAD, now=now, after=after, priority=JobPriority(number % 4 + 1))
                for number in numbers
            )
        )
    ).result()


def _claim(store: SqliteStore) -> float:
    _add(store, range(TAKEN))
    now = time.time()
    began = time.perf_counter()
    claims = store.claim("worker", {KIND: TAKEN}, now, LEASE).result().claims
    taken = time.perf_counter() - began
    assert len(claims) == TAKEN
    store.settle([Settlement(claim=claim, outcome=Done(), at=now) for claim in claims]).result()
    return taken * 1e3
