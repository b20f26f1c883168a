"""Private networks and network storages, on every face of a client."""

from typing import Any

import pytest

from novitai_sdk.cloud import (
    CreateInstance,
    NetworkMount,
    NetworkPhase,
    NetworkQuery,
    NetworkStorageQuery,
)
from novitai_sdk.emulator import Quirks, faults
from novitai_sdk.errors import (
    CallError,
    NotFound,
    RequestRefused,
    TransportFailed,
    UnexpectedReply,
    ValidationError,
)


def order(**changes: Any) -> CreateInstance:
    return CreateInstance(
        product_id="4090.16c62g", image_url="a/b:1", gpu_num=1, rootfs_size=60, **changes
    )


async def all_of(found: Any) -> list[Any]:
    return [one async for one in found] if hasattr(found, "__aiter__") else list(found)


@pytest.mark.parametrize("in_lists", [True, False])
def test_a_network_from_its_making_to_its_end(told: Any, in_lists: bool) -> None:
    told.build(quirks=Quirks(networks_in_lists=in_lists))

    async def story(cloud: Any, done: Any) -> None:
        made = await done(cloud.networks.create("us-west-1", name="lab"))
        assert (made.name, made.cluster_id, made.ready) == ("lab", "us-west-1", False)
        assert made.state.state is NetworkPhase.CREATING
        told.clock.advance(1)
        found = await done(cloud.networks.get(made.id))
        assert found.ready
        assert found.addresses == ()
        assert found.segment == "10.0.0.0/16"
        machine = await done(cloud.instances.create(order(network_id=made.id)))
        inside = await done(cloud.instances.get(machine.id))
        assert inside.cluster_id == "us-west-1"
        assert inside.network.id == made.id
        (address,) = (await done(cloud.networks.get(made.id))).addresses
        assert (address.id, address.ip) == (machine.id, inside.network.ip)
        assert await done(cloud.networks.update(made.id, name="lab2")) is None
        assert [one.name for one in await done(cloud.networks.list(name="AB2"))] == ["lab2"]
        with pytest.raises(CallError) as caught:
            await done(cloud.networks.delete(made.id))
        assert caught.value.reason == "NETWORK_IN_USE"
        await done(cloud.instances.delete(machine.id))
        told.clock.advance(1)
        assert await done(cloud.networks.delete(made.id)) is None
        for gone in (cloud.networks.get, cloud.networks.delete):
            with pytest.raises(NotFound):
                await done(gone(made.id))
        assert await done(cloud.networks.list()) == ()

    told.tell(story)


def test_a_network_the_cloud_does_not_name_is_found_in_the_listing(told: Any) -> None:
    told.build(quirks=Quirks(network_create_tells=False))

    async def story(cloud: Any, done: Any) -> None:
        assert await done(cloud.networks.create("us-west-1", name="lab")) is None
        (found,) = await done(cloud.networks.list(name="lab"))
        assert found.name == "lab"

    told.tell(story)


@pytest.mark.parametrize("body", [b'{"network": []}', b"{}", b'{"network": {"Id": ""}}'])
def test_an_answer_without_a_network_is_a_network_not_found(told: Any, body: bytes) -> None:
    told.emulator.order(faults.garbled_reply("networks.get", body=body))

    async def story(cloud: Any, done: Any) -> None:
        made = await done(cloud.networks.create("us-west-1"))
        with pytest.raises(NotFound) as caught:
            await done(cloud.networks.get(made.id))
        assert caught.value.operation == "networks.get"

    told.tell(story)


def test_networks_are_for_some_clusters_only_and_not_without_end(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(RequestRefused):
            await done(cloud.networks.create("as-sgp-2"))
        with pytest.raises(NotFound):
            await done(cloud.networks.create("atlantis"))
        for _ in range(10):
            await done(cloud.networks.create("us-west-1"))
        with pytest.raises(CallError) as caught:
            await done(cloud.networks.create("us-west-1"))
        assert caught.value.reason == "NETWORK_MAX_LIMIT"

    told.tell(story)


def test_networks_and_storages_are_listed_by_pages(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        for number in range(7):
            await done(cloud.networks.create("us-west-1", name=f"n{number}"))
            await done(
                cloud.network_storages.create(
                    "us-west-1", storage_name=f"s{number}", storage_size=10
                )
            )
        for noun, name in ((cloud.networks, "name"), (cloud.network_storages, "storage_name")):
            listed = await done(noun.list(page_size=2))
            assert len(listed) == 7
            assert await all_of(noun.iterate(page_size=3)) == list(listed)
            assert len(await all_of(noun.iterate(**{name: "4"}))) == 1
        assert len(await done(cloud.networks.list(creators=["first", "second"]))) == 7
        assert await all_of(cloud.networks.iterate(creators=["second"])) == []
        page = await done(cloud.networks.list_page(NetworkQuery(page_size=2, page_num=2)))
        assert ([one.name for one in page.items], page.total) == (["n4", "n3"], 7)
        page = await done(
            cloud.network_storages.list_page(NetworkStorageQuery(page_size=2, page_no=2))
        )
        assert ([one.storage_name for one in page.items], page.total) == (["s4", "s3"], 7)
        for operation in ("networks.list", "network_storages.list"):
            told.emulator.order(faults.cut_list(operation, keep=3))
        for noun in (cloud.networks, cloud.network_storages):
            with pytest.raises(UnexpectedReply, match="cut short: 3 of 7"):
                await done(noun.list())

    told.tell(story)


@pytest.mark.parametrize("tells_all", [True, False])
def test_a_storage_from_its_making_to_its_end(told: Any, tells_all: bool) -> None:
    told.build(quirks=Quirks(storage_create_tells_all=tells_all))

    async def story(cloud: Any, done: Any) -> None:
        storages = cloud.network_storages
        made = await done(storages.create("us-west-1", storage_name="data", storage_size=50))
        assert isinstance(made, str)
        (found,) = await done(storages.list(storage_id=made))
        assert (found.id, found.storage_name, found.storage_size) == (made, "data", 50)
        assert (found.cluster_id, found.cluster_name) == ("us-west-1", "US-WEST-01")
        assert await done(storages.update(made, storage_name="more", storage_size=80)) is None
        (found,) = await done(storages.list(storage_name="MOR"))
        assert found.storage_size == 80
        with pytest.raises(RequestRefused, match="only grows"):
            await done(storages.update(made, storage_name="more", storage_size=79))
        mounts = (NetworkMount(id=made, mount_point="/data"),)
        machine = await done(cloud.instances.create(order(network_storages=mounts)))
        (volume,) = (await done(cloud.instances.get(machine.id))).volume_mounts
        assert (volume.type, volume.id, volume.size, volume.mount_path) == (
            "network",
            made,
            80,
            "/data",
        )
        with pytest.raises(CallError) as caught:
            await done(storages.delete(made))
        assert caught.value.reason == "NETWORK_STORAGE_IN_USE"
        await done(cloud.instances.delete(machine.id))
        told.clock.advance(0.5)
        assert await done(storages.delete(made)) is None
        # A removed machine still shows what it had.
        assert (await done(cloud.instances.get(machine.id))).volume_mounts
        with pytest.raises(NotFound):
            await done(storages.delete(made))
        assert await done(storages.list()) == ()

    told.tell(story)


def test_storages_are_for_some_clusters_only(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        storages = cloud.network_storages
        with pytest.raises(CallError) as caught:
            await done(storages.create("eu-west-1", storage_name="s", storage_size=10))
        assert caught.value.reason == "CUR_CLUSTER_NETWORK_STORAGE_NOT_SUPPORT"
        with pytest.raises(CallError) as caught:
            await done(storages.create("us-west-1", storage_name="s", storage_size=10241))
        assert caught.value.reason == "NETWORK_STORAGE_TOO_LARGE"

    told.tell(story)


def test_an_instance_goes_where_its_network_and_storages_are_or_nowhere(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        network = await done(cloud.networks.create("us-west-1"))
        storage = await done(
            cloud.network_storages.create("cn-hongkong-1", storage_name="s", storage_size=10)
        )
        mounts = (NetworkMount(id=storage),)
        near = await done(cloud.instances.create(order(network_storages=mounts)))
        assert (await done(cloud.instances.get(near.id))).cluster_id == "cn-hongkong-1"
        for wrong in (
            order(network_id=network.id, network_storages=mounts),
            order(network_id=network.id, cluster_id="cn-hongkong-1"),
        ):
            with pytest.raises(RequestRefused) as caught:
                await done(cloud.instances.create(wrong))
            assert "clusterId" in caught.value.metadata
        for unknown in (
            order(network_id="nobody"),
            order(network_storages=(NetworkMount(id="nobody"),)),
        ):
            with pytest.raises(NotFound):
                await done(cloud.instances.create(unknown))

    told.tell(story)


def test_what_was_made_without_an_answer_is_not_made_again(told: Any) -> None:
    told.emulator.order(
        faults.no_answer("networks.create"), faults.no_answer("network_storages.create")
    )

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(TransportFailed) as caught:
            await done(cloud.networks.create("us-west-1"))
        assert caught.value.resend_safe is False
        with pytest.raises(TransportFailed) as caught:
            await done(
                cloud.network_storages.create("us-west-1", storage_name="s", storage_size=10)
            )
        assert caught.value.resend_safe is False
        assert len(await done(cloud.networks.list())) == 1
        assert len(await done(cloud.network_storages.list())) == 1

    told.tell(story)


def test_a_storage_whose_id_is_not_in_the_answer_is_an_error(told: Any) -> None:
    bodies = (b"", b'""', b"[]", b"17", b"{}", b"null")
    for body in bodies:
        told.emulator.order(faults.garbled_reply("network_storages.create", body=body))

    async def story(cloud: Any, done: Any) -> None:
        for _ in bodies:
            with pytest.raises(UnexpectedReply):
                await done(
                    cloud.network_storages.create("us-west-1", storage_name="s", storage_size=10)
                )

    told.tell(story)


def test_what_breaks_a_limit_is_not_sent(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        networks, storages = cloud.networks, cloud.network_storages
        for call, fields in (
            (lambda: networks.create("", name="n" * 31), ["clusterId", "name"]),
            (lambda: networks.update("", name=""), ["networkId", "name"]),
            (lambda: networks.get(""), ["networkId"]),
            (lambda: networks.delete(""), ["networkId"]),
            (lambda: networks.list(page_size=-1), ["pageSize"]),
            (lambda: networks.iterate(page_size=-1), ["pageSize"]),
            (lambda: networks.list_page(NetworkQuery(page_num=-1)), ["pageNum"]),
            (
                lambda: storages.create("", storage_name="", storage_size=9),
                ["clusterId", "storageName", "storageSize"],
            ),
            (
                lambda: storages.update("", storage_name="", storage_size=9),
                ["storageId", "storageName", "storageSize"],
            ),
            (lambda: storages.delete(""), ["storageId"]),
            (lambda: storages.list(page_size=0), ["pageSize"]),
            (lambda: storages.list_page(NetworkStorageQuery(page_no=0)), ["pageNo"]),
        ):
            with pytest.raises(ValidationError) as caught:
                await done(call())
            assert [one.field for one in caught.value.details] == fields

    told.tell(story)
    assert not told.emulator.requests
