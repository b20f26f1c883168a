"""Where a client keeps its jobs: found by account, private, shared, taken up again."""

import os
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from faces import WANTED
from moments import block_until, until

from novitai_sdk import AsyncNovitai, Novitai, Settings, SettingsError
from novitai_sdk._default_store import default_store
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.jobs import (
    MemoryStore,
    SqliteStore,
    StoreClosed,
    StoreError,
    StoreForeign,
    open_store,
)

SETTINGS = Settings(environ={}, api_key="sk-example")


def place(platform: str, **environ: str) -> Path:
    return default_store(SETTINGS, platform=platform, environ=environ).parent


# -- the default --------------------------------------------------------------------------------------


def test_the_file_lies_in_the_users_state_directory(tmp_path):
    home = Path.home()
    assert home.is_relative_to(tmp_path)
    assert place("linux", XDG_STATE_HOME="/var/state") == Path("/var/state/novitai_sdk")
    assert place("linux") == home / ".local/state/novitai_sdk"
    assert place("freebsd14") == home / ".local/state/novitai_sdk"
    assert place("darwin") == home / "Library/Application Support/novitai_sdk"
    assert place("win32") == home / "AppData/Local/novitai_sdk"
    assert place("win32", LOCALAPPDATA="/users/me/local") == Path("/users/me/local/novitai_sdk")


def test_a_relative_state_directory_is_ignored():
    assert place("linux", XDG_STATE_HOME="state") == place("linux")


def test_without_a_home_a_store_has_to_be_given(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("LOCALAPPDATA")
    with pytest.raises(SettingsError, match="store must be given"):
        Novitai(api_key="sk-example")
    Novitai(api_key="sk-example", store="memory").close()


def test_the_file_is_named_by_account_and_tells_nothing_of_the_key():
    names = {
        default_store(SETTINGS),
        default_store(SETTINGS.but(api_key="sk-example-2")),
        default_store(SETTINGS.but(base_url="https://eu.novita.ai")),
    }
    assert len(names) == 3
    assert default_store(SETTINGS.but(timeout=3)) in names
    assert not any("example" in str(name) for name in names)


def files(under: Path) -> set[Path]:
    return {path for path in under.rglob("*") if path.is_file()}


@pytest.fixture
def account(cloud: Emulator) -> dict[str, Any]:
    """A client of this account with the default store."""
    return {"api_key": cloud.api_key, "base_url": cloud.base_url, "poll_interval": 0.01}


def test_the_file_is_made_with_the_first_use_and_is_private(account, tmp_path):
    with Novitai(**account) as client:
        client.catalog.regions()
        assert files(tmp_path) == set()
        client.instances.create(**WANTED)
        found = files(tmp_path)
    assert default_store(client.settings) in found
    if sys.platform != "win32":
        assert {stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)} == {0o600}
        directory = default_store(client.settings).parent
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_two_accounts_never_mix(account, cloud):
    cloud.open_account("sk-other")
    with (
        Novitai(**account) as one,
        Novitai(**{**account, "api_key": "sk-other"}) as other,
        Novitai(**account) as same,
    ):
        made = one.instances.create(**WANTED)
        assert [each.id for each in same.instances.list()] == [made.id]
        assert other.instances.list() == ()
        assert other.jobs.stats().total_jobs == 0


@pytest.mark.parametrize(("given", "level"), [({}, 2), ({"store_synchronous": "NORMAL"}, 1)])
def test_a_client_says_how_safe_its_file_is(account, given, level):
    with Novitai(**account, **given) as client:
        client.jobs.stats()
        store = client._engine._core.store
        assert isinstance(store, SqliteStore)
        with closing(store._file.connect()) as db:
            assert db.execute("PRAGMA synchronous").fetchone() == (level,)
    with pytest.raises(SettingsError, match="store_synchronous must be"):
        Novitai(**account, store_synchronous="OFF")


@pytest.mark.parametrize("store", ["Memory", " memory ", "MEMORY"])
@pytest.mark.parametrize("make", [Novitai, AsyncNovitai])
def test_a_store_that_means_memory_becomes_no_file(make, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = list(tmp_path.iterdir())
    with pytest.raises(SettingsError, match='store must be written "memory", if that is meant'):
        make(api_key="sk-example", store=store)
    with pytest.raises(StoreError, match='a store must be written "memory", if that is meant'):
        open_store(store)
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize("store", ["./Memory", Path("Memory")])
def test_a_path_with_that_word_is_a_path(account, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Novitai(**account, store=store) as client:
        client.instances.create(**WANTED)
    assert (tmp_path / "Memory").is_file()


def test_an_empty_text_is_the_default_too(account, monkeypatch):
    monkeypatch.setenv("NOVITAI_STORE", "")
    with Novitai(**account, store="") as client:
        client.instances.create(**WANTED)
        assert default_store(client.settings).exists()


# -- another ------------------------------------------------------------------------------------------


def test_memory_leaves_no_file(account, tmp_path):
    with Novitai(**account, store="memory") as client:
        client.instances.create(**WANTED)
    assert files(tmp_path) == set()


@pytest.mark.parametrize("kind", [str, Path], ids=["text", "path"])
def test_a_path_is_used_as_it_is(account, tmp_path, kind):
    path = tmp_path / "deep" / "er" / "jobs.db"
    with Novitai(**account, store=kind(path)) as client:
        client.instances.create(**WANTED)
    assert files(tmp_path) == {path}


def test_the_environment_names_a_store(account, tmp_path, monkeypatch):
    monkeypatch.setenv("NOVITAI_STORE", os.fspath(tmp_path / "jobs.db"))
    with Novitai(**account) as client:
        client.instances.create(**WANTED)
    assert files(tmp_path) == {tmp_path / "jobs.db"}


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_store_that_was_given_serves_several_clients_and_is_left_open(account, tmp_path, kind):
    store = open_store("memory" if kind == "memory" else tmp_path / "jobs.db")
    with Novitai(**account, store=store) as one, Novitai(**account, store=store) as other:
        made = one.instances.create(**WANTED)
        assert other.instances.get(made.id).wait_until_ready(timeout=10).status == "running"
    assert store.stats().result().completed_jobs > 0
    store.close(None)
    with pytest.raises(StoreClosed):
        store.stats().result()


# -- what is left in it -------------------------------------------------------------------------------


# Who leaves while a create is under way leaves somebody to search for what came of it, until it must have shown.
SOON = {"settle": 0.1, "timeout": 2.0, "attempt_timeout": 0.5}


def leave_unfinished(cloud: Emulator, **options: Any) -> None:
    """Ask for a machine and leave before it was made."""
    cloud.order(faults.rate_limited("instances.create", retry_after=0.05, times=None))
    with Novitai(**options, drain=0) as client:
        client.instances.create(**WANTED)
    cloud.clear_faults()
    assert cloud.instances == ()


@pytest.mark.parametrize("kind", ["the default", "memory", "file"])
def test_making_a_client_is_enough_to_take_up_what_another_left(account, cloud, tmp_path, kind):
    store: Any = {"the default": None, "memory": MemoryStore(), "file": tmp_path / "jobs.db"}[kind]
    leave_unfinished(cloud, **account, store=store)
    with Novitai(**account, store=store, **SOON):
        block_until(lambda: cloud.instances)
    assert len(cloud.instances) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["memory", "file"])
def test_entering_an_awaiting_one_is_enough_too(account, cloud, tmp_path, kind, backend, threads):
    store: Any = MemoryStore() if kind == "memory" else tmp_path / "jobs.db"
    leave_unfinished(cloud, **account, store=store)

    async def main() -> None:
        async with AsyncNovitai(**account, store=store, **SOON):
            await until(lambda: cloud.instances)
            assert "novitai-jobs" not in threads()

    anyio.run(main, backend=backend)
    assert len(cloud.instances) == 1


def test_a_client_with_nothing_to_take_up_starts_nothing(account, tmp_path, threads):
    with Novitai(**account, store=tmp_path / "jobs.db") as client:
        client.instances.create(**WANTED).wait_until_ready(timeout=10)
        for job in client.jobs.list():
            client.jobs.wait(job.id, timeout=10)
    with Novitai(**account, store=tmp_path / "jobs.db"):
        assert "novitai-jobs" not in threads()


# -- one that cannot be used --------------------------------------------------------------------------


def test_a_file_of_another_program_is_refused_when_the_client_is_made(account, tmp_path, threads):
    path = tmp_path / "notes.txt"
    path.write_text("not a store, and long enough that nobody takes it for an empty one\n" * 99)
    before = path.read_bytes()
    with pytest.raises(StoreForeign, match=r"notes.txt"):
        Novitai(**account, store=path)
    assert path.read_bytes() == before
    assert threads() == []


def test_a_directory_is_no_store(account, tmp_path):
    with pytest.raises(StoreError, match=str(tmp_path)):
        Novitai(**account, store=tmp_path)


def test_a_place_where_no_file_can_be_is_named_at_the_first_use(account, tmp_path):
    (tmp_path / "file").write_text("")
    with Novitai(**account, store=tmp_path / "file" / "jobs.db") as client:
        assert client.catalog.regions()
        with pytest.raises(StoreError, match=r"jobs.db"):
            client.instances.create(**WANTED)
        with pytest.raises(StoreError, match=r"jobs.db"):
            client.jobs.stats()


def test_a_store_that_was_closed_by_its_owner_says_so(account, tmp_path):
    store = SqliteStore(tmp_path / "jobs.db")
    with Novitai(**account, store=store) as client:
        client.jobs.stats()
        store.close()
        with pytest.raises(StoreClosed):
            client.jobs.stats()


@pytest.mark.parametrize("name", ["x" * 300 + ".db", "~nobody-is-called-so/jobs.db", "jobs\0.db"])
def test_a_name_that_no_file_can_have_is_told_by_an_error_of_the_store(name: str) -> None:
    def use() -> None:
        with Novitai(api_key="k", store=name) as client:
            client.jobs.list()

    with pytest.raises(StoreError):
        use()
