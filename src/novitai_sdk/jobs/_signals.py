"""Ending in order when the system asks a program to end."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Final

import anyio
import anyio.abc
from anyio.abc import TaskStatus

__all__ = ["exit_on_sigterm"]

# What a shell reports of a program that a signal ended.
_CODE: Final = 128


class exit_on_sigterm:  # noqa: N801 - used like a function
    """A block that SIGTERM ends as ``sys.exit(143)`` would, so that clients close and their jobs are handed back.

    Without it Python dies of SIGTERM at once and closes nothing. (No job is lost by that: whoever opens the store next
    goes on with them.) With it the program leaves its blocks, each client drains as its setting ``drain`` says, and the
    exit status is 143. A second SIGTERM ends the program at once.

    Use it inside the block of the client, in the main thread, as ``with`` or as ``async with``::

        with Novitai() as client, exit_on_sigterm():
            client.jobs.work()

    On Windows only ``with`` is to be had.

    Raises:
        RuntimeError: This is not the main thread, or the program has a handler of its own for SIGTERM: that one is
            left alone, and may close the clients itself.
    """

    def __init__(self) -> None:
        self._came = False
        self._tasks: anyio.abc.TaskGroup | None = None
        self._body: anyio.CancelScope | None = None

    def __enter__(self) -> None:
        """Have SIGTERM raise SystemExit in this thread."""
        _check_free()
        signal.signal(signal.SIGTERM, self._leave)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let SIGTERM do what it did before."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    async def __aenter__(self) -> None:
        """Have SIGTERM cancel the block, and raise SystemExit at its end."""
        _check_free()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._body = anyio.CancelScope()
        await self._tasks.start(self._listen, self._body)
        self._body.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Let SIGTERM do what it did before. Raises SystemExit when it came."""
        if self._tasks is None or self._body is None:
            raise RuntimeError("this block was not entered")
        caught = self._body.__exit__(kind, error, trace)
        self._tasks.cancel_scope.cancel()
        # Without the block's exception: handed to the task group it would come back wrapped in a group.
        await self._tasks.__aexit__(None, None, None)
        if self._came:
            raise SystemExit(_CODE + signal.SIGTERM) from (None if caught else error)
        return caught

    def _leave(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise SystemExit(_CODE + number)

    async def _listen(
        self, body: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            task_status.started()
            await anext(aiter(signals))
            self._came = True
        body.cancel()


def _check_free() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "exit_on_sigterm works in the main thread, where Python hears of signals"
        )
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        raise RuntimeError(
            "the program has a handler of its own for SIGTERM, which is left alone: close the client there"
        )
