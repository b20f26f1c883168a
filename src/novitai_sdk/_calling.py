"""One body, two ways to call it.

Every operation is one coroutine that awaits only *ports*. On a client whose ports finish each await
before they return, the coroutine runs to its end in a single step: no loop, no thread, no generated
twin. So a plain client works where a loop is already running, in any thread, and after a fork.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from inspect import iscoroutinefunction
from types import MethodType
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, Protocol, TypeVar, overload

from typing_extensions import Never

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


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


class Belonging(Moded[Mode], Generic[Mode]):
    """What a client gives out to be asked, and is of no use without it."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        # Python would name the first lock it comes across, for whoever gives a bound method to another process.
        raise TypeError(
            f"{type(self).__name__} belongs to a client, which holds connections and threads and cannot be pickled: "
            "make a client in each process, and ask that one"
        )


def is_awaited(work: object) -> bool:
    """Whether calling *work* gives something to await."""
    return iscoroutinefunction(work) or iscoroutinefunction(getattr(work, "__call__", None))  # noqa: B004 - not whether it can be called, but what comes of it


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
    # Not Coroutine[Any, Any, T], with which mypy takes what `asyncio.gather` returns for Any; fits wherever that fits.
    @overload
    def __get__(
        self, owner: Moded[Async], cls: type
    ) -> Callable[P, Coroutine[Never, object, T]]: ...
    def __get__(self, owner: Moded[Any] | None, cls: type) -> Any:
        if owner is None:
            return self.__wrapped__
        # Bound methods proper, both of them: help(), signatures, pickling and equality work as for any other.
        return MethodType(self._plain if owner.mode is Sync else self.__wrapped__, owner)


class Steps(Protocol[T_co]):
    """Things that come one by one."""

    async def step(self) -> T_co:
        """Return the next one. Raises StopAsyncIteration after the last."""
        ...


class _Plain(Iterator[T]):
    __slots__ = ("_steps",)

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps

    def __next__(self) -> T:
        try:
            return drive(self._steps.step())
        except StopAsyncIteration:
            raise StopIteration from None


class _Awaiting(AsyncIterator[T]):
    __slots__ = ("_steps",)

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._steps.step()


class dual_iter(Generic[P, T]):  # noqa: N801 - a decorator, named like one
    """A method that returns steps: an iterator on a plain owner, an async iterator on an awaiting one.

    The body is an ordinary function, so what is wrong with its arguments is said when it is called. Steps and not an
    async generator, since nothing closes a generator somebody left halfway: trio warns of it, a plain owner would
    have to close it from ``__del__``, and after an error it looks as if it had come to its end.

    >>> class Countdown:
    ...     def __init__(self, start: int) -> None:
    ...         self.left = start
    ...     async def step(self) -> int:
    ...         if not self.left:
    ...             raise StopAsyncIteration
    ...         self.left -= 1
    ...         return self.left
    >>> class Rocket(Moded[Sync]):
    ...     mode = Sync
    ...     @dual_iter
    ...     def countdown(self, start: int) -> Countdown:
    ...         return Countdown(start)
    >>> list(Rocket().countdown(3))
    [2, 1, 0]
    """

    def __init__(self, body: Callable[Concatenate[Any, P], Steps[T]], /) -> None:
        @wraps(body)
        def plain(owner: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            return _Plain(body(owner, *args, **kwargs))

        @wraps(body)
        def awaiting(owner: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            return _Awaiting(body(owner, *args, **kwargs))

        self.__wrapped__ = body
        self.__doc__ = body.__doc__
        self._plain = plain
        self._awaiting = awaiting

    @overload
    def __get__(self, owner: None, cls: type) -> Callable[Concatenate[Any, P], Steps[T]]: ...
    @overload
    def __get__(self, owner: Moded[Sync], cls: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, owner: Moded[Async], cls: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, owner: Moded[Any] | None, cls: type) -> Any:
        if owner is None:
            return self.__wrapped__
        return MethodType(self._plain if owner.mode is Sync else self._awaiting, owner)
