"""What the emulated cloud accepts, refuses and shows; every record read by the client's own models."""

import json
from typing import Any

import attrs
import pytest

from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import (
    ROUTES,
    CpuProductList,
    Instance,
    InstanceList,
    ProductList,
    RegistryList,
    TemplateList,
)
from novitai_sdk.emulator import (
    DEFAULT_STOCK,
    Emulator,
    Quirks,
    Stock,
    StockCluster,
    StockProduct,
    faults,
)
from novitai_sdk.emulator._answers import ANSWERS

PREFIX = "/gpu-instance/openapi/v1"


def refusal(answer: Any) -> tuple[int, str, dict[str, str]]:
    found = answer.json()
    assert set(found) == {"code", "reason", "message", "metadata"}
    assert found["code"] == answer.status
    return answer.status, found["reason"], found["metadata"]


def test_every_route_of_the_client_is_answered() -> None:
    assert {operation.route for operation in ANSWERS.values()} == set(ROUTES)


# -- who asks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "emulator-key"},
        {"Authorization": "Basic emulator-key"},
        {"authorization": "Bearer no"},
    ],
)
@pytest.mark.parametrize("path", ["/clusters", "/nowhere", "/gpu/instance?instanceId=x"])
def test_a_missing_or_wrong_key_comes_before_anything_else(
    headers: dict[str, str], path: str
) -> None:
    status, _, body = Emulator(api_key="emulator-key").handle("GET", PREFIX + path, headers)
    assert status == 401
    assert json.loads(body)["reason"] == "UNAUTHORIZED"


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
@pytest.mark.parametrize(
    "value", ["Bearer emulator-key", "bearer emulator-key", "Bearer  emulator-key "]
)
def test_any_spelling_of_the_header_will_do(name: str, value: str) -> None:
    assert (
        Emulator(api_key="emulator-key").handle("GET", f"{PREFIX}/clusters", {name: value})[0]
        == 200
    )


def test_unknown_routes_are_404(hand: Any) -> None:
    assert refusal(hand.cloud.get("/gpu/instance/list")) == (404, "API_NOT_FOUND", {})
    assert refusal(hand.cloud.post("/clusters", {})) == (404, "API_NOT_FOUND", {})
    assert (
        hand.cloud.handle("GET", "http://[half", {"authorization": "Bearer emulator-key"})[0] == 404
    )


def test_accounts_see_their_own_instances_only(hand: Any) -> None:
    hand.cloud.open_account("other-key")
    made = hand.create()
    other = {"authorization": "Bearer other-key"}
    assert hand.cloud.handle("GET", f"{PREFIX}/gpu/instance?instanceId={made}", other)[0] == 404
    listed = json.loads(hand.cloud.handle("GET", f"{PREFIX}/gpu/instances", other)[2])
    assert listed == {"instances": [], "total": 0}


# -- creating ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"productId": None}, "productId"),
        ({"imageUrl": None}, "imageUrl"),
        ({"imageUrl": ""}, "imageUrl"),
        ({"imageUrl": 5}, "imageUrl"),
        ({"gpuNum": None}, "gpuNum"),
        ({"gpuNum": "1"}, "gpuNum"),
        ({"gpuNum": True}, "gpuNum"),
        ({"gpuNum": 1.5}, "gpuNum"),
        ({"gpuNum": 0}, "gpuNum"),
        ({"gpuNum": 9}, "gpuNum"),
        ({"gpuNum": 10**400}, "gpuNum"),
        ({"rootfsSize": None}, "rootfsSize"),
        ({"rootfsSize": 6145}, "rootfsSize"),
        ({"name": "n" * 256}, "name"),
        ({"ports": [{"port": 80, "type": "http"}]}, "ports"),
        ({"ports": "80"}, "ports"),
        ({"ports": "80/udp"}, "ports"),
        ({"ports": "2222/tcp"}, "ports"),
        ({"ports": "65536/tcp"}, "ports"),
        ({"ports": ",".join(f"{n}/http" for n in range(1, 17))}, "ports"),
        ({"envs": {"A": "b"}}, "envs"),
        ({"envs": ["A=b"]}, "envs[0]"),
        ({"envs": [{"value": "b"}]}, "envs[0].key"),
        ({"envs": [{"key": "A", "value": 1}]}, "envs[0].value"),
        ({"envs": [{"key": "A", "value": "v"}] * 101}, "envs"),
        ({"tools": [{"name": "Jupyter", "port": 8888, "type": "http"}]}, "tools[0].port"),
        ({"networkStorages": [{"id": "x"}]}, "networkStorages[0].Id"),
        ({"kind": "tpu"}, "kind"),
        ({"billingMode": "free"}, "billingMode"),
        ({"billingMode": "monthly"}, "month"),
        ({"autoRenew": "yes"}, "autoRenew"),
        ({"autoRenewMonth": 13}, "autoRenewMonth"),
    ],
)
def test_a_create_is_held_to_the_documents(
    hand: Any, body: Any, changes: dict[str, Any], field: str
) -> None:
    status, reason, metadata = refusal(hand.cloud.post("/gpu/instance/create", body(**changes)))
    assert (status, reason) == (400, "VALIDATOR_PARAM")
    assert list(metadata) == [field]
    assert hand.cloud.instances == ()


def test_all_wrong_fields_are_named(hand: Any) -> None:
    assert set(refusal(hand.cloud.post("/gpu/instance/create", {"gpuNum": "x"}))[2]) == {
        "productId",
        "imageUrl",
        "gpuNum",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": None},
        {"billingMode": ""},
        {"name": None},
        {"ports": "", "command": "", "unknownField": {"a": 1}},
        {"ports": "80/http, 3306/tcp"},
        {"clusterId": None},
        {"clusterId": ""},
        {"tools": [{"name": "Jupyter", "port": "8888", "type": "http"}]},
    ],
)
def test_what_clients_leave_out_or_add_is_accepted(hand: Any, changes: dict[str, Any]) -> None:
    assert hand.get(hand.create(**changes))["kind"] == "gpu"


def test_nulls_are_absent(hand: Any, body: Any) -> None:
    answer = hand.cloud.post("/gpu/instance/create", {**body(), "networkId": None, "month": None})
    assert answer.status == 200


def test_a_root_disk_below_10_is_raised_to_10(hand: Any) -> None:
    assert hand.get(hand.create(rootfsSize=1))["rootfsSize"] == 10


@pytest.mark.parametrize(
    ("changes", "reason", "metadata"),
    [
        ({"productId": "abacus"}, "RESOURCE_NOT_FOUND", {"productId": "abacus"}),
        ({"clusterId": "US-WEST-01"}, "RESOURCE_NOT_FOUND", {"clusterId": "US-WEST-01"}),
        ({"imageAuthId": "none"}, "RESOURCE_NOT_FOUND", {"imageAuthId": "none"}),
        (
            {"productId": "4090.32c128g", "billingMode": "spot"},
            "UNSUPPORTED_BILLING_MODE",
            {"billingMode": "spot"},
        ),
        ({"productId": "H100-80GB.16c180g"}, "INSUFFICIENT_RESOURCE", {}),
        ({"productId": "H100-80GB.16c180g", "clusterId": None}, "INSUFFICIENT_RESOURCE", {}),
        ({"productId": "L40S-48GB.14c90g"}, "INSUFFICIENT_RESOURCE", {}),
        ({"productId": "A100-80GB.14c240g", "clusterId": "eu-west-1"}, "INSUFFICIENT_RESOURCE", {}),
        (
            {"productId": "3090.8c30g", "clusterId": "as-sgp-2", "gpuNum": 5},
            "INSUFFICIENT_RESOURCE",
            {},
        ),
    ],
)
def test_domain_refusals_are_400s_told_apart_by_reason(
    hand: Any, body: Any, changes: dict[str, Any], reason: str, metadata: dict[str, str]
) -> None:
    answer = hand.cloud.post("/gpu/instance/create", body(**changes))
    assert refusal(answer) == (400, reason, metadata)


def test_stock_is_taken_given_back_and_needed_to_start(make_hand: Any, body: Any) -> None:
    hand = make_hand(life=0)
    hand.cloud.set_stock("4090.16c62g", "us-west-1", free=2)
    first = hand.create(gpuNum=2)
    full = hand.cloud.post("/gpu/instance/create", body())
    assert refusal(full)[1] == "INSUFFICIENT_RESOURCE"
    hand.act("stop", first)
    second = hand.create(gpuNum=1)
    assert refusal(hand.act("start", first))[:2] == (400, "INSUFFICIENT_RESOURCE")
    assert hand.status(first) == "exited"
    hand.act("delete", second)
    assert hand.act("start", first).status == 200


def test_the_platform_picks_a_cluster_that_has_room(hand: Any) -> None:
    hand.cloud.set_stock("4090.16c62g", "cn-hongkong-1", free=0)
    assert hand.get(hand.create(clusterId=None))["clusterId"] == "us-west-1"


def test_a_product_that_ran_out_says_so(hand: Any) -> None:
    hand.cloud.set_stock("3090.8c30g", free=0)
    rows = {row["id"]: row for row in hand.cloud.get("/products").json()["data"]}
    assert rows["3090.8c30g"]["availableDeploy"] is False
    assert rows["H100-80GB.16c180g"]["availableDeploy"] is False
    assert rows["H100-80GB.16c180g"]["inventoryState"] == "none"
    assert rows["L40S-48GB.14c90g"]["availableDeploy"] is True
    with pytest.raises(KeyError):
        hand.cloud.set_stock("abacus", free=1)
    with pytest.raises(KeyError):
        hand.cloud.set_stock("3090.8c30g", "us-west-1", free=1)


@pytest.mark.parametrize(
    ("auth", "ends"),
    [
        ({}, "exited"),
        ({"imageAuth": "robot:wrong"}, "exited"),
        ({"imageAuth": "robot:emulated-registry-password"}, "running"),
        ({"imageAuthId": "5f2d1c0b9a8e7f6d5c4b3a2918070605"}, "running"),
    ],
)
def test_a_private_image_needs_its_credential(hand: Any, auth: dict[str, str], ends: str) -> None:
    made = hand.create(imageUrl="registry.example.com/team/trainer:1", **auth)
    assert hand.statuses(made)[-2:] == ["pulling", ends]
    error = hand.get(made)["statusError"]
    assert bool(error["state"] and error["message"]) == (ends == "exited")
    if ends == "exited":
        hand.act("start", made)
        assert hand.statuses(made)[-1] == "exited"


def test_a_cpu_instance(hand: Any) -> None:
    made = hand.create(kind="cpu", productId="cpu.8c16g", gpuNum=None, rootfsSize=None)
    record = hand.get(made)
    assert (record["kind"], record["gpuNum"], record["cpuNum"], record["memory"]) == (
        "cpu",
        "0",
        "8",
        "16",
    )


# -- reading -----------------------------------------------------------------------------------------


def test_numbers_are_texts_on_the_wire(hand: Any) -> None:
    record = hand.get(hand.create(gpuNum=2))
    for name, value in (
        ("gpuNum", "2"),
        ("cpuNum", "32"),
        ("memory", "124"),
        ("createdAt", "1767225600"),
    ):
        assert record[name] == value
    assert record["endTime"] == "-1"
    assert record["spotReclaimTime"] == "0"


def test_a_running_instance_can_be_reached_and_others_cannot(hand: Any) -> None:
    tools = [{"name": "Jupyter", "port": "8889", "type": "http"}]
    made = hand.create(ports="8888/http,22/tcp", tools=tools)
    early = cloud_converter.structure(hand.get(made), Instance)
    assert [port.endpoint for port in early.port_mappings] == ["", ""]
    assert early.connect_component_ssh is not None
    assert early.connect_component_ssh.is_running is False
    hand.clock.now += 1
    found = cloud_converter.structure(hand.get(made), Instance)
    http, tcp = found.port_mappings
    assert http.endpoint == f"https://{made}-8888.us-west-1.gpu-instance.novita.ai"
    assert tcp.endpoint is not None
    host, _, outer = tcp.endpoint.rpartition(":")
    assert host == "proxy.us-west-1.gpu-instance.novita.ai"
    assert outer.isdigit()
    assert outer != "22"
    assert found.connect_component_ssh is not None
    assert found.connect_component_ssh.password
    assert found.connect_component_jupyter is not None
    assert found.connect_component_jupyter.port == 8889
    assert found.connect_component_jupyter.is_running is True


@pytest.mark.parametrize("lean", [True, False])
def test_lists_are_lean_by_observation(make_hand: Any, lean: bool) -> None:
    hand = make_hand(quirks=Quirks(lists_are_lean=lean))
    made = hand.create(ports="80/http")
    hand.clock.now += 1
    (item,) = hand.cloud.get("/gpu/instances").json()["instances"]
    detail = hand.get(made)
    hidden = {name for name in detail if name.startswith("connectComponent")}
    assert len(hidden) == 4
    assert set(item) == set(detail) - (hidden if lean else set())
    assert ("endpoint" in item["portMappings"][0]) is not lean


@pytest.mark.parametrize(
    ("style", "status", "message"),
    [("404", 404, "not found"), ("400", 400, "not fount"), ("empty", 200, "")],
)
def test_an_unknown_instance_has_three_answers(
    make_hand: Any, style: Any, status: int, message: str
) -> None:
    hand = make_hand(quirks=Quirks(unknown_instance=style))
    answer = hand.cloud.get("/gpu/instance?instanceId=nobody")
    assert answer.status == status
    assert message in answer.json().get("message", "")
    assert hand.act("stop", "nobody").status == (404 if style == "empty" else status)


def test_an_instance_must_be_named(hand: Any) -> None:
    assert refusal(hand.cloud.get("/gpu/instance"))[2] == {"instanceId": "is required"}
    assert refusal(hand.cloud.get("/gpu/instance?instanceId="))[2] == {"instanceId": "is required"}
    assert refusal(hand.cloud.post("/gpu/instance/stop", {}))[2] == {"instanceId": "is required"}


@pytest.mark.parametrize("answers", [True, False])
def test_actions_answer_or_not(make_hand: Any, answers: bool) -> None:
    hand = make_hand(life=0, quirks=Quirks(actions_answer=answers))
    assert bool(hand.act("stop", hand.create()).body) is answers


@pytest.mark.parametrize("same", [True, False])
def test_the_first_page_is_0_or_0_and_1(make_hand: Any, same: bool) -> None:
    hand = make_hand(quirks=Quirks(page_zero_is_page_one=same))
    made = [hand.create() for _ in range(5)][::-1]

    def page(number: int) -> list[str]:
        answer = hand.cloud.get(f"/gpu/instances?pageSize=2&pageNum={number}").json()
        assert answer["total"] == 5
        return [one["id"] for one in answer["instances"]]

    assert page(0) == made[:2]
    assert page(1) == (made[:2] if same else made[2:4])
    assert page(3) == (made[4:] if same else [])
    assert page(9) == []


def test_a_list_without_paging_is_a_first_page(hand: Any) -> None:
    for _ in range(12):
        hand.create()
    answer = hand.cloud.get("/gpu/instances?pageSize=0&pageNumber=5").json()
    assert (len(answer["instances"]), answer["total"]) == (10, 12)


@pytest.mark.parametrize(
    "query", ["pageSize=-1", "pageNum=x", "status=stopped", f"name={'n' * 256}"]
)
def test_a_list_query_is_held_to_the_documents(hand: Any, query: str) -> None:
    assert refusal(hand.cloud.get(f"/gpu/instances?{query}"))[:2] == (400, "VALIDATOR_PARAM")


def test_total_may_be_a_text(make_hand: Any) -> None:
    answer = make_hand(quirks=Quirks(total_as_text=True)).cloud.get("/gpu/instances").json()
    assert answer["total"] == "0"
    assert cloud_converter.structure(answer, InstanceList).total == 0


# -- what is on offer --------------------------------------------------------------------------------


def product_ids(hand: Any, query: str = "") -> list[str]:
    return [row["id"] for row in hand.cloud.get(f"/products{query}").json()["data"]]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("?productName=a100", ["A100-SXM4-40GB.12c120g", "A100-80GB.14c240g"]),
        ("?clusterId=as-sgp-2", ["4090.16c62g", "3090.8c30g"]),
        ("?clusterId=nowhere", []),
        ("?gpuNum=5&productName=3090", []),
        ("?gpuNum=4&productName=3090", ["3090.8c30g"]),
        ("?billingMethod=monthly", ["4090.16c62g", "A100-SXM4-40GB.12c120g"]),
        ("?billingMethod=spot&productName=4090", ["4090.16c62g", "4090.16c96g.v2"]),
        ("?minCpuPerGpu=17", ["4090.32c128g"]),
        ("?minMemoryPerGpu=200", ["A100-80GB.14c240g"]),
        ("?minRootFSSize=2000&clusterId=as-sgp-2", ["4090.16c62g"]),
    ],
)
def test_products_are_filtered(hand: Any, query: str, wanted: list[str]) -> None:
    assert product_ids(hand, query) == wanted


@pytest.mark.parametrize("as_text", [True, False])
def test_prices_are_texts_by_observation(make_hand: Any, as_text: bool) -> None:
    answer = make_hand(quirks=Quirks(prices_as_text=as_text)).cloud.get("/products").json()
    prices = [row[name] for row in answer["data"] for name in ("price", "spotPrice") if name in row]
    assert {type(price) for price in prices} == {str if as_text else int}
    rows = cloud_converter.structure(answer, ProductList).items
    assert {row.id: row.price for row in rows} == {
        product.id: product.price for product in DEFAULT_STOCK.products
    }


def test_the_default_stock_holds_what_it_promises(hand: Any) -> None:
    regions = ["CN-HK-01", "US-WEST-01", "EU-WEST-01"]
    rows = cloud_converter.structure(hand.cloud.get("/products").json(), ProductList).items
    for name in ("RTX 4090 24GB", "A100-SXM4-40GB"):
        for region in regions:
            offered = [row for row in rows if row.name == name and row.offered_in(region)]
            assert any(
                row.available_deploy and row.price_usd and row.spot_price_usd for row in offered
            )
    by_price = [row for row in rows if row.name == "RTX 4090 24GB" and row.price == 35000]
    assert len(by_price) == 2
    assert any("(" in region for row in rows for region in row.regions)
    assert any(not row.available_deploy for row in rows)
    templates = cloud_converter.structure(hand.cloud.get("/templates").json(), TemplateList).items
    assert any(one.port_list for one in templates)
    assert any(not one.port_list for one in templates)
    credentials = cloud_converter.structure(
        hand.cloud.get("/repository/auths").json(), RegistryList
    ).items
    private = [one for one in templates if one.image_auth]
    assert [one.image_auth.reveal() for one in private if one.image_auth] == [credentials[0].id]


@pytest.mark.parametrize("wrapped", [True, False])
def test_cpu_products_are_wrapped_by_observation(make_hand: Any, wrapped: bool) -> None:
    answer = (
        make_hand(quirks=Quirks(wrapped_cpu_products=wrapped))
        .cloud.get("/cpu/products?productName=cpu")
        .json()
    )
    rows = answer if not wrapped else answer["data"]
    (row,) = cloud_converter.structure({"data": rows}, CpuProductList).items
    assert row.price_usd is not None
    assert (row.cpu_num, row.memory_size) == (8, 16)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", 4),
        ("?channel=official&isMyCommunity=false", 3),
        ("?channel=official,private", 4),
        ("?channel=official&channel=private", 4),
        ("?channel=private&isMyCommunity=true", 1),
        ("?name=pytorch", 1),
        ("?type=instance", 4),
        ("?pageSize=3&pageNum=2", 1),
    ],
)
def test_templates_are_filtered_and_paged(hand: Any, query: str, wanted: int) -> None:
    assert len(hand.cloud.get(f"/templates{query}").json()["template"]) == wanted


@pytest.mark.parametrize(
    "query", ["pageNum=0", "pageSize=0", "isMyCommunity=yes", "pageNum=1&pageNum=2"]
)
def test_a_template_query_is_held_to_the_documents(hand: Any, query: str) -> None:
    assert refusal(hand.cloud.get(f"/templates?{query}"))[1] == "VALIDATOR_PARAM"


def test_an_unknown_template_is_a_400(hand: Any) -> None:
    assert refusal(hand.cloud.get("/template?templateId=1"))[:2] == (400, "TEMPLATE_NOT_FOUND")


def test_stock_can_be_ones_own(make_hand: Any) -> None:
    stock = Stock(
        clusters=(StockCluster(id="c", name="C-01", label="c-1"),),
        products=(StockProduct(id="p", name="P", price=1, spot_price="", free={"c": 1}),),
    )
    hand = make_hand(stock=stock)
    (row,) = hand.cloud.get("/products").json()["data"]
    assert (row["spotPrice"], row["billingMethods"]) == ("", ["onDemand"])
    assert hand.get(hand.create(productId="p", clusterId=None))["clusterName"] == "C-01"


# -- what is remembered ------------------------------------------------------------------------------


def test_requests_are_remembered_without_their_secrets(hand: Any) -> None:
    made = hand.create(imageAuth="robot:hush-password", envs=[{"key": "T", "value": "hush-env"}])
    hand.get(made)
    hand.cloud.get("/nowhere?token=hush-query")
    hand.cloud.order(faults.dropped())
    hand.cloud.get("/clusters")
    assert [(one.operation, one.status) for one in hand.cloud.requests] == [
        ("instances.create", 200),
        ("instances.get", 200),
        (None, 404),
        ("clusters.list", None),
    ]
    assert hand.cloud.calls("instances.create") == 1
    assert "hush" not in repr(hand.cloud.requests)
    assert "emulator-key" not in repr(hand.cloud.requests)
    assert all(attrs.asdict(one)["method"] for one in hand.cloud.requests)


def test_a_life_cannot_be_negative() -> None:
    for life in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="life"):
            Emulator(api_key="emulator-key", life=life)


def test_a_fault_of_the_emulator_itself_is_answered_and_logged(
    hand: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand.cloud, "_account", lambda headers: 1 / 0)
    assert refusal(hand.cloud.get("/clusters"))[:2] == (500, "UNKNOWN")
    assert "ZeroDivisionError" in caplog.text


def test_a_product_that_is_nowhere_cannot_be_had(make_hand: Any, body: Any) -> None:
    stock = Stock(
        clusters=DEFAULT_STOCK.clusters,
        products=(StockProduct(id="p", name="P", price=1, free={}),),
    )
    answer = make_hand(stock=stock).cloud.post(
        "/gpu/instance/create", body(productId="p", clusterId=None)
    )
    assert refusal(answer)[:2] == (400, "INSUFFICIENT_RESOURCE")
