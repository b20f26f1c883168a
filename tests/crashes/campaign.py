"""Kills the processes that share one job store, at random moments, and holds what is left against the promises.

    python tests/crashes/campaign.py [--kills 200] [--workers 1 2 4] [--pauses 20] [--cuts 60] [--births 40] [--seed N]

Takes about five minutes. Exits with 1 if any promise was broken, and leaves the files of that part where it says.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import attrs
from aftermath import drain, evidence
from births import bear
from company import Company, Member, company, first_to_open
from pauses import hold_up
from powercuts import cut_the_power
from verdict import Verdict, judge

LONGEST_OPENING = 0.005
LONGEST_CHILD = 1.5
WEIGHTS = {"worker": 5, "client": 5, "producer": 4, "checkpointer": 1}
WORKING = ("worker", "client")


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
        """One who is at work, since an interpreter that starts has nothing to lose yet; now and then all."""
        those = [one for one in self._those.members if one not in self._unlucky]
        if self._chance.random() < self._plan.together:
            return those
        working = [member for member in those if member.opens(0)]
        if not working:
            return ()
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
        if role in WORKING:
            role = self._chance.choice(WORKING)
        forks = role in WORKING and self._chance.random() < self._plan.forks
        backend = self._chance.choice(("asyncio", "trio"))
        return self._those.hire(role, forks=LONGEST_CHILD if forks else 0.0, backend=backend)

    def _replace(self, role: str) -> None:
        newcomer = self._hire(role)
        if role != "checkpointer" and self._chance.random() < self._plan.opening:
            self._unlucky.append(newcomer)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="for each number of workers")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--pauses", type=int, default=20, help="for longer than a lease")
    parser.add_argument("--cuts", type=int, default=60, help="power cuts")
    parser.add_argument("--births", type=int, default=40, help="kills while the file is made")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    work = Path(tempfile.mkdtemp(prefix="crashes-"))
    failed = False
    parts: dict[str, Callable[[Path], tuple[Verdict, Sequence[str]]]] = {
        f"{workers} workers and {workers} producers": partial(
            run, plan=Plan(workers=workers, kills=asked.kills), seed=asked.seed
        )
        for workers in asked.workers
    }
    parts[f"{asked.pauses} pauses longer than a lease"] = partial(
        hold_up, rounds=asked.pauses, chance=random.Random(asked.seed)
    )
    for number, (title, part) in enumerate(parts.items(), 1):
        began, directory = time.monotonic(), work / str(number)
        verdict, strange = part(directory)
        print(f"\n{title}, {time.monotonic() - began:.0f} s\n{verdict.report()}")
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
