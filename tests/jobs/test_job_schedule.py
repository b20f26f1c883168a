"""When a job is tried again, and which is taken first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk.jobs import Backoff, Steps
from novitai_sdk.jobs._schedule import AGEING, claim_order, effective_priority


def test_waits_grow_up_to_the_longest() -> None:
    policy = Backoff(first=2, factor=3, longest=60, jitter=0)
    assert [policy.wait_after(n) for n in range(1, 6)] == [2, 6, 18, 54, 60]


@given(
    attempts=st.integers(min_value=1, max_value=10**6),
    first=st.floats(min_value=0, max_value=1e6),
    factor=st.floats(min_value=0, max_value=100),
    longest=st.floats(min_value=0, max_value=1e6),
    jitter=st.floats(min_value=0, max_value=1),
    chance=st.floats(min_value=0, max_value=1),
)
def test_no_wait_is_below_zero_or_beyond_the_longest(
    attempts: int, first: float, factor: float, longest: float, jitter: float, chance: float
) -> None:
    policy = Backoff(
        first=first, factor=factor, longest=longest, jitter=jitter, chance=lambda: chance
    )
    assert 0 <= policy.wait_after(attempts) <= longest


def test_chance_spreads_waits_to_both_sides() -> None:
    low, high = (
        Backoff(first=10, jitter=0.2, chance=chance).wait_after(1)
        for chance in (lambda: 0.0, lambda: 1.0)
    )
    assert (low, high) == (8, 12)


def test_steps_repeat_their_last() -> None:
    policy = Steps(waits=[5, 300], jitter=0)
    assert [policy.wait_after(n) for n in (1, 2, 3, 99)] == [5, 300, 300, 300]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Backoff(first=-1),
        lambda: Backoff(jitter=2),
        lambda: Backoff(longest=float("nan")),
        lambda: Steps(waits=()),
        lambda: Steps(waits=(1, -1)),
        lambda: Steps(waits=(1,), jitter=-0.1),
    ],
)
def test_a_senseless_policy_is_refused(make: "type[object]") -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


def test_a_low_job_overtakes_fresh_high_ones_after_three_minutes() -> None:
    assert effective_priority(1, 3 * AGEING) == 4
    assert claim_order(1, 0, 1, now=181) < claim_order(4, 180, 2, now=181)


def test_waiting_lifts_no_job_above_the_highest() -> None:
    # Both stand at the highest: who has been due for longer goes first.
    assert claim_order(4, 0, 1, now=1000) < claim_order(1, 1, 2, now=1000)


@given(st.integers(1, 4), st.floats(-1e9, 1e9, allow_nan=False), st.floats(0, 1e9, allow_nan=False))
def test_waiting_longer_never_lowers_a_job(priority: int, waited: float, more: float) -> None:
    assert effective_priority(priority, waited + more) >= effective_priority(priority, waited)
    assert priority <= effective_priority(priority, waited) <= 4
