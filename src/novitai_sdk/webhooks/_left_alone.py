"""Receivers that are left alone for a while: those that let a webhook wait in vain, and those that are overloaded.

Whoever accepts a connection and says nothing holds up the attempt until its time is over. With many webhooks on their
way to it, every attempt under way would be one of those, and no other receiver would hear anything meanwhile. Whoever
has too much to do says so to each of them, and each would have spent an attempt on hearing it.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from ._places import host_of

__all__ = ["SLOW_DOWN", "LeftAlone"]

SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
"""By these a receiver, or what stands before it, says that it is overloaded."""

_ALONE: Final = 60.0
# As long as one attempt may take, about: then it is known whether the receiver answers again.
_ASKED: Final = 15.0
# A failure that comes sooner holds nobody up.
_LONG: Final = 1.0
_MOST: Final = 1000


class LeftAlone:
    """Who is left alone: for a minute, and then asked once at a time until it answers.

    Paths and queries of one host fall silent together. Overloaded is a single URL: behind one host may be many who
    have nothing to do with each other.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until: dict[str, float] = {}
        self._asked: set[str] = set()

    def wait(self, url: str) -> float:
        """Return for how many seconds nothing is to be sent to *url*."""
        return max(map(self._wait, _names(url)))

    def _wait(self, name: str) -> float:
        until = self._until.get(name)
        if until is None:
            return 0.0
        if name in self._asked:
            return _ASKED
        return max(0.0, until - self._monotonic())

    @contextmanager
    def asking(self, url: str) -> Generator[None, None, None]:
        """Let nobody else ask meanwhile, if *url* was left alone."""
        known = self._until.keys() & set(_names(url))
        self._asked |= known
        try:
            yield
        finally:
            self._asked -= known

    def no_answer(self, url: str, took: float) -> None:
        """Note that no answer came from *url* within *took* seconds."""
        if took >= _LONG:
            self._leave(_names(url)[0])

    def answer(self, url: str, status: int) -> None:
        """Note that *url* answered with *status*."""
        host, whole = _names(url)
        self._until.pop(host, None)
        if status in SLOW_DOWN:
            self._leave(whole)
        else:
            self._until.pop(whole, None)

    def _leave(self, name: str) -> None:
        # The last that is left alone is the last in order: what is dropped has been so the longest.
        self._until.pop(name, None)
        self._until[name] = self._monotonic() + _ALONE
        if len(self._until) > _MOST:
            del self._until[next(iter(self._until))]


def _names(url: str) -> tuple[str, str]:
    """The host and all of *url*, by which it may be left alone."""
    return host_of(url), url
