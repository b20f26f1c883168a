"""Which event loop runs here, what time it is there, and whether it cancels: asked of asyncio and trio alike."""

import sys
from collections.abc import Callable, Hashable, Iterator
from math import inf
from typing import cast

import anyio

__all__ = [
    "current_loop",
    "has_ended",
    "is_cancellation",
    "is_cancelled",
    "leaves",
    "loop_time",
    "on_trio",
]


def on_trio() -> bool:
    """Whether the running loop is trio's."""
    if "trio" not in sys.modules:
        return False
    # anyio's own backend tells, without a sixth dependency that would.
    return anyio.get_cancelled_exc_class().__module__.startswith("trio")


def current_loop() -> Hashable:
    """Return what stands for the running event loop; it can be hashed and referred to weakly."""
    if on_trio():
        import trio

        return trio.lowlevel.current_trio_token()
    import asyncio

    return asyncio.get_running_loop()


def loop_time() -> Callable[[], float]:
    """Return what tells the time of the running event loop, without asking each time which one that is."""
    if on_trio():
        import trio

        return trio.current_time
    import asyncio

    return asyncio.get_running_loop().time


def is_cancelled() -> bool:
    """Tell whether the running task is being cancelled: by a scope around it, or by asyncio itself."""
    if anyio.current_effective_deadline() == -inf:
        return True
    if on_trio():  # there is no other way
        return False
    import asyncio

    # Python 3.10 does not tell.
    asked = getattr(asyncio.current_task(), "cancelling", None)
    return asked is not None and asked() > 0


def is_cancellation(error: BaseException) -> bool:
    """Tell whether *error* is nothing but the running loop's way to cancel; it may have been raised by anybody."""
    cancelled = anyio.get_cancelled_exc_class()
    return all(isinstance(one, cancelled) for one in leaves(error))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, or what it holds if it is a group."""
    # Asked by attribute: before Python 3.11 groups come from a package that need not be installed.
    inner: object = getattr(error, "exceptions", ())
    if not (inner and isinstance(inner, tuple)):
        yield error
        return
    for one in cast(tuple[object, ...], inner):
        if isinstance(one, BaseException):
            yield from leaves(one)


def has_ended(loop: Hashable) -> bool:
    """Tell whether an event loop, by what `current_loop` returned for it, is known to be closed."""
    import asyncio

    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()
