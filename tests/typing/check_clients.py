"""Every noun on both faces: what type checkers make of a client's face. Checked, never run."""

from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from typing_extensions import assert_type

from novitai_sdk import (
    AsyncNovitai,
    BillingMode,
    ConnectionDetails,
    CreateInstanceRequest,
    InstanceDetails,
    InstanceStatus,
    Job,
    JobQueueStats,
    Novitai,
    PortMapping,
    RetryPolicy,
    Settings,
    WebhookEvent,
    cloud,
    converter,
    transport,
)
from novitai_sdk._calling import Async, Sync
from novitai_sdk.emulator import Emulator
from novitai_sdk.instances import Catalog, Choice, Instance, Instances, Region, Rental, WaitProgress
from novitai_sdk.jobs import JobPage, JobQuery, Jobs, MemoryStore
from novitai_sdk.models import EnhancedHealthCheckResponse, HealthCheckResponse, Json, Secret
from novitai_sdk.testing import ManualClock, MemoryNetwork
from novitai_sdk.webhooks import Webhooks


def a_client_is_made(settings: Settings, emulator: Emulator) -> None:
    assert_type(Novitai(), Novitai)
    Novitai(api_key="sk-example", base_url="https://api.novita.ai", timeout=20, store="memory")
    Novitai(settings=settings, store=Path("jobs.db"))
    Novitai(store=MemoryStore(), network=MemoryNetwork(emulator), clock=ManualClock())
    AsyncNovitai(regions=["EU-WEST-01"], retry=RetryPolicy(attempts=2), webhook_secrets="whsec_1")


async def what_no_noun_covers(client: Novitai, other: AsyncNovitai) -> None:
    route = cloud.Route[cloud.InstanceRef, cloud.Instance](
        "instances.mine", "GET", "/gpu/instance", cloud.InstanceRef, cloud.Instance
    )
    assert_type(client.cloud.call(route, cloud.InstanceRef(instance_id="i")), cloud.Instance)
    client.cloud.call(route, "i")  # type: ignore[misc]  # pyright: ignore[reportArgumentType]  # must be refused
    assert_type(client.cloud.raw.call(route, None), cloud.RawReply)
    assert_type(client.cloud.raw, cloud.CloudRaw[Sync])
    assert_type(client.cloud.request("GET", "/x", query={"a": 1}), Json)
    client.using(on_attempt=print, timeout=3)
    assert_type(await other.cloud.call(route, timeout=3.0), cloud.Instance)
    assert_type(await other.cloud.raw.request("GET", "/x"), cloud.RawReply)


def a_client_may_bring_its_own_engine(mine: transport.Transport[Sync]) -> None:
    Novitai(http_client=httpx.Client())
    Novitai(transport=mine)
    AsyncNovitai(http_client=httpx.AsyncClient())
    Novitai(http_client=httpx.AsyncClient())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    AsyncNovitai(http_client=httpx.Client())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    AsyncNovitai(transport=mine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused


def what_is_no_option_is_refused() -> None:
    Novitai(timeuot=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # must be refused
    Novitai(timeout="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    AsyncNovitai(store=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    AsyncNovitai("sk-example")  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue]  # must be refused


def a_plain_client(client: Novitai) -> None:
    assert_type(client.instances, Instances[Sync])
    assert_type(client.catalog, Catalog[Sync])
    assert_type(client.cloud, cloud.Cloud[Sync])
    assert_type(client.jobs, Jobs[Sync])
    assert_type(client.webhooks, Webhooks[Sync])
    assert_type(client.settings, Settings)
    assert_type(client.health(), HealthCheckResponse)
    assert_type(client.health_report(timeout=2), EnhancedHealthCheckResponse)
    assert_type(client.close(), None)
    with client as same:
        assert_type(same, Novitai)


async def an_awaiting_client(client: AsyncNovitai) -> None:
    assert_type(client.instances, Instances[Async])
    assert_type(client.catalog, Catalog[Async])
    assert_type(client.cloud, cloud.Cloud[Async])
    assert_type(client.jobs, Jobs[Async])
    assert_type(client.webhooks, Webhooks[Async])
    assert_type(client.settings, Settings)
    assert_type(await client.health(), HealthCheckResponse)
    assert_type(await client.health_report(timeout=2), EnhancedHealthCheckResponse)
    assert_type(await client.aclose(), None)
    async with client as same:
        assert_type(same, AsyncNovitai)


async def each_client_has_its_own_block(plain: Novitai, awaiting: AsyncNovitai) -> None:
    with awaiting:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]  # must be refused
        pass
    async with plain:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]  # must be refused
        pass
    _ = awaiting.close  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportAttributeAccessIssue]  # must be refused


def a_sibling_is_of_the_same_kind(plain: Novitai, awaiting: AsyncNovitai) -> None:
    assert_type(plain.using(timeout=5), Novitai)
    assert_type(awaiting.using(attempt_timeout=5, retry=RetryPolicy()), AsyncNovitai)
    plain.using(timeuot=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # must be refused
    plain.using(store="memory")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # must be refused
    plain.using(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused


# -- instances ----------------------------------------------------------------------------------------


def plain_instances(client: Novitai, request: CreateInstanceRequest) -> None:
    made = client.instances.create(
        name="a", product_name="RTX 4090 24GB", template_id="t", gpu_num=2, billing_mode="spot"
    )
    assert_type(made, Instance[Sync])
    assert_type(client.instances.create(request, max_wait=60), Instance[Sync])
    assert_type(client.instances.get("inst_1"), Instance[Sync])
    assert_type(client.instances.list(include_unmanaged=True), tuple[Instance[Sync], ...])
    assert_type(client.instances.start("inst_1"), Instance[Sync])
    assert_type(client.instances.stop("inst_1", timeout=3), Instance[Sync])
    assert_type(client.instances.delete("inst_1"), Instance[Sync])
    assert_type(made.wait_until_ready(60, progress=False), Instance[Sync])
    assert_type(made.refresh().stop().start().delete(), Instance[Sync])


async def awaiting_instances(client: AsyncNovitai, request: CreateInstanceRequest) -> None:
    made = await client.instances.create(
        name="a", product_name="RTX 4090 24GB", template_id=7, region="EU-WEST-01"
    )
    assert_type(made, Instance[Async])
    assert_type(await client.instances.create(request, max_wait=60), Instance[Async])
    assert_type(await client.instances.get("inst_1"), Instance[Async])
    assert_type(await client.instances.list(), tuple[Instance[Async], ...])
    assert_type(await client.instances.start("inst_1"), Instance[Async])
    assert_type(await client.instances.stop("inst_1"), Instance[Async])
    assert_type(await client.instances.delete("inst_1"), Instance[Async])
    assert_type(await made.wait_until_ready(60, progress=True), Instance[Async])
    assert_type(await (await made.refresh()).stop(), Instance[Async])


def an_instance_is_its_details(instance: Instance[Sync]) -> None:
    details: InstanceDetails = instance
    assert_type(details.status, InstanceStatus)
    assert_type(instance.connection_details, ConnectionDetails | None)
    assert_type(instance.port_mappings, tuple[PortMapping, ...])
    assert_type(instance.hourly_price, Decimal | None)
    assert_type(instance.mode, type[Sync])


def a_create_knows_its_fields(client: Novitai) -> None:
    client.instances.create(nam="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # must be refused
    client.instances.create(name=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    client.instances.create("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused


def progress_is_told(instance: Instance[Sync]) -> None:
    def told(progress: WaitProgress) -> None:
        assert_type(progress.elapsed, float)
        assert_type(progress.phase, str | None)

    instance.wait_until_ready(on_progress=told)
    instance.wait_until_ready(on_progress=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused


def a_plain_rental(client: Novitai) -> None:
    rental = client.instances.rent(name="a", product_name="b", template_id="c", timeout=60)
    assert_type(rental, Rental[Sync])
    with rental as instance:
        assert_type(instance, Instance[Sync])


async def an_awaiting_rental(client: AsyncNovitai) -> None:
    rental = client.instances.rent(name="a", product_name="b", template_id="c", timeout=60)
    assert_type(rental, Rental[Async])
    async with rental as instance:
        assert_type(instance, Instance[Async])


async def each_rental_has_its_own_block(plain: Rental[Sync], awaiting: Rental[Async]) -> None:
    with awaiting:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]  # must be refused
        pass
    async with plain:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]  # must be refused
        pass


# -- the other nouns ----------------------------------------------------------------------------------


def the_plain_catalog(client: Novitai, request: CreateInstanceRequest) -> None:
    assert_type(client.catalog.products("US-WEST-01"), tuple[cloud.Product, ...])
    assert_type(client.catalog.products(billing_mode=BillingMode.SPOT), tuple[cloud.Product, ...])
    assert_type(client.catalog.templates(), tuple[cloud.Template, ...])
    assert_type(client.catalog.regions(), tuple[Region, ...])
    choice = assert_type(client.catalog.choose(request), Choice)
    assert_type(choice.hourly_price, Decimal)


async def the_awaiting_catalog(client: AsyncNovitai, request: CreateInstanceRequest) -> None:
    assert_type(await client.catalog.products(), tuple[cloud.Product, ...])
    assert_type(await client.catalog.templates(), tuple[cloud.Template, ...])
    assert_type(await client.catalog.regions(), tuple[Region, ...])
    assert_type(await client.catalog.choose(request), Choice)


def plain_jobs(client: Novitai) -> None:
    assert_type(client.jobs.get("job_1"), Job)
    assert_type(client.jobs.list(status="failed", limit=3), tuple[Job, ...])
    assert_type(client.jobs.stats(), JobQueueStats)
    assert_type(client.jobs.wait("job_1", timeout=3), Job)
    assert_type(client.jobs.retry("job_1"), Job)
    assert_type(client.jobs.cancel("job_1", "no longer wanted"), Job)
    assert_type(
        client.jobs.list(status=["failed"], type=("a", "b"), order="newest"), tuple[Job, ...]
    )
    assert_type(client.jobs.list_page(JobQuery(type="a", limit=3)), JobPage)
    _ = assert_type(client.jobs.iterate(status="failed"), Iterator[Job])
    assert_type(client.jobs.purge(older_than=60, status="failed"), int)
    client.jobs.list(order="random")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused


async def awaiting_jobs(client: AsyncNovitai) -> None:
    assert_type(await client.jobs.get("job_1"), Job)
    assert_type(await client.jobs.list(), tuple[Job, ...])
    assert_type(await client.jobs.stats(), JobQueueStats)
    assert_type(await client.jobs.wait("job_1"), Job)
    assert_type(await client.jobs.retry("job_1"), Job)
    assert_type(await client.jobs.cancel("job_1"), Job)
    _ = assert_type(client.jobs.iterate(), AsyncIterator[Job])
    assert_type(await client.jobs.list_page(JobQuery()), JobPage)
    assert_type(await client.jobs.purge(older_than=60), int)


async def webhooks(plain: Novitai, awaiting: AsyncNovitai, event: WebhookEvent) -> None:
    assert_type(plain.webhooks.send(event, "https://example.com/hook"), Job)
    assert_type(plain.webhooks.deliveries(status="failed"), tuple[Job, ...])
    assert_type(await awaiting.webhooks.send(event, "https://example.com/hook"), Job)
    assert_type(await awaiting.webhooks.deliveries(), tuple[Job, ...])


def the_plain_cloud(client: Novitai, body: cloud.CreateInstance) -> None:
    assert_type(client.cloud.instances.create(body), cloud.Created)
    assert_type(client.cloud.instances.get("a"), cloud.Instance)
    assert_type(client.cloud.instances.list(name="a"), tuple[cloud.Instance, ...])
    assert_type(client.cloud.instances.list_page(cloud.InstanceQuery()), cloud.InstanceList)
    assert_type(client.cloud.instances.start("a"), None)
    assert_type(client.cloud.instances.stop("a"), None)
    assert_type(client.cloud.instances.delete("a"), None)
    _ = assert_type(client.cloud.instances.iterate(name="a"), Iterator[cloud.Instance])
    assert_type(client.cloud.instances.restart("a"), None)
    assert_type(client.cloud.instances.edit("a", ports=[cloud.Port(port=80)]), None)
    assert_type(client.cloud.instances.migrate("a"), cloud.Migrated)
    assert_type(client.cloud.instances.renew("a", 1), None)
    assert_type(client.cloud.jobs.list(state=cloud.JobPhase.FAIL), tuple[cloud.CloudJob, ...])
    assert_type(client.cloud.jobs.save_image("a", "b:1"), str)
    assert_type(client.cloud.metrics.get("a"), cloud.Metrics)
    assert_type(client.cloud.networks.create("a"), cloud.Network | None)
    _ = assert_type(client.cloud.networks.iterate(), Iterator[cloud.Network])
    assert_type(client.cloud.network_storages.create("a", storage_name="b", storage_size=10), str)
    assert_type(client.cloud.products.list(gpu_num=1), tuple[cloud.Product, ...])
    assert_type(client.cloud.products.list_cpu(), tuple[cloud.CpuProduct, ...])
    assert_type(client.cloud.clusters.list(), tuple[cloud.Cluster, ...])
    assert_type(client.cloud.templates.list(), tuple[cloud.Template, ...])
    assert_type(client.cloud.templates.list_page(cloud.TemplateQuery()), cloud.TemplateList)
    assert_type(client.cloud.templates.get("a"), cloud.Template)
    new = cloud.NewTemplate(name="a", image="b:1", rootfs_size=60)
    assert_type(client.cloud.templates.create(new), str)
    assert_type(client.cloud.templates.update("a", new), None)
    assert_type(client.cloud.registries.save("a", username="b", password=Secret("c")), None)
    assert_type(client.cloud.image_prewarm.quota(), cloud.PrewarmQuota)
    _ = assert_type(client.cloud.image_prewarm.iterate(), Iterator[cloud.PrewarmTask])
    assert_type(client.cloud.registries.list(), tuple[cloud.RegistryCredential, ...])


async def the_awaiting_cloud(client: AsyncNovitai, body: cloud.CreateInstance) -> None:
    assert_type(await client.cloud.instances.create(body), cloud.Created)
    _ = assert_type(client.cloud.instances.iterate(name="a"), AsyncIterator[cloud.Instance])
    async for job in client.cloud.jobs.iterate():
        assert_type(job, cloud.CloudJob)
    assert_type(await client.cloud.metrics.get("a"), cloud.Metrics)
    assert_type(await client.cloud.networks.get("a"), cloud.Network)
    assert_type(await client.cloud.network_storages.list(), tuple[cloud.NetworkStorage, ...])
    assert_type(await client.cloud.instances.get("a"), cloud.Instance)
    assert_type(await client.cloud.instances.list(), tuple[cloud.Instance, ...])
    assert_type(await client.cloud.instances.list_page(cloud.InstanceQuery()), cloud.InstanceList)
    assert_type(await client.cloud.instances.start("a"), None)
    assert_type(await client.cloud.instances.stop("a"), None)
    assert_type(await client.cloud.instances.delete("a"), None)
    assert_type(await client.cloud.products.list(), tuple[cloud.Product, ...])
    assert_type(await client.cloud.products.list_cpu(), tuple[cloud.CpuProduct, ...])
    assert_type(await client.cloud.clusters.list(), tuple[cloud.Cluster, ...])
    assert_type(await client.cloud.templates.list(), tuple[cloud.Template, ...])
    assert_type(await client.cloud.templates.get("a"), cloud.Template)
    assert_type(await client.cloud.registries.list(), tuple[cloud.RegistryCredential, ...])


def what_is_written_can_be_read(instance: Instance[Sync], data: Mapping[str, Any]) -> None:
    assert_type(converter.structure(data, InstanceDetails), InstanceDetails)
    _: Any = converter.unstructure(instance)
