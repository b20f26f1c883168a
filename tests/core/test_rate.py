"""How fast calls may go: the arithmetic, the queue, and the waits of all threads and tasks."""

import math
import threading
from typing import Any

import anyio
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk._calling import drive
from novitai_sdk._gates import Bucket, Gates
from novitai_sdk._passing import pass_gates
from novitai_sdk._rate import FULL, RateLimit
from novitai_sdk._waiting import AsyncWaiter, BlockingWaiter
from novitai_sdk.errors import CallTimedOut
from novitai_sdk.testing import LoopClock

SLOW = RateLimit(calls=1, seconds=10.0, burst=1)


@given(
    st.builds(
        RateLimit, calls=st.integers(1, 50), seconds=st.floats(0.5, 100), burst=st.integers(1, 20)
    ),
    st.lists(st.floats(0, 5), max_size=60),
)
def test_no_time_sees_more_calls_than_its_share_and_one_burst(
    limit: RateLimit, pauses: list[float]
) -> None:
    bucket, now, went = Bucket(limit), 0.0, []
    for pause in pauses:
        now += pause
        if bucket.take(now):
            went.append(now)
    for first, start in enumerate(went):
        for last in range(first, len(went)):
            allowed = limit.burst + (went[last] - start) / limit.interval
            assert last - first + 1 <= allowed + 1e-3


@given(st.integers(1, 100))
def test_a_quiet_time_leaves_one_burst_and_no_more(burst: int) -> None:
    bucket = Bucket(RateLimit(calls=10, seconds=1.0, burst=burst))
    assert sum(bucket.take(1000.0) for _ in range(burst + 5)) == burst
    assert not bucket.take(1000.0)
    assert bucket.take(1000.11)
    assert sum(bucket.take(99_999.0) for _ in range(burst + 5)) == burst


def test_the_first_token_of_a_full_bucket_was_there_before() -> None:
    limit = RateLimit(calls=1, seconds=10.0, burst=3)
    assert limit.first_token(FULL, 100.0) == 80.0
    assert limit.first_token(95.0, 100.0) == 95.0
    assert limit.first_token(120.0, 100.0) == 120.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"calls": 0},
        {"calls": 1.5},
        {"burst": 0},
        {"seconds": 0},
        {"seconds": -1.0},
        {"seconds": math.nan},
        {"seconds": math.inf},
        {"seconds": "1"},
    ],
    ids=str,
)
def test_a_limit_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"calls|burst|seconds|not supported"):
        RateLimit(**wrong)


def test_limits_are_shared_by_value_and_others_have_their_own() -> None:
    gates = Gates()
    assert gates.bucket(RateLimit()) is gates.bucket(RateLimit())
    assert gates.bucket(RateLimit()) is not gates.bucket(RateLimit(calls=7))
    assert gates.bucket(None) is None


# -- waiting, in virtual time ------------------------------------------------------------------------


class Line:
    """Tasks that pass one bucket on virtual time, and when each did."""

    def __init__(self, limit: RateLimit) -> None:
        self.bucket = Bucket(limit)
        self.waiter = AsyncWaiter(LoopClock())
        self.went: list[tuple[str, float]] = []
        self.refused: list[tuple[str, float]] = []

    async def go(self, name: str, within: float = 1e6) -> None:
        now = self.waiter.monotonic()
        try:
            await pass_gates(self.waiter, self.bucket, None, now, now + within)
        except CallTimedOut:
            self.refused.append((name, self.waiter.monotonic()))
        else:
            self.went.append((name, self.waiter.monotonic()))


def on_virtual_time(story: Any) -> None:
    trio.run(story, clock=trio.testing.MockClock(autojump_threshold=0))


def rounded(went: list[tuple[str, float]], start: float) -> list[tuple[str, int]]:
    return [(name, round(moment - start)) for name, moment in went]


def test_who_waits_goes_in_the_order_of_coming_one_per_interval() -> None:
    async def story() -> None:
        line, start = Line(RateLimit(calls=1, seconds=10.0, burst=2)), trio.current_time()
        async with anyio.create_task_group() as tasks:
            for name in "abcdef":
                tasks.start_soon(line.go, name)
                await anyio.wait_all_tasks_blocked()
        assert rounded(line.went, start) == [
            ("a", 0), ("b", 0), ("c", 10), ("d", 20), ("e", 30), ("f", 40),
        ]  # fmt: skip

    on_virtual_time(story)


def test_nobody_who_comes_later_overtakes() -> None:
    async def story() -> None:
        line, start = Line(SLOW), trio.current_time()
        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(line.go, name)
                await anyio.sleep(1)
            await anyio.sleep(7.5)  # b has gone; the moment c waits for has not come
            tasks.start_soon(line.go, "late")
        assert rounded(line.went, start) == [("a", 0), ("b", 10), ("c", 20), ("late", 30)]

    on_virtual_time(story)


@pytest.mark.parametrize("gone", ["b", "c", "bc", "bcd"])
def test_a_place_given_up_moves_those_behind_it(gone: str) -> None:
    async def story() -> None:
        line, start = Line(SLOW), trio.current_time()
        scopes = {name: anyio.CancelScope() for name in "abcde"}

        async def one(name: str) -> None:
            with scopes[name]:
                await line.go(name)

        async with anyio.create_task_group() as tasks:
            for name in scopes:
                tasks.start_soon(one, name)
                await anyio.wait_all_tasks_blocked()
            await anyio.sleep(5)
            for name in gone:
                scopes[name].cancel()
        left = [name for name in "abcde" if name not in gone]
        assert rounded(line.went, start) == [(name, 10 * n) for n, name in enumerate(left)]
        assert line.bucket.join(0.0, math.inf)[1] is not None  # and nobody is left in the queue

    on_virtual_time(story)


def test_a_wait_that_cannot_end_in_time_is_not_begun() -> None:
    async def story() -> None:
        line, start = Line(SLOW), trio.current_time()
        async with anyio.create_task_group() as tasks:
            for name, within in (("a", 1.0), ("b", 9.0), ("c", 15.0), ("d", 19.0), ("e", 21.0)):
                tasks.start_soon(line.go, name, within)
                await anyio.wait_all_tasks_blocked()
        assert rounded(line.went, start) == [("a", 0), ("c", 10), ("e", 20)]
        assert rounded(line.refused, start) == [("b", 0), ("d", 0)]

    on_virtual_time(story)


def test_who_is_refused_learns_when_the_turn_would_have_come() -> None:
    bucket = Bucket(SLOW)
    assert bucket.take(0.0)
    with pytest.raises(CallTimedOut, match=r"rate limit its turn comes in 9\.0 s") as caught:
        drive(pass_gates(BlockingWaiter(), bucket, None, 1.0, 5.0))
    assert caught.value.resend_safe is True


def test_many_who_leave_at_once_cost_little_and_hold_up_nobody() -> None:
    async def story() -> None:
        line, start = Line(SLOW), trio.current_time()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for number in range(2000):
                    tasks.start_soon(line.go, str(number))
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        await line.go("z")
        assert [moment for _, moment in rounded(line.went, start)] == [0, 10]
        assert line.went[-1][0] == "z"

    on_virtual_time(story)


@pytest.mark.parametrize(
    ("taken", "went", "refused"),
    [
        (14.0, [("b", 24), ("c", 34)], []),
        (17.0, [("c", 27)], [("b", 17)]),
        (None, [], [("b", 25), ("c", 60)]),
    ],
)
def test_who_is_held_up_by_a_slow_one_in_front_is_told_as_soon_as_it_is_sure(
    taken: float | None, went: list[tuple[str, int]], refused: list[tuple[str, int]]
) -> None:
    async def story() -> None:
        line, start = Line(SLOW), trio.current_time()
        await line.go("a")
        now = line.waiter.monotonic()
        _, slow = line.bucket.join(now, now + 100.0)
        assert slow is not None
        async with anyio.create_task_group() as tasks:
            # The one in front could have gone at 10 s; it takes its token later, or never.
            tasks.start_soon(line.go, "b", 25.0)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(line.go, "c", 60.0)
            if taken is not None:
                await anyio.sleep(taken)
                line.bucket.leave(slow, line.waiter.monotonic())
        assert rounded(line.went, start)[1:] == went
        assert rounded(line.refused, start) == refused

    on_virtual_time(story)


# -- threads -----------------------------------------------------------------------------------------


def test_threads_and_tasks_stand_in_one_queue() -> None:
    limit = RateLimit(calls=1, seconds=0.02, burst=1)
    bucket, order = Bucket(limit), []
    assert bucket.take(BlockingWaiter().monotonic())
    queued = threading.Event()

    def plain(name: str) -> None:
        waiter = BlockingWaiter()
        now = waiter.monotonic()
        drive(pass_gates(waiter, bucket, None, now, now + 30.0))
        order.append(name)

    def awaiting(name: str, backend: str) -> None:
        async def main() -> None:
            waiter = AsyncWaiter()
            now = waiter.monotonic()
            await pass_gates(waiter, bucket, None, now, now + 30.0)
            order.append(name)

        anyio.run(main, backend=backend)

    def length() -> int:
        return len(bucket._queue)

    # Held by one who stands in front, so that the order of the others is known.
    now = BlockingWaiter().monotonic()
    _, first = bucket.join(now, now + 30.0)
    assert first is not None
    threads = []
    for number, how in enumerate((plain, awaiting, plain, awaiting)):
        arguments = (
            (str(number),) if how is plain else (str(number), ("asyncio", "trio")[number // 2])
        )
        threads.append(threading.Thread(target=how, args=arguments))
        threads[-1].start()
        while length() < number + 2:
            queued.wait(0.001)
    bucket.leave(first, None)
    for thread in threads:
        thread.join(30)
    assert order == ["0", "1", "2", "3"]
    assert length() == 0


def test_after_a_fork_nobody_waits() -> None:
    gates = Gates()
    bucket = gates.bucket(SLOW)
    assert bucket is not None
    assert bucket.take(0.0)
    assert bucket.join(0.0, math.inf)[1] is not None
    bucket._lock.acquire()
    gates.begin_anew()
    assert not bucket.take(1.0)
    assert bucket.take(11.0)
