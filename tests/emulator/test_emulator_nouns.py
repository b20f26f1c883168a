"""What the emulated cloud refuses of changes, jobs, networks and storages, and where it is as lax as the cloud."""

from typing import Any

import pytest

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import Metrics
from novitai_sdk.emulator import Quirks

UPGRADE = {
    "instanceId": "i",
    "imageUrl": "a/b:2",
    "envs": [],
    "command": "",
    "entrypoint": "",
    "save": True,
    "networkVolume": {"volumeMounts": []},
}


def problems(answer: Any) -> set[str]:
    found = answer.json()
    assert (answer.status, found["reason"]) == (400, "VALIDATOR_PARAM"), found
    return set(found["metadata"])


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("instance/restart", {}, {"instanceId"}),
        ("instance/edit", {"instanceId": "i", "ports": "80/http"}, {"ports"}),
        (
            "instance/edit",
            {"instanceId": "i", "ports": [{"port": "80"}, {"port": 65536, "type": "udp"}, 7]},
            {"ports[0].port", "ports[0].type", "ports[1].port", "ports[1].type", "ports[2]"},
        ),
        ("instance/edit", {"instanceId": "i", "expandRootDisk": -1}, {"expandRootDisk"}),
        ("instance/upgrade", {}, set(UPGRADE)),
        (
            "instance/upgrade",
            {**UPGRADE, "networkVolume": []},
            {"networkVolume"},
        ),
        (
            "instance/upgrade",
            {**UPGRADE, "networkVolume": {}},
            {"networkVolume.volumeMounts"},
        ),
        (
            "instance/upgrade",
            {**UPGRADE, "networkVolume": {"volumeMounts": [{"type": "local"}]}},
            {"networkVolume.volumeMounts[0].type", "networkVolume.volumeMounts[0].id"},
        ),
        ("instance/renewInstance", {"instanceId": "i", "month": 0}, {"month"}),
        ("instance/transToMonthlyInstance", {"instanceId": "i", "month": "1"}, {"month"}),
        (
            "instance/setAutoRenew",
            {"instanceIds": "i", "autoRenew": "yes", "autoRenewMonth": 13},
            {"instanceIds", "autoRenew", "autoRenewMonth"},
        ),
        (
            "instance/setAutoRenew",
            {"instanceIds": [7, "i", ""], "autoRenew": True, "autoRenewMonth": 1},
            {"instanceIds[0]", "instanceIds[2]"},
        ),
        (
            "instance/setAutoMigrate",
            {"instanceId": "i"},
            {"autoMigrateOpen", "autoMigrateSystemDisk"},
        ),
    ],
)
def test_a_change_that_is_not_as_documented_is_refused(
    hand: Any, path: str, body: dict[str, Any], wrong: set[str]
) -> None:
    assert problems(hand.cloud.post(f"/gpu/{path}", body)) == wrong


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("/job/break", {}, {"jobId"}),
        ("/job/save/image", {"image": "i" * 4096}, {"instanceId", "image"}),
        ("/network/create", {"name": "n" * 31}, {"clusterId", "name"}),
        ("/network/update", {"networkId": "n", "name": ""}, {"name"}),
        ("/network/delete", {}, {"networkId"}),
        (
            "/networkstorage/create",
            {"storageSize": 9},
            {"clusterId", "storageName", "storageSize"},
        ),
        ("/networkstorage/update", {"storageId": "s"}, {"storageName", "storageSize"}),
        ("/networkstorage/delete", {"storageId": ""}, {"storageId"}),
    ],
)
def test_a_request_that_is_not_as_documented_is_refused(
    hand: Any, path: str, body: dict[str, Any], wrong: set[str]
) -> None:
    assert problems(hand.cloud.post(path, body)) == wrong


def test_ports_and_tools_together_are_at_most_15(hand: Any) -> None:
    made = hand.create(tools=[{"name": "Jupyter", "port": "8888", "type": "http"}])
    hand.clock.now += 1
    for count, status in ((14, 200), (15, 400)):
        ports = [{"port": number, "type": "tcp"} for number in range(1, count + 1)]
        answer = hand.cloud.post("/gpu/instance/edit", {"instanceId": made, "ports": ports})
        assert answer.status == status
    reserved = [{"port": 2223, "type": "tcp"}]
    answer = hand.cloud.post("/gpu/instance/edit", {"instanceId": made, "ports": reserved})
    assert problems(answer) == {"ports"}


def test_only_what_stands_or_runs_is_edited_or_saved(hand: Any) -> None:
    made = hand.create()
    for path, body in (
        ("/gpu/instance/edit", {"instanceId": made, "ports": []}),
        ("/job/save/image", {"instanceId": made, "image": "a/b:1"}),
    ):
        answer = hand.cloud.post(path, body)
        assert answer.status == 400
        assert "invalid state change" in answer.json()["message"]


def test_accounts_do_not_see_what_belongs_to_others(hand: Any) -> None:
    made = hand.create()
    hand.clock.now += 1
    hand.cloud.post("/job/save/image", {"instanceId": made, "image": "a/b:1"})
    hand.cloud.post("/network/create", {"clusterId": "us-west-1"})
    storage = {"clusterId": "us-west-1", "storageName": "s", "storageSize": 10}
    hand.cloud.post("/networkstorage/create", storage)
    hand.cloud.open_account("other-key")
    prefix = "/gpu-instance/openapi/v1"
    for path, name in (
        ("/jobs", "jobs"),
        ("/networks", "networks"),
        ("/networkstorages/list", "data"),
    ):
        assert len(hand.cloud.get(path).json()[name]) == 1
        headers = {"authorization": "Bearer other-key"}
        _, _, body = hand.cloud.handle("GET", prefix + path, headers)
        assert f'"{name}":[]'.encode() in body


@pytest.mark.parametrize(
    "query",
    ["", "&startTime=abc", "&interval=1", "&endTime=99999999999", "&startTime=-5&interval=x"],
)
def test_times_and_intervals_that_cannot_be_used_are_replaced_without_a_word(
    hand: Any, query: str
) -> None:
    made = hand.create()
    hand.clock.now += 1
    answer = hand.cloud.get(f"/metrics/gpu/instance?instanceId={made}{query}")
    found = cloud_converter.structure(answer.json(), Metrics)
    assert len(found.cpu_utilization) == 5
    assert answer.json() == hand.cloud.get(f"/metrics/gpu/instance?instanceId={made}").json()


def test_a_long_span_of_metrics_is_bounded(hand: Any) -> None:
    made = hand.create()
    hand.clock.now += 1
    found = hand.cloud.get(f"/metrics/gpu/instance?instanceId={made}&startTime=0").json()
    assert len(found["cpuUtilization"]) <= 10_001


def test_only_the_node_of_what_runs_can_fail(hand: Any) -> None:
    made = hand.create()
    with pytest.raises(ValueError, match="not running"):
        hand.cloud.fail_node(made)
    with pytest.raises(KeyError):
        hand.cloud.fail_node("nobody")


@pytest.mark.parametrize("stay", [False, True])
def test_what_went_wrong_is_old_news_after_a_start_or_stays(make_hand: Any, stay: bool) -> None:
    hand = make_hand(quirks=Quirks(failures_stay=stay))
    made = hand.create()
    hand.clock.now += 1
    hand.cloud.fail_node(made)
    assert hand.get(made)["statusError"]["state"] == "nodeFailed"
    hand.act("start", made)
    assert hand.get(made)["statusError"]["state"] == ("nodeFailed" if stay else "")


def test_gpus_given_back_before_the_stock_is_set_are_not_given_back_again(hand: Any) -> None:
    made = hand.create(gpuNum=8)
    hand.clock.now += 1
    hand.act("stop", made)
    hand.clock.now += 1
    hand.cloud.set_stock("4090.16c62g", "us-west-1", free=0)
    assert hand.act("start", made).json()["reason"] == "INSUFFICIENT_RESOURCE"
