"""One body, two ways to call it.

Every operation is one coroutine that awaits only *ports*. On a client whose ports finish each await
before they return, the coroutine runs to its end in a single step: no loop, no thread, no generated
twin. So a plain client works where a loop is already running, in any thread, and after a fork.
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")


class Sync:
    """The mode of a plain client: calls return their result."""


class Async:
    """The mode of an awaiting client: calls return an awaitable."""


Mode = TypeVar("Mode", bound=Sync | Async)
Mode_co = TypeVar("Mode_co", bound=Sync | Async, covariant=True)
"""The same for ports, which only tell their mode."""


class Moded(Generic[Mode]):
    """Something that belongs to a plain or to an awaiting client."""

    __slots__ = ()

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        raise NotImplementedError


def drive(work: Awaitable[T]) -> T:
    """Run *work* to its end now; it must never suspend.

    >>> async def answer() -> int:
    ...     return 42
    >>> drive(answer())
    42
    """
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as stop:
        result: T = stop.value
        return result
    # Left open, the coroutine would be reported as never awaited long after the mistake.
    if isinstance(work, Coroutine):
        work.close()
    raise RuntimeError(f"{work!r} suspended: a plain client may await its own ports only")


class dual(Generic[P, T]):  # noqa: N801 - a decorator, named like one
    """A coroutine method that is an ordinary method on a plain owner.

    >>> class Greeter(Moded[Sync]):
    ...     mode = Sync
    ...     @dual
    ...     async def greet(self, name: str) -> str:
    ...         return f"Hello {name}"
    >>> Greeter().greet("Ada")
    'Hello Ada'

    Known edges: overloads and method-level type variables do not survive a ParamSpec, so such a method is
    written as two; context managers and iteration are written out; a body that needs another operation awaits
    that one's private coroutine, since its owner's mode is not known there.
    """

    def __init__(self, body: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], /) -> None:
        @wraps(body)
        def plain(owner: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return drive(body(owner, *args, **kwargs))

        self.__wrapped__ = body
        self.__doc__ = body.__doc__
        self._plain = plain

    @overload
    def __get__(
        self, owner: None, cls: type
    ) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, owner: Moded[Sync], cls: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: Moded[Async], cls: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, owner: Moded[Any] | None, cls: type) -> Any:
        if owner is None:
            return self.__wrapped__
        # Bound methods proper, both of them: help(), signatures, pickling and equality work as for any other.
        return MethodType(self._plain if owner.mode is Sync else self.__wrapped__, owner)
