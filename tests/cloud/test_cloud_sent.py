"""Bodies of requests as the API's public material shows them.

They are pinned here, and not taken from the emulator, so that a mistake both ends share would show.
"""

import json
from datetime import datetime, timezone
from typing import Any

import attrs
import pytest

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import (
    ROUTES,
    AutoMigrate,
    AutoRenew,
    BillingMethod,
    CloudJobQuery,
    CloudJobRef,
    CloudStatus,
    CreateEndpoint,
    CreateInstance,
    CreateNetwork,
    CreateNetworkStorage,
    CreatePrewarm,
    EditInstance,
    EditPrewarm,
    EndpointHealth,
    EndpointImage,
    EndpointName,
    EndpointPolicy,
    EndpointPort,
    EndpointProduct,
    EndpointQuery,
    EndpointRef,
    EndpointToCreate,
    EndpointVolume,
    EnvVar,
    InstanceKind,
    InstanceQuery,
    InstanceRef,
    JobPhase,
    JobType,
    MetricsQuery,
    Months,
    NetworkMount,
    NetworkQuery,
    NetworkRef,
    NetworkStorageQuery,
    NetworkStorageRef,
    NetworkVolume,
    NetworkVolumeMount,
    NewTemplate,
    PolicyType,
    Port,
    PortType,
    PrewarmQuery,
    PrewarmRefs,
    PrewarmState,
    ProductQuery,
    RegistryRef,
    SaveImage,
    SaveRegistry,
    TemplatePorts,
    TemplateQuery,
    TemplateRef,
    TemplateToKeep,
    TemplateTool,
    TemplateVolume,
    Tool,
    UpdateEndpoint,
    UpdateNetwork,
    UpdateNetworkStorage,
    UpgradeInstance,
    WorkerConfig,
    join_ports,
)
from novitai_sdk.models import Secret

NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)
WORKERS = WorkerConfig(
    min_num=0,
    max_num=2,
    free_timeout=60,
    max_concurrent=4,
    gpu_num=1,
    request_timeout=90,
    cuda_version="12.4",
)
WORKERS_SENT = {
    "minNum": 0,
    "maxNum": 2,
    "freeTimeout": 60,
    "maxConcurrent": 4,
    "gpuNum": 1,
    "requestTimeout": 90,
    "cudaVersion": "12.4",
}

SENT: list[tuple[object, dict[str, Any]]] = [
    (
        CreateInstance(
            product_id="4090.16c62g",
            image_url="a/b:1",
            name="demo",
            kind=InstanceKind.GPU,
            gpu_num=2,
            rootfs_size=60,
            image_auth=Secret("u:p"),
            image_auth_id="c",
            ports=join_ports((Port(port=80), Port(port=22, type=PortType.TCP))),
            envs=(EnvVar(key="K", value="v"),),
            tools=(Tool(name="Jupyter", port="8888", type=PortType.HTTP),),
            command="serve",
            entrypoint="sh",
            cluster_id="us-west-1",
            network_storages=(NetworkMount(id="s", mount_point="/data"),),
            network_id="n",
            billing_mode=BillingMethod.ON_DEMAND,
            month=0,
            auto_renew=False,
            auto_renew_month=1,
            min_cuda_version="11.8",
        ),
        {
            "productId": "4090.16c62g",
            "imageUrl": "a/b:1",
            "name": "demo",
            "kind": "gpu",
            "gpuNum": 2,
            "rootfsSize": 60,
            "imageAuth": "u:p",
            "imageAuthId": "c",
            "ports": "80/http,22/tcp",
            "envs": [{"key": "K", "value": "v"}],
            "tools": [{"name": "Jupyter", "port": "8888", "type": "http"}],
            "command": "serve",
            "entrypoint": "sh",
            "clusterId": "us-west-1",
            "networkStorages": [{"Id": "s", "mountPoint": "/data"}],
            "networkId": "n",
            "billingMode": "onDemand",
            "month": 0,
            "autoRenew": False,
            "autoRenewMonth": 1,
            "minCudaVersion": "11.8",
        },
    ),
    (
        CreateInstance(
            product_id="cpu.8c16g",
            image_url="a/b:1",
            kind=InstanceKind.CPU,
            local_storage_mount_point="/workspace",
        ),
        {
            "productId": "cpu.8c16g",
            "imageUrl": "a/b:1",
            "kind": "cpu",
            "localStorageMountPoint": "/workspace",
        },
    ),
    (
        InstanceQuery(
            page_size=10, page_num=0, name="n", product_name="4090", status=CloudStatus.TO_CREATE
        ),
        {
            "pageSize": 10,
            "pageNum": 0,
            "name": "n",
            "productName": "4090",
            "status": "toCreate",
        },
    ),
    (InstanceRef(instance_id="i"), {"instanceId": "i"}),
    (
        ProductQuery(
            cluster_id="us-west-1",
            gpu_num=0,
            product_name="4090",
            min_cpu_per_gpu=8,
            min_memory_per_gpu=32,
            min_root_fs_size=60,
            billing_method=BillingMethod.MONTHLY,
        ),
        {
            "clusterId": "us-west-1",
            "gpuNum": 0,
            "productName": "4090",
            "minCpuPerGpu": 8,
            "minMemoryPerGpu": 32,
            "minRootFSSize": 60,
            "billingMethod": "monthly",
        },
    ),
    (
        EditInstance(
            instance_id="i",
            ports=(Port(port=80), Port(port=22, type=PortType.TCP)),
            expand_root_disk=20,
        ),
        {
            "instanceId": "i",
            "ports": [{"port": 80, "type": "http"}, {"port": 22, "type": "tcp"}],
            "expandRootDisk": 20,
        },
    ),
    (EditInstance(instance_id="i", ports=()), {"instanceId": "i", "ports": []}),
    (
        UpgradeInstance(
            instance_id="i",
            image_url="a/b:2",
            image_auth_id="c",
            envs=(EnvVar(key="K", value="v"),),
            command="serve",
            entrypoint="",
            save=False,
            network_volume=NetworkVolume(volume_mounts=(NetworkVolumeMount(id="s"),)),
        ),
        {
            "instanceId": "i",
            "imageUrl": "a/b:2",
            "imageAuthId": "c",
            "envs": [{"key": "K", "value": "v"}],
            "command": "serve",
            "entrypoint": "",
            "save": False,
            "networkVolume": {
                "volumeMounts": [{"type": "network", "id": "s", "mountPath": "/network"}]
            },
        },
    ),
    # What detaches everything is an empty list, which must not be left out.
    (
        UpgradeInstance(
            instance_id="i",
            image_url="a/b:2",
            envs=(),
            command="",
            entrypoint="",
            save=True,
            network_volume=NetworkVolume(),
        ),
        {
            "instanceId": "i",
            "imageUrl": "a/b:2",
            "envs": [],
            "command": "",
            "entrypoint": "",
            "save": True,
            "networkVolume": {"volumeMounts": []},
        },
    ),
    (Months(instance_id="i", month=3), {"instanceId": "i", "month": 3}),
    (
        AutoRenew(instance_ids=("i", "j"), auto_renew=True, auto_renew_month=1),
        {"instanceIds": ["i", "j"], "autoRenew": True, "autoRenewMonth": 1},
    ),
    (
        AutoMigrate(instance_id="i", auto_migrate_open=True, auto_migrate_system_disk=False),
        {"instanceId": "i", "autoMigrateOpen": True, "autoMigrateSystemDisk": False},
    ),
    (
        CloudJobQuery(
            page_size=10,
            page_num=0,
            job_id="j",
            state=JobPhase.RUNNING,
            type=JobType.SAVE_IMAGE,
            start_time=NEW_YEAR,
            end_time=NEW_YEAR,
            creators=("a", "b"),
        ),
        {
            "pageSize": 10,
            "pageNum": 0,
            "jobId": "j",
            "state": "running",
            "type": "saveImage",
            "startTime": "1767225600",
            "endTime": "1767225600",
            "creators": ["a", "b"],
        },
    ),
    (CloudJobQuery(), {}),
    (CloudJobRef(job_id="j"), {"jobId": "j"}),
    (
        SaveImage(instance_id="i", image="a/b:saved", registry_auth_id="c"),
        {"instanceId": "i", "image": "a/b:saved", "registryAuthId": "c"},
    ),
    (
        MetricsQuery(instance_id="i", start_time=NEW_YEAR, end_time=NEW_YEAR, interval=15),
        {
            "instanceId": "i",
            "startTime": "1767225600",
            "endTime": "1767225600",
            "interval": 15,
        },
    ),
    (
        NetworkQuery(page_size=10, page_num=1, name="n", creators=("a", "b")),
        {"pageSize": 10, "pageNum": 1, "name": "n", "creators": ["a", "b"]},
    ),
    (NetworkRef(network_id="n"), {"networkId": "n"}),
    (CreateNetwork(cluster_id="us-west-1", name="lab"), {"clusterId": "us-west-1", "name": "lab"}),
    (UpdateNetwork(network_id="n", name="lab"), {"networkId": "n", "name": "lab"}),
    (
        NetworkStorageQuery(page_size=10, page_no=1, storage_name="s", storage_id="u"),
        {"pageSize": 10, "pageNo": 1, "storageName": "s", "storageId": "u"},
    ),
    (
        CreateNetworkStorage(cluster_id="us-west-1", storage_name="s", storage_size=10),
        {"clusterId": "us-west-1", "storageName": "s", "storageSize": 10},
    ),
    (
        UpdateNetworkStorage(storage_id="u", storage_name="s", storage_size=10),
        {"storageId": "u", "storageName": "s", "storageSize": 10},
    ),
    (NetworkStorageRef(storage_id="u"), {"storageId": "u"}),
    (TemplateRef(template_id="1"), {"templateId": "1"}),
    (
        SaveRegistry(name="hub.example.com", username="u", password="p"),
        {"name": "hub.example.com", "username": "u", "password": "p"},
    ),
    (RegistryRef(id="c"), {"id": "c"}),
    (
        PrewarmQuery(
            page=1, page_size=10, state=PrewarmState.SUCCEEDED, cluster_id="us-west-1", name="n"
        ),
        {"page": 1, "pageSize": 10, "state": "Succeeded", "clusterId": "us-west-1", "name": "n"},
    ),
    (
        CreatePrewarm(
            image_url="a/b:1",
            cluster_id="us-west-1",
            repository_auth="c",
            product_ids=("4090.16c62g",),
            note="n",
        ),
        {
            "imageUrl": "a/b:1",
            "clusterId": "us-west-1",
            "repositoryAuth": "c",
            "productIds": ["4090.16c62g"],
            "note": "n",
        },
    ),
    (EditPrewarm(id="p", note="n"), {"id": "p", "note": "n"}),
    (PrewarmRefs(ids=("p", "q")), {"ids": ["p", "q"]}),
    (
        TemplateQuery(
            page_size=10,
            page_num=1,
            name="n",
            type="instance",
            channel="private",
            is_my_community=True,
        ),
        {
            "pageSize": 10,
            "pageNum": 1,
            "name": "n",
            "type": "instance",
            "channel": "private",
            "isMyCommunity": True,
        },
    ),
    # Id with a capital, ports in groups, and the port of a tool a number where a create has a text.
    (
        TemplateToKeep(
            template=NewTemplate(
                id="107672",
                name="t",
                readme="# t",
                image="a/b:1",
                image_auth=Secret("u:p"),
                start_command="serve",
                entrypoint="sh",
                rootfs_size=60,
                ports=(TemplatePorts(type=PortType.HTTP, ports=(80, 8888)),),
                envs=(EnvVar(key="K", value="v"),),
                volumes=(TemplateVolume(type="local", size=30, mount_path="/data"),),
                tools=(TemplateTool(name="Jupyter", describe="d", port=8888, type=PortType.HTTP),),
                min_cuda_version="11.8",
            )
        ),
        {
            "template": {
                "Id": "107672",
                "name": "t",
                "readme": "# t",
                "type": "instance",
                "channel": "private",
                "image": "a/b:1",
                "imageAuth": "u:p",
                "startCommand": "serve",
                "entrypoint": "sh",
                "rootfsSize": 60,
                "ports": [{"type": "http", "ports": [80, 8888]}],
                "envs": [{"key": "K", "value": "v"}],
                "volumes": [{"type": "local", "size": 30, "mountPath": "/data"}],
                "tools": [{"name": "Jupyter", "describe": "d", "port": 8888, "type": "http"}],
                "minCudaVersion": "11.8",
            }
        },
    ),
    (EndpointQuery(page_size=10, page_num=0), {"pageSize": 10, "pageNum": 0}),
    (EndpointRef(id="e"), {"id": "e"}),
    # What is called a name is the id.
    (EndpointName(name="e"), {"name": "e"}),
    (
        EndpointToCreate(
            endpoint=CreateEndpoint(
                name="chat",
                app_name="chat-app",
                worker_config=WORKERS,
                ports=(EndpointPort(port="8000"),),
                policy=EndpointPolicy(type=PolicyType.QUEUE, value=30),
                image=EndpointImage(image="a/b:1", auth_id="c", command="serve"),
                products=(EndpointProduct(id="4090.16c62g"),),
                rootfs_size=100,
                volume_mounts=(
                    EndpointVolume(type="local", size=30, mount_path="/data"),
                    EndpointVolume(type="network", id="s", mount_path="/network"),
                ),
                cluster_id="us-west-1",
                envs=(EnvVar(key="K", value="v"),),
                healthy=EndpointHealth(path="/health"),
                type="sync",
            )
        ),
        {
            "endpoint": {
                "name": "chat",
                "appName": "chat-app",
                "workerConfig": WORKERS_SENT,
                "ports": [{"port": "8000"}],
                "policy": {"type": "queue", "value": 30},
                "image": {"image": "a/b:1", "authId": "c", "command": "serve"},
                "products": [{"id": "4090.16c62g"}],
                "rootfsSize": 100,
                "volumeMounts": [
                    {"type": "local", "size": 30, "mountPath": "/data"},
                    {"type": "network", "id": "s", "mountPath": "/network"},
                ],
                "clusterID": "us-west-1",
                "envs": [{"key": "K", "value": "v"}],
                "healthy": {"path": "/health"},
                "type": "sync",
            }
        },
    ),
    # Flat, where the create is wrapped.
    (
        UpdateEndpoint(
            id="e",
            name="chat",
            cluster_id="us-west-1",
            worker_config=WORKERS,
            ports=(EndpointPort(port="8000"),),
            policy=EndpointPolicy(type=PolicyType.CONCURRENCY, value=2),
            image=EndpointImage(image="a/b:2"),
            volume_mounts=(),
            envs=(),
            healthy=EndpointHealth(path="/health"),
        ),
        {
            "id": "e",
            "name": "chat",
            "clusterID": "us-west-1",
            "workerConfig": WORKERS_SENT,
            "ports": [{"port": "8000"}],
            "policy": {"type": "concurrency", "value": 2},
            "image": {"image": "a/b:2"},
            "volumeMounts": [],
            "envs": [],
            "healthy": {"path": "/health"},
        },
    ),
]


@pytest.mark.parametrize(("body", "wire"), SENT, ids=lambda one: type(one).__name__)
def test_what_is_sent_is_written_as_documented(body: object, wire: dict[str, Any]) -> None:
    assert json.loads(json.dumps(cloud_converter.unstructure(body))) == wire


def test_every_request_of_the_table_is_pinned_here_with_all_its_fields() -> None:
    """A body that nobody pinned would be written in whatever way both ends agree on."""
    pinned = {
        (type(body), field.name)
        for body, _ in SENT
        for field in attrs.fields(type(body))
        if getattr(body, field.name) is not None
    }
    sent = {
        (route.body, field.name)
        for route in ROUTES
        if route.body is not None
        for field in attrs.fields(route.body)
    }
    assert sent - pinned == set()


def test_env_values_are_masked_where_they_are_shown() -> None:
    (upgrade, *_) = [body for body, _ in SENT if isinstance(body, UpgradeInstance)]
    assert upgrade.envs[0].value.reveal() == "v"
    assert "'v'" not in repr(upgrade)
