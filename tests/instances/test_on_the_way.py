"""What can happen between create and ready, on virtual time."""

from itertools import pairwise
from typing import Any

import anyio
import pytest
from faces import WANTED

from novitai_sdk import InstanceFailed, InstanceStatus, WaitTimedOut
from novitai_sdk.emulator import Emulator, Quirks, faults

TOLD = {**WANTED, "webhook_url": "https://example.com/webhook"}


async def webhooks(client: Any) -> list[str]:
    """The status of every webhook that was enqueued."""
    jobs = await client.jobs.list(type="send_webhook")
    return [job.payload["payload"]["status"] for job in jobs]


def test_a_machine_whose_image_cannot_be_pulled_fails_at_once_with_the_reason(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.failing_pull(message="no such image"))
        made = await client.instances.create(**TOLD)
        with pytest.raises(InstanceFailed, match="no such image") as caught:
            await made.wait_until_ready(timeout=1200)
        error = caught.value
        assert error.instance_id == made.id
        assert error.elapsed < 300
        assert error.last.status is InstanceStatus.FAILED
        assert error.cost is not None
        assert "may bill" in str(error)
        assert await webhooks(client) == ["failed"]

    years.tell(story)


def test_a_machine_that_never_arrives_fails_after_its_time_with_one_webhook(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.stuck_pull())
        made = await client.instances.create(**TOLD, max_wait=600)
        with pytest.raises(
            InstanceFailed, match="Instance startup timeout after 600000ms"
        ) as caught:
            await made.wait_until_ready(timeout=1200)
        assert caught.value.phase == "pulling"
        assert 600 <= caught.value.elapsed < 650
        assert await webhooks(client) == ["timeout"]
        (kept,) = await client.instances.list()
        assert kept.status is InstanceStatus.FAILED

    years.tell(story)


def test_a_wait_ends_at_its_deadline_and_the_machine_goes_on(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED)
        with pytest.raises(WaitTimedOut) as caught:
            await made.wait_until_ready(timeout=10)
        error = caught.value
        assert error.instance_id == made.id
        assert error.elapsed == pytest.approx(10, abs=0.1)
        assert "was not ready within 10 s; last seen" in str(error)
        assert error.phase in {"pending", "toCreate", "creating", "pulling"}
        assert error.last.id == made.id
        assert (await made.wait_until_ready(timeout=600)).status is InstanceStatus.RUNNING

    years.tell(story)


def test_a_wait_that_ends_before_anything_was_rented_says_that_nothing_bills(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.rate_limited("instances.create", times=None, retry_after=3600))
        made = await client.instances.create(**WANTED)
        with pytest.raises(WaitTimedOut, match="No machine was rented yet, and a job goes on"):
            await made.wait_until_ready(timeout=10)
        assert cloud.instances == ()
        cloud.clear_faults()
        assert (await made.wait_until_ready(timeout=600)).status is InstanceStatus.RUNNING

    years.tell(story)


def test_ctrl_c_in_a_wait_leaves_word_of_what_goes_on_billing(
    years, caplog: pytest.LogCaptureFixture
):
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED)
        with pytest.raises(KeyboardInterrupt):
            await made.wait_until_ready(on_progress=interrupt)
        assert (
            f"{made.id} was interrupted; it goes on, and bills until it is deleted" in caplog.text
        )

    years.tell(story)


def test_an_unknown_status_is_waited_through(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.unknown_status("instances.get", status="levitating", times=5))
        made = await client.instances.create(**WANTED)
        phases: list[str | None] = []
        ready = await made.wait_until_ready(
            timeout=600, on_progress=lambda now: phases.append(now.phase)
        )
        assert "levitating" in phases
        assert ready.status is InstanceStatus.RUNNING

    years.tell(story)


def test_failing_looks_do_not_fail_the_machine(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(
            faults.server_error("instances.get", times=30),
            faults.dropped("instances.get", times=10),
            faults.rate_limited("instances.get", retry_after=7, times=3),
        )
        made = await client.instances.create(**TOLD)
        assert (await made.wait_until_ready(timeout=1200)).status is InstanceStatus.RUNNING
        assert await webhooks(client) == ["running"]

    years.tell(story)


def test_progress_tells_phase_time_and_cost(years):
    async def story(client: Any, cloud: Emulator) -> None:
        seen: list[Any] = []
        made = await client.instances.create(**WANTED)
        await made.wait_until_ready(timeout=600, on_progress=seen.append)
        assert [one.elapsed for one in seen] == sorted(one.elapsed for one in seen)
        assert "pulling" in {one.phase for one in seen}
        assert seen[-1].status is InstanceStatus.RUNNING
        assert seen[-1].cost > 0
        # Also between changes, so that a display never looks dead.
        gaps = [b.elapsed - a.elapsed for a, b in pairwise(seen)]
        assert max(gaps) <= 1.01

    years.tell(story)


def test_looks_become_rarer_with_age(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.stuck_pull())
        made = await client.instances.create(**WANTED)
        with pytest.raises(WaitTimedOut):
            await made.wait_until_ready(timeout=1000)
        looks = [one.at for one in cloud.requests if one.operation == "instances.get"]
        gaps = [later - earlier for earlier, later in pairwise(looks)]
        assert gaps[0] == pytest.approx(0.5, abs=0.1)
        assert 14 < max(gaps) <= 15.1  # a little is left to chance
        assert len(looks) < 130  # 67 of them would be one each 15 s

    years.tell(story)


def test_one_webhook_tells_of_each_change_however_many_look(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**TOLD)
        for _ in range(600):
            await made.refresh()
            await anyio.sleep(0.1)
        ready = await made.wait_until_ready(timeout=600)
        for _ in range(3):
            await ready.refresh()
        await ready.stop(timeout=600)
        await ready.delete(timeout=600)
        assert sorted(await webhooks(client)) == ["deleted", "running", "stopped"]

    years.tell(story)


@pytest.mark.parametrize("stay", [False, True], ids=["error cleared", "error stays"])
def test_a_machine_whose_node_failed_can_be_started_again(years, stay):
    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=600)
        cloud.fail_node(ready.novita_instance_id)
        assert (await ready.refresh()).status is InstanceStatus.STOPPED
        started = await ready.start()
        assert (await started.wait_until_ready(timeout=600)).status is InstanceStatus.RUNNING
        (listed,) = await client.instances.list()
        assert listed.status is InstanceStatus.RUNNING
        foreign = await client.instances.get(ready.novita_instance_id)
        assert foreign.status is InstanceStatus.RUNNING

    years.tell(story, quirks=Quirks(failures_stay=stay))


def test_a_machine_that_fails_again_after_a_start_fails_again(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.failing_pull(message="no such image"))
        made = await client.instances.create(**WANTED)
        with pytest.raises(InstanceFailed, match="no such image"):
            await made.wait_until_ready(timeout=600)
        started = await made.start()
        with pytest.raises(InstanceFailed, match="no such image"):
            await started.wait_until_ready(timeout=600)

    years.tell(story)


def test_a_restarted_machine_gets_its_full_time_again(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED, max_wait=100)
        ready = await made.wait_until_ready(timeout=600)
        await ready.stop(timeout=600)
        await anyio.sleep(3600)
        started = await ready.start()
        assert (await started.wait_until_ready(timeout=600)).status is InstanceStatus.RUNNING

    years.tell(story)
