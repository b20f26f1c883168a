"""The one place where time passes.

Operations wait for two things: for time, and for a result that another thread works out. Both waits sit
behind :class:`Waiter`, so that a test can hold the clock and one body serves plain and awaiting clients.
"""

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from ._calling import Async, Mode_co, Sync

T = TypeVar("T")


class Clock(Protocol):
    """Tells the time: how much has passed, and what the calendar says."""

    def monotonic(self) -> float:
        """Seconds on a clock that is never set; deadlines are measured on it."""
        ...

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC; records are stamped with it."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        """Seconds on the system's monotonic clock."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return time.time()


class Waiter(Protocol[Mode_co]):
    """Waits, in the way of a plain or of an awaiting client."""

    @property
    def mode(self) -> type[Mode_co]:
        """`Sync` or `Async`."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        ...

    async def result(self, future: "Future[T]", timeout: float | None = None) -> T:
        """Return what *future* comes to.

        Raises TimeoutError after *timeout* seconds; the future is then cancelled, and so it is when the
        caller is cancelled: nobody waits for it any more.
        """
        ...

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        """Return a context in which a cancelled caller may still clean up, for *seconds* at most."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that is never set."""
        ...

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...


class _Timed:
    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def time(self) -> float:
        return self._clock.time()


class BlockingWaiter(_Timed):
    """Waits by blocking the calling thread."""

    @property
    def mode(self) -> type[Sync]:
        """`Sync`."""
        return Sync

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        """A blocked thread cannot be cancelled: nothing to hold off."""
        return nullcontext()

    async def sleep(self, seconds: float) -> None:
        """Block for *seconds*."""
        time.sleep(max(0.0, seconds))  # noqa: ASYNC251 - driven without a loop: to block is its purpose

    async def result(self, future: "Future[T]", timeout: float | None = None) -> T:
        """Block until *future* is settled."""
        try:
            try:
                return future.result(timeout)
            except FutureTimeout:  # a class of its own before Python 3.11
                if not future.done():
                    raise TimeoutError(f"no result within {timeout} seconds") from None
            # It was settled at the last moment, or with a timeout of its own.
            return future.result()
        finally:
            # Also on KeyboardInterrupt: whoever leaves must not stay on the listeners' list.
            future.cancel()


class AsyncWaiter(_Timed):
    """Waits by suspending the calling task, on asyncio or trio."""

    @property
    def mode(self) -> type[Async]:
        """`Async`."""
        return Async

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        """Hold off cancellation, for *seconds* at most."""
        return anyio.move_on_after(seconds, shield=True)

    async def sleep(self, seconds: float) -> None:
        """Suspend for *seconds*."""
        await anyio.sleep(max(0.0, seconds))

    async def result(self, future: "Future[T]", timeout: float | None = None) -> T:
        """Suspend until *future* is settled."""
        if future.done():
            await checkpoint()
            return future.result()
        settled = anyio.Event()
        wake = threadsafe(settled.set)
        future.add_done_callback(lambda _: wake())
        try:
            with anyio.move_on_after(timeout):
                await settled.wait()
            if not future.done():
                raise TimeoutError(f"no result within {timeout} seconds")
            return future.result()
        finally:
            future.cancel()


def _on_trio() -> bool:
    # anyio's own backend tells, without a sixth dependency that would.
    return anyio.get_cancelled_exc_class().__module__.startswith("trio")


def current_loop() -> Hashable:
    """Return what stands for the running event loop; it can be hashed and referred to weakly."""
    if _on_trio():
        import trio

        return trio.lowlevel.current_trio_token()
    import asyncio

    return asyncio.get_running_loop()


def has_ended(loop: Hashable) -> bool:
    """Tell whether an event loop, by what `current_loop` returned for it, is known to be closed."""
    import asyncio

    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()


def threadsafe(call: Callable[[], object]) -> Callable[[], None]:
    """Return a callable that runs *call* in the current event loop from any thread.

    After the loop has ended it does nothing: whoever waited there is gone.
    """
    if _on_trio():
        import trio

        token = trio.lowlevel.current_trio_token()

        def from_anywhere() -> None:
            try:
                token.run_sync_soon(call)
            except trio.RunFinishedError:
                return

        return from_anywhere
    import asyncio

    loop = asyncio.get_running_loop()

    def from_any_thread() -> None:
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is closed
            return

    return from_any_thread
