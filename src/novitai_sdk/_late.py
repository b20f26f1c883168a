"""What is left to do for a client that was closed already: another one like it does it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from ._calling import Async, Mode, Sync
from .instances._operations import Operations
from .instances._rent import Late

if TYPE_CHECKING:
    from ._engine import Engine

__all__ = ["late"]


def late(closed: Callable[[], bool], make: "Callable[[], Engine[Mode]]") -> Late[Mode]:
    """Return how a machine is given back once *closed* says so: by an engine that *make* makes."""

    @asynccontextmanager
    async def another() -> AsyncGenerator[Operations[Mode], None]:
        engine = make()
        try:
            yield engine.operations
        finally:
            await _end(engine)

    return Late(closed, another)


async def _end(engine: "Engine[Any]") -> None:
    if engine.mode is Sync:
        cast("Engine[Sync]", engine).close()
    else:
        await cast("Engine[Async]", engine).aclose()
