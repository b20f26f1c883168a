"""When a call is tried again, and after how long."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk._retry import Attempt, RetryPolicy, exactly, full_jitter

EXACT = RetryPolicy(spread=exactly)


@pytest.mark.parametrize(
    ("attempt", "again"),
    [
        (Attempt(number=1, sent=False), True),
        (Attempt(number=1, status=429), True),
        (Attempt(number=1), False),
        (Attempt(number=1, repeatable=True), True),
        *[(Attempt(number=1, status=status, repeatable=True), True) for status in (500, 502, 503)],
        (Attempt(number=1, status=504, repeatable=True), True),
        (Attempt(number=1, status=504), False),
        *[
            (Attempt(number=1, status=status, repeatable=True), True)
            for status in (501, 505, 507, 520, 522, 524, 529)
        ],
        (Attempt(number=1, status=524), False),
        (Attempt(number=1, status=400, repeatable=True), False),
        (Attempt(number=1, status=404, repeatable=True), False),
    ],
)
def test_only_what_is_harmless_is_tried_again(attempt: Attempt, again: bool) -> None:
    assert (EXACT.wait_after(attempt) is not None) is again


def test_tries_are_counted_with_the_first() -> None:
    twice = RetryPolicy(attempts=2, spread=exactly)
    assert twice.wait_after(Attempt(number=1, sent=False)) == 0.5
    assert twice.wait_after(Attempt(number=2, sent=False)) is None
    assert RetryPolicy(attempts=1).wait_after(Attempt(number=1, sent=False)) is None


def test_waits_double_up_to_the_longest() -> None:
    policy = RetryPolicy(attempts=10_000, longest_wait=4.0, spread=exactly)
    waits = [policy.wait_after(Attempt(number=n, sent=False)) for n in (1, 2, 3, 4, 5, 5_000)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_what_the_server_asks_is_waited_exactly_or_not_at_all() -> None:
    asked = RetryPolicy(longest_retry_after=60.0)
    assert asked.wait_after(Attempt(number=1, status=429, retry_after=60.0)) == 60.0
    assert asked.wait_after(Attempt(number=1, status=429, retry_after=60.1)) is None
    assert asked.wait_after(Attempt(number=1, status=429, retry_after=0.0)) == 0.0
    assert asked.wait_after(Attempt(number=1, status=400, retry_after=1.0)) is None


@given(st.floats(0, 86_400), st.integers(1, 3))
def test_waits_are_spread_between_nothing_and_the_longest(first: float, number: int) -> None:
    policy = RetryPolicy(first_wait=first, longest_wait=10.0)
    wait = policy.wait_after(Attempt(number=number, sent=False))
    assert wait is not None
    assert 0.0 <= wait <= min(10.0, first * 2 ** (number - 1))


def test_who_failed_together_does_not_come_back_together() -> None:
    assert len({full_jitter(10.0) for _ in range(50)}) > 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"attempts": 2.5},
        {"attempts": "3"},
        *[
            {name: value}
            for name in ("first_wait", "longest_wait", "longest_retry_after")
            for value in (-0.1, math.nan, math.inf, "1", None)
        ],
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"attempts|first_wait|longest|not supported"):
        RetryPolicy(**wrong)
