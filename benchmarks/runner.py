"""What the task runner costs beside a bare writer thread on SQLite, and beside other durable queues.

    python benchmarks/runner.py [rounds]

All sides keep their jobs on the same disk and flush every commit. huey is measured where it is installed; procrastinate
and pgqueuer where they are and ``POSTGRES`` names a database that may be written to (see `servers.py`).
"""

import asyncio
import gc
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles

import awake
from delayed import MANY, TAKEN, WAITING, claim_cost, idle_cpu, memory
from queues import Bare, Huey, Ours, PlainHuey, PlainOurs, PlainQueue, Queue
from servers import SERVER, PgQueuer, Procrastinate

# Turns a round, and jobs in a turn.
TURNS = 20
IN_A_TURN = 50
CALLERS = 100
EACH = 200
DRAINED = 10_000
IDLE = 200
GAP = 0.005
# A write-ahead log that has its size is written over and not made longer, which costs a flush half.
WARM = 600
# They take a minute for what takes the others a second.
SERVER_ROUNDS = 2

OURS, BARE = "novitai_sdk", "bare sqlite3 writer thread"
Make = Callable[[Path], Queue]
Measure = Callable[[Queue], Awaitable[float]]


def embedded() -> dict[str, Make]:
    found: dict[str, Make] = {OURS: Ours, BARE: Bare}
    if find_spec("huey"):
        found["huey (SqliteHuey), called in threads"] = Huey
    return found


def servers() -> dict[str, Make]:
    found: dict[str, Make] = {}
    if SERVER and find_spec("procrastinate"):
        found["procrastinate (PostgreSQL)"] = Procrastinate
    if SERVER and find_spec("pgqueuer") and find_spec("asyncpg"):
        found["pgqueuer (PostgreSQL)"] = PgQueuer
    return found


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


def one_by_one() -> dict[str, list[float]]:
    """Jobs per second that one awaiting caller stores, each side in turn."""
    return asyncio.run(_one_by_one())


async def _one_by_one() -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        sides = {**embedded(), **servers()}
        queues = {
            name: make(Path(directory, f"{at}.db")) for at, (name, make) in enumerate(sides.items())
        }

        async def turn(queue: Queue, puts: int) -> float:
            began = time.perf_counter()
            for _ in range(puts):
                await queue.put()
            return puts / (time.perf_counter() - began)

        for queue in queues.values():
            await queue.open()
            await turn(queue, WARM)
        for names in orders(list(queues)):
            for name in names:
                found.setdefault(name, []).append(await turn(queues[name], IN_A_TURN))
        for queue in queues.values():
            await queue.close()
    return found


def plain_one_by_one() -> dict[str, list[float]]:
    """The same for one caller without a loop, who may wait in the call itself."""
    found: dict[str, list[float]] = {}
    sides: dict[str, Callable[[Path], PlainQueue]] = {OURS: PlainOurs}
    if find_spec("huey"):
        sides["huey (SqliteHuey)"] = PlainHuey
    with tempfile.TemporaryDirectory() as directory:
        queues = {
            name: make(Path(directory, f"{at}.db")) for at, (name, make) in enumerate(sides.items())
        }

        def turn(queue: PlainQueue, puts: int) -> float:
            began = time.perf_counter()
            for _ in range(puts):
                queue.put()
            return puts / (time.perf_counter() - began)

        for queue in queues.values():
            turn(queue, WARM)
        for names in orders(list(queues)):
            for name in names:
                found.setdefault(name, []).append(turn(queues[name], IN_A_TURN))
        for queue in queues.values():
            queue.close()
    return found


Rates = Mapping[str, list[float]]


def each_in_a_process(measure: Callable[[], Rates], rounds: int) -> list[Rates]:
    """Measure in a fresh process each time: where its threads and its memory come to lie makes a tenth."""
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return [pool.apply(measure) for _ in range(rounds)]


def orders(names: list[str]) -> Iterator[list[str]]:
    """Yield *names* in an order of chance, so that nobody always comes after the same one."""
    for _ in range(TURNS):
        random.shuffle(names)
        yield names


def one_after_the_other(rounds: int) -> None:
    """Print what stores one job at a time, in turns so short that the machine is the same for all sides in each."""
    title = "put, one by one, by an awaiting caller"
    plain = "the same, by a caller without an event loop"

    def both(more: str = "") -> None:
        ahead(title + more, each_in_a_process(one_by_one, rounds), 0.5)
        ahead(plain + more, each_in_a_process(plain_one_by_one, rounds), 0.5)

    both()
    if awake.CAN:
        with awake.awake():
            both("; no processor falls asleep")


def ahead(title: str, rounds: Sequence[Rates], least: float) -> None:
    """Print jobs per second, and our part of each other's in the middle of all turns."""
    found = {name: [rate for one in rounds for rate in one[name]] for name in rounds[0]}
    print(f"\n{title}")
    for name, rates in found.items():
        print(f"  {name:<52} {median(rates):9,.0f} jobs/s")
    for name, rates in found.items():
        if name != OURS:
            parts = [mine / its for mine, its in zip(found[OURS], rates, strict=True)]
            low, part, high = quantiles(parts, n=4)
            at_least = least if name == BARE else 1.0
            verdict = f"at least {at_least:.2f}: {holds(part >= at_least)}"
            print(
                f"  {f'part of {name}':<52} {part:9.2f}   ({verdict}; half of the turns {low:.2f} to {high:.2f})"
            )


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


def holds(promised: bool) -> str:
    return "holds" if promised else "MISSED"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    one_after_the_other(rounds)
    rates(f"put, {CALLERS} awaiting callers", many_callers, rounds, 0.3)
    rates(f"drain of {DRAINED:,} jobs that do nothing", drain, rounds, 0.25)
    latencies(rounds)
    waiting(rounds)


if __name__ == "__main__":
    main()
