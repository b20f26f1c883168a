"""Both faces come from one body: what type checkers make of `dual`. Checked, never run."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import anyio
import trio
from typing_extensions import Never, assert_type

from novitai_sdk._calling import Async, Mode, Moded, Sync, drive, dual, dual_iter


class Books:
    async def step(self) -> str:
        """Take the next one."""
        raise StopAsyncIteration


class Shelf(Moded[Mode]):
    @dual
    async def count(self, kind: str, *, deep: bool = False) -> int:
        """How many there are of *kind*."""
        return len(kind) + deep

    @dual_iter
    def books(self, kind: str) -> Books:
        """Yield the books."""
        return Books()

    @dual
    async def other(self) -> "Shelf[Mode]":
        """One more like this."""
        return self


def a_plain_owner_answers_at_once(shelf: Shelf[Sync]) -> None:
    assert_type(shelf.count("a", deep=True), int)
    assert_type(shelf.other(), Shelf[Sync])
    assert_type(shelf.other().count("a"), int)
    _ = assert_type(shelf.books("a"), Iterator[str])
    assert_type([book.upper() for book in shelf.books("a")], list[str])


async def an_awaiting_owner_answers_when_awaited(shelf: Shelf[Async]) -> None:
    _ = assert_type(shelf.count("a"), Coroutine[Never, object, int])
    assert_type(await shelf.count("a", deep=True), int)
    assert_type(await (await shelf.other()).count("a"), int)
    _ = assert_type(shelf.books("a"), AsyncIterator[str])
    assert_type([book.upper() async for book in shelf.books("a")], list[str])


async def whoever_runs_coroutines_knows_what_they_return(shelf: Shelf[Async]) -> None:
    both = await asyncio.gather(shelf.count("a"), shelf.other())
    assert_type(both, tuple[int, Shelf[Async]])
    tried = await asyncio.gather(shelf.count("a"), shelf.other(), return_exceptions=True)
    assert_type(tried, tuple[int | BaseException, Shelf[Async] | BaseException])
    several = [shelf.count("a")]
    assert_type(await asyncio.gather(*several), list[int])
    assert_type(await asyncio.create_task(shelf.count("a")), int)
    assert_type(await asyncio.wait_for(shelf.count("a"), 3), int)
    assert_type(await asyncio.shield(shelf.count("a")), int)
    for first in asyncio.as_completed([shelf.count("a")]):
        assert_type(await first, int)
    loop = asyncio.get_running_loop()
    assert_type(asyncio.run_coroutine_threadsafe(shelf.count("a"), loop).result(), int)


async def task_groups_take_it(shelf: Shelf[Async]) -> None:
    async with anyio.create_task_group() as group, trio.open_nursery() as nursery:
        group.start_soon(shelf.count, "a")
        nursery.start_soon(shelf.count, "a")
        group.start_soon(shelf.count, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused


def a_loop_runs_it(shelf: Shelf[Async]) -> None:
    assert_type(asyncio.run(shelf.count("a")), int)
    assert_type(anyio.run(shelf.other), Shelf[Async])
    assert_type(trio.run(shelf.other), Shelf[Async])


def it_fits_however_a_coroutine_is_written(shelf: Shelf[Async]) -> list[Awaitable[int]]:
    any_: Coroutine[Any, Any, int] = shelf.count("a")
    none: Coroutine[None, None, int] = shelf.count("a")
    object_: Coroutine[object, object, int] = shelf.count("a")
    return [any_, none, object_]


def the_parameters_are_kept(plain: Shelf[Sync], awaiting: Shelf[Async]) -> None:
    _ = plain.count(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    _ = plain.count("a", depp=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUnknownVariableType]  # must be refused
    call: Callable[[str], Coroutine[Any, Any, int]] = awaiting.count
    assert_type(drive(call("a")), int)
