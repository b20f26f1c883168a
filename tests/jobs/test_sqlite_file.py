"""The file of a durable store: who may read it, what is refused, and what survives."""

import errno
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import attrs
import pytest
from stores import SOON, opened

from novitai_sdk.jobs import (
    Again,
    Batch,
    Change,
    Claim,
    Done,
    JobQuery,
    JobRefused,
    MemoryStore,
    NewJob,
    Settlement,
    SqliteStore,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreReadOnly,
    StoreTooNew,
    Write,
    new_job,
    open_store,
)
from novitai_sdk.jobs._announce import Events
from novitai_sdk.jobs._layout import APPLICATION_ID, LAYOUT
from novitai_sdk.jobs._owners import OwnerLocks, Steadiness
from novitai_sdk.jobs._rows import Rows
from novitai_sdk.models import JobStatus

NOW = 1_700_000_000.0
DAY = 86_400.0

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither modes nor flock")


def greet(number: int = 0, **more: float) -> NewJob:
    return new_job("greet", {"number": number}, now=NOW, **more)


def add(store: SqliteStore, *jobs: NewJob) -> None:
    store.commit(Change(jobs=jobs)).result(SOON)


def take(
    store: SqliteStore, owner: str = "me", limit: int = 1, now: float = NOW
) -> tuple[Claim, ...]:
    return store.claim(owner, {"greet": limit}, now, 60).result(SOON).claims


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Opening


def test_a_store_is_opened_by_what_names_it(path: Path) -> None:
    memory = open_store("memory")
    assert isinstance(memory, MemoryStore)
    assert open_store(memory) is memory
    for name in (path, str(path)):
        store = open_store(name, synchronous="NORMAL")
        assert isinstance(store, SqliteStore)
        store.close(SOON)
    with pytest.raises(ValueError, match="OFF"):
        open_store(path, synchronous="OFF")


def test_the_database_module_is_loaded_when_a_file_is_opened_and_not_before(path: Path) -> None:
    script = (
        "import sys, novitai_sdk.jobs as jobs\n"
        "assert 'sqlite3' not in sys.modules\n"
        "jobs.open_store('memory')\n"
        "assert 'sqlite3' not in sys.modules\n"
        "jobs.SqliteStore(sys.argv[1]).close()\n"
        "assert not hasattr(jobs, 'Nothing')\n"
    )
    environment = {key: text for key, text in os.environ.items() if not key.startswith("COV")}
    subprocess.run([sys.executable, "-W", "error", "-c", script, path], check=True, env=environment)


def test_what_was_stored_is_there_after_opening_again(path: Path) -> None:
    waiting, running, ended = greet(1, after=5), greet(2), greet(3)
    with opened(path) as store:
        add(store, ended)
        (claim,) = take(store)
        settlement = Settlement(
            claim=claim, outcome=Done(writes=(Write(kind="thing", key="a", body={}),)), at=NOW
        )
        store.commit(Change(settle=settlement)).result(SOON)
        add(store, waiting, running)
        take(store)
    with opened(path) as store:
        assert {
            job.payload["number"]: job.status for job in store.jobs(JobQuery()).result(SOON)
        } == {1: JobStatus.PENDING, 2: JobStatus.PENDING, 3: JobStatus.COMPLETED}
        assert len(store.scan("thing").result(SOON)) == 1


@posix
def test_nobody_else_can_read_the_file_or_what_lies_beside_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "state" / "novitai" / "jobs.db"
        with opened(path) as store:
            add(store, greet())
            take(store)
            beside = list(path.parent.iterdir())
            assert len(beside) == 4  # the file, its log, its shared memory, the owner's lock
            assert {mode(file) for file in beside} == {0o600}
            assert {mode(path.parent), mode(path.parent.parent)} == {0o700}
    finally:
        os.umask(before)


@posix
@pytest.mark.parametrize("link", [False, True], ids=["by its name", "by a link"])
@pytest.mark.parametrize("made", ["empty", "ours", "in use"])
def test_a_file_that_others_could_read_is_theirs_no_more_once_it_is_opened(
    path: Path, made: str, link: bool
) -> None:
    path.touch()
    with ExitStack() as stack:
        if made != "empty":
            other = stack.enter_context(opened(path))
            add(other, greet())
            if made == "ours":
                other.close(SOON)
        for file in path.parent.iterdir():
            file.chmod(0o666)
        name = path.with_name("link.db") if link else path
        if link:
            name.symlink_to(path)
        store = stack.enter_context(opened(name))
        add(store, greet())
        beside = [file for file in path.parent.glob("jobs.db*") if "-owner-" not in file.name]
        assert len(beside) == 3
        assert {mode(file) for file in beside} == {0o600}


NOBODY = 65_534


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files to somebody else"
)
@pytest.mark.parametrize("what", ["", "-wal", "-shm", "-journal", "a link"])
def test_what_another_user_put_there_is_refused_and_left_as_it_is(path: Path, what: str) -> None:
    """It would be read by them, and hold their jobs for this process to do."""
    with opened(path) as store:
        add(store, greet())
    planted = path if what == "a link" else path.with_name(f"{path.name}{what}")
    if what == "a link":
        path.rename(path.with_name("mine"))
        path.symlink_to("mine")
    planted.touch()
    os.chown(planted, NOBODY, NOBODY, follow_symlinks=False)
    before = planted.read_bytes()
    with pytest.raises(StoreForeign, match=f"another user \\(uid {NOBODY}\\).*make it yours"):
        SqliteStore(path)
    assert planted.read_bytes() == before
    # In a directory of theirs it is for them to say what lies there, as in the home of a user that root works for.
    os.chown(path.parent, NOBODY, NOBODY)
    planted.chmod(0o600)
    with opened(path) as store:
        add(store, greet())


def test_a_lock_file_that_may_not_be_removed_keeps_nobody_from_seeing_the_dead(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody may put one into a directory for all, and nobody else may remove it."""
    path.with_name(f"{path.name}-owner-theirs").touch()

    def refuse(this: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(this))

    monkeypatch.setattr(Path, "unlink", refuse)
    locks = OwnerLocks(path)
    assert locks.find(["theirs"]) == ({"theirs"}, set())
    assert locks.find([]) == (set(), set())


@posix
def test_a_file_that_this_user_may_only_read_is_not_made_writable(path: Path) -> None:
    with opened(path):
        pass
    path.chmod(0o444)
    with suppress(StoreReadOnly):  # not by root, who may write everything
        SqliteStore(path).close(SOON)
    assert mode(path) in {0o400, 0o444}


def test_the_file_says_whose_it_is_and_survives_a_power_cut_by_default(path: Path) -> None:
    with opened(path) as store:
        assert store.path == path
        add(store, greet())
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
            assert db.execute("PRAGMA user_version").fetchone() == (LAYOUT,)
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for synchronous, level in (("FULL", 2), ("NORMAL", 1)):
        with opened(path, synchronous) as store, closing(store._file.connect()) as db:
            assert db.execute("PRAGMA synchronous").fetchone() == (level,)


def test_a_relative_path_stays_what_it_was_when_the_program_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with opened(Path("jobs.db")) as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        add(store, greet())
    assert (tmp_path / "jobs.db").exists()
    assert not list(Path().iterdir())


# Refusing


def make_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE customers (name)")


def make_foreign_with_id(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA application_id = 17")


def make_newer(path: Path) -> None:
    with opened(path):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {LAYOUT + 1}")


def make_text(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)


def make_damaged(path: Path) -> None:
    with opened(path):
        pass
    content = bytearray(path.read_bytes())
    content[100:3000] = b"\xff" * 2900  # behind the file's header, where the list of tables begins
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (make_foreign, StoreForeign, "another program"),
        (make_foreign_with_id, StoreForeign, "another program"),
        (make_text, StoreForeign, "not a database"),
        (make_newer, StoreTooNew, "upgrade"),
        (make_damaged, StoreCorrupt, "damaged"),
    ],
)
def test_a_file_that_is_not_ours_to_write_is_refused_and_left_as_it_is(
    path: Path, make: Callable[[Path], None], error: type[StoreError], words: str
) -> None:
    make(path)
    path.chmod(0o644)
    before, as_it_was = path.read_bytes(), mode(path)
    for _ in range(2):
        with pytest.raises(error, match=words) as refused:
            SqliteStore(path)
        assert str(path) in str(refused.value)
        assert not refused.value.passing
    assert (path.read_bytes(), mode(path)) == (before, as_it_was)
    assert [file.name for file in path.parent.iterdir() if "jobs.db" in file.name] == ["jobs.db"]


@pytest.mark.parametrize(
    "spec", ["sqlite:///jobs.db", "postgresql://user:s3cret@host/db", ":memory:"]
)
def test_the_address_of_a_database_is_no_path(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="looks like the address of a database") as refused:
        open_store(spec)
    assert "s3cret" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    with opened(path) as store:
        add(store, greet())


def test_damage_found_later_is_told_by_its_name(path: Path) -> None:
    with opened(path) as store:
        add(store, *(greet(n) for n in range(2000)))
    size = path.stat().st_size
    with path.open("r+b") as file:  # the pages of the table, and not those that say what there is
        file.seek(size // 4)
        file.write(b"\xff" * (size // 2))
    with opened(path) as store:
        with pytest.raises(StoreCorrupt, match="damaged"):
            store.stats().result(SOON)
        with pytest.raises(StoreCorrupt, match="damaged"):
            store.jobs(JobQuery()).result(SOON)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=str(tmp_path)):
        SqliteStore(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("~nobody-of-that-name/jobs.db", marks=posix),
        "a\0b.db",
        "x" * 300,
        "x" * 250,
        f"{'x' * 300}/jobs.db",
    ],
)
def test_a_name_that_no_file_can_have_is_told_as_trouble_of_the_store(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError):
        SqliteStore(name)
    with pytest.raises(StoreError):
        open_store(Path(name))
    # Of the longest name that a file can have, nothing beside it can be made.
    assert {file.name for file in tmp_path.iterdir()} <= {"x" * 250}


def test_a_path_through_a_file_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"):
        SqliteStore(tmp_path / "file" / "jobs.db")


AS_NOBODY = """
import os, sys
from novitai_sdk.jobs import SqliteStore, StoreError
if os.geteuid() == 0:
    os.setuid(65534)  # not before the imports: nobody may be unable to read them
try:
    SqliteStore(sys.argv[1])
except StoreError as error:
    print(type(error).__name__, error)
"""


@posix
@pytest.mark.parametrize("closed", ["file", "directory", "both"])
def test_what_cannot_be_written_is_said_to_be_so(tmp_path: Path, closed: str) -> None:
    # Not in tmp_path: the user who is to be refused could not even reach it.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        path = directory / "jobs.db"
        with opened(path) as store:
            add(store, greet())
        path.chmod(0o444 if closed in ("file", "both") else 0o666)
        directory.chmod(0o555 if closed in ("directory", "both") else 0o777)
        before = path.read_bytes()
        environment = {key: text for key, text in os.environ.items() if not key.startswith("COV")}
        said = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, path],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        ).stdout
        directory.chmod(0o700)
        assert said.startswith(f"{StoreReadOnly.__name__} {path}"), said
        assert path.read_bytes() == before


# Trouble while it runs


def test_a_full_disk_is_told_and_what_was_stored_is_safe(path: Path) -> None:
    store = SqliteStore(path, max_bytes=400_000)
    stored = 0
    big = new_job("greet", {"big": "x" * 20_000}, now=NOW).job
    while True:
        job = attrs.evolve(big, id=f"job_{stored}")
        error = store.commit(Change(jobs=(NewJob(job=job),))).exception(SOON)
        if error is not None:
            break
        stored += 1
    assert isinstance(error, StoreFull)
    assert "make room" in str(error)
    assert StoreFull.passing
    assert store.stats().result(SOON).pending_jobs == stored
    (claim,) = take(store)
    settlement = Settlement(claim=claim, outcome=Again(after=1), at=NOW)
    store.commit(Change(settle=settlement)).result(SOON)  # what needs no room still works
    store.close(SOON)
    with opened(path) as store:
        assert store.stats().result(SOON).pending_jobs == stored


def test_one_that_fills_the_disk_does_not_sink_those_beside_it(path: Path) -> None:
    store = SqliteStore(path, max_bytes=400_000)
    # All in one batch: the writer is still opening the file when they are queued.
    small = [store.commit(Change(jobs=(greet(n),))) for n in range(5)]
    big = store.commit(Change(jobs=(new_job("greet", {"big": "x" * 500_000}, now=NOW),)))
    refused = store.commit(Change(writes=(Write(kind="thing", key="a", body={"x": object()}),)))  # type: ignore[dict-item]  # the mistake under test
    with pytest.raises(StoreFull):
        big.result(SOON)
    with pytest.raises((JobRefused, StoreFull)):
        refused.result(SOON)
    told = [future for future in small if future.exception(SOON) is None]
    assert store.stats().result(SOON).pending_jobs == len(told)
    store.close(SOON)


def test_a_file_that_another_holds_for_too_long_is_busy_and_then_works_again(path: Path) -> None:
    store = SqliteStore(path, busy_timeout=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="try again") as busy:
            add(store, greet())
        assert busy.value.passing
        assert store.stats().result(SOON).total_jobs == 0  # readers are not held up
        other.execute("ROLLBACK")
    add(store, greet())
    store.close(SOON)


# Several on one file


def test_several_stores_on_one_file_see_each_other(path: Path) -> None:
    with opened(path) as one, opened(path) as two:
        heard = threading.Event()
        two.on_work(lambda due: heard.set())
        waits = two.changed("thing", "a", 0)
        job = greet()
        add(one, job)
        ends = two.settled(job.job.id)
        (claim,) = take(one)
        outcome = Done(writes=(Write(kind="thing", key="a", body={"n": 1}),))
        one.commit(Change(settle=Settlement(claim=claim, outcome=outcome, at=NOW))).result(SOON)
        assert ends.result(5).status is JobStatus.COMPLETED
        record = waits.result(5)
        assert record is not None
        goes = two.changed("thing", "a", record.version)
        one.commit(Change(writes=(Write(kind="thing", key="a", body=None),))).result(SOON)
        assert goes.result(5) is None
        heard.clear()
        add(one, greet())
        assert heard.wait(5)


def test_two_who_make_the_file_at_once_make_one(path: Path) -> None:
    stores: list[SqliteStore] = []
    threads = [threading.Thread(target=lambda: stores.append(SqliteStore(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert len(stores) == 8
    for number, store in enumerate(stores):
        add(store, greet(number))
    assert stores[0].stats().result(SOON).pending_jobs == 8
    for store in stores:
        store.close(SOON)


@posix
def test_a_living_owner_keeps_its_jobs_and_a_closed_one_gives_them_back(path: Path) -> None:
    with opened(path) as two:
        with opened(path) as one:
            add(one, greet())
            assert len(take(one, "one")) == 1
            batch = two.claim("two", {"greet": 1}, NOW + 1, 60).result(SOON)
            assert batch.claims == ()
            assert batch.next_due is not None
            assert batch.next_due <= NOW + 3  # it may die any moment
        (claim,) = take(two, "two", now=NOW + 5)
        assert claim.job.attempts == 1
    assert [file.name for file in path.parent.glob("jobs.db*")] == ["jobs.db"]


@posix
def test_a_wall_clock_that_jumps_takes_no_job_from_another_process_that_lives(path: Path) -> None:
    def look(now: float, monotonic: float) -> Batch:
        return two.claim("two", {"greet": 1}, now, 60, None, monotonic).result(SOON)

    with opened(path) as two:
        with opened(path) as one:
            add(one, greet())
            (claim,) = take(one, "one")
            assert look(NOW + 0.1, 0.1).claims == ()
            assert look(NOW + 3600, 0.2).claims == ()
            assert one.renew([claim], NOW + 3600, 60).result(SOON) == frozenset()
            assert look(NOW + 3601, 1).claims == ()
            assert look(NOW + 7200, 2).claims == ()
        (taken,) = look(NOW + 7200.6, 3).claims  # a closed one, or a dead one, has no time left
        assert taken.job.attempts == 1


@posix
def test_one_that_died_just_after_it_was_seen_to_live_is_given_no_time(path: Path) -> None:
    def look(now: float, monotonic: float) -> Batch:
        return two.claim("two", {"greet": 1}, now, 60, None, monotonic).result(SOON)

    with opened(path) as two:
        one = SqliteStore(path)
        add(one, greet())
        assert len(take(one, "one")) == 1
        assert look(NOW + 3600, 10).claims == ()
        die(one)
        (claim,) = look(NOW + 3600.1, 10.1).claims
    assert claim.job.attempts == 2


def test_time_that_the_wall_clock_cannot_tell_from_none_is_none() -> None:
    steadiness = Steadiness()
    assert steadiness.grace(NOW, 0.0, 60) == 60
    assert steadiness.grace(NOW + 59, 59.0, 60) == 1
    assert steadiness.grace(NOW + 60, 60 - 1e-9, 60) == 0


@posix
@pytest.mark.parametrize("name", ["jobs[eu].db", "jobs*.db", "jobs?.db", "[!j]obs.db", "[]"])
def test_the_dead_are_seen_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / name) as two:
        one = SqliteStore(tmp_path / name)
        add(one, greet())
        assert len(take(one, "one")) == 1
        assert take(two, "two", now=NOW + 1) == ()
        die(one)
        (claim,) = take(two, "two", now=NOW + 2)
    assert claim.job.attempts == 2


@posix
@pytest.mark.parametrize(("left", "right"), [("link.db", "jobs.db"), ("there/jobs.db", "link.db")])
def test_those_who_know_the_file_by_other_names_see_each_other(
    path: Path, left: str, right: str
) -> None:
    SqliteStore(path).close(SOON)
    path.with_name("link.db").symlink_to(path)
    path.with_name("there").symlink_to(path.parent, target_is_directory=True)
    with opened(path.parent / right) as two:
        one = SqliteStore(path.parent / left)
        add(one, greet())
        assert len(take(one, "one")) == 1
        batch = two.claim("two", {"greet": 1}, NOW + 1, 60).result(SOON)
        assert (batch.claims, batch.next_due) == ((), NOW + 3)
        die(one)
        (claim,) = take(two, "two", now=NOW + 4)
        assert claim.job.attempts == 2
        take(two, "two", now=NOW + 6)  # its lock file has told all it knew
    assert {file.name for file in path.parent.iterdir()} == {"jobs.db", "link.db", "there"}


def die(store: SqliteStore) -> None:
    """Let go of the locks as the kernel does, and give nothing back."""
    store._owners.forget()
    store.close(SOON)


def test_an_owner_needs_a_name_that_a_file_can_have(path: Path) -> None:
    with opened(path) as store:
        for name in ("", "../evil", "a b"):
            with pytest.raises(JobRefused, match="no name"):
                take(store, name)


@posix
def test_lock_files_of_the_dead_are_removed(path: Path) -> None:
    with opened(path) as store:
        left = path.with_name("jobs.db-owner-long-gone")
        left.touch()
        take(store)
        assert not left.exists()


# Leaving nothing behind


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_nothing_is_left_after_close(path: Path) -> None:
    threads, files = threading.enumerate(), descriptors_of(path)
    for _ in range(3):
        with opened(path) as store:
            add(store, greet())
            take(store)
            store.changed("thing", "a", 0)
            store.stats().result(SOON)
            assert len(descriptors_of(path)) > len(files)
    assert threading.enumerate() == threads
    assert descriptors_of(path) == files


def descriptors_of(path: Path) -> list[str]:
    found: list[str] = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the one that listed the directory
            continue
        if target.startswith(str(path)):
            found.append(target)
    return found


def test_close_finishes_what_was_accepted(path: Path) -> None:
    store = SqliteStore(path)
    answers = [store.commit(Change(jobs=(greet(n),))) for n in range(3000)]
    store.close(SOON)
    assert all(answer.exception(0) is None for answer in answers)
    with opened(path) as store:
        assert store.stats().result(SOON).pending_jobs == 3000


def test_a_commit_that_nobody_waits_for_any_more_may_be_left_out(path: Path) -> None:
    store = SqliteStore(path)
    answers = [store.commit(Change(jobs=(greet(n),))) for n in range(200)]
    left_out = sum(answer.cancel() for answer in answers)
    store.close(SOON)
    with opened(path) as store:
        assert store.stats().result(SOON).pending_jobs == 200 - left_out


def steps_of_a_claim(store: SqliteStore) -> int:
    """How many steps SQLite takes to look for work, which is not taken."""
    taken = 0

    def step() -> None:
        nonlocal taken
        taken += 1

    with closing(store._file.connect()) as db:
        rows, events = Rows(db), Events()
        db.execute("BEGIN IMMEDIATE")
        db.set_progress_handler(step, 1)
        rows.lapse(NOW, (), events)
        assert len(rows.claim("me", {"greet": 5}, NOW, 60, events).claims) == 5
        db.set_progress_handler(None, 1)
        db.execute("ROLLBACK")
    return taken


def test_to_look_for_work_costs_the_same_beside_thousands_that_are_delayed_or_done(
    path: Path,
) -> None:
    with opened(path) as store:
        add(store, *(greet(number) for number in range(5)))
        alone = steps_of_a_claim(store)
        add(store, *(greet(number, after=DAY + number) for number in range(1000)))
        add(store, *(new_job("other", {}, now=NOW) for _ in range(1000)))
        claims = store.claim("me", {"other": 1000}, NOW, 60).result(SOON).claims
        ends = [Settlement(claim=claim, outcome=Done(), at=NOW) for claim in claims]
        store.settle(ends).result(SOON)
        assert steps_of_a_claim(store) < 1.3 * alone
