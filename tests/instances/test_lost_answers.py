"""Money first: however a create goes wrong, at most one machine exists, and somebody knows of it.

On virtual time: settling windows and outages of hours pass in milliseconds.
"""

import json
from typing import Any

import anyio
import attrs
import pytest
import trio.testing
from faces import WANTED

from novitai_sdk import (
    AsyncNovitai,
    CreateOutcomeUnknown,
    InstanceFailed,
    InstanceStatus,
    WaitTimedOut,
)
from novitai_sdk.emulator import DEFAULT_STOCK, Emulator, faults
from novitai_sdk.errors import TransportFailed, ValidationError
from novitai_sdk.testing import LoopClock, MemoryNetwork


def machines(cloud: Emulator) -> int:
    """How many machines exist or are on their way; each would be billed."""
    return sum(one.status not in {"removed", "(gone)"} for one in cloud.instances)


def test_a_create_whose_answer_was_lost_is_found_and_adopted(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.no_answer("instances.create"))
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=600)
        assert ready.status is InstanceStatus.RUNNING
        assert cloud.calls("instances.create") == 1
        assert machines(cloud) == 1

    years.tell(story)


@pytest.mark.parametrize("no_id", ["", " ", 0, None, "undefined", "null"])
def test_an_answer_without_a_usable_id_is_a_lost_answer(years, no_id):
    async def story(client: Any, cloud: Emulator) -> None:
        body = json.dumps({"id": no_id}).encode()
        cloud.order(faults.garbled_reply("instances.create", body=body))
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=600)
        assert ready.novita_instance_id in {one.id for one in cloud.instances}
        assert (cloud.calls("instances.create"), machines(cloud)) == (1, 1)
        await client.instances.delete(made.id)
        assert {one.status for one in cloud.instances} <= {"toRemove", "removing", "removed"}

    years.tell(story)


@pytest.mark.parametrize(
    "fault",
    [
        faults.server_error("instances.create", after_effect=True),
        faults.truncated_reply("instances.create"),
        faults.html_reply("instances.create"),
        faults.empty_reply("instances.create"),
        faults.garbled_reply("instances.create", body=b"[1, 2"),
    ],
    ids=lambda fault: type(fault.deed).__name__,
)
def test_an_answer_that_cannot_be_read_is_a_lost_answer(years, fault):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(fault)
        made = await client.instances.create(**WANTED)
        await made.wait_until_ready(timeout=600)
        assert cloud.calls("instances.create") == 1
        assert machines(cloud) == 1

    years.tell(story)


def test_a_create_that_did_nothing_is_sent_again_only_when_its_absence_is_proven(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.dropped("instances.create"))
        made = await client.instances.create(**WANTED)
        await made.wait_until_ready(timeout=600)
        first, second = [one.at for one in cloud.requests if one.operation == "instances.create"]
        assert second - first >= 30.0
        between = [
            one
            for one in cloud.requests
            if one.operation == "instances.list" and first < one.at <= second
        ]
        assert len(between) >= 2
        assert machines(cloud) == 1

    years.tell(story)


def test_a_create_that_never_gets_through_fails_and_says_how_often_it_was_sent(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.dropped("instances.create", times=None))
        made = await client.instances.create(**WANTED)
        with pytest.raises(InstanceFailed, match="sent 3 times") as caught:
            await made.wait_until_ready(timeout=3600)
        assert caught.value.instance_id == made.id
        assert cloud.calls("instances.create") == 3
        assert machines(cloud) == 0

    years.tell(story)


def test_while_nobody_can_know_the_wait_says_so_and_the_search_goes_on(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(
            faults.no_answer("instances.create"), faults.server_error("instances.list", times=None)
        )
        made = await client.instances.create(**WANTED)
        with pytest.raises(CreateOutcomeUnknown) as caught:
            await made.wait_until_ready(timeout=3600)
        assert caught.value.instance_id == made.id
        assert "may exist and bill" in str(caught.value)
        assert isinstance(caught.value, WaitTimedOut)
        assert isinstance(caught.value, TimeoutError)

        cloud.clear_faults()
        ready = await made.wait_until_ready(timeout=600)
        assert ready.status is InstanceStatus.RUNNING
        assert cloud.calls("instances.create") == 1

    years.tell(story)


def test_a_listing_cut_short_proves_nothing(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(
            faults.dropped("instances.create"),
            faults.cut_list("instances.list", keep=0, times=None),
        )
        # Somebody else's machine, so that there is something the listing leaves out.
        product = cloud.get("/products").json()["data"][0]["id"]
        body = {"name": "my-gpu-instance", "productId": product, "gpuNum": 1, "rootfsSize": 60,
                "kind": "gpu", "imageUrl": "docker.io/library/ubuntu:24.04"}  # fmt: skip
        cloud.clear_faults()
        cloud.post("/gpu/instance/create", body)
        cloud.order(
            faults.dropped("instances.create"),
            faults.cut_list("instances.list", keep=0, times=None),
        )
        made = await client.instances.create(**WANTED)
        with pytest.raises(CreateOutcomeUnknown):
            await made.wait_until_ready(timeout=1800)
        assert cloud.calls("instances.create") == 2  # theirs and ours, once

    years.tell(story)


def test_another_machine_of_the_same_name_is_not_taken_for_ours(years):
    async def story(client: Any, cloud: Emulator) -> None:
        first = await client.instances.create(**WANTED)
        await first.wait_until_ready(timeout=600)
        cloud.order(faults.no_answer("instances.create"))
        second = await client.instances.create(**WANTED)
        ready = await second.wait_until_ready(timeout=600)
        kept = await first.refresh()
        assert ready.novita_instance_id != kept.novita_instance_id
        assert machines(cloud) == 2

    years.tell(story)


@pytest.mark.parametrize("retry_after", [None, 5])
def test_a_create_refused_unseen_is_sent_again(years, retry_after):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.rate_limited("instances.create", retry_after=retry_after))
        made = await client.instances.create(**WANTED)
        await made.wait_until_ready(timeout=600)
        assert machines(cloud) == 1

    years.tell(story)


def test_a_refusal_is_final_and_says_why(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.sold_out("instances.create"))
        made = await client.instances.create(**WANTED)
        with pytest.raises(InstanceFailed, match="INSUFFICIENT_RESOURCE") as caught:
            await made.wait_until_ready(timeout=600)
        assert caught.value.last.status is InstanceStatus.FAILED
        assert cloud.calls("instances.create") == 1
        assert machines(cloud) == 0
        (job,) = await client.jobs.list(type="create_instance")
        assert (await client.jobs.wait(job.id)).status == "failed"

    years.tell(story)


class SlowToFail(MemoryNetwork):
    """A network on which the first create runs into its time limit without an answer."""

    def awaiting(self) -> Any:
        inner = super().awaiting()
        send = inner.send

        async def late(request: Any) -> Any:
            try:
                return await send(request)
            except TransportFailed:
                await anyio.sleep(request.timeout)
                raise

        inner.send = late
        return inner


def test_the_time_a_create_took_to_fail_proves_nothing_about_what_comes_after_it():
    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)
        cloud.order(faults.dropped("instances.create"))
        async with AsyncNovitai(
            api_key=cloud.api_key, network=SlowToFail(cloud), clock=clock, store="memory"
        ) as client:
            made = await client.instances.create(**WANTED)
            await made.wait_until_ready(timeout=600)
        first, second = [one.at for one in cloud.requests if one.operation == "instances.create"]
        # 30 s until the first gave up, and 30 s more in which what it made could have appeared.
        assert second - first >= 60.0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class Meddled(MemoryNetwork):
    """A network on which something of the program's own fails over the answer to the first create."""

    def __init__(self, cloud: Emulator, failure: Exception) -> None:
        super().__init__(cloud)
        self.failures = [failure]

    def awaiting(self) -> Any:
        inner = super().awaiting()
        send = inner.send

        async def meddled(request: Any) -> Any:
            reply = await send(request)
            if request.url.endswith("/create") and self.failures:
                raise self.failures.pop()
            return reply

        inner.send = meddled
        return inner


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("a hook of the program's own"),
        ValidationError("the program's own check"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        TypeError("a hook of the program's own"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_an_error_after_the_create_was_sent_is_no_refusal_whatever_it_is(failure):
    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)
        network = Meddled(cloud, failure)
        async with AsyncNovitai(
            api_key=cloud.api_key, network=network, clock=clock, store="memory"
        ) as client:
            made = await client.instances.create(**WANTED)
            ready = await made.wait_until_ready(timeout=600)
            assert cloud.calls("instances.create") == 1
            assert ready.novita_instance_id == cloud.instances[0].id
            await made.delete()
            assert cloud.instances[0].status == "toRemove"

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_template_that_no_create_can_take_is_refused_before_anything_is_sent():
    async def main() -> None:
        clock = LoopClock()
        template = attrs.evolve(DEFAULT_STOCK.templates[0], envs={"K" * 600: "v"})
        cloud = Emulator(clock=clock, stock=attrs.evolve(DEFAULT_STOCK, templates=(template,)))
        async with AsyncNovitai(
            api_key=cloud.api_key, network=MemoryNetwork(cloud), clock=clock, store="memory"
        ) as client:
            made = await client.instances.create(**{**WANTED, "template_id": template.id})
            with pytest.raises(InstanceFailed, match=r"envs\[0\].key: must be 1 to 511"):
                await made.wait_until_ready(timeout=600)
        assert cloud.calls("instances.create") == 0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
