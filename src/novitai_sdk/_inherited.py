"""What a forked child inherits and must not go on with as it is: locks that nobody there gives back, above all."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakSet

__all__ = ["Inherited"]

T = TypeVar("T")


class Inherited(Generic[T]):
    """Objects of one kind; in every child that is forked, each is given to *begin_anew*."""

    def __init__(self, begin_anew: Callable[[T], object]) -> None:
        self._begin_anew = begin_anew
        self._things: WeakSet[T] = WeakSet()
        if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
            os.register_at_fork(after_in_child=self.begin_anew)

    def add(self, thing: T) -> None:
        """Have *thing* begin anew in children, for as long as it lives."""
        self._things.add(thing)

    def begin_anew(self) -> None:
        """Let all of them begin anew."""
        for thing in list(self._things):
            self._begin_anew(thing)
