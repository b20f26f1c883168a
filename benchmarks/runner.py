"""What the task runner costs beside a bare writer thread on SQLite, and beside other durable queues.

    python benchmarks/runner.py [rounds]

All sides keep their jobs on the same disk and flush every commit. huey is measured where it is installed; procrastinate
and pgqueuer where they are and ``POSTGRES`` names a database that may be written to (see `servers.py`).
"""

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from statistics import median, quantiles

from alone import one_after_the_other
from delayed import MANY, TAKEN, WAITING, claim_cost, idle_cpu, memory
from queues import Queue
from sides import BARE, OURS, WARM, Make, embedded, holds, servers

CALLERS = 100
EACH = 200
DRAINED = 10_000
IDLE = 200
GAP = 0.005
# They take a minute for what takes the others a second.
SERVER_ROUNDS = 2

Measure = Callable[[Queue], Awaitable[float]]


def turns(rounds: int) -> Iterator[tuple[str, Make]]:
    """Let the sides take turns."""
    for number in range(rounds):
        yield from embedded().items()
        if number < SERVER_ROUNDS:
            yield from servers().items()


async def many_callers(queue: Queue) -> float:
    async def caller() -> None:
        for _ in range(EACH):
            await queue.put()

    for _ in range(WARM):
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


async def fresh(make: Make, measure: Measure | Callable[[Queue], Awaitable[list[float]]]) -> object:
    with tempfile.TemporaryDirectory() as directory:
        queue = make(Path(directory, "jobs.db"))
        await queue.open()
        try:
            gc.collect()
            return await measure(queue)
        finally:
            await queue.close()


def rates(title: str, measure: Measure, rounds: int, least: float) -> None:
    """Print jobs per second and our part of each other's."""
    found: dict[str, list[float]] = {}
    for name, make in turns(rounds):
        rate = asyncio.run(fresh(make, measure))
        assert isinstance(rate, float)
        found.setdefault(name, []).append(rate)
    told(title, found, {BARE: least})


def told(title: str, found: Mapping[str, list[float]], least: Mapping[str, float]) -> None:
    print(f"\n{title}")
    medians = {name: median(rates) for name, rates in found.items()}
    for name, rate in medians.items():
        print(f"  {name:<52} {rate:9,.0f} jobs/s   (fastest {max(found[name]):,.0f})")
    for name, rate in medians.items():
        if name != OURS:
            part, at_least = medians[OURS] / rate, least.get(name, 1.0)
            verdict = holds(part >= at_least)
            print(f"  {f'part of {name}':<52} {part:9.2f}   (at least {at_least:.2f}: {verdict})")


def latencies(rounds: int) -> None:
    found: dict[str, list[float]] = {}
    for name, make in turns(rounds):
        waits = asyncio.run(fresh(make, idle))
        assert isinstance(waits, list)
        found.setdefault(name, []).extend(waits)
    print("\nidle: from put to the start of the handler")
    cuts = {name: quantiles(waits, n=100) for name, waits in found.items()}
    for name, cut in cuts.items():
        print(f"  {name:<52} p50 {cut[49]:7.2f} ms   p99 {cut[98]:7.2f} ms")
    part = cuts[OURS][49] / cuts[BARE][49]
    print(f"  {f'p50, part of {BARE}':<52} {part:9.2f}   (at most 1.00: {holds(part <= 1)})")
    late = cuts[OURS][98]
    print(f"  {'p99, ms':<52} {late:9.2f}   (below 10.00: {holds(late < 10)})")


def waiting(rounds: int) -> None:
    """What delayed jobs cost."""
    print(f"\n{WAITING:,} delayed jobs: CPU of an idle worker, and memory of its process")
    for name, make in (*embedded().items(), *servers().items()):
        cpu, grown = asyncio.run(fresh(make, idle_cpu)), memory(make)
        assert isinstance(cpu, float)
        size = "not measured here" if grown is None else f"{grown:6.2f} MB"
        print(f"  {name:<52} {cpu:9.2f} ms/s   {size}")
        if name == OURS:
            verdict = holds(cpu < 1), holds(grown is None or grown < 5)
            print(f"  {'':<52} (below 1.00 ms/s: {verdict[0]}, below 5.00 MB: {verdict[1]})")
    costs = claim_cost(rounds * 20)
    print(f"\ntake {TAKEN} jobs, without the flush")
    for beside, cost in costs.items():
        print(f"  {f'beside {beside:,} delayed ones':<52} {cost:9.2f} ms")
    ratio = costs[MANY] / costs[0]
    print(f"  {'ratio':<52} {ratio:9.2f}   (at most 1.30: {holds(ratio <= 1.3)})")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    one_after_the_other(rounds)
    rates(f"put, {CALLERS} awaiting callers", many_callers, rounds, 0.3)
    rates(f"drain of {DRAINED:,} jobs that do nothing", drain, rounds, 0.25)
    latencies(rounds)
    waiting(rounds)


if __name__ == "__main__":
    main()
