"""What it costs to store jobs one by one, in turns so short that the machine is the same for all sides in each."""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles

import awake
from queues import PlainHuey, PlainOurs, PlainQueue, Queue
from sides import BARE, OURS, WARM, embedded, holds, servers

# Turns a round, and jobs in a turn.
TURNS = 20
IN_A_TURN = 50

Rates = Mapping[str, list[float]]


def one_by_one() -> dict[str, list[float]]:
    """Jobs per second that one awaiting caller stores, each side in turn."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(
            _in_turn(
                {
                    name: make(Path(directory, f"{at}.db"))
                    for at, (name, make) in enumerate(embedded().items())
                }
            )
        )


def with_servers() -> dict[str, list[float]]:
    """The same, and then those on a server, each alone: they share one database."""
    found = one_by_one()
    with tempfile.TemporaryDirectory() as directory:
        for name, make in servers().items():
            found.update(asyncio.run(_in_turn({name: make(Path(directory))})))
    return found


async def _in_turn(queues: Mapping[str, Queue]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in queues}

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
            found[name].append(await turn(queues[name], IN_A_TURN))
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
    """Print what stores one job at a time."""
    title = "put, one by one, by an awaiting caller"
    plain = "the same, by a caller without an event loop"

    def both(awaiting: Callable[[], Rates], more: str = "") -> None:
        ahead(title + more, each_in_a_process(awaiting, rounds), 0.5)
        ahead(plain + more, each_in_a_process(plain_one_by_one, rounds), 0.5)

    both(with_servers)
    if awake.CAN:
        with awake.awake():
            # Without the servers, whose own processes would have to do without that processor time.
            both(one_by_one, "; no processor falls asleep")


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
