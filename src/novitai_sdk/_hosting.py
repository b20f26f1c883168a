"""Where a client's jobs run: in the caller's own event loop, in a thread, or where they run already."""

import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from ._loops import is_cancellation, on_trio
from ._mailbox import mailbox
from ._promise import Promise
from ._waiting import AsyncWaiter
from .jobs import BackgroundRunner, Runner, RunnerFailed, StoreError

if TYPE_CHECKING:
    import asyncio

__all__ = ["Host", "Making", "NoHost", "TaskHost"]

Making = Callable[[], AbstractAsyncContextManager[Runner]]
"""Makes a runner, inside the event loop it will run in."""


_Work = Callable[[], Coroutine[Any, Any, None]]


class NoHost:
    """Inside a job the runner runs already."""

    error: BaseException | None = None

    def ensure_started(self) -> None:
        """Nothing to do."""

    def on_end(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Nobody who is in a job could hear of it."""
        return lambda: None


class TaskHost:
    """Runs jobs in the event loop of the caller's ``async with`` block; made in that loop."""

    def __init__(
        self, make: Making, start: Callable[[_Work], object], died: Callable[[], object]
    ) -> None:
        self.error: BaseException | None = None
        self._make = make
        self._died = died
        self._start = start
        self._thread = threading.get_ident()
        self._post = mailbox().post
        # The block's, for all jobs: that of whoever asks for the first one is that of a single request, perhaps.
        self._context = copy_context()
        self._begun = False
        self._ended: Promise[None] = Promise()
        self._ended.set_running_or_notify_cancel()  # by none of those who wait for it
        self._runner: Runner | None = None
        self._stopping = False
        self._drain = 0.0
        self.cancelled = False

    @property
    def trouble(self) -> StoreError | None:
        """Why the runner gets nothing done just now although it lives, or None."""
        return None if self._runner is None else self._runner.trouble

    def ensure_started(self) -> None:
        """Start the runner, once; a dead one is not raised here but told to whoever waits for its work."""
        if self._begun or self._stopping:
            return
        if threading.get_ident() == self._thread:
            self._begin()
        else:  # the loop of another thread would take the task along when it ends
            self._post(self._begin)

    def _begin(self) -> None:
        if not self._begun and not self._stopping:
            self._begun = True
            self._context.run(self._start, self._run)

    async def _run(self) -> None:
        try:
            async with self._make() as self._runner:
                if self._stopping:  # the block ended before there was anything to stop
                    self._runner.stop(self._drain)
                await self._runner.run()
        except Exception as error:  # noqa: BLE001 - kept, and told to whoever waits
            # Raised here it would cancel the caller's block; whoever waits for a job is told instead.
            self.error = (isinstance(error, RunnerFailed) and error.__cause__) or error
            self._died()
        finally:
            self._runner = None
            # With a scope around the block, or all of the loop: whoever cleans up still needs somebody to do the jobs.
            self.cancelled = self.error is None and not self._stopping
            self._ended.set_result(None)

    async def stop(self, drain: float) -> None:
        """Let handlers finish for *drain* seconds, and wait for the end."""
        self._stopping, self._drain = True, drain
        if self._runner is not None:
            self._runner.stop(drain)
        if self._begun:
            await AsyncWaiter().result(self._ended)


class _Block(Protocol):
    """Holds a task of the running loop from one call to another."""

    async def open(self) -> None: ...

    def start(self, work: _Work) -> None:
        """Do *work* in a task of its own; once, and in the loop it was opened in."""
        ...

    async def close(self) -> None:
        """Wait for its end, which comes at once if the caller is cancelled."""
        ...


class _Apart:
    """On asyncio: a task that belongs to no other.

    A task group has to be left in the task that entered it, and before whatever else was entered there meanwhile.
    Fixtures of tests, cells of a notebook, and services with one call for their start and one for their end do not.
    """

    def __init__(self) -> None:
        self._scope = anyio.CancelScope()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Nothing to do."""

    def start(self, work: _Work) -> None:
        import asyncio

        self._task = asyncio.get_running_loop().create_task(self._within(work), name="novitai-jobs")

    async def _within(self, work: _Work) -> None:
        with self._scope:
            await work()

    async def close(self) -> None:
        import asyncio

        if self._task is None:
            return
        cancelled: asyncio.CancelledError | None = None
        while not self._task.done():
            try:
                with anyio.CancelScope(shield=cancelled is not None):
                    await asyncio.wait([self._task])
            except asyncio.CancelledError as error:
                cancelled = cancelled or error
                # Not the task itself: what hands back its jobs is shielded from scopes alone.
                self._scope.cancel()
        if cancelled is not None:
            raise cancelled
        if not self._task.cancelled():  # as all tasks are by a loop that ends
            self._task.result()


class _Nursery:
    """On trio, where every task belongs to a block: Ctrl-C that comes in one of them ends that."""

    def __init__(self) -> None:
        self._tasks = anyio.create_task_group()

    async def open(self) -> None:
        await self._tasks.__aenter__()

    def start(self, work: _Work) -> None:
        self._tasks.start_soon(work, name="novitai-jobs")

    async def close(self) -> None:
        # Without the exception of the caller's block: handed to the task group it would come back wrapped in a group,
        # and `except InstanceFailed` around the block would catch nothing.
        await self._tasks.__aexit__(None, None, None)


class Host:
    """Runs the jobs of one client: in the caller's loop inside ``async with``, else in a thread."""

    def __init__(self, make: Making, drain: float, at_exit: Callable[[], None]) -> None:
        self._make = make
        self._drain = drain
        self._thread = BackgroundRunner(make, drain=drain, at_exit=at_exit, died=self._tell_of_end)
        self._listeners: dict[object, Callable[[], object]] = {}
        self._taken = False
        self._task: TaskHost | None = None
        self._tasks: _Block | None = None

    @property
    def _current(self) -> BackgroundRunner | TaskHost:
        # A thread that was started before the block goes on: two runners of one client would only share its slots.
        task = self._task
        return self._thread if task is None or task.cancelled or self._thread.alive else task

    @property
    def error(self) -> BaseException | None:
        """Why the runner is dead, or None."""
        return self._current.error

    @property
    def trouble(self) -> StoreError | None:
        """Why the runner gets nothing done just now although it lives, or None."""
        return self._current.trouble

    def ensure_started(self) -> None:
        """Start the runner if it does not run; one that was told to stop stays as it is, and that is no error.

        Raises:
            RunnerFailed: It runs in a thread, and died or could not be started.
        """
        self._current.ensure_started()

    def on_end(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Have *listener* called, on any thread, when the runner has died or was stopped; returns what ends that."""
        token = object()
        self._listeners[token] = listener
        return lambda: self._listeners.pop(token, None) and None

    def _tell_of_end(self) -> None:
        for listener in tuple(self._listeners.values()):
            listener()

    def take(self) -> None:
        """Be somebody's for a block, once: a client has one home. Raises RuntimeError when it is taken."""
        if self._taken:
            raise RuntimeError("this client is in use in an `async with` block already")
        self._taken = True

    def check_outside(self) -> None:
        """Raise RuntimeError in the thread that runs the jobs: its end cannot be waited for there."""
        if self._thread.here:
            raise RuntimeError(
                "a job cannot close the client that runs it, for it would wait for its own end: "
                "let the handler return, and close the client where it was made"
            )

    async def enter(self) -> None:
        """Live in the caller's loop from now on."""
        self._tasks = _Nursery() if on_trio() else _Apart()
        await self._tasks.open()
        self._task = TaskHost(self._make, self._tasks.start, self._tell_of_end)

    async def leave(self, error: BaseException | None = None) -> None:
        """Stop, and wait for the runner's end; the block ended with *error*."""
        if self._tasks is None:
            return
        try:
            try:
                await self.stop()
            finally:
                await self._tasks.close()
        except BaseException as gone:
            # A cancellation in its place would be caught by its scope, and nobody would hear what still bills.
            if error is None or is_cancellation(error) or not is_cancellation(gone):
                raise

    async def stop(self) -> None:
        """Stop what runs in the caller's loop, if anything does."""
        if self._task is not None:
            await self._task.stop(self._drain)

    def close(self) -> None:
        """Stop the thread, if there is one."""
        self._thread.close(self._drain)
        self._tell_of_end()
