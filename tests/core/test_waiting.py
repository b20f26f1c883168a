"""What waiting promises: time, results of other threads, and clean ends."""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from novitai_sdk import _mailbox
from novitai_sdk._calling import Async, Sync, drive
from novitai_sdk._loops import current_loop, has_ended
from novitai_sdk._mailbox import Mailbox, OneWake, hang_up, mailbox
from novitai_sdk._waiting import AsyncWaiter, BlockingWaiter, SystemClock
from novitai_sdk.testing import ManualClock

Wait = Callable[..., Any]


@pytest.fixture(params=["plain", "asyncio", "trio"])
def wait(request: pytest.FixtureRequest) -> Wait:
    """Wait for a future, on every face."""
    if request.param == "plain":
        return lambda future, timeout=None: drive(BlockingWaiter().result(future, timeout))
    return lambda future, timeout=None: anyio.run(
        AsyncWaiter().result, future, timeout, backend=request.param
    )


def later(work: Callable[[], object]) -> threading.Thread:
    """Do *work* in another thread, in a moment."""

    def run() -> None:
        time.sleep(0.005)
        work()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_result_that_is_there_is_returned(wait: Wait) -> None:
    future: Future[str] = Future()
    future.set_result("there")
    assert wait(future) == "there"


def test_an_error_that_is_there_is_raised(wait: Wait) -> None:
    future: Future[str] = Future()
    future.set_exception(LookupError("gone"))
    with pytest.raises(LookupError, match="gone"):
        wait(future)


def test_a_result_of_another_thread_wakes_who_waits(wait: Wait) -> None:
    future: Future[str] = Future()
    thread = later(lambda: future.set_result("worked out"))
    assert wait(future, 5.0) == "worked out"
    thread.join()


def test_an_error_of_another_thread_is_raised(wait: Wait) -> None:
    future: Future[str] = Future()
    thread = later(lambda: future.set_exception(LookupError("failed")))
    with pytest.raises(LookupError, match="failed"):
        wait(future)
    thread.join()


def test_a_wait_in_vain_ends_and_takes_the_future_with_it(wait: Wait) -> None:
    future: Future[str] = Future()
    with pytest.raises(TimeoutError, match=r"no result within 0\.01 seconds"):
        wait(future, 0.01)
    assert future.cancelled()


@pytest.mark.parametrize("kind", [TimeoutError, concurrent.futures.TimeoutError])
def test_a_timeout_that_is_the_result_itself_is_not_ours(wait: Wait, kind: type[Exception]) -> None:
    future: Future[str] = Future()
    future.set_exception(kind("the peer's own"))
    with pytest.raises(kind, match="the peer's own"):
        wait(future, 5.0)


def test_a_result_at_the_last_moment_counts() -> None:
    class Late(Future[str]):
        """Settled between the end of the wait and the look at it."""

        def result(self, timeout: float | None = None) -> str:
            if not self.done():
                self.set_result("just in time")
                raise concurrent.futures.TimeoutError
            return super().result(timeout)

    assert drive(BlockingWaiter().result(Late(), 0.01)) == "just in time"


def test_a_future_cancelled_elsewhere_is_told(wait: Wait) -> None:
    future: Future[str] = Future()
    future.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        wait(future)


def test_an_interrupted_plain_wait_cancels_its_future() -> None:
    class Interrupted(Future[str]):
        def result(self, timeout: float | None = None) -> str:
            raise KeyboardInterrupt

    future = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        drive(BlockingWaiter().result(future))
    assert future.cancelled()


@pytest.mark.anyio
async def test_a_cancelled_caller_cancels_the_future() -> None:
    future: Future[str] = Future()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(AsyncWaiter().result, future)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert future.cancelled()


@pytest.mark.anyio
async def test_a_wait_for_what_is_there_can_be_cancelled_too() -> None:
    future: Future[str] = Future()
    future.set_result("there")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await AsyncWaiter().result(future)
    assert scope.cancelled_caught


def test_who_works_on_a_future_finds_that_nobody_waits_any_more(wait: Wait) -> None:
    future: Future[str] = Future()
    with pytest.raises(TimeoutError):
        wait(future, 0.005)
    assert not future.set_running_or_notify_cancel()


def test_a_future_being_worked_on_may_settle_after_its_waiter_is_gone(wait: Wait) -> None:
    future: Future[str] = Future()
    future.set_running_or_notify_cancel()
    with pytest.raises(TimeoutError):
        wait(future, 0.005)
    future.set_result("too late for anybody")  # the loop it would have woken has ended
    assert future.result() == "too late for anybody"


# -- sleeping and clocks -----------------------------------------------------------------------------


@pytest.mark.anyio
async def test_sleeping_lets_time_pass() -> None:
    waiter = AsyncWaiter()
    started = waiter.monotonic()
    await waiter.sleep(0.01)
    await waiter.sleep(-1.0)
    assert 0.009 <= waiter.monotonic() - started < 5.0


def test_a_plain_client_sleeps_too() -> None:
    waiter = BlockingWaiter()
    started = waiter.monotonic()
    drive(waiter.sleep(0.01))
    drive(waiter.sleep(-1.0))
    assert 0.009 <= waiter.monotonic() - started < 5.0


@pytest.mark.parametrize("kind", [BlockingWaiter, AsyncWaiter])
def test_a_waiter_tells_the_time_of_its_clock(kind: type[Any]) -> None:
    clock = ManualClock(time=1000.0)
    waiter = kind(clock)
    clock.advance(5.0)
    assert (waiter.monotonic(), waiter.time()) == (5.0, 1005.0)
    assert kind().time() == pytest.approx(time.time(), abs=5.0)


def test_the_clock_of_the_machine_is_the_default() -> None:
    clock = SystemClock()
    assert clock.monotonic() == pytest.approx(time.monotonic(), abs=5.0)
    assert clock.time() == pytest.approx(time.time(), abs=5.0)


def test_a_waiter_tells_its_mode() -> None:
    assert BlockingWaiter().mode is Sync
    assert AsyncWaiter().mode is Async


# -- shielding ---------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_cancelled_caller_may_clean_up_in_a_shield() -> None:
    cleaned: list[str] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        with AsyncWaiter().shield(5.0):
            await anyio.lowlevel.checkpoint()
            cleaned.append("cleaned")
        await anyio.lowlevel.checkpoint()
        cleaned.append("went on")
    assert cleaned == ["cleaned"]


@pytest.mark.anyio
async def test_a_shield_does_not_hold_for_ever() -> None:
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        scope.cancel()
        with AsyncWaiter().shield(0.01):
            await anyio.sleep_forever()


def test_a_plain_client_needs_no_shield() -> None:
    with BlockingWaiter().shield(1.0):
        pass


# -- loops -------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_call_from_another_thread_is_run_in_the_loop() -> None:
    ran = anyio.Event()
    where: list[int] = []

    def mark() -> None:
        where.append(threading.get_ident())
        ran.set()

    post = mailbox().post
    thread = threading.Thread(target=lambda: post(mark))
    thread.start()
    with anyio.fail_after(5):
        await ran.wait()
    thread.join()
    assert where == [threading.get_ident()]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_after_the_loop_has_ended_a_call_does_nothing(backend: str) -> None:
    ran: list[bool] = []

    async def main() -> Callable[[], None]:
        post = mailbox().post
        return lambda: post(lambda: ran.append(True))

    wake = anyio.run(main, backend=backend)
    wake()
    wake()
    assert ran == []


@pytest.mark.anyio
async def test_calls_of_one_moment_come_in_their_order() -> None:
    came: list[int] = []
    last = anyio.Event()
    box = mailbox()
    assert box is mailbox()
    for number in range(100):
        box.post(lambda number=number: came.append(number))
    box.post(last.set)
    with anyio.fail_after(5):
        await last.wait()
    assert came == list(range(100))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_each_run_is_a_loop_of_its_own(backend: str) -> None:
    async def main() -> Any:
        here = current_loop()
        assert here == current_loop()
        assert not has_ended(here)
        return here

    first, second = anyio.run(main, backend=backend), anyio.run(main, backend=backend)
    assert first is not second
    assert has_ended(first) is (backend == "asyncio")


def test_a_loop_closed_by_hand_has_ended() -> None:
    loop = asyncio.new_event_loop()
    assert not has_ended(loop)
    loop.close()
    assert has_ended(loop)


def test_a_loop_is_woken_once_for_all_that_is_posted_in_one_go():
    wakes: list[Callable[[], None]] = []
    came: list[int] = []
    mailboxes = [Mailbox(wakes.append), Mailbox(wakes.append)]
    with OneWake():
        for number in range(6):
            mailboxes[number % 2].post(lambda number=number: came.append(number))
        assert wakes == []
    assert len(wakes) == 2
    for wake in wakes:
        wake()
    assert came == [0, 2, 4, 1, 3, 5]
    mailboxes[0].post(lambda: came.append(6))
    assert len(wakes) == 3


def test_and_it_is_woken_also_when_that_ends_badly():
    wakes: list[Callable[[], None]] = []

    def post_and_fail() -> None:
        with OneWake():
            Mailbox(wakes.append).post(lambda: None)
            raise LookupError

    with pytest.raises(LookupError):
        post_and_fail()
    assert len(wakes) == 1


def test_after_a_fork_the_lock_of_a_mailbox_is_free():
    hops: list[Callable[[], None]] = []
    box = Mailbox(hops.append)
    box._lock.acquire()
    box.begin_anew()
    came: list[int] = []
    box.post(lambda: came.append(1))
    hops.pop()()
    assert came == [1]


def test_after_a_fork_the_lock_of_one_that_was_hung_up_is_free_too():
    async def main() -> list[int]:
        box = mailbox()
        hang_up()
        box._lock.acquire()
        _mailbox._in_this_process.begin_anew()
        came: list[int] = []
        assert box._lock.acquire(blocking=False)
        box._lock.release()
        box.post(lambda: came.append(1))
        await anyio.lowlevel.checkpoint()
        return came

    assert anyio.run(main, backend="asyncio") == [1]
