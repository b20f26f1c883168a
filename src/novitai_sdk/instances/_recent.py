"""What the cloud said a moment ago: for creates that come in a burst and ask for the same, and for whoever waits."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Final, TypeVar, cast

__all__ = ["OFFERS_LAST", "PLACES_LAST", "TEMPLATES_LAST", "Recent"]

T = TypeVar("T")

OFFERS_LAST: Final = 5.0
"""Seconds. What is sold out meanwhile, the create is told all the same."""

TEMPLATES_LAST: Final = 60.0
"""Seconds: the create looks at its template when it is asked for, and its job again when it is done."""

PLACES_LAST: Final = 600.0
"""Seconds. Regions come and go with data centres."""

_MOST: Final = 256
_MOST_TROUBLES: Final = 10_000


class Recent:
    """Answers by question, each for a while; shared by all faces of one client, from any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._answers: dict[Hashable, tuple[float, object]] = {}
        self._troubles: dict[str, str] = {}

    async def ask(self, question: Hashable, read: Callable[[], Awaitable[T]], *, lasts: float) -> T:
        """Return what *read* answers, or answered at most *lasts* seconds ago; *question* tells what it is."""
        found = self._answers.get(question)
        if found is not None and self._clock() - found[0] < lasts:
            return cast(T, found[1])
        answer = await read()
        if len(self._answers) >= _MOST:
            self._answers = {}
        self._answers[question] = self._clock(), answer
        return answer

    def note_trouble(self, instance_id: str, why: str) -> None:
        """Remember *why* the last look at an instance failed."""
        if len(self._troubles) >= _MOST_TROUBLES:
            self._troubles = {}
        self._troubles[instance_id] = why

    def trouble(self, instance_id: str) -> str | None:
        """Return why the last look at an instance failed; None when it did not, or nobody here looked."""
        return self._troubles.get(instance_id)

    def forget_trouble(self, instance_id: str) -> bool:
        """Forget it, since a look went well or none will follow; tell whether there was any."""
        return self._troubles.pop(instance_id, None) is not None
