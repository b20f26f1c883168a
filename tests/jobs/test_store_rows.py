"""One row of a file that somebody, or a bit that fell over, has spoiled: it says so itself, and all others go on."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from faces import WANTED
from stores import SOON, opened

from novitai_sdk import Novitai
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.errors import JobError
from novitai_sdk.jobs import Change, Claim, JobQuery, SqliteStore, Write, new_job
from novitai_sdk.models import JobPriority, JobStatus
from novitai_sdk.testing import MemoryNetwork

NOW = 1_700_000_000.0
ENDLESS = """ '{"a":' || replace(hex(zeroblob(50000)), '0', '[') || '}' """
SPOILED = {
    "a content that is not JSON": "body = '{nope'",
    "a content that is no object": "body = '[1]'",
    "a content that is no text": "body = x'ff00'",
    "a content that is not UTF-8": """body = cast(x'7b2261223a2240ff227d' AS TEXT)""",
    "a content that is not there": "body = NULL",
    "a content that goes down without end": f"body = {ENDLESS}",
    "a time that is a text": "created_at = 'yesterday'",
    "a time that is no text": "created_at = x'00'",
    "a time in no year": "created_at = 1e300",
    "a time of trying again that is none": "next_retry_at = 'soon'",
    "a count that is a text": "attempts = 'many'",
    "a count beyond all numbers": "number = 9223372036854775807",
    "a priority above all": "priority = 7",
    "a priority below all": "priority = 0",
    "a priority between two": "priority = 2.5",
    "a priority that is a text": "priority = 'high'",
}
spoiled = pytest.mark.parametrize("how", SPOILED.values(), ids=list(SPOILED))


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(statement)


def filled(path: Path, how: str) -> str:
    """Fill a file with five jobs, of which the third is spoiled; answer with its id."""
    jobs = [new_job("greet", {"number": number}, now=NOW) for number in range(5)]
    with opened(path) as store:
        store.commit(Change(jobs=tuple(jobs))).result(SOON)
    edit(path, f"UPDATE jobs SET {how} WHERE seq = 3")
    return jobs[2].job.id


def take(store: SqliteStore, most: int) -> tuple[Claim, ...]:
    return store.claim("me", {"greet": most}, NOW + 1, 60).result(SOON).claims


@spoiled
def test_it_is_in_nobodys_way_and_ends_as_failed_with_its_reason(
    path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = filled(path, how)
    with opened(path) as store:
        waited = store.settled(bad)
        # One by one: it must not stand before those behind it either.
        taken = [claim for _ in range(5) for claim in take(store, 1)]
        assert [claim.job.payload["number"] for claim in taken] == [0, 1, 3, 4]
        found = waited.result(SOON)
        assert found.status is JobStatus.FAILED
        assert found.error is not None
        assert "its row in the store cannot be read" in found.error
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert bad in told.getMessage()


@spoiled
def test_it_is_listed_with_all_others_and_says_what_is_wrong(path: Path, how: str) -> None:
    bad = filled(path, how)
    with opened(path) as store:
        found = store.job(bad).result(SOON)
        assert found is not None
        assert "cannot be read" in str(found.error)
        assert len(store.jobs(JobQuery()).result(SOON)) == 5


@pytest.mark.parametrize("how", [*SPOILED.values(), "priority = 99"])
@pytest.mark.parametrize("order", ["priority", "oldest", "newest"])
def test_pages_go_on_behind_it(path: Path, how: str, order: Any) -> None:
    filled(path, how)
    with opened(path) as store:
        less = new_job("greet", {}, now=NOW, priority=JobPriority.LOW)
        store.commit(Change(jobs=(less,))).result(SOON)
    seen: list[str] = []
    with opened(path) as store:
        query: JobQuery | None = JobQuery(order=order, limit=1)
        while query is not None and len(seen) < 9:
            page = store.page(query).result(SOON)
            seen += [job.id for job in page.jobs]
            query = None if page.next is None else attrs.evolve(query, after=page.next)
    assert len(seen) == len(set(seen)) == 6


def test_who_wants_it_tried_again_is_told_the_same_again(path: Path) -> None:
    bad = filled(path, SPOILED["a content that is not JSON"])
    with opened(path) as store:
        take(store, 9)
        store.retry(bad, NOW + 2).result(SOON)
        assert store.claim("me", {"greet": 9}, NOW + 3, 60).result(SOON).claims == ()
        found = store.job(bad).result(SOON)
    assert found is not None
    assert found.status is JobStatus.FAILED


@pytest.mark.parametrize(
    "how",
    [
        "due = 'some day'",
        "due = x'00'",
        "status = 'processing', owner = 'you', lease_until = 'some day'",
    ],
)
def test_a_time_that_is_none_is_no_time_to_look_again(path: Path, how: str) -> None:
    filled(path, how)
    with opened(path) as store:
        batch = store.claim("me", {"greet": 9}, NOW + 1, 60).result(SOON)
    assert [claim.job.payload["number"] for claim in batch.claims] == [0, 1, 3, 4]
    assert batch.next_due is None or batch.next_due == NOW + 61


@pytest.mark.parametrize("how", ["due = 'some day'", "due = x'00'", "due = 9e999", "due = 1e300"])
def test_who_is_due_at_no_time_ends_as_failed_and_can_be_tried_again(path: Path, how: str) -> None:
    bad = filled(path, how)
    with opened(path) as store:
        waited = store.settled(bad)
        assert bad not in [claim.job.id for claim in take(store, 9)]
        found = waited.result(SOON)
        assert found.status is JobStatus.FAILED
        assert "its row in the store cannot be read: it is due at no time" in str(found.error)
        store.retry(bad, NOW + 2).result(SOON)
        (again,) = store.claim("me", {"greet": 9}, NOW + 3, 60).result(SOON).claims
    assert again.job.payload["number"] == 2


@pytest.mark.parametrize("how", ["priority = 7", "due = 'some day'"])
def test_what_is_spoiled_while_jobs_are_run_ends_within_a_minute(path: Path, how: str) -> None:
    filled(path, "priority = 2")
    with opened(path) as store:

        def taken(most: int, at: float) -> int:
            return len(store.claim("me", {"greet": most}, NOW + at, 600).result(SOON).claims)

        assert taken(3, at=1) == 3
        edit(path, f"UPDATE jobs SET {how} WHERE seq = 5")
        assert taken(9, at=60) == 1
        assert taken(9, at=61) == 0
        (ended,) = store.jobs(JobQuery(status=JobStatus.FAILED)).result(SOON)
    assert ended.payload["number"] == 4


@pytest.mark.parametrize(
    "how",
    ["body = 'nope'", "body = x'00'", "body = '[]'", "body = cast(x'7bff' AS TEXT)"],
    ids=["not JSON", "no text", "no object", "not UTF-8"],
)
def test_a_record_that_cannot_be_read_says_why_beside_the_others(path: Path, how: str) -> None:
    with opened(path) as store:
        writes = tuple(Write(kind="thing", key=key, body={"is": key}, expected=0) for key in "abc")
        store.commit(Change(writes=writes)).result(SOON)
    edit(path, f"UPDATE records SET {how} WHERE key = 'b'")
    with opened(path) as store:
        first, bad, last = store.scan("thing").result(SOON)
        assert (first.body, last.body) == ({"is": "a"}, {"is": "c"})
        assert bad == store.read("thing", "b").result(SOON)
        assert bad.body == {}
        assert bad.wrong
        assert first.wrong is None


def test_machines_beside_a_spoiled_record_are_listed_waited_for_and_named_at_the_end(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator(life=0.05) as cloud:

        def client() -> Novitai:
            return Novitai(
                api_key=cloud.api_key,
                network=MemoryNetwork(cloud),
                store=path,
                poll_interval=0.01,
            )

        with client() as one:
            bad = one.instances.create(**WANTED).wait_until_ready(timeout=30)
        edit(path, f"UPDATE records SET body = 'nope' WHERE key = '{bad.id}'")
        cloud.order(faults.stuck_pull())
        with client() as one:
            with pytest.raises(JobError, match=f"record of instance {bad.id} cannot be read"):
                one.instances.get(bad.id)
            good = one.instances.create(**WANTED)
            assert [found.id for found in one.instances.list()] == [good.id]
    named = [text for text in caplog.messages if "instances on their way" in text]
    assert good.id in named[-1]
