"""What whoever still holds a noun of a closed client is told, and when it is too late to tell."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, Generic, TypeVar, cast

from ._calling import Mode
from ._promise import Future
from ._waiting import Waiter
from .errors import ClientClosed
from .jobs import Store, StoreClosed

__all__ = ["UntilClosed", "while_open"]

T = TypeVar("T")

_cleaning_up: Final = ContextVar("novitai_cleaning_up", default=False)


class UntilClosed(Generic[Mode]):
    """A waiter that tells whoever waits for the store of a closed client so, and not that some store is shut.

    What a store was asked for while the client was open is waited for also when it is closed meanwhile: who heard of
    that in place of the answer would take for refused what was stored. The rest is kept away by `while_open`.
    """

    def __init__(self, waiter: Waiter[Mode], closed: Callable[[], bool]) -> None:
        self._waiter = waiter
        self._closed = closed
        self.sleep = waiter.sleep
        self.shield = waiter.shield
        self.monotonic = waiter.monotonic
        self.time = waiter.time

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._waiter.mode

    async def result(self, future: "Future[T]", timeout: float | None = None) -> T:
        """Return what *future* comes to. Raises ClientClosed where the store was closed with the client."""
        try:
            return await self._waiter.result(future, timeout)
        except StoreClosed as error:
            if self._closed():
                raise ClientClosed from error
            raise

    async def insist(
        self, work: Callable[[], Awaitable[T]], interrupted: Callable[[], object]
    ) -> T:
        """Do *work* to its end, also if the client is closed meanwhile: as long as its store is open."""
        before = _cleaning_up.set(True)
        try:
            return await self._waiter.insist(work, interrupted)
        finally:
            _cleaning_up.reset(before)


class _WhileOpen:
    """A store, for whoever asks before the client is closed, or cleans up."""

    __slots__ = ("_closed", "_store")

    def __init__(self, store: Store, closed: Callable[[], bool]) -> None:
        self._store = store
        self._closed = closed

    def __getattr__(self, name: str) -> Any:
        if self._closed() and not _cleaning_up.get():
            raise ClientClosed
        return getattr(self._store, name)


def while_open(store: Store, closed: Callable[[], bool]) -> Store:
    """Return *store* as nouns may keep it: it raises ClientClosed, and does nothing, for who asks too late."""
    return cast(Store, _WhileOpen(store, closed))
