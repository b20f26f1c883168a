"""What no store can hold is refused before anything is stored, by both stores in the same words."""

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from novitai_sdk.jobs import Change, JobQuery, JobRefused, NewJob, Store, Write, new_job
from novitai_sdk.models import JobPriority

NOW = 1_700_000_000.0
SOON = 10.0
HALF = "\udcff"  # half a character, as the names of some files have it

FRESH = new_job("greet", {}, now=NOW, key="june")
EAST = timezone(timedelta(hours=14))


def refused(store: Store, new: NewJob) -> str:
    answer = store.commit(Change(jobs=(new,)))
    with pytest.raises(JobRefused) as error:
        answer.result(SOON)
    assert store.jobs(JobQuery()).result(SOON) == ()
    return str(error.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"id": HALF}, "its id '\\udcff' is not a text that can be stored"),
        ({"id": 5}, "its id 5 is not a text"),
        ({"type": 5}, "its type 5 is not a text"),
        ({"type": None}, "it has no type"),
        ({"max_attempts": 2.5}, "max_attempts is 2.5, not a whole number from 1"),
        ({"max_attempts": math.nan}, "max_attempts is nan"),
        ({"max_attempts": 2**63}, "max_attempts is 9223372036854775808"),
        ({"max_attempts": True}, "max_attempts is True"),
        ({"max_attempts": "3"}, "max_attempts is '3'"),
        ({"priority": 2.5}, "priority 2.5 is not 1 to 4"),
        ({"priority": JobPriority(9)}, "is not 1 to 4"),
        ({"created_at": NOW}, "created_at is 1700000000.0, not a time"),
        (
            {"created_at": datetime.min.replace(tzinfo=EAST)},
            "created_at is 0001-01-01 00:00:00+14:00, which is none of the years 1 to 9999 in UTC",
        ),
        ({"next_retry_at": datetime(2026, 1, 1)}, "next_retry_at has no time zone"),  # noqa: DTZ001 - the mistake under test
        ({"payload": [1]}, "its content is list, not a dict"),
    ],
)
def test_a_job_that_no_store_can_hold_is_refused(
    store: Store, wrong: dict[str, Any], told: str
) -> None:
    assert told in refused(store, NewJob(job=attrs.evolve(FRESH.job, **wrong)))


@pytest.mark.parametrize("key", [HALF, 5, b"june", ["june"]])
def test_a_key_that_is_no_text_is_refused(store: Store, key: Any) -> None:
    assert f"key {key!r} is not a text" in refused(store, attrs.evolve(FRESH, key=key))


def test_all_that_no_store_can_hold_is_said_at_once(store: Store) -> None:
    wrong = attrs.evolve(FRESH.job, id=HALF, type=HALF, max_attempts=2.5, priority=0)
    told = refused(store, NewJob(job=wrong, key=HALF))
    for part in ("its id", "its type", "max_attempts", "priority", "key"):
        assert part in told


def test_what_is_written_by_hand_is_stored_as_if_it_had_been_made(store: Store) -> None:
    by_hand = attrs.evolve(FRESH.job, id="jöb", type="grüße", status="pending", priority=3)
    store.commit(Change(jobs=(NewJob(job=by_hand, key="jüni"),))).result(SOON)
    (found,) = store.jobs(JobQuery(key="jüni")).result(SOON)
    assert (found.id, found.type.value, found.priority) == ("jöb", "grüße", JobPriority.HIGH)
    (claim,) = store.claim("me", {"grüße": 1}, NOW, 60).result(SOON).claims
    assert claim.job.id == "jöb"


def test_a_record_that_is_no_object_is_refused(store: Store) -> None:
    body: Any = ["not", "an", "object"]
    with pytest.raises(JobRefused, match="its content is list, not a dict"):
        store.commit(Change(writes=(Write(kind="thing", key="x", body=body),))).result(SOON)


def test_a_payload_that_is_not_json_is_refused_also_when_its_key_is_taken(store: Store) -> None:
    store.commit(Change(jobs=(FRESH,))).result(SOON)
    second = new_job("greet", {"n": math.nan}, now=NOW, key="june")
    with pytest.raises(JobRefused, match="not JSON"):
        store.commit(Change(jobs=(second,))).result(SOON)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"after": 1e12}, "after is 1000000000000.0, not seconds from now to the year 9999"),
        ({"after": 10**400}, "after is 1000"),
        ({"after": math.inf}, "after is inf"),
        ({"after": math.nan}, "after is nan"),
        ({"after": "5"}, "after is '5'"),
        ({"now": math.nan}, "now is nan, not seconds since 1970"),
        ({"now": 1e12}, "now is 1000000000000.0"),
        ({"type": 5}, "type is 5, not a text"),
        ({"type": None, "after": math.nan}, "type is None, not a text; after is nan"),
    ],
)
def test_a_job_of_no_time_or_type_is_not_made(wrong: dict[str, Any], told: str) -> None:
    asked: dict[str, Any] = {"type": "greet", "payload": {}, "now": NOW, **wrong}
    with pytest.raises(JobRefused, match="no job was made") as error:
        new_job(**asked)
    assert told in str(error.value)
