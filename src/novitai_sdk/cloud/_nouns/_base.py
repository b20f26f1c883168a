"""What every noun of the cloud stands on."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar, cast

import attrs

from ..._calling import Belonging, Mode
from ...errors import CallError, NotFound
from .._route import Route

if TYPE_CHECKING:  # the session stands above the models and routes this package also holds
    from ..._session import Session

__all__ = ["Noun", "may_be_done", "several"]

A = TypeVar("A")
B = TypeVar("B")


@attrs.frozen
class Noun(Belonging[Mode]):
    """Something a client can do things with: all it has is the way to call."""

    _session: "Session[Mode]" = attrs.field(repr=False)

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._session.mode

    def _left(self) -> Callable[[], float]:
        """Return what says how many seconds are left of an operation that begins now, for those of several calls."""
        waiter = self._session.waiter
        ends = waiter.monotonic() + self._session.patience.timeout
        return lambda: ends - waiter.monotonic()

    async def _remove(self, route: Route[B, A], body: B) -> None:
        """Call *route*, which removes something. If an earlier try may have done so, its absence is no error."""
        try:
            await self._session.call(route, body)
        except NotFound as error:
            if error.reason == "API_NOT_FOUND" or not may_be_done(error):
                raise


def several(texts: "str | Iterable[str]") -> tuple[str, ...]:
    """Return what was given as a tuple; a text is an iterable of texts, too: of letters."""
    # What is no iterable at all is refused with what else is wrong.
    one = isinstance(texts, str) or not isinstance(cast(object, texts), Iterable)
    return (cast(str, texts),) if one else tuple(texts)


def may_be_done(error: CallError) -> bool:
    """Whether a try before the one that was refused may have had its effect: its answer was lost."""
    return any(one.sent and (one.status is None or one.status >= 500) for one in error.history[:-1])
