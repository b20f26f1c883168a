"""The one place where time passes.

Operations wait for two things: for time, and for a result that another thread works out. Both waits sit
behind :class:`Waiter`, so that a test can hold the clock and one body serves plain and awaiting clients.
"""

import os
import sys
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, nullcontext, suppress
from math import inf
from threading import Lock, local
from typing import TYPE_CHECKING, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary, ref

import anyio
from anyio.lowlevel import checkpoint

from ._calling import Async, Mode_co, Sync
from ._doorbell import Doorbell, doorbell

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, SelectorEventLoop

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
    post = _mailbox_of(loop).post
    if on_trio():
        settled = anyio.Event()
        future.add_done_callback(lambda _: post(settled.set))
        return settled.wait()
    # Not an event: that makes a future of its own for each wait, and this is waited for thousands of times a second.
    here = cast("AbstractEventLoop", loop).create_future()

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


def on_trio() -> bool:
    """Whether the running loop is trio's."""
    if "trio" not in sys.modules:
        return False
    # anyio's own backend tells, without a sixth dependency that would.
    return anyio.get_cancelled_exc_class().__module__.startswith("trio")


def current_loop() -> Hashable:
    """Return what stands for the running event loop; it can be hashed and referred to weakly."""
    if on_trio():
        import trio

        return trio.lowlevel.current_trio_token()
    import asyncio

    return asyncio.get_running_loop()


def loop_time() -> Callable[[], float]:
    """Return what tells the time of the running event loop, without asking each time which one that is."""
    if on_trio():
        import trio

        return trio.current_time
    import asyncio

    return asyncio.get_running_loop().time


def is_cancelled() -> bool:
    """Tell whether the running task is being cancelled: by a scope around it, or by asyncio itself."""
    if anyio.current_effective_deadline() == -inf:
        return True
    if on_trio():  # there is no other way
        return False
    import asyncio

    # Python 3.10 does not tell.
    asked = getattr(asyncio.current_task(), "cancelling", None)
    return asked is not None and asked() > 0


def is_cancellation(error: BaseException) -> bool:
    """Tell whether *error* is nothing but the running loop's way to cancel; it may have been raised by anybody."""
    cancelled = anyio.get_cancelled_exc_class()
    return all(isinstance(one, cancelled) for one in leaves(error))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, or what it holds if it is a group."""
    # Asked by attribute: before Python 3.11 groups come from a package that need not be installed.
    inner: object = getattr(error, "exceptions", ())
    if not (inner and isinstance(inner, tuple)):
        yield error
        return
    for one in cast(tuple[object, ...], inner):
        if isinstance(one, BaseException):
            yield from leaves(one)


def has_ended(loop: Hashable) -> bool:
    """Tell whether an event loop, by what `current_loop` returned for it, is known to be closed."""
    import asyncio

    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()


class _Held(local):
    """The mailboxes that this thread is to empty later, if it answers many just now."""

    mailboxes: "list[Mailbox] | None" = None


_held = _Held()


class OneWake:
    """Wake each event loop once, at the end, for all that this thread posts inside.

    Woken by the first of a hundred answers, a loop would take the interpreter's lock for it, and so for each.
    """

    # Not a generator made into one: this is entered with each flush of a disk, which somebody waits for.
    __slots__ = ()

    def __enter__(self) -> None:
        _held.mailboxes = []

    def __exit__(self, *_: object) -> None:
        boxes, _held.mailboxes = _held.mailboxes, None
        for box in boxes or ():
            box.hop()


class Mailbox:
    """Carries calls from any thread into one event loop; those of one moment in one hop.

    A hop wakes the loop through a system call. A store that answers a hundred callers after one flush would otherwise
    spend more on waking the loop than on the answers.
    """

    def __init__(self, hop: Callable[[Callable[[], None]], object]) -> None:
        self._hop = hop
        self._bell: Doorbell | None = None
        self._calls: list[Callable[[], object]] = []
        self.begin_anew()

    def begin_anew(self) -> None:
        """After a fork, somebody in the parent may hold the lock."""
        self._lock = Lock()

    def post(self, call: Callable[[], object]) -> None:
        """Have *call* run in the loop; after the loop has ended nobody waits there, and nothing happens."""
        with self._lock:
            self._calls.append(call)
            first = len(self._calls) == 1
        if not first:
            return
        held = _held.mailboxes
        if held is None:
            self.hop()
        else:
            held.append(self)

    def hop(self) -> None:
        """Wake the loop, for what was posted."""
        bell = self._bell
        if bell is None:
            self._hop(self._deliver)
        else:
            bell.ring()

    def listen(self, loop: Hashable) -> None:
        """Have the running *loop* woken in a way that costs less, if there is one."""
        self._bell = doorbell(loop, self._deliver)

    def hang_up(self, loop: Hashable) -> None:
        """Have the running *loop* woken by its own means again."""
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.hang_up(cast("SelectorEventLoop", loop))
            # Whoever has posted already may ring where nobody listens now.
            self._deliver()

    def _deliver(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()


_mailboxes: "WeakKeyDictionary[Hashable, Mailbox]" = WeakKeyDictionary()


def _after_fork() -> None:
    for box in list(_mailboxes.values()):
        box.begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)


def mailbox() -> Mailbox:
    """Return the mailbox of the running event loop."""
    return _mailbox_of(current_loop())


def hang_up() -> None:
    """Let go of what the system keeps for the mailbox of the running event loop.

    Whoever waits there is told all the same, and whoever comes next has it made anew.
    """
    loop = current_loop()
    box = _mailboxes.pop(loop, None)
    if box is not None:
        box.hang_up(loop)


def _mailbox_of(loop: Hashable) -> Mailbox:
    found = _mailboxes.get(loop)
    if found is None:
        found = _mailboxes[loop] = Mailbox(_hop_into(loop))
        found.listen(loop)
    return found


def _hop_into(loop: Hashable) -> Callable[[Callable[[], None]], object]:
    # A weak reference: the mailbox is kept as long as the loop is, and must not be what keeps it.
    known = ref(loop)
    if on_trio():
        import trio

        def hop_to_trio(call: Callable[[], None]) -> None:
            token = known()
            with suppress(trio.RunFinishedError):
                if isinstance(token, trio.lowlevel.TrioToken):
                    token.run_sync_soon(call)

        return hop_to_trio
    import asyncio

    def hop_to_asyncio(call: Callable[[], None]) -> None:
        running = known()
        try:
            if isinstance(running, asyncio.AbstractEventLoop):
                running.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is closed
            return

    return hop_to_asyncio
