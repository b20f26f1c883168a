"""The switches for what the cloud was seen to do otherwise than documented, and what is documented plainly."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from novitai_sdk import Novitai
from novitai_sdk.emulator import Emulator, Quirks
from novitai_sdk.errors import InvalidState, NotFound
from novitai_sdk.testing import MemoryNetwork

DOCS = Path(__file__).parents[2] / "docs" / "emulator.md"


def client_of(cloud: Emulator) -> Novitai:
    return Novitai(api_key=cloud.api_key, network=MemoryNetwork(cloud), store="memory")


def refused(answer: Any) -> tuple[int, dict[str, str]]:
    return answer.status, answer.json()["metadata"]


@pytest.mark.parametrize("field", attrs.fields(Quirks), ids=lambda field: field.name)
def test_every_switch_is_told_of(field: Any) -> None:
    assert f"| `{field.name}` |" in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("field", attrs.fields(Quirks), ids=lambda field: field.name)
def test_a_setting_that_a_switch_does_not_have_is_refused(field: Any) -> None:
    with pytest.raises(
        ValueError, match=f"{field.name} is 'mask': .*{field.default!r}.* is expected"
    ):
        Quirks(**{field.name: "mask"})


@pytest.mark.parametrize("as_text", [True, False])
def test_counts_are_texts_or_numbers(make_hand: Any, as_text: bool) -> None:
    hand = make_hand(quirks=Quirks(counts_as_text=as_text))
    record = hand.get(hand.create(gpuNum=2))
    kinds = {type(record[name]) for name in ("cpuNum", "memory", "gpuNum")}
    assert kinds == {str if as_text else int}
    with client_of(hand.cloud) as client:
        assert client.cloud.instances.get(record["id"]).gpu_num == 2


@pytest.mark.parametrize(
    ("how", "expected"),
    [("shown", [("A", "b")]), ("masked", [("A", "******")]), ("hidden", [])],
)
def test_environments_are_shown_masked_or_hidden(make_hand: Any, how: Any, expected: Any) -> None:
    hand = make_hand(quirks=Quirks(env_values=how))
    made = hand.create(envs=[{"key": "A", "value": "b"}])
    (listed,) = hand.cloud.get("/gpu/instances").json()["instances"]
    for record in (hand.get(made), listed):
        assert [(one["key"], one["value"]) for one in record["envs"]] == expected
    assert hand.cloud.instances[0].envs == {"A": "b"}


@pytest.mark.parametrize("blank", [True, False])
def test_a_billing_mode_nobody_named_is_blank(make_hand: Any, blank: bool) -> None:
    hand = make_hand(quirks=Quirks(blank_enums=blank))
    unnamed = hand.create()
    assert hand.get(unnamed)["billingMode"] == ("" if blank else "onDemand")
    assert hand.get(hand.create(billingMode="spot"))["billingMode"] == "spot"
    assert hand.get(hand.create(billingMode="onDemand"))["billingMode"] == "onDemand"
    assert hand.get(hand.create(month=1))["billingMode"] == "monthly"
    with client_of(hand.cloud) as client:
        found = client.cloud.instances.get(unnamed).billing_mode
        assert found == (None if blank else "onDemand")


@pytest.mark.parametrize("regions", ["names", "codes"])
def test_the_regions_of_a_product_are_names_or_codes(make_hand: Any, regions: Any) -> None:
    cloud = make_hand(quirks=Quirks(product_regions=regions)).cloud
    found = {one for row in cloud.get("/products").json()["data"] for one in row["regions"]}
    assert any("(" in one for one in found) is (regions == "names")
    with client_of(cloud) as client:
        here = {one.id for one in client.catalog.products("US-WEST-01")}
        assert "4090.16c62g" in here
        assert here < {one.id for one in client.catalog.products()}


def test_a_kind_may_be_left_out_by_observation_and_is_required_by_the_documents(
    make_hand: Any, body: Any
) -> None:
    assert make_hand().create(kind=None)
    strict = make_hand(quirks=Quirks(kind_may_be_left_out=False))
    answer = strict.cloud.post("/gpu/instance/create", body(kind=None))
    assert refused(answer) == (400, {"kind": "is required"})
    assert strict.create()


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ({"name": "Jupyter", "type": "tcp"}, "tools[0].type"),
        ({"name": "Emacs"}, "tools[0].name"),
        ({"name": "Jupyter", "port": 8888}, "tools[0].port"),
        ({"name": "Jupyter", "port": "lab"}, "tools[0].port"),
        ({"name": "Jupyter", "port": "\u0663"}, "tools[0].port"),
        ({"name": "Jupyter", "port": "0"}, "tools[0].port"),
        ({"name": "Jupyter", "port": "2222"}, "tools[0].port"),
    ],
)
def test_the_one_tool_is_jupyter_over_http(hand: Any, body: Any, tool: Any, field: str) -> None:
    assert list(refused(hand.cloud.post("/gpu/instance/create", body(tools=[tool])))[1]) == [field]
    assert hand.create(tools=[{"name": "Jupyter", "port": "8888", "type": "http"}])


THINGS = {
    "templates": "/template?templateId=x",
    "networks": "/network?networkId=x",
    "endpoints": "/endpoint?id=x",
}


@pytest.mark.parametrize("noun", THINGS)
@pytest.mark.parametrize(
    ("style", "status", "words"),
    [("400", 400, "not found"), ("404", 404, "not found"), ("fount", 400, "not fount")],
)
def test_what_is_not_there_has_three_answers(
    make_hand: Any, noun: str, style: Any, status: int, words: str
) -> None:
    cloud = make_hand(quirks=Quirks(unknown_thing=style)).cloud
    answer = cloud.get(THINGS[noun])
    assert answer.status == status
    assert words in answer.json()["message"]
    assert cloud.get("/gpu/instance?instanceId=x").status == 404
    with client_of(cloud) as client:
        with pytest.raises(NotFound):
            getattr(client.cloud, noun).get("x")
        with pytest.raises(NotFound):
            getattr(client.cloud, noun).delete("x")


@pytest.mark.parametrize(("where", "said"), [("message", True), ("reason", False)])
def test_a_wrong_state_is_in_the_message_or_is_the_reason(
    make_hand: Any, where: Any, said: bool
) -> None:
    hand = make_hand(quirks=Quirks(wrong_state_in=where))
    made = hand.create()
    answer = hand.act("start", made).json()
    assert ("invalid state change" in answer["message"]) is said
    assert (answer["reason"] == "CONFLICT") is not said
    with client_of(hand.cloud) as client, pytest.raises(InvalidState):
        client.cloud.instances.start(made)


@pytest.mark.parametrize("by_id", [True, False])
def test_an_endpoint_is_deleted_by_its_name_and_maybe_by_id(make_hand: Any, by_id: bool) -> None:
    cloud = make_hand(quirks=Quirks(endpoint_deleted_by_id=by_id)).cloud
    body = {
        "appName": "app", "ports": [{"port": "8000"}], "rootfsSize": 100, "volumeMounts": [],
        "workerConfig": {"minNum": 0, "maxNum": 1, "freeTimeout": 60, "maxConcurrent": 1, "gpuNum": 1},
        "policy": {"type": "queue", "value": 30}, "image": {"image": "a/b:1"},
        "products": [{"id": "4090.16c62g"}], "healthy": {"path": "/health"},
    }  # fmt: skip
    made = cloud.post("/endpoint/create", {"endpoint": body}).json()["id"]
    assert cloud.post("/endpoint/delete", {"id": made}).status == (200 if by_id else 400)
    if not by_id:
        assert cloud.post("/endpoint/delete", {"name": made}).status == 200
