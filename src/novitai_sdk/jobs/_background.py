"""A runner in a thread of its own, for programs that have no event loop to give."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal

import anyio

from . import _exits, _forks
from ._errors import RunnerFailed, StoreError
from ._handling import describe
from ._runner import Runner

__all__ = ["BackgroundRunner"]

_log = logging.getLogger("novitai_sdk")

_GRACE: Final = 5.0
"""Seconds beyond the drain time until a thread that does not end is left behind."""


class BackgroundRunner:
    """Hosts a :class:`Runner` in a daemon thread, which starts with the first use.

    A child process made by fork starts a thread of its own when it has something to run. At the exit of
    the interpreter, jobs being worked on get a moment to finish and are then handed back to the store.

    Args:
        make: Makes the runner, inside the thread and its event loop, so that connections can belong
            to that loop.
        backend: The event loop: ``asyncio`` or ``trio``.
        drain: Seconds that handlers get at the exit of an interpreter in which nobody closed it.
        at_exit: Called after that.
        died: Called in the thread when the runner has died.
    """

    def __init__(
        self,
        make: Callable[[], AbstractAsyncContextManager[Runner]],
        *,
        backend: Literal["asyncio", "trio"] = "asyncio",
        drain: float = 1.0,
        at_exit: Callable[[], None] | None = None,
        died: Callable[[], object] | None = None,
    ) -> None:
        self._make = make
        self._exit_drain = drain
        self._at_exit = at_exit
        self._died = died
        self._backend = backend
        self._lock = threading.Lock()
        self._begin_anew()
        _forks.watch_runner(self)

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._under_way = threading.Event()
        self._runner: Runner | None = None
        self._error: BaseException | None = None
        self._stopping = False
        self._drain = 0.0

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def here(self) -> bool:
        """Whether this is the thread."""
        return self._thread is threading.current_thread()

    @property
    def error(self) -> BaseException | None:
        """What the runner died of, or None."""
        return self._error

    @property
    def trouble(self) -> StoreError | None:
        """Why the runner gets nothing done just now although it lives, or None."""
        runner = self._runner
        return None if runner is None else runner.trouble

    def ensure_started(self) -> None:
        """Start the thread unless it runs, or was told to stop: then what is stored waits for the next runner.

        Raises:
            RunnerFailed: It ran and died, or no thread could be started just now, which the next call tries again;
                the failure is the cause.
        """
        with self._lock:
            self.raise_if_failed()
            if self._thread is None and not self._stopping:
                # A daemon: a program that forgot to close must be able to end.
                self._thread = threading.Thread(target=self._host, name="novitai-jobs", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError as error:
                    self._thread = None  # or nobody would try again
                    raise RunnerFailed(
                        "the job runner of this process could not be started, so its jobs wait in the store: "
                        f"{describe(error)}"
                    ) from error
                _exits.runners.add(self)

    def raise_if_failed(self) -> None:
        """Raise RunnerFailed if the runner has died; for those who wait for its work."""
        if self._error is not None:
            raise RunnerFailed(
                "the job runner of this process died, so its jobs stand still until another "
                f"process takes them: {describe(self._error)}"
            ) from self._error

    def close(self, drain: float = 10.0) -> None:
        """Stop: handlers get *drain* seconds to finish, then their jobs are handed back.

        When it returns the thread is gone, unless a handler resists being cancelled. A second call does
        nothing, nor does one in a child process that never started it.
        """
        with self._lock:
            again, self._stopping = self._stopping, True
            self._drain = drain
            thread, runner = self._thread, self._runner
        if runner is not None:
            runner.stop(drain)
        if thread is not None and not self.here:
            thread.join(drain + _GRACE)
            if thread.is_alive() and not again:
                _log.warning(
                    "the job runner still goes on %g s after it was told to stop, and is left behind in thread %s: "
                    "a handler resists being cancelled, or the store does not answer",
                    drain + _GRACE,
                    thread.name,
                )
        if not self.alive:
            _exits.runners.discard(self)

    def close_at_exit(self) -> None:
        """Let what is being worked on finish, and hand back the rest."""
        self.close(self._exit_drain)
        if self._at_exit is not None:
            self._at_exit()

    def before_fork(self) -> None:
        """Let nobody be halfway through starting or closing."""
        self._lock.acquire()
        while self._starting:
            # A thread that begins loads modules, and those that are halfway now would be so in the child for good.
            self._lock.release()  # it may want that on its way
            begun = self._under_way.wait(_GRACE)
            self._lock.acquire()
            if not begun:
                return

    def after_fork(self, in_child: bool) -> None:
        """Go on; the child has no thread yet."""
        if in_child:
            self._begin_anew()
        self._lock.release()

    @property
    def _starting(self) -> bool:
        return self._thread is not None and not self.here and not self._under_way.is_set()

    def _host(self) -> None:
        try:
            while self._begins_again():
                pass
        except BaseException as error:  # noqa: BLE001 - nobody above would see it
            self._error = error.__cause__ if isinstance(error, RunnerFailed) else error
            if self._died is not None:
                self._died()
        finally:
            self._under_way.set()
            self._runner = None

    def _begins_again(self) -> bool:
        """Run until the end; answer whether only the loop has come to it."""
        try:
            anyio.run(self._main, backend=self._backend)
        except (SystemExit, KeyboardInterrupt) as error:
            # Raised in a task of a handler: asyncio lets these two end the loop, past whoever waits for the task.
            # Where no attempt has failed of it, the same job might do so for ever.
            if self._runner is None or not self._runner.exits:
                raise
            _log.warning(
                "the job runner begins again: a task of a handler ended its event loop: %s",
                describe(error),
            )
            self._runner = None
            return not self._stopping
        return False

    async def _main(self) -> None:
        async with self._make() as runner:
            self._under_way.set()
            with self._lock:
                self._runner = runner
                if self._stopping:  # closed before there was anything to stop
                    runner.stop(self._drain)
            await runner.run()
