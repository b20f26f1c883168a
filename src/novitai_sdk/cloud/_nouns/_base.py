"""What every noun of the cloud stands on."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from ..._calling import Mode, Moded

if TYPE_CHECKING:  # the session stands above the models and routes this package also holds
    from ..._session import Session

__all__ = ["Noun"]


@attrs.frozen
class Noun(Moded[Mode]):
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
