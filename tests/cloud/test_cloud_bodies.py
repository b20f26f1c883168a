"""Bodies of answers as the API's public material shows them.

They are pinned here, and not taken from the emulator, so that a mistake both ends share would show.
"""

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import (
    Bills,
    CloudJob,
    CloudJobList,
    Cluster,
    ClusterList,
    CpuProduct,
    CpuProductList,
    EndpointCreated,
    JobPhase,
    JobStarted,
    JobType,
    Metrics,
    Migrated,
    Network,
    NetworkAnswer,
    NetworkList,
    NetworkPhase,
    NetworkStorage,
    NetworkStorageList,
    PrewarmCreated,
    PrewarmQuota,
    StorageCreated,
    Template,
    TemplateKept,
)

NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)


def read(body: object, kind: type[Any]) -> Any:
    return cloud_converter.structure(body, kind)


# -- changes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"message": None, "newInstanceId": ""}])
def test_a_migration_may_answer_nothing(body: Any) -> None:
    assert not read(body, Migrated).new_instance_id


# -- jobs and metrics ------------------------------------------------------------------------------

JOB = {
    "Id": "abcdefghijklmnop",
    "user": "u",
    "type": "saveImage",
    "envs": [{"key": "K", "value": "v"}],
    "state": {"state": "fail", "error": "pushFailed", "errorMessage": "denied"},
    "logAddress": "https://logs.example.com/j",
    "createdAt": "1767225600",
    "instanceId": "0f1e2d3c4b5a6978",
    "maxRetry": 3,
}


def test_a_job() -> None:
    found = read(JOB, CloudJob)
    assert (found.id, found.type, found.instance_id) == (
        "abcdefghijklmnop",
        JobType.SAVE_IMAGE,
        "0f1e2d3c4b5a6978",
    )
    assert found.created_at == NEW_YEAR
    assert found.phase is JobPhase.FAIL
    assert found.state.error_message == "denied"
    assert found.envs[0].value.reveal() == "v"
    assert found.extra == {"maxRetry": 3}


@pytest.mark.parametrize("key", ["errorMessage", "message"])
def test_the_error_of_a_job_may_be_in_either_field(key: str) -> None:
    found = read({"Id": "j", "state": {"state": "fail", key: "denied"}}, CloudJob)
    assert found.state.error_message == "denied"


@pytest.mark.parametrize(
    ("word", "final"),
    [
        ("pending", False),
        ("pulling", False),
        ("running", False),
        ("fail", True),
        ("success", True),
        ("break", True),
        ("levitating", False),
    ],
)
def test_what_a_job_can_still_become(word: str, final: bool) -> None:
    assert read({"Id": "j", "state": {"state": word}}, CloudJob).phase.final is final


@pytest.mark.parametrize(
    "body", [{"id": "j"}, {"Id": "j", "state": None}, {"Id": "j", "state": {}}]
)
def test_a_job_needs_nothing_but_its_id(body: Any) -> None:
    assert read(body, CloudJob).phase is None


@pytest.mark.parametrize("total", [1, "1"])
def test_a_page_of_jobs(total: Any) -> None:
    page = read({"jobs": [JOB], "total": total}, CloudJobList)
    assert ([one.id for one in page.items], page.total) == (["abcdefghijklmnop"], 1)
    assert read({"jobs": None}, CloudJobList).items == ()
    with pytest.raises(Exception, match="CloudJobList"):
        read({}, CloudJobList)


def test_what_begins_a_job_says_which() -> None:
    assert read({"jobId": "j"}, JobStarted).job_id == "j"
    with pytest.raises(Exception, match="JobStarted"):
        read({}, JobStarted)


POINTS = [{"timestamp": "1767225600", "value": 12.5}, {"timestamp": "1767225615", "value": 13}]


def test_metrics() -> None:
    gpus = {"avg": POINTS, "gpuIds": [{"gpuId": "0", "items": POINTS}, {"gpuId": 1, "items": []}]}
    found = read(
        {
            "cpuUtilization": POINTS,
            "memUtilization": [],
            "rootDiskUtilization": None,
            "gpuUtilization": gpus,
            "gpuMemUtilization": {"avg": None, "gpuIds": None},
            "netUtilization": [],
        },
        Metrics,
    )
    assert [(one.timestamp, one.value) for one in found.cpu_utilization] == [
        (NEW_YEAR, 12.5),
        (NEW_YEAR.replace(second=15), 13.0),
    ]
    assert found.mem_utilization == found.root_disk_utilization == ()
    assert [one.gpu_id for one in found.gpu_utilization.gpu_ids] == ["0", "1"]
    assert found.gpu_utilization.gpu_ids[0].items == found.cpu_utilization
    assert found.gpu_mem_utilization.avg == ()
    assert found.extra == {"netUtilization": []}


@pytest.mark.parametrize(
    "timestamp", ["1767225600", 1767225600, "1767225600000", 1767225600000, "2026-01-01T00:00:00Z"]
)
def test_the_time_of_a_point_may_be_written_in_any_way(timestamp: Any) -> None:
    found = read({"cpuUtilization": [{"timestamp": timestamp, "value": "7.5"}]}, Metrics)
    assert (found.cpu_utilization[0].timestamp, found.cpu_utilization[0].value) == (NEW_YEAR, 7.5)


def test_metrics_of_nothing() -> None:
    assert read({}, Metrics) == Metrics()
    with pytest.raises(Exception, match="Metrics"):
        read({"cpuUtilization": [7]}, Metrics)


# -- networks --------------------------------------------------------------------------------------

NETWORK = {
    "Id": "n1",
    "user": "u",
    "name": "lab",
    "state": [{"state": "ready", "error": ""}],
    "segment": "10.1.0.0/16",
    "clusterId": "us-west-1",
    "Addresses": [{"Id": "0f1e2d3c4b5a6978", "Ip": "10.1.0.2"}],
    "createTime": "1767225600",
}


@pytest.mark.parametrize("state", [NETWORK["state"], {"state": "ready", "error": ""}])
def test_a_network(state: Any) -> None:
    found = read({**NETWORK, "state": state}, Network)
    assert (found.id, found.name, found.cluster_id) == ("n1", "lab", "us-west-1")
    assert found.ready
    assert found.state.state is NetworkPhase.READY
    assert [(one.id, one.ip) for one in found.addresses] == [("0f1e2d3c4b5a6978", "10.1.0.2")]
    assert found.create_time == NEW_YEAR
    assert found.extra == {}


@pytest.mark.parametrize("state", [None, [], {}, [{}], {"state": "creating"}, {"state": ""}])
def test_a_network_is_ready_only_when_it_says_so(state: Any) -> None:
    assert not read({"Id": "n", "state": state, "Addresses": None}, Network).ready


@pytest.mark.parametrize("network", [NETWORK, [NETWORK]])
def test_one_network_may_come_alone_or_in_a_list(network: Any) -> None:
    found = read({"network": network}, NetworkAnswer)
    assert found.network.id == "n1"


@pytest.mark.parametrize(
    "body", [{}, {"network": []}, {"network": None}, {"network": {}}, {"network": [{"Id": ""}]}]
)
def test_no_network_has_many_spellings(body: Any) -> None:
    assert read(body, NetworkAnswer).network is None


@pytest.mark.parametrize("body", ["n1", [], 7])
def test_what_is_no_object_is_no_answer(body: Any) -> None:
    with pytest.raises(Exception, match="expected an object"):
        read(body, NetworkAnswer)


@pytest.mark.parametrize("key", ["networks", "network"])
def test_a_page_of_networks(key: str) -> None:
    page = read({key: [NETWORK], "total": "1"}, NetworkList)
    assert ([one.id for one in page.items], page.total) == (["n1"], 1)
    with pytest.raises(Exception, match="NetworkList"):
        read({}, NetworkList)


# -- network storages ------------------------------------------------------------------------------

STORAGE = {
    "storageId": "7b0f3d0e-1111-2222-3333-444455556666",
    "storageName": "data",
    "storageSize": 50,
    "clusterId": "us-west-1",
    "clusterName": "US-WEST-01",
    "price": "200",
}


def test_a_storage() -> None:
    found = read(STORAGE, NetworkStorage)
    assert found.id == found.storage_id == "7b0f3d0e-1111-2222-3333-444455556666"
    assert (found.storage_name, found.storage_size, found.price) == ("data", 50, Decimal(200))
    assert read(
        {**STORAGE, "price": "0.002", "storageSize": "50"}, NetworkStorage
    ).price == Decimal("0.002")
    assert read({**STORAGE, "price": ""}, NetworkStorage).price is None


def test_a_page_of_storages() -> None:
    page = read({"data": [STORAGE], "total": "1"}, NetworkStorageList)
    assert ([one.storage_name for one in page.items], page.total) == (["data"], 1)


@pytest.mark.parametrize(
    "body", ["u-1", {"storageId": "u-1"}, {**STORAGE, "storageId": "u-1"}, {"id": "u-1"}]
)
def test_a_new_storage_may_be_told_as_a_text_or_as_an_object(body: Any) -> None:
    assert read(body, StorageCreated).storage_id == "u-1"


@pytest.mark.parametrize("body", ["", {}, [], None, 7, {"message": "no"}])
def test_a_new_storage_without_an_id_is_none(body: Any) -> None:
    with pytest.raises(Exception, match=r"StorageCreated|expected an object"):
        read(body, StorageCreated)


# -- what is on offer ------------------------------------------------------------------------------

CPU_PRODUCT = {
    "id": "cpu.8c16g",
    "name": "CPU 8 vCPU 16GB",
    "cpuNum": 8,
    "memorySize": 16,
    "rootfsSize": 60,
    "localVolumeSize": 30,
    "availableDeploy": True,
    "price": "9000",
}


@pytest.mark.parametrize("body", [{"data": [CPU_PRODUCT]}, [CPU_PRODUCT]])
def test_cpu_products_come_wrapped_or_bare(body: Any) -> None:
    (found,) = read(body, CpuProductList).items
    assert found == CpuProduct(
        id="cpu.8c16g",
        name="CPU 8 vCPU 16GB",
        cpu_num=8,
        memory_size=16,
        rootfs_size=60,
        local_volume_size=30,
        available_deploy=True,
        price=9000,
    )
    assert found.price_usd == Decimal("0.09")


def test_clusters() -> None:
    (found,) = read(
        {
            "data": [
                {
                    "id": "us-ca-nas-2",
                    "name": "US-CA-06 (California)",
                    "availableGpuType": ["RTX 4090 24GB"],
                    "supportNetworkStorage": True,
                    "supportInstanceNetwork": False,
                }
            ]
        },
        ClusterList,
    ).items
    assert found == Cluster(
        id="us-ca-nas-2",
        name="US-CA-06 (California)",
        available_gpu_type=("RTX 4090 24GB",),
        support_network_storage=True,
        support_instance_network=False,
    )


# -- templates and prewarming ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "time", [{"createdAt": "1767225600"}, {"createTime": "2026-01-01T00:00:00+00:00"}]
)
def test_the_time_of_a_template_may_be_in_either_field(time: dict[str, str]) -> None:
    assert read({"Id": "107672", **time}, Template).created_at == NEW_YEAR


@pytest.mark.parametrize("made", ["107672", 107672])
def test_the_id_of_a_new_template_is_text(made: object) -> None:
    assert read({"templateId": made}, TemplateKept).template_id == "107672"


def test_a_quota() -> None:
    found = read({"total": 2, "limit": 5, "perImageSize": 100}, PrewarmQuota)
    assert (found.total, found.limit, found.per_image_size) == (2, 5, 100)


# -- what is made, and what is billed --------------------------------------------------------------


@pytest.mark.parametrize("kind", [EndpointCreated, PrewarmCreated])
def test_what_was_made_is_known_by_its_id(kind: type[Any]) -> None:
    assert read({"id": "made-1"}, kind).id == "made-1"
    with pytest.raises(Exception, match=kind.__name__):
        read({}, kind)


def test_bills_are_kept_as_they_come() -> None:
    body = {"bills": [{"amount": "125", "month": "2026-01"}], "total": "1"}
    assert read(body, Bills).extra == body
