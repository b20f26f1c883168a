"""An awaiting client in its loop: entered and not, left in every way, on asyncio and trio."""

import asyncio
import contextvars
import threading
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.to_thread
import attrs
import pytest
from faces import WANTED
from moments import until

from novitai_sdk import AsyncNovitai, ClientClosed, InstanceFailed, JobError, Novitai
from novitai_sdk.emulator import faults
from novitai_sdk.jobs import MemoryStore, StoreError, open_store
from novitai_sdk.testing import MemoryNetwork

pytestmark = pytest.mark.anyio


@attrs.frozen
class Errand:
    number: int


async def ready(client: AsyncNovitai) -> Any:
    made = await client.instances.create(**WANTED)
    return await made.wait_until_ready(timeout=10)


async def test_inside_its_block_jobs_run_in_the_callers_loop(new_async, threads):
    async with new_async() as client:
        assert (await ready(client)).status == "running"
        assert threads() == []


async def test_without_a_block_they_run_in_a_thread(new_async, threads):
    client = new_async()
    assert (await ready(client)).status == "running"
    assert threads() == ["novitai-jobs"]
    await client.aclose()
    assert threads() == []
    await client.aclose()


async def test_a_thread_that_was_started_before_the_block_goes_on_in_it(new_async, threads):
    client = new_async()
    await ready(client)
    async with client:
        await ready(client)
        assert threads() == ["novitai-jobs"]
    assert threads() == []


async def test_an_error_in_the_block_comes_out_as_it_was_raised_and_the_client_is_closed(new_async):
    client = new_async()

    async def fail() -> None:
        async with client:
            await client.instances.create(**WANTED)
            raise InstanceFailed("mine", instance_id="inst_1")

    with pytest.raises(InstanceFailed, match="mine"):
        await fail()
    with pytest.raises(ClientClosed):
        await client.jobs.stats()


@pytest.mark.parametrize("doing", ["nothing", "waiting", "asking"])
async def test_a_cancelled_block_closes_its_client(new_async, cloud, doing, threads):
    cloud.order(faults.stuck_pull())
    client, cancelled = new_async(), True
    with anyio.move_on_after(0.1):
        async with client:
            made = await client.instances.create(**WANTED)
            if doing == "nothing":
                await anyio.sleep_forever()
            if doing == "waiting":
                await made.wait_until_ready(timeout=30)
            cloud.order(faults.slow("clusters.list", seconds=5, times=None))
            await client.catalog.regions()
        cancelled = False
    assert cancelled
    with pytest.raises(ClientClosed):
        await client.jobs.stats()
    assert threads() == []


async def test_cancelling_one_of_many_calls_harms_no_other(new_async, cloud):
    async with new_async(max_connections=2) as client:
        for _ in range(20):
            cloud.order(faults.slow("clusters.list", seconds=0.2))
            with anyio.move_on_after(0.005):
                await client.catalog.regions()
            cloud.clear_faults()
        assert await client.catalog.regions()


async def test_leaving_lets_running_jobs_finish_for_a_while(new_async, cloud):
    store = MemoryStore()
    cloud.order(faults.slow("instances.create", seconds=0.2))
    async with new_async(store=store) as client:
        await client.instances.create(**WANTED)
        await until(lambda: cloud.calls("instances.create"))
    (record,) = store.scan("instance").result()
    assert record.body["state"]["novitaInstanceId"]


async def test_what_does_not_finish_in_time_is_left_for_the_next_client(
    new_async, cloud, tmp_path, threads
):
    path = tmp_path / "jobs.sqlite3"
    cloud.order(faults.slow("instances.create", seconds=0.3))
    async with new_async(store=path, drain=0) as client:
        made = await client.instances.create(**WANTED)
        await until(lambda: cloud.calls("instances.create"))
    assert threads() == []
    async with new_async(store=path) as client:
        instance = await client.instances.get(made.id)
        assert (await instance.wait_until_ready(timeout=10)).status == "running"
    assert cloud.calls("instances.create") == 1


async def test_a_cancelled_close_closes_everything_all_the_same(new_async, tmp_path, threads):
    client = new_async(store=tmp_path / "jobs.sqlite3")
    await ready(client)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await client.aclose()
    assert threads() == []


async def test_who_closes_a_client_that_is_being_closed_waits_until_it_is(
    new_async, tmp_path, threads
):
    client = new_async(store=tmp_path / "jobs.sqlite3", drain=0.1)
    begun, closed = threading.Event(), []

    @client.jobs.handler(Errand)
    async def run(errand: Errand, context: Any) -> None:
        begun.set()
        await anyio.sleep_forever()

    async def close() -> None:
        await client.aclose()
        closed.append(threads())

    await client.jobs.enqueue(Errand(1))
    await until(begun.is_set)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close)
        tasks.start_soon(close)
    assert closed == [[], []]


async def test_a_client_may_be_closed_inside_its_block(new_async, cloud, threads, caplog):
    cloud.order(faults.slow("instances.create", seconds=0.1))
    async with new_async() as client:
        await client.instances.create(**WANTED)
        await until(lambda: cloud.calls("instances.create"))
        await client.aclose()
        with pytest.raises(ClientClosed):
            await client.jobs.stats()
    assert threads() == []
    # The runner was stopped before what it stands on was closed, and what was under way is all there is to tell.
    assert [record.getMessage()[:48] for record in caplog.records] == [
        "the client was closed with instances on their wa"
    ]


async def test_whoever_waits_while_the_client_is_closed_hears_of_it(new_async, cloud):
    cloud.order(faults.stuck_pull())
    heard: list[Exception] = []

    async def wait(instance: Any, seen: anyio.Event) -> None:
        try:
            await instance.wait_until_ready(timeout=30, on_progress=lambda _: seen.set())
        except ClientClosed as error:
            heard.append(error)

    client, seen = new_async(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, await client.instances.create(**WANTED), seen)
        await seen.wait()
        await client.aclose()
    assert len(heard) == 1


async def test_a_closed_client_cannot_be_entered(new_async):
    client = new_async()
    async with client:
        await client.catalog.regions()
    with pytest.raises(ClientClosed):
        async with client:
            pytest.fail("the block must not begin")


async def test_a_client_has_one_block_at_a_time(new_async):
    async with new_async() as client:
        with pytest.raises(RuntimeError, match="already"):
            async with client:
                pytest.fail("the block must not begin")
        assert (await ready(client)).status == "running"


async def test_of_two_tasks_that_enter_a_client_at_once_the_second_is_told(new_async, tmp_path):
    path, told, over = tmp_path / "jobs.sqlite3", [], anyio.Event()
    async with new_async(store=path) as client:
        await client.jobs.stats()
    client = new_async(store=path)  # whose file is looked into when the block begins

    async def enter() -> None:
        try:
            async with client:
                await over.wait()
                assert (await ready(client)).status == "running"
        except RuntimeError as error:
            told.append(str(error))
            over.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(enter)
            tasks.start_soon(enter)
    assert told == ["this client is in use in an `async with` block already"]


async def test_the_block_of_a_sibling_begins_and_ends_nothing(new_async, threads):
    async with new_async() as client:
        async with client.using(timeout=5) as sibling:
            assert (await ready(sibling)).status == "running"
        await sibling.aclose()
        assert (await ready(client)).status == "running"
        assert threads() == []


async def test_a_store_that_cannot_be_used_leaves_the_caller_outside_the_block(new_async, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes, and not a store of jobs, in a file long enough to be one" * 99)
    client = new_async(store=path)
    with pytest.raises(StoreError, match=r"notes.txt"):
        async with client:
            pytest.fail("the block must not begin")
    # What would not work in a task that is still inside a group it has left.
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(ClientClosed):  # so nobody is left to close it, and nobody has to
        await client.jobs.stats()


request_id = contextvars.ContextVar("request_id", default="none")


async def test_jobs_know_nothing_of_the_request_that_asked_for_the_first_of_them(new_async):
    seen: list[str] = []
    request_id.set("the block's")

    async def serve(client: AsyncNovitai, number: int) -> None:
        request_id.set(f"of request {number}")
        await client.jobs.wait((await client.jobs.enqueue(Errand(number))).id, timeout=10)

    async with new_async() as client:

        @client.jobs.handler(Errand)
        async def run(errand: Errand, context: Any) -> None:
            seen.append(request_id.get())

        for number in range(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve, client, number)
    assert seen == ["the block's", "the block's"]


class DeafStore(MemoryStore):
    """A store that cannot give out jobs."""

    def claim(self, *_: Any) -> Any:
        raise LookupError("the disk is gone")


async def test_a_runner_that_dies_is_told_to_whoever_waits_and_cancels_nobody(new_async):
    async with new_async(store=DeafStore()) as client:
        made = await client.instances.create(**WANTED)
        with pytest.raises(JobError, match="the disk is gone"):
            await made.wait_until_ready(timeout=0.6)
        with pytest.raises(JobError, match=r"died.*the disk is gone"):
            await client.jobs.wait((await client.jobs.list())[0].id)
        assert await client.catalog.regions()


# -- several tasks ----------------------------------------------------------------------------------------


def test_a_client_entered_in_one_task_may_be_left_in_another(new_async, threads):
    async def main() -> None:
        client = new_async()
        await asyncio.create_task(client.__aenter__())
        assert (await ready(client)).status == "running"
        assert threads() == []
        await asyncio.create_task(client.__aexit__(None, None, None))
        with pytest.raises(ClientClosed):
            await client.jobs.stats()

    asyncio.run(main())


def test_a_time_limit_for_the_start_of_a_service_may_end_before_the_client_does(new_async):
    async def main() -> None:
        async with AsyncExitStack() as service:
            with anyio.fail_after(10):
                client = await service.enter_async_context(new_async())
            assert (await ready(client)).status == "running"

    asyncio.run(main())


@pytest.mark.parametrize("times", [1, 3])
def test_nor_does_asyncio_cut_a_close_short(new_async, tmp_path, threads, times):
    """Its own cancellations, those of `wait_for`, `timeout` and Ctrl-C, pass through every scope."""

    async def main() -> list[tuple[str, int]]:
        client, begun = new_async(store=tmp_path / "jobs.sqlite3", drain=0.1), threading.Event()

        @client.jobs.handler(Errand)
        async def run(errand: Errand, context: Any) -> None:
            begun.set()
            await anyio.sleep_forever()

        await client.jobs.enqueue(Errand(1))
        await until(begun.is_set)
        closing = asyncio.create_task(client.aclose())
        for _ in range(times):
            await asyncio.sleep(0.01)
            closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert threads() == []
        async with new_async(store=tmp_path / "jobs.sqlite3") as other:
            return [(str(job.status), job.attempts) for job in await other.jobs.list()]

    assert asyncio.run(main()) == [("pending", 0)]


@pytest.mark.parametrize("kind", ["by asyncio", "by a scope"])
def test_who_leaves_and_is_cancelled_meanwhile_hands_back_what_is_under_way(
    new_async, kind, tmp_path, threads
):
    path, begun = tmp_path / "jobs.sqlite3", asyncio.Event()

    async def stay(client: AsyncNovitai, scope: anyio.CancelScope) -> None:
        @client.jobs.handler(Errand)
        async def run(errand: Errand, context: Any) -> None:
            begun.set()
            await anyio.sleep_forever()

        with scope:
            async with client:
                await client.jobs.enqueue(Errand(1))
                await begun.wait()

    async def main() -> list[tuple[str, int]]:
        scope = anyio.CancelScope()
        block = asyncio.create_task(stay(new_async(store=path, drain=60), scope))
        await begun.wait()
        await asyncio.sleep(0)
        while not block.done():
            block.cancel() if kind == "by asyncio" else scope.cancel()
            await asyncio.wait([block], timeout=0.01)
        assert threads() == []
        async with new_async(store=path) as client:
            return [(str(job.status), job.attempts) for job in await client.jobs.list()]

    assert asyncio.run(main()) == [("pending", 0)]


# -- several loops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["asyncio", "trio"])
async def test_the_loop_of_another_thread_may_ask_for_the_first_job_of_a_block(
    new_async, threads, other
):
    async with new_async() as client:
        one = await anyio.to_thread.run_sync(lambda: anyio.run(ready, client, backend=other))
        # Done in the loop of the block: that of the thread has ended.
        assert (one.status, threads()) == ("running", [])
        assert (await ready(client)).status == "running"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_client_serves_several_loops_one_after_another(new_async, backend, settles):
    client = new_async()

    async def look() -> int:
        return len(await client.catalog.regions())

    assert anyio.run(look, backend=backend) == anyio.run(look, backend=backend)
    anyio.run(client.aclose, backend=backend)
    settles()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_many_clients_in_one_loop_leave_nothing(new_async, backend, settles):
    async def main() -> None:
        for number in range(50):
            async with new_async() as client:
                await client.catalog.regions()
                if number % 10 == 0:
                    await client.instances.create(**WANTED)

    anyio.run(main, backend=backend)
    # trio keeps the thread of a finished call for ten seconds, in case there is another.
    settles(spare=1)


def test_its_jobs_outlive_the_loop_that_asked_for_them(new_async, threads):
    client = new_async()

    async def begin() -> str:
        return str((await client.instances.create(**WANTED)).id)

    async def end(instance_id: str) -> str:
        found = await client.instances.get(instance_id)
        status = (await found.wait_until_ready(timeout=10)).status
        await client.aclose()
        return str(status)

    assert asyncio.run(end(asyncio.run(begin()))) == "running"
    assert threads() == []


def test_both_faces_share_a_store(cloud, options):
    store = open_store("memory")
    shared = {**options, "store": store, "network": MemoryNetwork(cloud)}

    async def look(instance_id: str) -> str:
        async with AsyncNovitai(**shared) as client:
            found = await client.instances.get(instance_id)
            return str((await found.wait_until_ready(timeout=10)).status)

    with Novitai(**shared) as client:
        made = client.instances.create(**WANTED)
        assert asyncio.run(look(made.id)) == "running"
        assert client.instances.get(made.id).status == "running"
    assert store.stats().result().total_jobs > 0
    store.close(None)


def test_a_client_can_be_made_where_no_loop_runs_and_closed_where_one_does(new_async):
    client = new_async()
    asyncio.run(client.aclose())
    assert threading.active_count() >= 1
    with pytest.raises(ClientClosed):
        asyncio.run(client.jobs.stats())
