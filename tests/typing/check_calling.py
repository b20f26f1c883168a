"""Both faces come from one body: what type checkers make of `dual`. Checked, never run."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

from typing_extensions import assert_type

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
    _ = assert_type(shelf.count("a"), Coroutine[Any, Any, int])
    assert_type(await shelf.count("a", deep=True), int)
    assert_type(await (await shelf.other()).count("a"), int)
    _ = assert_type(shelf.books("a"), AsyncIterator[str])
    assert_type([book.upper() async for book in shelf.books("a")], list[str])


def the_parameters_are_kept(plain: Shelf[Sync], awaiting: Shelf[Async]) -> None:
    _ = plain.count(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    _ = plain.count("a", depp=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUnknownVariableType]  # must be refused
    call: Callable[[str], Coroutine[Any, Any, int]] = awaiting.count
    assert_type(drive(call("a")), int)
