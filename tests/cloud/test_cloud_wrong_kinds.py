"""What is of the wrong kind is refused with every other problem, by its path, and nothing of it is sent."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from novitai_sdk import Novitai, Secret
from novitai_sdk import cloud as models
from novitai_sdk.emulator import Emulator
from novitai_sdk.errors import ValidationError
from novitai_sdk.testing import MemoryNetwork

# With no hints, since what they forbid is what this is about.
made: Any = models

BODY = made.CreateInstance(product_id="p", image_url="a/b:1", gpu_num=1, rootfs_size=60)
TEMPLATE = made.NewTemplate(name="t", image="a/b:1", rootfs_size=60)
UPGRADE = made.UpgradeInstance(
    instance_id="x", image_url="a/b:1", envs=(), command="", entrypoint="", save=True,
    network_volume=made.NetworkVolume(),
)  # fmt: skip
ENDPOINT = made.CreateEndpoint(
    worker_config=made.WorkerConfig(
        min_num=0, max_num=1, free_timeout=60, max_concurrent=1, gpu_num=1
    ),
    ports=(made.EndpointPort(port="8000"),),
    policy=made.EndpointPolicy(type=made.PolicyType.QUEUE, value=30),
    image=made.EndpointImage(image="a/b:1"),
    products=(made.EndpointProduct(id="p"),),
    rootfs_size=100,
    volume_mounts=(),
    healthy=made.EndpointHealth(path="/health"),
)
HALF = "\ud800"


class World:
    def __init__(self) -> None:
        self.emulator = Emulator()
        self.client = Novitai(
            api_key=self.emulator.api_key, network=MemoryNetwork(self.emulator), store="memory"
        )

    def problems(self, call: Callable[[Any], Any]) -> dict[str, str]:
        with pytest.raises(ValidationError) as caught:
            call(self.client.cloud)
        assert self.emulator.requests == ()
        str(caught.value).encode()
        return {one.field: one.message for one in caught.value.details}


@pytest.fixture
def world() -> Iterator[World]:
    one = World()
    with one.client:
        yield one


CREATES: list[tuple[dict[str, Any], str, str]] = [
    ({"product_id": 5}, "productId", "must be a text, not int"),
    ({"product_id": None}, "productId", "is required"),
    ({"image_url": None}, "imageUrl", "is required"),
    ({"image_url": b"a/b"}, "imageUrl", "must be a text, not bytes"),
    ({"name": HALF}, "name", "half a character"),
    ({"cluster_id": HALF}, "clusterId", "half a character"),
    ({"gpu_num": "2"}, "gpuNum", "must be a whole number, not str"),
    ({"gpu_num": 1.5}, "gpuNum", "must be a whole number, not float"),
    ({"gpu_num": True}, "gpuNum", "must be a whole number, not bool"),
    ({"rootfs_size": 60.7}, "rootfsSize", "must be a whole number"),
    ({"month": 2.5}, "month", "must be a whole number"),
    ({"auto_renew": "yes"}, "autoRenew", "must be True or False"),
    ({"kind": "banana"}, "kind", "must be gpu or cpu"),
    ({"kind": None}, "kind", "is required"),
    ({"billing_mode": "zz"}, "billingMode", "must be onDemand or monthly or spot"),
    ({"ports": [made.Port(port=80)]}, "ports", "must be a text, not list"),
    ({"envs": {"K": "v"}}, "envs", "must be a list, not dict"),
    ({"envs": ({"key": "K"},)}, "envs[0]", "must be of EnvVar, not dict"),
    ({"envs": (made.EnvVar(key="K", value=5),)}, "envs[0].value", "must be a text, not int"),
    ({"envs": (made.EnvVar(key=None),)}, "envs[0].key", "is required"),
    ({"envs": (made.EnvVar(key="K", value=f"hush{HALF}"),)}, "envs[0].value", "half a character"),
    ({"image_auth": 5}, "imageAuth", "must be a text, not int"),
    ({"tools": (made.Tool(name="Jupyter", port=8888),)}, "tools[0].port", "must be a text, not int"),
    ({"tools": (made.Tool(name="Jupyter", type="udp"),)}, "tools[0].type", "must be http"),
    ({"tools": (made.Tool(name=""),)}, "tools[0].name", "1 to 255"),
    ({"network_storages": (made.NetworkMount(id=""),)}, "networkStorages[0].Id", "1 to 255"),
    ({"network_storages": "n"}, "networkStorages", "must be a list, not str"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field", "message"), CREATES)
def test_a_create_of_the_wrong_kind_is_not_sent(
    world: World, changes: dict[str, Any], field: str, message: str
) -> None:
    found = world.problems(lambda cloud: cloud.instances.create(attrs.evolve(BODY, **changes)))
    assert list(found) == [field]
    assert message in found[field]


def test_all_that_is_wrong_is_told_at_once_whether_kind_or_limit(world: World) -> None:
    body = made.CreateInstance(
        product_id=5, image_url="", gpu_num="2", rootfs_size=5, kind="banana", command="c" * 3000,
        envs=(made.EnvVar(key=""), made.EnvVar(key=7)),
    )  # fmt: skip
    found = world.problems(lambda cloud: cloud.instances.create(body))
    assert sorted(found) == [
        "command", "envs[0].key", "envs[1].key", "gpuNum", "imageUrl", "kind", "productId", "rootfsSize",
    ]  # fmt: skip


ANY: list[tuple[Callable[[Any], Any], str]] = [
    (lambda cloud: cloud.instances.create(None), ""),
    (lambda cloud: cloud.instances.get(5), "instanceId"),
    (lambda cloud: cloud.instances.get(None), "instanceId"),
    (lambda cloud: cloud.instances.get(HALF), "instanceId"),
    (lambda cloud: cloud.instances.list(page_size="3"), "pageSize"),
    (lambda cloud: cloud.instances.list(name=HALF), "name"),
    (lambda cloud: cloud.instances.iterate(status=5), "status"),
    (lambda cloud: cloud.instances.list_page(None), ""),
    (lambda cloud: cloud.instances.list_page(made.InstanceQuery(page_num="0")), "pageNum"),
    (lambda cloud: cloud.instances.renew("x", "3"), "month"),
    (lambda cloud: cloud.instances.renew("x", True), "month"),
    (lambda cloud: cloud.instances.to_monthly("x", 2.5), "month"),
    (lambda cloud: cloud.instances.edit("x", ports=5), "ports"),
    (lambda cloud: cloud.instances.edit("x", ports=["80/http"]), "ports[0]"),
    (lambda cloud: cloud.instances.edit("x", ports=[made.Port(port="80")]), "ports[0].port"),
    (
        lambda cloud: cloud.instances.edit("x", ports=[made.Port(port=80, type="udp")]),
        "ports[0].type",
    ),
    (
        lambda cloud: cloud.instances.upgrade(attrs.evolve(UPGRADE, network_volume=None)),
        "networkVolume",
    ),
    (lambda cloud: cloud.instances.upgrade(attrs.evolve(UPGRADE, save="yes")), "save"),
    (lambda cloud: cloud.instances.set_auto_renew(5, auto_renew=True), "instanceIds[0]"),
    (lambda cloud: cloud.instances.set_auto_renew("x", auto_renew="no"), "autoRenew"),
    (
        lambda cloud: cloud.instances.set_auto_migrate(
            "x", auto_migrate_open=1, auto_migrate_system_disk=True
        ),
        "autoMigrateOpen",
    ),
    (lambda cloud: cloud.products.list(gpu_num="2"), "gpuNum"),
    (lambda cloud: cloud.products.list(billing_method="zz"), "billingMethod"),
    (lambda cloud: cloud.templates.create(None), ""),
    (lambda cloud: cloud.templates.create(attrs.evolve(TEMPLATE, name=None)), "template.name"),
    (
        lambda cloud: cloud.templates.create(attrs.evolve(TEMPLATE, ports="80/http")),
        "template.ports",
    ),
    (lambda cloud: cloud.templates.update(5, TEMPLATE), "template.Id"),
    (lambda cloud: cloud.endpoints.create(None), ""),
    (lambda cloud: cloud.endpoints.create(attrs.evolve(ENDPOINT, policy=None)), "endpoint.policy"),
    (lambda cloud: cloud.endpoints.create(attrs.evolve(ENDPOINT, type=5)), "endpoint.type"),
    (
        lambda cloud: cloud.endpoints.create(
            attrs.evolve(ENDPOINT, ports=(made.EndpointPort(port=80),))
        ),
        "endpoint.ports[0].port",
    ),
    (lambda cloud: cloud.metrics.get("x", start_time=5), "startTime"),
    (lambda cloud: cloud.metrics.get("x", interval="15"), "interval"),
    (lambda cloud: cloud.jobs.list(creators=5), "creators[0]"),
    (lambda cloud: cloud.jobs.list(end_time="now"), "endTime"),
    (lambda cloud: cloud.jobs.save_image("x", 5), "image"),
    (lambda cloud: cloud.networks.create(5), "clusterId"),
    (
        lambda cloud: cloud.network_storages.create("c", storage_name="s", storage_size="10"),
        "storageSize",
    ),
    (lambda cloud: cloud.image_prewarm.create(None), ""),
    (
        lambda cloud: cloud.image_prewarm.create(
            made.CreatePrewarm(image_url="i", cluster_id="c", product_ids="p")
        ),
        "productIds",
    ),
    (lambda cloud: cloud.image_prewarm.edit("t", note=5), "note"),
    (lambda cloud: cloud.image_prewarm.delete(5), "ids[0]"),
    (lambda cloud: cloud.registries.save(5, username="u", password=Secret("p")), "name"),
]


@pytest.mark.parametrize(("call", "field"), ANY)
def test_no_request_of_the_wrong_kind_is_sent(
    world: World, call: Callable[[Any], Any], field: str
) -> None:
    assert list(world.problems(call)) == [field]


def test_a_text_is_one_id_and_not_an_id_for_each_letter(world: World) -> None:
    class Kept:
        def handle(self, method: str, path: str, headers: Any = None, body: bytes = b"") -> Any:
            kept.append((path.rpartition("?")[2], body))
            return 200, {}, b'{"jobs": [], "networks": [], "total": 0}'

    kept: list[tuple[str, bytes]] = []
    with Novitai(api_key="k", network=MemoryNetwork(Kept()), store="memory") as client:
        client.cloud.image_prewarm.delete("abc")
        client.cloud.jobs.list(creators="abc")
        client.cloud.networks.list(creators="abc")
    assert kept[0][1] == b'{"ids":["abc"]}'
    assert all("creators=abc" in query for query, _ in kept[1:])


def test_what_is_refused_shows_no_secret(world: World) -> None:
    envs = (made.EnvVar(key="K", value=f"hush{HALF}"), made.EnvVar(key="L", value="hush" * 2000))
    body = attrs.evolve(BODY, envs=envs, image_auth="hush" * 5000)
    with pytest.raises(ValidationError) as caught:
        world.client.cloud.instances.create(body)
    assert len(caught.value.details) == 3
    assert "hush" not in f"{caught.value!r} {caught.value} {caught.value.details}"


@pytest.mark.parametrize("model", [BODY, TEMPLATE])
def test_a_credential_given_as_text_is_hidden(model: Any) -> None:
    hidden = attrs.evolve(model, image_auth="user:hush")
    assert "hush" not in repr(hidden)
    assert hidden.image_auth == Secret("user:hush")


def test_a_secret_out_of_a_pickle_is_refused_by_its_place(world: World) -> None:
    body = attrs.evolve(
        BODY, image_auth=Secret("me:hush"), envs=(models.EnvVar(key="A", value="hush"),)
    )
    lost = "came out of a pickle, and a pickle does not carry secrets: give it anew"
    again = pickle.loads(pickle.dumps(body))
    told = world.problems(lambda cloud: cloud.instances.create(again))
    assert told == {"imageAuth": lost, "envs[0].value": lost}
    new = pickle.loads(pickle.dumps(Secret("hush")))
    told = world.problems(lambda cloud: cloud.registries.save("a.io", username="b", password=new))
    assert told == {"password": lost}
