"""Promises do what futures of the standard library do, and settle once whoever asks."""

import concurrent.futures
import gc
import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, InvalidStateError
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk._promise import Future, Promise, fulfil, reject

SOON = 5.0

Settable: TypeAlias = "Promise[Any] | concurrent.futures.Future[Any]"

STEPS: dict[str, Callable[[Settable], object]] = {
    "cancel": lambda future: future.cancel(),
    "cancelled": lambda future: future.cancelled(),
    "done": lambda future: future.done(),
    "set a result": lambda future: future.set_result("worked out"),
    "set no result": lambda future: future.set_result(None),
    "set an error": lambda future: future.set_exception(LookupError("failed")),
    "look": lambda future: future.result(0),
    "look for an error": lambda future: str(future.exception(0)),
}


def seen(future: Settable, steps: Sequence[str]) -> list[object]:
    """What the steps come to, and what those who asked to be told hear."""
    found: list[object] = []
    begun = False
    for number, step in enumerate(steps):
        try:
            if step == "listen":
                # The number is bound now: each listener tells which it is.
                future.add_done_callback(
                    lambda told, number=number: found.append((number, told is future))
                )
            elif step == "begin":
                if not begun:  # a second time is a mistake of whoever works, told in other words
                    begun = True
                    found.append(future.set_running_or_notify_cancel())
            else:
                found.append(STEPS[step](future))
        except (TimeoutError, concurrent.futures.TimeoutError):  # two classes before Python 3.11
            found.append("not yet")
        except Exception as error:  # noqa: BLE001 - the same is expected of both
            found.append((type(error), str(error) if isinstance(error, LookupError) else ""))
    return found


@given(st.lists(st.sampled_from([*STEPS, "listen", "begin"]), max_size=12))
def test_what_a_promise_answers_is_what_a_future_of_the_standard_library_does(
    steps: list[str],
) -> None:
    if (
        "begin" in steps
    ):  # what has ended is not begun, says the one with an error and the other in its log
        first = steps.index("begin")
        steps = [step for step in steps[:first] if not step.startswith("set")] + steps[first:]
    theirs: concurrent.futures.Future[Any] = concurrent.futures.Future()
    assert seen(Promise(), steps) == seen(theirs, steps)


def test_who_blocks_is_told_by_the_thread_that_ends_it() -> None:
    promise: Promise[str] = Promise()
    waiting = threading.Event()
    promise.add_done_callback(lambda _: None)

    def work() -> None:
        waiting.wait(SOON)
        promise.set_result("worked out")

    thread = threading.Thread(target=work)
    thread.start()
    waiting.set()
    assert promise.result(SOON) == "worked out"
    assert promise.exception() is None
    thread.join()


def test_many_who_block_are_all_told() -> None:
    promise: Promise[int] = Promise()
    heard: list[int] = []
    threads = [
        threading.Thread(target=lambda: heard.append(promise.result(SOON))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    promise.set_result(7)
    for thread in threads:
        thread.join()
    assert heard == [7] * 20


def test_a_wait_in_vain_ends_and_leaves_nothing_behind() -> None:
    promise: Promise[str] = Promise()
    for _ in range(3):
        with pytest.raises(TimeoutError, match="no result within 0 seconds"):
            promise.result(0)
    assert promise._callbacks == ()
    promise.set_result("worked out")
    assert promise.result() == "worked out"


def test_a_wait_of_less_than_nothing_is_over_at_once() -> None:
    promise: Promise[str] = Promise()
    with pytest.raises(TimeoutError):
        promise.result(-1)


def test_of_several_threads_that_end_it_one_does() -> None:
    for _ in range(200):
        promise: Promise[int] = Promise()
        together = threading.Barrier(4)
        told: list[int] = []
        promise.add_done_callback(lambda done, told=told: told.append(done.result(0)))
        refused: list[int] = []

        def end(
            number: int,
            promise: Promise[int] = promise,
            together: threading.Barrier = together,
            refused: list[int] = refused,
        ) -> None:
            together.wait(SOON)
            try:
                promise.set_result(number)
            except InvalidStateError:
                refused.append(number)

        threads = [threading.Thread(target=end, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told == [promise.result(0)]
        assert sorted([*refused, *told]) == [0, 1, 2, 3]


def meanwhile(promise: Promise[str], act: Callable[[], object]) -> None:
    """Let another thread *act* on *promise* just before the next step takes its lock."""
    lock = promise._lock

    class First:
        def __enter__(self) -> None:
            promise._lock = lock
            act()
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()

    setattr(promise, "_lock", First())  # noqa: B010 - no lock, but it serves as one


def test_what_another_thread_has_just_begun_is_not_cancelled() -> None:
    promise: Promise[str] = Promise()
    meanwhile(promise, promise.set_running_or_notify_cancel)
    assert not promise.cancel()
    promise.set_result("worked out")
    assert promise.result(0) == "worked out"


def test_what_another_thread_has_just_cancelled_is_not_begun() -> None:
    promise: Promise[str] = Promise()
    meanwhile(promise, promise.cancel)
    assert not promise.set_running_or_notify_cancel()


def test_what_another_thread_has_just_ended_stays_as_it_is() -> None:
    promise: Promise[str] = Promise()
    meanwhile(promise, lambda: promise.set_result("first"))
    with pytest.raises(InvalidStateError):
        promise.set_result("second")
    assert promise.result(0) == "first"


def test_who_listens_just_when_it_ends_hears_of_it_once() -> None:
    promise: Promise[str] = Promise()
    heard: list[str] = []
    meanwhile(promise, lambda: promise.set_result("worked out"))
    promise.add_done_callback(lambda done: heard.append(done.result(0)))
    assert heard == ["worked out"]


def test_who_blocks_just_when_it_ends_goes_on() -> None:
    promise: Promise[str] = Promise()
    meanwhile(promise, lambda: promise.set_result("worked out"))
    assert promise.result(SOON) == "worked out"


def test_who_listens_just_when_another_gives_up_hears_of_it() -> None:
    promise: Promise[str] = Promise()
    heard: list[str] = []

    def listen() -> None:
        heard.append("nothing yet")
        promise.add_done_callback(lambda done: heard.append(done.result(0)))

    # Of the two steps of a wait in vain, before the second.
    meanwhile(promise, lambda: meanwhile(promise, listen))
    with pytest.raises(TimeoutError):
        promise.result(0)
    assert heard == ["nothing yet"]
    promise.set_result("worked out")
    assert heard == ["nothing yet", "worked out"]


def test_who_is_in_the_midst_of_a_step_may_be_interrupted_by_another_step() -> None:
    promise: Promise[str] = Promise()

    def interrupted() -> None:
        with promise._lock:
            promise.cancel()  # as a finalizer does, or what handles a signal

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(SOON)
    assert promise.cancelled()


def test_what_has_ended_does_not_keep_those_who_listened_alive() -> None:
    class Listener:
        def __call__(self, done: object) -> None:
            """Hear of it."""

    promise: Promise[str] = Promise()
    listener = Listener()
    gone = weakref.ref(listener)
    promise.add_done_callback(listener)
    promise.set_result("worked out")
    del listener
    assert gone() is None


def test_what_was_begun_is_worked_out_whoever_gives_it_up() -> None:
    promise: Promise[str] = Promise()
    assert promise.set_running_or_notify_cancel()
    assert not promise.cancel()
    promise.set_result("worked out")
    assert promise.result(0) == "worked out"


def test_what_was_given_up_is_not_begun() -> None:
    promise: Promise[str] = Promise()
    assert promise.cancel()
    assert not promise.set_running_or_notify_cancel()
    with pytest.raises(InvalidStateError):
        promise.set_result("worked out")
    with pytest.raises(CancelledError):
        promise.result()


def test_to_begin_twice_is_a_mistake_that_is_told() -> None:
    promise: Promise[str] = Promise()
    promise.set_running_or_notify_cancel()
    with pytest.raises(InvalidStateError, match="running"):
        promise.set_running_or_notify_cancel()


def test_a_listener_that_fails_is_told_of_and_keeps_nobody_from_hearing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    promise: Promise[str] = Promise()
    heard: list[str] = []

    def fail(_: object) -> None:
        raise LookupError("a listener's own")

    promise.add_done_callback(fail)
    promise.add_done_callback(lambda done: heard.append(done.result(0)))
    with caplog.at_level(logging.ERROR, "novitai_sdk"):
        promise.set_result("worked out")
    assert heard == ["worked out"]
    assert "a listener's own" in caplog.text


def test_a_ctrl_c_in_a_listener_comes_through_and_keeps_nobody_from_hearing() -> None:
    listens = threading.Event()

    class Awaited(Promise[str]):
        def add_done_callback(self, fn: Callable[[Future[str]], object], /) -> None:
            super().add_done_callback(fn)
            listens.set()

    promise = Awaited()
    heard: list[str] = []

    def press(_: object) -> None:
        raise KeyboardInterrupt

    Promise.add_done_callback(promise, press)
    blocked = threading.Thread(target=lambda: heard.append(promise.result()), daemon=True)
    blocked.start()
    assert listens.wait(SOON)
    promise.add_done_callback(press)
    promise.add_done_callback(lambda done: heard.append(done.result(0)))
    with pytest.raises(KeyboardInterrupt):
        promise.set_result("worked out")
    blocked.join(SOON)
    assert heard == ["worked out", "worked out"]


def test_an_error_that_was_raised_does_not_keep_its_promise_alive() -> None:
    promise: Promise[str] = Promise()
    promise.set_exception(LookupError("failed"))
    with pytest.raises(LookupError):
        promise.result()
    gone = weakref.ref(promise)
    gc.collect()
    gc.disable()
    try:
        del promise
        assert gone() is None
    finally:
        gc.enable()


def test_it_says_how_far_it_is() -> None:
    promise: Promise[str] = Promise()
    assert repr(promise) == "<Promise pending>"
    promise.set_result("a secret")
    assert repr(promise) == "<Promise done>"


def test_who_does_not_care_whether_anybody_waits_is_not_told() -> None:
    given_up: Promise[str] = Promise()
    given_up.cancel()
    fulfil(given_up, "late")
    reject(given_up, LookupError("late"))
    assert given_up.cancelled()
    kept: Promise[str] = Promise()
    fulfil(kept, "first")
    reject(kept, LookupError("second"))
    assert kept.result(0) == "first"
