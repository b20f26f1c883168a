"""Documented limits are checked before anything is sent, all of them at once."""

from typing import Any

import attrs
import pytest

from novitai_sdk.cloud import (
    CreateInstance,
    EditInstance,
    EnvVar,
    Instance,
    InstanceKind,
    InstanceQuery,
    NetworkMount,
    NetworkVolume,
    NetworkVolumeMount,
    Port,
    PortType,
    ProductQuery,
    TemplateQuery,
    Tool,
    UpgradeInstance,
)
from novitai_sdk.cloud._limits import (
    check_create,
    check_edit,
    check_id,
    check_instance_query,
    check_product_query,
    check_template_query,
    check_upgrade,
)
from novitai_sdk.errors import ValidationError
from novitai_sdk.models import Secret

GOOD = CreateInstance(product_id="p", image_url="a/b:1", gpu_num=1, rootfs_size=60)


def problems(**changes: Any) -> dict[str, str]:
    try:
        check_create(attrs.evolve(GOOD, **changes))
    except ValidationError as error:
        return {detail.field: detail.message for detail in error.details}
    return {}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "n" * 255},
        {"gpu_num": 8},
        {"rootfs_size": 10},
        {"rootfs_size": 6144},
        {"image_url": "i" * 500},
        {"ports": "80/http, 3306/tcp,1/tcp,65535/http"},
        {"ports": ""},
        {"envs": tuple(EnvVar(key="k" * 511, value="v" * 4095) for _ in range(100))},
        {"tools": (Tool(name="Jupyter", port="8888"), Tool(name="Other"))},
        {"command": "c" * 2047, "entrypoint": "e" * 2047},
        {"network_storages": (NetworkMount(id="n"), NetworkMount(id="n", mount_point="/x"))},
        {"month": 0, "auto_renew_month": 12},
        {"image_auth": Secret("u:p")},
        {"kind": InstanceKind.CPU, "gpu_num": None, "rootfs_size": None},
    ],
)
def test_what_keeps_to_the_limits_passes(changes: dict[str, Any]) -> None:
    assert problems(**changes) == {}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "n" * 256}, "name"),
        ({"product_id": ""}, "productId"),
        ({"product_id": "p" * 256}, "productId"),
        ({"gpu_num": None}, "gpuNum"),
        ({"gpu_num": 0}, "gpuNum"),
        ({"gpu_num": 9}, "gpuNum"),
        ({"rootfs_size": None}, "rootfsSize"),
        ({"rootfs_size": 9}, "rootfsSize"),
        ({"rootfs_size": 6145}, "rootfsSize"),
        ({"image_url": ""}, "imageUrl"),
        ({"image_url": "i" * 501}, "imageUrl"),
        ({"image_auth": Secret("s" * 10240)}, "imageAuth"),
        ({"image_auth_id": "i" * 256}, "imageAuthId"),
        ({"ports": "80"}, "ports"),
        ({"ports": "80/udp"}, "ports"),
        ({"ports": "80/http,"}, "ports"),
        ({"ports": "0/http"}, "ports"),
        ({"ports": "65536/http"}, "ports"),
        ({"ports": "2222/tcp"}, "ports"),
        ({"ports": "２２/tcp"}, "ports"),
        ({"ports": ",".join(f"{n}/http" for n in range(1, 17))}, "ports"),
        ({"envs": (EnvVar(key="k"),) * 101}, "envs"),
        ({"envs": (EnvVar(key=""),)}, "envs[0].key"),
        ({"envs": (EnvVar(key="k", value="v" * 4096),)}, "envs[0].value"),
        ({"tools": (Tool(name="Jupyter", port="2223"),)}, "tools[0].port"),
        ({"tools": (Tool(name="Jupyter", port="http"),)}, "tools[0].port"),
        ({"tools": (Tool(name="Jupyter"),) * 16}, "ports"),
        ({"command": "c" * 2048}, "command"),
        ({"entrypoint": "c" * 2048}, "entrypoint"),
        ({"network_storages": (NetworkMount(id="n"),) * 31}, "networkStorages"),
        (
            {"network_storages": (NetworkMount(id="n", mount_point=""),)},
            "networkStorages[0].mountPoint",
        ),
        ({"month": -1}, "month"),
        ({"auto_renew_month": 13}, "autoRenewMonth"),
    ],
)
def test_each_limit_is_named_by_its_field(changes: dict[str, Any], field: str) -> None:
    assert list(problems(**changes)) == [field]


def test_all_problems_are_told_at_once_in_field_order() -> None:
    found = problems(name="n" * 256, gpu_num=0, rootfs_size=1, image_url="", ports="x")
    assert list(found) == ["name", "gpuNum", "rootfsSize", "imageUrl", "ports"]


def test_a_secret_that_is_too_long_is_not_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        check_create(attrs.evolve(GOOD, envs=(EnvVar(key="k", value="hush" * 2000),)))
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(caught.value.details)


@pytest.mark.parametrize("value", ["", "i" * 256])
def test_an_id_has_1_to_255_characters(value: str) -> None:
    with pytest.raises(ValidationError, match="instanceId"):
        check_id("instanceId", value)


def test_queries_have_limits_too() -> None:
    check_instance_query(InstanceQuery(page_size=0, page_num=0, name="n" * 255))
    check_product_query(ProductQuery(gpu_num=0, min_cpu_per_gpu=0))
    check_template_query(TemplateQuery(page_size=1, page_num=1))
    with pytest.raises(ValidationError, match="pageSize"):
        check_instance_query(InstanceQuery(page_size=-1))
    with pytest.raises(ValidationError, match="minRootFSSize"):
        check_product_query(ProductQuery(gpu_num=9, min_root_fs_size=-1))
    with pytest.raises(ValidationError, match="pageNum"):
        check_template_query(TemplateQuery(page_num=0))


def upgrade_problems(**changes: Any) -> list[str]:
    like = UpgradeInstance.like(Instance(id="i", image_url="a/b:1"), save=True)
    try:
        check_upgrade(attrs.evolve(like, **changes))
    except ValidationError as error:
        return [detail.field for detail in error.details]
    return []


def test_an_upgrade_within_the_limits_passes() -> None:
    mounts = tuple(NetworkVolumeMount(id=f"s{number}") for number in range(30))
    assert not upgrade_problems(
        image_url="i" * 500,
        command="c" * 2047,
        entrypoint="e" * 2047,
        envs=tuple(EnvVar(key="k" * 511, value="v" * 4095) for _ in range(100)),
        network_volume=NetworkVolume(volume_mounts=mounts),
    )


def test_all_problems_of_an_upgrade_are_named_at_once() -> None:
    wrong = NetworkVolumeMount(id="", mount_path="")
    assert upgrade_problems(
        instance_id="",
        image_url="",
        image_auth_id="a" * 256,
        command="c" * 2048,
        entrypoint="e" * 2048,
        envs=(EnvVar(key="", value="v" * 4096),) * 101,
        network_volume=NetworkVolume(volume_mounts=(wrong,) * 31),
    )[:4] == ["instanceId", "imageUrl", "imageAuthId", "envs"]
    assert upgrade_problems(network_volume=NetworkVolume(volume_mounts=(wrong,))) == [
        "networkVolume.volumeMounts[0].id",
        "networkVolume.volumeMounts[0].mountPath",
    ]
    assert upgrade_problems(envs=(EnvVar(key="", value="v" * 4096),)) == [
        "envs[0].key",
        "envs[0].value",
    ]


def test_the_value_of_a_variable_that_is_too_long_is_not_shown() -> None:
    like = UpgradeInstance.like(Instance(id="i", image_url="a/b:1"), save=True)
    with pytest.raises(ValidationError) as caught:
        check_upgrade(attrs.evolve(like, envs=(EnvVar(key="K", value="hush" * 2000),)))
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(caught.value.details)


def test_a_port_of_an_edit_must_be_one_the_platform_gives() -> None:
    for port in (0, 65536, 2222, 2223, 2224):
        with pytest.raises(
            ValidationError, match=r"a port must be|belong to the platform"
        ) as caught:
            check_edit(EditInstance(instance_id="i", ports=(Port(port=port),)))
        assert [detail.value for detail in caught.value.details] == [port]
    with pytest.raises(ValidationError, match="http or tcp"):
        check_edit(EditInstance(instance_id="i", ports=(Port(port=53, type=PortType("udp")),)))
    ports = tuple(Port(port=number) for number in range(1, 17))
    with pytest.raises(ValidationError, match="at most 15"):
        check_edit(EditInstance(instance_id="i", ports=ports))
    check_edit(EditInstance(instance_id="i", ports=()))
    check_edit(EditInstance(instance_id="i", expand_root_disk=1))
