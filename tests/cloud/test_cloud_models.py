"""Bodies as the API's public material shows them, read by the converter the client uses.

They are pinned here, and not taken from the emulator, so that a mistake both ends share would show.
"""

import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import (
    PHASES,
    BillingMethod,
    Channel,
    CloudJob,
    CloudStatus,
    Cluster,
    Created,
    CreateInstance,
    Endpoint,
    EnvVar,
    Instance,
    InstanceKind,
    InstanceList,
    InventoryState,
    NetworkMount,
    Phase,
    Port,
    PortType,
    Product,
    ProductList,
    ProductQuery,
    RegistryCredential,
    RegistryList,
    SpotStatus,
    Template,
    TemplateAnswer,
    TemplateList,
    Tool,
    join_ports,
)

INSTANCE = json.loads("""
{"id":"0f1e2d3c4b5a6978","name":"demo","clusterId":"as-sgp-2","clusterName":"AS-SGP-02",
 "status":"running","statusError":{"state":"","message":""},
 "imageUrl":"registry.example.com/team/app:1","imageAuthId":"","command":"","entrypoint":"",
 "cpuNum":"16","memory":"62","gpuNum":"1","rootfsSize":60,
 "portMappings":[{"port":8080,"endpoint":"https://0f1e2d3c4b5a6978-8080.as-sgp-2.gpu-instance.novita.ai",
                  "type":"http"}],
 "productId":"4090.16c62g","productName":"RTX 4090 24GB","volumeMounts":[],"envs":[],"kind":"gpu",
 "billingMode":"spot","endTime":"-1","spotStatus":"running","spotReclaimTime":"0",
 "network":{"id":"","ip":""},"node":{"maxRootfsSize":500},"freeStorageSize":60,"keepDataDay":7,"jobs":[],
 "connectComponentSSH":{"sshCommand":"ssh -p 40022 root@proxy.as-sgp-2.gpu-instance.novita.ai",
                        "password":"example","isRunning":true},
 "connectComponentWebTerminal":{"address":"","username":"","password":"","isRunning":false},
 "connectComponentJupyter":{"port":0,"address":"","isRunning":false},
 "connectComponentLog":{"systemLogAddress":"","instanceLogAddress":"","isRunning":true},
 "createdAt":"1767225600"}
""")

PRODUCT = {
    "id": "4090.16c62g",
    "name": "RTX 4090 24GB",
    "cpuPerGpu": 16,
    "memoryPerGpu": 62,
    "diskPerGpu": 500,
    "availableDeploy": True,
    "minRootFS": 10,
    "maxRootFS": 6144,
    "minLocalStorage": 0,
    "maxLocalStorage": 500,
    "regions": ["CN-HK-01", "US-CA-06 (California)"],
    "price": "35000",
    "spotPrice": "18000",
    "monthlyPrice": [{"price": "21000000", "month": 1}],
    "billingMethods": ["onDemand", "monthly", "spot"],
    "inventoryState": "normal",
    "prices": [],
    "canBuy": True,
}

TEMPLATE = {
    "Id": "107672",
    "name": "PyTorch",
    "readme": "# PyTorch",
    "type": "instance",
    "channel": "official",
    "image": "pytorch/pytorch:2.4.0",
    "imageAuth": "",
    "startCommand": "",
    "rootfsSize": 60,
    "ports": [{"type": "http", "ports": [8888, 6006]}, {"type": "tcp", "ports": [22]}],
    "envs": [{"key": "HF_TOKEN", "value": "hf-secret"}],
    "volumes": [],
    "tools": [{"name": "Jupyter", "describe": "", "port": 8888, "type": "http"}],
    "createdAt": "1767225600",
    "recommendCards": [{"gpuSpecId": "4090.16c62g", "cardNum": 1}],
}


def instance(**changes: Any) -> Instance:
    return cloud_converter.structure({**INSTANCE, **changes}, Instance)


def product(**changes: Any) -> Product:
    return cloud_converter.structure({**PRODUCT, **changes}, Product)


# -- instances -------------------------------------------------------------------------------------


def test_numbers_and_times_in_texts_become_numbers_and_times() -> None:
    found = instance()
    assert (found.cpu_num, found.memory, found.gpu_num, found.rootfs_size) == (16, 62, 1, 60)
    assert found.created_at == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert found.end_time is None
    assert found.spot_reclaim_time is None


def test_known_words_are_members() -> None:
    found = instance()
    assert found.status is CloudStatus.RUNNING
    assert found.billing_mode is BillingMethod.SPOT
    assert found.spot_status is SpotStatus.RUNNING
    assert found.kind is InstanceKind.GPU
    assert found.port_mappings[0].type is PortType.HTTP


def test_an_empty_word_means_nothing() -> None:
    found = instance(spotStatus="", billingMode="")
    assert found.spot_status is None
    assert found.billing_mode is None


def test_a_spot_instance_says_when_it_is_taken_back() -> None:
    found = instance(spotStatus="notified", spotReclaimTime="1767229200")
    assert found.spot_reclaim_time == datetime(2026, 1, 1, 1, tzinfo=timezone.utc)


def test_connection_details_are_read_and_their_secrets_masked() -> None:
    found = instance(
        envs=[{"key": "TOKEN", "value": "t-secret"}],
        sshPassword="old-secret",
        connectComponentJupyter={
            "port": 8888,
            "address": "https://j?token=j-secret",
            "isRunning": True,
        },
    )
    ssh = found.connect_component_ssh
    assert ssh is not None
    assert ssh.password is not None
    assert ssh.password.reveal() == "example"
    token = found.env("TOKEN")
    assert token is not None
    assert token.reveal() == "t-secret"
    assert found.env("OTHER") is None
    shown = repr(found)
    assert not [
        word for word in ("example'", "t-secret", "old-secret", "j-secret") if word in shown
    ]


SECRET_URL = "https://me:hush@host/a?token=hush#hush"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            Instance,
            {
                "id": "i",
                "sshCommand": "ssh://root:hush@host",
                "portMappings": [{"port": 80, "endpoint": SECRET_URL}],
                "connectComponentSSH": {"sshCommand": "ssh://root:hush@host"},
                "connectComponentWebTerminal": {"address": SECRET_URL, "isRunning": True},
                "connectComponentJupyter": {"address": SECRET_URL, "isRunning": True},
                "connectComponentLog": {
                    "systemLogAddress": SECRET_URL,
                    "instanceLogAddress": SECRET_URL,
                },
            },
        ),
        (CloudJob, {"Id": "j", "logAddress": SECRET_URL}),
        (Endpoint, {"id": "e", "url": SECRET_URL}),
        (RegistryCredential, {"id": "r", "name": SECRET_URL}),
    ],
)
def test_an_address_shows_where_and_not_the_credentials_in_it(
    kind: Any, body: dict[str, Any]
) -> None:
    found = cloud_converter.structure(body, kind)
    assert "***@host" in repr(found)
    assert "hush" not in repr(found)
    assert cloud_converter.unstructure(found) | body == cloud_converter.unstructure(found)


@pytest.mark.parametrize("error", [None, {}, {"state": "", "message": ""}])
def test_an_empty_status_error_is_no_failure(error: Any) -> None:
    found = instance(statusError=error)
    assert not found.failed
    assert found.failure is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"state": "pullFailed", "message": "no such image"}, "pullFailed: no such image"),
        ({"state": "", "message": "no such image"}, "no such image"),
        ({"state": "pullFailed"}, "pullFailed"),
    ],
)
def test_a_status_error_that_says_something_is_a_failure(error: Any, reason: str) -> None:
    found = instance(statusError=error, status="exited")
    assert found.failed
    assert found.failure == reason


def test_an_instance_needs_nothing_but_its_id() -> None:
    found = cloud_converter.structure({"id": "i"}, Instance)
    assert found == Instance(id="i")
    assert found.port_mappings == ()
    assert not found.failed


def test_null_is_absent_everywhere_but_in_the_id() -> None:
    found = cloud_converter.structure({**dict.fromkeys(INSTANCE), "id": "i"}, Instance)
    assert found == Instance(id="i")


@pytest.mark.parametrize("node", [{"maxRootfsSize": 500}, [{"maxRootfsSize": 500}], [], None])
def test_the_node_may_be_an_object_or_a_list(node: Any) -> None:
    assert instance(node=node).node == node


@pytest.mark.parametrize("size", [100, "100"])
def test_a_volume_size_may_be_a_number_or_a_text(size: Any) -> None:
    mounts = instance(
        volumeMounts=[{"type": "local", "size": size, "mountPath": "/data"}]
    ).volume_mounts
    assert mounts[0].size == 100


@pytest.mark.parametrize("key", ["id", "Id"])
def test_a_job_on_an_instance_may_spell_its_id_either_way(key: str) -> None:
    assert instance(jobs=[{key: "j1", "type": "saveImage"}]).jobs[0].id == "j1"


def test_unknown_words_and_fields_survive_a_round_trip() -> None:
    body = {**INSTANCE, "status": "levitating", "quantum": {"qubits": [1, None]}}
    found = cloud_converter.structure(body, Instance)
    assert found.status is not None
    assert not found.status.known
    assert found.status == "levitating"
    assert found.status.phase is None
    assert found.extra == {"quantum": {"qubits": [1, None]}}
    written = cloud_converter.unstructure(found)
    assert written["quantum"] == {"qubits": [1, None]}
    assert json.loads(json.dumps(written))["status"] == "levitating"
    assert cloud_converter.structure(json.loads(json.dumps(written)), Instance) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(extra=st.dictionaries(st.text(), JSON), status=st.text(min_size=1))
def test_whatever_is_added_is_kept(extra: dict[str, Any], status: str) -> None:
    unknown = {name: value for name, value in extra.items() if name not in INSTANCE}
    body = {"id": "i", "status": status, **{f"x-{name}": value for name, value in unknown.items()}}
    written = cloud_converter.unstructure(cloud_converter.structure(body, Instance))
    assert {name: written[name] for name in body if name != "status"} == {
        name: value for name, value in body.items() if name != "status"
    }
    assert str(written["status"]) == status


@pytest.mark.parametrize("total", [1, "1"])
def test_a_page_of_instances(total: Any) -> None:
    page = cloud_converter.structure({"instances": [INSTANCE], "total": total}, InstanceList)
    assert [one.id for one in page.items] == ["0f1e2d3c4b5a6978"]
    assert page.total == 1


def test_no_instances_may_be_written_as_null_but_not_left_out() -> None:
    assert cloud_converter.structure({"instances": None, "total": 0}, InstanceList).items == ()
    with pytest.raises(Exception, match="InstanceList"):
        cloud_converter.structure({}, InstanceList)


def test_the_answer_to_a_create_is_an_id() -> None:
    assert cloud_converter.structure({"id": "abc"}, Created).id == "abc"
    with pytest.raises(Exception, match="Created"):
        cloud_converter.structure({"message": "no"}, Created)


def test_a_create_is_written_as_documented() -> None:
    body = CreateInstance(
        name="demo",
        product_id="4090.16c62g",
        gpu_num=1,
        rootfs_size=60,
        image_url="team/app:1",
        ports=join_ports([Port(port=8888), Port(port=22, type=PortType.TCP)]),
        envs=(EnvVar(key="TOKEN", value="t-secret"),),
        tools=(Tool(name="Jupyter", port="8888", type=PortType.HTTP),),
        network_storages=(NetworkMount(id="ns-1", mount_point="/data"),),
        cluster_id="us-west-1",
        billing_mode=BillingMethod.SPOT,
    )
    assert "t-secret" not in repr(body)
    assert json.loads(json.dumps(cloud_converter.unstructure(body))) == {
        "name": "demo",
        "productId": "4090.16c62g",
        "kind": "gpu",
        "gpuNum": 1,
        "rootfsSize": 60,
        "imageUrl": "team/app:1",
        "ports": "8888/http,22/tcp",
        "envs": [{"key": "TOKEN", "value": "t-secret"}],
        "tools": [{"name": "Jupyter", "port": "8888", "type": "http"}],
        "networkStorages": [{"Id": "ns-1", "mountPoint": "/data"}],
        "clusterId": "us-west-1",
        "billingMode": "spot",
    }


# -- what is on offer --------------------------------------------------------------------------------


def test_a_product_row() -> None:
    found = product()
    assert (found.min_root_fs, found.max_root_fs) == (10, 6144)
    assert found.price == 35000
    assert found.price_usd == Decimal("0.35")
    assert found.spot_price_usd == Decimal("0.18")
    assert found.monthly_price[0].price == 21000000
    assert found.monthly_price[0].price_usd == 210
    assert found.inventory_state is InventoryState.NORMAL
    assert found.extra == {"prices": [], "canBuy": True}


@pytest.mark.parametrize("price", [35000, 35000.0, "35000"])
def test_a_price_may_be_a_number_or_a_text(price: Any) -> None:
    assert product(price=price).price_usd == Decimal("0.35")


@pytest.mark.parametrize("spot", [0, "0", "", None])
def test_no_spot_price_has_many_spellings(spot: Any) -> None:
    assert product(spotPrice=spot).spot_price_usd is None


def test_an_absent_spot_price_is_no_spot_price() -> None:
    body = {name: value for name, value in PRODUCT.items() if name != "spotPrice"}
    assert cloud_converter.structure(body, Product).spot_price_usd is None


@pytest.mark.parametrize(
    ("region", "offered"),
    [("CN-HK-01", True), ("US-CA-06", True), ("US-CA-06 (California)", True), ("US-CA-0", False)],
)
def test_a_region_is_known_by_its_code(region: str, offered: bool) -> None:
    assert product().offered_in(region) is offered


def test_a_product_without_regions_is_offered_everywhere() -> None:
    assert product(regions=[]).offered_in("EU-WEST-01")


def test_the_query_for_products_uses_the_names_of_the_api() -> None:
    query = ProductQuery(
        cluster_id="us-west-1",
        gpu_num=2,
        min_root_fs_size=60,
        billing_method=BillingMethod.SPOT,
        min_cpu_per_gpu=8,
        min_memory_per_gpu=32,
    )
    assert cloud_converter.unstructure(query) == {
        "clusterId": "us-west-1",
        "gpuNum": 2,
        "minCpuPerGpu": 8,
        "minMemoryPerGpu": 32,
        "minRootFSSize": 60,
        "billingMethod": "spot",
    }


def test_lists_without_their_key_are_no_lists() -> None:
    for kind in (ProductList, RegistryList, TemplateList):
        with pytest.raises(Exception, match=kind.__name__):
            cloud_converter.structure({}, kind)
    assert cloud_converter.structure({"data": None}, ProductList).items == ()


def test_a_cluster_without_a_name_goes_by_its_id() -> None:
    assert cloud_converter.structure({"id": "5"}, Cluster).region == "5"


def test_a_template() -> None:
    found = cloud_converter.structure({"template": TEMPLATE}, TemplateAnswer).template
    assert found.id == "107672"
    assert found.channel is Channel.OFFICIAL
    assert [str(port) for port in found.port_list] == ["8888/http", "6006/http", "22/tcp"]
    assert found.tools[0].port == 8888
    assert found.envs[0].value.reveal() == "hf-secret"
    assert "hf-secret" not in repr(found)
    assert [(card.gpu_spec_id, card.card_num) for card in found.recommend_cards] == [
        ("4090.16c62g", 1)
    ]
    assert found.extra == {}


@pytest.mark.parametrize("group", [{"ports": [22]}, {"type": "", "ports": [22]}])
def test_template_ports_without_a_protocol_are_tcp(group: dict[str, Any]) -> None:
    found = cloud_converter.structure({"Id": "t1", "ports": [group]}, Template)
    assert [str(port) for port in found.port_list] == ["22/tcp"]


@pytest.mark.parametrize("spelled", [{"Id": 107672}, {"id": "107672"}])
def test_a_template_id_may_be_a_number_and_spelled_either_way(spelled: Any) -> None:
    assert cloud_converter.structure(spelled, Template).id == "107672"


@pytest.mark.parametrize(
    "made", [{"createdAt": "1767225600"}, {"createTime": "2026-01-01T00:00:00Z"}]
)
def test_a_template_may_say_in_two_ways_when_it_was_made(made: Any) -> None:
    found = cloud_converter.structure({"Id": "1", **made}, Template)
    assert found.created_at == datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_the_list_of_templates_has_a_singular_key() -> None:
    page = cloud_converter.structure({"template": [TEMPLATE], "total": "1"}, TemplateList)
    assert [one.id for one in page.items] == ["107672"]
    assert page.total == 1


def test_a_registry_password_is_a_secret() -> None:
    body = {
        "data": [
            {"id": "c1", "name": "registry.example.com", "username": "u", "password": "p-secret"}
        ]
    }
    (found,) = cloud_converter.structure(body, RegistryList).items
    assert found.password is not None
    assert found.password.reveal() == "p-secret"
    assert "p-secret" not in repr(found)


# -- words -------------------------------------------------------------------------------------------


def test_every_known_status_has_a_phase() -> None:
    assert set(PHASES) == set(CloudStatus.__members__.values())


def test_only_removed_is_final() -> None:
    assert [status for status in PHASES if status.final] == [CloudStatus.REMOVED]
    assert CloudStatus.REMOVING.phase is Phase.GONE
