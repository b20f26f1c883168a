"""Jobs of the cloud and its metrics, on every face of a client."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from novitai_sdk.cloud import CloudJobQuery, JobPhase, JobType
from novitai_sdk.emulator import Quirks, faults
from novitai_sdk.errors import (
    InvalidState,
    NotFound,
    RequestRefused,
    TransportFailed,
    UnexpectedReply,
    ValidationError,
)


async def all_of(found: Any) -> list[Any]:
    return [one async for one in found] if hasattr(found, "__aiter__") else list(found)


def test_an_image_is_saved_by_a_job(told: Any) -> None:
    made = told.stopped()

    async def story(cloud: Any, done: Any) -> None:
        job_id = await done(cloud.jobs.save_image(made, "a/b:saved"))
        (job,) = await done(cloud.jobs.list(job_id=job_id))
        assert (job.id, job.type, job.instance_id) == (job_id, JobType.SAVE_IMAGE, made)
        assert job.phase is JobPhase.PULLING
        assert job.log_address.startswith("https://")
        assert job.created_at == datetime.fromtimestamp(told.clock.time() // 1, timezone.utc)
        (running,) = (await done(cloud.instances.get(made))).jobs
        assert (running.id, running.type) == (job_id, "saveImage")
        told.clock.advance(0.2)
        (job,) = await done(cloud.jobs.list(state=JobPhase.RUNNING))
        assert not job.phase.final
        told.clock.advance(1)
        (job,) = await done(cloud.jobs.list(state=JobPhase.SUCCESS))
        assert job.phase.final
        assert (await done(cloud.instances.get(made))).jobs == ()

    told.tell(story)


@pytest.mark.parametrize("as_message", [True, False])
def test_a_job_that_fails_says_why_in_either_field(told: Any, as_message: bool) -> None:
    told.build(quirks=Quirks(job_errors_as_message=as_message))
    made = told.stopped()

    async def story(cloud: Any, done: Any) -> None:
        (credential,) = await done(cloud.registries.list())
        image = "registry.example.com/team/saved:1"
        await done(cloud.jobs.save_image(made, image))
        kept = await done(cloud.jobs.save_image(made, image, registry_auth_id=credential.id))
        told.clock.advance(1)
        (failed,) = await done(cloud.jobs.list(state=JobPhase.FAIL))
        assert failed.state.error == "pushFailed"
        assert "unauthorized" in failed.state.error_message
        assert failed.state.extra == {}
        (done_,) = await done(cloud.jobs.list(state=JobPhase.SUCCESS))
        assert done_.id == kept

    told.tell(story)


def test_a_job_can_be_broken_while_it_runs(told: Any) -> None:
    made = told.stopped()

    async def story(cloud: Any, done: Any) -> None:
        job = await done(cloud.jobs.save_image(made, "a/b:saved"))
        assert await done(cloud.jobs.break_job(job)) is None
        (found,) = await done(cloud.jobs.list())
        assert found.phase is JobPhase.BREAK
        told.clock.advance(10)
        (found,) = await done(cloud.jobs.list())
        assert found.phase is JobPhase.BREAK
        with pytest.raises(InvalidState):
            await done(cloud.jobs.break_job(job))
        with pytest.raises(NotFound):
            await done(cloud.jobs.break_job("nobody"))
        await done(cloud.instances.migrate(made))
        (moving,) = await done(cloud.jobs.list(type=JobType.INSTANCE_MIGRATE))
        with pytest.raises((InvalidState, RequestRefused)) as caught:
            await done(cloud.jobs.break_job(moving.id))
        assert caught.value.reason == "MIGRATION_JOB_NOT_BREAKABLE"

    told.tell(story)


def test_jobs_are_listed_by_pages_and_narrowed(told: Any) -> None:
    made = told.stopped()

    async def story(cloud: Any, done: Any) -> None:
        start = datetime.fromtimestamp(told.clock.time(), timezone.utc)
        for number in range(7):
            await done(cloud.jobs.save_image(made, f"a/b:{number}"))
            told.clock.advance(60)
        listed = await done(cloud.jobs.list(page_size=2))
        assert len({job.id for job in listed}) == 7
        assert await all_of(cloud.jobs.iterate(page_size=3)) == list(listed)
        late = start + timedelta(seconds=150)
        assert len(await done(cloud.jobs.list(start_time=late))) == 4
        assert len(await done(cloud.jobs.list(end_time=late))) == 3
        assert len(await done(cloud.jobs.list(start_time=start, end_time=late))) == 3
        assert len(await done(cloud.jobs.list(creators=["first", "second"]))) == 7
        assert await done(cloud.jobs.list(creators=["second"])) == ()
        assert await done(cloud.jobs.list(state=JobPhase.FAIL)) == ()
        page = await done(cloud.jobs.list_page(CloudJobQuery(page_size=5, page_num=2)))
        assert (len(page.items), page.total) == (2, 7)
        told.emulator.order(faults.cut_list("jobs.list", keep=2))
        with pytest.raises(UnexpectedReply, match="cut short: 2 of 7"):
            await done(cloud.jobs.list())

    told.tell(story)


def test_an_image_is_not_saved_twice(told: Any) -> None:
    made = told.stopped()
    told.emulator.order(faults.no_answer("jobs.save_image"))

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(TransportFailed) as caught:
            await done(cloud.jobs.save_image(made, "a/b:saved"))
        assert caught.value.resend_safe is False
        assert len(await done(cloud.jobs.list())) == 1
        with pytest.raises(NotFound):
            await done(cloud.jobs.save_image("nobody", "a/b:saved"))

    told.tell(story)


def test_metrics_are_points_in_percent(told: Any) -> None:
    made, stopped = told.rented(gpuNum=2), told.stopped()

    async def story(cloud: Any, done: Any) -> None:
        now = datetime.fromtimestamp(told.clock.time() // 1, timezone.utc)
        found = await done(cloud.metrics.get(made))
        times = [point.timestamp for point in found.cpu_utilization]
        assert times == [now - timedelta(seconds=ago) for ago in (60, 45, 30, 15, 0)]
        series = [found.cpu_utilization, found.mem_utilization, found.root_disk_utilization]
        for gpus in (found.gpu_utilization, found.gpu_mem_utilization):
            assert [one.gpu_id for one in gpus.gpu_ids] == ["0", "1"]
            series += [gpus.avg, *(one.items for one in gpus.gpu_ids)]
        assert all(0 <= point.value <= 100 for points in series for point in points)
        assert all(len(points) == 5 for points in series)
        spaced = await done(
            cloud.metrics.get(
                made,
                start_time=now - timedelta(minutes=10),
                end_time=now - timedelta(minutes=5),
                interval=60,
            )
        )
        times = [point.timestamp for point in spaced.cpu_utilization]
        assert times == [now - timedelta(minutes=ago) for ago in (10, 9, 8, 7, 6, 5)]
        assert (await done(cloud.metrics.get(stopped))).cpu_utilization == ()
        with pytest.raises(NotFound):
            await done(cloud.metrics.get("nobody"))

    told.tell(story)


def test_metrics_are_found_below_either_prefix(told: Any) -> None:
    told.build(quirks=Quirks(metrics_elsewhere=True))
    made = told.rented()

    async def story(cloud: Any, done: Any) -> None:
        assert (await done(cloud.metrics.get(made))).cpu_utilization
        assert told.emulator.calls("metrics.get") == 1
        with pytest.raises(NotFound) as caught:
            await done(cloud.metrics.get("nobody"))
        assert caught.value.reason == "RESOURCE_NOT_FOUND"

    told.tell(story)


def test_what_the_cloud_would_replace_without_a_word_is_refused(told: Any) -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - what a user may well pass

    async def story(cloud: Any, done: Any) -> None:
        get = cloud.metrics.get
        for call, fields in (
            (
                lambda: get("", start_time=now, end_time=now, interval=14),
                ["instanceId", "startTime", "interval"],
            ),
            (lambda: get("i", start_time=naive), ["startTime"]),
            (lambda: get("i", start_time=now, end_time=naive), ["endTime"]),
            (lambda: cloud.jobs.list(start_time=now, end_time=now - timedelta(1)), ["startTime"]),
            (lambda: cloud.jobs.iterate(end_time=naive), ["endTime"]),
            (
                lambda: cloud.jobs.list_page(
                    CloudJobQuery(page_size=-1, page_num=-1, job_id="j" * 256)
                ),
                ["pageSize", "pageNum", "jobId"],
            ),
            (lambda: cloud.jobs.break_job(""), ["jobId"]),
            (
                lambda: cloud.jobs.save_image("", "", registry_auth_id="r" * 256),
                ["instanceId", "image", "registryAuthId"],
            ),
        ):
            with pytest.raises(ValidationError) as caught:
                await done(call())
            assert [one.field for one in caught.value.details] == fields

    told.tell(story)
    assert not told.emulator.requests
