"""Whoever changes his mind, or is refused, gets what he was told: no more, and nothing later behind his back."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio.testing
from bent import Hooked, replied
from faces import WANTED

from novitai_sdk import (
    AsyncNovitai,
    CleanupFailed,
    InstanceStateError,
    InstanceStatus,
    Novitai,
    WaitTimedOut,
)
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.jobs import MemoryStore
from novitai_sdk.testing import LoopClock

LEAVING = {"toRemove", "removing", "removed", "(gone)"}


def left(cloud: Emulator) -> list[str]:
    return [one.status for one in cloud.instances if one.status not in LEAVING]


Story = Callable[[AsyncNovitai, Emulator, Hooked], Awaitable[None]]


def tell(story: Story) -> None:
    """Tell *story* on virtual time, over a network that it may bend."""

    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(api_key="k", clock=clock, life=60)
        network = Hooked(cloud)
        async with AsyncNovitai(
            api_key="k", network=network, clock=clock, store="memory"
        ) as client:
            await story(client, cloud, network)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- renting -------------------------------------------------------------------------------------------


def test_a_rental_that_is_entered_again_gives_each_machine_back(cloud: Emulator):
    with Novitai(
        api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01
    ) as client:
        rental = client.instances.rent(**WANTED)
        seen = []
        for _ in range(2):
            with rental as machine:
                seen.append(machine.id)
                with pytest.raises(RuntimeError, match="has a machine already"), rental:
                    raise AssertionError
            assert left(cloud) == []
        assert len(set(seen)) == 2


def test_that_a_machine_was_left_is_told_though_the_scope_around_the_client_is_cancelled():
    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(api_key="k", clock=clock, life=60)
        cloud.order(faults.server_error("instances.delete", times=None))
        with anyio.move_on_after(300):
            async with (
                AsyncNovitai(
                    api_key="k", network=Hooked(cloud), clock=clock, store="memory"
                ) as client,
                client.instances.rent(**WANTED),
            ):
                await anyio.sleep_forever()

    with pytest.raises(CleanupFailed, match="may still bill"):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- deleting ------------------------------------------------------------------------------------------


def test_a_delete_that_was_refused_is_not_carried_out_later():
    async def story(client: AsyncNovitai, cloud: Emulator, network: Hooked) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=900)
        cloud.order(
            faults.refused(
                "instances.delete", status=400, reason="CONFLICT", message="monthly", times=None
            )
        )
        with pytest.raises(InstanceStateError, match="monthly"):
            await ready.delete()
        asked = cloud.calls("instances.delete")
        await anyio.sleep(3600)
        assert cloud.calls("instances.delete") == asked
        cloud.clear_faults()
        await ready.stop()
        again = await ready.start()
        assert (await again.wait_until_ready(timeout=900)).status is InstanceStatus.RUNNING
        await anyio.sleep(3600)
        assert left(cloud) == ["running"]

    tell(story)


def test_a_second_delete_has_a_job_behind_it_too():
    async def story(client: AsyncNovitai, cloud: Emulator, network: Hooked) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=900)
        cloud.order(faults.server_error("instances.delete", times=None))
        with pytest.raises(CleanupFailed, match="A job goes on trying"):
            await ready.delete(timeout=20)
        (job,) = await client.jobs.list(key=f"remove:{ready.id}")
        await client.jobs.cancel(job.id)
        with pytest.raises(CleanupFailed, match="A job goes on trying"):
            await ready.delete(timeout=20)
        cloud.clear_faults()
        await anyio.sleep(3600)
        assert left(cloud) == []

    tell(story)


def test_what_is_gone_is_not_asked_to_be_removed_once_more():
    async def story(client: AsyncNovitai, cloud: Emulator, network: Hooked) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=900)
        await ready.delete()
        await anyio.sleep(60)
        assert cloud.calls("instances.delete") == 1
        assert [str(job.status) for job in await client.jobs.list(key=f"remove:{ready.id}")] == [
            "completed"
        ]

    tell(story)


# -- stopping, starting --------------------------------------------------------------------------------


def test_a_stop_that_was_taken_and_not_carried_out_can_be_asked_for_again():
    async def story(client: AsyncNovitai, cloud: Emulator, network: Hooked) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=900)
        stops = []

        async def lose_the_first(request: Any, go: Any) -> Any:
            if request.url.endswith("/instance/stop"):
                stops.append(request)
                if len(stops) == 1:
                    return replied({})
            return await go()

        network.hook = lose_the_first
        with pytest.raises(WaitTimedOut, match="may still bill"):
            await ready.stop(timeout=60)
        assert (await ready.stop(timeout=60)).status is InstanceStatus.STOPPED
        assert len(stops) == 2

    tell(story)


# -- creating ------------------------------------------------------------------------------------------


def test_a_machine_whose_job_was_cancelled_while_it_was_made_is_found():
    async def story(client: AsyncNovitai, cloud: Emulator, network: Hooked) -> None:
        async def slow(request: Any, go: Any) -> Any:
            reply = await go()
            if request.url.endswith("/instance/create"):
                await anyio.sleep(3)
            return reply

        network.hook = slow
        made = await client.instances.create(**WANTED)
        await anyio.sleep(1)
        (job,) = await client.jobs.list(type="create_instance")
        await client.jobs.cancel(job.id)
        ready = await made.wait_until_ready(timeout=900)
        assert [one.id for one in cloud.instances] == [ready.novita_instance_id]
        assert cloud.calls("instances.create") == 1

    tell(story)


def test_a_create_that_waited_for_its_turn_is_not_sent_twice_by_the_next_client():
    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(api_key="k", clock=clock, life=60)
        network = Hooked(cloud)
        sent: list[float] = []
        late = network.awaiting()

        async with anyio.create_task_group() as world:

            async def hook(request: Any, go: Any) -> Any:
                if not request.url.endswith("/instance/create"):
                    return await go()
                sent.append(anyio.current_time())
                if len(sent) == 1:
                    return replied({"code": 429, "message": "too many"}, 429, retry_after="50")

                async def have_its_effect() -> None:
                    await anyio.sleep(20)
                    network.hook = None
                    await late.send(request)

                world.start_soon(have_its_effect)
                await anyio.sleep_forever()
                raise AssertionError

            network.hook = hook
            store = MemoryStore()
            known: dict[str, Any] = {"api_key": "k", "network": network, "clock": clock}
            async with AsyncNovitai(**known, store=store, drain=0) as client:
                made = await client.instances.create(**WANTED)
                await anyio.sleep(51)
            assert len(sent) == 2
            async with AsyncNovitai(**known, store=store) as client:
                again = await client.instances.get(made.id)
                await again.wait_until_ready(timeout=900)
                await anyio.sleep(3600)
        assert len(left(cloud)) == 1

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.05))
