"""The nouns of the cloud against the emulator: the same test on a plain client, on asyncio and on trio."""

import inspect
import json
from collections.abc import Callable
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from novitai_sdk import Novitai
from novitai_sdk._calling import Async, Sync
from novitai_sdk._retry import RetryPolicy
from novitai_sdk._session import Patience, Session
from novitai_sdk._transport import Reply, Request
from novitai_sdk._waiting import AsyncWaiter, BlockingWaiter
from novitai_sdk.cloud import (
    BillingMethod,
    Cloud,
    CloudStatus,
    CreateInstance,
    InstanceQuery,
    TemplateQuery,
)
from novitai_sdk.emulator import Dropped, Emulator, Quirks, faults
from novitai_sdk.errors import (
    InvalidState,
    NoCapacity,
    NotFound,
    RequestRefused,
    TransportFailed,
    Unauthorized,
    UnexpectedReply,
    ValidationError,
)
from novitai_sdk.models import Secret
from novitai_sdk.testing import MemoryNetwork


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_767_225_600.0 + self.now


class InMemory:
    """A transport that is the emulator itself."""

    def __init__(self, emulator: Emulator, mode: Any) -> None:
        self.emulator = emulator
        self.mode = mode

    async def send(self, request: Request) -> Reply:
        parts = urlsplit(request.url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        try:
            status, headers, body = self.emulator.handle(
                request.method, target, request.headers, request.content
            )
        except Dropped as error:
            raise TransportFailed("the connection was dropped") from error
        return Reply(status=status, headers=headers, body=body)

    async def close(self) -> None:
        return


class World:
    """A cloud, its emulator, its clock, and a way to call it."""

    def __init__(self, backend: str | None) -> None:
        self.backend = backend
        self.clock = Clock()
        self.build()

    def build(self, key: str | None = None, **options: Any) -> "Cloud[Any]":
        self.emulator = Emulator(api_key="emulator-key", clock=self.clock, **options)
        mode, waiter = (Sync, BlockingWaiter()) if self.backend is None else (Async, AsyncWaiter())
        session: Session[Any] = Session(
            InMemory(self.emulator, mode),
            waiter,
            base_url=self.emulator.base_url,
            api_key=Secret(key or self.emulator.api_key),
            user_agent="test",
            patience=Patience(retry=RetryPolicy(attempts=1)),
        )
        self.cloud: Cloud[Any] = Cloud(session)
        return self.cloud

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call *method* as its client's user would, and return what comes of it."""
        if self.backend is None:
            found = method(*args, **kwargs)
            assert not inspect.isawaitable(found)
            return found

        async def awaited() -> Any:
            return await method(*args, **kwargs)

        return anyio.run(awaited, backend=self.backend)

    def take(self, found: Any, most: int = 1000) -> list[Any]:
        """Return the first of what an iteration gives, then leave it."""
        if self.backend is None:
            return list(islice(found, most))

        async def taken() -> list[Any]:
            return (
                [await anext(found) for _ in range(most)]
                if most < 1000
                else [one async for one in found]
            )

        return anyio.run(taken, backend=self.backend)


@pytest.fixture(params=[None, "asyncio", "trio"], ids=["plain", "asyncio", "trio"])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def order(**changes: Any) -> CreateInstance:
    asked: dict[str, Any] = {
        "name": "demo",
        "product_id": "4090.16c62g",
        "image_url": "a/b:1",
        "gpu_num": 1,
        "rootfs_size": 60,
        "cluster_id": "us-west-1",
    }
    return CreateInstance(**{**asked, **changes})


def test_a_life_from_create_to_gone(world: World) -> None:
    instances = world.cloud.instances
    made = world.call(instances.create, order(ports="8888/http", billing_mode=BillingMethod.SPOT))
    assert world.call(instances.get, made.id).status is CloudStatus.PENDING
    world.clock.now += 1
    running = world.call(instances.get, made.id)
    assert running.status is CloudStatus.RUNNING
    assert running.port_mappings[0].endpoint.startswith("https://")
    assert running.connect_component_ssh.ssh_command.startswith("ssh -p ")
    assert world.call(instances.stop, made.id) is None
    world.clock.now += 1
    assert world.call(instances.get, made.id).status is CloudStatus.EXITED
    assert world.call(instances.start, made.id) is None
    world.clock.now += 1
    assert world.call(instances.delete, made.id) is None
    world.clock.now += 10
    with pytest.raises(NotFound):
        world.call(instances.get, made.id)


@pytest.mark.parametrize("style", ["404", "400", "empty"])
def test_an_unknown_instance_is_not_found_in_whichever_way_it_is_said(
    world: World, style: Any
) -> None:
    instances = world.build(quirks=Quirks(unknown_instance=style)).instances
    with pytest.raises(NotFound) as caught:
        world.call(instances.get, "nobody")
    assert caught.value.operation == "instances.get"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b'{"status": "maintenance"}',
        b'{"data": {"id": "x"}}',
        b'{"ok": true}',
        b"[]",
        b"null",
    ],
)
def test_only_an_empty_object_says_that_there_is_no_such_instance(
    world: World, body: bytes
) -> None:
    made = world.call(world.cloud.instances.create, order())
    world.emulator.order(faults.garbled_reply("instances.get", body=body))
    with pytest.raises(UnexpectedReply):
        world.call(world.cloud.instances.get, made.id)


@pytest.mark.parametrize(("noun", "body"), [("instances", b"{}"), ("networks", b'{"network": []}')])
def test_a_thing_not_found_by_a_success_is_told_with_all_that_is_known_of_the_call(
    noun: str, body: bytes
) -> None:
    class Empty:
        def handle(self, *_: Any) -> Any:
            return 200, {"X-Request-Id": "r-1"}, body

    with (
        Novitai(api_key="k", network=MemoryNetwork(Empty()), store="memory") as client,
        pytest.raises(NotFound) as caught,
    ):
        getattr(client.cloud, noun).get("nobody")
    error = caught.value
    assert (error.operation, error.status, error.request_id) == (f"{noun}.get", 200, "r-1")
    assert [one.status for one in error.history] == [200]
    assert (error.attempts, error.resend_safe) == (1, True)
    assert error.elapsed > 0


def test_a_record_without_an_id_is_not_taken_for_not_found(world: World) -> None:
    made = world.call(world.cloud.instances.create, order())
    for body, problem in ((b'{"id": "i", "status": []}', "status"), (b'{"cpuNum": []}', "id")):
        world.emulator.order(faults.garbled_reply("instances.get", body=body))
        with pytest.raises(UnexpectedReply, match=problem):
            world.call(world.cloud.instances.get, made.id)


@pytest.mark.parametrize("no_id", ["", "  ", "null", "undefined", "None", "0", 0, False, [], None])
def test_what_stands_for_no_id_is_none_and_nothing_is_sent_again(
    world: World, no_id: object
) -> None:
    body = json.dumps({"id": no_id}).encode()
    world.emulator.order(faults.garbled_reply("instances.create", body=body))
    with pytest.raises(UnexpectedReply, match=r"\$\.id") as caught:
        world.call(world.cloud.instances.create, order())
    assert (caught.value.attempts, caught.value.resend_safe) == (1, False)
    (made,) = world.emulator.instances
    world.emulator.order(faults.garbled_reply("instances.get", body=body))
    with pytest.raises(UnexpectedReply, match=r"\$\.id"):
        world.call(world.cloud.instances.get, made.id)
    listing = json.dumps({"instances": [{"id": "a"}, {"id": no_id}], "total": 2}).encode()
    world.emulator.order(faults.garbled_reply("instances.list", body=listing))
    with pytest.raises(UnexpectedReply, match=r"instances\[1\]\.id"):
        world.call(world.cloud.instances.list)


@pytest.mark.parametrize("first_page_twice", [True, False])
@pytest.mark.parametrize("as_text", [True, False])
def test_list_walks_all_pages_in_both_dialects(
    world: World, first_page_twice: bool, as_text: bool
) -> None:
    quirks = Quirks(page_zero_is_page_one=first_page_twice, total_as_text=as_text)
    instances = world.build(quirks=quirks).instances
    made = {world.call(instances.create, order(name=f"n{number}")).id for number in range(8)}
    listed = world.call(instances.list, page_size=3)
    assert len(listed) == 8
    assert {one.id for one in listed} == made


def test_iterate_fetches_as_it_goes(world: World) -> None:
    instances = world.cloud.instances
    for number in range(7):
        world.call(instances.create, order(name=f"n{number}"))
    found = instances.iterate(page_size=3)
    assert world.emulator.calls("instances.list") == 0
    assert [one.name for one in world.take(found, 2)] == ["n6", "n5"]
    assert world.emulator.calls("instances.list") == 1
    assert len({one.id for one in world.take(found)}) == 5
    narrowed = instances.iterate(name="n3", status=CloudStatus.PENDING, product_name="4090")
    assert [one.name for one in world.take(narrowed)] == ["n3"]
    assert {one.id for one in world.take(world.cloud.templates.iterate(page_size=1))} == {
        one.id for one in world.call(world.cloud.templates.list)
    }


def test_an_iteration_cut_short_raises_after_what_came(world: World) -> None:
    for number in range(3):
        world.call(world.cloud.instances.create, order(name=f"n{number}"))
    world.emulator.order(faults.cut_list(keep=2))
    found = world.cloud.instances.iterate()
    assert [one.name for one in world.take(found, 2)] == ["n2", "n1"]
    with pytest.raises(UnexpectedReply, match="cut short"):
        world.take(found)


def test_list_can_be_narrowed(world: World) -> None:
    instances = world.cloud.instances
    for name in ("one", "two"):
        world.call(instances.create, order(name=name))
    assert [one.name for one in world.call(instances.list, name="tw")] == ["two"]
    assert world.call(instances.list, product_name="A100") == ()
    assert world.call(instances.list, status=CloudStatus.RUNNING) == ()
    world.clock.now += 1
    assert len(world.call(instances.list, status=CloudStatus.RUNNING)) == 2


def test_list_page_gives_one_page_as_it_came(world: World) -> None:
    instances = world.cloud.instances
    for number in range(3):
        world.call(instances.create, order(name=f"n{number}"))
    page = world.call(instances.list_page, InstanceQuery(page_size=2, page_num=1))
    assert [one.name for one in page.items] == ["n2", "n1"]
    assert page.total == 3


def test_a_listing_cut_short_raises(world: World) -> None:
    for number in range(3):
        world.call(world.cloud.instances.create, order(name=f"n{number}"))
    world.emulator.order(faults.cut_list(keep=2))
    with pytest.raises(UnexpectedReply, match=r"instances\.list: .*cut short: 2 of 3"):
        world.call(world.cloud.instances.list)


def test_an_empty_reply_is_not_an_empty_listing(world: World) -> None:
    world.emulator.order(faults.empty_reply("instances.list"), faults.garbled_reply(body=b"{}"))
    for _ in range(2):
        with pytest.raises(UnexpectedReply, match="instances"):
            world.call(world.cloud.instances.list)


def test_what_breaks_a_limit_is_not_sent(world: World) -> None:
    with pytest.raises(ValidationError, match="gpuNum"):
        world.call(world.cloud.instances.create, order(gpu_num=9))
    with pytest.raises(ValidationError, match="instanceId"):
        world.call(world.cloud.instances.get, "")
    with pytest.raises(ValidationError, match="gpuNum"):
        world.call(world.cloud.products.list, gpu_num=9)
    with pytest.raises(ValidationError, match="pageSize"):
        world.call(world.cloud.templates.list_page, TemplateQuery(page_size=0))
    with pytest.raises(ValidationError, match="pageSize"):
        world.cloud.templates.iterate(page_size=0)
    assert world.emulator.requests == ()


def test_refusals_have_meanings(world: World) -> None:
    instances = world.cloud.instances
    with pytest.raises(NoCapacity):
        world.call(instances.create, order(product_id="L40S-48GB.14c90g"))
    with pytest.raises(NotFound):
        world.call(instances.create, order(product_id="abacus"))
    with pytest.raises(RequestRefused) as caught:
        world.call(instances.create, order(product_id="3090.8c30g", rootfs_size=2000))
    assert "rootfsSize" in caught.value.metadata
    made = world.call(instances.create, order())
    with pytest.raises(InvalidState, match="invalid state change"):
        world.call(instances.stop, made.id)
    with pytest.raises(Unauthorized):
        world.call(world.build(key="wrong").instances.list)


def test_products_and_clusters_fit_together(world: World) -> None:
    clusters = {one.region: one for one in world.call(world.cloud.clusters.list)}
    assert {"CN-HK-01", "US-WEST-01", "EU-WEST-01"} <= set(clusters)
    west = clusters["US-WEST-01"]
    found = world.call(
        world.cloud.products.list,
        cluster_id=west.id,
        product_name="4090",
        billing_method=BillingMethod.SPOT,
        gpu_num=2,
    )
    assert [one.id for one in found] == ["4090.16c62g", "4090.16c96g.v2"]
    assert all(one.offered_in("US-WEST-01") and one.spot_price_usd for one in found)


@pytest.mark.parametrize("wrapped", [True, False])
def test_cpu_products_are_read_in_both_forms(world: World, wrapped: bool) -> None:
    products = world.build(quirks=Quirks(wrapped_cpu_products=wrapped)).products
    (found,) = world.call(products.list_cpu, product_name="8 vcpu", cluster_id="us-west-1")
    assert (found.cpu_num, found.memory_size, found.rootfs_size) == (8, 16, 60)
    assert str(found.price_usd) == "0.09"
    assert world.call(products.list_cpu, product_name="GPU") == ()


def test_templates_are_listed_and_read(world: World) -> None:
    listed = world.call(world.cloud.templates.list)
    assert {"tf-training-template-1", "107672"} <= {one.id for one in listed}
    private = world.call(world.cloud.templates.list, channel="private", is_my_community=True)
    assert [one.id for one in private] == ["108001"]
    found = world.call(world.cloud.templates.get, "tf-training-template-1")
    assert [str(port) for port in found.port_list] == ["8888/http", "22/tcp"]
    with pytest.raises(NotFound):
        world.call(world.cloud.templates.get, "none")
    page = world.call(world.cloud.templates.list_page, TemplateQuery(page_size=1, page_num=2))
    assert len(page.items) == 1


def test_registry_credentials_open_private_images(world: World) -> None:
    (credential,) = world.call(world.cloud.registries.list)
    template = world.call(world.cloud.templates.get, "108001")
    assert template.image_auth.reveal() == credential.id
    bare = world.call(world.cloud.instances.create, order(image_url=template.image))
    given = world.call(
        world.cloud.instances.create, order(image_url=template.image, image_auth_id=credential.id)
    )
    world.clock.now += 1
    failed = world.call(world.cloud.instances.get, bare.id)
    assert failed.failed
    assert "unauthorized" in failed.failure
    assert world.call(world.cloud.instances.get, given.id).status is CloudStatus.RUNNING


def test_a_noun_shows_no_key(world: World) -> None:
    assert "emulator-key" not in repr(world.cloud)
    assert "emulator-key" not in repr(world.cloud.instances)
