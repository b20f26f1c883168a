"""One watch looks for all who wait: what it costs, what it may conclude, and what it must not hold up."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import pairwise
from math import ceil
from typing import Any

import anyio
import pytest
import trio.testing
from faces import WANTED, SetClock
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk import AsyncNovitai, InstanceFailed, InstanceStatus, RateLimit
from novitai_sdk.cloud import CreateInstance
from novitai_sdk.emulator import Emulator, Quirks, faults
from novitai_sdk.errors import ClientClosed, JobError, TransportFailed
from novitai_sdk.instances import _watch
from novitai_sdk.instances._ticks import LONGEST, Steady, Ticks, look_after
from novitai_sdk.jobs import Batch, Change, MemoryStore, Record, StoreCorrupt, new_job
from novitai_sdk.models import JobStatus
from novitai_sdk.testing import LoopClock, MemoryNetwork

PAGE = 100
LIST, GET = "instances.list", "instances.get"
PRODUCT = "4090.16c62g"

Story = Callable[[AsyncNovitai, Emulator], Any]


def tell(
    story: Story, *, network: Any = MemoryNetwork, emulated: Any = None, **options: Any
) -> None:
    """Tell *story* in virtual time, without the rate limit unless it asks for one."""
    settings: dict[str, Any] = {"store": "memory", "rate_limit": None, **options}

    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, **{"life": 600.0, **(emulated or {})})
        cloud.set_stock(PRODUCT, free=1_000_000)
        connected = network(cloud)
        async with AsyncNovitai(
            api_key=cloud.api_key, network=connected, clock=clock, **settings
        ) as client:
            await story(client, cloud)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def rent(client: AsyncNovitai, count: int, **options: Any) -> "list[Any]":
    """Create instances, and wait until all of them are rented."""
    made = [await client.instances.create(**{**WANTED, **options}) for _ in range(count)]
    for job in await client.jobs.list(type="create_instance", limit=count):
        await client.jobs.wait(job.id)
    return made


def ticks(cloud: Emulator, operation: str, since: float) -> "list[tuple[float, int]]":
    """When it was asked, and how many requests that took; requests take no time here."""
    counted = Counter(
        one.at for one in cloud.requests if one.operation == operation and one.at >= since
    )
    return sorted(counted.items())


# What it costs


def test_one_listing_serves_all_who_wait() -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await rent(client, 40)
        since = cloud.clock.monotonic()
        for one in made:
            ready = await one.wait_until_ready(timeout=1200)
            assert ready.port_mappings  # a listing tells none; each was looked up once
        assert 40 <= cloud.calls(GET) <= 44  # and some were due alone
        asked = ticks(cloud, LIST, since)
        assert {count for _, count in asked} == {1}
        assert len(asked) < 2 * 600 / LONGEST + 40
        assert all(later - earlier > 0.2 for (earlier, _), (later, _) in pairwise(asked))

    tell(story)


def test_a_tick_reads_each_page_once_however_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    # One whom chance sets apart would be looked up alone, now and then: that is cheaper than all the pages.
    monkeypatch.setattr(_watch, "Ticks", partial(Ticks, lambda: 0.5))
    count = 210

    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        await rent(client, count, max_wait=7200)
        await anyio.sleep(300)
        since = cloud.clock.monotonic()
        await anyio.sleep(300)
        asked = ticks(cloud, LIST, since)
        # Page 0 and page 1 may be the same page, which nobody knows before both are read.
        assert max(pages for _, pages in asked) <= ceil(count / PAGE) + 1
        # Those who wait as long as each other have come together.
        assert len(asked) <= 300 / LONGEST * 1.3
        assert cloud.calls(GET) == 0

    tell(story, emulated={"life": 1e6})


def test_one_who_waits_among_a_thousand_machines_of_others_is_looked_at_alone() -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        await others(client, 1000)
        (made,) = await rent(client, 1)
        assert (await made.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING
        assert cloud.calls(LIST) == 0

    tell(story)


def test_few_who_wait_among_a_thousand_cost_a_page_to_find_that_out() -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        await others(client, 1000)
        made = await rent(client, 3)
        for one in made:
            await one.wait_until_ready(timeout=1200)
        # Believed for five minutes, and then asked again.
        assert cloud.calls(LIST) <= 2 * ceil(600 / 300) + 1

    tell(story)


async def others(client: AsyncNovitai, count: int) -> None:
    """Machines that nobody here looks after, as many as there are."""
    for number in range(count):
        await client.cloud.instances.create(
            CreateInstance(
                name=f"other-{number}",
                product_id=PRODUCT,
                gpu_num=1,
                rootfs_size=10,
                image_url="docker.io/library/ubuntu:latest",
            )
        )


@pytest.mark.parametrize(("life", "late"), [(120.0, LONGEST), (5.0, 30.0)])
def test_sixty_creates_are_ready_soon_within_the_default_rate_limit(
    life: float, late: float
) -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = [await client.instances.create(**WANTED) for _ in range(60)]
        for one in made:
            await one.wait_until_ready(timeout=1200)
        # A look at how to reach it for each, and where one was due alone; all else is listings.
        assert cloud.calls("instances.create") == 60
        assert 60 <= cloud.calls(GET) <= 66
        assert cloud.clock.monotonic() < life + late

    tell(story, emulated={"life": life}, rate_limit=RateLimit())


class Counting(MemoryStore):
    """Counts how often a record is read or written."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.writes = 0

    def read(self, kind: str, key: str) -> "Future[Record | None]":
        self.reads += 1
        return super().read(kind, key)

    def commit(self, change: Change) -> "Future[None]":
        self.writes += len(change.writes)
        return super().commit(change)


def test_nothing_is_read_or_written_while_nothing_changes() -> None:
    store = Counting()

    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        await rent(client, 20, max_wait=7200)
        await anyio.sleep(300)
        before, looks = (store.reads, store.writes), len(cloud.requests)
        await anyio.sleep(1200)
        assert (store.reads, store.writes) == before
        assert len(cloud.requests) > looks

    tell(story, emulated={"faults": [faults.stuck_pull(times=None)]}, store=store)


def test_who_waits_reads_only_what_has_changed() -> None:
    store = Counting()

    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        (made,) = await rent(client, 1)
        await anyio.sleep(120)
        before = store.reads

        async def wait() -> None:
            assert (await made.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(wait)
        # Two changes and a net of thirty seconds, where it was once a second for each.
        assert store.reads - before < 10 * (480 / 30 + 10)

    tell(story, store=store)


# What may be concluded


def test_a_machine_somebody_else_removed_fails_by_its_own_answer() -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await rent(client, 3)
        await anyio.sleep(100)
        (gone,) = (one for one in await client.instances.list() if one.id == made[1].id)
        await client.cloud.instances.delete(gone.novita_instance_id)
        with pytest.raises(InstanceFailed, match=r"no longer knows|was removed"):
            await made[1].wait_until_ready(timeout=1200)
        for one in (made[0], made[2]):
            assert (await one.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING

    tell(story, emulated={"quirks": Quirks(removed_lingers=False)})


@pytest.mark.parametrize(
    "fault",
    [
        faults.cut_list(keep=2),
        faults.refused(LIST, status=403, reason="FORBIDDEN", times=None),
        faults.garbled_reply(LIST, body=b"[[[", times=None),
    ],
    ids=["cut short", "forbidden", "not readable"],
)
def test_where_the_listing_is_of_no_use_each_is_looked_at_alone(fault: faults.Fault) -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await rent(client, 6)
        cloud.order(fault)
        for one in made:
            assert (await one.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING

    tell(story)


def test_a_listing_that_fails_for_a_while_fails_no_machine() -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await rent(client, 6)
        cloud.order(
            faults.server_error(LIST, times=30),
            faults.dropped(LIST, times=10),
            faults.rate_limited(LIST, retry_after=20, times=3),
        )
        for one in made:
            assert (await one.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING

    tell(story)


@pytest.mark.parametrize("count", [1, 6])
def test_why_nothing_can_be_seen_is_told_once_and_in_the_end(
    count: int, caplog: pytest.LogCaptureFixture
) -> None:
    def warned() -> int:
        return sum("cannot be looked at" in one.msg for one in caplog.records)

    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await rent(client, count, max_wait=900)
        await anyio.sleep(60)
        revoked = faults.refused("*", status=401, message="the key was revoked", times=None)
        cloud.order(revoked)
        await anyio.sleep(100)
        assert warned() == 1
        # Whoever waits may ask why.
        troubles = [client._engine._core.recent.trouble(one.id) for one in made]
        assert all("the key was revoked" in str(one) for one in troubles)
        cloud.clear_faults()
        await anyio.sleep(30)
        assert {client._engine._core.recent.trouble(one.id) for one in made} == {None}
        cloud.order(revoked)
        for one in made:
            with pytest.raises(
                InstanceFailed, match=r"900000ms; the last look at it failed: .*revoked"
            ):
                await one.wait_until_ready(timeout=1200)
        assert warned() == 2

    with caplog.at_level("WARNING", "novitai_sdk"):
        tell(story, emulated={"life": 1e6})


def test_a_search_for_a_machine_that_is_refused_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        cloud.order(
            faults.no_answer("instances.create"),
            faults.refused(LIST, status=403, reason="FORBIDDEN", message="not for you", times=None),
        )
        made = await client.instances.create(**WANTED)
        await anyio.sleep(100)
        assert "not for you" in str(client._engine._core.recent.trouble(made.id))
        assert sum("cannot be looked at" in one.msg for one in caplog.records) == 1
        cloud.clear_faults()
        assert (await made.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING
        assert client._engine._core.recent.trouble(made.id) is None

    with caplog.at_level("WARNING", "novitai_sdk"):
        tell(story)


def test_an_instance_started_anew_is_not_failed_by_the_deadline_of_its_last_life() -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await rent(client, 3, max_wait=700, webhook_url="https://example.com/hook")
        ready = await made[0].wait_until_ready(timeout=1200)
        # Stopped and started between two looks of the monitor of its first start.
        old = next(
            job
            for job in await client.jobs.list(type="monitor_instance")
            if job.payload["instanceId"] == ready.id
        )
        again = new_job("monitor_instance", old.payload, now=cloud.clock.time(), after=300.0)
        stopped = await ready.stop(timeout=600)
        started = await stopped.start()
        client._engine._core.store.commit(Change(jobs=(again,))).result(1)
        back = await started.wait_until_ready(timeout=1200)
        await anyio.sleep(600)
        assert (await client.instances.get(back.id)).status is InstanceStatus.RUNNING
        told = await client.jobs.list(type="send_webhook")
        statuses = [job.payload["payload"]["status"] for job in told]
        assert "failed" not in statuses
        assert "timeout" not in statuses

    tell(story)


def test_an_instance_deleted_while_it_is_watched_is_removed_and_forgotten() -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await rent(client, 4)
        await anyio.sleep(60)
        await made[0].delete(timeout=600)
        for one in made[1:]:
            assert (await one.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING
        assert (await client.instances.get(made[0].id)).status is InstanceStatus.TERMINATED
        assert (await client.jobs.stats()).pending_jobs == 0

    tell(story)


def test_a_job_that_cannot_be_read_fails_with_the_reason_and_holds_up_nobody() -> None:
    store = MemoryStore()

    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        wrong = new_job("monitor_instance", {"instanceId": 7}, now=cloud.clock.time())
        await anyio.sleep(1)
        store.commit(Change(jobs=(wrong,))).result(1)
        (made,) = await rent(client, 1)
        assert (await made.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING
        job = store.job(wrong.job.id).result(1)
        assert job is not None
        assert job.status is JobStatus.FAILED
        assert "novitaInstanceId" in str(job.error)

    tell(story, store=store)


# Time


def test_looks_slow_down_when_the_cloud_asks_for_it() -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        await rent(client, 5, max_wait=7200)
        await anyio.sleep(2)
        cloud.order(faults.rate_limited(LIST, retry_after=40, times=1))
        since = cloud.clock.monotonic()
        await anyio.sleep(300)
        asked = [at for at, _ in ticks(cloud, LIST, since)]
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        assert gaps[0] >= 39

    tell(story, emulated={"faults": [faults.stuck_pull(times=None)]}, retry=None)


def test_deadlines_hold_through_a_restart() -> None:
    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=600.0)
        cloud.order(faults.stuck_pull(times=None))
        store = MemoryStore()
        options: Any = {
            "api_key": cloud.api_key, "network": MemoryNetwork(cloud), "clock": clock,
            "store": store, "rate_limit": None,
        }  # fmt: skip
        async with AsyncNovitai(**options) as client:
            made = await rent(client, 5, max_wait=900, webhook_url="https://example.com/hook")
            await anyio.sleep(300)
        await anyio.sleep(500)  # nobody is there
        async with AsyncNovitai(**options) as client:
            for one in made:
                with pytest.raises(
                    InstanceFailed, match="startup timeout after 900000ms"
                ) as caught:
                    await (await client.instances.get(one.id)).wait_until_ready(timeout=1200)
                assert caught.value.elapsed < 110
            told = await client.jobs.list(type="send_webhook")
            assert [job.payload["payload"]["status"] for job in told] == ["timeout"] * 5

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("runs", [True, False])
def test_what_became_ready_while_nobody_was_there_is_ready_however_late(
    count: int, runs: bool
) -> None:
    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=600.0)
        options: Any = {
            "api_key": cloud.api_key, "network": MemoryNetwork(cloud), "clock": clock,
            "store": MemoryStore(), "rate_limit": None,
        }  # fmt: skip
        async with AsyncNovitai(**options) as client:
            made = await rent(client, count, max_wait=900, webhook_url="https://example.com/hook")
            await anyio.sleep(100)
        await anyio.sleep(3600)  # nobody is there
        if not runs:
            cloud.order(faults.refused(GET, status=403, times=None))
        async with AsyncNovitai(**options) as client:
            await anyio.sleep(60)
            told = await client.jobs.list(type="send_webhook")
            statuses = {job.payload["payload"]["status"] for job in told}
            assert statuses == ({"running"} if runs else {"timeout"})
            assert len(told) == count
            cloud.clear_faults()
            for one in made:
                # That it failed was told, and stays.
                expected = InstanceStatus.RUNNING if runs else InstanceStatus.FAILED
                assert (await client.instances.get(one.id)).status is expected

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("count", [1, 5])
def test_a_clock_that_is_set_ends_no_wait(count: int) -> None:
    async def main() -> None:
        clock = SetClock()
        cloud = Emulator(clock=clock, life=600.0)
        async with AsyncNovitai(
            api_key=cloud.api_key,
            network=MemoryNetwork(cloud),
            clock=clock,
            store="memory",
            rate_limit=None,
        ) as client:
            made = await rent(client, count, max_wait=900)
            await anyio.sleep(100)
            clock.ahead = 24 * 3600.0
            for one in made:
                assert (await one.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING
            cloud.order(faults.stuck_pull(times=None))
            began = cloud.clock.monotonic()
            stuck = await client.instances.create(**WANTED, max_wait=900)
            await anyio.sleep(2)  # it was heard of
            clock.ahead = 48 * 3600.0
            with pytest.raises(InstanceFailed, match="startup timeout after 900000ms"):
                await stuck.wait_until_ready(timeout=1200)
            assert 899 < cloud.clock.monotonic() - began < 900 + LONGEST + 1

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class Hanging(MemoryNetwork):
    """Does not answer what is asked of one machine, the first that is asked about."""

    def awaiting(self) -> Any:
        return _Hanging(super().awaiting())


class _Hanging:
    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._dead = ""
        self.mode = inner.mode
        self.close = inner.close

    async def send(self, request: Any) -> Any:
        url = str(request.url)
        if "/gpu/instance?" in url:
            self._dead = self._dead or url
            if url == self._dead:
                await anyio.sleep(request.timeout)
                raise TransportFailed("no answer")
        return await self._inner.send(request)


@pytest.mark.parametrize("count", [3, 12])
def test_a_machine_that_never_answers_holds_up_nobody_else(count: int) -> None:
    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        first = await rent(client, count, max_wait=900)
        await anyio.sleep(120)
        later = await rent(client, count, max_wait=900)
        began = cloud.clock.monotonic()
        took: list[float] = []
        failed: list[str] = []

        async def wait(one: Any) -> None:
            try:
                await one.wait_until_ready(timeout=1200)
            except InstanceFailed as error:
                failed.append(str(error))
            else:
                took.append(cloud.clock.monotonic() - began)

        async with anyio.create_task_group() as tasks:
            for one in (*first, *later):
                tasks.start_soon(wait, one)
        # The one that never answers ends by its deadline, all others as if it were not there.
        assert len(took) == 2 * count - 1
        assert max(took) < 60 + LONGEST + 1
        (word,) = failed
        assert "startup timeout after 900000ms" in word

    tell(story, network=Hanging, emulated={"life": 60.0})


class Dying(MemoryStore):
    """Breaks down, for good, when it is told to."""

    broken = False

    def claim(self, *arguments: Any) -> "Future[Batch]":
        if self.broken:
            future: Future[Batch] = Future()
            future.set_exception(StoreCorrupt("by order"))
            return future
        return super().claim(*arguments)


def test_who_waits_hears_at_once_that_nobody_looks_any_more() -> None:
    store = Dying()

    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await rent(client, 2)
        await anyio.sleep(100)
        heard: list[float] = []

        async def wait(one: Any) -> None:
            with pytest.raises(JobError, match="the job runner of this client stopped"):
                await one.wait_until_ready(timeout=1200)
            heard.append(cloud.clock.monotonic())

        async with anyio.create_task_group() as tasks:
            for one in made:
                tasks.start_soon(wait, one)
            await anyio.sleep(1)
            store.broken = True
            broken = cloud.clock.monotonic()
        # The watch itself comes by every fifteen seconds at that age.
        assert max(heard) - min(heard) == 0
        assert max(heard) - broken <= LONGEST

    tell(story, store=store)


def test_who_waits_hears_that_the_client_is_closed_though_its_store_lives_on() -> None:
    store = MemoryStore()

    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        (made,) = await rent(client, 1)
        ended: list[float] = []

        async def wait() -> None:
            with pytest.raises(ClientClosed):
                await made.wait_until_ready(timeout=1200)
            ended.append(cloud.clock.monotonic())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(10)
            await client.aclose()
            closed = cloud.clock.monotonic()
        assert ended[0] - closed < 0.1

    tell(story, store=store)


# When to look


def test_time_that_is_left_passes_whatever_the_wall_clock_says() -> None:
    now, wall = [0.0], [1_700_000_000.0]
    steady = Steady(lambda: now[0], lambda: wall[0])
    ends = wall[0] + 30.0
    assert steady.left("a", ends, most=60.0) == 30.0
    now[0], wall[0] = 10.0, wall[0] + 3600.0
    assert steady.left("a", ends, most=60.0) == 20.0
    # Another moment of the same, and one that a clock set back would put off for long.
    assert steady.left("a", ends + 3600.0, most=60.0) == 30.0
    assert steady.left("b", ends + 7200.0, most=60.0) == 60.0
    steady.forget("a")
    assert steady.left("a", ends, most=60.0) < 0


def test_looks_come_after_a_fifth_of_the_time() -> None:
    assert [look_after(age, 0.5) for age in (0.0, 10.0, 60.0, 3600.0)] == [0.5, 2.0, 12.0, 15.0]


moments = st.lists(
    st.tuples(st.floats(0.0, 20.0), st.floats(0.5, LONGEST)), min_size=1, max_size=50
)


@given(moments, st.floats(0.0, 1.0))
def test_nobody_waits_longer_than_asked_nor_much_less_than_half(
    asked: "Sequence[tuple[float, float]]", chance: float
) -> None:
    coming, now = Ticks(lambda: chance), 1_700_000_000.0
    for later, wait in asked:
        now += later
        tick = coming.within(wait, now)
        assert now + wait * 0.45 - 0.001 <= tick <= now + wait + 0.001


@given(st.lists(st.floats(0.0, LONGEST), min_size=2, max_size=200))
def test_those_who_wait_as_long_as_each_other_come_together(begins: "list[float]") -> None:
    coming, begin = Ticks(lambda: 0.5), 1_700_000_000.0
    due = [begin + one for one in begins]
    looks: list[float] = []
    while min(due) < begin + 300:
        now = min(due)
        looks.append(now)
        due = [coming.within(LONGEST, now) if at == now else at for at in due]
    assert len([at for at in looks if at >= begin + 150]) <= 150 / LONGEST * 1.1
