"""The one place where time passes.

Operations wait for two things: for time, and for a result that another thread works out. Both waits sit
behind :class:`Waiter`, so that a test can hold the clock and one body serves plain and awaiting clients.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from ._calling import Async, Mode_co, Sync
from ._loops import current_loop, on_trio
from ._mailbox import mailbox_of
from ._promise import Future

if TYPE_CHECKING:
    import asyncio

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

    async def insist(
        self, work: Callable[[], Awaitable[T]], interrupted: Callable[[], object]
    ) -> T:
        """Do *work* to its end, also if the caller is cancelled or interrupted meanwhile; that is raised after it.

        *interrupted* is called then. *work* may be begun anew for it, once: a second Ctrl-C leaves it.
        """
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

    async def insist(
        self, work: Callable[[], Awaitable[T]], interrupted: Callable[[], object]
    ) -> T:
        """Do *work*, and after a Ctrl-C once more."""
        return await _once_more(work, interrupted)

    async def sleep(self, seconds: float) -> None:
        """Block for *seconds*."""
        time.sleep(max(0.0, seconds))  # noqa: ASYNC251 - driven without a loop: to block is its purpose

    async def result(self, future: "Future[T]", timeout: float | None = None) -> T:
        """Block until *future* is settled."""
        try:
            try:
                return future.result(timeout)
            except (TimeoutError, FutureTimeout):  # two classes before Python 3.11
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

    async def insist(
        self, work: Callable[[], Awaitable[T]], interrupted: Callable[[], object]
    ) -> T:
        """Do *work*, whoever cancels the calling task meanwhile."""
        steps = _once_more if on_trio() else _beside
        with anyio.CancelScope(shield=True):
            return await steps(work, interrupted)
        raise AssertionError("nobody cancels a scope that nobody has")

    async def sleep(self, seconds: float) -> None:
        """Suspend for *seconds*."""
        await anyio.sleep(max(0.0, seconds))

    async def result(self, future: "Future[T]", timeout: float | None = None) -> T:
        """Suspend until *future* is settled."""
        if future.done():
            await checkpoint()
            return future.result()
        try:
            if timeout is None:
                await _settled(future)
            else:
                with anyio.move_on_after(timeout):
                    await _settled(future)
                if not future.done():
                    raise TimeoutError(f"no result within {timeout} seconds")
        except BaseException:
            future.cancel()
            raise
        return future.result()


async def _once_more(work: Callable[[], Awaitable[T]], interrupted: Callable[[], object]) -> T:
    try:
        return await work()
    except KeyboardInterrupt as pressed:
        interrupted()
        await work()
        raise pressed


async def _beside(work: Callable[[], Awaitable[T]], interrupted: Callable[[], object]) -> T:
    """Do *work* in a task of its own: no scope of anyio holds off what cancels tasks by asyncio's own means.

    Ctrl-C under ``asyncio.run`` does, ``asyncio.wait_for`` and ``asyncio.timeout`` do.
    """
    import asyncio

    async def all_of_it() -> T:
        return await work()

    doing = asyncio.ensure_future(all_of_it())
    cancelled: list[asyncio.CancelledError] = []
    begun_anew = False
    while True:
        try:
            await asyncio.wait([doing])
        except asyncio.CancelledError as error:
            if not cancelled:
                interrupted()
            cancelled.append(error)
            continue
        # By a loop that ends all its tasks at once, but not for somebody's second Ctrl-C.
        if not doing.cancelled() or begun_anew or len(cancelled) > 1:
            break
        begun_anew, doing = True, asyncio.ensure_future(all_of_it())
    # What went wrong with the work counts for more than that nobody wanted to wait for it.
    if cancelled and not doing.cancelled() and doing.exception() is None:
        raise cancelled[0]
    return doing.result()


def _settled(future: "Future[T]") -> Awaitable[object]:
    """Return what the running loop can await until *future* is settled by another thread."""
    loop = current_loop()
    post = mailbox_of(loop).post
    # What only asyncio's loops have. Asked thousands of times a second, as is all that stands here.
    create_future: Callable[[], asyncio.Future[None]] | None = getattr(loop, "create_future", None)
    if create_future is None:
        settled = anyio.Event()
        future.add_done_callback(lambda _: post(settled.set))
        return settled.wait()
    here = create_future()  # and no event, which makes a future of its own for each wait

    def wake() -> None:
        if not here.done():
            here.set_result(None)

    future.add_done_callback(lambda _: post(wake))
    return here


async def side_by_side(work: Iterable[Callable[[], Awaitable[None]]], most: int) -> None:
    """Do all of *work*, at most *most* pieces at the same time. What one raises ends all, as in a task group."""
    left = iter(work)

    async def lane() -> None:
        for piece in left:
            await piece()

    async with anyio.create_task_group() as tasks:
        for _ in range(most):
            tasks.start_soon(lane)
