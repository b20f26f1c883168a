"""Workers that are killed, several processes on one file, and forks: nothing lost, nothing settled twice."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import stores

from novitai_sdk.jobs import (
    Change,
    Done,
    JobQuery,
    Settlement,
    SqliteStore,
    new_job,
)
from novitai_sdk.models import JobStatus

SOON = 20.0
opened = partial(stores.opened, within=SOON)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and flock")

# Runs jobs of the file until its input is closed. Each start and each end of a handler is a line in the
# journal, written in one go, so that several processes may share it. A pause of -1 lasts until a second
# process has begun something too.
WORKER = """
import os, sys, threading
from pathlib import Path
import anyio
from novitai_sdk.jobs import Change, Done, Runner, SqliteStore, Write

path, journal, pause, ALONE = sys.argv[1], sys.argv[2], float(sys.argv[3]), -1
file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(word, job):
    os.write(file, f"{word} {job.payload['number']} {job.attempts} {os.getpid()}\\n".encode())

async def greet(job, context):
    note("began", job)
    while pause == ALONE and len({line.split()[3] for line in Path(journal).read_text().splitlines()}) < 2:
        await anyio.sleep(0.005)
    if pause > 0:
        await anyio.sleep(pause)
    note("ended", job)
    return Done(writes=(Write(kind="done", key=job.id, body={}),))

async def main():
    store = SqliteStore(path)
    runner = Runner(store, {"greet": greet}, slots=4)
    threading.Thread(target=lambda: (sys.stdin.read(), runner.stop(5)), daemon=True).start()
    await runner.run()
    store.close()

anyio.run(main)
"""


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[tuple[str, int, int, int]]:
        if not self.path.exists():
            return []
        return [
            (word, int(number), int(attempt), int(pid))
            for word, number, attempt, pid in map(str.split, self.path.read_text().splitlines())
        ]

    def numbers(self, word: str) -> Counter[int]:
        return Counter(number for what, number, _, _ in self.lines() if what == word)

    def wait(self, word: str, count: int) -> None:
        until = time.monotonic() + SOON
        while sum(self.numbers(word).values()) < count:
            assert time.monotonic() < until, f"{word}: {self.lines()}"
            time.sleep(0.005)


@contextmanager
def worker(path: Path, journal: Journal, pause: float = 0.0) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WORKER, path, journal.path, str(pause)],
        stdin=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(SOON)


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(SOON)


def add(path: Path, *numbers: int) -> None:
    with opened(path) as store:
        jobs = tuple(new_job("greet", {"number": n}, now=time.time()) for n in numbers)
        store.commit(Change(jobs=jobs)).result(SOON)


def wait_until_all_ended(store: SqliteStore) -> None:
    for job in store.jobs(JobQuery()).result(SOON):
        assert store.settled(job.id).result(SOON).status is JobStatus.COMPLETED


def test_what_a_killed_worker_held_runs_again_at_once(path: Path, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    add(path, 1, 2)
    with worker(path, journal, pause=3600) as first:
        journal.wait("began", 2)
        kill(first)
    began = time.monotonic()
    with worker(path, journal), opened(path) as store:
        wait_until_all_ended(store)
    # Most of it is the start of an interpreter; a lease would take a minute.
    assert time.monotonic() - began < 10
    assert journal.numbers("began") == {1: 2, 2: 2}
    assert {attempt for _, _, attempt, _ in journal.lines()[-2:]} == {2}


def test_a_living_worker_notices_the_death_of_another(path: Path, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    add(path, 1, 2, 3, 4)
    with worker(path, journal, pause=3600) as first:
        journal.wait("began", 4)
        with worker(path, journal), opened(path) as store:
            add(path, 5)
            journal.wait("ended", 1)  # it runs, has slots, and leaves the jobs of the living alone
            assert sum(journal.numbers("began").values()) == 5
            kill(first)
            wait_until_all_ended(store)
    assert journal.numbers("ended") == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1}


def test_kill_after_kill_loses_nothing_and_repeats_nothing_settled(
    path: Path, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal")
    numbers = range(300)
    add(path, *numbers)
    for round_ in (1, 2, 3):
        with worker(path, journal) as victim:
            journal.wait("ended", round_ * 60)
            kill(victim)
        with opened(path) as store:
            settled = {
                int(str(job.payload["number"]))
                for job in store.jobs(JobQuery(status=JobStatus.COMPLETED)).result(SOON)
            }
            assert len(store.scan("done").result(SOON)) == len(settled)
        (tmp_path / f"settled-{round_}").write_text(json.dumps(sorted(settled)))
        lines = len(journal.lines())
        with worker(path, journal):
            journal.wait("ended", sum(journal.numbers("ended").values()) + 1)
        later = {number for _, number, _, _ in journal.lines()[lines:]}
        assert not later & settled
    with worker(path, journal), opened(path) as store:
        wait_until_all_ended(store)
        stats = store.stats().result(SOON)
    assert (stats.total_jobs, stats.completed_jobs) == (300, 300)
    assert set(journal.numbers("ended")) == set(numbers)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_several_processes_share_one_file_and_no_job_runs_twice(path: Path, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    add(path, *range(200))
    with worker(path, journal, -1), worker(path, journal, -1), opened(path) as store:
        wait_until_all_ended(store)
    assert journal.numbers("began") == dict.fromkeys(range(200), 1)
    assert len({pid for _, _, _, pid in journal.lines()}) == 2


def test_a_worker_that_is_told_to_stop_hands_back_without_counting(
    path: Path, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal")
    add(path, 1)
    script = WORKER.replace("runner.stop(5)", "runner.stop(0)")
    with subprocess.Popen(
        [sys.executable, "-c", script, path, journal.path, "3600"], stdin=subprocess.PIPE
    ) as process:
        journal.wait("began", 1)
    assert process.returncode == 0
    with opened(path) as store:
        (job,) = store.jobs(JobQuery()).result(SOON)
        assert (job.status, job.attempts) == (JobStatus.PENDING, 0)


# Forks, in a process of their own: forking one that has threads is a warning, and so an error, here.

FORK = """
import os, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
from novitai_sdk.jobs import *

path = sys.argv[1]
now = time.time()
store = open_store(path)

def add(number):
    store.commit(Change(jobs=(new_job("greet", {"number": number}, now=now),))).result(10)

def take(owner):
    return store.claim(owner, {"greet": 1}, now, 60).result(10).claims

add(1)
(mine,) = take("parent")
waits = store.changed("thing", "a", 0)
child = os.fork()
if child == 0:
    add(2)
    (other,) = take("child")
    assert other.job.payload == {"number": 2}, other
    store.commit(Change(settle=Settlement(claim=other, outcome=Done(), at=now))).result(10)
    store.commit(Change(writes=(Write(kind="thing", key="a", body={}),))).result(10)
    assert take("child") == ()
    store.close(10)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
if path != "memory":
    assert waits.result(10).version == 1
    assert store.stats().result(10).completed_jobs == 1
store.commit(Change(settle=Settlement(claim=mine, outcome=Done(), at=now))).result(10)
add(3)
store.close(10)
print("fine")
"""


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_store_goes_on_in_both_processes_after_a_fork(path: Path, kind: str) -> None:
    target = "memory" if kind == "memory" else str(path)
    done = subprocess.run(
        [sys.executable, "-c", FORK, target],
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr
    if kind == "file":
        with opened(path) as store:
            stats = store.stats().result(SOON)
            assert (stats.completed_jobs, stats.pending_jobs) == (2, 1)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


FORK_MEMORY = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
from novitai_sdk.jobs import *

NOW, LATER = 1_700_000_000.0, 1_700_009_000.0
store = MemoryStore()

def add(name, **more):
    new = new_job("greet", {"name": name}, now=NOW, **more)
    store.commit(Change(jobs=(new,))).result()
    return new.job.id

def take(owner, now=NOW):
    return store.claim(owner, {"greet": 1}, now, 60).result().claims

def end(claim):
    store.commit(Change(settle=Settlement(claim=claim, outcome=Done(), at=NOW))).result()

def names():
    return sorted(job.payload["name"] for job in store.jobs(JobQuery()).result())

ended = add("ended", key="first")
end(*take("parent"))
held = add("held", key="second")
(mine,) = take("parent")
add("waiting")
store.commit(Change(writes=(Write(kind="thing", key="a", body={}),))).result()
child = os.fork()
if child == 0:
    assert names() == ["ended"], names()
    assert store.read("thing", "a").result().version == 1
    assert take("child", now=LATER) == ()  # also when the lease of what was held has ended
    stats = store.stats().result()
    assert (stats.total_jobs, stats.completed_jobs) == (1, 1), stats
    assert store.job(held).result() is None
    add("own", key="second")
    (own,) = take("child")
    assert own.job.payload == {"name": "own"}
    end(own)
    assert store.purge(LATER).result() == 2
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert names() == ["ended", "held", "waiting"]
end(mine)
(next,) = take("parent")
assert next.job.payload == {"name": "waiting"}
print("fine")
"""


def test_what_is_in_memory_is_done_by_the_parent_of_a_fork_and_not_by_the_child_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK_MEMORY],
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr


FORK_LIVING = """
import os, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
from novitai_sdk.jobs import *

store = open_store(sys.argv[1])
now = time.time()
store.commit(Change(jobs=(new_job("greet", {}, now=now),))).result(10)
assert store.claim("parent", {"greet": 1}, now, 3600).result(10).claims
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, b"x")
    time.sleep(3600)
os.read(read, 1)
print(child, flush=True)
time.sleep(3600)
"""


def test_a_child_does_not_keep_its_dead_parent_alive(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORK_LIVING, path], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            parent.send_signal(signal.SIGKILL)
            parent.wait(SOON)
            with opened(path) as store:
                batch = store.claim("next", {"greet": 1}, time.time(), 60).result(SOON)
                assert [claim.job.attempts for claim in batch.claims] == [2]
                settlement = Settlement(claim=batch.claims[0], outcome=Done(), at=time.time())
                store.commit(Change(settle=settlement)).result(SOON)
        finally:
            os.kill(child, signal.SIGKILL)
