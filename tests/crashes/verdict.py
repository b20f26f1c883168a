"""Holds what a campaign's processes put down against what is in the file at the end.

``judge`` is a function of the two, so that forged journals can show that it finds what it looks for.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Final

import attrs
from journals import Entry

from novitai_sdk.models import Job, JobStatus

# What a job of these kinds comes to if nobody is killed while working on it; all others complete.
FAILING: Final = frozenset({"poison", "hopeless", "giving_up"})

# What a verdict lists jobs under.
FAULTS: Final = (
    "lost",
    "run_again",
    "at_once",
    "stuck",
    "miscounted",
    "misended",
    "effects",
    "early",
    "crossed",
    "unknown",
)

WORKING: Final = ("worker", "client")

# What the dead were in the middle of, by the last word they said.
MOMENTS: Final = {
    "": "starting",
    "opening": "opening",
    "means": "commit",
    "checkpoints": "checkpoint",
}

# Wall clocks are told to the microsecond, and rounded.
ROUNDING: Final = 0.001


@attrs.frozen(kw_only=True)
class Evidence:
    """What is left when all is over.

    Attributes:
        entries: The journal.
        jobs: All jobs in the file.
        effects: The bodies of the records that handlers stored together with their outcomes.
        integrity: What ``PRAGMA integrity_check`` said.
        counted: Jobs by status, as the store counts them.
        lapsing: Whether a worker that was held up may have lost its claims. Attempts that it knows to be lost do not
            count then; they must have left nothing behind.
    """

    entries: Sequence[Entry]
    jobs: Sequence[Job]
    effects: Sequence[Mapping[str, object]]
    integrity: str = "ok"
    counted: Mapping[str, int] = attrs.Factory(dict[str, int])
    lapsing: bool = False


@attrs.frozen
class Attempt:
    """One call of a handler, and where its journal lines stand."""

    index: int
    at: float
    name: str
    job: str
    number: int
    mark: str
    wall: float


@attrs.frozen(kw_only=True)
class Recoveries:
    """Seconds from a death until a job that the dead one held was begun again.

    Attributes:
        restarted: Counted from the moment at which a worker that began after the death had opened the file.
        survived: Counted from the death, where one that had lived all the time was faster.
    """

    restarted: tuple[float, ...] = ()
    survived: tuple[float, ...] = ()


@attrs.frozen(kw_only=True)
class Verdict:
    """What was promised, and how often it was not kept: each list names jobs, and is empty if all is well.

    Attributes:
        lost: Acknowledged, and not in the file.
        run_again: Begun again after they were settled.
        at_once: Begun while somebody else, who lived, had not ended his attempt.
        stuck: Neither completed nor failed at the end.
        miscounted: With attempts that nothing explains, or more than allowed.
        misended: Completed where they had to fail, or the other way round.
        effects: What was to be stored with their end is missing, or there more than once.
        early: Begun before they were due.
        crossed: Two of one key that were live at the same time.
        unknown: Nobody meant to add them.
        integrity: What SQLite says about the file.
        counts: Whether the store's counts are those of its jobs.
        acknowledged: Jobs whose commit was answered.
        settled: Jobs that completed or failed.
        attempts: Calls of handlers.
        forked: Those of them in processes that were forked from others.
        unbegun: Attempts that were counted, and whose worker died before it called the handler.
        voided: Attempts whose result was dropped, because somebody else had the job by then.
        kills: Deaths, by role.
        moments: Deaths, by what they came in the middle of.
        recoveries: How long it took.
    """

    lost: tuple[str, ...]
    run_again: tuple[str, ...]
    at_once: tuple[str, ...]
    stuck: tuple[str, ...]
    miscounted: tuple[str, ...]
    misended: tuple[str, ...]
    effects: tuple[str, ...]
    early: tuple[str, ...]
    crossed: tuple[str, ...]
    unknown: tuple[str, ...]
    integrity: str
    counts: bool
    acknowledged: int
    settled: int
    attempts: int
    forked: int
    unbegun: int
    voided: int
    kills: Mapping[str, int]
    moments: Mapping[str, int]
    recoveries: Recoveries

    def broken(self, *, within: float = 1.0) -> Sequence[str]:
        """Every promise that was not kept.

        Recovery has to come *within* so many seconds of a restart. On a machine with more to do than this one out of
        ten may take longer, but none ten times as long: a lease would.
        """
        found = [f"{name}: {getattr(self, name)}" for name in FAULTS if getattr(self, name)]
        if self.integrity != "ok":
            found.append(f"integrity: {self.integrity}")
        if not self.counts:
            found.append("counts: the store's are not those of its jobs")
        slow = [seconds for seconds in self.recoveries.restarted if seconds > within]
        if 10 * len(slow) > len(self.recoveries.restarted) or max(slow, default=0.0) > 10 * within:
            found.append(f"recovery: {slow} seconds, more than {within:g}")
        return found

    def report(self) -> str:
        """The figures, line by line."""
        lines = {
            "acknowledged jobs": self.acknowledged,
            "  lost": len(self.lost),
            "settled jobs": self.settled,
            "  run again": len(self.run_again),
            "  stuck": len(self.stuck),
            "attempts": self.attempts,
            "  in forked processes": self.forked,
            "  two at once": len(self.at_once),
            "  wrong counts": len(self.miscounted),
            "  counted, killed before the handler": self.unbegun,
            "  taken over from who was held up": self.voided,
            "wrong ends": len(self.misended),
            "wrong effects": len(self.effects),
            "begun early": len(self.early),
            "keys crossed": len(self.crossed),
            "unknown jobs": len(self.unknown),
            "integrity_check": self.integrity,
            "counts": "right" if self.counts else "wrong",
            "deaths": told(self.kills),
            "  in the middle of": told(self.moments),
            "recovery after a restart": spread(self.recoveries.restarted),
            "recovery by a survivor": spread(self.recoveries.survived),
        }
        return "\n".join(f"  {name:<38}{value}" for name, value in lines.items())


def told(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values())}: " + ", ".join(f"{n} {what}" for what, n in counts.items())


def spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    late = sum(one > 1.0 for one in seconds)
    middle, longest = median(seconds) * 1000, max(seconds) * 1000
    return f"{len(seconds)}: p50 {middle:.0f} ms, max {longest:.0f} ms, {late} above 1 s"


def judge(evidence: Evidence) -> Verdict:
    """Say which promises were kept."""
    return _Trial(evidence).verdict()


class _Trial:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._jobs = {job.id: job for job in evidence.jobs}
        self._begun: dict[str, list[Attempt]] = defaultdict(list)
        self._answers: dict[str, str] = {}
        self._doomed: dict[str, int] = {}  # where in the journal their end begins
        self._kills: Counter[str] = Counter()
        self._handed_back: set[tuple[str, str, int]] = set()
        self._lost: set[str] = set()
        self._losses: Counter[str] = Counter()  # claims, by job
        self._meant: dict[str, int] = {}
        self._key_of: dict[str, str] = {}
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._acknowledged: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        for index, entry in enumerate(evidence.entries):
            self._take(index, entry)
        self._voided: dict[str, list[Attempt]] = defaultdict(list)
        for job, attempts in self._begun.items():
            self._voided[job] = [one for one in attempts if one.mark in self._lost]
            attempts[:] = [one for one in attempts if one.mark not in self._lost]
        self._deaths = sorted(
            index for name, index in self._doomed.items() if name.startswith(WORKING)
        )
        self._effects: dict[str, list[Mapping[str, object]]] = defaultdict(list)
        for effect in evidence.effects:
            self._effects[str(effect["job"])].append(effect)

    def _take(self, index: int, entry: Entry) -> None:
        facts = entry.facts
        if entry.word == "begins":
            job, number, mark, wall = facts
            attempt = Attempt(index, entry.at, entry.name, job, number, mark, wall)
            self._begun[job].append(attempt)
        elif entry.word == "answers":
            self._answers[facts[0]] = facts[1]
        elif entry.word == "ended" and facts[1] in ("completed", "failed"):
            self._ended.setdefault(facts[0], index)
        elif entry.word == "ended" and facts[1] == "handed_back":
            self._handed_back.add((entry.name, facts[0], facts[2] + 1))
        elif entry.word == "lost" and self._evidence.lapsing:
            job, mark = facts
            self._losses[job] += 1
            self._lost.add(mark)
        elif entry.word == "killing":
            self._doomed.setdefault(facts[0], index)
            role = facts[0].partition("-")[0]
            self._kills[role if entry.name != facts[0] else f"{role} by itself"] += 1
        elif entry.word == "means":
            for job, key in facts[0]:
                self._meant[job] = index
                if key:
                    self._key_of[job] = key
                    self._keys[key].append(job)
        elif entry.word == "acknowledges":
            self._acknowledged.update((job, index) for job in facts[0])

    def verdict(self) -> Verdict:
        jobs = self._evidence.jobs
        stuck = self._those(lambda job: job.status not in (JobStatus.COMPLETED, JobStatus.FAILED))
        counts = {job.id: self._count(job) for job in jobs}
        return Verdict(
            lost=tuple(job for job in self._acknowledged if self._is_lost(job)),
            run_again=self._those(self._ran_again),
            at_once=self._those(self._ran_at_once),
            stuck=stuck,
            miscounted=tuple(job_id for job_id, (wrong, _) in counts.items() if wrong),
            misended=self._those(self._is_misended),
            effects=self._those(self._has_wrong_effects),
            early=self._those(self._is_early),
            crossed=tuple(self._crossed()),
            unknown=self._those(self._is_unknown),
            integrity=self._evidence.integrity,
            counts=self._are_counted(),
            acknowledged=len(self._acknowledged),
            settled=len(jobs) - len(stuck),
            attempts=sum(map(len, self._begun.values())),
            forked=sum(
                one.name.endswith("-child") for some in self._begun.values() for one in some
            ),
            unbegun=sum(unbegun for _, unbegun in counts.values()),
            voided=sum(self._losses.values()),
            kills=self._kills,
            moments=self._moments(),
            recoveries=self._recoveries(),
        )

    def _those(self, condition: "Callable[[Job], bool]") -> tuple[str, ...]:
        return tuple(job.id for job in self._evidence.jobs if condition(job))

    # What was promised of each job

    def _is_lost(self, job_id: str) -> bool:
        if job_id in self._jobs:
            return False
        # Dropped, and that is well, if one of its key was live between the call and its answer.
        return not any(
            fellow in self._jobs
            and self._meant[fellow] <= self._acknowledged[job_id]
            and self._end(fellow) >= self._meant[job_id]
            for fellow in self._keys.get(self._key_of.get(job_id, ""), ())
        )

    def _end(self, job_id: str) -> float:
        """Where in the journal a job had ended at the latest."""
        attempts = self._begun[job_id]
        died = self._doomed.get(attempts[-1].name, math.inf) if attempts else math.inf
        return self._ended.get(job_id, died)

    def _ran_again(self, job: Job) -> bool:
        attempts = self._begun[job.id]
        marks = [effect["mark"] for effect in self._final_effects(job)]
        if marks and attempts and attempts[-1].mark not in marks:
            return True
        if any(attempt.index > self._ended.get(job.id, attempt.index) for attempt in attempts):
            return True
        return any(
            self._answers.get(one.mark) in ("Done", "GiveUp") and not self._died_before(one, after)
            for one, after in pairwise(attempts)
        )

    def _ran_at_once(self, job: Job) -> bool:
        return any(
            one.mark not in self._answers
            and not self._died_before(one, after)
            and not self._was_handed_back(one)
            for one, after in pairwise(self._begun[job.id])
        )

    def _count(self, job: Job) -> tuple[bool, int]:
        """Whether attempts stood still, went back or were too many; and how many were counted without being begun."""
        counted, unbegun = 0, 0
        wrong = job.attempts > job.max_attempts or self._lost_to_an_older(job)
        since = self._meant.get(job.id, 0)
        for attempt in self._begun[job.id]:
            missing = attempt.number - counted - 1
            wrong = wrong or attempt.number > job.max_attempts
            wrong = wrong or not 0 <= missing <= self._most_unbegun(job.id, since, attempt.index)
            unbegun += max(0, missing)
            counted, since = attempt.number, attempt.index
            if self._was_handed_back(attempt):
                counted -= 1
            elif self._answers.get(attempt.mark) == "Again" and self._was_stored(attempt):
                counted = 0  # attempts start anew with what it has seen
        if job.status is JobStatus.COMPLETED or self._final_effects(job):
            return wrong or job.attempts != counted, unbegun
        if job.status is JobStatus.FAILED:
            missing = job.attempts - counted
            wrong = wrong or not 0 <= missing <= self._most_unbegun(job.id, since, math.inf)
            return wrong or job.attempts != job.max_attempts, unbegun + max(0, missing)
        return wrong, unbegun

    def _lost_to_an_older(self, job: Job) -> bool:
        """Whether somebody lost the job to a claim before his own."""
        if job.type == "looking":
            return False  # its attempts start anew, so they do not tell
        worn_out = job.status is JobStatus.FAILED and job.attempts == job.max_attempts
        return not worn_out and any(one.number >= job.attempts for one in self._voided[job.id])

    def _most_unbegun(self, job_id: str, since: float, until: float) -> int:
        """Attempts that may have been counted in between, by workers who then died or lost the claim."""
        deaths = bisect_left(self._deaths, until) - bisect_left(self._deaths, since)
        return deaths + self._losses[job_id]

    def _is_misended(self, job: Job) -> bool:
        if job.status not in (JobStatus.COMPLETED, JobStatus.FAILED):
            return False  # stuck, which is counted elsewhere
        failing = str(job.type) in FAILING
        worn_out = job.attempts >= job.max_attempts
        return (job.status is JobStatus.FAILED) != failing and not (worn_out and not failing)

    def _has_wrong_effects(self, job: Job) -> bool:
        effects = self._effects[job.id]
        attempts = {attempt.mark: attempt.number for attempt in self._begun[job.id]}
        if any(attempts.get(str(one["mark"])) != one["attempt"] for one in effects):
            return True  # of an attempt that never was
        final = self._final_effects(job)
        told = job.status is JobStatus.COMPLETED or job.type == "giving_up"
        worn_out = job.status is JobStatus.FAILED and job.attempts >= job.max_attempts
        if len(final) != int(told) and not (worn_out and not final):
            return True
        looks = len(effects) - len(final)
        wanted = int(str(job.payload["times"])) if job.type == "looking" else 0
        if looks != wanted and not (worn_out and looks < wanted):
            return True
        return self._has_wrong_follow_ups(job)

    def _has_wrong_follow_ups(self, job: Job) -> bool:
        if job.type != "parent":
            return False
        marks = [child.payload["mark"] for child in self._children[job.id]]
        return marks != [effect["mark"] for effect in self._final_effects(job)]

    def _is_early(self, job: Job) -> bool:
        due = job.payload.get("due")
        return isinstance(due, float) and any(
            attempt.wall < due - ROUNDING for attempt in self._begun[job.id]
        )

    def _is_unknown(self, job: Job) -> bool:
        return job.id not in self._meant and job.payload.get("parent") not in self._jobs

    def _crossed(self) -> Iterator[str]:
        by_key: dict[object, list[list[Attempt]]] = defaultdict(list)
        for job in self._evidence.jobs:
            if job.payload.get("key") and self._begun[job.id]:
                by_key[job.payload["key"]].append(self._begun[job.id])
        for lives in by_key.values():
            lives.sort(key=lambda attempts: attempts[0].index)
            for life, later in pairwise(lives):
                if life[-1].index > later[0].index:
                    yield f"{life[-1].job} and {later[0].job}"

    # Of all together

    def _are_counted(self) -> bool:
        there = Counter(str(job.status) for job in self._evidence.jobs)
        return all(there[status] == count for status, count in self._evidence.counted.items())

    def _moments(self) -> Mapping[str, int]:
        """What the dead were in the middle of, by the last word they said."""
        last: dict[str, str] = {}
        held: dict[str, set[str]] = defaultdict(set)
        for index, entry in enumerate(self._evidence.entries):
            if self._doomed.get(entry.name, index) < index:
                continue
            if entry.word != "killing":
                last[entry.name] = entry.word
            if entry.word == "begins":
                held[entry.name].add(entry.facts[0])
            elif entry.word == "ended":
                held[entry.name].discard(entry.facts[0])
        found: Counter[str] = Counter()
        for name in self._doomed:
            found["jobs" if held[name] else MOMENTS.get(last.get(name, ""), "idling")] += 1
        return found

    def _recoveries(self) -> Recoveries:
        opened = [
            (index, entry)
            for index, entry in enumerate(self._evidence.entries)
            if entry.word == "opened" and entry.name.startswith(WORKING)
        ]
        first: dict[str, Attempt] = {}
        for attempts in self._begun.values():
            for one, after in pairwise(attempts):
                known = first.get(one.name)
                if self._died_before(one, after) and (known is None or after.index < known.index):
                    first[one.name] = after
        restarted: list[float] = []
        survived: list[float] = []
        for name, attempt in first.items():
            death = self._doomed[name]
            since = next(
                (
                    entry.at
                    for index, entry in opened
                    if death < index < attempt.index
                    and self._doomed.get(entry.name, attempt.index) >= attempt.index
                ),
                None,
            )
            if since is not None:
                restarted.append(attempt.at - since)
            else:
                survived.append(attempt.at - self._evidence.entries[death].at)
        return Recoveries(restarted=tuple(restarted), survived=tuple(survived))

    # Words

    @property
    def _children(self) -> Mapping[str, Sequence[Job]]:
        if not hasattr(self, "_by_parent"):
            self._by_parent: dict[str, list[Job]] = defaultdict(list)
            for job in self._evidence.jobs:
                self._by_parent[str(job.payload.get("parent"))].append(job)
        return self._by_parent

    def _final_effects(self, job: Job) -> Sequence[Mapping[str, object]]:
        """The effects of those attempts that said the job is at its end."""
        answers = ("Done", "GiveUp")
        return [
            one for one in self._effects[job.id] if self._answers.get(str(one["mark"])) in answers
        ]

    def _died_before(self, one: Attempt, after: Attempt) -> bool:
        return self._doomed.get(one.name, after.index) < after.index

    def _was_handed_back(self, attempt: Attempt) -> bool:
        return (attempt.name, attempt.job, attempt.number) in self._handed_back

    def _was_stored(self, attempt: Attempt) -> bool:
        return any(effect["mark"] == attempt.mark for effect in self._effects[attempt.job])
