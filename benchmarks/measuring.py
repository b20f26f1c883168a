"""What all benchmarks share: sides that take turns, medians, and a line for each ratio with what it may be at most.

Time is CPU time of this process, all threads together; servers run in processes of their own, and waiting is free.
Machines are noisy, so the sides take turns, many times, and what is compared are medians.
"""

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

Side = Callable[[], int]
"""Does some calls, or reads some records, and returns how many."""


def compare(title: str, sides: Mapping[str, Side], rounds: int) -> Mapping[str, float]:
    """Let *sides* take turns; print and return the microseconds of CPU each takes for one."""
    for side in sides.values():
        side()  # connections, caches and bytecode are there before anything counts
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            gc.collect()
            began = time.process_time()
            count = side()
            taken[name].append((time.process_time() - began) / count * 1e6)
    print(f"\n{title}")
    for name, times in taken.items():
        print(f"  {name:<52} {median(times):9.1f} µs   (fastest {min(times):.1f})")
    return {name: median(times) for name, times in taken.items()}


def ratio(found: Mapping[str, float], ours: str, other: str, at_most: float) -> None:
    """Print how *ours* compares with *other*."""
    value = found[ours] / found[other]
    verdict = "holds" if value <= at_most else "MISSED"
    print(f"  {f'ratio to {other}':<52} {value:9.2f}      (at most {at_most:.2f}: {verdict})")
