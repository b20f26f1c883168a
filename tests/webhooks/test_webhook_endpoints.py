"""Endpoints that only fail: disabled after five days, told of once, and back as soon as a webhook gets through."""

import logging
import queue
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio.testing
from couriers import EVENT
from faces import FACES, Face, SetClock
from receivers import Receiver

from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.emulator import Emulator
from novitai_sdk.errors import ConnectFailed, NovitaError
from novitai_sdk.jobs import Change, JobEvent, MemoryStore, Runner, Write
from novitai_sdk.models import Job
from novitai_sdk.testing import ManualClock
from novitai_sdk.webhooks import DeliveryPolicy, TargetRefused, delivery_handler, webhook_job
from novitai_sdk.webhooks._endpoints import KIND
from novitai_sdk.webhooks._port import WebhookReply

MINUTE, HOUR, DAY = 60, 3600, 86_400
URL = "https://down.example/hook?token=hush"
EXACT = DeliveryPolicy(spread=float)


class World:
    """A runner on virtual time, and receivers in memory that all do what `status` or `error` says."""

    def __init__(self) -> None:
        self.status = 500
        self.error: NovitaError | None = None
        self.asked: list[str] = []
        self.store = MemoryStore()
        self.clock = SetClock()
        self._waiter = AsyncWaiter(self.clock)

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookReply:
        self.asked.append(url)
        await anyio.sleep(0.1)
        if self.error is not None:
            raise self.error
        return WebhookReply(status=self.status)

    async def send(self, *urls: str) -> list[str]:
        """Send a webhook to each of *urls*, and let its first attempt end."""
        new = [webhook_job(EVENT, url, now=self.clock.time()) for url in urls]
        await self._waiter.result(self.store.commit(Change(jobs=tuple(new))))
        await anyio.sleep(1)
        return [one.job.id for one in new]

    async def retry(self, job_id: str) -> None:
        """Retry a job by hand, and let its first attempt end."""
        await self._waiter.result(self.store.retry(job_id, self.clock.time()))
        await anyio.sleep(1)

    async def job(self, job_id: str) -> Job:
        found = await self._waiter.result(self.store.job(job_id))
        assert found is not None
        return found

    async def passes(self, seconds: float) -> None:
        """Let time pass; a worker that is idle looks at the calendar twice a minute, and days of that take a while."""
        self.clock.ahead += seconds - MINUTE
        await anyio.sleep(MINUTE)

    async def fail(self, days: int) -> None:
        """Let so many days pass, on each of which something is sent to one URL."""
        for _ in range(days):
            await self.send(URL)
            await self.passes(DAY - 1)

    async def records(self) -> int:
        return len(await self._waiter.result(self.store.scan(KIND)))

    async def live(self, story: Callable[["World"], Awaitable[None]]) -> None:
        handler = delivery_handler(self, tuple, self.clock, EXACT, store=self.store)
        runner = Runner(self.store, {"send_webhook": handler}, waiter=self._waiter)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await story(self)
            runner.stop()


def live(story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        await World().live(story)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def disablings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one for one in caplog.messages if one.startswith("no more webhooks go to")]


def test_after_five_days_of_nothing_but_failures_an_endpoint_is_disabled_and_that_is_told_once(
    caplog: pytest.LogCaptureFixture,
):
    async def story(world: World) -> None:
        await world.fail(5)
        assert disablings(caplog) == []
        waiting = await world.send(*[URL] * 4)  # all of them are asked for at the same time
        (told,) = disablings(caplog)
        assert told == (
            "no more webhooks go to https://down.example/hook?***: the endpoint is disabled, nothing but failures "
            "since 2026-01-01 00:00 UTC; jobs.retry of one of its webhooks asks it again"
        )
        for one in waiting:
            job = await world.job(one)
            assert (job.status, job.attempts) == ("failed", 1)
            assert "the receiver answered 500 (the endpoint is disabled" in (job.error or "")
        asked = len(world.asked)
        (late,) = await world.send(URL)
        job = await world.job(late)
        assert job.status == "failed"
        assert (job.error or "").startswith("not sent: the endpoint is disabled, nothing but fail")
        await world.passes(2 * DAY)  # what waited for a further attempt has ended like that, too
        assert len(world.asked) == asked
        jobs = await AsyncWaiter().result(world.store.stats())
        assert (jobs.pending_jobs, jobs.processing_jobs) == (0, 0)

    with caplog.at_level(logging.WARNING, "novitai_sdk"):
        live(story)


def test_what_an_endpoint_answered_last_is_kept_with_what_was_not_sent_any_more():
    async def story(world: World) -> None:
        await world.fail(4)
        (waits,) = await world.send(URL)
        await world.passes(DAY)
        await world.send(URL)
        await world.passes(2 * DAY)
        job = await world.job(waits)
        assert job.status == "failed"
        assert "; last error before: the receiver answered 500" in (job.error or "")

    live(story)


def test_an_endpoint_that_says_it_is_gone_is_disabled_at_once(caplog: pytest.LogCaptureFixture):
    async def story(world: World) -> None:
        await world.fail(1)
        world.status = 410
        for one in await world.send(URL, URL):
            assert "answered 410" in ((await world.job(one)).error or "")
        (told,) = disablings(caplog)
        assert "it answered 410 (gone) at 2026-01-02 00:00 UTC" in told
        asked = len(world.asked)
        world.status = 204
        await world.passes(30 * DAY)
        (late,) = await world.send(URL)
        assert (await world.job(late)).attempts == 1
        assert "not sent" in ((await world.job(late)).error or "")
        assert len(world.asked) == asked
        await world.retry(late)
        assert (await world.job(late)).status == "completed"
        assert await world.records() == 0

    live(story)


def test_no_answer_is_a_failure_too():
    async def story(world: World) -> None:
        world.error = ConnectFailed("nobody there")
        await world.fail(6)
        (late,) = await world.send(URL)
        assert "not sent" in ((await world.job(late)).error or "")

    live(story)


def test_a_disabled_endpoint_is_asked_again_by_hand_only_and_a_webhook_that_gets_through_ends_it():
    async def story(world: World) -> None:
        await world.fail(6)
        (one,) = await world.send(URL)
        asked = len(world.asked)
        await world.retry(one)
        assert len(world.asked) == asked + 1
        job = await world.job(one)
        assert (job.status, job.attempts) == ("failed", 1)
        assert "answered 500 (the endpoint is disabled" in (job.error or "")
        world.status = 204
        (other,) = await world.send(URL)
        assert (await world.job(other)).status == "failed"
        await world.retry(one)
        assert (await world.job(one)).status == "completed"
        assert await world.records() == 0
        (third,) = await world.send(URL)
        assert (await world.job(third)).status == "completed"

    live(story)


def test_what_is_retried_by_hand_stays_so_while_a_host_has_no_place_for_it():
    async def story(world: World) -> None:
        await world.fail(6)
        failed = [(await world.send(URL))[0] for _ in range(12)]
        world.status = 204
        async with anyio.create_task_group() as tasks:
            for one in failed:
                tasks.start_soon(world.retry, one)
        await anyio.sleep(MINUTE)
        assert {(await world.job(one)).status for one in failed} == {"completed"}

    live(story)


def test_one_success_and_five_days_begin_anew(caplog: pytest.LogCaptureFixture):
    async def story(world: World) -> None:
        await world.fail(4)
        world.status = 204
        await world.send(URL)
        assert await world.records() == 0
        world.status = 500
        await world.fail(5)
        assert disablings(caplog) == []
        (one,) = await world.send(URL)
        assert (await world.job(one)).status == "failed"

    live(story)


def test_a_receiver_that_is_seldom_told_anything_is_not_disabled_for_two_bad_days():
    async def story(world: World) -> None:
        (first,) = await world.send(URL)
        for _ in range(58):
            await world.passes(2 * HOUR)
        assert (await world.job(first)).status == "failed"  # ten attempts, less than five days
        await world.passes(30 * DAY)
        (second,) = await world.send(URL)
        assert (await world.job(second)).status == "pending"

    live(story)


def test_another_url_of_the_same_host_goes_on():
    async def story(world: World) -> None:
        await world.fail(6)
        world.status = 204
        (dead, other) = await world.send(URL, "https://down.example/hook?token=other")
        assert (await world.job(dead)).status == "failed"
        assert (await world.job(other)).status == "completed"

    live(story)


def test_what_is_refused_on_this_side_says_nothing_of_the_endpoint():
    async def story(world: World) -> None:
        world.error = TargetRefused("resolves to 10.0.0.1, a private address")
        await world.fail(6)
        assert await world.records() == 0

    live(story)


def test_of_endpoints_that_nobody_sends_to_any_more_nothing_is_kept_unless_they_are_disabled():
    async def story(world: World) -> None:
        await world.send(*(f"https://down.example/{n}" for n in range(20)))
        await anyio.sleep(MINUTE)
        assert await world.records() == 20
        for _ in range(48):  # until their attempts are used up
            await world.passes(2 * HOUR)
        await world.fail(6)
        await anyio.sleep(2 * HOUR)
        await world.passes(3 * DAY)
        await world.send("https://down.example/new")
        assert await world.records() == 2

    live(story)


def test_of_a_storm_of_failures_one_in_an_hour_is_put_down():
    async def story(world: World) -> None:
        for _ in range(3):
            await world.send(*[URL] * 20)
        (before,) = await AsyncWaiter().result(world.store.scan(KIND))
        assert before.body["since"] == before.body["latest"]
        await world.passes(2 * HOUR)
        await world.send(URL)
        (after,) = await AsyncWaiter().result(world.store.scan(KIND))
        assert after.body["latest"] > before.body["latest"]

    live(story)


@pytest.mark.parametrize("since", ["long ago", -1e300, 10**400], ids=["text", "far", "huge"])
def test_a_record_that_cannot_be_read_is_written_anew(since: Any):
    async def story(world: World) -> None:
        await world.send(URL)
        (record,) = await AsyncWaiter().result(world.store.scan(KIND))
        odd = Write(kind=KIND, key=record.key, body={"since": since, "latest": 1e9})
        await AsyncWaiter().result(world.store.commit(Change(writes=(odd,))))
        await world.send(URL)
        (record,) = await AsyncWaiter().result(world.store.scan(KIND))
        assert record.body["since"] == record.body["latest"]

    live(story)


def test_a_clock_that_is_set_disables_nothing_and_begins_the_count_anew():
    async def story(world: World) -> None:
        for jump in (6 * DAY, -12 * DAY, 6 * DAY):
            (one,) = await world.send(URL)
            assert (await world.job(one)).status == "pending"
            (record,) = await AsyncWaiter().result(world.store.scan(KIND))
            assert abs(record.body["since"] - world.clock.time()) < MINUTE
            world.clock.ahead += jump

    live(story)


# -- on real sockets, in a real file -----------------------------------------------------------------


class Told:
    """What `on_job` was told of webhooks."""

    def __init__(self) -> None:
        self._ended: queue.Queue[JobEvent] = queue.Queue()

    def __call__(self, event: JobEvent) -> None:
        if event.what in ("retrying", "failed", "completed"):
            self._ended.put(event)

    async def of(self, job: Job, name: str) -> JobEvent:
        """Return what is told next of *job*."""

        def next_one() -> JobEvent:
            while (event := self._ended.get(timeout=10)).job.id != job.id:
                pass
            return event

        return next_one() if "plain" in name else await anyio.to_thread.run_sync(next_one)


@pytest.mark.parametrize("name", FACES)
def test_a_disabled_endpoint_stays_so_through_a_restart_until_a_retry_by_hand(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    clock, told = ManualClock(), Told()

    async def fails(client: Any, done: Any) -> str:
        for number in range(4):
            job = await done(client.webhooks.send(EVENT, receiver.url))
            event = await told.of(job, name)
            assert event.what == ("failed" if number == 3 else "retrying")
            clock.advance(45 * HOUR)
        assert "the endpoint is disabled" in event.job.error
        return str(job.id)

    async def comes_back(client: Any, done: Any) -> None:
        job = await done(client.webhooks.send(EVENT, receiver.url))
        event = await told.of(job, name)
        assert (event.what, event.job.error[:8]) == ("failed", "not sent")
        assert receiver.got.empty()
        retried = await done(client.jobs.retry(failed))
        assert (await told.of(retried, name)).what == "completed"
        job = await done(client.webhooks.send(EVENT, receiver.url))
        assert (await told.of(job, name)).what == "completed"

    with Emulator() as cloud, Receiver() as receiver:
        receiver.then = 500
        options: dict[str, Any] = {
            "store": str(tmp_path / "jobs.db"),
            "clock": clock,
            "on_job": told,
            "webhook_allow_http": True,
            "webhook_allow_networks": ["127.0.0.0/8"],
        }
        failed = Face(name, cloud).tell(fails, **options)
        assert len(disablings(caplog)) == 1
        receiver.got.queue.clear()
        receiver.then = 204
        Face(name, cloud).tell(comes_back, **options)
