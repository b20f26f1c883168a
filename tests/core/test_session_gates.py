"""What holds calls back: the retry budget, the rate limit and the circuit, as a caller meets them."""

import logging
from datetime import datetime, timezone
from typing import Any

import anyio
import attrs
import pytest
from desks import CREATE, EXACT, GOOD, KEY, LATE, LOST, READ, Asked, Desk, page, refusal

from novitai_sdk._calling import Async, drive
from novitai_sdk._circuit import CircuitBreaker
from novitai_sdk._circuit_life import CLEAR, Phase
from novitai_sdk._gates import Gates
from novitai_sdk._rate import RateLimit
from novitai_sdk._retry import Attempt, RetryPolicy, exactly
from novitai_sdk._session import Patience, Session
from novitai_sdk._transport import Reply, Request
from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.errors import (
    CallTimedOut,
    CircuitOpen,
    ConnectFailed,
    NoFreeConnection,
    NotFound,
    ServerFailed,
)
from novitai_sdk.models import Secret
from novitai_sdk.testing import ScriptedTransport

# -- the budget of retries ---------------------------------------------------------------------------


def test_an_outage_is_not_multiplied() -> None:
    desk = Desk(*[refusal(503)] * 1000, retry=RetryPolicy(first_wait=0.0, spread=exactly))
    for _ in range(200):
        assert isinstance(desk.fails(), ServerFailed)
    # Without a budget: 800.
    assert desk.sent == 200 * 1.2 + 10


def test_few_retries_are_within_the_budget_in_any_case() -> None:
    desk = Desk(
        LOST, LOST, LOST, GOOD, retry=RetryPolicy(budget=0.0, budget_floor=3, spread=exactly)
    )
    assert desk.call().id == "t-1"
    desk = Desk(LOST, LOST, LOST, retry=RetryPolicy(budget=0.0, budget_floor=2, spread=exactly))
    assert desk.fails().attempts == 3


def test_calls_that_go_well_make_room_for_retries() -> None:
    policy = RetryPolicy(budget=0.5, budget_floor=0, first_wait=0.0, spread=exactly)
    desk = Desk(*[GOOD] * 9, *[LOST] * 9, retry=policy)
    for _ in range(9):
        desk.call()
    assert desk.fails().attempts == 4
    assert [desk.fails().attempts for _ in range(2)] == [4, 1]


def test_a_minute_later_the_budget_is_whole_again() -> None:
    policy = RetryPolicy(attempts=2, budget=0.0, budget_floor=1, spread=exactly)
    desk = Desk(*[LOST] * 6, retry=policy)
    assert [desk.fails().attempts for _ in range(2)] == [2, 1]
    desk.waiter.clock.advance(61.0)
    assert [desk.fails().attempts for _ in range(2)] == [2, 1]


def test_siblings_share_the_budget() -> None:
    policy = RetryPolicy(attempts=2, budget=0.0, budget_floor=1, spread=exactly)
    desk = Desk(*[LOST] * 3, retry=policy)
    assert desk.fails().attempts == 2
    sibling = desk.session.patient(Patience(retry=policy, timeout=5.0))
    with pytest.raises(type(LOST)) as caught:
        drive(sibling.call(READ, Asked()))
    assert caught.value.attempts == 1


@pytest.mark.parametrize(
    "wrong",
    [{"budget": -0.1}, {"budget": 1.1}, {"budget_floor": -1}, {"budget_floor": 0.5}],
    ids=str,
)
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match="budget"):
        RetryPolicy(**wrong)


# -- the rate limit ----------------------------------------------------------------------------------


def test_tries_wait_for_their_turn_and_tell_for_how_long() -> None:
    told: list[Attempt] = []
    limit = RateLimit(calls=1, seconds=10.0, burst=2)
    desk = Desk(GOOD, GOOD, GOOD, GOOD, rate_limit=limit, on_attempt=(told.append,))
    for _ in range(4):
        desk.call()
    assert desk.waiter.slept == [10.0, 10.0]
    assert [one.held for one in told] == [0.0, 0.0, 10.0, 10.0]
    assert [one.seconds for one in told] == [0.0] * 4


def test_retries_take_a_token_each() -> None:
    desk = Desk(LOST, LOST, GOOD, GOOD, rate_limit=RateLimit(calls=1, seconds=10.0, burst=3))
    desk.call()
    desk.call()
    assert desk.waiter.slept == [0.5, 1.0, 8.5]


def test_what_ends_a_bill_waits_for_nobody_and_those_behind_it_wait_the_longer() -> None:
    end = attrs.evolve(READ, name="things.delete", urgent=True)
    desk = Desk(*[GOOD] * 5, rate_limit=RateLimit(calls=1, seconds=10.0, burst=1))
    for route in (READ, end, end, end):
        desk.call(route)
    assert desk.waiter.slept == []
    desk.call(READ)
    assert desk.waiter.slept == [40.0]


def test_a_turn_that_comes_after_the_deadline_is_not_waited_for() -> None:
    desk = Desk(GOOD, rate_limit=RateLimit(calls=1, seconds=100.0, burst=1))
    desk.call()
    error = desk.fails(CREATE)
    assert type(error) is CallTimedOut
    assert (error.attempts, error.history, error.resend_safe, error.elapsed) == (0, (), True, 0.0)
    assert str(error) == (
        "things.create: nothing was sent: by this client's own rate limit its turn comes in 100.0 s, "
        "after its deadline"
    )
    assert (desk.sent, desk.waiter.slept) == (1, [])


def test_the_wait_for_a_turn_shortens_what_is_left_for_the_try() -> None:
    desk = Desk(GOOD, GOOD, rate_limit=RateLimit(calls=1, seconds=20.0, burst=1), timeout=25.0)
    desk.call()
    desk.call()
    assert [one.timeout for one in desk.transport.requests] == [25.0, 5.0]


def test_a_retry_whose_turn_is_too_late_leaves_the_error_that_was_known() -> None:
    desk = Desk(refusal(503), GOOD, rate_limit=RateLimit(calls=1, seconds=100.0, burst=1))
    error = desk.fails()
    assert isinstance(error, ServerFailed)
    assert error.attempts == 1


def test_who_wakes_after_the_deadline_sends_nothing() -> None:
    desk = Desk(GOOD, GOOD, rate_limit=RateLimit(calls=1, seconds=10.0, burst=1), timeout=12.0)
    desk.call()
    slow = desk.waiter.sleep

    async def oversleep(seconds: float) -> None:
        await slow(seconds + 5.0)

    desk.waiter.sleep = oversleep  # type: ignore[method-assign]  # a busy machine
    error = desk.fails(CREATE)
    assert type(error) is CallTimedOut
    assert (error.resend_safe, desk.sent) == (True, 1)
    desk.waiter.sleep = slow  # type: ignore[method-assign]
    desk.call()  # and the token is still there


def test_siblings_share_tokens_unless_told_otherwise() -> None:
    limit = RateLimit(calls=1, seconds=10.0, burst=1)
    desk = Desk(*[GOOD] * 4, rate_limit=limit)
    desk.call()
    for patience, slept in (
        (Patience(rate_limit=None), []),
        (Patience(rate_limit=RateLimit(calls=2, seconds=10.0)), []),
        (Patience(rate_limit=RateLimit(calls=1, seconds=10.0, burst=1)), [10.0]),
    ):
        desk.waiter.slept.clear()
        drive(desk.session.patient(patience).call(READ, Asked()))
        assert desk.waiter.slept == slept


@pytest.mark.anyio
async def test_a_wait_for_a_turn_can_be_cancelled_and_costs_nobody_a_token() -> None:
    transport = ScriptedTransport(Async, [GOOD, GOOD])
    session = awaiting(transport, rate_limit=RateLimit(calls=1, seconds=0.05, burst=1))
    await session.call(READ, Asked())
    for _ in range(20):
        with anyio.move_on_after(0.0) as scope:
            await session.call(READ, Asked())
        assert scope.cancelled_caught
    with anyio.fail_after(5):
        await session.call(READ, Asked())
    assert len(transport.requests) == 2


def awaiting(transport: Any, **patience: Any) -> Session[Async]:
    return Session(
        transport,
        AsyncWaiter(),
        base_url="https://cloud.test",
        api_key=Secret(KEY),
        user_agent="tests/1",
        patience=Patience(**{"retry": EXACT, **patience}),
        gates=Gates(),
    )


# -- the circuit -------------------------------------------------------------------------------------

BREAKER = CircuitBreaker(faults=3, lasting=2.0, rest=10.0)
ONCE = RetryPolicy(attempts=1)


def broken(*then: Any, **patience: Any) -> Desk:
    """A session whose circuit three faults, one second apart, have opened."""
    desk = Desk(refusal(503, message="overloaded"), LOST, LATE, *then, took=1.0,
                **{"circuit_breaker": BREAKER, "retry": ONCE, **patience})  # fmt: skip
    for _ in range(3):
        desk.fails()
    return desk


def test_an_open_circuit_refuses_at_once_and_says_since_when_why_and_until_when() -> None:
    desk = broken()
    error = desk.fails(CREATE)
    assert isinstance(error, CircuitOpen)
    assert isinstance(error, ConnectFailed)
    # The clock in the hand began at 2026-01-01 00:00:00 UTC; the first fault was seen a second later.
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert (error.since - start).total_seconds() == 1.0
    assert (error.probe_at - start).total_seconds() == 13.0
    assert error.why == "CallTimedOut: no whole reply"
    assert str(error) == (
        "things.create: held back: no call has got through since 00:00:01 UTC (3 faults, the last: CallTimedOut: no "
        "whole reply); the next is let through at 00:00:13 UTC"
    )
    assert (error.attempts, error.resend_safe, error.elapsed, desk.sent) == (0, True, 0.0, 3)


FULL = NoFreeConnection("no free connection")


def test_our_own_lack_of_connections_opens_no_circuit() -> None:
    desk = Desk(*[FULL] * 20, GOOD, took=6.0, circuit_breaker=BREAKER, retry=ONCE)
    for _ in range(20):
        assert type(desk.fails()) is NoFreeConnection
    desk.call()


def test_a_probe_without_a_connection_lets_another_see() -> None:
    desk = broken(FULL, GOOD, GOOD)
    desk.waiter.clock.advance(10.0)
    assert desk.fails() is FULL
    desk.call()
    desk.call()


def test_after_its_rest_one_call_sees_and_closes_it() -> None:
    desk = broken(GOOD, GOOD)
    desk.waiter.clock.advance(9.9)
    assert isinstance(desk.fails(), CircuitOpen)
    desk.waiter.clock.advance(0.1)
    desk.call()
    desk.call()
    assert desk.sent == 5


def test_a_probe_that_fails_opens_it_for_another_rest() -> None:
    desk = broken(LOST, GOOD)
    desk.waiter.clock.advance(10.0)
    assert desk.fails() is LOST
    assert isinstance(desk.fails(), CircuitOpen)
    desk.waiter.clock.advance(10.0)
    desk.call()


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400),
        refusal(401),
        refusal(404),
        refusal(429),
        page(403),
        Reply(status=200, body=b"<"),
    ],
    ids=lambda reply: str(reply.status),
)
def test_whatever_the_cloud_answers_it_is_there(answer: Reply) -> None:
    desk = Desk(*[LOST, LOST, answer] * 5, took=1.0, circuit_breaker=BREAKER, retry=ONCE)
    for _ in range(15):
        assert not isinstance(desk.fails(), CircuitOpen)
    desk = broken(answer, GOOD)
    desk.waiter.clock.advance(10.0)
    desk.fails()
    desk.call()


def test_what_ends_a_bill_goes_through_an_open_circuit_and_may_close_it() -> None:
    end = attrs.evolve(READ, name="things.delete", urgent=True)
    desk = broken(LOST, GOOD, GOOD)
    assert desk.fails(end) is LOST
    assert isinstance(desk.fails(), CircuitOpen)
    desk.call(end)
    desk.call()


def test_refusals_never_open_it() -> None:
    desk = Desk(*[refusal(404)] * 30, took=1.0, circuit_breaker=BREAKER)
    for _ in range(30):
        assert isinstance(desk.fails(), NotFound)


def test_who_is_in_a_hurry_proves_nothing() -> None:
    desk = Desk(*[LATE] * 9, GOOD, took=1.0, circuit_breaker=BREAKER, retry=ONCE)
    for _ in range(9):
        assert desk.fails(timeout=1.0) is LATE
    desk.call()


def test_a_retry_is_not_waited_for_where_it_would_be_refused() -> None:
    desk = Desk(*[LOST] * 9, took=1.0, circuit_breaker=BREAKER)
    assert desk.fails() is LOST
    # The third fault opens it; the next wait would end before the rest.
    assert (desk.sent, desk.waiter.slept) == (3, [0.5, 1.0])
    patient = RetryPolicy(first_wait=20.0, attempts=4, longest_wait=20.0, spread=exactly)
    desk = Desk(
        LOST, LOST, LOST, GOOD, took=1.0, circuit_breaker=BREAKER, retry=patient, timeout=90
    )
    desk.call()


def test_without_a_breaker_nothing_is_held_back() -> None:
    desk = Desk(*[LOST] * 50, GOOD, took=1.0, circuit_breaker=None, retry=ONCE)
    for _ in range(50):
        desk.fails()
    desk.call()


def test_siblings_share_a_circuit_unless_told_otherwise() -> None:
    desk = broken(GOOD, GOOD)
    same = desk.session.patient(Patience(circuit_breaker=BREAKER))
    with pytest.raises(CircuitOpen):
        drive(same.call(READ, Asked()))
    for other in (None, CircuitBreaker(faults=7)):
        drive(desk.session.patient(Patience(circuit_breaker=other)).call(READ, Asked()))


def test_who_is_refused_takes_no_token() -> None:
    desk = broken(GOOD, rate_limit=RateLimit(calls=1, seconds=10.0, burst=4))
    for _ in range(20):
        assert isinstance(desk.fails(), CircuitOpen)
    desk.waiter.clock.advance(10.0)
    desk.call()
    assert desk.waiter.slept == []


def test_an_opened_circuit_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="novitai_sdk"):
        desk = broken(LOST)
        desk.fails()
        desk.waiter.clock.advance(10.0)
        desk.fails()
    assert [one.getMessage() for one in caplog.records] == [
        "things.get: calls are held back for 10 s, since none has got through: no whole reply"
    ]


@pytest.mark.anyio
async def test_a_probe_that_is_cancelled_makes_room_for_another() -> None:
    class Odd(ScriptedTransport[Async]):
        async def send(self, request: Request) -> Reply:
            if len(self.requests) == 1:
                self.requests.append(request)
                await anyio.sleep_forever()
            return await super().send(request)

    breaker = CircuitBreaker(faults=1, lasting=0.0, rest=0.0)
    session = awaiting(Odd(Async, [LOST, GOOD]), retry=ONCE, circuit_breaker=breaker)
    with pytest.raises(type(LOST)):
        await session.call(READ, Asked())
    with anyio.move_on_after(0.005) as scope:
        await session.call(READ, Asked())
    assert scope.cancelled_caught
    state = session._breaker
    assert state is not None
    assert state.circuit.phase is Phase.OPEN
    assert (await session.call(READ, Asked())).id == "t-1"
    assert state.circuit is CLEAR
