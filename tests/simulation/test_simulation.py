"""Whole lives of a store and its workers, each told by a seed: whatever goes wrong, nothing is lost or done twice.

``nox -s simulation`` plays ten thousand. A seed that fails says how to see it again.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import attrs
import pytest
from simulation import Simulation, Violation, report

from novitai_sdk.jobs import (
    Batch,
    Change,
    Claim,
    ClaimLost,
    Done,
    NewJob,
    Runner,
    Settlement,
    Store,
    _crew,
    _life,
    _schedule,
)


class _Silent(logging.Filter):
    """Keeps from the report the thousands of faults that were ordered."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    log, silent = logging.getLogger("novitai_sdk"), _Silent()
    log.addFilter(silent)
    yield
    log.removeFilter(silent)


SEEDS = int(os.environ.get("SIMULATIONS", "200"))
BLOCK = 25


def blocks(kind: str, seeds: int) -> list[Any]:
    """The seeds to play, some to a test: those asked for by name, or so many from 0."""
    wanted, _, seed = os.environ.get("SIMULATION", "").partition("-")
    if wanted:
        ranges = [range(int(seed), int(seed) + 1)] if wanted == kind else []
    else:
        ranges = [range(at, min(seeds, at + BLOCK)) for at in range(0, seeds, BLOCK)]
    return [pytest.param(one, id=f"{one[0]}-{one[-1]}") for one in ranges]


@pytest.mark.parametrize("seeds", blocks("memory", SEEDS))
def test_whatever_happens_nothing_is_lost_and_nothing_happens_twice(seeds: range) -> None:
    for seed in seeds:
        play(seed)


@pytest.mark.parametrize("seeds", blocks("sqlite", SEEDS // 10))
def test_the_same_holds_for_a_file_that_several_processes_share(
    seeds: range, tmp_path: Path
) -> None:
    for seed in seeds:
        (tmp_path / str(seed)).mkdir()
        play(seed, tmp_path / str(seed))


def play(seed: int, directory: Path | None = None) -> None:
    simulation = Simulation(seed, directory)
    try:
        simulation.play()
    except Violation as violation:
        pytest.fail(report(simulation, violation), pytrace=False)


# A seed says all

SCRIPT = """
import sys, zlib
from pathlib import Path
from simulation import Simulation

in_the_way = [object() for _ in range(int(sys.argv[2]))]
for seed in range(3):
    directory = Path(sys.argv[1], sys.argv[2], str(seed))
    directory.mkdir(parents=True)
    for where in (None, directory):
        simulation = Simulation(seed, where)
        simulation.play()
        print(simulation.name, zlib.crc32("\\n".join(simulation.world.trace).encode()))
"""


def test_a_seed_is_played_the_same_way_in_every_process(tmp_path: Path) -> None:
    told: set[str] = set()
    for salt in ("1", "4321"):
        script = [sys.executable, "-c", SCRIPT, str(tmp_path), salt]
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        environment = {**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": path}
        done = subprocess.run(script, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        told.add(done.stdout)
    assert len(told) == 1


# Proof that each of the promises is looked at: break it, and it is found


class Fault:
    """A store with a fault of its own; what is not faulty is that of the *inner* one."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class ForgetsTheFence(Fault):
    """Takes what a worker says of a job that is another's by now."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._newest: dict[str, Claim] = {}

    def claim(self, *arguments: Any) -> "Future[Batch]":
        answer = self.inner.claim(*arguments)
        self._newest.update((claim.job.id, claim) for claim in answer.result(5).claims)
        return answer

    def commit(self, change: Change) -> "Future[None]":
        answer = self.inner.commit(change)
        if change.settle is None or not isinstance(answer.exception(5), ClaimLost):
            return answer
        claim = self._newest[change.settle.claim.job.id]
        return self.inner.commit(
            attrs.evolve(change, settle=attrs.evolve(change.settle, claim=claim))
        )

    def settle(self, settlements: Any) -> Any:
        newest = self._newest
        return self.inner.settle(
            [attrs.evolve(one, claim=newest[one.claim.job.id]) for one in settlements]
        )


class HandsOutWhatIsHeld(Fault):
    """Lets a lease end long before the worker thinks so."""

    def claim(
        self, owner: str, limits: Any, now: float, lease: float, *more: Any
    ) -> "Future[Batch]":
        return self.inner.claim(owner, limits, now, lease / 10, *more)

    def renew(self, claims: Any, now: float, lease: float) -> "Future[frozenset[str]]":
        return self.inner.renew(claims, now, lease / 10)


class LosesOnCrash(Fault):
    """Takes a job that was taken before, and tells nobody."""

    def claim(self, *arguments: Any) -> "Future[Batch]":
        batch = self.inner.claim(*arguments).result(5)
        told = tuple(claim for claim in batch.claims if claim.job.attempts < 2)
        return answered(attrs.evolve(batch, claims=told))


class DeliversTwice(Fault):
    """Adds what follows from a job once more."""

    def commit(self, change: Change) -> "Future[None]":
        answer = self.inner.commit(change)
        if change.settle is not None and answer.exception(5) is None:
            self._again(change.settle)
        return answer

    def settle(self, settlements: Any) -> Any:
        answer = self.inner.settle(settlements)
        for one, refusal in zip(settlements, answer.result(5), strict=True):
            if refusal is None:
                self._again(one)
        return answer

    def _again(self, settlement: Settlement) -> None:
        if isinstance(settlement.outcome, Done):
            jobs = settlement.outcome.jobs
            copies = [attrs.evolve(new.job, id=f"{new.job.id}-copy") for new in jobs]
            change = Change(
                jobs=tuple(NewJob(job=copy) for copy in copies), writes=settlement.outcome.writes
            )
            self.inner.commit(change).result(5)


class ForgetsTheRest(Fault):
    """Ends a job without what follows from it."""

    def commit(self, change: Change) -> "Future[None]":
        if change.settle is not None and isinstance(change.settle.outcome, Done):
            change = attrs.evolve(change, settle=attrs.evolve(change.settle, outcome=Done()))
        return self.inner.commit(change)

    def settle(self, settlements: Any) -> Any:
        bare = [
            attrs.evolve(one, outcome=Done()) if isinstance(one.outcome, Done) else one
            for one in settlements
        ]
        return self.inner.settle(bare)


class LooksTooLate(Fault):
    """Tells a worker to look again only after the next job is due."""

    def claim(self, *arguments: Any) -> "Future[Batch]":
        batch = self.inner.claim(*arguments).result(5)
        later = batch.next_due and batch.next_due + 60
        return answered(attrs.evolve(batch, next_due=later))


class Deaf(Runner):
    """Does not hear of work."""

    def _on_work(self, due: float) -> None:
        return


class Hasty(Runner):
    """Drops the newest claim of a job for the loss of an older one."""

    def _renewed(self, lost: frozenset[str]) -> None:
        for claim in self._renewing:
            work = self._held.get((claim.job.id, claim.number))
            if claim.job.id in lost and work is not None:
                work.lose(claim.job.id)


def answered(batch: Batch) -> "Future[Batch]":
    future: Future[Batch] = Future()
    future.set_result(batch)
    return future


def uncounted(job: Any, now: float) -> Any:
    return attrs.evolve(REAL_CLAIM(job, now), attempts=job.attempts)


def endless(job: Any, now: float) -> Any:
    return attrs.evolve(job, status="pending", next_retry_at=_life.moment(now))


def no_end_of_slots(kind: Any, busy: int) -> int:
    return kind.slots + 1


async def twice(crew: Any, work: Any) -> Any:
    await REAL_ATTEMPT(crew, work)
    return await REAL_ATTEMPT(crew, work)


REAL_ATTEMPT = _crew.Crew._attempt
REAL_CLAIM = _life.claim

# What is broken, and by which words it is found.
BROKEN_STORES = {
    ForgetsTheFence: "the store took a change of claim",
    HandsOutWhatIsHeld: "but expected were",
    LosesOnCrash: "but expected were",
    DeliversTwice: "nobody added",
    ForgetsTheRest: "left None",
    LooksTooLate: "told to look again at",
}
BROKEN_RUNNERS = {
    Deaf: "not done within 1.5 s of being added",
    Hasty: "was cut short but holds",
}
BROKEN_RULES = {
    "ignores ageing": (_schedule, "AGEING", 1e18, "but expected were"),
    "counts no attempts": (_life, "claim", uncounted, "is attempt 0 of"),
    "tries for ever": (_life, "lapse", endless, "but expected were"),
    "calls twice": (_crew.Crew, "_attempt", twice, "was handled twice"),
    "has no end of slots": (_crew.Kind, "free", no_end_of_slots, "at work at once"),
}


def found(make: Callable[[int], Simulation], within: int = 400) -> str:
    """The first violation in so many seeds."""
    for seed in range(within):
        try:
            make(seed).play()
        except Violation as violation:
            return str(violation)
    pytest.fail(f"not found in {within} simulations")


@pytest.mark.parametrize(("broken", "words"), BROKEN_STORES.items())
def test_a_store_that_breaks_a_promise_is_found(broken: type[Fault], words: str) -> None:
    assert words in found(lambda seed: Simulation(seed, broken=broken))


@pytest.mark.parametrize(("broken", "words"), BROKEN_RUNNERS.items())
def test_a_runner_that_breaks_a_promise_is_found(broken: type[Runner], words: str) -> None:
    assert words in found(lambda seed: Simulation(seed, runner_class=broken))


@pytest.mark.parametrize("rule", BROKEN_RULES)
def test_a_broken_rule_is_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, name, value, words = BROKEN_RULES[rule]
    monkeypatch.setattr(target, name, value)
    assert words in found(Simulation)
