"""What goes wrong with the file of a store is told by its name, loses nothing, and passes when its cause does."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from stores import SOON, opened

from novitai_sdk._waiting import SystemClock
from novitai_sdk.jobs import (
    Change,
    Done,
    JobQuery,
    NewJob,
    Settlement,
    SqliteStore,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreGone,
    _sqlite,
    new_job,
)

NOW = 1_700_000_000.0

posix = pytest.mark.skipif(sys.platform == "win32", reason="an open file stays where it is there")


def greet(number: int, *, size: int = 0) -> NewJob:
    return new_job("greet", {"number": number, "text": "x" * size}, now=NOW)


def add(store: SqliteStore, *jobs: NewJob) -> None:
    store.commit(Change(jobs=jobs)).result(SOON)


class Slow(SystemClock):
    """A clock by which everything takes three milliseconds at least."""

    def __init__(self) -> None:
        self._shown = 0.0

    def monotonic(self) -> float:
        self._shown += 0.003
        return self._shown


def numbers(store: SqliteStore) -> list[object]:
    return [job.payload["number"] for job in store.jobs(JobQuery(order="oldest")).result(SOON)]


def copied(path: Path, to: Path) -> Path:
    """Copy a store that is in use, as a backup would."""
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(to)) as copy:
        db.backup(copy)
    return to


# The file goes away


@posix
@pytest.mark.parametrize("how", ["removed", "moved", "its directory is removed"])
def test_what_would_go_into_a_file_that_is_gone_is_refused(tmp_path: Path, how: str) -> None:
    path = tmp_path / "state" / "jobs.db"
    store = SqliteStore(path)
    add(store, greet(1))
    if how == "removed":
        path.unlink()
    elif how == "moved":
        for end in ("", "-wal"):
            path.with_name(f"jobs.db{end}").rename(path.with_name(f"elsewhere.db{end}"))
    else:
        shutil.rmtree(path.parent)
    with pytest.raises(StoreGone, match="was moved, removed or replaced") as gone:
        add(store, greet(2))
    assert not gone.value.passing
    with pytest.raises(StoreGone):
        store.stats().result(SOON)
    with pytest.raises(StoreGone):
        store.claim("me", {"greet": 1}, NOW, 60).result(SOON)
    store.close(SOON)
    assert not path.exists()  # least of all is an empty one made in its place
    if how == "moved":
        with opened(path.with_name("elsewhere.db")) as moved:
            assert numbers(moved) == [1]


@posix
def test_a_file_that_is_put_back_is_used_again(path: Path) -> None:
    with opened(path) as store:
        add(store, greet(1))
        path.rename(path.with_name("elsewhere.db"))
        with pytest.raises(StoreGone):
            add(store, greet(2))
        path.with_name("elsewhere.db").rename(path)
        add(store, greet(3))
        assert numbers(store) == [1, 3]


@posix
def test_what_waits_for_another_process_while_the_file_goes_away_is_not_acknowledged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite, "_CLOCK", Slow())
    looked = threading.Event()
    elsewhere = path.with_name("elsewhere.db")
    with opened(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        add(store, greet(1))
        look = store._file.check

        def look_and_tell() -> None:
            look()
            looked.set()

        monkeypatch.setattr(store._file, "check", look_and_tell)
        other.execute("BEGIN IMMEDIATE")
        waits = store.commit(Change(jobs=(greet(2),)))
        assert looked.wait(SOON)
        path.rename(elsewhere)
        other.execute("ROLLBACK")
        with pytest.raises(StoreGone):
            waits.result(SOON)
        elsewhere.rename(path)


@posix
def test_a_file_that_replaces_the_open_one_is_left_alone(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    store = SqliteStore(path)
    add(store, greet(1))
    copied(path, backup)
    add(store, greet(2))
    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):  # as whoever restores a backup should
        (tmp_path / name).unlink()
    backup.rename(path)
    with pytest.raises(StoreGone):
        add(store, greet(3))
    with pytest.raises(StoreGone):
        numbers(store)
    with opened(path) as restored:
        add(restored, greet(4))
        store.close(SOON)
        add(restored, greet(5))
        assert numbers(restored) == [1, 4, 5]
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with opened(path) as restored:
        assert numbers(restored) == [1, 4, 5]


@posix
def test_a_file_that_goes_between_the_look_and_the_opening_is_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = path.with_name("elsewhere.db")
    with opened(path) as store:
        look = store._file.check

        def look_and_take_away() -> None:
            look()
            path.rename(elsewhere)

        monkeypatch.setattr(store._file, "check", look_and_take_away)
        with pytest.raises(StoreGone, match="was moved"):
            numbers(store)
        elsewhere.rename(path)
        with pytest.raises(StoreGone, match="was moved"):
            add(store, greet(1))
        elsewhere.rename(path)
        monkeypatch.undo()
        add(store, greet(2))
        assert numbers(store) == [2]


@posix
def test_whoever_waits_and_listens_outlives_a_file_that_is_gone(path: Path) -> None:
    with opened(path) as store:
        stop = store.on_work(lambda due: None)
        waits = store.changed("thing", "a", 0)
        assert numbers(store) == []  # so the first look for it is over too
        add(store, greet(1))
        path.rename(path.with_name("elsewhere.db"))
        with pytest.raises(StoreGone):
            add(store, greet(2))
        path.with_name("elsewhere.db").rename(path)
        stop()
        add(store, greet(3))
        assert not waits.done()


# The file is damaged


def test_a_damaged_header_is_told_and_the_file_left_as_it_is(path: Path) -> None:
    with opened(path) as store:
        add(store, greet(1))
    content = bytearray(path.read_bytes())
    content[:16] = b"\0" * 16
    path.write_bytes(content)
    with pytest.raises(StoreForeign, match="another program's, or damaged"):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_a_damaged_page_costs_only_those_who_need_it(path: Path) -> None:
    with opened(path) as store:
        add(store, *(greet(n, size=2000) for n in range(500)))
        last = greet(999, size=2000)
        add(store, last)
    with closing(sqlite3.connect(path)) as db:
        (size,) = db.execute("PRAGMA page_size").fetchone()
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'payloads'"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    with opened(path) as store:
        for answer in (store.jobs(JobQuery()), store.job(last.job.id)):
            with pytest.raises(StoreCorrupt, match="restore a copy"):
                answer.result(SOON)
        with pytest.raises(StoreCorrupt):
            add(store, greet(1000, size=2000))
        assert store.stats().result(SOON).pending_jobs == 501


def test_a_file_that_was_cut_short_is_told(path: Path) -> None:
    with opened(path) as store:
        add(store, *(greet(n, size=300) for n in range(500)))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StoreCorrupt, match="damaged"), opened(path) as store:
        numbers(store)


@posix
@pytest.mark.parametrize("damage", ["its header", "its end", "all of it"])
def test_of_a_damaged_log_what_stood_before_the_damage_is_kept(
    path: Path, tmp_path: Path, damage: str
) -> None:
    """A log is checked as it is read: what follows the damage counts as never written, and the rest is sound."""
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    with opened(path) as store:
        add(store, greet(1))
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        add(store, greet(2))
        begins = path.with_name("jobs.db-wal").stat().st_size
        add(store, greet(3))
        for name in ("jobs.db", "jobs.db-wal"):  # as they are at the moment the power goes
            shutil.copy(tmp_path / name, crashed / name)
    log = crashed / "jobs.db-wal"
    content = bytearray(log.read_bytes())
    place = {"its header": slice(0, 32), "its end": slice(begins + 30, begins + 40)}
    where = place.get(damage, slice(0, len(content)))
    content[where] = b"\x55" * len(content[where])
    log.write_bytes(content)
    with opened(crashed / "jobs.db") as store:
        assert numbers(store) == ([1, 2] if damage == "its end" else [1])
        add(store, greet(4))
        with closing(sqlite3.connect(crashed / "jobs.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# The path is none


def test_a_directory_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").mkdir()
    with pytest.raises(StoreError, match="it is a directory: name a file in it") as refused:
        SqliteStore(tmp_path / "jobs.db")
    assert str(tmp_path) in str(refused.value)
    assert [file.name for file in tmp_path.iterdir()] == ["jobs.db"]


@pytest.mark.parametrize(
    "name", ["a blank.db", "100%.db", "what?mode=memory", "#1.db", "naïve&x=1.db"]
)
def test_any_name_a_file_can_have_will_do(tmp_path: Path, name: str) -> None:
    if sys.platform == "win32" and "?" in name:
        pytest.skip("no name on Windows")
    with opened(tmp_path / name) as store:
        add(store, greet(1))
    assert [file.name for file in tmp_path.iterdir()] == [name]


# The disk is full


def test_a_full_store_works_again_when_there_is_room(path: Path) -> None:
    store = SqliteStore(path, max_bytes=400_000)
    number = 0
    while store.commit(Change(jobs=(greet(number, size=20_000),))).exception(SOON) is None:
        number += 1
    with pytest.raises(StoreFull, match="make room"):
        add(store, greet(number, size=20_000))
    for claim in store.claim("me", {"greet": 3}, NOW, 60).result(SOON).claims:
        settlement = Settlement(claim=claim, outcome=Done(), at=NOW)
        store.commit(Change(settle=settlement)).result(SOON)
    assert store.purge(NOW).result(SOON) == 3
    add(store, greet(number, size=20_000))
    assert numbers(store) == [*range(3, number), number]
    store.close(SOON)


ON_A_SMALL_DISK = """
import sys
import threading
from pathlib import Path
from novitai_sdk.jobs import Change, SqliteStore, StoreError, StoreFull, new_job

disk = Path(sys.argv[1])
store = SqliteStore(disk / "jobs.db")
stored = 0

def add():
    new = new_job("greet", {"number": stored, "text": "x" * 5000}, now=1.7e9)
    return store.commit(Change(jobs=(new,))).exception(10)

(disk / "ballast").write_bytes(bytes(1_000_000))
while (error := add()) is None:
    stored += 1
print(type(error).__name__)
assert stored > 10 and store.stats().result(10).pending_jobs == stored
assert isinstance(add(), StoreFull)
(disk / "ballast").unlink()
for _ in range(15):
    error = add()
    assert error is None, error
    stored += 1
store.close(10)
(disk / "ballast").write_bytes(bytes(500_000))
store = SqliteStore(disk / "jobs.db")
assert store.stats().result(10).pending_jobs == stored
store.close(10)
full = disk / "full.db"
try:
    with (disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass
except OSError:
    pass
try:
    SqliteStore(full)
except StoreError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_disk_without_room_refuses_and_then_takes_again(tmp_path: Path) -> None:
    """On a disk of 3 MB in memory, which a user may mount in a namespace of his own."""
    script = tmp_path / "script.py"
    script.write_text(ON_A_SMALL_DISK)
    disk = tmp_path / "disk"
    disk.mkdir()
    environment = {key: text for key, text in os.environ.items() if not key.startswith("COV")}
    enter = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    mount = f"mount -t tmpfs -o size=3m none '{disk}' && "
    if subprocess.run([*enter, f"{mount} true"], check=False, capture_output=True).returncode:
        pytest.skip("users may not mount anything here")
    said = subprocess.run(
        [*enter, f"{mount} exec '{sys.executable}' '{script}' '{disk}'"],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == ["StoreFull", "StoreFull"]


_LIMITED = """
import resource, sys
from novitai_sdk.jobs import Change, JobQuery, SqliteStore, StoreFull, new_job
size = int(sys.argv[2])
store = SqliteStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
stored = 0
try:
    while stored < 1000:
        store.commit(Change(jobs=(new_job("greet", {"text": "x" * 500}, now=1.7e9),))).result(10)
        stored += 1
except StoreFull as full:
    print(full.passing, "ulimit -f" in str(full), end=" ")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.commit(Change(jobs=(new_job("greet", {}, now=1.7e9),))).result(10)
print(len(store.jobs(JobQuery(limit=0)).result(10)) == stored + 1)
store.close()
"""


@posix
@pytest.mark.parametrize("link", [False, True], ids=["the file", "a link to it"])
@pytest.mark.parametrize("size", [150_000, 300_000, 400_000])
def test_a_limit_on_the_size_of_files_is_no_broken_disk(path: Path, size: int, link: bool) -> None:
    if link:
        elsewhere = path.parent / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "real.db").touch()
        path.symlink_to(elsewhere / "real.db")
    environment = {key: text for key, text in os.environ.items() if not key.startswith("COV")}
    said = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path), str(size)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == ["True", "True", "True"]


# Where no thread can be started


@contextmanager
def no_thread_for(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Have the system refuse threads of that name."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(name):
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield


def test_whoever_comes_while_no_thread_can_be_started_is_told_and_the_next_is_served(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as store:
        with no_thread_for(monkeypatch, "novitai-store"):
            for refused in (
                store.commit(Change(jobs=(greet(1),))),
                store.stats(),
                store.changed("thing", "a", 0),
            ):
                with pytest.raises(StoreError, match=r"no thread could be started.*try again") as e:
                    refused.result(SOON)
                assert e.value.passing
            store.on_work(lambda due: None)()  # listens to what happens here all the same
        assert store.stats().result(SOON).total_jobs == 0
        store.commit(Change(jobs=(greet(1),))).result(SOON)
        assert store.stats().result(SOON).pending_jobs == 1


def test_a_store_that_cannot_give_back_its_jobs_stays_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as store:
        store.commit(Change(jobs=(greet(1),))).result(SOON)
        assert store.claim("me", {"greet": 1}, NOW, 60).result(SOON).claims
        with no_thread_for(monkeypatch, "novitai-store"):
            store.before_fork()  # by which its threads end
            store.after_fork(in_child=False)
            with pytest.raises(StoreError, match="no thread"):
                store.close(SOON)
        assert store.stats().result(SOON).processing_jobs == 1
    with opened(path) as store:
        assert store.stats().result(SOON).pending_jobs == 1
