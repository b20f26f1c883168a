"""Whatever habits the cloud has, and whatever goes wrong in it by chance: no machine is lost, and no wait hangs."""

import os
from collections import Counter
from typing import Any, get_args, get_origin, get_type_hints

import anyio
import attrs
import pytest
import trio.testing
from faces import WANTED

from novitai_sdk import (
    AsyncNovitai,
    InstanceStatus,
    NoCapacity,
    NovitaError,
    RetryPolicy,
)
from novitai_sdk.cloud import CreateInstance
from novitai_sdk.emulator import Emulator, Quirks, faults
from novitai_sdk.jobs import MemoryStore
from novitai_sdk.testing import LoopClock, MemoryNetwork

LEAVING = {"toRemove", "removing", "removed", "(gone)"}
SEEDS = int(os.environ.get("SEEDS", "25"))


def others(name: str, default: Any) -> list[Any]:
    kind = get_type_hints(Quirks)[name]
    values = get_args(kind) if get_origin(kind) is not None else (True, False)
    return [value for value in values if value != default]


TURNED = [
    {field.name: value}
    for field in attrs.fields(Quirks)
    for value in others(field.name, field.default)
]
ALL_TURNED = {name: value for one in TURNED for name, value in one.items()}


def in_virtual_time(story: Any, emulator: Emulator, clock: LoopClock, **options: Any) -> None:
    async def main() -> None:
        async with AsyncNovitai(
            api_key=emulator.api_key,
            network=MemoryNetwork(emulator),
            clock=clock,
            **{"store": "memory", **options},
        ) as client:
            await story(client)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("turned", [*TURNED, ALL_TURNED], ids=lambda turned: "+".join(turned))
def test_every_habit_of_the_cloud_is_met(turned: dict[str, Any]) -> None:
    clock = LoopClock()
    emulator = Emulator(clock=clock, life=60.0, quirks=Quirks(**turned))

    async def story(client: AsyncNovitai) -> None:
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=900)
        assert ready.status is InstanceStatus.RUNNING
        assert ready.connection_details is not None
        stopped = await ready.stop()
        assert stopped.status in {InstanceStatus.STOPPED, InstanceStatus.STOPPING}
        await anyio.sleep(600)
        await client.instances.start(made.id)
        assert (await made.wait_until_ready(timeout=900)).status is InstanceStatus.RUNNING
        assert [one.id for one in await client.instances.list()] == [made.id]
        await client.instances.delete(made.id)
        assert {one.status for one in emulator.instances} <= LEAVING

    in_virtual_time(story, emulator, clock)


@pytest.mark.parametrize("where", ["reason", "code", "message"])
def test_a_refusal_for_want_of_machines_is_one_wherever_it_says_so(where: Any) -> None:
    clock = LoopClock()
    emulator = Emulator(clock=clock, quirks=Quirks(no_stock_in=where))

    async def story(client: AsyncNovitai) -> None:
        (product, *_) = await client.cloud.products.list()
        emulator.set_stock(product.id, free=0)
        with pytest.raises(NoCapacity):
            await client.cloud.instances.create(
                CreateInstance(product_id=product.id, gpu_num=1, rootfs_size=60, image_url="a/b:c")
            )

    in_virtual_time(story, emulator, clock)


STORM = (
    faults.no_answer("instances.create"),
    faults.dropped(),
    faults.server_error(),
    faults.server_error("instances.create", after_effect=True),
    faults.rate_limited(retry_after=5),
    faults.html_reply(),
    faults.truncated_reply(),
    faults.empty_reply("instances.get"),
    faults.unknown_status(),
    faults.cut_list(keep=1),
    faults.garbled_reply(body=b'{"instances": 5}'),
)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_in_any_storm_no_machine_is_made_twice_and_none_is_left(seed: int) -> None:
    clock = LoopClock()
    emulator = Emulator(
        clock=clock,
        life=60.0,
        seed=seed,
        faults=[faults.by_chance(fault, 0.06) for fault in STORM],
    )
    told: list[str] = []
    named: list[tuple[str, str]] = []

    async def story(client: AsyncNovitai) -> None:
        for number in range(3):
            with anyio.fail_after(4000):
                try:
                    made = await client.instances.create(**{**WANTED, "name": f"storm-{number}"})
                except NovitaError:
                    continue  # refused before anything was rented: nothing to give back
                told.append(made.id)
                try:
                    await made.wait_until_ready(timeout=1500)
                except NovitaError as error:
                    named.append((made.id, str(error)))
        assert all(own in text for own, text in named), named
        emulator.clear_faults()
        await anyio.sleep(300)
        owners = Counter(
            one.envs["NOVITAI_INSTANCE_ID"]
            for one in emulator.instances
            if one.status not in LEAVING
        )
        assert set(owners) <= set(told)
        assert all(count == 1 for count in owners.values()), owners
        for one in told:
            await client.instances.delete(one)
        assert {one.status for one in emulator.instances} <= LEAVING

    in_virtual_time(story, emulator, clock, store=MemoryStore(), retry=RetryPolicy(attempts=3))
