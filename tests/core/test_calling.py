"""One body, two faces: what calling a `dual` method does on each."""

import asyncio
import copy
import gc
import inspect
import pickle
import pydoc
import threading
from collections.abc import AsyncIterator, Awaitable, Generator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from novitai_sdk._calling import Async, Mode, Moded, Sync, drive, dual, dual_iter


class Nap:
    """Something a plain client must never wait for."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Letters:
    """The letters of a text, one by one; the port is awaited for each."""

    def __init__(self, port: "Port[Any]", text: str) -> None:
        self.port = port
        self.left = list(text)

    async def step(self) -> str:
        await self.port.wait()
        if not self.left:
            raise StopAsyncIteration
        if self.left[0] == "!":
            raise LookupError(self.left.pop(0))
        return self.left.pop(0)


class Port(Moded[Mode]):
    """A shelf whose port answers at once on the plain face and suspends on the other."""

    def __init__(self, mode: type[Mode]) -> None:
        self._mode = mode

    @property
    def mode(self) -> type[Mode]:
        return self._mode

    async def wait(self) -> None:
        if self._mode is Async:
            await anyio.lowlevel.checkpoint()

    @dual
    async def count(self, kind: str, *, deep: bool = False) -> int:
        """How many there are of *kind*."""
        await self.wait()
        return len(kind) + deep

    @dual_iter
    def spell(self, text: str, *, least: int = 1) -> Letters:
        """Yield the letters of *text*."""
        if len(text) < least:
            raise ValueError("too short")
        return Letters(self, text)

    @dual
    async def fail(self) -> None:
        """Raise."""
        await self.wait()
        raise LookupError("not there")

    @dual
    async def nap(self) -> str:
        """Await what is no port."""
        await Nap()
        return "rested"


def test_a_plain_call_returns_its_result() -> None:
    assert Port(Sync).count("ab", deep=True) == 3


def test_a_plain_call_raises_its_error() -> None:
    with pytest.raises(LookupError, match="not there"):
        Port(Sync).fail()


def test_a_plain_call_works_where_a_loop_is_running() -> None:
    async def main() -> int:
        return Port(Sync).count("ab")

    assert asyncio.run(main()) == 2
    assert anyio.run(main, backend="trio") == 2


def test_a_plain_call_works_in_any_thread() -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(Port(Sync).count("abc"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3] * 8


@pytest.mark.anyio
async def test_an_awaiting_call_is_awaited() -> None:
    assert await Port(Async).count("ab", deep=True) == 3
    with pytest.raises(LookupError):
        await Port(Async).fail()


def test_a_plain_call_that_would_wait_says_so_at_once_and_only_once() -> None:
    # Warnings are errors here, "never awaited" among them.
    with pytest.raises(RuntimeError, match="suspended"):
        Port(Sync).nap()


def test_anything_that_can_be_awaited_can_be_driven() -> None:
    class Ready:
        def __await__(self) -> Generator[None, None, str]:
            return "ready"
            yield

    assert drive(Ready()) == "ready"
    with pytest.raises(RuntimeError, match="suspended"):
        drive(Nap())


def test_what_a_body_cleans_up_is_cleaned_up_when_it_may_notwait() -> None:
    closed: list[str] = []

    async def work() -> None:
        try:
            await Nap()
        finally:
            closed.append("closed")

    with pytest.raises(RuntimeError):
        drive(work())
    assert closed == ["closed"]


@pytest.mark.parametrize("mode", [Sync, Async])
def test_help_and_signature_are_those_of_the_body(mode: type[Any]) -> None:
    count = Port(mode).count
    assert str(inspect.signature(count)) == "(kind: str, *, deep: bool = False) -> int"
    assert inspect.getdoc(count) == "How many there are of *kind*."
    assert count.__name__ == "count"
    assert count.__qualname__ == "Port.count"
    shown = pydoc.plain(pydoc.render_doc(count))
    assert "count(kind: str, *, deep: bool = False) -> int" in shown
    assert "How many there are of *kind*." in shown


def test_only_the_awaiting_face_calls_itself_a_coroutine() -> None:
    assert not inspect.iscoroutinefunction(Port(Sync).count)
    assert inspect.iscoroutinefunction(Port(Async).count)


def test_a_bound_method_is_like_any_other() -> None:
    shelf = Port(Sync)
    assert shelf.count == shelf.count
    assert shelf.count.__self__ is shelf
    assert copy.copy(shelf.count)("ab") == 2
    assert pickle.loads(pickle.dumps(shelf.count))("abc") == 3


def test_the_class_hands_out_the_body() -> None:
    awaitable = Port.count(Port(Async), "ab")
    assert isinstance(awaitable, Awaitable)
    assert anyio.run(lambda: awaitable) == 2
    assert Port.count.__doc__ == "How many there are of *kind*."


def test_a_subclass_can_go_on_from_the_method_above() -> None:
    class Deeper(Port[Mode]):
        @dual
        async def count(self, kind: str, *, deep: bool = False) -> int:
            """Count deeper."""
            return await Port.count(self, kind, deep=deep) + 10

    assert Deeper(Sync).count("a") == 11
    assert anyio.run(Deeper(Async).count, "a") == 11


def test_what_belongs_to_a_client_must_say_to_which() -> None:
    with pytest.raises(NotImplementedError):
        _ = Moded[Sync]().mode


# -- one by one ------------------------------------------------------------------------------------


def test_a_plain_owner_gives_an_iterator() -> None:
    letters = Port(Sync).spell("abc")
    assert isinstance(letters, Iterator)
    assert iter(letters) is letters
    assert next(letters) == "a"
    assert list(letters) == ["b", "c"]
    assert list(letters) == []


@pytest.mark.anyio
async def test_an_awaiting_owner_gives_an_async_iterator() -> None:
    letters = Port(Async).spell("abc")
    assert isinstance(letters, AsyncIterator)
    assert await anext(letters) == "a"
    assert [letter async for letter in letters] == ["b", "c"]
    assert [letter async for letter in letters] == []


@pytest.mark.anyio
async def test_an_iteration_left_halfway_leaves_nothing_behind() -> None:
    # Warnings are errors here: an async generator left like this is reported by trio.
    async for letter in Port(Async).spell("abc"):
        assert letter == "a"
        break
    gc.collect()


def test_an_iteration_goes_on_after_an_error_and_does_not_look_finished() -> None:
    letters = Port(Sync).spell("a!b")
    assert next(letters) == "a"
    with pytest.raises(LookupError):
        next(letters)
    assert list(letters) == ["b"]


@pytest.mark.parametrize("mode", [Sync, Async])
def test_wrong_arguments_are_told_when_the_iteration_is_asked_for(mode: type[Any]) -> None:
    with pytest.raises(ValueError, match="too short"):
        Port(mode).spell("", least=1)


@pytest.mark.parametrize("mode", [Sync, Async])
def test_help_of_an_iteration_is_that_of_its_body(mode: type[Any]) -> None:
    spell = Port(mode).spell
    assert "(text: str, *, least: int = 1)" in str(inspect.signature(spell))
    assert inspect.getdoc(spell) == "Yield the letters of *text*."
    assert spell == spell
    assert Port.spell.__name__ == "spell"
