"""Kills the processes that share one job store, at random moments, and holds what is left against the promises.

    python tests/crashes/campaign.py [--kills 200] [--workers 1 2 4] [--cuts 60] [--births 40] [--seed N]

Takes about five minutes. Exits with 1 if any promise was broken, and leaves the files of that part where it says.
"""

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import attrs
from births import bear
from company import SOON, Company, Member, company, first_to_open
from journals import read
from powercuts import cut_the_power
from verdict import Evidence, Verdict, judge

from novitai_sdk.jobs import JobQuery, SqliteStore

LONGEST_OPENING = 0.005
LONGEST_CHILD = 1.5
WEIGHTS = {"worker": 5, "producer": 4, "checkpointer": 1}
LONGEST_DRAIN = 60.0


@attrs.frozen(kw_only=True)
class Plan:
    """How a campaign goes.

    Attributes:
        workers: How many processes work on jobs, and how many add some.
        kills: How often a process is killed.
        pause: Seconds between two kills, on average.
        opening: Part of the kills after which who takes the place is killed while it opens the file.
        together: Part of the kills that hit all processes at once.
        forks: Part of the workers that fork.
    """

    workers: int
    kills: int = 200
    pause: float = 0.35
    opening: float = 0.15
    together: float = 0.03
    forks: float = 0.3


def run(directory: Path, plan: Plan, seed: int) -> tuple[Verdict, Sequence[str]]:
    """Go through *plan* in *directory*; answer with the verdict, and with processes that ended as none should."""
    with company(directory, seed, poison=True) as those:
        Killer(those, plan, random.Random(seed)).work()
        drain(those)
        return judge(evidence(those)), those.strange


class Killer:
    """Kills members of *those*, and has others take their places."""

    def __init__(self, those: Company, plan: Plan, chance: random.Random) -> None:
        self._those = those
        self._plan = plan
        self._chance = chance
        self._kills = 0
        self._unlucky: list[Member] = []  # to be killed as soon as they open the file

    def work(self) -> None:
        for _ in range(self._plan.workers):
            self._hire("worker")
            self._those.hire("producer")
        self._those.hire("checkpointer")
        while self._kills < self._plan.kills:
            pause = self._chance.expovariate(1 / self._plan.pause)
            self._wait(min(pause, 4 * self._plan.pause))
            victims = self._victims()
            for victim in victims:
                self._kills += self._those.kill(victim)
            for victim in victims:
                self._replace(victim.role)

    def _victims(self) -> Sequence[Member]:
        """Mostly one who is at work, since an interpreter that starts has nothing to lose yet; now and then all."""
        those = [one for one in self._those.members if one not in self._unlucky]
        if self._chance.random() < self._plan.together:
            return those
        working = [member for member in those if member.opens(0)] or those
        return self._chance.choices(working, [WEIGHTS[member.role] for member in working])

    def _wait(self, seconds: float) -> None:
        """Let time pass, and kill those who open the file now and are meant to get no further."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for role in self._those.bury_the_dead():
                self._hire(role)
            self._unlucky = [one for one in self._unlucky if one in self._those.members]
            opening = first_to_open(self._unlucky, min(left, 0.1))
            for member in opening:
                time.sleep(self._chance.uniform(0, LONGEST_OPENING))
                self._kills += self._those.kill(member)
                self._unlucky.remove(member)
                self._hire(member.role)

    def _hire(self, role: str) -> Member:
        forks = role == "worker" and self._chance.random() < self._plan.forks
        return self._those.hire(role, forks=LONGEST_CHILD if forks else 0.0)

    def _replace(self, role: str) -> None:
        newcomer = self._hire(role)
        if role != "checkpointer" and self._chance.random() < self._plan.opening:
            self._unlucky.append(newcomer)


def drain(those: Company) -> None:
    """End the adding, and let the workers finish what is there."""
    those.dismiss("producer", "checkpointer")
    until = time.monotonic() + LONGEST_DRAIN
    with closing(SqliteStore(those.path)) as store:
        while time.monotonic() < until:
            stats = store.stats().result(SOON)
            if stats.pending_jobs + stats.processing_jobs == 0:
                break
            for role in those.bury_the_dead():
                those.hire(role)
            time.sleep(0.05)
    those.dismiss("worker")


def evidence(those: Company) -> Evidence:
    with closing(SqliteStore(those.path)) as store:
        stats = store.stats().result(SOON)
        jobs = store.jobs(JobQuery()).result(SOON)
        effects = [record.body for record in store.scan("effect").result(SOON)]
    with closing(sqlite3.connect(those.path)) as db:
        (integrity,) = db.execute("PRAGMA integrity_check").fetchone()
    return Evidence(
        entries=read(those.journal_path),
        jobs=jobs,
        effects=effects,
        integrity=str(integrity),
        counted={
            "pending": stats.pending_jobs,
            "processing": stats.processing_jobs,
            "completed": stats.completed_jobs,
            "failed": stats.failed_jobs,
        },
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="for each number of workers")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--cuts", type=int, default=60, help="power cuts")
    parser.add_argument("--births", type=int, default=40, help="kills while the file is made")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    work = Path(tempfile.mkdtemp(prefix="crashes-"))
    failed = False
    for workers in asked.workers:
        began, directory = time.monotonic(), work / f"{workers}-workers"
        verdict, strange = run(directory, Plan(workers=workers, kills=asked.kills), asked.seed)
        took = time.monotonic() - began
        print(f"\n{workers} workers and {workers} producers, {took:.0f} s\n{verdict.report()}")
        failed |= told(directory, [*verdict.broken(), *strange])
    for title, stage, rounds in (
        ("kills while the file is made or brought up to date", bear, asked.births),
        ("power cuts, as far as copies can show them", cut_the_power, asked.cuts),
    ):
        directory = work / stage.__name__
        outcome = stage(directory, rounds, random.Random(asked.seed))
        print(f"\n{rounds} {title}\n{outcome.report()}")
        failed |= told(directory, outcome.broken)
    if not failed:
        shutil.rmtree(work)
    return int(failed)


def told(directory: Path, broken: Sequence[str]) -> bool:
    """Say what was broken; answer whether anything was."""
    for fault in broken:
        print(f"  BROKEN {fault}")
    if broken:
        print(f"  the files are in {directory}")
    sys.stdout.flush()
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
