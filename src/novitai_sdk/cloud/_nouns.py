"""What a client can do with each noun of the cloud: the API as it is, typed, with no policy on top."""

from typing import TYPE_CHECKING

import attrs

from .._calling import Mode, Moded, dual
from ..errors import NotFound, UnexpectedReply
from . import _routes as routes
from ._instance_models import (
    Created,
    CreateInstance,
    Instance,
    InstanceList,
    InstanceQuery,
    InstanceRef,
)
from ._limits import (
    check_create,
    check_id,
    check_instance_query,
    check_product_query,
    check_template_query,
)
from ._paging import PAGE_SIZE, all_pages
from ._product_models import Cluster, CpuProduct, Product, ProductQuery
from ._template_models import RegistryCredential, Template, TemplateList, TemplateQuery, TemplateRef
from ._words import BillingMode, CloudStatus

if TYPE_CHECKING:  # the session stands above the models and routes this package also holds
    from .._session import Session

__all__ = [
    "Cloud",
    "CloudClusters",
    "CloudInstances",
    "CloudProducts",
    "CloudRegistries",
    "CloudTemplates",
]


@attrs.frozen
class _Noun(Moded[Mode]):
    _session: "Session[Mode]" = attrs.field(repr=False)

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._session.mode


@attrs.frozen
class CloudInstances(_Noun[Mode]):
    """Instances as the cloud has them, with no record, no job and no waiting of ours.

    Every method raises CallError and its kinds; see :mod:`novitai_sdk.errors`.
    """

    @dual
    async def create(self, body: CreateInstance) -> Created:
        """Rent a machine and return its id; it bills from the moment its image is pulled.

        Never sent twice: after a TransportFailed or ServerFailed the machine may exist, and only the listing can
        tell. Raises ValidationError before anything is sent if *body* breaks a documented limit, NoCapacity if
        nothing is free, InsufficientBalance.
        """
        check_create(body)
        return await self._session.call(routes.CREATE_INSTANCE, body)

    @dual
    async def get(self, instance_id: str) -> Instance:
        """Return one instance with everything known of it. Raises NotFound when there is none of that id."""
        check_id("instanceId", instance_id)
        try:
            return await self._session.call(
                routes.GET_INSTANCE, InstanceRef(instance_id=instance_id)
            )
        except UnexpectedReply as error:
            # The third way to say so, beside 404 and 400: a 200 with an empty object.
            if error.problems != _NOTHING:
                raise
            raise NotFound(
                f"no instance {instance_id}: the cloud answered with an empty object",
                status=error.status,
                operation=error.operation,
                attempts=error.attempts,
                elapsed=error.elapsed,
                resend_safe=True,
            ) from error

    @dual
    async def list(
        self,
        *,
        name: str | None = None,
        product_name: str | None = None,
        status: CloudStatus | None = None,
    ) -> tuple[Instance, ...]:
        """Return all instances that match, from all pages, each once.

        *name* and *product_name* match parts. Connection details and port endpoints are left out by the cloud; read
        them with :meth:`get`. Raises UnexpectedReply if the pages end before all were seen.
        """

        async def fetch(number: int) -> InstanceList:
            query = InstanceQuery(
                page_size=PAGE_SIZE,
                page_num=number,
                name=name,
                product_name=product_name,
                status=status,
            )
            check_instance_query(query)
            return await self._session.call(routes.LIST_INSTANCES, query)

        return await all_pages(fetch, first=0, operation=routes.LIST_INSTANCES.name)

    @dual
    async def list_page(self, query: InstanceQuery) -> InstanceList:
        """Return one page as the cloud gives it; page 0 and page 1 may be the same."""
        check_instance_query(query)
        return await self._session.call(routes.LIST_INSTANCES, query)

    @dual
    async def start(self, instance_id: str) -> None:
        """Start a stopped instance. Raises InvalidState unless it is stopped, NoCapacity if nothing is free."""
        check_id("instanceId", instance_id)
        await self._session.call(routes.START_INSTANCE, InstanceRef(instance_id=instance_id))

    @dual
    async def stop(self, instance_id: str) -> None:
        """Stop a running instance; its storage goes on costing. Raises InvalidState unless it runs."""
        check_id("instanceId", instance_id)
        await self._session.call(routes.STOP_INSTANCE, InstanceRef(instance_id=instance_id))

    @dual
    async def delete(self, instance_id: str) -> None:
        """Remove an instance for good; the record lingers for a while.

        Raises NotFound when it is gone already, InvalidState for a monthly one that has not expired.
        """
        check_id("instanceId", instance_id)
        await self._session.call(routes.DELETE_INSTANCE, InstanceRef(instance_id=instance_id))


# What the converter says of an empty object where an instance was promised.
_NOTHING = ("required field missing @ $.id",)


@attrs.frozen
class CloudProducts(_Noun[Mode]):
    """What can be rented, at what price."""

    @dual
    async def list(
        self,
        *,
        cluster_id: str | None = None,
        gpu_num: int | None = None,
        product_name: str | None = None,
        billing_method: BillingMode | None = None,
        min_cpu_per_gpu: int | None = None,
        min_memory_per_gpu: int | None = None,
        min_root_fs_size: int | None = None,
    ) -> tuple[Product, ...]:
        """Return the GPU products that match; sizes in GB, *product_name* matches parts.

        Without *billing_method* the cloud shows what is offered on demand.
        """
        query = ProductQuery(
            cluster_id=cluster_id,
            gpu_num=gpu_num,
            product_name=product_name,
            billing_method=billing_method,
            min_cpu_per_gpu=min_cpu_per_gpu,
            min_memory_per_gpu=min_memory_per_gpu,
            min_root_fs_size=min_root_fs_size,
        )
        check_product_query(query)
        return (await self._session.call(routes.LIST_PRODUCTS, query)).items

    @dual
    async def list_cpu(
        self, *, cluster_id: str | None = None, product_name: str | None = None
    ) -> tuple[CpuProduct, ...]:
        """Return the products without GPUs that match."""
        query = ProductQuery(cluster_id=cluster_id, product_name=product_name)
        return (await self._session.call(routes.LIST_CPU_PRODUCTS, query)).items


@attrs.frozen
class CloudClusters(_Noun[Mode]):
    """Where machines stand."""

    @dual
    async def list(self) -> tuple[Cluster, ...]:
        """Return all clusters: the map between the ids requests use and the names products use."""
        return (await self._session.call(routes.LIST_CLUSTERS)).items


@attrs.frozen
class CloudTemplates(_Noun[Mode]):
    """Images and how to run them."""

    @dual
    async def list(
        self,
        *,
        name: str | None = None,
        channel: str | None = None,
        is_my_community: bool | None = None,
    ) -> tuple[Template, ...]:
        """Return all templates that match, from all pages, each once.

        *channel* is ``official``, ``community``, ``private`` or several separated by commas. A template made a
        moment ago may be missing though :meth:`get` finds it. Raises UnexpectedReply if the pages end early.
        """

        async def fetch(number: int) -> TemplateList:
            query = TemplateQuery(
                page_size=PAGE_SIZE,
                page_num=number,
                name=name,
                channel=channel,
                is_my_community=is_my_community,
            )
            return await self._session.call(routes.LIST_TEMPLATES, query)

        return await all_pages(fetch, first=1, operation=routes.LIST_TEMPLATES.name)

    @dual
    async def list_page(self, query: TemplateQuery) -> TemplateList:
        """Return one page as the cloud gives it; the first is page 1."""
        check_template_query(query)
        return await self._session.call(routes.LIST_TEMPLATES, query)

    @dual
    async def get(self, template_id: str) -> Template:
        """Return one template. Raises NotFound when there is none of that id."""
        check_id("templateId", template_id)
        return (
            await self._session.call(routes.GET_TEMPLATE, TemplateRef(template_id=template_id))
        ).template


@attrs.frozen
class CloudRegistries(_Noun[Mode]):
    """Credentials of private image registries."""

    @dual
    async def list(self) -> tuple[RegistryCredential, ...]:
        """Return all credentials; their passwords are masked values."""
        return (await self._session.call(routes.LIST_REGISTRIES)).items


@attrs.frozen
class Cloud(_Noun[Mode]):
    """The GPU cloud, operation by operation."""

    @property
    def instances(self) -> CloudInstances[Mode]:
        """Instances as the cloud has them."""
        return CloudInstances(self._session)

    @property
    def products(self) -> CloudProducts[Mode]:
        """What can be rented, at what price."""
        return CloudProducts(self._session)

    @property
    def clusters(self) -> CloudClusters[Mode]:
        """Where machines stand."""
        return CloudClusters(self._session)

    @property
    def templates(self) -> CloudTemplates[Mode]:
        """Images and how to run them."""
        return CloudTemplates(self._session)

    @property
    def registries(self) -> CloudRegistries[Mode]:
        """Credentials of private image registries."""
        return CloudRegistries(self._session)
