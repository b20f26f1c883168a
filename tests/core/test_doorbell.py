"""How other threads wake a loop of asyncio: what is posted arrives, and what was opened for it is closed."""

import asyncio
import errno
import gc
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bench import add, done, ended, greet, running

from novitai_sdk import AsyncNovitai, _doorbell
from novitai_sdk._doorbell import Doorbell, doorbell
from novitai_sdk._mailbox import hang_up, mailbox
from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.jobs import Change, MemoryStore

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no such thing")


class OtherLoop(asyncio.SelectorEventLoop):
    """A loop that may do things in its own way."""


@pytest.fixture
def no_more_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "eventfd", refuse)


@pytest.fixture
def descriptors() -> Iterator[Callable[[], set[str]]]:
    """The open ones; nothing is left to the garbage collector meanwhile."""
    gc.collect()
    gc.disable()
    yield lambda: set(os.listdir("/proc/self/fd"))
    gc.enable()


async def a_result_of_another_thread() -> str:
    future: Future[str] = Future()
    threading.Thread(target=future.set_result, args=("told",)).start()
    return await AsyncWaiter().result(future, 30)


def run_on(loop: asyncio.AbstractEventLoop, main: Callable[[], Coroutine[Any, Any, str]]) -> str:
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


@pytest.mark.parametrize("make", [asyncio.SelectorEventLoop, OtherLoop])
def test_a_result_of_another_thread_arrives_on_every_kind_of_loop(make):
    assert run_on(make(), a_result_of_another_thread) == "told"


@pytest.mark.usefixtures("no_more_files")
def test_it_arrives_where_no_more_files_can_be_opened():
    assert run_on(asyncio.SelectorEventLoop(), a_result_of_another_thread) == "told"


def test_it_arrives_where_the_loop_takes_no_more_descriptors(monkeypatch):
    def refuse(*_: object) -> None:
        raise ValueError("filedescriptor out of range in select()")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_reader", refuse)
    assert asyncio.run(a_result_of_another_thread()) == "told"


def test_it_arrives_after_somebody_on_the_same_loop_has_hung_up():
    async def main() -> list[str]:
        found = [await a_result_of_another_thread()]
        hang_up()
        return [*found, await a_result_of_another_thread()]

    assert asyncio.run(main()) == ["told", "told"]


def test_who_waits_while_somebody_hangs_up_is_told_all_the_same():
    async def main() -> str:
        future: Future[str] = Future()
        waiting = asyncio.ensure_future(AsyncWaiter().result(future, 30))
        await asyncio.sleep(0)
        hang_up()
        threading.Thread(target=future.set_result, args=("told",)).start()
        return await waiting

    assert asyncio.run(main()) == "told"


def test_what_was_posted_just_before_somebody_hangs_up_is_delivered(monkeypatch):
    async def main() -> list[str]:
        came: list[str] = []
        box = mailbox()

        def ring(_: Doorbell) -> None:
            hang_up()

        monkeypatch.setattr(Doorbell, "ring", ring)
        box.post(lambda: came.append("first"))
        box.post(lambda: came.append("second"))
        await asyncio.sleep(0)
        return came

    assert asyncio.run(main()) == ["first", "second"]


def test_a_ring_that_another_process_has_heard_is_answered_all_the_same(monkeypatch):
    async def main() -> bool:
        answered = asyncio.Event()
        bell = doorbell(asyncio.get_running_loop(), answered.set)
        assert bell is not None

        def heard_before(*_: int) -> bytes:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

        with monkeypatch.context() as patched:
            bell.ring()
            patched.setattr(_doorbell.os, "read", heard_before)
            await asyncio.wait_for(answered.wait(), 30)
        return answered.is_set()

    assert asyncio.run(main())


def test_a_ring_after_the_end_reaches_no_file_of_somebody_else(descriptors, tmp_path):
    async def main() -> Doorbell:
        bell = doorbell(asyncio.get_running_loop(), lambda: None)
        assert bell is not None
        return bell

    before = descriptors()
    bell = asyncio.run(main())
    with Path(tmp_path, "theirs").open("wb+", buffering=0) as theirs:
        bell.ring()
        assert theirs.seek(0, os.SEEK_END) == 0
    assert len(descriptors()) == len(before) + 1
    del bell
    assert descriptors() == before


def test_a_loop_that_hung_up_leaves_no_descriptor(descriptors):
    async def main() -> None:
        await a_result_of_another_thread()
        hang_up()

    asyncio.run(main())  # once, for what is opened once in a process
    before = descriptors()
    for _ in range(3):
        asyncio.run(main())
        assert descriptors() == before


def test_a_client_that_is_closed_leaves_none_in_a_loop_that_goes_on(descriptors):
    def bells() -> int:
        kinds = [os.readlink(f"/proc/self/fd/{one}") for one in descriptors() if is_open(one)]
        return sum("eventfd" in kind for kind in kinds)

    def is_open(descriptor: str) -> bool:
        return os.path.islink(f"/proc/self/fd/{descriptor}")

    async def main() -> tuple[int, int, int]:
        before = bells()
        async with AsyncNovitai(api_key="k", base_url="http://127.0.0.1:1", store="memory"):
            inside = bells()
        return before, inside, bells()

    before, inside, after = asyncio.run(main())
    assert inside == before + 1
    assert after == before


def test_a_runner_whose_neighbour_stops_is_woken_by_its_doorbell_as_before(
    descriptors, monkeypatch
):
    async def main() -> int:
        loop, otherwise = asyncio.get_running_loop(), list[object]()
        usual = loop.call_soon_threadsafe

        def noted(*given: Any, **more: Any) -> asyncio.Handle:
            otherwise.append(given)
            return usual(*given, **more)

        with closing(MemoryStore()) as one, closing(MemoryStore()) as other:
            async with running(other, {"greet": done}):
                async with running(one, {"greet": done}):
                    await ended(one, *await add(one, greet()))
                monkeypatch.setattr(loop, "call_soon_threadsafe", noted)
                new = greet()
                thread = threading.Thread(target=other.commit, args=(Change(jobs=(new,)),))
                thread.start()
                await ended(other, new.job.id)
                thread.join()
                return len(otherwise)

    asyncio.run(main())  # once, for what is opened once in a process
    before = descriptors()
    assert asyncio.run(main()) == 0
    assert descriptors() == before


def test_a_loop_that_was_forgotten_leaves_none_either(descriptors):
    asyncio.run(a_result_of_another_thread())
    gc.collect()
    before = descriptors()
    for _ in range(3):
        asyncio.run(a_result_of_another_thread())
    gc.collect()
    assert descriptors() == before
