"""Receivers that are left alone for a while: which, and how many of them are kept in mind."""

from novitai_sdk.testing import ManualClock
from novitai_sdk.webhooks._left_alone import LeftAlone


def test_a_receiver_that_lets_wait_in_vain_is_left_alone_and_one_that_fails_soon_is_not():
    clock = ManualClock()
    alone = LeftAlone(clock.monotonic)
    alone.no_answer("https://refuses.example/a", took=0.2)
    assert alone.wait("https://refuses.example/a") == 0
    alone.no_answer("https://silent.example/a", took=15.0)
    assert alone.wait("https://silent.example/b") == 60
    clock.advance(60)
    assert alone.wait("https://silent.example/b") == 0


def test_of_very_many_receivers_those_left_alone_last_are_kept_in_mind():
    alone = LeftAlone(ManualClock().monotonic)
    for number in range(2000):
        alone.no_answer(f"https://silent{number}.example/", took=15.0)
    kept = [n for n in range(2000) if alone.wait(f"https://silent{n}.example/")]
    assert kept == list(range(1000, 2000))
