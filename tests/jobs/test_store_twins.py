"""Any sequence of operations gives the same answers from every store."""

import tempfile
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from novitai_sdk.jobs import (
    Again,
    Batch,
    Change,
    Claim,
    Done,
    GiveUp,
    HandBack,
    JobOrder,
    JobQuery,
    MemoryStore,
    NewJob,
    Outcome,
    Retry,
    Settlement,
    SqliteStore,
    Store,
    Write,
    new_job,
)
from novitai_sdk.models import Job, JobPriority, JobStatus

T = TypeVar("T")

TYPES = ("greet", "part")
KEYS = st.sampled_from([None, "a", "b"])
PAUSES = st.sampled_from([0.0, 0.000001, 1.0, 30.0, 60.0, 200.0])


def writes() -> st.SearchStrategy[tuple[Write, ...]]:
    write = st.builds(
        Write,
        kind=st.just("thing"),
        key=st.sampled_from("xy"),
        body=st.one_of(st.none(), st.dictionaries(st.sampled_from("pq"), st.integers(0, 9))),
        expected=st.sampled_from([None, None, 0, 1, 2, 3]),
    )
    return st.lists(write, max_size=3).map(tuple)


def outcomes() -> st.SearchStrategy[Outcome]:
    return st.one_of(
        st.builds(Done, writes=writes()),
        st.builds(Again, after=PAUSES, writes=writes()),
        st.builds(GiveUp, error=st.just("no hope"), writes=writes()),
        st.builds(Retry, error=st.just("no luck"), after=PAUSES),
        st.builds(HandBack, after=PAUSES),
    )


def walked(store: Store, query: JobQuery) -> tuple[Job, ...]:
    """What *store* shows page by page; each store has cursors of its own."""
    seen: list[Job] = []
    while True:
        page = store.page(query).result(10)
        assert not query.limit or len(page.jobs) <= query.limit
        seen += page.jobs
        if page.next is None:
            return tuple(seen)
        query = attrs.evolve(query, after=page.next, offset=0)


class Twins(RuleBasedStateMachine):
    """A memory store and a file, told the same."""

    @initialize()
    def open(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name) / "jobs.db"
        # NORMAL, since no power cut is tested here and each flush costs time.
        self.stores: tuple[Store, ...] = MemoryStore(), SqliteStore(path, synchronous="NORMAL")
        self.now = 1_700_000_000.0
        self.ids: list[str] = []
        self.claims: list[Claim] = []

    def teardown(self) -> None:
        if hasattr(self, "stores"):
            for store in self.stores:
                store.close(10)
            self.directory.cleanup()

    def _outcome(self, answer: "Future[Any]") -> Any:
        error = answer.exception(10)
        return answer.result() if error is None else (type(error), str(error))

    def same(self, answers: "list[Future[T]]") -> object:
        first, second = (self._outcome(answer) for answer in answers)
        assert first == second
        return first

    def commit(self, change: Change) -> None:
        self.same([store.commit(change) for store in self.stores])

    @rule(seconds=PAUSES)
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        type_=st.sampled_from(TYPES),
        priority=st.sampled_from(list(JobPriority)),
        after=PAUSES,
        attempts=st.integers(1, 3),
        key=KEYS,
        written=writes(),
        number=st.integers(0, 9),
    )
    def add(
        self,
        type_: str,
        priority: JobPriority,
        after: float,
        attempts: int,
        key: str | None,
        written: tuple[Write, ...],
        number: int,
    ) -> None:
        new = new_job(
            type_,
            {"number": number},
            now=self.now,
            after=after,
            priority=priority,
            max_attempts=attempts,
            key=key,
        )
        self.ids.append(new.job.id)
        self.commit(Change(jobs=(new,), writes=written))

    @rule(data=st.data())
    def add_twice(self, data: st.DataObject) -> None:
        if self.ids:
            again = attrs.evolve(
                new_job("greet", {}, now=self.now).job, id=data.draw(st.sampled_from(self.ids))
            )
            self.commit(Change(jobs=(NewJob(job=again),)))

    @rule(
        owner=st.sampled_from(["one", "two"]),
        limits=st.dictionaries(st.sampled_from(TYPES), st.integers(0, 3)),
        lease=st.sampled_from([1.0, 60.0]),
    )
    def claim(self, owner: str, limits: dict[str, int], lease: float) -> None:
        batch = self.same([store.claim(owner, limits, self.now, lease) for store in self.stores])
        assert isinstance(batch, Batch)
        self.claims.extend(batch.claims)
        for claim in batch.claims:
            assert claim.job.attempts <= claim.job.max_attempts

    @rule(data=st.data(), outcome=outcomes(), follow_up=st.booleans(), key=KEYS)
    def settle(
        self, data: st.DataObject, outcome: Outcome, follow_up: bool, key: str | None
    ) -> None:
        if self.claims:
            claim = data.draw(st.sampled_from(self.claims))
            jobs = (new_job("part", {}, now=self.now, key=key),) if follow_up else ()
            self.ids += [new.job.id for new in jobs]
            settlement = Settlement(claim=claim, outcome=outcome, at=self.now)
            self.commit(Change(settle=settlement, jobs=jobs))

    @rule(data=st.data(), written=writes())
    def check_point(self, data: st.DataObject, written: tuple[Write, ...]) -> None:
        if self.claims:
            self.commit(Change(writes=written, held=data.draw(st.sampled_from(self.claims))))

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        if self.claims:
            claims = data.draw(st.lists(st.sampled_from(self.claims), max_size=4))
            self.same([store.renew(claims, self.now, 60) for store in self.stores])

    @rule(data=st.data())
    def revive(self, data: st.DataObject) -> None:
        if self.ids:
            job_id = data.draw(st.sampled_from(self.ids))
            self.same([store.retry(job_id, self.now) for store in self.stores])

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.ids:
            job_id = data.draw(st.sampled_from(self.ids))
            self.same([store.cancel(job_id, self.now, "not wanted") for store in self.stores])

    @rule(
        age=PAUSES,
        status=st.sampled_from([None, JobStatus.COMPLETED, JobStatus.FAILED]),
        limit=st.integers(0, 3),
    )
    def purge(self, age: float, status: JobStatus | None, limit: int) -> None:
        self.same([store.purge(self.now - age, status, limit) for store in self.stores])

    @rule(
        statuses=st.lists(st.sampled_from(list(JobStatus)), max_size=2),
        types=st.lists(st.sampled_from(TYPES), max_size=2),
        key=KEYS,
        ages=st.tuples(*[st.sampled_from([None, 0.0, 1.0, 30.0])] * 4),
        order=st.sampled_from(["priority", "oldest", "newest"]),
        limit=st.integers(0, 3),
        offset=st.sampled_from([0, 0, 1]),
    )
    def page_through(
        self,
        statuses: list[JobStatus],
        types: list[str],
        key: str | None,
        ages: tuple[float | None, ...],
        order: JobOrder,
        limit: int,
        offset: int,
    ) -> None:
        times = (None if age is None else self.now - age for age in ages)
        query = JobQuery(
            status=statuses,
            type=types,
            key=key,
            **dict(
                zip(
                    ("created_since", "created_until", "ended_since", "ended_until"),
                    times,
                    strict=True,
                )
            ),
            order=order,
            limit=limit,
            offset=offset,
        )
        whole = self.same([store.jobs(attrs.evolve(query, limit=0)) for store in self.stores])
        for store in self.stores:
            assert walked(store, query) == whole

    @invariant()
    def the_same_is_seen(self) -> None:
        if not hasattr(self, "stores"):
            return
        jobs = self.same([store.jobs(JobQuery()) for store in self.stores])
        self.same([store.stats() for store in self.stores])
        self.same([store.stats(self.now) for store in self.stores])
        self.same([store.backlog(self.now) for store in self.stores])
        self.same([store.scan("thing") for store in self.stores])
        assert isinstance(jobs, tuple)
        for job in jobs:
            assert isinstance(job, Job)
            assert 0 <= job.attempts <= job.max_attempts
            assert (job.completed_at is not None) == (
                job.status in (JobStatus.COMPLETED, JobStatus.FAILED)
            )


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
