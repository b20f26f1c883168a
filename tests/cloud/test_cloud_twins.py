"""The limits are stated twice, in the client and in the emulator: what the one sends the other takes.

A limit that is wrong on one side only shows here.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import (
    AutoMigrate,
    AutoRenew,
    Channel,
    CreateEndpoint,
    CreateNetwork,
    CreateNetworkStorage,
    CreatePrewarm,
    EditInstance,
    EditPrewarm,
    EndpointHealth,
    EndpointImage,
    EndpointPolicy,
    EndpointPort,
    EndpointProduct,
    EndpointToCreate,
    EndpointVolume,
    EnvVar,
    Months,
    NetworkVolume,
    NetworkVolumeMount,
    NewTemplate,
    PolicyType,
    Port,
    PortType,
    PrewarmRefs,
    SaveImage,
    SaveRegistry,
    TemplatePorts,
    TemplateToKeep,
    UpdateEndpoint,
    UpdateNetwork,
    UpdateNetworkStorage,
    UpgradeInstance,
    WorkerConfig,
    _limits,
    _routes,
)
from novitai_sdk.emulator._answers import ANSWERS
from novitai_sdk.emulator._checks import check
from novitai_sdk.emulator._state import Refused
from novitai_sdk.errors import ValidationError
from novitai_sdk.models import Secret


def near(*limits: int) -> st.SearchStrategy[str]:
    """Texts about as long as a limit."""
    lengths = sorted({max(0, limit + off) for limit in (0, *limits) for off in (-1, 0, 1)})
    return st.sampled_from(lengths).map(lambda length: "x" * length)


def about(*limits: int) -> st.SearchStrategy[int]:
    return st.sampled_from(sorted({limit + off for limit in limits for off in (-1, 0, 1)}))


IDS = st.sampled_from(["i"]) | near(255)
PORTS = st.builds(
    Port,
    port=about(1, 2222, 2224, 65535),
    type=st.sampled_from([*PortType, PortType("udp")]),
)
ENVS = st.builds(EnvVar, key=near(511), value=near(4095).map(Secret))
MOUNTS = st.builds(NetworkVolumeMount, id=IDS, mount_path=near(4095))


def many(items: st.SearchStrategy[Any], one: Any, most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """A few of any kind, or about as many as there may be of a good one."""
    return st.lists(items, max_size=2).map(tuple) | about(most).map(lambda count: (one,) * count)


TEMPLATES = st.builds(
    NewTemplate,
    id=st.just("1"),
    name=near(255),
    image=near(500),
    rootfs_size=about(1),
    readme=near(102400),
    type=st.sampled_from(["instance", "serverless"]),
    channel=st.sampled_from([*Channel, Channel("none")]),
    image_auth=st.none() | near(10239).map(Secret),
    start_command=near(2047),
    entrypoint=near(2047),
    ports=st.lists(
        st.builds(
            TemplatePorts,
            type=st.none() | st.sampled_from([*PortType, PortType("udp")]),
            ports=many(about(1, 2222, 65535), 80, 10),
        ),
        max_size=2,
    ).map(tuple)
    # More than ten in all, and none too many in a group.
    | st.just((TemplatePorts(type=PortType.TCP, ports=(80,) * 6),) * 2),
    envs=many(ENVS, EnvVar(key="K"), 100),
)


def check_kept(body: TemplateToKeep) -> None:
    _limits.check_template(body.template)


def check_new_endpoint(body: EndpointToCreate) -> None:
    _limits.check_create_endpoint(body.endpoint)


# What both kinds of body have. How volumes, cluster and the two numbers of workers go together is no rule of one
# field: test_cloud_endpoints.py has it.
ENDPOINTS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.none() | near(220),
    "cluster_id": st.just("c") | near(255),
    "worker_config": st.builds(
        WorkerConfig,
        min_num=about(0),
        max_num=about(2),
        free_timeout=about(0),
        max_concurrent=about(1),
        gpu_num=about(1),
        request_timeout=st.none() | about(0),
        cuda_version=st.none() | near(255),
    ),
    "ports": st.lists(st.just(EndpointPort(port="80")), max_size=2).map(tuple),
    "policy": st.builds(
        EndpointPolicy,
        type=st.sampled_from([*PolicyType, PolicyType("none")]),
        value=about(1),
    ),
    "image": st.builds(
        EndpointImage,
        image=near(511),
        auth_id=st.none() | near(255),
        command=st.none() | near(2047),
    ),
    "volume_mounts": st.lists(
        st.builds(
            EndpointVolume,
            type=st.sampled_from(["local", "tape"]),
            size=st.sampled_from([-1, 1]),
            mount_path=near(255),
            id=st.none() | near(255),
        ),
        max_size=2,
    ).map(tuple),
    "envs": st.none() | many(ENVS, EnvVar(key="K"), 100),
    "healthy": st.builds(EndpointHealth, path=near(255)),
}


BODIES: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None]]] = {
    "EDIT_INSTANCE": (
        st.builds(
            EditInstance,
            instance_id=IDS,
            ports=st.none() | many(PORTS, Port(port=80), 15),
            expand_root_disk=st.none() | about(0),
        ),
        _limits.check_edit,
    ),
    "UPGRADE_INSTANCE": (
        st.builds(
            UpgradeInstance,
            instance_id=IDS,
            image_url=near(500),
            image_auth_id=st.none() | near(255),
            envs=many(ENVS, EnvVar(key="K"), 100),
            command=near(2047),
            entrypoint=near(2047),
            save=st.booleans(),
            network_volume=st.builds(
                NetworkVolume, volume_mounts=many(MOUNTS, NetworkVolumeMount(id="s"), 30)
            ),
        ),
        _limits.check_upgrade,
    ),
    "RENEW_INSTANCE": (
        st.builds(Months, instance_id=IDS, month=about(1)),
        _limits.check_months,
    ),
    "CONVERT_TO_MONTHLY": (
        st.builds(Months, instance_id=IDS, month=about(1)),
        _limits.check_months,
    ),
    "SET_AUTO_RENEW": (
        st.builds(
            AutoRenew,
            instance_ids=st.lists(IDS, max_size=3).map(tuple),
            auto_renew=st.booleans(),
            auto_renew_month=about(1, 12),
        ),
        _limits.check_auto_renew,
    ),
    "SET_AUTO_MIGRATE": (
        st.builds(
            AutoMigrate,
            instance_id=IDS,
            auto_migrate_open=st.booleans(),
            auto_migrate_system_disk=st.booleans(),
        ),
        _limits.check_auto_migrate,
    ),
    "SAVE_IMAGE": (
        st.builds(
            SaveImage,
            instance_id=IDS,
            image=near(4095),
            registry_auth_id=st.none() | near(255),
        ),
        _limits.check_save_image,
    ),
    "CREATE_NETWORK": (
        st.builds(CreateNetwork, cluster_id=IDS, name=st.none() | near(30)),
        _limits.check_create_network,
    ),
    "UPDATE_NETWORK": (
        st.builds(UpdateNetwork, network_id=IDS, name=near(30)),
        _limits.check_update_network,
    ),
    "CREATE_STORAGE": (
        st.builds(
            CreateNetworkStorage,
            cluster_id=IDS,
            storage_name=near(255),
            storage_size=about(10, 10240),
        ),
        _limits.check_create_storage,
    ),
    "UPDATE_STORAGE": (
        st.builds(
            UpdateNetworkStorage,
            storage_id=IDS,
            storage_name=near(255),
            storage_size=about(10, 10240),
        ),
        _limits.check_update_storage,
    ),
    "CREATE_ENDPOINT": (
        st.builds(
            EndpointToCreate,
            endpoint=st.builds(
                CreateEndpoint,
                **ENDPOINTS,
                app_name=st.none() | near(255),
                products=st.lists(st.builds(EndpointProduct, id=IDS), max_size=2).map(tuple),
                rootfs_size=about(1),
                type=st.sampled_from([None, "sync", "async", "later"]),
            ),
        ),
        check_new_endpoint,
    ),
    "UPDATE_ENDPOINT": (
        st.builds(UpdateEndpoint, **ENDPOINTS, id=IDS),
        _limits.check_update_endpoint,
    ),
    "CREATE_TEMPLATE": (st.builds(TemplateToKeep, template=TEMPLATES), check_kept),
    "UPDATE_TEMPLATE": (st.builds(TemplateToKeep, template=TEMPLATES), check_kept),
    "SAVE_REGISTRY": (
        st.builds(
            SaveRegistry, name=near(255), username=near(511), password=near(1024).map(Secret)
        ),
        _limits.check_save_registry,
    ),
    "CREATE_PREWARM": (
        st.builds(
            CreatePrewarm,
            image_url=near(500),
            cluster_id=IDS,
            repository_auth=st.none() | near(255),
            product_ids=st.none() | st.lists(IDS, max_size=3).map(tuple),
            note=st.none() | near(4095),
        ),
        _limits.check_create_prewarm,
    ),
    "EDIT_PREWARM": (
        st.builds(EditPrewarm, id=IDS, note=near(4095)),
        _limits.check_edit_prewarm,
    ),
    "DELETE_PREWARM": (
        st.builds(PrewarmRefs, ids=st.lists(IDS, max_size=3).map(tuple)),
        _limits.check_prewarm_refs,
    ),
}
# What the client refuses beyond the schema, and the emulator only when it knows the instance.
FURTHER = ("belong to the platform", "nothing to change")


@pytest.mark.parametrize("name", BODIES)
@given(data=st.data())
def test_client_and_emulator_know_the_same_limits(name: str, data: st.DataObject) -> None:
    bodies, check_body = BODIES[name]
    route = getattr(_routes, name)
    body = data.draw(bodies)
    refused: set[str] = set()
    try:
        check_body(body)
    except ValidationError as error:
        refused = {
            one.field for one in error.details if not any(word in one.message for word in FURTHER)
        }
    taken: set[str] = set()
    try:
        check(ANSWERS[route.method, route.url].rules, cloud_converter.unstructure(body))
    except Refused as no:
        taken = set(no.metadata)
    # Where there are too many of something the emulator does not look at each.
    assert taken <= refused
    assert bool(taken) == bool(refused)
