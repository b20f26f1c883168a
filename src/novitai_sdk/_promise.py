"""Results that another thread works out: what whoever waits sees of one, and what whoever works sets."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, InvalidStateError
from contextlib import suppress
from threading import Lock, RLock
from typing import Any, Final, Generic, Protocol, TypeVar

__all__ = ["Future", "InvalidStateError", "Promise", "fulfil", "reject"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_log = logging.getLogger("novitai_sdk")

# In this order: from _CANCELLED on it has ended.
_PENDING: Final = 0
_RUNNING: Final = 1
_CANCELLED: Final = 2
_FAILED: Final = 3
_DONE: Final = 4
_WORDS: Final = ("pending", "running", "cancelled", "failed", "done")


class Future(Protocol[T_co]):
    """A result that is there now or later; :class:`concurrent.futures.Future` is one.

    What the stores of this library answer with is another, which ``asyncio.wrap_future`` and
    ``concurrent.futures.wait`` do not take. In a coroutine, have a thread wait for it:
    ``await anyio.to_thread.run_sync(future.result)``.
    """

    def cancel(self) -> bool:
        """Say that nobody waits any more; answer whether that keeps it from being worked out."""
        ...

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        ...

    def done(self) -> bool:
        """Whether it has ended: with a result, an error, or cancelled."""
        ...

    def result(self, timeout: float | None = None) -> T_co:
        """Block until it is there, for *timeout* seconds at most.

        Raises TimeoutError, or ``concurrent.futures.TimeoutError``, which is the same from Python 3.11 on.
        """
        ...

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Block until it has ended; return why there is no result."""
        ...

    def add_done_callback(self, fn: "Callable[[Future[T_co]], object]", /) -> None:
        """Have *fn* called when it has ended: at once if it has, else by the thread that ends it."""
        ...


class Promise(Generic[T]):
    """A future that its maker settles.

    It does what :class:`concurrent.futures.Future` does, which makes a condition and takes it at each step, all of that
    in Python: a twentieth of the time in which a job is stored on a disk. Here each step takes a lock, and only who
    blocks makes something to block on.
    """

    __slots__ = ("__weakref__", "_callbacks", "_lock", "_outcome", "_state")

    def __init__(self) -> None:
        # One that its holder may take again: a finalizer may run at any allocation, and cancel what it waited for.
        self._lock = RLock()
        self._state = _PENDING
        self._outcome: Any = None
        self._callbacks: tuple[Callable[[Future[T]], object], ...] = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_WORDS[self._state]}>"

    # For whoever waits

    def cancel(self) -> bool:
        """Say that nobody waits any more; answer whether that keeps it from being worked out."""
        if self._state == _PENDING:
            with suppress(InvalidStateError):  # begun or ended by another thread just now
                self._end(_CANCELLED, None, before=_RUNNING)
        return self._state == _CANCELLED

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._state == _CANCELLED

    def done(self) -> bool:
        """Whether it has ended: with a result, an error, or cancelled."""
        return self._state >= _CANCELLED

    def result(self, timeout: float | None = None) -> T:
        """Block until it is there, for *timeout* seconds at most.

        Raises:
            TimeoutError: It is not there yet.
            CancelledError: It was cancelled; that of ``concurrent.futures``.
            BaseException: What it has failed with.
        """
        if self._state != _DONE:
            error = self.exception(timeout)
            if error is not None:
                try:
                    raise error
                finally:
                    del self, error  # which refers to this frame
        result: T = self._outcome
        return result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Block until it has ended, for *timeout* seconds at most; return why there is no result.

        Raises:
            TimeoutError: It has not ended yet.
            CancelledError: It was cancelled; that of ``concurrent.futures``.
        """
        if self._state < _CANCELLED:
            self._block(timeout)
        if self._state == _CANCELLED:
            raise CancelledError
        error: BaseException | None = self._outcome if self._state == _FAILED else None
        return error

    def add_done_callback(self, fn: "Callable[[Future[T]], object]", /) -> None:
        """Have *fn* called when it has ended: at once if it has, else by the thread that ends it."""
        with self._lock:
            if self._state < _CANCELLED:
                self._callbacks = (*self._callbacks, fn)
                return
        self._call(fn)

    # For whoever works

    def set_running_or_notify_cancel(self) -> bool:
        """Begin, so that it cannot be cancelled any more; answer whether anybody still waits."""
        with self._lock:
            if self._state == _PENDING:
                self._state = _RUNNING
                return True
            if self._state == _CANCELLED:
                return False
        raise InvalidStateError(f"{self!r} was begun already")

    def set_result(self, result: T) -> None:
        """End with *result*. Raises InvalidStateError if it has ended."""
        self._end(_DONE, result)

    def set_exception(self, exception: BaseException) -> None:
        """End with *exception*. Raises InvalidStateError if it has ended."""
        self._end(_FAILED, exception)

    def _end(self, state: int, outcome: object, before: int = _CANCELLED) -> None:
        with self._lock:
            if self._state >= before:
                raise InvalidStateError(f"{self!r} is not to be {_WORDS[state]} any more")
            # In this order: who sees that it has ended goes on without the lock.
            self._outcome, self._state = outcome, state
            callbacks, self._callbacks = self._callbacks, ()
        self._tell(iter(callbacks))

    def _tell(self, left: "Iterator[Callable[[Future[T]], object]]") -> None:
        try:
            for call in left:
                self._call(call)
        except BaseException:
            # A Ctrl-C in one of them: the others, who may block, would wait for ever.
            self._tell(left)
            raise

    def _call(self, fn: "Callable[[Future[T]], object]") -> None:
        try:
            fn(self)
        except Exception:  # noqa: BLE001 - the others are to be told all the same
            _log.exception("a callback of %r failed", self)

    def _block(self, timeout: float | None) -> None:
        bell = Lock()
        bell.acquire()

        def ring(_: object) -> None:
            bell.release()

        self.add_done_callback(ring)
        try:
            if not bell.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
                raise TimeoutError(f"no result within {timeout} seconds")
        finally:
            self._forget(ring)

    def _forget(self, fn: "Callable[[Future[T]], object]") -> None:
        with self._lock:
            self._callbacks = tuple(one for one in self._callbacks if one is not fn)


def fulfil(promise: Promise[T], value: T) -> None:
    """Bring *promise* to *value* unless nobody waits for it any more."""
    try:
        promise.set_result(value)
    except InvalidStateError:  # cancelled, or settled by another thread in the meantime
        return


def reject(promise: Promise[T], error: BaseException) -> None:
    """Let *promise* fail with *error* unless nobody waits for it any more."""
    try:
        promise.set_exception(error)
    except InvalidStateError:
        return
