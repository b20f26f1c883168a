"""The life of a job: its table, and the functions that walk it."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import attrs
import pytest

from novitai_sdk.jobs import JobRefused, JobStateError, new_job
from novitai_sdk.jobs import _life as life
from novitai_sdk.jobs._life import NEXT, Move
from novitai_sdk.models import Job, JobStatus

NOW = 1_700_000_000.0

MOVES: dict[Move, Callable[[Job], Job]] = {
    Move.CLAIM: lambda job: life.claim(job, NOW),
    Move.DONE: lambda job: life.done(job, NOW),
    Move.AGAIN: lambda job: life.again(job, NOW, 5),
    Move.RETRY: lambda job: life.retry(job, NOW, 5, "no luck"),
    Move.GIVE_UP: lambda job: life.give_up(job, NOW, "no hope"),
    Move.LAPSE: lambda job: life.lapse(job, NOW),
    Move.HAND_BACK: lambda job: life.hand_back(job, NOW),
    Move.CANCEL: lambda job: life.cancel(job, NOW, "not wanted"),
}


def job_in(status: JobStatus, attempts: int = 1) -> Job:
    fresh = new_job("greet", {}, now=NOW).job
    return attrs.evolve(fresh, status=status, attempts=attempts)


@pytest.mark.parametrize(("status", "move"), list(itertools.product(JobStatus, Move)))
def test_every_move_does_what_the_table_says_and_no_other_is_possible(
    status: JobStatus, move: Move
) -> None:
    act = MOVES[move]
    if status is JobStatus.FAILED and move is Move.RETRY:
        act = lambda job: life.revive(job, NOW)  # noqa: E731 - the move of a person, not of a worker
    if move in NEXT[status]:
        assert act(job_in(status)).status is NEXT[status][move]
        return
    with pytest.raises(JobStateError, match=f"is {status}: {move.value}"):
        act(job_in(status))


def test_what_is_refused_says_what_is_possible_instead_if_anything_is() -> None:
    with pytest.raises(JobStateError, match=r"cancel is not possible there, only retry$"):
        life.cancel(job_in(JobStatus.FAILED), NOW, "not wanted")
    with pytest.raises(JobStateError, match=r"cancel is not possible there, and nothing else is$"):
        life.cancel(job_in(JobStatus.COMPLETED), NOW, "not wanted")


def test_from_every_state_but_completed_a_job_can_still_reach_an_end() -> None:
    for start in JobStatus:
        reached, frontier = {start}, [start]
        while frontier:
            for following in NEXT[frontier.pop()].values():
                if following not in reached:
                    reached.add(following)
                    frontier.append(following)
        assert reached & {JobStatus.COMPLETED, JobStatus.FAILED}


def test_a_claim_counts_the_attempt_before_it_is_made() -> None:
    claimed = life.claim(job_in(JobStatus.PENDING, attempts=0), NOW + 7)
    assert claimed.attempts == 1
    assert claimed.processed_at == life.moment(NOW + 7)
    assert claimed.next_retry_at is None


def test_a_failed_attempt_waits_and_keeps_its_error() -> None:
    waiting = life.retry(job_in(JobStatus.PROCESSING, attempts=2), NOW, 30, "timeout")
    assert (waiting.status, waiting.attempts, waiting.error) == (JobStatus.PENDING, 2, "timeout")
    assert waiting.next_retry_at == life.moment(NOW) + timedelta(seconds=30)


def test_the_last_failed_attempt_ends_the_job() -> None:
    ended = life.retry(job_in(JobStatus.PROCESSING, attempts=3), NOW, 30, "timeout")
    assert (ended.status, ended.error) == (JobStatus.FAILED, "timeout")
    assert ended.completed_at == life.moment(NOW)
    assert ended.next_retry_at is None


def test_looking_again_costs_no_attempt_and_forgets_earlier_failures() -> None:
    failed_once = attrs.evolve(job_in(JobStatus.PROCESSING, attempts=3), error="timeout")
    waiting = life.again(failed_once, NOW, 5)
    assert (waiting.attempts, waiting.error) == (0, None)


def test_a_job_that_kills_its_worker_each_time_ends_as_failed() -> None:
    job = new_job("greet", {}, now=NOW).job
    for _ in range(2):
        job = life.lapse(life.claim(job, NOW), NOW)
        assert job.status is JobStatus.PENDING
    job = life.lapse(life.claim(job, NOW), NOW)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "3 times" in job.error


def test_a_job_handed_back_has_not_been_tried() -> None:
    back = life.hand_back(job_in(JobStatus.PROCESSING, attempts=3), NOW)
    assert (back.status, back.attempts) == (JobStatus.PENDING, 2)
    assert life.due(back) == NOW


def test_success_takes_the_error_away() -> None:
    assert life.done(attrs.evolve(job_in(JobStatus.PROCESSING), error="timeout"), NOW).error is None


def test_a_revived_job_has_all_its_attempts_before_it() -> None:
    revived = life.revive(job_in(JobStatus.FAILED, attempts=3), NOW)
    assert (revived.status, revived.attempts, revived.completed_at) == (JobStatus.PENDING, 0, None)


def test_an_endless_error_is_cut_short() -> None:
    ended = life.give_up(job_in(JobStatus.PROCESSING), NOW, "x" * 1_000_000)
    assert len(ended.error or "") == life.LONGEST_ERROR


def test_all_that_is_wrong_with_a_job_is_said_at_once() -> None:
    fresh = new_job("greet", {}, now=NOW).job
    naive = fresh.created_at.replace(tzinfo=None)
    wrong = attrs.evolve(
        fresh, id="", attempts=2, max_attempts=0, status=JobStatus.FAILED, created_at=naive
    )
    with pytest.raises(JobRefused) as refused:
        life.admit(wrong)
    for word in ("no id", "not pending", "2 attempts", "max_attempts", "time zone"):
        assert word in str(refused.value)


def test_times_survive_being_written_as_seconds() -> None:
    for seconds in (0.0, NOW + 0.000001, NOW + 0.123456, 4_102_444_800.999999):
        assert life.moment(life.when(life.moment(seconds))) == life.moment(seconds)


@pytest.mark.parametrize(
    "seconds", [float("nan"), float("inf"), -1e300, 1e20, life.END, life.FIRST - 1]
)
def test_what_is_no_time_of_the_calendar_is_told_as_that(seconds: float) -> None:
    assert not life.is_moment(seconds)
    with pytest.raises(ValueError, match="no time of the years 1 to 9999"):
        life.moment(seconds)
