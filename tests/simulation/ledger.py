"""What must be in the store, worked out a second time from what it was told and what the documentation promises."""

import math
from collections.abc import Iterable, Mapping, Sequence

import attrs
from world import Violation

from novitai_sdk.jobs import (
    Again,
    Batch,
    Change,
    Claim,
    ClaimLost,
    Done,
    GiveUp,
    HandBack,
    JobError,
    JobQuery,
    NewJob,
    Retry,
    Settlement,
    Store,
    Write,
)
from novitai_sdk.jobs._life import moment, when
from novitai_sdk.models import Job

KINDS = ("effect", "step", "tally")
SOON = 20.0


def told(seconds: float) -> float:
    """*seconds* as a record tells them, to the microsecond."""
    return when(moment(seconds))


@attrs.define
class Entry:
    """What is known of one job."""

    id: str
    type: str
    priority: int
    most: int
    key: str | None
    arrival: int
    due: float
    status: str = "pending"
    attempts: int = 0
    number: int = 0
    owner: str | None = None
    lease_until: float = 0.0
    begun: set[int] = attrs.Factory(set[int])

    @property
    def live(self) -> bool:
        return self.status in {"pending", "processing"}

    def held_by(self, claim: Claim) -> bool:
        return (self.status, self.owner, self.number) == ("processing", claim.owner, claim.number)

    def order(self, now: float) -> tuple[int, float, int]:
        """Priority, 4 first, one more for each minute of waiting; then who is due for longer; then who came first."""
        return -min(4, self.priority + int((now - self.due) // 60)), self.due, self.arrival

    def back(self, due: float) -> None:
        self.status, self.due, self.owner = "pending", told(due), None

    def end(self, status: str) -> None:
        self.status, self.owner = status, None

    def lapse(self, now: float) -> None:
        if self.attempts >= self.most:
            self.end("failed")
        else:
            self.back(now)


class Ledger:
    """The jobs and records that must be there.

    Each method is told of one operation that has taken place, and raises Violation if it must not have gone so.
    """

    def __init__(self, store: Store) -> None:
        self.store = store  # read from, never changed
        self.jobs: dict[str, Entry] = {}
        self.records: dict[tuple[str, str], tuple[int, object]] = {}
        self.settled: dict[tuple[str, int], str] = {}  # what each claim came to
        self.gone: set[str] = set()  # owners whose death the store may know of
        # By who looks: how far its two clocks are apart, and since when.
        self._clocks: dict[object, tuple[float, float]] = {}

    # Operations

    def committed(self, change: Change) -> None:
        if change.held is not None:
            self._held(change.held)
        if change.settle is not None:
            self._settle(change.settle)
        for write in change.all_writes():
            self._write(write)
        for new in change.all_jobs():
            self._add(new)

    def refused(self, change: Change, error: JobError) -> None:
        claims = [change.held, change.settle and change.settle.claim]
        lost = [one for one in claims if one and not self.holds(one)]
        if isinstance(error, ClaimLost) != bool(lost):
            raise Violation(f"{change} was refused, {error!r}, but what is lost is {lost}")

    def claimed(
        self,
        by: object,
        owner: str,
        limits: Mapping[str, int],
        now: float,
        lease: float,
        _: object,
        monotonic: float,
        batch: Batch,
    ) -> None:
        now = told(now)
        stands_until = self._reprieve(by, now, monotonic, lease)
        self._lapse(now, {claim.job.id for claim in batch.claims}, stands_until)
        for type_ in {*limits, *(str(claim.job.type) for claim in batch.claims)}:
            ripe = [one for one in self._pending(type_) if one.due <= now]
            ripe.sort(key=lambda one: one.order(now))
            expected = [one.id for one in ripe[: limits.get(type_, 0)]]
            found = [claim.job.id for claim in batch.claims if claim.job.type == type_]
            if found != expected:
                self._explain(type_, found, expected, now)
        for claim in batch.claims:
            self.granted(claim, owner, now, now + lease)
        self._sight(limits, now, batch, stands_until)

    def granted(self, claim: Claim, owner: str, now: float, lease_until: float) -> None:
        """*claim* was handed out for a job that waited."""
        entry = self._entry(claim.job.id)
        if entry.status != "pending":
            raise Violation(f"{entry} was claimed at {now} as {claim.number} of {owner}")
        if claim.number <= entry.number or claim.owner != owner:
            raise Violation(f"{claim} of {owner} follows claim {entry.number} of {entry}")
        entry.attempts += 1
        if not claim.job.attempts == entry.attempts <= entry.most:
            raise Violation(f"{claim} is attempt {claim.job.attempts} of {entry}")
        entry.status, entry.owner, entry.number = "processing", owner, claim.number
        entry.lease_until = lease_until

    def renewed(
        self, claims: Sequence[Claim], now: float, lease: float, lost: frozenset[str]
    ) -> None:
        self.asked(claims, lost)
        for claim in claims:
            if self.holds(claim):
                self._entry(claim.job.id).lease_until = now + lease

    def asked(self, claims: Sequence[Claim], lost: frozenset[str]) -> None:
        gone = {claim.job.id for claim in claims if not self.holds(claim)}
        if gone != lost:
            raise Violation(f"{set(lost)} are said to be lost, but {gone} are")

    def cancelled(self, job_id: str) -> bool:
        """A job was cancelled; answer whether somebody was at it."""
        entry = self._entry(job_id)
        if not entry.live:
            raise Violation(f"{entry} was cancelled")
        at_work = entry.status == "processing"
        entry.end("failed")
        return at_work

    def retried(self, job_id: str, now: float) -> None:
        entry = self._entry(job_id)
        if entry.status != "failed" or (entry.key and self._holder(entry.key)):
            raise Violation(f"{entry} was given a new life")
        entry.back(now)
        entry.attempts = 0

    def closed(self, owner: str) -> None:
        """A store was closed in good order: what *owner* still held was handed back."""
        self.gone.add(owner)
        for entry in self.jobs.values():
            job = self.store.job(entry.id).result(SOON) if entry.owner == owner else None
            if job is not None and job.status != "processing":
                # A store tells no time: on its own, it says the last time that it was told.
                entry.attempts -= 1
                entry.back(when(job.next_retry_at or job.created_at))

    # Attempts

    def begun(self, claim: Claim) -> bool:
        """A handler was called; False if it was called before for this claim."""
        begun = self._entry(claim.job.id).begun
        first = claim.number not in begun
        begun.add(claim.number)
        return first

    def holds(self, claim: Claim) -> bool:
        entry = self.jobs.get(claim.job.id)
        return entry is not None and entry.held_by(claim)

    # Looking

    @property
    def over(self) -> bool:
        return not any(entry.live for entry in self.jobs.values())

    def horizon(self) -> float:
        """When, on the wall clock, the last thing that is known to be waited for comes about."""
        waits = [
            entry.due if entry.status == "pending" else entry.lease_until
            for entry in self.jobs.values()
            if entry.live
        ]
        return max(waits, default=0.0)

    def count(self) -> None:
        """Compare how many jobs there are, by status."""
        stats = self.store.stats().result(SOON)
        found = {
            "pending": stats.pending_jobs,
            "processing": stats.processing_jobs,
            "completed": stats.completed_jobs,
            "failed": stats.failed_jobs,
        }
        expected = dict.fromkeys(found, 0)
        for entry in self.jobs.values():
            expected[entry.status] += 1
        if found != expected:
            self.audit()
            raise Violation(f"the store counts {found}, but there are {expected}")

    def audit(self) -> None:
        """Compare all that is there."""
        found = {job.id: job for job in self.store.jobs(JobQuery()).result(SOON)}
        if missing := sorted(self.jobs.keys() - found.keys()):
            raise Violation(f"lost: {missing}")
        if strange := sorted(found.keys() - self.jobs.keys()):
            raise Violation(f"nobody added: {[found[id_] for id_ in strange]}")
        for id_, entry in self.jobs.items():
            self._compare(entry, found[id_])
        there = {
            (record.kind, record.key): (record.version, record.body)
            for kind in KINDS
            for record in self.store.scan(kind).result(SOON)
        }
        if there != self.records:
            places = there.keys() | self.records.keys()
            wrong = {
                place: (there.get(place), self.records.get(place))
                for place in sorted(places)
                if there.get(place) != self.records.get(place)
            }
            raise Violation(f"records, as found and as they should be: {wrong}")

    def _compare(self, entry: Entry, job: Job) -> None:
        found = (str(job.status), job.attempts, int(job.priority), str(job.type))
        if found != (entry.status, entry.attempts, entry.priority, entry.type):
            raise Violation(f"{job} is not {entry}")
        if not 0 <= job.attempts <= job.max_attempts:
            raise Violation(f"{job.attempts} attempts of {entry}")
        if entry.status == "pending" and when(job.next_retry_at or job.created_at) != entry.due:
            raise Violation(f"{job} is due at {job.next_retry_at}, not as {entry}")
        if (job.completed_at is not None) != (not entry.live):
            raise Violation(f"{job} ended at {job.completed_at}")

    # Parts

    def _entry(self, job_id: str) -> Entry:
        if job_id not in self.jobs:
            raise Violation(f"nobody added {job_id}")
        return self.jobs[job_id]

    def _held(self, claim: Claim) -> Entry:
        entry = self._entry(claim.job.id)
        if not entry.held_by(claim):
            raise Violation(f"the store took a change of claim {claim.number}, lost: {entry}")
        return entry

    def _settle(self, settlement: Settlement) -> None:
        entry, outcome, at = self._held(settlement.claim), settlement.outcome, settlement.at
        self.settled[entry.id, entry.number] = type(outcome).__name__
        if isinstance(outcome, Done):
            entry.end("completed")
        elif isinstance(outcome, GiveUp):
            entry.end("failed")
        elif isinstance(outcome, Again):
            entry.attempts = 0
            entry.back(at + max(0.0, outcome.after))
        elif isinstance(outcome, HandBack):
            entry.attempts -= 1
            entry.back(at)
        elif isinstance(outcome, Retry):
            if entry.attempts >= entry.most:
                entry.end("failed")
            else:
                entry.back(at + max(0.0, outcome.after))

    def _write(self, write: Write) -> None:
        place = write.kind, write.key
        version, _ = self.records.get(place, (0, None))
        if write.expected not in (None, version):
            raise Violation(f"{write} was stored over version {version}")
        record = self.store.read(*place).result(SOON)
        if record is None or record.body != write.body or record.version <= version:
            raise Violation(f"{write} over version {version} left {record}")
        self.records[place] = record.version, record.body

    def _add(self, new: NewJob) -> None:
        if new.key is not None and self._holder(new.key) is not None:
            return
        job = new.job
        self.jobs[job.id] = Entry(
            id=job.id,
            type=str(job.type),
            priority=int(job.priority),
            most=job.max_attempts,
            key=new.key,
            arrival=len(self.jobs),
            due=when(job.next_retry_at or job.created_at),
        )

    def _holder(self, key: str) -> Entry | None:
        return next((one for one in self.jobs.values() if one.key == key and one.live), None)

    def _pending(self, type_: str) -> Iterable[Entry]:
        return (one for one in self.jobs.values() if one.status == "pending" and one.type == type_)

    def _reprieve(
        self, by: object, now: float, monotonic: float, lease: float
    ) -> Mapping[str, float]:
        """Until when, on the wall clock, the jobs of the living stand whose lease has ended: for one more, on a clock
        that is never set, since the process that looks has seen the wall clock jump, or has seen it at all."""
        apart, since = self._clocks.get(by, (math.inf, 0.0))
        if abs(now - monotonic - apart) > 1.0:
            since = monotonic
        self._clocks[by] = now - monotonic, since
        left = since + lease - monotonic
        return {
            one.id: now + left
            for one in self.jobs.values()
            if left > 0 and one.status == "processing" and one.lease_until <= now
            if one.owner not in self.gone
        }

    def _lapse(self, now: float, claimed: set[str], stands_until: Mapping[str, float]) -> None:
        for entry in self.jobs.values():
            if entry.status == "processing" and (
                max(entry.lease_until, stands_until.get(entry.id, 0.0)) <= now
                or (entry.owner in self.gone and (entry.id in claimed or self._left(entry)))
            ):
                entry.lapse(now)

    def _left(self, entry: Entry) -> bool:
        job = self.store.job(entry.id).result(SOON)
        return job is None or job.status != "processing"

    def _explain(self, type_: str, found: list[str], expected: list[str], now: float) -> None:
        lines = [f"  {self._entry(id_).order(now)} {self._entry(id_)}" for id_ in found]
        lines += [
            "but expected were",
            *(f"  {self.jobs[id_].order(now)} {id_}" for id_ in expected),
        ]
        raise Violation(f"at {now} of {type_} were claimed\n" + "\n".join(lines))

    def _sight(
        self,
        limits: Mapping[str, int],
        now: float,
        batch: Batch,
        stands_until: Mapping[str, float],
    ) -> None:
        """What the worker is to be awake for must be in its sight."""
        sights = [
            max(one.lease_until, stands_until.get(one.id, 0.0))
            for one in self.jobs.values()
            if one.status == "processing"
        ]
        for type_, limit in limits.items():
            taken = sum(claim.job.type == type_ for claim in batch.claims)
            if taken < limit:
                sights += [one.due for one in self._pending(type_)]
        if sights and (batch.next_due is None or batch.next_due > min(sights)):
            raise Violation(f"told to look again at {batch.next_due}, but {min(sights)} is due")
