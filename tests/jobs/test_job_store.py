"""What every store promises. A further store joins by being added to the fixture."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from queue import Queue
from threading import Thread

import attrs
import pytest

from novitai_sdk.jobs import (
    Again,
    Batch,
    Change,
    Claim,
    ClaimLost,
    Done,
    GiveUp,
    HandBack,
    JobNotFound,
    JobQuery,
    JobRefused,
    JobStateError,
    NewJob,
    Outcome,
    RecordChanged,
    Retry,
    Settlement,
    SqliteStore,
    Store,
    StoreClosed,
    Write,
    new_job,
)
from novitai_sdk.models import Job, JobPriority, JobStatus

NOW = 1_700_000_000.0
SOON = 5.0


def add(store: Store, *jobs: NewJob) -> list[str]:
    store.commit(Change(jobs=jobs)).result(SOON)
    return [new.job.id for new in jobs]


def take(
    store: Store, limit: int = 1, *, now: float = NOW, owner: str = "me", type_: str = "greet"
) -> list[Claim]:
    return list(store.claim(owner, {type_: limit}, now, 60).result(SOON).claims)


def end(store: Store, claim: Claim, outcome: Outcome, *, at: float = NOW) -> None:
    settlement = Settlement(claim=claim, outcome=outcome, at=at)
    store.commit(Change(settle=settlement)).result(SOON)


def found(store: Store, job_id: str) -> Job:
    job = store.job(job_id).result(SOON)
    assert job is not None
    return job


def greet(number: int = 0, *, key: str | None = None, after: float = 0.0) -> NewJob:
    return new_job("greet", {"number": number}, now=NOW, after=after, key=key)


def write(body: dict[str, int] | None, expected: int | None = None, key: str = "a") -> Change:
    return Change(writes=(Write(kind="thing", key=key, body=body, expected=expected),))


# Records


def test_a_record_is_read_as_it_was_written(store: Store) -> None:
    body = {"name": "Ägypten \ud800", "list": [1, 2.5, None, True], "inner": {"": {}}}
    store.commit(Change(writes=(Write(kind="thing", key="a/b", body=body),))).result(SOON)
    record = store.read("thing", "a/b").result(SOON)
    assert record is not None
    assert (record.kind, record.key, record.body) == ("thing", "a/b", body)


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.read("thing", "a").result(SOON) is None
    assert store.job("job_1").result(SOON) is None
    assert store.scan("thing").result(SOON) == ()


def test_versions_grow_and_are_never_used_twice(store: Store) -> None:
    seen: list[int] = []
    for body in ({"n": 1}, {"n": 2}, None, {"n": 3}):
        store.commit(write(body)).result(SOON)
        record = store.read("thing", "a").result(SOON)
        if record is not None:
            seen.append(record.version)
    assert seen == sorted(set(seen))


def test_a_writer_who_has_not_seen_the_last_version_is_refused(store: Store) -> None:
    store.commit(write({"n": 1}, expected=0)).result(SOON)
    first = store.read("thing", "a").result(SOON)
    assert first is not None
    store.commit(write({"n": 2}, expected=first.version)).result(SOON)
    with pytest.raises(RecordChanged) as refused:
        store.commit(write({"n": 3}, expected=first.version)).result(SOON)
    assert (refused.value.expected, refused.value.key) == (first.version, "a")
    assert refused.value.found > first.version
    with pytest.raises(RecordChanged):
        store.commit(write({"n": 3}, expected=0)).result(SOON)
    last = store.read("thing", "a").result(SOON)
    assert last is not None
    assert last.body == {"n": 2}


def test_deleting_what_is_not_there_is_no_error(store: Store) -> None:
    store.commit(write(None)).result(SOON)
    store.commit(write(None, expected=0)).result(SOON)
    with pytest.raises(RecordChanged):
        store.commit(write(None, expected=3)).result(SOON)


def test_a_scan_shows_one_kind_in_the_order_of_keys(store: Store) -> None:
    writes = tuple(Write(kind="thing", key=key, body={}) for key in ("b", "c", "a"))
    store.commit(Change(writes=(*writes, Write(kind="other", key="x", body={})))).result(SOON)
    assert [record.key for record in store.scan("thing").result(SOON)] == ["a", "b", "c"]


def test_a_job_is_stored_as_it_was_handed_over_however_soon_its_maker_goes_on(store: Store) -> None:
    payload = {"number": 0}
    stored: list[tuple[str, Future[None]]] = []
    for number in range(100):
        payload["number"] = number
        new = new_job("greet", payload, now=NOW)
        stored.append((new.job.id, store.commit(Change(jobs=(new,)))))
    for number, (job_id, done) in enumerate(stored):
        done.result(SOON)
        assert found(store, job_id).payload == {"number": number}


def test_nobody_can_change_what_is_stored_by_changing_what_he_gave_or_got(store: Store) -> None:
    given = {"inner": {"n": 1}}
    store.commit(Change(writes=(Write(kind="thing", key="a", body=given),))).result(SOON)
    (job_id,) = add(store, NewJob(job=attrs.evolve(greet().job, payload=given)))
    given["inner"]["n"] = 2
    for _ in range(2):
        record = store.read("thing", "a").result(SOON)
        assert record is not None
        for body in (record.body, found(store, job_id).payload):
            assert body == {"inner": {"n": 1}}
            assert isinstance(body, dict)
            body["inner"] = None


@pytest.mark.parametrize("body", [{"n": math.nan}, {"n": object()}, {"n": {1, 2}}])
def test_what_is_not_json_is_refused_and_stores_nothing(store: Store, body: dict[str, int]) -> None:
    with pytest.raises(JobRefused, match="not JSON"):
        store.commit(
            Change(jobs=(greet(),), writes=(Write(kind="thing", key="a", body=body),))
        ).result(SOON)
    with pytest.raises(JobRefused, match="not JSON"):
        add(store, new_job("greet", body, now=NOW))
    assert store.stats().result(SOON).total_jobs == 0


# All or nothing


def test_a_change_is_stored_as_a_whole_or_not_at_all(store: Store) -> None:
    (job_id,) = add(store, greet())
    (claim,) = take(store)
    settlement = Settlement(
        claim=claim,
        outcome=Done(
            writes=(
                Write(kind="thing", key="a", body={"n": 1}),
                Write(kind="thing", key="b", body={"n": 1}, expected=7),
            ),
            jobs=(greet(1),),
        ),
        at=NOW,
    )
    with pytest.raises(RecordChanged):
        store.commit(Change(settle=settlement, jobs=(greet(2),))).result(SOON)
    assert store.scan("thing").result(SOON) == ()
    assert store.stats().result(SOON).total_jobs == 1
    assert found(store, job_id).status is JobStatus.PROCESSING


def test_what_follows_from_a_job_is_stored_with_its_end(store: Store) -> None:
    (job_id,) = add(store, greet(key="k"))
    (claim,) = take(store)
    follow_up = greet(1, key="k")
    done = Done(writes=(Write(kind="thing", key="a", body={"n": 1}),), jobs=(follow_up,))
    end(store, claim, done)
    assert found(store, job_id).status is JobStatus.COMPLETED
    # The key was free, since the job that had it ended in the same moment.
    assert found(store, follow_up.job.id).status is JobStatus.PENDING
    assert [record.body for record in store.scan("thing").result(SOON)] == [{"n": 1}]


# Adding


def test_one_job_of_a_key_is_alive_at_a_time(store: Store) -> None:
    first, second, third = greet(1, key="k"), greet(2, key="k"), greet(3, key="k")
    add(store, first, second)
    assert store.job(second.job.id).result(SOON) is None
    (claim,) = take(store, 2)
    add(store, third)
    assert store.job(third.job.id).result(SOON) is None
    end(store, claim, Done())
    add(store, third)
    assert found(store, third.job.id).status is JobStatus.PENDING


def test_two_jobs_of_one_id_are_refused(store: Store) -> None:
    job = greet()
    add(store, job)
    with pytest.raises(JobRefused, match="one of that id"):
        add(store, job)


def test_one_of_several_whose_id_is_there_is_named_and_none_of_them_is_stored(store: Store) -> None:
    there = greet()
    add(store, there)
    for jobs, taken in (
        ((greet(1), there, greet(2)), there),
        ((greet(1), twice := greet(2), greet(3), twice), twice),
        ((greet(1, key="a"), there, greet(2)), there),
    ):
        with pytest.raises(JobRefused, match=f"{taken.job.id}.*one of that id"):
            add(store, *jobs)
    assert store.stats().result(SOON).total_jobs == 1


def test_changes_of_one_moment_are_stored_in_their_order_and_each_by_itself(store: Store) -> None:
    there = greet()
    add(store, there)
    news = [greet(number, key="a" if number % 3 == 0 else None) for number in range(1, 9)]
    changes = [
        *(Change(jobs=(new,)) for new in news),
        Change(jobs=(there,)),
        Change(jobs=(greet(9),)),
    ]
    # All asked for before the first is answered, so that a file takes them together.
    answers = [store.commit(change) for change in changes]
    ends = [answer.exception(SOON) for answer in answers]
    assert [type(end) for end in ends] == [type(None)] * 8 + [JobRefused, type(None)]
    listed = store.jobs(JobQuery(order="oldest", limit=0)).result(SOON)
    assert [job.payload["number"] for job in listed] == [0, 1, 2, 3, 4, 5, 7, 8, 9]


def test_a_job_that_is_not_new_is_refused(store: Store) -> None:
    with pytest.raises(JobRefused, match="not pending"):
        add(store, NewJob(job=attrs.evolve(greet().job, status=JobStatus.COMPLETED)))


# Claiming


def test_a_claim_takes_what_is_due_and_leaves_the_rest(store: Store) -> None:
    now, later = greet(), greet(after=10)
    add(store, now, later)
    batch = store.claim("me", {"greet": 5}, NOW, 60).result(SOON)
    assert [claim.job.id for claim in batch.claims] == [now.job.id]
    assert batch.next_due == NOW + 10
    assert [claim.job.id for claim in take(store, 5, now=NOW + 10)] == [later.job.id]


def test_a_job_made_now_is_due_now_however_fine_the_clock(store: Store) -> None:
    for n in range(200):
        now = NOW + n / 7  # no multiple of a microsecond
        add(store, new_job("greet", {}, now=now))
        assert store.backlog(now).result(SOON).depth == 1
        assert len(take(store, now=now)) == 1


def test_a_claimed_job_is_not_claimed_again(store: Store) -> None:
    add(store, greet())
    assert len(take(store)) == 1
    assert take(store, owner="another") == []


def test_a_claim_knows_its_job_its_owner_and_its_number(store: Store) -> None:
    (job_id,) = add(store, greet(7))
    (first,) = take(store, owner="one")
    assert (first.job.id, first.owner, first.job.attempts) == (job_id, "one", 1)
    assert first.job.payload == {"number": 7}
    end(store, first, HandBack())
    (second,) = take(store, owner="two")
    assert second.number > first.number


def test_a_job_handed_back_for_a_while_comes_after_it_with_no_attempt_less(store: Store) -> None:
    (job_id,) = add(store, greet())
    end(store, take(store)[0], Retry(error="no luck", after=1.0))
    end(store, take(store, now=NOW + 1)[0], HandBack(after=60.0), at=NOW + 1)
    kept = found(store, job_id)
    assert (kept.status, kept.attempts, kept.error) == (JobStatus.PENDING, 1, "no luck")
    assert take(store, now=NOW + 60) == []
    (claim,) = take(store, now=NOW + 61)
    assert claim.job.attempts == 2


def test_types_that_are_not_named_stay(store: Store) -> None:
    add(store, greet(), new_job("other", {}, now=NOW))
    assert take(store, 5, type_="unheard-of") == []
    assert [str(claim.job.type) for claim in take(store, 5)] == ["greet"]
    assert store.stats().result(SOON).pending_jobs == 1


def test_no_more_than_the_free_slots_are_taken_of_each_type(store: Store) -> None:
    add(store, *(greet(n) for n in range(3)), *(new_job("other", {}, now=NOW) for _ in range(3)))
    batch = store.claim("me", {"greet": 2, "other": 1, "none": 0}, NOW, 60).result(SOON)
    assert sorted(str(claim.job.type) for claim in batch.claims) == ["greet", "greet", "other"]


def test_the_order_is_priority_then_due_time_then_arrival(store: Store) -> None:
    def of(priority: JobPriority, n: int, after: float = 0.0) -> NewJob:
        return new_job("greet", {"n": n}, now=NOW, after=after, priority=priority)

    add(
        store,
        of(JobPriority.LOW, 5),
        of(JobPriority.NORMAL, 4, after=2),
        of(JobPriority.NORMAL, 2),
        of(JobPriority.NORMAL, 3),
        of(JobPriority.CRITICAL, 1, after=5),
    )
    assert [claim.job.payload["n"] for claim in take(store, 5, now=NOW + 10)] == [1, 2, 3, 4, 5]


def test_a_low_job_does_not_starve_behind_a_stream_of_high_ones(store: Store) -> None:
    (low,) = add(store, new_job("greet", {}, now=NOW, priority=JobPriority.LOW))
    for minute in range(5):
        now = NOW + minute * 60
        add(store, new_job("greet", {}, now=now, priority=JobPriority.CRITICAL))
        (claim,) = take(store, now=now)
        end(store, claim, Done(), at=now)
        if claim.job.id == low:
            return
    pytest.fail("the low job was not taken in five minutes")


def test_nothing_in_sight_is_none(store: Store) -> None:
    add(store, new_job("other", {}, now=NOW))
    assert store.claim("me", {"greet": 1}, NOW, 60).result(SOON).next_due is None


def test_a_full_type_is_not_looked_after_before_a_slot_is_free(store: Store) -> None:
    add(store, greet(1), greet(2, after=3))
    batch = store.claim("me", {"greet": 1}, NOW, 60).result(SOON)
    assert (
        batch.next_due == NOW + 60
    )  # the end of the lease, not the job for which there is no slot


# Settling


def test_a_failed_attempt_comes_back_when_it_is_due(store: Store) -> None:
    (job_id,) = add(store, greet())
    (claim,) = take(store)
    end(store, claim, Retry(error="no luck", after=30))
    job = found(store, job_id)
    assert (job.status, job.error, job.attempts) == (JobStatus.PENDING, "no luck", 1)
    assert take(store, now=NOW + 29) == []
    (again,) = take(store, now=NOW + 30)
    assert again.job.attempts == 2


def test_looking_again_costs_no_attempt(store: Store) -> None:
    (job_id,) = add(store, greet())
    for look in range(10):
        (claim,) = take(store, now=NOW + look)
        assert claim.job.attempts == 1
        end(
            store, claim, Again(after=1, writes=(Write(kind="look", key=job_id, body={"n": look}),))
        )
    record = store.read("look", job_id).result(SOON)
    assert record is not None
    assert record.body == {"n": 9}


def test_giving_up_is_for_good_and_stores_what_follows(store: Store) -> None:
    (job_id,) = add(store, greet())
    (claim,) = take(store)
    end(store, claim, GiveUp(error="no hope", jobs=(new_job("tell", {}, now=NOW),)))
    job = found(store, job_id)
    assert (job.status, job.error) == (JobStatus.FAILED, "no hope")
    assert store.stats().result(SOON).jobs_by_type["tell"] == 1
    assert take(store, now=NOW + 1e6) == []


@pytest.mark.parametrize(
    "outcome", [Done(), Again(after=1), GiveUp(error="e"), Retry(error="e", after=1), HandBack()]
)
def test_a_settled_job_is_settled_once(store: Store, outcome: Outcome) -> None:
    add(store, greet())
    (claim,) = take(store)
    end(store, claim, outcome)
    with pytest.raises(ClaimLost):
        end(store, claim, Done())


def test_the_claim_of_another_settles_nothing(store: Store) -> None:
    (job_id,) = add(store, greet())
    (claim,) = take(store)
    for forged in (attrs.evolve(claim, owner="thief"), attrs.evolve(claim, number=99)):
        with pytest.raises(ClaimLost):
            end(store, forged, Done())
        with pytest.raises(ClaimLost):
            store.commit(attrs.evolve(write({"n": 1}), held=forged)).result(SOON)
    assert found(store, job_id).status is JobStatus.PROCESSING
    assert store.scan("thing").result(SOON) == ()


def test_a_change_in_the_middle_of_an_attempt_needs_the_claim(store: Store) -> None:
    add(store, greet())
    (claim,) = take(store)
    store.commit(attrs.evolve(write({"n": 1}), held=claim)).result(SOON)
    end(store, claim, HandBack())
    with pytest.raises(ClaimLost):
        store.commit(attrs.evolve(write({"n": 2}), held=claim)).result(SOON)
    assert [record.body for record in store.scan("thing").result(SOON)] == [{"n": 1}]


# Leases


def test_a_lease_that_ends_gives_the_job_to_the_next(store: Store) -> None:
    add(store, greet())
    (lost,) = take(store)
    assert take(store, now=NOW + 59, owner="next") == []
    (taken,) = take(store, now=NOW + 60, owner="next")
    assert (taken.job.id, taken.job.attempts) == (lost.job.id, 2)
    with pytest.raises(ClaimLost):
        end(store, lost, Done())
    end(store, taken, Done())


def test_a_renewed_lease_goes_on(store: Store) -> None:
    add(store, greet(1), greet(2))
    claims = take(store, 2)
    assert store.renew(claims, NOW + 50, 60).result(SOON) == frozenset()
    assert take(store, now=NOW + 100, owner="next") == []
    assert len(take(store, 2, now=NOW + 110, owner="next")) == 2
    assert store.renew(claims, NOW + 111, 60).result(SOON) == {claim.job.id for claim in claims}


def look(store: Store, now: float, monotonic: float) -> Batch:
    return store.claim("next", {"greet": 1}, now, 60, None, monotonic).result(SOON)


def test_a_wall_clock_that_jumps_takes_no_job_from_its_living_worker(store: Store) -> None:
    add(store, greet())
    (claim,) = take(store)
    batch = look(store, NOW + 3600, 10)
    assert batch.claims == ()
    assert batch.next_due is not None
    assert NOW + 3600 < batch.next_due <= NOW + 3660  # it may stay silent
    assert store.renew([claim], NOW + 3601, 60).result(SOON) == frozenset()
    assert look(store, NOW + 3660, 70).claims == ()
    end(store, claim, Done(), at=NOW + 3661)


def test_a_worker_that_stays_silent_for_a_lease_after_a_jump_loses_its_job(store: Store) -> None:
    add(store, greet())
    (lost,) = take(store)
    assert look(store, NOW + 3600, 10).claims == ()
    assert look(store, NOW + 3659, 69).claims == ()
    (taken,) = look(store, NOW + 3660, 70).claims
    assert (taken.job.id, taken.job.attempts) == (lost.job.id, 2)
    with pytest.raises(ClaimLost):
        end(store, lost, Done())


def test_where_the_clock_did_not_jump_a_lease_lasts_no_longer_than_it_says(store: Store) -> None:
    add(store, greet())
    assert look(store, NOW - 1, 99).claims == ()
    take(store)
    assert look(store, NOW + 59, 159).claims == ()
    assert len(look(store, NOW + 60, 160).claims) == 1


def test_each_jump_of_the_clock_gives_a_living_worker_its_time(store: Store) -> None:
    add(store, greet())
    (claim,) = take(store)
    for jump in range(1, 4):
        assert look(store, NOW + 3600 * jump, 100.0 * jump).claims == ()
        assert store.renew([claim], NOW + 3600 * jump, 60).result(SOON) == frozenset()
        assert look(store, NOW + 3600 * jump + 50, 100.0 * jump + 50).claims == ()


def test_renewing_names_the_lost_and_keeps_the_others(store: Store) -> None:
    add(store, greet(1), greet(2))
    kept, lost = take(store, 2)
    store.cancel(lost.job.id, NOW, "not wanted").result(SOON)
    assert store.renew([kept, lost], NOW + 1, 60).result(SOON) == {lost.job.id}
    end(store, kept, Done())


def test_what_is_lost_is_told_without_a_change(store: Store) -> None:
    add(store, greet(1), greet(2))
    kept, lost = take(store, 2)
    assert store.lost([kept, lost]).result(SOON) == frozenset()
    store.cancel(lost.job.id, NOW, "not wanted").result(SOON)
    store.retry(lost.job.id, NOW).result(SOON)
    (again,) = take(store)
    assert store.lost([kept, lost]).result(SOON) == {lost.job.id}
    assert store.lost([kept, again]).result(SOON) == frozenset()
    assert len(take(store, 2, now=NOW + 60, owner="next")) == 2  # no lease was renewed


def test_whoever_listens_is_told_that_a_job_at_work_was_cancelled(store: Store) -> None:
    heard: Queue[float] = Queue()
    waiting, working = add(store, greet(1, after=60), greet(2))
    take(store)
    store.on_work(heard.put)
    if isinstance(store, SqliteStore):
        assert heard.get(timeout=SOON) == 0.0  # its first look at what other processes did
    store.cancel(waiting, NOW, "not wanted").result(SOON)
    store.commit(Change()).result(SOON)
    assert heard.empty()
    store.cancel(working, NOW, "not wanted").result(SOON)
    assert heard.get(timeout=SOON) == 0.0


def test_a_job_that_outlives_all_its_workers_fails_with_the_reason(store: Store) -> None:
    (job_id,) = add(store, greet())
    now = NOW
    for attempt in (1, 2, 3):
        (claim,) = take(store, now=now)
        assert claim.job.attempts == attempt
        now += 61
    assert take(store, now=now) == []
    job = found(store, job_id)
    assert job.status is JobStatus.FAILED
    assert "worker died or fell silent 3 times" in (job.error or "")


# A person's hand


def test_a_failed_job_is_tried_again_when_asked(store: Store) -> None:
    (job_id,) = add(store, greet())
    (claim,) = take(store)
    end(store, claim, GiveUp(error="no hope"))
    revived = store.retry(job_id, NOW + 100).result(SOON)
    assert (revived.status, revived.attempts) == (JobStatus.PENDING, 0)
    assert [claim.job.id for claim in take(store, now=NOW + 100)] == [job_id]


def test_only_a_failed_job_is_tried_again(store: Store) -> None:
    (job_id,) = add(store, greet())
    with pytest.raises(JobStateError, match="is pending"):
        store.retry(job_id, NOW).result(SOON)
    with pytest.raises(JobNotFound):
        store.retry("job_unknown", NOW).result(SOON)


def test_a_job_does_not_come_back_beside_the_one_that_took_its_place(store: Store) -> None:
    (old,) = add(store, greet(1, key="k"))
    store.cancel(old, NOW, "not wanted").result(SOON)
    (new,) = add(store, greet(2, key="k"))
    with pytest.raises(JobStateError, match=new):
        store.retry(old, NOW).result(SOON)
    store.cancel(new, NOW, "not wanted").result(SOON)
    assert store.retry(old, NOW).result(SOON).status is JobStatus.PENDING
    add(store, greet(3, key="k"))
    assert len(take(store, 5)) == 1


def test_a_cancelled_job_is_not_run_and_a_running_one_is_lost_to_its_worker(store: Store) -> None:
    waiting, running = add(store, greet(1, after=100), greet(2))
    (claim,) = take(store)
    for job_id in (waiting, running):
        job = store.cancel(job_id, NOW, "not wanted").result(SOON)
        assert (job.status, job.error) == (JobStatus.FAILED, "not wanted")
    with pytest.raises(ClaimLost):
        end(store, claim, Done())
    assert take(store, 5, now=NOW + 1000) == []
    with pytest.raises(JobStateError):
        store.cancel(running, NOW, "again").result(SOON)


def test_a_job_revived_in_the_moment_it_was_cancelled_is_taken_once(store: Store) -> None:
    (job_id,) = add(store, greet())
    store.cancel(job_id, NOW, "not wanted").result(SOON)
    store.retry(job_id, NOW).result(SOON)
    assert len(take(store, 5)) == 1


# Looking


def test_the_job_that_has_a_key_is_found_as_long_as_it_lives(store: Store) -> None:
    def holder(key: str) -> str | None:
        found = store.holder(key).result(SOON)
        return found and found.id

    assert holder("one") is None
    new = greet(key="one")
    add(store, new, greet(key="two"), greet())
    assert store.holder("one").result(SOON) == store.job(new.job.id).result(SOON)
    take(store)
    assert holder("one") == new.job.id
    store.cancel(new.job.id, NOW, "no longer").result(SOON)
    assert holder("one") is None


def test_a_claim_tells_since_when_its_job_was_due(store: Store) -> None:
    add(store, greet(1), greet(2, after=30))
    claims = store.claim("me", {"greet": 2}, NOW + 90, 60).result(SOON).claims
    assert {claim.job.payload["number"]: claim.due for claim in claims} == {1: NOW, 2: NOW + 30}


def test_lists_are_filtered_sorted_and_paged(store: Store) -> None:
    jobs = [
        new_job("greet", {"n": n}, now=NOW + n, priority=JobPriority(1 + n % 2)) for n in range(6)
    ]
    add(store, *jobs, new_job("other", {}, now=NOW))

    def numbers(query: JobQuery) -> list[object]:
        return [job.payload["n"] for job in store.jobs(query).result(SOON)]

    assert numbers(JobQuery(type="greet")) == [1, 3, 5, 0, 2, 4]
    assert numbers(JobQuery(type="greet", limit=2, offset=1)) == [3, 5]
    assert numbers(JobQuery(type="greet", limit=2, offset=5)) == [4]
    take(store, now=NOW + 10)
    assert numbers(JobQuery(status=JobStatus.PROCESSING)) == [1]
    assert len(store.jobs(JobQuery()).result(SOON)) == 7


def test_the_numbers_add_up(store: Store) -> None:
    add(store, *(greet(n) for n in range(4)), new_job("other", {}, now=NOW))
    first, second, _third = take(store, 3)
    end(store, first, Done())
    end(store, second, GiveUp(error="no hope"))
    stats = store.stats().result(SOON)
    assert stats.total_jobs == 5
    assert (stats.pending_jobs, stats.processing_jobs) == (2, 1)
    assert (stats.completed_jobs, stats.failed_jobs) == (1, 1)
    assert stats.jobs_by_type["greet"] == 4
    assert stats.jobs_by_type["other"] == 1
    assert stats.jobs_by_type["create_instance"] == 0


def test_the_backlog_counts_what_is_due_and_not_taken(store: Store) -> None:
    assert store.backlog(NOW).result(SOON).oldest_due is None
    add(store, greet(1), greet(2, after=5), greet(3, after=50))
    take(store)
    backlog = store.backlog(NOW + 7).result(SOON)
    assert (backlog.depth, backlog.oldest_due) == (1, NOW + 5)


# Waiting


def test_whoever_waits_for_a_record_is_told_of_its_next_version(store: Store) -> None:
    appears = store.changed("thing", "a", 0)
    assert not appears.done()
    store.commit(write({"n": 1})).result(SOON)
    first = appears.result(SOON)
    assert first is not None
    assert store.changed("thing", "a", 0).result(SOON) == first
    changes = store.changed("thing", "a", first.version)
    store.commit(write({"n": 2}, key="b")).result(SOON)
    store.commit(write({"n": 2})).result(SOON)
    second = changes.result(SOON)
    assert second is not None
    assert second.body == {"n": 2}
    goes = store.changed("thing", "a", second.version)
    store.commit(write(None)).result(SOON)
    assert goes.result(SOON) is None
    assert store.changed("thing", "a", second.version).result(SOON) is None


def test_whoever_waits_for_a_job_is_told_of_its_end(store: Store) -> None:
    (job_id,) = add(store, greet())
    ends = store.settled(job_id)
    (claim,) = take(store)
    end(store, claim, Again(after=0))
    assert not ends.done()
    (claim,) = take(store)
    end(store, claim, Done())
    assert ends.result(SOON).status is JobStatus.COMPLETED
    assert store.settled(job_id).result(SOON).status is JobStatus.COMPLETED
    with pytest.raises(JobNotFound):
        store.settled("job_unknown").result(SOON)


def test_a_thousand_waiters_are_told_and_those_who_left_are_forgotten(store: Store) -> None:
    waits = [store.changed("thing", "a", 0) for _ in range(1000)]
    for future in waits[::2]:
        assert future.cancel()
    store.commit(write({"n": 1})).result(SOON)
    for future in waits[1::2]:
        assert future.result(SOON) is not None
    for future in waits[::2]:
        with pytest.raises(CancelledError):
            future.result(SOON)


def listen(store: Store) -> tuple[list[float], Callable[[], None]]:
    heard: list[float] = []
    # A store tells of the past once, when somebody begins to listen; that is not what is tested here.
    stop = store.on_work(lambda due: heard.append(due) if due else None)
    return heard, stop


def test_work_is_announced_with_the_time_it_is_due(store: Store) -> None:
    heard, stop = listen(store)
    add(store, greet(1, after=5))
    add(store, greet(2))
    (claim,) = take(store)
    end(store, claim, Retry(error="no luck", after=7))
    take(store)  # a further operation: what was announced before it has been heard
    assert heard == [NOW + 5, NOW, NOW + 7]
    stop()
    add(store, greet(3))
    take(store)
    assert len(heard) == 3


@pytest.mark.parametrize("others", [(), (greet(2, after=5),)], ids=["alone", "beside others"])
@pytest.mark.parametrize(
    "new",
    [greet(1, key="one"), new_job("greet", {"text": "x" * 100_000}, now=NOW)],
    ids=["with a key", "long"],
)
def test_work_that_is_more_than_a_row_is_announced_too(
    store: Store, new: NewJob, others: tuple[NewJob, ...]
) -> None:
    heard, _ = listen(store)
    add(store, new, *others)
    take(store)
    assert heard == [NOW]


def test_jobs_that_are_stored_together_are_taken_in_their_order(store: Store) -> None:
    add(store, greet(1), greet(2, key="two"), greet(3), greet(4, key="four"), greet(5))
    taken = take(store, limit=9)
    assert [claim.job.payload["number"] for claim in taken] == [1, 2, 3, 4, 5]


def test_a_listener_that_fails_does_not_stop_the_store(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(due: float) -> None:
        raise ZeroDivisionError

    store.on_work(fail)
    heard, _ = listen(store)
    add(store, greet())
    take(store)
    assert heard == [NOW]
    assert "listener" in caplog.text


def test_many_threads_may_write_at_once(store: Store) -> None:
    answers: list[Future[None]] = []

    def write_many(name: int) -> None:
        answers.extend(store.commit(Change(jobs=(greet(name * 100 + n),))) for n in range(50))

    threads = [Thread(target=write_many, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        answer.result(SOON)
    assert store.stats().result(SOON).pending_jobs == 200
    assert len({claim.job.id for claim in take(store, 1000)}) == 200


def test_a_closed_store_says_so_to_everybody(store: Store) -> None:
    (job_id,) = add(store, greet())
    waits = [store.changed("thing", "a", 0), store.settled(job_id)]
    store.commit(write({"n": 1}, key="b")).result(SOON)
    store.close(SOON)
    store.close(SOON)
    odd = Change(jobs=(new_job("greet", {"n": float("nan")}, now=NOW),))  # closed comes first
    later = [store.commit(odd), store.commit(Change()), store.read("thing", "a"), store.stats()]
    for future in [*waits, *later]:
        with pytest.raises(StoreClosed):
            future.result(SOON)
    for late in (store.changed("thing", "a", 0), store.settled(job_id)):
        with pytest.raises(StoreClosed):
            late.result(SOON)
    store.on_work(lambda due: None)
    assert not [one.name for one in threading.enumerate() if one.name.startswith("novitai-store")]


def test_what_looks_again_may_say_when(store: Store) -> None:
    early, late = add(store, *(new_job("greet", {}, now=NOW) for _ in range(2)))
    claims = {claim.job.id: claim for claim in take(store, 2)}
    # Ended a moment apart, they are due at the same one; a moment that has passed is now.
    end(store, claims[early], Again(due=NOW + 10), at=NOW + 1)
    end(store, claims[late], Again(due=NOW + 10), at=NOW + 1.5)
    assert take(store, 2, now=NOW + 9.999) == []
    again = take(store, 2, now=NOW + 10)
    assert {claim.due for claim in again} == {NOW + 10}
    end(store, again[0], Again(due=NOW), at=NOW + 12)
    (now,) = take(store, 2, now=NOW + 12)
    assert now.due == NOW + 12


def test_versions_are_told_without_what_they_are_of(store: Store) -> None:
    assert store.versions("thing", ["a"]).result(SOON) == {}
    for key in ("a", "b", "a"):
        store.commit(Change(writes=(Write(kind="thing", key=key, body={"n": 1}),))).result(SOON)
    store.commit(Change(writes=(Write(kind="other", key="c", body={}),))).result(SOON)
    told = store.versions("thing", ["a", "b", "c", "none", "a"]).result(SOON)
    read = {key: store.read("thing", key).result(SOON) for key in ("a", "b")}
    assert told == {key: record and record.version for key, record in read.items()}
    store.commit(Change(writes=(Write(kind="thing", key="a", body=None),))).result(SOON)
    assert set(store.versions("thing", ["a", "b"]).result(SOON)) == {"b"}
    assert len(store.versions("thing", [*map(str, range(5000)), "b"]).result(SOON)) == 1
