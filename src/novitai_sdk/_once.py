"""Attributes that are made when they are first asked for."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["once"]

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - used like `functools.cached_property`
    """An attribute that is made when it is first asked for; of two that are made at once, the first is kept.

    That of functools takes a lock before Python 3.12. A child that was forked while another thread holds it would wait
    for that thread, which it does not have.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, owner: object, kind: type) -> T:
        made: dict[str, T] = owner.__dict__
        # From now on it is found there, and nobody asks here any more.
        return made.setdefault(self._name, self._make(owner))
