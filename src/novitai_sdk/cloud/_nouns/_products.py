"""What can be rented, at what price, and where."""

import attrs

from ..._calling import Mode, dual
from .. import _routes as routes
from .._limits import check_product_query
from .._product_models import Cluster, CpuProduct, Product, ProductQuery
from .._words import BillingMethod
from ._base import Noun

__all__ = ["CloudClusters", "CloudProducts"]


@attrs.frozen
class CloudProducts(Noun[Mode]):
    """What can be rented, at what price."""

    @dual
    async def list(
        self,
        *,
        cluster_id: str | None = None,
        gpu_num: int | None = None,
        product_name: str | None = None,
        billing_method: BillingMethod | None = None,
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
class CloudClusters(Noun[Mode]):
    """Where machines stand."""

    @dual
    async def list(self) -> tuple[Cluster, ...]:
        """Return all clusters: the map between the ids requests use and the names products use."""
        return (await self._session.call(routes.LIST_CLUSTERS)).items
