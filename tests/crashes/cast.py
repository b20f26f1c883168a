"""The processes of a crash campaign: producers, workers, both in one, and one that puts the write-ahead log away.

    python cast.py '{"role": "worker", "name": "worker-1", "path": "jobs.db", "journal": "journal", "seed": 1}'

Each works until its input is closed, or until it is killed, which is what it is for. What it has done it puts down in
the journal before it goes on.
"""

import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Literal

import anyio
import attrs
from journals import Journal

from novitai_sdk.jobs import (
    Again,
    BackgroundRunner,
    Change,
    Done,
    GiveUp,
    Handler,
    JobContext,
    JobEvent,
    NewJob,
    Outcome,
    Runner,
    SqliteStore,
    Steps,
    StoreError,
    Together,
    Write,
    new_job,
)
from novitai_sdk.models import Job, JobPriority

SOON = 30.0
SLOTS = 8

# More attempts than kills can use up by chance.
PLENTY = 20
FEW = {"poison": 2, "hopeless": 3}
TYPES = (
    "instant",
    "slow",
    "parent",
    "child",
    "keyed",
    "delayed",
    "together",
    "flaky",
    "looking",
    "hopeless",
    "giving_up",
    "poison",
)

# A producer pauses while so many jobs are due: what is measured is recovery, not a long queue.
DEPTH = 100
BETWEEN_POISONS = 4.0


@attrs.frozen(kw_only=True)
class Part:
    """Who to be.

    Attributes:
        role: ``producer``, ``worker``, ``client`` (a worker that adds jobs too) or ``checkpointer``.
        forks: A worker forks a child that works too, and dies after so many seconds at the latest. 0 for none.
        lease: Seconds after which the jobs of a worker that fell silent go to another.
        slow: Seconds that slow jobs take, or two or three times as long.
        backend: The event loop a worker works in.
        poison: A producer adds jobs that kill their worker.
        plain: A producer adds only jobs that are never dropped for another of their key, a checkpointer takes its time.
        wrong: A mistake to make, for tests of the campaign itself.
    """

    role: str
    name: str
    path: str
    journal: str
    seed: int = 0
    forks: float = 0.0
    lease: float = 60.0
    slow: float = 0.02
    backend: Literal["asyncio", "trio"] = "asyncio"
    poison: bool = False
    plain: bool = False
    wrong: str = ""


def die(journal: Journal) -> None:
    journal.note("killing", journal.name)
    os.kill(os.getpid(), signal.SIGKILL)


def come_on(journal: Journal) -> None:
    """Tell the journal, and whoever listens, that the file is opened now."""
    journal.note("opening")
    os.write(1, b"opening\n")


def opened(part: Part, journal: Journal) -> SqliteStore:
    come_on(journal)
    store = SqliteStore(part.path)
    journal.note("opened")
    return store


class Producer:
    """Adds jobs of all kinds, one by one and many at a time."""

    def __init__(self, part: Part, journal: Journal, store: SqliteStore) -> None:
        self._part = part
        self._journal = journal
        self._store = store
        self._chance = random.Random(part.seed)
        self._poison_at = time.monotonic() + self._chance.uniform(0, BETWEEN_POISONS)

    def work(self, leaving: threading.Event) -> None:
        while not leaving.is_set():
            if self._store.backlog(time.time()).result(SOON).depth > DEPTH:
                leaving.wait(0.005)
                continue
            size = self._chance.choice((1, 1, 1, 2, 8))
            self.add([self._some_jobs() for _ in range(size)])
            leaving.wait(self._chance.uniform(0, 0.003))

    def add(self, changes: "list[list[NewJob]]") -> None:
        meant = [(one.job.id, one.key) for jobs in changes for one in jobs]
        self._journal.note("means", meant)
        futures: list[Future[None]] = []
        for jobs in changes:
            futures.append(self._store.commit(Change(jobs=tuple(jobs))))
            if self._part.wrong == "acknowledges early":
                self._journal.note("acknowledges", [one.job.id for one in jobs])
                die(self._journal)
        for jobs, future in zip(changes, futures, strict=True):
            ids = [one.job.id for one in jobs]
            try:
                future.result(SOON)
            except StoreError as error:
                self._journal.note("refused", ids, str(error))
            else:
                self._journal.note("acknowledges", ids)

    def _some_jobs(self) -> "list[NewJob]":
        if self._part.poison and time.monotonic() >= self._poison_at:
            self._poison_at += BETWEEN_POISONS
            return [self._job("poison")]
        left_out = ("poison", "child", "keyed") if self._part.plain else ("poison", "child")
        kinds = [kind for kind in TYPES if kind not in left_out]
        return [self._job(self._chance.choice(kinds)) for _ in range(self._chance.randint(1, 6))]

    def _job(self, kind: str) -> NewJob:
        chance, now = self._chance, time.time()
        key = f"key-{chance.randrange(5)}" if kind == "keyed" else None
        after = chance.uniform(0.1, 1.0) if kind == "delayed" else 0.0
        return new_job(
            kind,
            {
                "key": key,
                "due": now + after,
                "times": chance.randint(1, 3),
                "text": "x" * chance.choice((10, 10, 10, 20_000)),
            },
            now=now,
            after=after,
            priority=JobPriority(chance.randint(1, 4)),
            max_attempts=FEW.get(kind, PLENTY),
            key=key,
        )


class Flop(Exception):
    """What a handler that fails raises."""


class Worker:
    """Runs jobs, and tells of the begin and the end of each attempt."""

    def __init__(self, part: Part, journal: Journal, store: SqliteStore) -> None:
        self._part = part
        self._journal = journal
        self._store = store
        self._chance = random.Random(part.seed)
        self._numbers = count(1)
        # Kept together with the job: the id of an object is another's once it is gone.
        self._marks: dict[int, tuple[Job, str]] = {}
        self._host = BackgroundRunner(self._runner, backend=part.backend)

    def work(self, leaving: threading.Event) -> None:
        self._host.ensure_started()
        if self._part.role == "client":
            producer = Producer(self._part, self._journal, self._store)
            threading.Thread(target=producer.work, args=(leaving,), daemon=True).start()
        if self._part.forks and not leaving.wait(self._chance.uniform(0.05, 1.0)):
            leaving = self._fork(leaving)
        while not leaving.wait(0.5):
            self._host.raise_if_failed()
        self._host.close(drain=5)

    @asynccontextmanager
    async def _runner(self) -> AsyncIterator[Runner]:
        handlers: dict[str, Handler | Together] = dict.fromkeys(TYPES, self._attempt)
        handlers["together"] = Together(self._attempt_all, most=SLOTS)
        yield Runner(
            self._store,
            handlers,
            policy=Steps(waits=(0.02,), jitter=0),
            slots=SLOTS,
            lease=self._part.lease,
            on_job=self._tell,
        )

    def _fork(self, leaving: threading.Event) -> threading.Event:
        """Be two from here on; answer with what says when to leave."""
        lifetime = self._chance.uniform(0.1, self._part.forks)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # beside threads: that is the point
            child = os.fork()
        if child:
            # Or what is left of it would stay in the table of processes.
            threading.Thread(target=os.waitpid, args=(child, 0), daemon=True).start()
            return leaving
        self._journal.name += "-child"
        self._journal.note("opened")
        end = threading.Timer(lifetime, die, (self._journal,))
        end.daemon = True
        end.start()
        self._host.ensure_started()
        return end_of_input()

    def _tell(self, event: JobEvent) -> None:
        if event.what == "lost":
            _, mark = self._marks.get(id(event.job), (None, None))
            self._journal.note("lost", event.job.id, mark)
        elif event.what != "claimed":
            self._journal.note("ended", event.job.id, event.what, event.job.attempts)

    async def _attempt_all(self, contexts: Sequence[JobContext]) -> Mapping[str, Outcome]:
        outcomes: dict[str, Outcome] = {}

        async def attempt(context: JobContext) -> None:
            outcomes[context.job.id] = await self._attempt(context.job, context)

        async with anyio.create_task_group() as tasks:
            for context in contexts:
                tasks.start_soon(attempt, context)
        return outcomes

    async def _attempt(self, job: Job, context: JobContext) -> Outcome:
        mark = f"{self._journal.name}:{next(self._numbers)}"
        self._marks[id(job)] = job, mark
        self._journal.note("begins", job.id, job.attempts, mark, time.time())
        try:
            outcome = await self._outcome(job, context, mark)
        except Flop:
            self._journal.note("answers", mark, "flop")
            raise
        self._journal.note("answers", mark, type(outcome).__name__)
        return outcome

    async def _outcome(self, job: Job, context: JobContext, mark: str) -> Outcome:
        effect = Write(
            kind="effect",
            key=f"{job.id} {mark}",
            body={"job": job.id, "mark": mark, "attempt": job.attempts},
            expected=0,
        )
        times = int(str(job.payload.get("times", 1)))
        if self._part.wrong == "effect before the end":
            await context.commit(Change(writes=(effect,)))
            if job.attempts == 1:
                die(self._journal)
            return Done()
        if job.type == "poison":
            die(self._journal)
        if job.type in ("slow", "keyed", "together"):
            await anyio.sleep(self._part.slow * times)
        if job.type == "hopeless" or (job.type == "flaky" and job.attempts <= times):
            raise Flop
        if job.type == "giving_up":
            return GiveUp(error="as it was told to", writes=(effect,))
        if job.type == "looking":
            return await self._look(job, context, effect, times)
        if job.type == "parent":
            follow_up = new_job(
                "child",
                {"parent": job.id, "mark": mark},
                now=time.time(),
                max_attempts=PLENTY,
            )
            return Done(writes=(effect,), jobs=(follow_up,))
        return Done(writes=(effect,))

    async def _look(self, job: Job, context: JobContext, effect: Write, times: int) -> Outcome:
        seen = await context.waiter.result(self._store.read("looks", job.id))
        looks = int(str(seen.body["looks"])) if seen else 0
        if looks == times:
            return Done(writes=(effect,))
        look = Write(
            kind="looks",
            key=job.id,
            body={"looks": looks + 1},
            expected=seen.version if seen else 0,
        )
        return Again(after=0.01, writes=(effect, look))


class Checkpointer:
    """Puts the write-ahead log away more often, and harder, than a store does."""

    def __init__(self, part: Part, journal: Journal) -> None:
        self._path = Path(part.path)
        self._plain = part.plain
        self._journal = journal
        self._chance = random.Random(part.seed)

    def work(self, leaving: threading.Event) -> None:
        while not self._path.exists():
            leaving.wait(0.01)
        come_on(self._journal)
        with closing(
            sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=0.2)
        ) as db:
            longest = 0.3 if self._plain else 0.03
            for mode in self._modes():
                if leaving.wait(self._chance.uniform(0, longest)):
                    return
                self._journal.note("checkpoints")
                try:
                    db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
                except sqlite3.OperationalError as error:
                    self._journal.note("refused", [], str(error))
                self._journal.note("checkpointed")

    def _modes(self) -> Iterator[str]:
        while True:
            yield self._chance.choice(("PASSIVE", "RESTART", "TRUNCATE"))


def end_of_input() -> threading.Event:
    """What is set when there is nothing more to read."""
    leaving = threading.Event()

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin, whose lock a fork would leave to a thread that is not there
        leaving.set()

    threading.Thread(target=wait, daemon=True).start()
    return leaving


def main() -> None:
    part = Part(**json.loads(sys.argv[1]))
    journal = Journal(Path(part.journal), part.name)
    leaving = end_of_input()
    if part.role == "checkpointer":
        Checkpointer(part, journal).work(leaving)
    else:
        store = opened(part, journal)
        (Producer if part.role == "producer" else Worker)(part, journal, store).work(leaving)
        store.close(SOON)
    journal.note("leaves")


if __name__ == "__main__":
    main()
