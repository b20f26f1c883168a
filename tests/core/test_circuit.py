"""When calls are held back, who is let through to see, and what ends it."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk import _circuit_life as life
from novitai_sdk._circuit import CircuitBreaker
from novitai_sdk._circuit_life import CLEAR, Circuit, Event, Phase
from novitai_sdk._gates import Breaker, Gates

QUICK = CircuitBreaker(faults=3, lasting=0.0, rest=10.0)


def after(*events: tuple[Event, float], breaker: CircuitBreaker = QUICK) -> Circuit:
    circuit = CLEAR
    for event, now in events:
        circuit = life.after(breaker, circuit, event, now, f"fault at {now:g}")
    return circuit


F, S, P, N = Event.FAULT, Event.SUCCESS, Event.PROBE, Event.NOTHING

LIFE: dict[str, tuple[list[tuple[Event, float]], Phase]] = {
    "nothing happened": ([], Phase.CLOSED),
    "fewer faults than it takes": ([(F, 0), (F, 1)], Phase.CLOSED),
    "as many as it takes": ([(F, 0), (F, 1), (F, 2)], Phase.OPEN),
    "a success between": ([(F, 0), (F, 1), (S, 2), (F, 3), (F, 4)], Phase.CLOSED),
    "a probe": ([(F, 0), (F, 1), (F, 2), (P, 12)], Phase.HALF_OPEN),
    "a probe that went well": ([(F, 0), (F, 1), (F, 2), (P, 12), (S, 13)], Phase.CLOSED),
    "a probe that failed": ([(F, 0), (F, 1), (F, 2), (P, 12), (F, 13)], Phase.OPEN),
    "a probe that told nothing": ([(F, 0), (F, 1), (F, 2), (P, 12), (N, 13)], Phase.OPEN),
    "an older call that got through": ([(F, 0), (F, 1), (F, 2), (S, 3)], Phase.CLOSED),
    "an older call that failed": ([(F, 0), (F, 1), (F, 2), (F, 3)], Phase.OPEN),
    "a cancelled call when nothing is wrong": ([(N, 0)], Phase.CLOSED),
}


@pytest.mark.parametrize("case", LIFE)
def test_a_circuit_lives_by_its_table(case: str) -> None:
    events, phase = LIFE[case]
    assert after(*events).phase is phase


def test_it_remembers_since_when_why_and_when_it_will_probe() -> None:
    circuit = after((F, 1), (F, 2), (F, 4))
    assert (circuit.since, circuit.why, circuit.probe_at) == (1, "fault at 4", 14)
    again = life.after(QUICK, life.after(QUICK, circuit, P, 15), F, 16, "still down")
    assert (again.since, again.why, again.probe_at, again.faults) == (1, "still down", 26, 4)
    assert life.after(QUICK, life.after(QUICK, circuit, P, 15), N, 16).probe_at == 16


def test_many_faults_of_one_moment_are_no_outage() -> None:
    breaker = CircuitBreaker(faults=3, lasting=5.0)
    blip = [(F, 0.0)] * 100
    assert after(*blip, breaker=breaker).phase is Phase.CLOSED
    assert after(*blip, (F, 4.9), breaker=breaker).phase is Phase.CLOSED
    assert after(*blip, (F, 5.0), breaker=breaker).phase is Phase.OPEN


@given(st.lists(st.tuples(st.sampled_from(Event), st.floats(0, 30)), max_size=30))
def test_after_any_history_a_rest_and_a_success_make_all_well(
    history: list[tuple[Event, float]],
) -> None:
    circuit, now = CLEAR, 0.0
    for event, pause in history:
        now += pause
        circuit = life.after(QUICK, circuit, event, now, "why")
    now += 2 * QUICK.rest
    assert life.admits(QUICK, circuit, now)
    assert life.after(QUICK, life.after(QUICK, circuit, P, now), S, now) is CLEAR


def test_an_open_circuit_lets_one_through_at_a_time() -> None:
    breaker = Breaker(QUICK)
    assert [breaker.tell(F, now, "why") for now in (0.0, 1.0, 2.0, 3.0)] == [
        False,
        False,
        True,
        False,
    ]
    assert breaker.enter(11.9) is None
    assert breaker.refuses(11.9)
    assert not breaker.refuses(12.0)
    assert breaker.enter(12.0) is True
    assert breaker.enter(12.0) is None
    # A probe that hangs holds nobody up for longer than a rest.
    assert breaker.enter(22.0) is True
    assert breaker.tell(S, 22.5) is False
    assert breaker.circuit is CLEAR
    assert breaker.enter(22.6) is False


def test_after_a_fork_the_probe_of_the_parent_is_not_waited_for() -> None:
    gates = Gates()
    breaker = gates.breaker(QUICK)
    assert breaker is not None
    for now in (0.0, 1.0, 2.0):
        breaker.tell(F, now, "why")
    assert breaker.enter(12.0) is True
    breaker._lock.acquire()
    gates.begin_anew()
    assert breaker.enter(12.0) is True


def test_circuits_are_shared_by_value() -> None:
    gates = Gates()
    assert gates.breaker(QUICK) is gates.breaker(CircuitBreaker(faults=3, lasting=0, rest=10))
    assert gates.breaker(QUICK) is not gates.breaker(CircuitBreaker())
    assert gates.breaker(None) is None


@pytest.mark.parametrize(
    "wrong",
    [{"faults": 0}, {"faults": "3"}, {"lasting": -1.0}, {"rest": math.inf}, {"rest": math.nan}],
    ids=str,
)
def test_a_breaker_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"faults|lasting|rest"):
        CircuitBreaker(**wrong)
