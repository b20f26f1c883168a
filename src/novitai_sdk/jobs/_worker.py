"""A thread that does what is put into its queue: all that waits, as one batch."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ._errors import StoreError

T = TypeVar("T")

# Bounds how long the first caller of a batch waits for the last, and how much one failed flush takes
# down with it.
_LARGEST_BATCH = 1000

# Who was just answered has the next moment: what can wait is done when nobody comes for so many seconds, or after so
# many batches.
_QUIET = 0.01
_IN_A_ROW = 100


class Worker(Generic[T]):
    """A daemon thread that starts with the first item and ends when it is told to.

    Args:
        name: Name of the thread.
        work: Does a batch; must not raise.
        idle: Called now and then, above all while there is nothing to do; answers after how many seconds again, None
            for not before the next item or :meth:`poke`. Must not raise.
        leave: Called in the thread before it ends. Must not raise.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[T]], None],
        idle: Callable[[], float | None],
        leave: Callable[[], None],
    ) -> None:
        self._name = name
        self._work = work
        self._idle = idle
        self._leave = leave
        self._guard = threading.Lock()
        # Held but for the moment in which the thread is woken. A condition does the same and takes three times as long.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._asleep = False
        self._queue: deque[T] = deque()
        self._poked = False
        self._ending = False
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        """Have *item* done. Raises StoreError, and takes it back, where no thread can be started."""
        with self._guard:
            self._queue.append(item)
            if self._asleep:  # so there is a thread
                self._wake()
                return
            try:
                self._call()
            except StoreError:
                self._queue.pop()
                raise

    def poke(self) -> None:
        """Have ``idle`` called soon. Raises StoreError where no thread can be started: then by the next that is."""
        with self._guard:
            self._poked = True
            self._call()

    def end(self, timeout: float | None) -> bool:
        """Do what is queued, then end the thread; answer whether it is gone after *timeout* seconds.

        It starts again with the next item.
        """
        with self._guard:
            thread = self._thread
            self._ending = thread is not None
            self._wake()
        if thread is None or thread is threading.current_thread():
            return thread is None
        thread.join(timeout)
        return not thread.is_alive()

    def drop(self) -> list[T]:
        """Take back what is queued and not yet begun."""
        with self._guard:
            dropped = list(self._queue)
            self._queue.clear()
            return dropped

    def _call(self) -> None:
        if self._thread is None:
            self._ending = False
            # A daemon: a program that forgot to close must be able to end.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:
                self._thread = None  # or whoever comes next would wait for it
                raise _no_thread(self._name, error) from error
        self._wake()

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._bell.release()

    def _sleep(self, pause: float | None) -> None:
        """Wait until there is something to do, for *pause* seconds at most."""
        with self._guard:
            if self._queue or self._ending or self._poked or pause == 0:
                return
            self._asleep = True
        if self._bell.acquire(timeout=-1 if pause is None else pause):
            return
        with self._guard:
            if not self._asleep:  # rung after all, in between
                self._bell.acquire()
            self._asleep = False

    def _run(self) -> None:
        while True:
            self._serve()
            self._leave()
            with self._guard:
                if (
                    not self._queue
                ):  # else something was put in while the last connection was being closed
                    self._thread, self._ending = None, False
                    return

    def _take(self) -> Sequence[T]:
        if len(self._queue) <= _LARGEST_BATCH:
            batch, self._queue = self._queue, deque()
            return batch
        return [self._queue.popleft() for _ in range(_LARGEST_BATCH)]

    def _serve(self) -> None:
        """Work until there is nothing to do and somebody wants the end."""
        pause: float | None = 0.0
        in_a_row = 0
        while True:
            self._sleep(pause)
            with self._guard:
                batch = self._take()
                self._poked = False
                if not batch and self._ending:
                    return
            if batch:
                self._work(batch)
                in_a_row += 1
                if in_a_row < _IN_A_ROW:
                    pause = _QUIET
                    continue
            in_a_row, pause = 0, self._idle()


def _no_thread(name: str, error: RuntimeError) -> StoreError:
    refused = StoreError(
        f"no thread could be started for {name} ({error}), and nothing was done: "
        "try again when others have ended, or raise the limit of this process"
    )
    refused.passing = True
    return refused
