"""One table: every operation has one method, one answer of the emulator, and one line in the guide."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from novitai_sdk import Novitai, RetryPolicy
from novitai_sdk._calling import dual, dual_iter
from novitai_sdk.cloud import (
    ROUTES,
    AnyRoute,
    Cloud,
    CreateEndpoint,
    CreateInstance,
    CreatePrewarm,
    EndpointHealth,
    EndpointImage,
    EndpointPolicy,
    EndpointPort,
    EndpointProduct,
    Instance,
    NewTemplate,
    PolicyType,
    Resend,
    UpdateEndpoint,
    UpgradeInstance,
    WorkerConfig,
)
from novitai_sdk.emulator import Emulator
from novitai_sdk.emulator._answers import ANSWERS
from novitai_sdk.errors import InvalidState, NotFound
from novitai_sdk.models import Secret

GUIDE = Path(__file__).parents[2] / "docs" / "cloud.md"

ENDPOINT = CreateEndpoint(
    worker_config=WorkerConfig(min_num=0, max_num=1, free_timeout=60, max_concurrent=1, gpu_num=1),
    ports=(EndpointPort(port="8000"),),
    policy=EndpointPolicy(type=PolicyType.QUEUE, value=30),
    image=EndpointImage(image="a/b:1"),
    products=(EndpointProduct(id="4090.16c62g"),),
    rootfs_size=100,
    volume_mounts=(),
    healthy=EndpointHealth(path="/health"),
)

# What each operation is called with. The name of a route is the way to its method.
EXAMPLES: dict[str, Callable[[Any], object]] = {
    "instances.create": lambda create: create(
        CreateInstance(product_id="4090.16c62g", image_url="a/b:1", gpu_num=1, rootfs_size=60)
    ),
    "instances.list": lambda list_: list_(),
    "instances.get": lambda get: get("i"),
    "instances.start": lambda start: start("i"),
    "instances.stop": lambda stop: stop("i"),
    "instances.delete": lambda delete: delete("i"),
    "instances.restart": lambda restart: restart("i"),
    "instances.edit": lambda edit: edit("i", expand_root_disk=1),
    "instances.upgrade": lambda upgrade: upgrade(
        UpgradeInstance.like(Instance(id="i", image_url="a/b:2"), save=True)
    ),
    "instances.migrate": lambda migrate: migrate("i"),
    "instances.renew": lambda renew: renew("i", 1),
    "instances.to_monthly": lambda to_monthly: to_monthly("i", 1),
    "instances.set_auto_renew": lambda set_: set_("i", auto_renew=True),
    "instances.set_auto_migrate": lambda set_: set_(
        "i", auto_migrate_open=True, auto_migrate_system_disk=False
    ),
    "products.list": lambda list_: list_(),
    "products.list_cpu": lambda list_: list_(),
    "clusters.list": lambda list_: list_(),
    "jobs.list": lambda list_: list_(),
    "jobs.break_job": lambda break_: break_("j"),
    "jobs.save_image": lambda save: save("i", "a/b:3"),
    "metrics.get": lambda get: get("i"),
    "registries.list": lambda list_: list_(),
    "registries.save": lambda save: save("r", username="u", password=Secret("p")),
    "registries.delete": lambda delete: delete("r"),
    "image_prewarm.quota": lambda quota: quota(),
    "image_prewarm.list": lambda list_: list_(),
    "image_prewarm.create": lambda create: create(
        CreatePrewarm(image_url="a/b:1", cluster_id="us-west-1")
    ),
    "image_prewarm.edit": lambda edit: edit("p", note="n"),
    "image_prewarm.delete": lambda delete: delete(["p"]),
    "networks.list": lambda list_: list_(),
    "networks.get": lambda get: get("n"),
    "networks.create": lambda create: create("us-west-1", name="n"),
    "networks.update": lambda update: update("n", name="m"),
    "networks.delete": lambda delete: delete("n"),
    "network_storages.list": lambda list_: list_(),
    "network_storages.create": lambda create: create(
        "us-west-1", storage_name="s", storage_size=10
    ),
    "network_storages.update": lambda update: update("s", storage_name="s", storage_size=10),
    "network_storages.delete": lambda delete: delete("s"),
    "templates.list": lambda list_: list_(),
    "templates.get": lambda get: get("t"),
    "endpoints.limits": lambda limits: limits(),
    "endpoints.list": lambda list_: list_(),
    "endpoints.get": lambda get: get("e"),
    "endpoints.create": lambda create: create(ENDPOINT),
    "endpoints.update": lambda update: update(
        UpdateEndpoint(
            id="e",
            worker_config=ENDPOINT.worker_config,
            ports=ENDPOINT.ports,
            policy=ENDPOINT.policy,
            image=ENDPOINT.image,
        )
    ),
    "endpoints.delete": lambda delete: delete("e"),
    "account.balance": lambda balance: balance(),
    "account.monthly_bill": lambda bill: bill(),
    "account.bills": lambda bills: bills(),
    "account.monthly_bills": lambda bills: bills(),
    "account.key_bills": lambda bills: bills(),
    "account.transactions": lambda transactions: transactions(),
    "templates.create": lambda create: create(NewTemplate(name="t", image="a/b:1", rootfs_size=60)),
    "templates.update": lambda update: update(
        "t", NewTemplate(name="t", image="a/b:1", rootfs_size=60)
    ),
    "templates.delete": lambda delete: delete("t"),
}
# Ways to read the same listing, beside `list`.
PAGED = ("iterate", "list_page")


def methods_of(noun: object) -> set[str]:
    return {name for name, value in vars(type(noun)).items() if isinstance(value, dual | dual_iter)}


def nouns_of(cloud: "Cloud[Any]") -> dict[str, Any]:
    return {
        name: getattr(cloud, name)
        for name, value in vars(Cloud).items()
        if isinstance(value, property)
    }


@pytest.fixture(scope="module")
def emulator() -> Any:
    with Emulator() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def client(emulator: Emulator) -> Any:
    with Novitai(
        api_key=emulator.api_key,
        base_url=emulator.base_url,
        store="memory",
        retry=RetryPolicy(attempts=1),
    ) as client:
        yield client


def test_names_and_requests_are_told_apart() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.url) for route in ROUTES}) == len(ROUTES)


def test_only_reads_are_sent_again_without_a_thought() -> None:
    assert all((route.resend is Resend.SAFE) == (route.method == "GET") for route in ROUTES)
    made = [route for route in ROUTES if route.name.endswith((".create", ".save_image"))]
    assert made
    assert all(route.resend is Resend.NEVER for route in made)


def test_every_method_is_a_way_to_one_operation(client: Novitai) -> None:
    found = {
        f"{name}.{verb}"
        for name, noun in nouns_of(client.cloud).items()
        for verb in methods_of(noun)
    }
    assert {name for name in found if name.split(".")[1] not in PAGED} == {
        route.name for route in ROUTES
    }
    paged = {name.split(".")[0] for name in found if name.split(".")[1] in PAGED}
    for noun in paged:
        assert {f"{noun}.{verb}" for verb in ("list", *PAGED)} <= found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_operation_is_called_and_answered(
    client: Novitai, emulator: Emulator, route: AnyRoute
) -> None:
    assert (route.method, route.url) in ANSWERS
    noun, verb = route.name.split(".")
    seen = len(emulator.requests)
    with suppress(NotFound, InvalidState):  # answered all the same, in the cloud's own words
        EXAMPLES[route.name](getattr(getattr(client.cloud, noun), verb))
    (request,) = emulator.requests[seen:]
    assert (request.operation, request.method, request.path) == (
        route.name,
        route.method,
        route.url,
    )


def test_the_guide_lists_what_there_is() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \| (GET|POST) `(/.+)` \|$", GUIDE.read_text(), re.MULTILINE
    )
    told = {(noun, verbs.split("`")[1], method, path) for noun, verbs, method, path in rows}
    assert told == {(*route.name.split("."), route.method, route.path) for route in ROUTES}
