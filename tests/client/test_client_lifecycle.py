"""A client from its making to its end: what it says, what it holds, what it leaves."""

import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import attrs
import pytest
from faces import WANTED

from novitai_sdk import (
    AsyncNovitai,
    CallTimedOut,
    ClientClosed,
    ConnectFailed,
    Novitai,
    RetryPolicy,
    Settings,
    SettingsError,
    Unauthorized,
)
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.jobs import MemoryStore
from novitai_sdk.testing import MemoryNetwork

BOTH = pytest.mark.parametrize("client_class", [Novitai, AsyncNovitai])


# -- making -------------------------------------------------------------------------------------------


@BOTH
def test_a_missing_key_is_said_when_the_client_is_made(client_class):
    with pytest.raises(SettingsError, match=r"API key is missing.*NOVITA_API_KEY"):
        client_class()


@BOTH
def test_every_wrong_setting_is_named_at_once(client_class, monkeypatch):
    monkeypatch.setenv("NOVITAI_DRAIN", "soon")
    with pytest.raises(SettingsError) as caught:
        client_class(base_url="ftp://nowhere", timeout=-1, regions=[], timeuot=3)
    told = [problem.split()[0] for problem in caught.value.problems]
    assert sorted(told) == ["NOVITAI_DRAIN", "an", "base_url", "regions", "timeout", "timeuot"]


@BOTH
def test_settings_come_ready_or_one_by_one_but_not_both(client_class):
    settings = Settings(api_key="sk-example", store="memory")
    with pytest.raises(TypeError, match="not both"):
        client_class(settings=settings, timeout=3)
    with pytest.raises(TypeError, match="settings must be a Settings, not dict"):
        client_class(settings={"api_key": "sk-example"})


@BOTH
def test_settings_out_of_a_pickle_are_refused_before_anything_is_sent(client_class):
    settings = pickle.loads(pickle.dumps(Settings(api_key="sk-example", store="memory")))
    with pytest.raises(SettingsError, match="api_key came out of a pickle, and"):
        client_class(settings=settings)


def test_ready_settings_are_kept_as_they_are(cloud):
    settings = Settings(api_key=cloud.api_key, base_url=cloud.base_url, store="memory", timeout=7)
    with Novitai(settings=settings) as client:
        assert client.settings is settings
        assert client.catalog.regions()


def test_the_key_is_found_in_the_environment(cloud, monkeypatch):
    monkeypatch.setenv("NOVITA_API_KEY", cloud.api_key)
    monkeypatch.setenv("NOVITAI_BASE_URL", cloud.base_url)
    monkeypatch.setenv("NOVITAI_STORE", "memory")
    with Novitai() as client:
        assert client.catalog.regions()


def test_more_clients_cost_neither_threads_nor_descriptors_nor_modules(new, settles):
    new().catalog.regions()
    modules = set(sys.modules)
    threads = threading.active_count()
    clients = [new() for _ in range(50)]
    assert threading.active_count() == threads
    assert set(sys.modules) == modules
    settles(spare=4)  # the one connection made above, at both of its ends
    for client in clients:
        client.close()


def test_no_thread_runs_before_the_first_job_and_none_after_the_end(new, threads):
    client = new()
    client.catalog.regions()
    client.health()
    client.instances.list()
    client.jobs.stats()
    assert threads() == []
    client.instances.create(**WANTED)
    assert threads() == ["novitai-jobs"]
    client.close()
    assert threads() == []


def test_a_durable_client_leaves_no_thread_either(new, threads, tmp_path):
    client = new(store=tmp_path / "jobs.sqlite3")
    assert threads() == []
    client.instances.create(**WANTED).wait_until_ready(timeout=10)
    assert "novitai-jobs" in threads()
    client.close()
    assert threads() == []


# -- closing ------------------------------------------------------------------------------------------

USES = {
    "instances": lambda client: client.instances.list(),
    "a create": lambda client: client.instances.create(**WANTED),
    "a rental": lambda client: client.instances.rent(**WANTED),
    "catalog": lambda client: client.catalog.products(),
    "cloud": lambda client: client.cloud.clusters.list(),
    "jobs": lambda client: client.jobs.stats(),
    "webhooks": lambda client: client.webhooks.deliveries(),
    "health": lambda client: client.health(),
    "health_report": lambda client: client.health_report(),
    "using": lambda client: client.using(timeout=5),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_closed_client_says_that_it_is_closed(new, use):
    client = new()
    client.close()
    with pytest.raises(ClientClosed, match="make a new one"):
        use(client)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_closed_awaiting_client_says_so_too(new_async, use):
    async def main() -> None:
        client = new_async()
        await client.aclose()
        with pytest.raises(ClientClosed):
            await use(client)

    anyio.run(main)


def test_what_was_taken_from_a_client_before_it_was_closed_says_so_too(new, tmp_path):
    client = new(store=tmp_path / "jobs.sqlite3")
    instance = client.instances.create(**WANTED)
    instances, jobs, cloud, webhooks = (
        client.instances,
        client.jobs,
        client.cloud,
        client.webhooks,
    )
    client.close()
    for call in (
        instance.refresh,
        instance.delete,
        instance.wait_until_ready,
        instances.list,
        jobs.stats,
        webhooks.deliveries,
        cloud.clusters.list,
    ):
        with pytest.raises(ClientClosed):
            call()


def test_that_holds_as_well_where_the_store_goes_on_without_the_client(new):
    store = MemoryStore()
    client = new(store=store)
    instance, jobs = client.instances.create(**WANTED), client.jobs
    (job,) = jobs.list(type="create_instance")
    client.close()
    for call in (instance.refresh, jobs.stats, lambda: jobs.get(job.id)):
        with pytest.raises(ClientClosed):
            call()
    assert store.job(job.id).result().id == job.id


def test_whoever_waits_while_the_client_is_closed_hears_of_it(new, cloud):
    cloud.order(faults.stuck_pull())
    client = new()
    instance = client.instances.create(**WANTED)
    seen = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            instance.wait_until_ready, timeout=30, on_progress=lambda _: seen.set()
        )
        assert seen.wait(5)
        client.close()
        with pytest.raises(ClientClosed):
            waiting.result(5)


def test_closing_twice_is_closing_once(new):
    with new() as client:
        client.close()
        client.close()
    client.close()


def test_a_closed_client_cannot_be_entered(new):
    client = new()
    client.close()
    with pytest.raises(ClientClosed), client:
        pytest.fail("the block must not begin")


def test_a_closed_client_can_still_be_shown(new, cloud):
    client = new()
    client.close()
    assert repr(client) == f"Novitai({cloud.base_url!r})"
    assert client.settings.base_url == cloud.base_url


def test_a_forgotten_client_is_mentioned(options):
    def forget() -> None:
        Novitai(**options)

        gc.collect()

    with pytest.warns(ResourceWarning, match=r"Novitai\(.*\) was not closed"):
        forget()


@BOTH
def test_no_other_client_is(client_class, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = client_class(**options)
        client.using(timeout=3)
        with pytest.raises(SettingsError):
            client_class(api_key="")
        if isinstance(client, Novitai):
            client.close()
        else:
            anyio.run(client.aclose)
        del client
        gc.collect()


def test_hundreds_of_clients_leave_threads_and_descriptors_as_they_were(options, settles):
    with Novitai(**options) as client:
        client.catalog.regions()
    for number in range(200):
        with Novitai(**options) as client:
            client.catalog.regions()
            if number % 10 == 0:
                client.instances.create(**WANTED)
    settles()


def test_the_same_holds_on_files(options, settles, tmp_path):
    for number in range(20):
        with Novitai(**{**options, "store": tmp_path / f"{number % 3}.sqlite3"}) as client:
            client.jobs.stats()
            client.instances.create(**WANTED)
    settles()


def test_awaiting_clients_in_runs_of_their_own_leave_nothing_to_the_garbage_collector(
    options, settles, tmp_path
):
    async def main() -> None:
        async with AsyncNovitai(**{**options, "store": tmp_path / "jobs.sqlite3"}) as client:
            await client.jobs.stats()
            await client.instances.create(**WANTED)

    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            anyio.run(main)
        settles()
    finally:
        gc.enable()


def test_many_threads_share_a_client(new):
    client = new(max_connections=4)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: len(client.catalog.regions()), range(64)))
    assert len(set(found)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_client_works_on_both_sides_of_a_fork():
    script = """
import os
from novitai_sdk import Novitai
from novitai_sdk.emulator import Emulator
with Emulator(life=0.05) as cloud:
    client = Novitai(api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01)
    wanted = dict(product_name="RTX 4090 24GB", template_id="tf-training-template-1", region="US-WEST-01")
    client.instances.create(name="before", **wanted).wait_until_ready(timeout=10)
    child = os.fork()
    name = "child" if child == 0 else "parent"
    status = client.instances.create(name=name, **wanted).wait_until_ready(timeout=10).status
    client.close()
    if child == 0:
        os._exit(0 if status == "running" else 1)
    print(status, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    # From Python 3.12 on, forking with threads is warned of; that it works is what is shown here.
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("running 0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_what_was_accepted_in_memory_before_a_fork_is_done_once():
    script = """
import os, time
import attrs
from novitai_sdk import Novitai

@attrs.frozen
class Errand:
    name: str

client = Novitai(api_key="k", base_url="http://127.0.0.1:1", store="memory")
client.jobs.declare(Errand)
asked = client.jobs.enqueue(Errand("asked before the fork"))
child = os.fork()
done = []

@client.jobs.handler(Errand, slots=1)
async def run(errand, context):
    done.append(errand.name)

if child == 0:
    # It comes after what is older, so whatever else there is to do here is done by then.
    client.jobs.wait(client.jobs.enqueue(Errand("asked by the child")).id, timeout=10)
    client.close()
    os._exit(0 if done == ["asked by the child"] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
client.jobs.work(timeout=0)
print(client.jobs.wait(asked.id, timeout=10).status, done)
client.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0\ncompleted ['asked before the fork']\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("module", ["asyncio.runners", "novitai_sdk.webhooks._sender"])
def test_a_fork_while_the_job_runner_is_starting_leaves_a_child_that_works(module):
    script = """
import os, sys, threading
import attrs
from novitai_sdk import Novitai

halfway, go_on = threading.Event(), threading.Event()

class Slow:
    \"""Begins to load the module, and is done with that only when somebody forks.\"""

    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            halfway.set()
            go_on.wait(10)

sys.meta_path.insert(0, Slow())

@attrs.frozen
class Errand:
    pass

client = Novitai(api_key="k", base_url="http://127.0.0.1:1", store="memory")

@client.jobs.handler(Errand)
async def run(errand, context):
    pass

def ask():
    return client.jobs.wait(client.jobs.enqueue(Errand()).id, timeout=10).status

client.jobs.enqueue(Errand())
assert halfway.wait(10)
os.register_at_fork(before=go_on.set)  # the latest registered is called first
child = os.fork()
status = ask()
client.close()
if child == 0:
    os._exit(0 if status == "completed" else 1)
print(status, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, module],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("completed 0\n", "")


# -- closing from within, and twice ---------------------------------------------------------------------


@attrs.frozen
class Errand:
    """What the jobs below are about: nothing."""


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_job_cannot_close_the_client_that_runs_it(new, threads, kind, tmp_path):
    client = new(store="memory" if kind == "memory" else tmp_path / "jobs.db")

    @client.jobs.handler(Errand)
    async def close(errand, context):
        with pytest.raises(RuntimeError, match="close the client where it was made"):
            client.close()

    for _ in range(2):
        job = client.jobs.wait(client.jobs.enqueue(Errand()).id, timeout=10)
        assert (job.status, job.attempts) == ("completed", 1)
    client.close()
    assert threads() == []


def test_nor_can_one_of_an_awaiting_client_that_runs_in_a_thread(new_async, threads):
    async def main() -> None:
        client = new_async()

        @client.jobs.handler(Errand)
        async def close(errand, context):
            with pytest.raises(RuntimeError, match="close the client where it was made"):
                await client.aclose()

        job = await client.jobs.enqueue(Errand())
        assert (await client.jobs.wait(job.id, timeout=10)).status == "completed"
        await client.aclose()
        assert threads() == []

    anyio.run(main)


def test_who_closes_a_client_that_is_being_closed_waits_until_it_is(new, threads):
    client = new(drain=10)
    began, go_on = threading.Event(), threading.Event()

    @client.jobs.handler(Errand)
    def linger(errand, context):
        began.set()
        go_on.wait(10)

    client.jobs.enqueue(Errand())
    assert began.wait(10)
    left: list[list[str]] = []

    def close() -> None:
        client.close()
        left.append(threads())

    closing = [threading.Thread(target=close) for _ in range(2)]
    for one in closing:
        one.start()
    for one in closing:
        one.join(0.05)
        assert one.is_alive()
    go_on.set()
    for one in closing:
        one.join(10)
    assert left == [[], []]


def test_a_signal_that_closes_what_is_being_closed_does_not_wait_for_itself(new, monkeypatch):
    client = new()
    client.jobs.stats()
    stop = client._engine._core.close_store
    closed: list[int] = []

    def interrupted() -> None:  # as by the program's own handler of SIGTERM, in the same thread
        client.close()
        closed.append(1)
        stop()

    monkeypatch.setattr(client._engine._core, "close_store", interrupted)
    client.close()
    assert closed == [1]


# -- siblings -----------------------------------------------------------------------------------------


class CountingNetwork(MemoryNetwork):
    """Counts what a client asks of its network."""

    made = 0

    def blocking(self) -> Any:
        self.made += 1
        return super().blocking()


def test_a_sibling_shares_connections_and_store(cloud, new):
    network = CountingNetwork(cloud)
    client = new(network=network)
    sibling = client.using(timeout=5)
    made = sibling.instances.create(**WANTED)
    assert client.instances.get(made.id).id == made.id
    assert client.jobs.stats() == sibling.jobs.stats()
    assert network.made == 1


def test_a_sibling_has_limits_of_its_own(cloud, new):
    client = new()
    hasty = client.using(timeout=3, attempt_timeout=0.05, retry=RetryPolicy(attempts=1))
    assert (hasty.settings.timeout, hasty.settings.attempt_timeout) == (3.0, 0.05)
    assert client.settings.timeout == 60.0
    assert hasty.using(timeout=4).settings.attempt_timeout == 0.05

    cloud.order(faults.slow("clusters.list", seconds=0.3, times=None))
    with pytest.raises(CallTimedOut):
        hasty.catalog.regions()
    assert client.catalog.regions()


def test_closing_a_sibling_closes_nothing(new):
    client = new()
    sibling = client.using(timeout=5)
    sibling.close()
    with client.using(timeout=6) as other:
        other.catalog.regions()
    assert client.catalog.regions()
    assert sibling.catalog.regions()


def test_closing_the_client_closes_its_siblings(new):
    client = new()
    sibling = client.using(timeout=5)
    client.close()
    with pytest.raises(ClientClosed):
        sibling.catalog.regions()


def test_a_sibling_takes_limits_and_nothing_else(new):
    client = new()
    with pytest.raises(SettingsError, match="timeout must be"):
        client.using(timeout=-1)
    with pytest.raises(TypeError, match="store"):
        client.using(store="memory")


# -- keeping to oneself ---------------------------------------------------------------------------------


@BOTH
def test_a_client_cannot_be_pickled_and_says_why(client_class, options):
    client = client_class(**options)
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(client)
    if isinstance(client, Novitai):
        client.close()
    else:
        anyio.run(client.aclose)


@BOTH
@pytest.mark.parametrize("noun", ["catalog", "cloud", "instances", "jobs", "webhooks"])
def test_nor_can_what_belongs_to_it_as_when_its_method_is_given_to_another_process(
    client_class, noun, options
):
    client = client_class(**options)
    belongings = getattr(client, noun)
    asked = getattr(belongings, "get", None) or belongings.__repr__
    for one in (belongings, asked, client.cloud.instances):
        with pytest.raises(TypeError, match=r"belongs to a client.*make a client in each process"):
            pickle.dumps(one)
    if isinstance(client, Novitai):
        client.close()
    else:
        anyio.run(client.aclose)


KEY = "sk-0123456789abcdef"


def test_the_key_is_never_shown(caplog):
    caplog.set_level(logging.DEBUG)
    with (
        Emulator(life=0.05, api_key=KEY) as cloud,
        Novitai(api_key=KEY, base_url=cloud.base_url, store="memory", poll_interval=0.01) as client,
    ):
        instance = client.instances.create(**WANTED).wait_until_ready(timeout=10)
        shown = [
            repr(client),
            str(client),
            repr(vars(client)),
            repr(vars(client._engine)),
            repr(client.settings),
            str(client.settings),
            repr(client.cloud),
            repr(instance),
            repr(client.health_report()),
            repr(client.jobs.list()),
            client.settings.store,
        ]
        instance.delete()
    assert KEY not in "\n".join(shown)
    assert KEY not in caplog.text


@pytest.mark.parametrize("wrong", ["the key", "the address"])
def test_nor_by_an_error_even_with_all_that_its_frames_held(wrong, cloud, caplog):
    caplog.set_level(logging.DEBUG)
    address = cloud.base_url if wrong == "the key" else "http://127.0.0.1:1"
    with Novitai(
        api_key=KEY, base_url=address, store="memory", retry=RetryPolicy(attempts=1)
    ) as client:
        with pytest.raises((Unauthorized, ConnectFailed)) as caught:
            client.catalog.regions()
        told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY not in "".join(told.format())
    assert KEY not in repr(vars(caught.value))
    assert KEY not in caplog.text
