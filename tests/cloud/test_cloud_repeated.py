"""What is tried again though it had its effect: a refusal of the second try is no error where it only says so."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio.testing

from novitai_sdk import AsyncNovitai, RetryPolicy, Secret
from novitai_sdk.cloud import CloudStatus, CreateInstance, CreatePrewarm, NewTemplate
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.errors import InvalidState, NotFound, ServerFailed
from novitai_sdk.testing import LoopClock, MemoryNetwork

BODY = CreateInstance(product_id="4090.16c62g", image_url="a/b:1", gpu_num=1, rootfs_size=60)
LOST = [faults.no_answer, lambda on: faults.server_error(on, after_effect=True)]


def tell(story: Callable[[Any, Emulator], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = LoopClock()
        emulator = Emulator(clock=clock, life=60.0)
        async with AsyncNovitai(
            api_key=emulator.api_key,
            network=MemoryNetwork(emulator),
            clock=clock,
            store="memory",
            retry=RetryPolicy(attempts=2),
        ) as client:
            await story(client.cloud, emulator)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def rented(cloud: Any) -> str:
    made = (await cloud.instances.create(BODY)).id
    await anyio.sleep(120)
    return str(made)


@pytest.mark.parametrize("lost", LOST, ids=["no answer", "500"])
def test_a_stop_a_start_and_a_delete_whose_answer_was_lost_are_done(lost: Any) -> None:
    async def story(cloud: Any, emulator: Emulator) -> None:
        made = await rented(cloud)
        emulator.order(lost("instances.stop"), lost("instances.start"), lost("instances.delete"))
        await cloud.instances.stop(made)
        await anyio.sleep(120)
        await cloud.instances.start(made)
        assert (await cloud.instances.get(made)).status is CloudStatus.TO_START
        await anyio.sleep(120)
        await cloud.instances.delete(made)
        assert emulator.instances[0].status == "toRemove"
        for verb in ("stop", "start", "delete"):
            assert emulator.calls(f"instances.{verb}") == 2

    tell(story)


@pytest.mark.parametrize(
    "noun", ["networks", "network_storages", "templates", "registries", "image_prewarm"]
)
@pytest.mark.parametrize("lost", LOST, ids=["no answer", "500"])
def test_a_delete_whose_answer_was_lost_is_done(noun: str, lost: Any) -> None:
    async def story(cloud: Any, emulator: Emulator) -> None:
        made = await MAKERS[noun](cloud)
        emulator.order(lost(f"{noun}.delete"))
        await getattr(cloud, noun).delete(made)
        assert emulator.calls(f"{noun}.delete") == 2
        with pytest.raises(NotFound):
            await getattr(cloud, noun).delete(made)

    tell(story)


async def network(cloud: Any) -> Any:
    return (await cloud.networks.create("us-west-1", name="lab")).id


async def storage(cloud: Any) -> Any:
    return await cloud.network_storages.create("us-west-1", storage_name="data", storage_size=10)


async def template(cloud: Any) -> Any:
    return await cloud.templates.create(NewTemplate(name="t", image="a/b:1", rootfs_size=60))


async def credential(cloud: Any) -> Any:
    await cloud.registries.save("ghcr.io", username="u", password=Secret("p"))
    return next(one.id for one in await cloud.registries.list() if one.name == "ghcr.io")


async def prewarmed(cloud: Any) -> Any:
    return [
        await cloud.image_prewarm.create(CreatePrewarm(image_url="a/b:1", cluster_id="us-west-1"))
    ]


MAKERS = {
    "networks": network,
    "network_storages": storage,
    "templates": template,
    "registries": credential,
    "image_prewarm": prewarmed,
}


def test_a_refusal_says_what_it_says_where_no_try_can_have_had_an_effect() -> None:
    async def story(cloud: Any, emulator: Emulator) -> None:
        made = await rented(cloud)
        emulator.order(faults.rate_limited("*.delete"), faults.rate_limited("instances.start"))
        with pytest.raises(NotFound):
            await cloud.networks.delete("nobody's")
        with pytest.raises(InvalidState):
            await cloud.instances.start(made)

    tell(story)


def test_a_lost_answer_does_not_hide_that_the_instance_is_elsewhere() -> None:
    async def story(cloud: Any, emulator: Emulator) -> None:
        made = await rented(cloud)
        await cloud.instances.delete(made)
        emulator.order(
            faults.server_error("instances.stop"), faults.server_error("instances.start")
        )
        with pytest.raises(InvalidState):
            await cloud.instances.stop(made)
        with pytest.raises(InvalidState):
            await cloud.instances.start(made)

    tell(story)


def test_where_nobody_can_look_the_refusal_is_told() -> None:
    async def story(cloud: Any, emulator: Emulator) -> None:
        made = await rented(cloud)
        emulator.order(
            faults.no_answer("instances.stop"), faults.server_error("instances.get", times=None)
        )
        with pytest.raises(InvalidState):
            await cloud.instances.stop(made)
        with pytest.raises(ServerFailed):
            await cloud.instances.get(made)

    tell(story)
