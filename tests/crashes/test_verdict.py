"""The judge of the crash campaign finds what it looks for: forged journals, and processes that do it wrong."""

import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import attrs
import pytest
from aftermath import drain, evidence
from company import SOON, company
from journals import Entry, Journal, read
from moments import block_until
from verdict import Evidence, judge

from novitai_sdk.models import Job, JobStatus, JobType

NOW = datetime.fromtimestamp(1_700_000_000, timezone.utc)


def job(id: str, **changes: object) -> Job:
    one = Job(
        id=id,
        type=JobType("instant"),
        payload={"due": NOW.timestamp(), "times": 2},
        status=JobStatus.COMPLETED,
        attempts=1,
        created_at=NOW,
        completed_at=NOW,
    )
    return attrs.evolve(one, **changes)  # type: ignore[arg-type]


class Story:
    """A journal and a file, put together by hand; a second passes with every line."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.jobs: list[Job] = []
        self.effects: list[Mapping[str, object]] = []

    def note(self, name: str, word: str, *facts: object) -> None:
        self.entries.append(Entry(float(len(self.entries)), name, word, facts))

    def add(self, *ids: str, key: str | None = None) -> None:
        self.note("producer-1", "means", [(one, key) for one in ids])
        self.note("producer-1", "acknowledges", list(ids))

    def begin(self, id: str, attempt: int = 1, name: str = "worker-1") -> str:
        mark = f"{name}:{len(self.entries)}"
        self.note(name, "begins", id, attempt, mark, NOW.timestamp() + len(self.entries))
        return mark

    def attempt(
        self, id: str, attempt: int = 1, name: str = "worker-1", answer: str = "Done"
    ) -> None:
        mark = self.begin(id, attempt, name)
        self.note(name, "answers", mark, answer)
        if answer in ("Done", "GiveUp", "Again"):
            self.effects.append({"job": id, "mark": mark, "attempt": attempt})

    def kill(self, name: str) -> None:
        self.note("driver", "killing", name)

    def broken(self, *, within: float = 1.0, **changes: object) -> set[str]:
        found = Evidence(entries=self.entries, jobs=self.jobs, effects=self.effects)
        verdict = judge(attrs.evolve(found, **changes))  # type: ignore[arg-type]
        return {fault.partition(":")[0] for fault in verdict.broken(within=within)}


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_job_that_was_done_at_once_breaks_no_promise(story: Story) -> None:
    story.add("a")
    story.attempt("a")
    story.jobs = [job("a")]
    assert story.broken(counted={"completed": 1, "failed": 0}) == set()


def test_a_job_whose_worker_was_killed_may_be_done_by_the_next(story: Story) -> None:
    story.add("a")
    story.begin("a", 1)
    story.kill("worker-1")
    story.note("worker-2", "opened")
    story.attempt("a", 2, "worker-2")
    story.jobs = [job("a", attempts=2)]
    assert story.broken(within=1.0) == set()
    assert story.broken(within=0.9) == {"recovery"}


def test_an_acknowledged_job_that_is_not_in_the_file_is_lost(story: Story) -> None:
    story.add("a")
    assert story.broken() == {"lost"}


def test_a_job_that_was_never_acknowledged_may_be_missing(story: Story) -> None:
    story.note("producer-1", "means", [("a", None)])
    assert story.broken() == set()


def test_a_job_may_be_dropped_for_one_of_its_key_that_is_live(story: Story) -> None:
    story.add("a", key="k")
    story.add("b", key="k")
    story.attempt("a")
    story.jobs = [job("a", payload={"key": "k"})]
    assert story.broken() == set()


def test_a_job_that_was_dropped_for_one_of_its_key_that_had_ended_is_lost(story: Story) -> None:
    story.add("a", key="k")
    story.attempt("a")
    story.note("worker-1", "ended", "a", "completed", 1)
    story.add("b", key="k")
    story.jobs = [job("a", payload={"key": "k"})]
    assert story.broken() == {"lost"}


def test_two_live_jobs_of_one_key_are_noticed(story: Story) -> None:
    story.add("a", "b", key="k")
    first = story.begin("a")
    story.attempt("b")
    story.note("worker-1", "answers", first, "flop")
    story.attempt("a", 2)
    story.jobs = [
        job("a", payload={"key": "k"}, attempts=2),
        job("b", payload={"key": "k"}),
    ]
    assert story.broken() == {"crossed"}


@pytest.mark.parametrize("killed", [False, True])
def test_a_settled_job_that_runs_again_is_noticed(story: Story, killed: bool) -> None:
    story.add("a")
    story.attempt("a")
    if killed:
        story.kill("worker-1")
    story.begin("a", 2, "worker-2")
    story.jobs = [job("a", attempts=1)]
    assert "run_again" in story.broken()


def test_a_job_of_one_who_died_before_its_end_was_stored_may_run_again(story: Story) -> None:
    story.add("a")
    story.note("worker-1", "answers", story.begin("a", 1), "Done")
    story.kill("worker-1")
    story.attempt("a", 2, "worker-2")
    story.jobs = [job("a", attempts=2)]
    assert story.broken() == set()


def test_a_job_taken_from_a_worker_that_lives_is_noticed(story: Story) -> None:
    story.add("a")
    story.begin("a", 1, "worker-1")
    story.attempt("a", 2, "worker-2")
    story.kill("worker-1")
    story.jobs = [job("a", attempts=2)]
    assert story.broken() == {"at_once"}


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.PROCESSING])
def test_a_job_that_does_not_end_is_stuck(story: Story, status: JobStatus) -> None:
    story.add("a")
    story.jobs = [job("a", status=status, attempts=0)]
    assert story.broken() == {"stuck"}


@pytest.mark.parametrize(
    ("second", "counted"),
    [(1, 1), (2, 3), (2, 1), (4, 4)],
    ids=["not counted", "counted later", "counted back", "more than allowed"],
)
def test_attempts_that_nothing_explains_are_noticed(
    story: Story, second: int, counted: int
) -> None:
    story.add("a")
    story.attempt("a", 1, answer="flop")
    story.attempt("a", second)
    story.jobs = [job("a", attempts=counted)]
    assert story.broken() == {"miscounted"}


def test_attempts_start_anew_with_what_was_seen(story: Story) -> None:
    story.add("a")
    story.attempt("a", 1, answer="flop")
    story.attempt("a", 2, answer="Again")
    story.attempt("a", 1, answer="Again")
    story.attempt("a", 1)
    story.jobs = [job("a", type=JobType("looking"))]
    assert story.broken() == set()


def test_more_attempts_without_a_begin_than_the_dead_could_have_taken_are_noticed(
    story: Story,
) -> None:
    story.add("a")
    story.attempt("a", 2)
    story.jobs = [job("a", attempts=2)]
    assert story.broken() == {"miscounted"}
    story.kill("worker-7")  # too late to have taken it before
    assert story.broken() == {"miscounted"}


def test_one_who_died_may_have_taken_a_job_and_not_begun_it(story: Story) -> None:
    story.add("a")
    story.kill("worker-7")
    story.attempt("a", 2, "worker-8")
    story.jobs = [job("a", attempts=2)]
    assert story.broken() == set()


def test_a_job_that_was_handed_back_is_begun_again_with_the_same_number(story: Story) -> None:
    story.add("a")
    story.begin("a", 1)
    story.note("worker-1", "ended", "a", "handed_back", 0)
    story.attempt("a", 1, "worker-2")
    story.jobs = [job("a")]
    assert story.broken() == set()


def test_what_was_taken_over_counts_only_where_leases_may_end(story: Story) -> None:
    story.add("a")
    mark = story.begin("a", 1)
    story.attempt("a", 2, "worker-2")
    story.note("worker-1", "answers", mark, "Done")
    story.note("worker-1", "lost", "a", mark)
    story.jobs = [job("a", attempts=2)]
    assert story.broken(lapsing=True) == set()
    assert story.broken() == {"run_again"}
    story.effects.append({"job": "a", "mark": mark, "attempt": 1})
    assert story.broken(lapsing=True) == {"effects"}


def test_one_who_lost_a_job_to_a_claim_before_his_own_is_noticed(story: Story) -> None:
    story.add("a")
    first = story.begin("a", 1)
    second = story.begin("a", 2, "worker-2")
    story.note("worker-1", "answers", first, "Done")
    story.effects.append({"job": "a", "mark": first, "attempt": 1})
    story.note("worker-2", "lost", "a", second)
    story.jobs = [job("a")]
    assert story.broken(lapsing=True) == {"miscounted"}


def test_a_job_that_gave_up_before_its_last_attempt_is_miscounted(story: Story) -> None:
    story.add("a")
    story.attempt("a", 1, answer="flop")
    story.jobs = [job("a", type=JobType("hopeless"), status=JobStatus.FAILED)]
    assert story.broken() == {"miscounted"}


@pytest.mark.parametrize(
    ("type_", "status"), [("poison", JobStatus.COMPLETED), ("instant", JobStatus.FAILED)]
)
def test_a_wrong_end_is_noticed(story: Story, type_: str, status: JobStatus) -> None:
    story.add("a")
    story.attempt("a")
    story.jobs = [job("a", type=JobType(type_), status=status)]
    assert "misended" in story.broken()


def test_effects_that_are_missing_or_doubled_or_of_nobody_are_noticed(story: Story) -> None:
    story.add("a")
    story.attempt("a")
    story.jobs = [job("a")]
    (effect,) = story.effects
    assert story.broken(effects=[]) == {"effects"}
    assert story.broken(effects=[effect, effect]) == {"effects"}
    assert "effects" in story.broken(effects=[{**effect, "mark": "nobody's"}])


@pytest.mark.parametrize("children", [0, 2])
def test_follow_ups_that_are_missing_or_doubled_are_noticed(story: Story, children: int) -> None:
    story.add("a")
    story.attempt("a")
    story.jobs = [job("a", type=JobType("parent"))]
    for number in range(children):
        child = f"child-{number}"
        payload = {"parent": "a", "mark": story.effects[0]["mark"]}
        story.attempt(child)
        story.jobs.append(job(child, type=JobType("child"), payload=payload))
    assert story.broken() == {"effects"}


def test_a_job_that_begins_before_it_is_due_is_noticed(story: Story) -> None:
    story.add("a")
    story.attempt("a")
    story.jobs = [job("a", payload={"due": NOW.timestamp() + 1000})]
    assert story.broken() == {"early"}


def test_a_job_that_nobody_meant_to_add_is_noticed(story: Story) -> None:
    story.attempt("a")
    story.jobs = [job("a")]
    assert story.broken() == {"unknown"}


def test_a_damaged_file_and_wrong_counts_are_noticed(story: Story) -> None:
    assert story.broken(integrity="row 1 missing from index") == {"integrity"}
    assert story.broken(counted={"completed": 1}) == {"counts"}


def test_a_line_whose_writer_was_killed_inside_it_hides_no_other(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text('\n[1.0, "worker-1", "opened"]\n\n[2.0, "worker-1", "beg')
    other = Journal(journal, "worker-2")
    other.note("opened")
    other.close()
    assert [(one.name, one.word) for one in read(journal)] == [
        ("worker-1", "opened"),
        ("worker-2", "opened"),
    ]


# Processes that do it wrong


on_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and flock")


@on_posix
def test_a_worker_that_stores_its_effect_before_the_end_is_found_out(tmp_path: Path) -> None:
    with company(tmp_path, seed=1) as those:
        those.hire("producer")
        block_until(lambda: "acknowledges" in those.journal_path.read_text(), SOON)
        those.dismiss("producer")
        those.hire("worker", wrong="effect before the end")
        block_until(those.bury_the_dead, SOON)  # it kills itself in the middle of the first job
        those.hire("worker")
        drain(those)
        verdict = judge(evidence(those))
    assert verdict.effects
    assert not verdict.lost
    assert not verdict.stuck


@on_posix
def test_a_producer_that_acknowledges_before_the_commit_is_found_out(tmp_path: Path) -> None:
    with company(tmp_path, seed=1) as those:
        those.hire("producer", wrong="acknowledges early")
        block_until(those.bury_the_dead, SOON)
        assert judge(evidence(those)).lost
