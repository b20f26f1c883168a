"""Serverless endpoints and the account, on every face of a client."""

from decimal import Decimal
from typing import Any

import attrs
import pytest

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import (
    Balance,
    CreateEndpoint,
    Endpoint,
    EndpointHealth,
    EndpointImage,
    EndpointLimits,
    EndpointList,
    EndpointPhase,
    EndpointPolicy,
    EndpointPort,
    EndpointProduct,
    EndpointQuery,
    EndpointToCreate,
    EndpointVolume,
    EnvVar,
    PolicyType,
    UpdateEndpoint,
    WorkerConfig,
)
from novitai_sdk.emulator import Quirks, faults
from novitai_sdk.errors import CallError, InvalidState, NotFound, TransportFailed, ValidationError
from novitai_sdk.models import Secret

WORKERS = WorkerConfig(min_num=1, max_num=3, free_timeout=60, max_concurrent=4, gpu_num=1)
MINE = CreateEndpoint(
    name="chat",
    app_name="chat-app",
    worker_config=WORKERS,
    ports=(EndpointPort(port="8000"),),
    policy=EndpointPolicy(type=PolicyType.QUEUE, value=30),
    image=EndpointImage(image="ghcr.io/team/chat:1", command="serve"),
    products=(EndpointProduct(id="4090.16c62g"),),
    rootfs_size=100,
    volume_mounts=(EndpointVolume(type="local", size=30, mount_path="/data"),),
    envs=(EnvVar(key="TOKEN", value=Secret("hush-hush")),),
    healthy=EndpointHealth(path="/health"),
)


def changed(endpoint_id: str, **changes: Any) -> UpdateEndpoint:
    return UpdateEndpoint(
        id=endpoint_id,
        **{
            "worker_config": WORKERS,
            "ports": MINE.ports,
            "policy": MINE.policy,
            "image": MINE.image,
            **changes,
        },
    )


RECORD = {
    "id": "e-1",
    "name": "chat",
    "appName": "chat-app",
    "url": "https://chat-app.serverless.novita.ai",
    "state": {"state": "serving", "error": "", "message": ""},
    "workerConfig": {
        "minNum": 0, "maxNum": 1, "freeTimeout": 60, "maxConcurrent": 1, "gpuNum": 1, "cudaVersion": "12.4",
    },
    "policy": {"type": "concurrency", "value": 2},
    "image": {"image": "a/b:1", "authId": "", "command": ""},
    "rootfsSize": 100,
    "volumeMounts": [{"type": "network", "size": "0", "id": "v-1", "mountPath": "/data"}],
    "envs": [],
    "ports": [{"port": "8000"}],
    "workers": [{"id": "w-1", "state": {"any": "thing"}, "log": "l", "metrics": "m", "health": "h"}],
    "products": [{"id": "4090.16c62g"}],
    "healthy": {"path": "/health"},
    "clusterID": "us-west-1",
    "log": "https://logs.example/e-1?token=hush",
}  # fmt: skip


@pytest.mark.parametrize("body", [RECORD, {"endpoint": RECORD}], ids=["flat", "wrapped"])
def test_an_endpoint_as_the_cloud_writes_it(body: dict[str, Any]) -> None:
    found = cloud_converter.structure(body, Endpoint)
    assert (found.id, found.cluster_id, found.app_name) == ("e-1", "us-west-1", "chat-app")
    assert found.state is not None
    assert found.state.state is EndpointPhase.SERVING
    assert found.worker_config is not None
    assert found.worker_config.cuda_version == "12.4"
    assert found.volume_mounts[0].size == 0
    assert found.workers[0].state == {"any": "thing"}
    assert "hush" not in repr(found)
    assert found.extra == {}


@pytest.mark.parametrize("total", [1, "1"])
def test_a_page_of_endpoints_as_the_cloud_writes_it(total: Any) -> None:
    page = cloud_converter.structure({"endpoints": [RECORD], "total": total}, EndpointList)
    assert ([one.id for one in page.items], page.total) == (["e-1"], 1)
    assert cloud_converter.structure({"endpoints": None}, EndpointList).items == ()
    with pytest.raises(Exception, match="EndpointList"):
        cloud_converter.structure({}, EndpointList)


def test_limits_and_balance_as_the_cloud_writes_them() -> None:
    limits = cloud_converter.structure(
        {"minRootfsSize": 10, "maxGPUNum": 8, "maxQueueWaitTime": "600", "cudaVersionList": ["12"]},
        EndpointLimits,
    )
    assert (limits.min_rootfs_size, limits.max_gpu_num, limits.max_queue_wait_time) == (10, 8, 600)
    assert limits.cuda_version_list == ("12",)
    balance = cloud_converter.structure(
        {"availableBalance": "1250000", "cashBalance": "-5", "creditLimit": ""}, Balance
    )
    assert balance.available_usd == Decimal("125")
    assert balance.cash_usd == Decimal("-0.0005")
    assert balance.credit_usd is None


def test_the_create_is_sent_as_documented() -> None:
    sent = cloud_converter.unstructure(
        EndpointToCreate(
            endpoint=attrs.evolve(MINE, cluster_id="us-west-1", volume_mounts=(), envs=None)
        )
    )
    assert sent == {
        "endpoint": {
            "name": "chat",
            "appName": "chat-app",
            "workerConfig": {
                "minNum": 1, "maxNum": 3, "freeTimeout": 60, "maxConcurrent": 4, "gpuNum": 1,
            },
            "ports": [{"port": "8000"}],
            "policy": {"type": "queue", "value": 30},
            "image": {"image": "ghcr.io/team/chat:1", "command": "serve"},
            "products": [{"id": "4090.16c62g"}],
            "rootfsSize": 100,
            "volumeMounts": [],
            "healthy": {"path": "/health"},
            "clusterID": "us-west-1",
        }
    }  # fmt: skip


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_endpoint_is_made_changed_and_removed(told: Any, wrapped: bool) -> None:
    told.build(quirks=Quirks(endpoint_wrapped=wrapped))

    async def story(cloud: Any, done: Any) -> None:
        limits = await done(cloud.endpoints.limits())
        assert limits.min_rootfs_size <= MINE.rootfs_size <= limits.max_rootfs_size
        made = await done(cloud.endpoints.create(MINE))
        found = await done(cloud.endpoints.get(made))
        assert (found.name, found.app_name, found.rootfs_size) == ("chat", "chat-app", 100)
        assert len(found.workers) == 1
        assert found.envs[0].value.reveal() == "hush-hush"
        await done(cloud.endpoints.update(changed(made, name="chat-2")))
        found = await done(cloud.endpoints.get(made))
        assert (found.name, found.rootfs_size, found.envs) == ("chat-2", 100, ())
        for number in range(4):
            await done(cloud.endpoints.create(attrs.evolve(MINE, app_name=f"app-{number}")))
        assert len(await done(cloud.endpoints.list(page_size=2))) == 5
        page = await done(cloud.endpoints.list_page(EndpointQuery(page_size=2, page_num=0)))
        assert (len(page.items), page.total) == (2, 5)
        with pytest.raises(CallError) as taken:
            await done(cloud.endpoints.create(MINE))
        assert taken.value.reason == "SERVERLESS_APP_NAME_IS_EXIST"
        await done(cloud.endpoints.delete(made))
        for gone in (
            cloud.endpoints.get,
            cloud.endpoints.delete,
            lambda it: cloud.endpoints.update(changed(it)),
        ):
            with pytest.raises(NotFound):
                await done(gone(made))

    told.tell(story)


def test_a_storage_that_an_endpoint_mounts_is_there_and_stays(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        def mounting(storage: str, cluster: str) -> CreateEndpoint:
            volume = EndpointVolume(type="network", id=storage, mount_path="/data")
            return attrs.evolve(MINE, cluster_id=cluster, volume_mounts=(volume,))

        storages = cloud.network_storages
        kept = await done(storages.create("us-west-1", storage_name="data", storage_size=10))
        with pytest.raises(NotFound):
            await done(cloud.endpoints.create(mounting("none-such", "us-west-1")))
        with pytest.raises(CallError, match="the cluster of the network storage"):
            await done(cloud.endpoints.create(mounting(kept, "eu-west-1")))
        made = await done(cloud.endpoints.create(mounting(kept, "us-west-1")))
        with pytest.raises(InvalidState):
            await done(storages.delete(kept))
        await done(cloud.endpoints.delete(made))
        await done(storages.delete(kept))

    told.tell(story)


def test_a_create_whose_answer_was_lost_is_not_sent_again(told: Any) -> None:
    told.emulator.order(faults.no_answer("endpoints.create"))

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(TransportFailed) as caught:
            await done(cloud.endpoints.create(MINE))
        assert (caught.value.attempts, caught.value.resend_safe) == (1, False)
        assert [one.app_name for one in await done(cloud.endpoints.list())] == ["chat-app"]

    told.tell(story)


def test_what_breaks_a_limit_is_refused_before_it_is_sent(told: Any) -> None:
    wrong = attrs.evolve(
        MINE,
        name="x" * 221,
        worker_config=attrs.evolve(WORKERS, min_num=5, gpu_num=0),
        ports=(EndpointPort(port="2222"), EndpointPort(port="http")),
        image=EndpointImage(image=""),
        products=(),
        policy=EndpointPolicy(type=PolicyType("magic"), value=0),
        volume_mounts=(
            EndpointVolume(type="network", id="v", mount_path=""),
            EndpointVolume(type="network", mount_path="/n"),
            EndpointVolume(type="local", mount_path="/l"),
            EndpointVolume(type="tape", mount_path="/t"),
        ),
        envs=(EnvVar(key=""),),
        healthy=EndpointHealth(path=""),
        type="later",
    )

    async def story(cloud: Any, done: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            await done(cloud.endpoints.create(wrong))
        assert [one.field for one in caught.value.details] == [
            "endpoint.name",
            "endpoint.workerConfig.minNum",
            "endpoint.workerConfig.gpuNum",
            "endpoint.ports",
            "endpoint.ports",
            "endpoint.ports",
            "endpoint.image.image",
            "endpoint.envs[0].key",
            "endpoint.products",
            "endpoint.policy.type",
            "endpoint.policy.value",
            "endpoint.volumeMounts[0].mountPath",
            "endpoint.volumeMounts[1].id",
            "endpoint.volumeMounts[2].size",
            "endpoint.volumeMounts[3].type",
            "endpoint.clusterID",
            "endpoint.healthy.path",
            "endpoint.type",
        ]
        with pytest.raises(ValidationError, match="exactly one"):
            await done(cloud.endpoints.update(changed("e", ports=())))
        assert told.emulator.requests == ()

    told.tell(story)


def test_the_emulator_is_as_strict_and_takes_an_id_by_either_name(told: Any) -> None:
    emulator = told.emulator
    create = cloud_converter.unstructure(EndpointToCreate(endpoint=MINE))

    def refused(**changes: Any) -> str:
        answer = emulator.post("/endpoint/create", {"endpoint": {**create["endpoint"], **changes}})
        assert answer.status == 400
        reason: str = answer.json()["reason"]
        return reason

    for changes in (
        {"healthy": None},
        {"volumeMounts": None},
        {"ports": []},
        {"ports": [{"port": "2223"}]},
        {"rootfsSize": 5000},
        {"workerConfig": {**create["endpoint"]["workerConfig"], "maxNum": 99}},
        {"workerConfig": {**create["endpoint"]["workerConfig"], "minNum": 4}},
        {"workerConfig": {**create["endpoint"]["workerConfig"], "freeTimeout": 0}},
        {"volumeMounts": [{"type": "network", "id": "v", "mountPath": "/d"}]},
        {"volumeMounts": [{"type": "network", "mountPath": "/d"}], "clusterID": "us-west-1"},
        {"volumeMounts": [{"type": "local", "mountPath": "/d"}]},
        {"volumeMounts": [{"type": "local", "mountPath": "/d", "size": 501}]},
        {"policy": {"type": "magic", "value": 1}},
        {"policy": {"type": "queue", "value": 601}},
        {"policy": {"type": "concurrency", "value": 101}},
        {"type": "later"},
    ):
        assert refused(**changes) == "VALIDATOR_PARAM"
    assert refused(products=[{"id": "none"}]) == "SERVERLESS_PRODUCT_NOT_FOUND"
    assert emulator.post("/endpoint/delete", {}).status == 400
    # A single port is taken without its list, as another client sends it.
    bare = {"endpoint": {**create["endpoint"], "appName": "bare", "ports": {"port": "8000"}}}
    made = emulator.post("/endpoint/create", bare).json()["id"]
    assert emulator.get(f"/endpoint?id={made}").json()["ports"] == [{"port": "8000"}]
    for key in ("name", "id"):
        made = emulator.post("/endpoint/create", create).json()["id"]
        assert emulator.post("/endpoint/delete", {key: made}).status == 200


def test_the_account_says_what_it_has(told: Any) -> None:
    async def story(cloud: Any, done: Any) -> None:
        balance = await done(cloud.account.balance())
        assert balance.available_usd == Decimal("125")
        assert balance.outstanding_usd == 0
        for bills in (
            cloud.account.monthly_bill,
            cloud.account.bills,
            cloud.account.monthly_bills,
            cloud.account.key_bills,
            cloud.account.transactions,
        ):
            assert (await done(bills())).extra == {"data": [], "total": 0}

    told.tell(story)
