"""A machine in virtual time: processes that take turns, a wall clock that may be set, and chance from one seed."""

import heapq
import random
from collections.abc import Callable
from typing import Any

from virtual_loop import VirtualLoop

WALL = 1_767_225_600.0
MOST_STEPS = 400_000
A_STEP = 3e-6


class Killed(BaseException):
    """Raised in what is left of a killed process whenever it reaches for the outside."""


class Violation(AssertionError):
    """Something that must hold did not."""


class Process:
    """Something with an event loop of its own that can be killed, paused, and ended in good order."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.paused_until = 0.0
        self.loop = VirtualLoop(world.monotonic, self._mishap)

    @property
    def awake(self) -> bool:
        return self.alive and self.world.now >= self.paused_until

    def die(self) -> None:
        """Stop existing, between two steps."""
        self.alive = False
        self.loop.bury()

    def _mishap(self, context: dict[str, Any]) -> None:
        if self.alive:
            self.world.fail(f"{self.name}: {context.get('message')}: {context.get('exception')!r}")


class World:
    """Time, processes and chance.

    Args:
        seed: What all chance comes from.
        shuffle: How often a ready call overtakes others, 0 to 1.
    """

    def __init__(self, seed: object, shuffle: float = 0.0) -> None:
        self.rng = random.Random(str(seed))
        self.shuffle = shuffle
        self.now = 0.0
        self.wall_offset = WALL
        self.steps = 0
        self.processes: list[Process] = []
        self.trace: list[str] = []
        self._events: list[tuple[float, int, Process | None, Callable[[], None]]] = []
        self._count = 0
        self._failure: str | None = None

    # The clock: every process reads the same two

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + self.wall_offset

    def set_wall(self, by: float) -> None:
        self.note(f"the wall clock is set by {by:+.3f}")
        self.wall_offset += by

    # What happens

    def note(self, line: str) -> None:
        self.trace.append(f"{self.now:12.6f} {line}")

    def fail(self, what: str) -> None:
        """Note a violation; the simulation ends with the first one."""
        self.note(f"VIOLATION {what}")
        self._failure = self._failure or what

    def number(self) -> int:
        self._count += 1
        return self._count

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability

    def after(self, delay: float, process: Process | None, do: Callable[[], None]) -> None:
        """Have *do* done after *delay* seconds; by a paused *process* when it goes on, by a dead one never."""
        heapq.heappush(self._events, (self.now + max(0.0, delay), self.number(), process, do))

    def run(self, until: Callable[[], bool]) -> None:
        """Step by step until *until* says so, or nothing is left to happen.

        Raises:
            Violation: Something that must hold did not.
        """
        while not until():
            if not self._step():
                raise Violation("nothing is left to happen, and it is not over")
            if self._failure is not None:
                raise Violation(self._failure)
            if self.steps > MOST_STEPS:
                raise Violation(f"{self.steps} steps, and no end: something spins")

    def _step(self) -> bool:
        self.steps += 1
        self.now += A_STEP
        choices: list[Process | None] = []
        for process in self.processes:
            if process.awake:
                process.loop.wake()
                if process.loop.ready:
                    choices.append(process)
        if self._events and self._events[0][0] <= self.now:
            choices.append(None)
        if not choices:
            return self._leap()
        chosen = choices[0] if len(choices) == 1 else self.rng.choice(choices)
        if chosen is None:
            self._happen()
            return True
        ready = chosen.loop.ready
        overtakes = len(ready) > 1 and self.chance(self.shuffle)
        chosen.loop.step(self.rng.randrange(len(ready)) if overtakes else 0)
        return True

    def _happen(self) -> None:
        _, _, process, do = heapq.heappop(self._events)
        if process is None:
            do()
        elif not process.alive:
            return
        elif process.awake:
            do()
        else:
            self.after(process.paused_until - self.now, process, do)

    def _leap(self) -> bool:
        """Let time pass until something is due."""
        moments = [self._events[0][0]] if self._events else []
        for process in self.processes:
            if not process.alive:
                continue
            timer = self.now if process.loop.ready else process.loop.next_timer()
            if timer is not None:
                moments.append(max(timer, process.paused_until))
        if not moments:
            return False
        self.now = max(self.now, min(moments))
        return True
