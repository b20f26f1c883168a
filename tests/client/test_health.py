"""Health: from real checks, within a time, in the contract's words."""

import re
import socket
import sqlite3
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, time
from typing import Any

import anyio
import attrs
import pytest
from faces import WANTED, Face
from moments import block_until

from novitai_sdk import AsyncNovitai, Novitai, converter
from novitai_sdk.emulator import faults
from novitai_sdk.jobs import (
    Change,
    HandBack,
    JobContext,
    MemoryStore,
    SqliteStore,
    Store,
    StoreFull,
    new_job,
    open_store,
)
from novitai_sdk.models import EnhancedHealthCheckResponse, HealthCheckResponse


def test_all_is_well_on_every_face(face: Face):
    async def story(client: Any, done: Any) -> None:
        health = await done(client.health())
        assert type(health) is HealthCheckResponse
        assert health.status == "healthy"
        services = health.services
        assert (services.novita_api, services.job_queue, services.cache) == ("up", "up", "up")
        assert 0 < health.uptime < 60
        assert health.timestamp.utcoffset().total_seconds() == 0

        report = await done(client.health_report())
        assert type(report) is EnhancedHealthCheckResponse
        assert report.status == "healthy"
        assert report.uptime > health.uptime

    face.tell(story)


@attrs.frozen
class Errand:
    what: str


def test_a_job_that_was_handed_back_counts_when_it_is_done(face: Face):
    async def story(client: Any, done: Any) -> None:
        begun: list[str] = []

        @client.jobs.handler(Errand)
        async def run(errand: Errand, context: JobContext) -> HandBack | None:
            begun.append(errand.what)
            return HandBack() if len(begun) < 5 else None

        job = await done(client.jobs.enqueue(Errand("later")))
        await done(client.jobs.wait(job.id, timeout=10))
        assert len(begun) == 5
        report = await done(client.health_report())
        assert report.performance.job_processing_rate == 1

    face.tell(story)


def test_a_report_counts_what_really_happened(face: Face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        await done(made.wait_until_ready(timeout=10))
        for job in await done(client.jobs.list()):
            await done(client.jobs.wait(job.id, timeout=10))
        report = await done(client.health_report())

        speed = report.performance
        assert speed.requests_per_minute == len(face.cloud.requests)
        assert 0 < speed.average_response_time < 5000
        assert speed.error_rate == 0
        assert speed.job_processing_rate >= 2

        memory, cpu = report.system.memory, report.system.cpu
        assert 1 < memory.rss == memory.used_mb < memory.total_mb
        assert 0 <= cpu.usage <= 100
        assert len(cpu.load_average) == 3

        queue, cache, api = (
            report.dependencies.job_queue,
            report.dependencies.cache,
            report.dependencies.novita_api,
        )
        assert (queue.queue_size, queue.processing, queue.failed) == (0, 0, 0)
        assert queue.completed == (await done(client.jobs.stats())).completed_jobs >= 2
        assert cache.total_states == 1
        assert 0 < api.response_time < 5000
        assert (api.error, queue.error, cache.error) == (None, None, None)

    face.tell(story)


def test_failures_are_counted_as_failures(new, cloud):
    cloud.order(faults.refused("templates.get", status=404, reason="NOT_FOUND"))
    client = new()
    with pytest.raises(Exception, match="refused by order"):
        client.cloud.templates.get("nothing")
    assert client.health_report().performance.error_rate == 50.0


def test_the_report_is_written_in_the_contracts_words(new):
    written = converter.unstructure(new().health_report())
    assert set(written) == {
        "status",
        "timestamp",
        "services",
        "uptime",
        "performance",
        "system",
        "dependencies",
    }
    assert written["services"] == {"novitaApi": "up", "jobQueue": "up", "cache": "up"}
    assert written["timestamp"].endswith("Z")
    assert set(written["performance"]) == {
        "requestsPerMinute",
        "averageResponseTime",
        "errorRate",
        "jobProcessingRate",
    }
    assert set(written["system"]["memory"]) == {"usedMB", "totalMB", "externalMB", "rss"}
    assert set(written["system"]["cpu"]) == {"usage", "loadAverage"}
    assert set(written["dependencies"]["novitaApi"]) == {"status", "responseTime", "lastChecked"}
    assert set(written["dependencies"]["jobQueue"]) == {
        *("status", "queueSize", "processing", "completed", "failed", "lastChecked"),
        *("due", "oldestDueAge", "lag"),  # what this library adds to the contract
    }
    assert written["dependencies"]["cache"]["totalStates"] == 0
    again = converter.structure(written, EnhancedHealthCheckResponse)
    assert converter.unstructure(again) == written


def test_a_check_is_one_request(new, cloud):
    client = new()
    client.health()
    assert len(cloud.requests) == 1
    cloud.order(faults.server_error(times=None))
    assert client.health().services.novita_api == "down"
    cloud.clear_faults()
    cloud.order(faults.rate_limited(retry_after=0, times=None))
    assert client.health().services.novita_api == "down"
    assert len(cloud.requests) == 3


# -- when it is not well ------------------------------------------------------------------------------


def test_a_cloud_that_hangs_is_down_when_the_time_is_over(face: Face):
    face.cloud.order(faults.slow("clusters.list", seconds=30, times=None))

    async def story(client: Any, done: Any) -> None:
        started = monotonic()
        report = await done(client.health_report(timeout=0.1))
        assert 0.1 <= monotonic() - started < 2
        assert (report.status, report.services.novita_api) == ("unhealthy", "down")
        assert report.services.job_queue == report.services.cache == "up"
        assert "CallTimedOut" in report.dependencies.novita_api.error

    face.tell(story)


def test_a_cloud_that_refuses_connections_is_down(face: Face):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens

        async def story(client: Any, done: Any) -> None:
            report = await done(client.health_report())
            assert (report.status, report.services.novita_api) == ("unhealthy", "down")
            assert "ConnectFailed" in report.dependencies.novita_api.error

        face.tell(story, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")


def test_a_wrong_key_is_not_health(face: Face):
    async def story(client: Any, done: Any) -> None:
        report = await done(client.health_report())
        assert (report.status, report.services.novita_api) == ("unhealthy", "down")
        assert "Unauthorized" in report.dependencies.novita_api.error
        assert "wrong-key" not in report.dependencies.novita_api.error

    face.tell(story, api_key="wrong-key")


def test_a_closed_store_is_a_queue_that_is_down(face: Face):
    async def story(client: Any, done: Any) -> None:
        store.close(None)
        report = await done(client.health_report())
        assert (report.status, report.services.novita_api) == ("unhealthy", "up")
        assert report.services.job_queue == report.services.cache == "down"
        assert "StoreClosed" in report.dependencies.job_queue.error

    store = open_store("memory")
    face.tell(story, store=store)


def test_a_file_that_cannot_be_opened_is_a_queue_that_is_down(face: Face, tmp_path: Path):
    (tmp_path / "file").write_text("")

    async def story(client: Any, done: Any) -> None:
        report = await done(client.health_report())
        assert report.services.job_queue == report.services.cache == "down"
        assert "jobs.db" in report.dependencies.job_queue.error

    face.tell(story, store=tmp_path / "file" / "jobs.db")


def test_a_file_that_cannot_be_written_is_a_queue_that_is_down(face: Face, tmp_path: Path):
    path = tmp_path / "jobs.db"

    async def story(client: Any, done: Any) -> None:
        await done(client.jobs.stats())
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # another program that holds the file and does not let go
        report = await done(client.health_report(timeout=0.6))
        assert report.services.job_queue == "down"
        assert report.services.cache == "up"  # reading goes on
        other.rollback()
        other.close()
        assert (await done(client.health())).services.job_queue == "up"

    face.tell(story, store=path)


def test_a_file_that_is_full_is_a_queue_that_is_down(face: Face, tmp_path: Path):
    async def story(client: Any, done: Any) -> None:
        assert (await done(client.health())).services.job_queue == "up"
        for size in (2_000, 0):  # until there is no room between the rows either
            with suppress(StoreFull):
                while True:
                    left_alone(store, since=0, size=size)
        report = await done(client.health_report())
        assert (report.services.job_queue, report.services.cache) == ("down", "up")
        assert "StoreFull" in report.dependencies.job_queue.error

    store = SqliteStore(tmp_path / "jobs.db", max_bytes=200_000)
    face.tell(story, store=store)
    store.close()


def test_health_leaves_no_more_in_a_file_than_it_found(new, tmp_path: Path):
    path = tmp_path / "jobs.db"
    store = SqliteStore(path)
    client = new(store=store)

    def pages() -> int:
        with closing(sqlite3.connect(path)) as db:
            (count,) = db.execute("PRAGMA page_count").fetchone()
        return count

    client.health()
    before = pages()
    for _ in range(5):
        client.health()
    assert pages() == before
    assert store.scan("probe").result(10) == ()
    store.close()


def test_health_wakes_nobody_who_waits_for_work(new):
    store = MemoryStore()
    woken: list[float] = []
    store.on_work(woken.append)
    client = new(store=store)
    assert client.health().services.job_queue == "up"
    assert woken == []
    left_alone(store, since=0)
    assert len(woken) == 1


class FullStore(MemoryStore):
    """A store that can be written, but gives out no jobs as long as it is full."""

    full = True

    def claim(self, *told: Any) -> Any:
        if not self.full:
            return super().claim(*told)
        refused: Future[None] = Future()
        refused.set_exception(StoreFull("no room for the claim"))
        return refused


def test_a_runner_in_trouble_is_a_queue_that_is_down_until_it_works_again(new):
    store = FullStore()
    client = new(store=store)

    def queue() -> Any:
        return client.health_report().dependencies.job_queue

    assert queue().status == "up"
    made = client.instances.create(**WANTED)
    block_until(lambda: queue().status == "down")
    assert "trying on: StoreFull: no room for the claim" in queue().error
    store.full = False
    made.wait_until_ready(timeout=10)
    assert queue().status == "up"


def left_alone(store: Store, *, since: float, size: int = 0) -> None:
    """Store a job that nobody here has a handler for, due for so many seconds."""
    new = new_job("of_another_program", {"text": "x" * size}, now=time() - since)
    store.commit(Change(jobs=(new,))).result(10)


def test_how_far_the_queue_is_behind_is_told(face: Face):
    async def story(client: Any, done: Any) -> None:
        left_alone(store, since=5)
        left_alone(store, since=90)
        report = await done(client.health_report())
        queue = report.dependencies.job_queue
        assert (queue.queue_size, queue.due) == (2, 2)
        assert 90_000 <= queue.oldest_due_age < 95_000
        # It works, so it is up: those who only know the contract's words read on as before.
        assert (queue.status, report.status) == ("up", "healthy")
        assert re.fullmatch("the oldest due job has waited 9. s, more than 60 s", queue.degraded)

    store = MemoryStore()
    face.tell(story, store=store)


def test_the_lag_is_how_long_jobs_were_due_when_they_were_begun(new):
    store = MemoryStore()
    client = new(store=store)

    @client.jobs.handler(Note)
    async def note(note: Note, context: JobContext) -> None:
        pass

    assert client.health_report().dependencies.job_queue.lag == 0
    made = new_job("note", {}, now=time() - 100, after=90)  # due for ten seconds
    store.commit(Change(jobs=(made,))).result(10)
    client.jobs.work(timeout=0)
    assert client.jobs.wait(made.job.id, timeout=10).status == "completed"
    assert 10_000 <= client.health_report().dependencies.job_queue.lag < 20_000


def test_what_counts_as_behind_is_a_setting(new):
    store = MemoryStore()
    for _ in range(3):
        left_alone(store, since=5)
    for settings, told in (
        ({}, "None"),
        ({"degraded_depth": 2}, "3 jobs are due and not taken, more than 2"),
        ({"degraded_age": 4.5}, r"the oldest due job has waited \d+ s, more than 4\.5 s"),
    ):
        queue = new(store=store, **settings).health_report().dependencies.job_queue
        assert re.fullmatch(told, str(queue.degraded))


def test_jobs_that_are_not_due_yet_are_no_backlog(new):
    store = MemoryStore()
    later = new_job("of_another_program", {}, now=time(), after=3600)
    store.commit(Change(jobs=(later,))).result(10)
    queue = new(store=store).health_report().dependencies.job_queue
    assert (queue.queue_size, queue.due, queue.oldest_due_age) == (1, 0, 0)


@attrs.frozen
class Note:
    text: str = ""


class DeafStore(MemoryStore):
    """A store that cannot give out jobs."""

    def claim(self, *_: Any) -> Any:
        raise LookupError("the disk is gone")


def test_a_runner_that_died_is_a_queue_that_is_down(face: Face):
    async def story(client: Any, done: Any) -> None:
        assert (await done(client.health())).status == "healthy"
        made = await done(client.instances.create(**WANTED))
        with pytest.raises(Exception, match="the disk is gone"):
            await done(made.wait_until_ready(timeout=0.6))
        report = await done(client.health_report())
        assert (report.status, report.services.job_queue) == ("unhealthy", "down")
        assert "the disk is gone" in report.dependencies.job_queue.error

    face.tell(story, store=DeafStore())


def test_a_check_can_be_cancelled(cloud, options):
    cloud.order(faults.slow("clusters.list", seconds=30, times=None))

    async def main() -> None:
        async with AsyncNovitai(**options) as client:
            with anyio.move_on_after(0.05) as scope:
                await client.health(timeout=20)
            assert scope.cancelled_caught

    anyio.run(main)


def test_health_can_be_asked_before_anything_else_and_makes_no_runner(options, threads):
    with Novitai(**options) as client:
        assert client.health().status == "healthy"
        assert threads() == []
