"""What the last minute was like."""

import threading

import pytest

from novitai_sdk._meter import Meter, Reading


def test_nothing_happened() -> None:
    assert Meter().read(at=5.0) == Reading(per_minute=0.0, average=0.0, failed=0.0)


def test_the_last_minute_is_counted_and_what_was_before_is_not() -> None:
    meter = Meter()
    meter.count(at=0.0, took=9.0, failed=True)
    meter.count(at=30.0, took=1.0, failed=True)
    meter.count(at=60.0, took=3.0, failed=False)
    assert meter.read(at=60.0) == Reading(
        per_minute=3.0, average=13 / 3, failed=pytest.approx(200 / 3)
    )
    assert meter.read(at=90.0) == Reading(per_minute=2.0, average=2.0, failed=50.0)
    assert meter.read(at=121.0).per_minute == 0.0


def test_a_busy_minute_is_told_from_the_part_that_is_remembered() -> None:
    meter = Meter()
    for number in range(100_000):
        meter.count(at=number / 1_000, took=0.5, failed=False)  # a thousand a second
    assert meter.read(at=100.0).per_minute == pytest.approx(60_000, rel=0.01)


def test_a_burst_within_one_instant_is_a_number_all_the_same() -> None:
    meter = Meter()
    for _ in range(5_000):
        meter.count(at=1.0, took=0.0, failed=False)
    assert meter.read(at=1.0).per_minute > 0


def test_it_is_read_while_others_count() -> None:
    meter = Meter()

    def count() -> None:
        for _ in range(5_000):
            meter.count(at=1.0, took=1.0, failed=True)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    readings = []
    while any(thread.is_alive() for thread in threads):
        readings.append(meter.read(at=1.0).average)
    for thread in threads:
        thread.join()
    assert set(readings) <= {0.0, 1.0}
    assert meter.read(at=1.0) == Reading(
        per_minute=pytest.approx(4096 * 60_000), average=1.0, failed=100.0
    )


def test_events_within_a_time_are_counted_without_looking_at_each() -> None:
    meter = Meter()
    assert meter.within(60.0, at=5.0) == 0.0
    for second in range(100):
        meter.count(at=float(second), took=0.0, failed=False)
    assert meter.within(60.0, at=99.0) == 61.0
    assert meter.within(60.0, at=10_000.0) == 0.0
    assert meter.within(1e9, at=99.0) == 100.0


def test_a_busy_minute_is_extrapolated_from_what_is_kept() -> None:
    meter = Meter()
    for number in range(10_000):
        meter.count(at=number / 1000, took=0.0, failed=False)
    assert meter.within(60.0, at=10.0) == pytest.approx(60_000, rel=0.01)
    assert meter.within(1.0, at=10.0) == pytest.approx(1000, rel=0.01)
