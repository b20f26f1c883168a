"""Those who ask for the same at the same time: one reads, and nobody waits for who cannot answer."""

import os
import threading
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, Final

import anyio
import pytest

from novitai_sdk._calling import drive
from novitai_sdk._waiting import AsyncWaiter, BlockingWaiter
from novitai_sdk.instances._recent import Recent

SOON: Final = 5.0


def session(waiter: Any, timeout: float = 2 * SOON) -> Any:
    return SimpleNamespace(
        waiter=waiter, mode=waiter.mode, patience=SimpleNamespace(timeout=timeout)
    )


PLAIN: Final = session(BlockingWaiter())
AWAITING: Final = session(AsyncWaiter())


async def number(of: int) -> int:
    return of


def asked(recent: Recent, of: int, by: Any = PLAIN) -> Coroutine[Any, Any, int]:
    return recent.ask("question", lambda: number(of), lasts=60.0, session=by)


class Reading:
    """Somebody who reads until told to go on."""

    def __init__(self, recent: Recent) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

        async def read() -> int:
            self.begun.set()
            assert self.go_on.wait(SOON)
            return 1

        async def ask() -> int:
            return await recent.ask("question", read, lasts=60.0, session=PLAIN)

        self.thread = threading.Thread(target=lambda: drive(ask()))
        self.thread.start()
        assert self.begun.wait(SOON)

    def end(self) -> None:
        self.go_on.set()
        self.thread.join(SOON)


def test_a_plain_call_in_a_loop_does_not_wait_for_a_task_of_that_loop():
    recent = Recent(float)

    async def read() -> int:
        # As a job does that uses a plain client: it holds up the loop, and so whoever reads there.
        return drive(asked(recent, 2))

    async def main() -> int:
        with anyio.fail_after(SOON):
            return await recent.ask("question", read, lasts=60.0, session=AWAITING)

    assert anyio.run(main) == 2


def test_a_forked_child_waits_for_nobody_of_its_parent(monkeypatch: pytest.MonkeyPatch):
    recent = Recent(float)
    reading = Reading(recent)
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        assert drive(asked(recent, 2)) == 2
    reading.end()


def test_who_comes_just_when_the_answer_does_is_not_left_waiting():
    recent = Recent(float)
    reading = Reading(recent)

    class Late(list[Any]):
        def append(self, told: Any) -> None:
            reading.end()  # all who waited are told, and this one is not among them
            super().append(told)

    (place,) = recent._under_way
    recent._under_way = {place: Late()}
    answers: list[int] = []
    late = threading.Thread(target=lambda: answers.append(drive(asked(recent, 2))), daemon=True)
    late.start()
    late.join(SOON)
    assert answers == [1]


def test_who_has_waited_for_as_long_as_a_call_may_take_reads_for_himself():
    recent = Recent(float)
    reading = Reading(recent)
    assert drive(asked(recent, 2, session(BlockingWaiter(), timeout=0.01))) == 2
    reading.end()
