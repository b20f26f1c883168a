"""The sides of `runner.py`: our store and runner, and what they are compared with.

Each keeps its jobs where a flush of the disk protects them, and offers the same few steps, so that one piece of code
measures all of them. Those on PostgreSQL are in `servers.py`.
"""

import asyncio
import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import getrandbits
from typing import Any, Protocol

from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.jobs import Change, Done, JobContext, Outcome, Runner, SqliteStore, new_job
from novitai_sdk.models import Job

KIND = "greet"
BATCH = 100
PAYLOAD = {"name": "Ada"}
DAY = 86_400.0

Started = Callable[[], object]


class Queue(Protocol):
    """A durable queue of one kind of job that does nothing."""

    async def open(self) -> None:
        """Be ready."""
        ...

    async def put(self) -> None:
        """Store a job; when this returns, a power cut does not lose it."""
        ...

    async def fill(self, count: int, after: float = 0.0) -> None:
        """Store *count* jobs at once, due *after* seconds."""
        ...

    async def work(self, started: Started) -> Callable[[], Awaitable[None]]:
        """Work on jobs from now on, calling *started* for each; returns what stops it."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class PlainQueue(Protocol):
    """The same for callers without an event loop."""

    def put(self) -> None:
        """Store a job; when this returns, a power cut does not lose it."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Ours:
    """`SqliteStore` and `Runner`."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)
        self.waiter = AsyncWaiter()

    async def open(self) -> None:
        """Nothing is left to do."""

    async def put(self) -> None:
        new = new_job(KIND, PAYLOAD, now=time.time())
        await self.waiter.result(self.store.commit(Change(jobs=(new,))))

    async def fill(self, count: int, after: float = 0.0) -> None:
        now = time.time()
        new = tuple(new_job(KIND, PAYLOAD, now=now, after=after) for _ in range(count))
        await self.waiter.result(self.store.commit(Change(jobs=new)))

    async def work(self, started: Started) -> Callable[[], Awaitable[None]]:
        async def greet(job: Job, context: JobContext) -> Outcome:
            started()
            return Done()

        runner = Runner(self.store, {KIND: greet}, slots=BATCH)
        running = asyncio.ensure_future(runner.run())

        async def stop() -> None:
            runner.stop()
            await running

        return stop

    async def close(self) -> None:
        self.store.close()


class PlainOurs:
    """`SqliteStore` as a plain client uses it."""

    def __init__(self, path: Path) -> None:
        self._store = SqliteStore(path)

    def put(self) -> None:
        new = new_job(KIND, PAYLOAD, now=time.time())
        self._store.commit(Change(jobs=(new,))).result()

    def close(self) -> None:
        self._store.close()


_CREATE = """
CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, payload TEXT NOT NULL,
                   state INTEGER NOT NULL DEFAULT 0, priority INTEGER NOT NULL DEFAULT 2, run_at REAL NOT NULL,
                   attempts INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL DEFAULT 3, dedup TEXT,
                   owner TEXT, claim_no INTEGER NOT NULL DEFAULT 0, lease_until REAL, error TEXT, result TEXT,
                   created_at REAL NOT NULL, started_at REAL, finished_at REAL);
CREATE INDEX waiting ON jobs (priority, run_at, seq) WHERE state = 0;
CREATE INDEX held ON jobs (lease_until) WHERE state = 1;
CREATE UNIQUE INDEX alone ON jobs (dedup) WHERE dedup IS NOT NULL AND state < 2;
CREATE INDEX ended ON jobs (finished_at) WHERE state >= 2;
"""
_PUT = "INSERT INTO jobs (id, kind, payload, run_at, created_at) VALUES (?, ?, ?, ?, ?)"
_READY = (
    "SELECT seq, payload, claim_no + 1 FROM jobs WHERE state = 0 AND priority = ? AND run_at <= ?"
    " ORDER BY run_at, seq LIMIT ?"
)
_TAKE = (
    "UPDATE jobs SET state = 1, attempts = attempts + 1, owner = 'me', claim_no = claim_no + 1, started_at = ?,"
    " lease_until = ? WHERE seq = ?"
)
_DONE = "UPDATE jobs SET state = 2, finished_at = ?, lease_until = NULL WHERE seq = ? AND owner = 'me' AND claim_no = ?"

Run = Callable[[sqlite3.Connection], Any]


class Bare:
    """The least that is a durable queue: a table, and one thread that commits together what waits.

    Jobs have an id, a priority, a lease and a claim number, so none is lost or ended by the wrong worker. There is no
    outbox and no record beside the job, no ageing, no retry, no type with slots of its own, no other process, and
    nobody who waits for a job to end. It is written for speed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ready = threading.Condition()
        self._waiting: deque[tuple[Run, asyncio.Future[Any]]] = deque()
        self._ended = False
        self._news = asyncio.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def put(self) -> None:
        row = _row(time.time())
        await self._do(lambda db: db.execute(_PUT, row))
        self._news.set()

    async def fill(self, count: int, after: float = 0.0) -> None:
        rows = [_row(time.time(), after) for _ in range(count)]
        await self._do(lambda db: db.executemany(_PUT, rows))

    async def work(self, started: Started) -> Callable[[], Awaitable[None]]:
        async def greet(payload: dict[str, Any]) -> None:
            started()

        def turn(
            db: sqlite3.Connection, done: Sequence[tuple[int, int]]
        ) -> list[tuple[int, str, int]]:
            now = time.time()
            db.executemany(_DONE, [(now, *claim) for claim in done])
            rows: list[tuple[int, str, int]] = []
            for priority in (4, 3, 2, 1):
                rows += db.execute(_READY, (priority, now, BATCH - len(rows)))
            db.executemany(_TAKE, [(now, now + 60, seq) for seq, _, _ in rows])
            return rows

        async def loop() -> None:
            done: list[tuple[int, int]] = []
            while True:
                self._news.clear()
                ended = tuple(done)
                rows = await self._do(lambda db, ended=ended: turn(db, ended))
                # At once, as slow handlers would need it, though these have nothing to wait for.
                await asyncio.gather(*(greet(json.loads(payload)) for _, payload, _ in rows))
                done = [(seq, number) for seq, _, number in rows]
                if not rows:
                    await self._news.wait()

        working = asyncio.ensure_future(loop())

        async def stop() -> None:
            working.cancel()
            await asyncio.wait([working])

        return stop

    async def close(self) -> None:
        with self._ready:
            self._ended = True
            self._ready.notify()
        self._thread.join()

    def _do(self, run: Run) -> "asyncio.Future[Any]":
        future = self._loop.create_future()
        with self._ready:
            self._waiting.append((run, future))
            self._ready.notify()
        return future

    def _write(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_CREATE)
        while True:
            with self._ready:
                while not self._waiting and not self._ended:
                    self._ready.wait()
                batch = list(self._waiting)
                self._waiting.clear()
            if not batch:
                break
            db.execute("BEGIN IMMEDIATE")
            answers = [(future, run(db)) for run, future in batch]
            db.execute("COMMIT")
            self._loop.call_soon_threadsafe(_tell, answers)
        db.close()


def _row(now: float, after: float = 0.0) -> tuple[object, ...]:
    return (
        f"job_{int(now * 1000)}_{getrandbits(36):09x}",
        KIND,
        json.dumps(PAYLOAD),
        now + after,
        now,
    )


def _tell(answers: "list[tuple[asyncio.Future[Any], Any]]") -> None:
    for future, answer in answers:
        if not future.done():
            future.set_result(answer)


class PlainHuey:
    """huey on its SQLite storage."""

    def __init__(self, path: Path) -> None:
        from huey import SqliteHuey

        # fsync: PRAGMA synchronous = FULL, as all others have it.
        self.huey = SqliteHuey(filename=str(path), fsync=True, results=False, utc=True)
        self.started: Started = int

        def greet(name: str) -> None:
            self.started()

        self.greet = self.huey.task(name=KIND)(greet)

    def put(self) -> None:
        self.greet(**PAYLOAD)

    def close(self) -> None:
        self.huey.storage.close()


class Huey:
    """The same with its own consumer in threads.

    Its functions block while the disk flushes, so a program that awaits calls them in threads.
    """

    def __init__(self, path: Path) -> None:
        self._plain = PlainHuey(path)

    async def open(self) -> None:
        """Nothing is left to do."""

    async def put(self) -> None:
        await asyncio.to_thread(self._plain.put)

    async def fill(self, count: int, after: float = 0.0) -> None:
        for _ in range(count):
            if after:
                self._plain.greet.schedule(kwargs=PAYLOAD, delay=int(after))
            else:
                self._plain.put()

    async def work(self, started: Started) -> Callable[[], Awaitable[None]]:
        self._plain.started = started
        workers = os.cpu_count() or 1
        consumer = self._plain.huey.create_consumer(workers=workers, periodic=False)
        consumer.start()

        async def stop() -> None:
            await asyncio.to_thread(consumer.stop, True)

        return stop

    async def close(self) -> None:
        self._plain.close()
