"""Nothing is left running that the caller does not know of: deletes in every moment, rentals, Ctrl-C."""

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
import attrs
import pytest
import trio.testing
from faces import WANTED, Face

from novitai_sdk import (
    AsyncNovitai,
    CallError,
    CleanupFailed,
    InstanceFailed,
    InstanceStatus,
    NotFound,
    Novitai,
    RateLimit,
    WaitTimedOut,
)
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.instances._backstage import Backstage
from novitai_sdk.instances._life import Move
from novitai_sdk.instances._records import at, read_record, write_of
from novitai_sdk.jobs import Change, MemoryStore
from novitai_sdk.testing import LoopClock, MemoryNetwork

LOOKED_UP = ("products.list", "clusters.list", "templates.get")
LEAVING = {"toRemove", "removing", "removed", "(gone)"}


def left(cloud: Emulator) -> list[str]:
    return [one.status for one in cloud.instances if one.status not in LEAVING]


# -- deletes ------------------------------------------------------------------------------------------


def test_an_instance_deleted_before_its_machine_was_asked_for_is_never_made(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED)
        gone = await made.delete()
        assert gone.status is InstanceStatus.TERMINATED
        await anyio.sleep(600)
        assert left(cloud) == []

    years.tell(story)


def test_who_gives_back_many_does_not_wait_for_the_rate_limit(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made = [await client.instances.create(**WANTED) for _ in range(12)]
        made = [await one.wait_until_ready(timeout=900) for one in made]
        slow = client.using(rate_limit=RateLimit(calls=1, seconds=600, burst=1))
        began = anyio.current_time()
        for one in made:
            await slow.instances.delete(one.id)
        assert anyio.current_time() - began < 60
        assert left(cloud) == []

    years.tell(story)


def test_creates_that_come_in_a_burst_ask_for_the_same_once(years):
    async def story(client: Any, cloud: Emulator) -> None:
        for _ in range(12):
            await client.instances.create(**WANTED)
        assert {name: cloud.calls(name) for name in LOOKED_UP} == dict.fromkeys(LOOKED_UP, 1)
        await anyio.sleep(700)
        await client.instances.create(**WANTED)
        assert {name: cloud.calls(name) for name in LOOKED_UP} == dict.fromkeys(LOOKED_UP, 2)

    years.tell(story)


def test_creates_at_the_same_time_ask_for_the_same_once(years):
    async def story(client: Any, cloud: Emulator) -> None:
        async def create() -> None:
            await client.instances.create(**WANTED)

        async with anyio.create_task_group() as tasks:
            for _ in range(300):
                tasks.start_soon(create)
        assert {name: cloud.calls(name) for name in LOOKED_UP} == dict.fromkeys(LOOKED_UP, 1)
        assert len(await client.instances.list()) == 300

    years.tell(story)


def test_threads_that_create_at_the_same_time_ask_for_the_same_once(
    cloud: Emulator, plain: Novitai
):
    cloud.order(faults.slow("clusters.list", seconds=0.2))
    together = threading.Barrier(8)
    made: list[str] = []

    def create() -> None:
        together.wait()
        made.append(plain.instances.create(**WANTED).id)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(made)) == 8
    assert {name: cloud.calls(name) for name in LOOKED_UP} == dict.fromkeys(LOOKED_UP, 1)


def test_who_waits_for_what_another_asked_asks_himself_when_that_one_leaves_or_fails(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made: list[Any] = []

        async def create() -> None:
            made.append(await client.instances.create(**WANTED))

        # The first to ask is slow, and is cancelled meanwhile.
        cloud.order(faults.rate_limited("clusters.list", retry_after=30, times=1))
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def leave() -> None:
                with scope:
                    await create()

            tasks.start_soon(leave)
            await anyio.sleep(1)
            tasks.start_soon(create)
            await anyio.sleep(1)
            scope.cancel()
        assert len(made) == 1

        # Whoever is first the next time fails, and that failure is not the other's.
        await anyio.sleep(700)
        cloud.order(faults.refused("clusters.list", status=403, times=1))
        refused: list[CallError] = []

        async def attempt() -> None:
            try:
                await create()
            except CallError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt)
            tasks.start_soon(attempt)
        assert (len(made), len(refused)) == (2, 1)

    years.tell(story)


def test_an_instance_deleted_while_its_create_is_unknown_is_removed_when_it_is_found(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(
            faults.no_answer("instances.create"), faults.server_error("instances.list", times=None)
        )
        made = await client.instances.create(**WANTED)
        with pytest.raises(WaitTimedOut):
            await made.wait_until_ready(timeout=60)
        with pytest.raises(CleanupFailed, match="may still bill") as caught:
            await made.delete(timeout=60)
        assert caught.value.instance_id == made.id
        assert f"NOVITAI_INSTANCE_ID={made.id}" in str(caught.value)

        cloud.clear_faults()
        await anyio.sleep(600)
        assert left(cloud) == []
        (machine,) = cloud.instances
        assert machine.status in LEAVING

    years.tell(story)


def test_an_instance_on_its_way_can_be_deleted_and_nobody_is_told_it_failed(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED, webhook_url="https://example.com/webhook")
        with pytest.raises(WaitTimedOut):
            await made.wait_until_ready(timeout=20)
        assert (await made.delete()).status is InstanceStatus.TERMINATED
        await anyio.sleep(600)
        assert left(cloud) == []
        jobs = await client.jobs.list(type="send_webhook")
        assert [job.payload["payload"]["status"] for job in jobs] == ["deleted"]

    years.tell(story)


def test_a_delete_that_the_cloud_does_not_carry_out_is_an_error_not_a_success(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=600)
        cloud.order(faults.garbled_reply("instances.delete", body=b"", status=200, times=None))
        cloud.order(faults.unknown_status("instances.get", status="running", times=None))
        with pytest.raises(CleanupFailed, match="may still bill") as caught:
            await ready.delete(timeout=30)
        assert caught.value.instance_id == ready.id
        assert caught.value.last.status is InstanceStatus.RUNNING

    years.tell(story)


def test_a_second_delete_is_no_error(face: Face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        ready = await done(made.wait_until_ready(timeout=10))
        await done(ready.delete())
        assert (await done(ready.delete())).status is InstanceStatus.TERMINATED

    face.tell(story)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_create_cancelled_in_the_middle_leaves_no_machine(cloud: Emulator, backend: str):
    """Whenever the cancellation comes: either the caller has the instance, or there is none."""

    async def main() -> None:
        async with AsyncNovitai(
            api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01
        ) as client:
            known = []
            for delay in range(40):
                with anyio.move_on_after(delay * 0.0005):
                    known.append((await client.instances.create(**WANTED)).id)
            for instance_id in known:
                await client.instances.delete(instance_id, timeout=10)
            await anyio.sleep(0.3)

    anyio.run(main, backend=backend)
    assert left(cloud) == []


# -- rentals ------------------------------------------------------------------------------------------


@pytest.fixture
def plain(cloud: Emulator):
    with Novitai(
        api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01
    ) as client:
        yield client


def test_a_rental_is_ready_inside_and_gone_after(cloud: Emulator, plain: Novitai):
    with plain.instances.rent(**WANTED) as instance:
        assert instance.status is InstanceStatus.RUNNING
        assert len(left(cloud)) == 1
    assert left(cloud) == []


def test_an_exception_in_the_block_gives_the_machine_back_and_comes_out(
    cloud: Emulator, plain: Novitai
):
    with pytest.raises(ZeroDivisionError), plain.instances.rent(**WANTED):
        raise ZeroDivisionError
    assert left(cloud) == []


def test_a_rental_shows_whether_anything_is_rented(plain: Novitai):
    rental = plain.instances.rent(**WANTED)
    assert repr(rental) == "<Rental: nothing is rented before its `with` block>"
    with rental as instance:
        assert repr(rental) == f"<Rental: {instance.id}>"
    assert repr(rental) == f"<Rental: {instance.id}, given back>"


def test_a_rental_is_begun_in_the_way_of_its_client_or_not_at_all(cloud: Emulator, plain: Novitai):
    async def main() -> None:
        async with AsyncNovitai(
            api_key=cloud.api_key, base_url=cloud.base_url, store="memory"
        ) as client:
            rental: Any = client.instances.rent(**WANTED)
            with pytest.raises(TypeError, match="begins with `async with client"), rental:
                pytest.fail("the block must not begin")
            rental = plain.instances.rent(**WANTED)
            with pytest.raises(TypeError, match="begins with `with client"):
                async with rental:
                    pytest.fail("the block must not begin")

    anyio.run(main)
    assert cloud.requests == ()


def test_a_rental_that_never_becomes_ready_is_given_back(cloud: Emulator, plain: Novitai):
    cloud.order(faults.failing_pull(message="no such image"))
    with pytest.raises(InstanceFailed, match="no such image"), plain.instances.rent(**WANTED):
        pytest.fail("the block must not begin")
    assert left(cloud) == []


@pytest.mark.parametrize("on_progress", [5, "print", [print], True])
def test_who_could_not_be_told_of_progress_rents_nothing(
    cloud: Emulator, plain: Novitai, on_progress: Any
) -> None:
    with (
        pytest.raises(TypeError, match="on_progress must be a function"),
        plain.instances.rent(**WANTED, on_progress=on_progress),
    ):
        raise AssertionError("the block was entered")
    assert plain.instances.list() == ()
    assert cloud.instances == ()
    made = plain.instances.create(**WANTED)
    with pytest.raises(TypeError, match="on_progress must be a function"):
        made.wait_until_ready(timeout=30, on_progress=on_progress)


def test_a_rental_that_takes_too_long_is_given_back(cloud: Emulator, plain: Novitai):
    cloud.order(faults.stuck_pull())
    with pytest.raises(WaitTimedOut), plain.instances.rent(**WANTED, timeout=0.2):
        pytest.fail("the block must not begin")
    assert left(cloud) == []


def test_when_the_machine_cannot_be_given_back_the_error_says_what_still_bills(years):
    async def story(client: Any, cloud: Emulator) -> None:
        async def rent() -> None:
            async with client.instances.rent(**WANTED):
                cloud.order(faults.refused("instances.delete", status=403, times=None))
                raise ZeroDivisionError("mine")

        with pytest.raises(CleanupFailed) as caught:
            await rent()
        (still,) = await client.instances.list()
        assert caught.value.instance_id == still.id
        assert f"client.instances.delete({still.id!r})" in str(caught.value)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)

    years.tell(story)


@pytest.mark.parametrize("where", ["memory", "a file"])
def test_a_rental_whose_client_was_closed_is_given_back_all_the_same(
    face: Face, cloud: Emulator, where: str, tmp_path
):
    store = where if where == "memory" else str(tmp_path / "jobs.sqlite3")

    async def story(client: Any, done: Any) -> None:
        rental = client.instances.rent(**WANTED)
        if isinstance(client, AsyncNovitai):
            async with rental:
                await client.aclose()
        else:
            with rental:
                client.close()

    async def afterwards(client: Any, done: Any) -> None:
        assert await done(client.instances.list(include_unmanaged=True)) == ()

    face.tell(story, store=store)
    assert left(cloud) == []
    assert not [one.name for one in threading.enumerate() if one.name.startswith("novitai-jobs")]
    face.tell(afterwards, store=store)


def test_no_listing_proves_that_the_machine_of_a_closed_client_is_gone(
    cloud: Emulator, monkeypatch: pytest.MonkeyPatch
):
    async def not_listed(*_: object, **__: object) -> None: ...

    client = Novitai(
        api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01
    )
    monkeypatch.setattr(Backstage, "machine_of", not_listed)
    with client.instances.rent(**WANTED):
        assert len(left(cloud)) == 1
        client.close()
    assert left(cloud) == []


def test_a_task_that_asyncio_ends_after_the_block_of_its_client_gives_its_machine_back(
    cloud: Emulator,
):
    """As Ctrl-C does to every task but the main one."""

    async def rent(client: AsyncNovitai, ready: asyncio.Event) -> None:
        async with client.instances.rent(**WANTED):
            ready.set()
            await asyncio.sleep(60)

    async def main() -> None:
        ready = asyncio.Event()
        async with AsyncNovitai(
            api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01
        ) as client:
            task = asyncio.create_task(rent(client, ready))
            await ready.wait()
        assert not task.done()

    asyncio.run(main())
    assert left(cloud) == []


def test_a_machine_that_was_never_seen_is_not_taken_for_gone_because_its_client_is(
    cloud: Emulator,
):
    cloud.order(faults.dropped("instances.create"))

    async def rent(client: AsyncNovitai) -> None:
        async with client.instances.rent(**WANTED):
            pytest.fail("the block must not begin")

    async def main() -> None:
        client = AsyncNovitai(
            api_key=cloud.api_key, base_url=cloud.base_url, store="memory", drain=0
        )
        task = asyncio.create_task(rent(client))
        with anyio.fail_after(10):
            while not cloud.calls("instances.create"):  # noqa: ASYNC110 - it announces nothing
                await asyncio.sleep(0.005)
        await client.aclose()
        with pytest.raises(CleanupFailed, match="may still bill: this client is closed"):
            await task

    asyncio.run(main())


def test_ctrl_c_in_the_block_gives_the_machine_back(cloud: Emulator, plain: Novitai):
    with pytest.raises(KeyboardInterrupt), plain.instances.rent(**WANTED):
        signal.raise_signal(signal.SIGINT)
    assert left(cloud) == []


@contextmanager
def started(timer: threading.Timer) -> Iterator[None]:
    """Start it where what it does is expected: on a busy machine it may ring at once."""
    timer.start()
    yield


# Ctrl-C may come between any two instructions, also between making a socket and keeping it: that socket is closed by
# the garbage collector, with a warning; it is called here, where that is expected. What is promised is that the machine
# goes.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("delay", [0.002, 0.005, 0.01, 0.02, 0.05, 0.1])
def test_ctrl_c_on_the_way_gives_the_machine_back(cloud: Emulator, plain: Novitai, delay: float):
    cloud.order(faults.stuck_pull(times=None))
    timer = threading.Timer(
        delay, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]
    )
    with pytest.raises(KeyboardInterrupt), started(timer), plain.instances.rent(**WANTED):
        pytest.fail("the block must not begin")
    timer.join()
    anyio.run(anyio.sleep, 0.1)
    gc.collect()
    assert left(cloud) == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_rental_is_given_back(cloud: Emulator, backend: str):
    async def main() -> None:
        async with AsyncNovitai(
            api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01
        ) as client:
            with anyio.move_on_after(0.3) as scope:
                async with client.instances.rent(**WANTED):
                    await anyio.sleep_forever()
            assert scope.cancelled_caught
            assert left(cloud) == []
            cloud.order(faults.stuck_pull())
            with anyio.move_on_after(0.1):
                async with client.instances.rent(**WANTED):
                    pytest.fail("the block must not begin")
            assert left(cloud) == []

    anyio.run(main, backend=backend)


def test_wait_for_of_asyncio_gives_the_machine_back_too(cloud: Emulator):
    async def rent(client: AsyncNovitai) -> None:
        async with client.instances.rent(**WANTED):
            await asyncio.sleep(60)

    async def main() -> None:
        async with AsyncNovitai(
            api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01
        ) as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(rent(client), 0.3)

    asyncio.run(main())
    assert left(cloud) == []


class Between(MemoryNetwork):
    """A network on which something happens between a machine's birth and the news of it."""

    def __init__(self, cloud: Emulator, happens: Callable[[], None]) -> None:
        self._birth = happens
        self._emulator = cloud
        super().__init__(self)

    def handle(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        answer = self._emulator.handle(method, path, headers, body)
        if path.endswith("/gpu/instance/create"):
            self._birth()
        return answer


def test_a_machine_born_while_its_instance_was_being_deleted_is_removed():
    """The delete finds no machine, and the news of it comes after: the job that hears it has to act."""
    store = MemoryStore()

    def delete() -> None:
        (record,) = store.scan("instance").result()
        kept = attrs.evolve(read_record(record), deleting=True).moved(Move.DELETE, at(0.0))
        store.commit(Change(writes=(write_of(kept, record.version),))).result()

    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)
        async with AsyncNovitai(
            api_key=cloud.api_key, network=Between(cloud, delete), clock=clock, store=store
        ) as client:
            made = await client.instances.create(**WANTED)
            await anyio.sleep(600)
            assert left(cloud) == []
            assert len(cloud.instances) == 1
            assert (await made.delete()).status is InstanceStatus.TERMINATED

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_wrong_base_url_does_not_make_machines_look_gone(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=600)
        cloud.order(faults.refused("instances.*", status=404, reason="API_NOT_FOUND", times=None))
        with pytest.raises(NotFound):
            await ready.refresh()
        with pytest.raises(NotFound):
            await ready.delete()
        cloud.clear_faults()
        assert (await ready.refresh()).status is InstanceStatus.RUNNING

    years.tell(story)
