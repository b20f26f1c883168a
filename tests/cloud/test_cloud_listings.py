"""Every listing of the cloud, whole, in every dialect of paging, on every face."""

from typing import Any

import anyio
import attrs
import pytest
import trio.testing

from novitai_sdk import AsyncNovitai, Novitai
from novitai_sdk.emulator import DEFAULT_STOCK, Quirks, faults
from novitai_sdk.errors import CallTimedOut, ServerFailed, UnexpectedReply
from novitai_sdk.testing import LoopClock, MemoryNetwork

# As many images as may be prewarmed.
ALL = 5
# Nobody's templates but the ones a test keeps.
STOCK = attrs.evolve(DEFAULT_STOCK, templates=())


def instances(told: Any) -> None:
    for _ in range(ALL):
        told.rented()


def jobs(told: Any) -> None:
    made = told.stopped()
    for number in range(ALL):
        told.emulator.post("/job/save/image", {"instanceId": made, "image": f"a/b:{number}"})


def networks(told: Any) -> None:
    for number in range(ALL):
        told.emulator.post("/network/create", {"clusterId": "us-west-1", "name": f"n{number}"})


def network_storages(told: Any) -> None:
    for number in range(ALL):
        body = {"clusterId": "us-west-1", "storageName": f"s{number}", "storageSize": 10}
        told.emulator.post("/networkstorage/create", body)


def endpoints(told: Any) -> None:
    for number in range(ALL):
        body = {
            "appName": f"app-{number}", "ports": [{"port": "8000"}], "rootfsSize": 100, "volumeMounts": [],
            "workerConfig": {"minNum": 0, "maxNum": 1, "freeTimeout": 60, "maxConcurrent": 1, "gpuNum": 1},
            "policy": {"type": "queue", "value": 30}, "image": {"image": "a/b:1"},
            "products": [{"id": "4090.16c62g"}], "healthy": {"path": "/health"},
        }  # fmt: skip
        assert told.emulator.post("/endpoint/create", {"endpoint": body}).status == 200


def templates(told: Any) -> None:
    for number in range(ALL):
        body = {
            "name": f"t{number}", "type": "instance", "channel": "private", "image": "a/b:1", "rootfsSize": 60,
        }  # fmt: skip
        assert told.emulator.post("/template/create", {"template": body}).status == 200
    told.clock.advance(60)  # a new one may be missing from the list for a while


def image_prewarm(told: Any) -> None:
    for number in range(ALL):
        body = {"imageUrl": f"a/b:{number}", "clusterId": "us-west-1"}
        assert told.emulator.post("/image/prewarm", body).status == 200


LISTINGS = {
    "endpoints": endpoints,
    "image_prewarm": image_prewarm,
    "instances": instances,
    "jobs": jobs,
    "networks": networks,
    "network_storages": network_storages,
    "templates": templates,
}


async def all_of(found: Any) -> list[Any]:
    return [one async for one in found] if hasattr(found, "__aiter__") else list(found)


@pytest.mark.parametrize("noun", LISTINGS)
@pytest.mark.parametrize("first_page_twice", [True, False])
@pytest.mark.parametrize("as_text", [True, False])
def test_everything_is_listed_once_in_every_dialect(
    told: Any, noun: str, first_page_twice: bool, as_text: bool
) -> None:
    quirks = Quirks(page_zero_is_page_one=first_page_twice, total_as_text=as_text)
    told.build(stock=STOCK, quirks=quirks)
    LISTINGS[noun](told)

    async def story(cloud: Any, done: Any) -> None:
        listed = await done(getattr(cloud, noun).list(page_size=2))
        assert len({one.id for one in listed}) == len(listed) == ALL
        for size in (1, ALL, 100):
            assert await all_of(getattr(cloud, noun).iterate(page_size=size)) == list(listed)

    told.tell(story)


@pytest.mark.parametrize("noun", LISTINGS)
def test_a_listing_cut_short_raises_wherever_it_is_cut(told: Any, noun: str) -> None:
    told.build(stock=STOCK)
    LISTINGS[noun](told)

    async def story(cloud: Any, done: Any) -> None:
        for keep in range(ALL):
            told.emulator.clear_faults()
            told.emulator.order(faults.cut_list(f"{noun}.list", keep=keep))
            for page_size in (2, 100):
                with pytest.raises(UnexpectedReply, match=f"cut short: {keep} of {ALL}"):
                    await done(getattr(cloud, noun).list(page_size=page_size))
                with pytest.raises(UnexpectedReply, match=f"cut short: {keep} of {ALL}"):
                    await all_of(getattr(cloud, noun).iterate(page_size=page_size))

    told.tell(story)


@pytest.mark.parametrize("noun", LISTINGS)
def test_an_iteration_goes_on_where_an_error_stopped_it(told: Any, noun: str) -> None:
    told.build(stock=STOCK)
    LISTINGS[noun](told)

    async def story(cloud: Any, done: Any) -> None:
        told.emulator.order(faults.server_error(f"{noun}.list", skip=1))
        steps = getattr(cloud, noun).iterate(page_size=3)
        step = getattr(steps, "__anext__", None) or steps.__next__
        found = [await done(step()) for _ in range(3)]
        with pytest.raises(ServerFailed):
            await done(step())
        rest = await all_of(steps)
        assert len({one.id for one in [*found, *rest]}) == len(found) + len(rest) == ALL

    told.tell(story)


class Slow(MemoryNetwork):
    """A network on which every answer takes 0.3 s."""

    def awaiting(self) -> Any:
        inner = super().awaiting()
        send = inner.send

        async def slowly(request: Any) -> Any:
            await anyio.sleep(min(0.3, request.timeout))
            if request.timeout < 0.3:
                raise CallTimedOut("no answer in time")
            return await send(request)

        inner.send = slowly
        return inner


@pytest.mark.parametrize("told", ["trio"], indirect=True)
@pytest.mark.parametrize("noun", LISTINGS)
def test_the_timeout_is_for_all_pages_of_a_list_and_for_each_of_an_iteration(
    told: Any, noun: str
) -> None:
    told.build(stock=STOCK)
    LISTINGS[noun](told)

    async def main() -> None:
        async with AsyncNovitai(
            api_key=told.emulator.api_key,
            network=Slow(told.emulator),
            clock=LoopClock(),
            store="memory",
            timeout=1,
        ) as client:
            began = anyio.current_time()
            with pytest.raises(CallTimedOut):
                await getattr(client.cloud, noun).list(page_size=1)
            assert anyio.current_time() - began == pytest.approx(1.0)
            assert len(await all_of(getattr(client.cloud, noun).iterate(page_size=1))) == ALL
            assert len(await getattr(client.cloud, noun).list(page_size=2 * ALL)) == ALL

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_no_listing_by_pages_is_left_out() -> None:
    """What is here is what a client iterates; a new noun cannot be forgotten."""
    with Novitai(api_key="sk-unused", store="memory") as client:
        nouns = [
            noun for noun in dir(client.cloud) if hasattr(getattr(client.cloud, noun), "iterate")
        ]
    assert sorted(nouns) == sorted(LISTINGS)
