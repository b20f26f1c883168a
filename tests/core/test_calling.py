"""One body, two faces: what calling a `dual` method does on each."""

import asyncio
import copy
import inspect
import pickle
import pydoc
import threading
from collections.abc import Awaitable, Generator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from novitai_sdk._calling import Async, Mode, Moded, Sync, drive, dual


class Nap:
    """Something a plain client must never wait for."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Port(Moded[Mode]):
    """A shelf whose port answers at once on the plain face and suspends on the other."""

    def __init__(self, mode: type[Mode]) -> None:
        self._mode = mode

    @property
    def mode(self) -> type[Mode]:
        return self._mode

    async def _wait(self) -> None:
        if self._mode is Async:
            await anyio.lowlevel.checkpoint()

    @dual
    async def count(self, kind: str, *, deep: bool = False) -> int:
        """How many there are of *kind*."""
        await self._wait()
        return len(kind) + deep

    @dual
    async def fail(self) -> None:
        """Raise."""
        await self._wait()
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


def test_what_a_body_cleans_up_is_cleaned_up_when_it_may_not_wait() -> None:
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
