"""A cloud that answers with nothing where a machine is: nothing is taken for gone, and nothing is made twice."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest
import trio.testing
from faces import WANTED

from novitai_sdk import AsyncNovitai, CleanupFailed, CreateOutcomeUnknown, InstanceStatus
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.errors import UnexpectedReply
from novitai_sdk.testing import LoopClock, MemoryNetwork

LEAVING = {"toRemove", "removing", "removed", "(gone)"}
Answer = tuple[int, dict[str, str], bytes]


class Between:
    """Something between client and cloud that may answer in the place of the cloud, and may drop what is asked."""

    def __init__(self, cloud: Emulator) -> None:
        self.cloud = cloud
        self.said: dict[str, bytes] = {}
        """What is answered, by the end of the path, instead of asking the cloud."""
        self.leaving_out: str = ""
        """A field that entries of listings lose."""

    def handle(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        where = path.partition("?")[0].rpartition("/")[2]
        if where in self.said:
            return 200, {}, self.said[where]
        status, answered, content = self.cloud.handle(method, path, headers, body)
        if self.leaving_out and where == "instances":
            found = json.loads(content)
            for one in found["instances"]:
                del one[self.leaving_out]
            content = json.dumps(found).encode()
        return status, answered, content


def tell(story: Callable[[AsyncNovitai, Emulator, Between], Any]) -> None:
    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)
        between = Between(cloud)
        async with AsyncNovitai(
            api_key=cloud.api_key, network=MemoryNetwork(between), clock=clock, store="memory"
        ) as client:
            await story(client, cloud, between)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_one_empty_answer_does_not_end_an_instance():
    async def story(client: AsyncNovitai, cloud: Emulator, between: Between) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=600)
        cloud.order(faults.garbled_reply("instances.get", body=b"{}", times=2))
        assert (await ready.refresh()).status is InstanceStatus.RUNNING

    tell(story)


@pytest.mark.parametrize(
    "body", [b"", b'{"status": "maintenance"}', b'{"ok": true}', b'{"data": {"id": "x"}}']
)
def test_an_answer_that_is_no_record_does_not_end_an_instance(body: bytes):
    async def story(client: AsyncNovitai, cloud: Emulator, between: Between) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=600)
        cloud.order(faults.garbled_reply("instances.get", body=body, times=None))
        with pytest.raises(UnexpectedReply):
            await ready.refresh()
        cloud.clear_faults()
        assert (await ready.refresh()).status is InstanceStatus.RUNNING

    tell(story)


def test_a_machine_that_is_listed_is_not_gone_however_often_its_record_is_empty():
    async def story(client: AsyncNovitai, cloud: Emulator, between: Between) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=600)
        between.said["instance"] = b"{}"
        with pytest.raises(UnexpectedReply, match="the listing has it"):
            await ready.refresh()
        between.said.clear()
        assert (await ready.refresh()).status is InstanceStatus.RUNNING

    tell(story)


def test_a_machine_that_is_neither_found_nor_listed_is_gone():
    async def story(client: AsyncNovitai, cloud: Emulator, between: Between) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=600)
        cloud.post("/gpu/instance/delete", {"instanceId": ready.novita_instance_id})
        await anyio.sleep(3600)
        between.said["instance"] = b"{}"
        assert (await ready.refresh()).status is InstanceStatus.TERMINATED

    tell(story)


def test_a_rental_is_not_given_back_where_everything_is_answered_with_nothing():
    async def story(client: AsyncNovitai, cloud: Emulator, between: Between) -> None:
        with pytest.raises(CleanupFailed, match="may still bill"):
            async with client.instances.rent(**WANTED):
                between.said = dict.fromkeys(("delete", "instance", "instances"), b"{}")
        assert cloud.instances[0].status == "running"

    tell(story)


def test_a_rental_that_is_under_maintenance_when_it_is_given_back_is_told_of():
    async def story(client: AsyncNovitai, cloud: Emulator, between: Between) -> None:
        with pytest.raises(CleanupFailed, match="may still bill"):
            async with client.instances.rent(**WANTED):
                between.said = {"delete": b"{}", "instance": b'{"status": "maintenance"}'}
        assert cloud.instances[0].status == "running"

    tell(story)


def test_a_machine_that_cannot_be_looked_at_is_not_made_a_second_time():
    async def story(client: AsyncNovitai, cloud: Emulator, between: Between) -> None:
        cloud.order(faults.no_answer("instances.create"))
        between.leaving_out = "envs"
        between.said["instance"] = b"{}"
        made = await client.instances.create(**WANTED)
        with pytest.raises(CreateOutcomeUnknown):
            await made.wait_until_ready(timeout=900)
        between.said.clear()
        ready = await made.wait_until_ready(timeout=900)
        assert ready.novita_instance_id == cloud.instances[0].id
        assert cloud.calls("instances.create") == 1

    tell(story)
