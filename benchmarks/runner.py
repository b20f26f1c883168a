"""What the task runner costs beside a bare writer thread on SQLite, and beside other durable queues.

    python benchmarks/runner.py [rounds]

All sides keep their jobs on the same file system and flush every commit. huey is measured where it is installed;
procrastinate and pgqueuer where they are and ``POSTGRES`` names a database that may be written to.
"""

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles

from queues import Bare, Huey, Ours, Queue

ALONE = 1000
CALLERS = 100
EACH = 200
DRAINED = 10_000
IDLE = 200
GAP = 0.005

OURS, BARE = "novitai_sdk", "bare sqlite3 writer thread"
Make = Callable[[Path], Queue]
Measure = Callable[[Queue], Awaitable[float]]


def sides() -> dict[str, Make]:
    found: dict[str, Make] = {OURS: Ours, BARE: Bare}
    if find_spec("huey"):
        found["huey (SqliteHuey)"] = Huey
    return found


async def one_by_one(queue: Queue) -> float:
    began = time.perf_counter()
    for _ in range(ALONE):
        await queue.put()
    return ALONE / (time.perf_counter() - began)


async def many_callers(queue: Queue) -> float:
    async def caller() -> None:
        for _ in range(EACH):
            await queue.put()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return CALLERS * EACH / (time.perf_counter() - began)


async def drain(queue: Queue) -> float:
    await queue.fill(DRAINED)
    ended, left, loop = asyncio.Event(), [DRAINED], asyncio.get_running_loop()

    def started() -> None:
        left[0] -= 1
        if not left[0]:
            loop.call_soon_threadsafe(ended.set)

    began = time.perf_counter()
    stop = await queue.work(started)
    await ended.wait()
    taken = time.perf_counter() - began
    await stop()
    return DRAINED / taken


async def idle(queue: Queue) -> list[float]:
    """Milliseconds from the call of put to the start of the handler, with nothing else to do."""
    waits: list[float] = []
    heard, loop = asyncio.Event(), asyncio.get_running_loop()
    at = [0.0]

    def started() -> None:
        at[0] = time.perf_counter()
        loop.call_soon_threadsafe(heard.set)

    stop = await queue.work(started)
    for _ in range(IDLE):
        await asyncio.sleep(GAP)
        heard.clear()
        began = time.perf_counter()
        await queue.put()
        await heard.wait()
        waits.append((at[0] - began) * 1e3)
    await stop()
    return waits


async def fresh(make: Make, measure: Callable[[Queue], Awaitable[object]]) -> object:
    with tempfile.TemporaryDirectory() as directory:
        queue = make(Path(directory, "jobs.db"))
        try:
            gc.collect()
            return await measure(queue)
        finally:
            queue.close()


def rates(title: str, measure: Measure, rounds: int, least: float) -> None:
    """Let the sides take turns; print jobs per second and our part of the bare writer's."""
    found: Mapping[str, list[float]] = {name: [] for name in sides()}
    for _ in range(rounds):
        for name, make in sides().items():
            rate = asyncio.run(fresh(make, measure))
            assert isinstance(rate, float)
            found[name].append(rate)
    print(f"\n{title}")
    medians = {name: median(rates) for name, rates in found.items()}
    for name, rate in medians.items():
        print(f"  {name:<52} {rate:9,.0f} jobs/s   (fastest {max(found[name]):,.0f})")
    for name, rate in medians.items():
        if name != OURS:
            part, at_least = medians[OURS] / rate, least if name == BARE else 1.0
            verdict = "holds" if part >= at_least else "MISSED"
            print(f"  {f'part of {name}':<52} {part:9.2f}   (at least {at_least:.2f}: {verdict})")


def latencies(rounds: int) -> None:
    found: dict[str, list[float]] = {name: [] for name in sides()}
    for _ in range(rounds):
        for name, make in sides().items():
            waits = asyncio.run(fresh(make, idle))
            assert isinstance(waits, list)
            found[name] += waits
    print("\nidle: from put to the start of the handler")
    for name, waits in found.items():
        cuts = quantiles(waits, n=100)
        print(f"  {name:<52} p50 {cuts[49]:7.2f} ms   p99 {cuts[98]:7.2f} ms")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rates("put, one by one", one_by_one, rounds, 0.5)
    rates(f"put, {CALLERS} callers", many_callers, rounds, 0.3)
    rates(f"drain of {DRAINED:,} jobs that do nothing", drain, rounds, 0.25)
    latencies(rounds)


if __name__ == "__main__":
    main()
