"""What is asked of ``client.jobs`` in a way nobody can answer is refused in words, by both stores in the same."""

import math
import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from novitai_sdk._calling import Sync
from novitai_sdk._waiting import BlockingWaiter
from novitai_sdk.jobs import Change, JobNotFound, JobQuery, Jobs, Store, new_job
from novitai_sdk.models import JobStatus

HALF = "\udcff"  # half a character, as the names of some files have it
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - the mistake under test
NOW = 1_700_000_000.0


@pytest.fixture
def jobs(store: Store) -> Jobs[Sync]:
    return Jobs(store, BlockingWaiter())


def add(store: Store) -> str:
    new = new_job("greet", {}, now=NOW)
    store.commit(Change(jobs=(new,))).result(10)
    return new.job.id


@pytest.mark.parametrize("job_id", ["", HALF, 5, None, ["job"]])
def test_no_job_has_what_is_no_id(jobs: Jobs[Sync], job_id: Any) -> None:
    asks: list[Callable[[Any], object]] = [jobs.get, jobs.wait, jobs.retry, jobs.cancel]
    for ask in asks:
        with pytest.raises(JobNotFound) as error:
            ask(job_id)
        assert repr(job_id) in str(error.value)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"status": 5}, "status is 5: one of pending"),
    ({"status": ["pending", "asleep", None]}, "status is asleep, None: one of pending"),
    ({"type": HALF}, "type is '\\udcff': a text that can be stored"),
    ({"type": 5}, "type is 5: a text"),
    ({"type": ["greet", 5]}, "type is 5: a text"),
    ({"key": HALF}, "key is '\\udcff': a text"),
    ({"key": 5}, "key is 5: a text"),
    ({"order": ["oldest"]}, "order is ['oldest']: one of priority, oldest, newest"),
    ({"created_since": math.nan}, "created_since is nan: a time"),
    ({"created_until": 10**400}, "created_until is 1000"),
    ({"ended_since": "today"}, "ended_since is 'today': a time"),
    ({"ended_until": NAIVE}, "ended_until is 2026-01-01T00:00:00, which has no time zone"),
]
PAGES: list[tuple[dict[str, Any], str]] = [
    ({"limit": 2.5}, "limit is 2.5: a whole number"),
    ({"limit": math.nan}, "limit is nan: a whole number"),
    ({"limit": "x"}, "limit is 'x': a whole number"),
    ({"limit": True}, "limit is True: a whole number"),
    ({"offset": 2**63}, "offset is 9223372036854775808: a whole number"),
    ({"offset": -1}, "offset is -1: a whole number is expected, not below 0"),
]


@pytest.mark.parametrize(("asked", "told"), [*WRONG, *PAGES, ({"after": 5}, "after is 5: no curs")])
def test_a_query_that_no_store_can_answer_is_not_made(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        JobQuery(**asked)


@pytest.mark.parametrize(("asked", "told"), [*WRONG, *PAGES])
def test_a_list_that_no_store_can_show_is_refused(
    jobs: Jobs[Sync], asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        jobs.list(**asked)


@pytest.mark.parametrize(("asked", "told"), [*WRONG, ({"page_size": 2.5}, "page_size is 2.5")])
def test_a_walk_that_no_store_can_show_is_refused_before_its_first_step(
    jobs: Jobs[Sync], asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        jobs.iterate(**asked)


def test_all_that_is_wrong_with_a_list_is_said_at_once(jobs: Jobs[Sync]) -> None:
    wrong: dict[str, Any] = {key: asked for one, _ in WRONG for key, asked in one.items()}
    with pytest.raises(ValueError, match="status is") as error:
        jobs.list(**wrong, limit=-1, offset=-1)
    for part in (*wrong, "limit", "offset"):
        assert f"{part} is " in str(error.value)
    with pytest.raises(ValueError, match="status is") as error:
        jobs.iterate(**wrong, page_size=0)
    for part in (*wrong, "page_size"):
        assert f"{part} is " in str(error.value)


def test_a_query_takes_times_as_people_have_them() -> None:
    assert JobQuery(created_since=datetime(1970, 1, 2, tzinfo=timezone.utc)).created_since == 86_400


def test_a_page_is_of_a_query(jobs: Jobs[Sync]) -> None:
    asked: Any = "oldest"
    with pytest.raises(TypeError, match="a JobQuery is expected, not 'oldest'"):
        jobs.list_page(asked)


@pytest.mark.parametrize("timeout", [math.nan, "10", True, 10**400])
def test_a_wait_for_what_is_no_number_of_seconds_is_refused(
    jobs: Jobs[Sync], store: Store, timeout: Any
) -> None:
    job_id = add(store)
    with pytest.raises(ValueError, match="a number of seconds is expected"):
        jobs.wait(job_id, timeout=timeout)


@pytest.mark.parametrize("reason", [None, 5, HALF])
def test_a_job_is_not_cancelled_for_a_reason_that_cannot_be_kept(
    jobs: Jobs[Sync], store: Store, reason: Any
) -> None:
    job_id = add(store)
    with pytest.raises(ValueError, match=r"reason is .* a text that can be stored is expected"):
        jobs.cancel(job_id, reason)
    assert jobs.get(job_id).status is JobStatus.PENDING


@pytest.mark.parametrize("older_than", [math.inf, math.nan, 1e12, 1e18, "x", None])
def test_an_age_beyond_the_calendar_removes_nothing(jobs: Jobs[Sync], older_than: Any) -> None:
    with pytest.raises(ValueError, match="status is asleep: only completed and failed") as error:
        jobs.purge(older_than=older_than, status="asleep")
    assert f"older_than is {older_than!r}: 0 or more seconds are expected" in str(error.value)


def test_only_a_status_is_one(jobs: Jobs[Sync]) -> None:
    status: Any = 5
    with pytest.raises(ValueError, match="status is 5: only completed and failed"):
        jobs.purge(older_than=0, status=status)
