"""An event loop that is one process of a simulated machine: it does one step when it is told to, in virtual time."""

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from typing import Any


class Call:
    """A callback that waits for its turn; stands in for asyncio's handles."""

    __slots__ = ("args", "callback", "cancelled_", "context", "when_")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        when: float = 0.0,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context or contextvars.copy_context()
        self.cancelled_ = False
        self.when_ = when

    def cancel(self) -> None:
        self.cancelled_ = True

    def cancelled(self) -> bool:
        return self.cancelled_

    def when(self) -> float:
        return self.when_


class NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where in memory it lies."""

    def __init__(self, number: int, *args: Any, **options: Any) -> None:
        self.number = number
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.AbstractEventLoop):
    """What asyncio and anyio need of a loop, and no more.

    Nothing runs by itself: whoever owns the loop calls `wake` to make due timers ready and `step` to do one of
    the ready calls. A loop that is not stepped any more is a process that was killed.
    """

    def __init__(self, now: Callable[[], float], mishap: Callable[[dict[str, Any]], None]) -> None:
        self._now = now
        self._mishap = mishap
        self._timers: list[tuple[float, int, Call]] = []
        self._count = 0
        self.ready: list[Call] = []
        self.tasks: list[NumberedTask] = []

    # What the world does with it

    def next_timer(self) -> float | None:
        """When the next timer is due, or None."""
        while self._timers and self._timers[0][2].cancelled_:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def wake(self) -> None:
        """Make ready what is due."""
        now = self._now()
        while self._timers and self._timers[0][0] <= now:
            self.ready.append(heapq.heappop(self._timers)[2])

    def step(self, which: int) -> None:
        """Do one of the ready calls."""
        call = self.ready.pop(which)
        if call.cancelled_:
            return
        asyncio._set_running_loop(self)
        try:
            call.context.run(call.callback, *call.args)
        except Exception as error:  # noqa: BLE001 - as in any loop: told, and the others go on
            self.call_exception_handler({"message": "a callback failed", "exception": error})
        finally:
            asyncio._set_running_loop(None)

    def bury(self) -> None:
        """Unwind what a killed process left, so that nothing of it is found by the garbage collector."""
        for _ in range(100):
            self.tasks = [task for task in self.tasks if not task.done()]
            if not self.tasks:
                break
            for task in self.tasks:
                task.cancel()
            for _ in range(len(self.ready)):
                self.step(0)
        if self.tasks:
            raise AssertionError(f"a killed process does not end: {self.tasks}")
        self.ready.clear()
        self._timers.clear()

    # What asyncio asks of a loop

    def time(self) -> float:
        return self._now()

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        call = Call(callback, args, context)
        self.ready.append(call)
        return call

    call_soon_threadsafe = call_soon  # all threads of a simulation are one

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        call = Call(callback, args, context, when)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, call))
        return call

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self._now() + delay, callback, *args, context=context)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:  # type: ignore[override]
        self._count += 1
        task = NumberedTask(self._count, coro, loop=self, **options)
        self.tasks.append(task)
        return task

    def get_task_factory(self) -> None:
        return None

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._mishap(context)
