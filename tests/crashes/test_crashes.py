"""The crash campaign in short: nothing is lost, nothing is settled twice, whoever is killed and when."""

import os
import random
import sys
from pathlib import Path

import pytest
from aftermath import drain, evidence
from births import bear
from campaign import Plan, run
from company import SOON, company
from copies import answered, faults
from journals import read
from moments import block_until
from pauses import hold_up
from powercuts import cut_the_power
from verdict import judge

SEED = int(os.environ.get("SEED", "0")) or int.from_bytes(os.urandom(4), "big")

# On a machine with more to do than this, an interpreter may stand still for seconds; a lease would take a minute.
PATIENT = 10.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and flock")


def test_twelve_kills_among_workers_and_producers_break_no_promise(tmp_path: Path) -> None:
    verdict, strange = run(tmp_path, Plan(workers=2, kills=12, pause=0.2), SEED)
    broken = [*verdict.broken(within=PATIENT), *strange]
    assert not broken, f"SEED={SEED}, files in {tmp_path}\n{verdict.report()}\n{broken}"
    assert verdict.settled > 0


def test_a_child_forked_while_its_parent_works_is_an_owner_of_its_own(tmp_path: Path) -> None:
    with company(tmp_path, SEED) as those:
        those.hire("producer")
        parent = those.hire("worker", forks=2 * PATIENT)
        block_until(
            lambda: f'{parent.name}-child", "begins' in those.journal_path.read_text(), SOON
        )
        lines = len(read(those.journal_path))
        block_until(
            lambda: (
                {parent.name, f"{parent.name}-child"}
                <= {one.name for one in read(those.journal_path)[lines:] if one.word == "begins"}
            ),
            SOON,
        )
        drain(those)
        verdict = judge(evidence(those))
    assert not [*verdict.broken(within=PATIENT), *those.strange]
    assert 0 < verdict.forked < verdict.attempts


def test_what_a_worker_brings_whose_lease_ended_meanwhile_is_dropped(tmp_path: Path) -> None:
    verdict, strange = hold_up(tmp_path, 1, random.Random(SEED))
    broken = [*verdict.broken(), *strange]
    assert not broken, f"SEED={SEED}, files in {tmp_path}\n{verdict.report()}\n{broken}"
    assert verdict.voided > 0


def test_a_file_whose_makers_are_killed_is_made_by_the_next(tmp_path: Path) -> None:
    assert not bear(tmp_path, 6, random.Random(SEED)).broken, f"SEED={SEED}"


def test_what_was_answered_outlives_whatever_becomes_of_the_end_of_the_log(tmp_path: Path) -> None:
    outcome = cut_the_power(tmp_path, 8, random.Random(SEED))
    assert not outcome.broken, f"SEED={SEED}"
    assert outcome.jobs > 0


def test_a_log_that_lacks_what_was_answered_is_noticed(tmp_path: Path) -> None:
    with company(tmp_path, SEED, plain=True) as those:
        producer = those.hire("producer")
        block_until(lambda: "acknowledges" in those.journal_path.read_text(), SOON)
        those.kill(producer)
        Path(f"{those.path}-wal").write_bytes(b"")
        (fault,) = faults(those.path, answered(read(those.journal_path)))
    assert fault.startswith("lost: ")
