"""What the cloud said a moment ago: for creates that come in a burst and ask for the same, and for whoever waits."""

import os
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

from .._promise import Promise, fulfil
from .._session import Session

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
        self._under_way: dict[Hashable, list[Promise[None]]] = {}
        """Those who wait for an answer that somebody has asked for already."""

        self._troubles: dict[str, str] = {}

    async def ask(
        self,
        question: Hashable,
        read: Callable[[], Awaitable[T]],
        *,
        lasts: float,
        session: Session[Any],
    ) -> T:
        """Return what *read* answers, or answered at most *lasts* seconds ago; *question* tells what it is.

        Of those who ask at the same time one reads, by *session*, and the others wait for that; if nothing comes of it,
        or not within the time of a call, each reads for himself.
        """
        found = self._answer(question, lasts)
        if found is not None:
            return cast(T, found[1])
        # Threads wait for threads and tasks for tasks: one that blocks the loop its answer comes in would wait for
        # itself. And a forked child waits for nobody that it left in its parent.
        asked = (os.getpid(), session.mode, question)
        mine: list[Promise[None]] = []
        waiting = self._under_way.setdefault(asked, mine)
        if waiting is not mine:
            await self._wait(asked, waiting, session)
            found = self._answer(question, lasts)
            if found is not None:
                return cast(T, found[1])
        try:
            answer = await read()
            if len(self._answers) >= _MOST:
                self._answers = {}
            self._answers[question] = self._clock(), answer
            return answer
        finally:
            if waiting is mine:
                # First: who is not among them from here on does not wait.
                self._under_way.pop(asked)
                for one in mine:
                    fulfil(one, None)

    def _answer(self, question: Hashable, lasts: float) -> tuple[float, object] | None:
        found = self._answers.get(question)
        return found if found is not None and self._clock() - found[0] < lasts else None

    async def _wait(
        self, asked: Hashable, waiting: list[Promise[None]], session: Session[Any]
    ) -> None:
        """Wait until whoever reads has done so."""
        told: Promise[None] = Promise()
        waiting.append(told)
        if self._under_way.get(asked) is waiting:
            with suppress(TimeoutError):
                await session.waiter.result(told, session.patience.timeout)

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
