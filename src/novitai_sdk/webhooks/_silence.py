"""Receivers that let a webhook wait in vain, and how they are kept from letting all of them wait.

Whoever accepts a connection and says nothing holds up the attempt until its time is over. With many webhooks on their
way to it, every attempt under way would be one of those, and no other receiver would hear anything meanwhile.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

__all__ = ["Silence", "receiver_of"]

_ALONE: Final = 60.0
# As long as one attempt may take, about: then it is known whether the receiver answers again.
_ASKED: Final = 15.0
# A failure that comes sooner holds nobody up.
_LONG: Final = 1.0
_MOST: Final = 1000


def receiver_of(url: str) -> str:
    """Return who is behind *url*: paths and queries of one host fall silent together."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:  # whoever sends will say what is wrong with it
        return url


class Silence:
    """Who fell silent. Such a receiver is left alone for a minute, then asked once at a time until it answers."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until: dict[str, float] = {}
        self._asked: set[str] = set()

    def wait(self, receiver: str) -> float:
        """Return for how many seconds nothing is to be sent to *receiver*."""
        until = self._until.get(receiver)
        if until is None:
            return 0.0
        if receiver in self._asked:
            return _ASKED
        return max(0.0, until - self._monotonic())

    @contextmanager
    def asking(self, receiver: str) -> Generator[None, None, None]:
        """Let nobody else ask meanwhile, if *receiver* fell silent."""
        known = receiver in self._until
        if known:
            self._asked.add(receiver)
        try:
            yield
        finally:
            if known:
                self._asked.discard(receiver)

    def no_answer(self, receiver: str, took: float) -> None:
        """Note that *receiver* gave no answer within *took* seconds."""
        if took < _LONG:
            return
        # The last to fall silent is the last in order: what is dropped has been left alone the longest.
        self._until.pop(receiver, None)
        self._until[receiver] = self._monotonic() + _ALONE
        if len(self._until) > _MOST:
            del self._until[next(iter(self._until))]

    def answer(self, receiver: str) -> None:
        """Note that *receiver* answered, whatever it said."""
        self._until.pop(receiver, None)
