"""What can be rented, and where."""

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Final

import attrs

from ..models._base import Json, Model, extra_field, wire
from ._reported import Reported
from ._words import BillingMethod, InventoryState

__all__ = [
    "PRICE_UNITS_PER_USD",
    "Cluster",
    "ClusterList",
    "CpuProduct",
    "CpuProductList",
    "MonthlyPrice",
    "Product",
    "ProductList",
    "ProductQuery",
    "region_code",
    "usd",
]

PRICE_UNITS_PER_USD: Final = 100_000
"""Prices on GPU objects are whole numbers of 1/100000 USD (balances of the account API are not)."""


def usd(price: int | None) -> Decimal | None:
    """Turn a price of the cloud into USD; None and 0 mean that there is no such price.

    >>> usd(35000)
    Decimal('0.35')
    """
    return Decimal(price) / PRICE_UNITS_PER_USD if price else None


def region_code(name: str) -> str:
    """Return the code of a cluster's name.

    >>> region_code("US-CA-06 (California)")
    'US-CA-06'
    """
    return name.split("(")[0].strip()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class MonthlyPrice(Model):
    """The price of a commitment of ``month`` months, in 1/100000 USD.

    Whether it is per month or for the whole term is not documented.
    """

    price: int | None = None
    month: int | None = None
    extra: Mapping[str, Json] = extra_field()

    @property
    def price_usd(self) -> Decimal | None:
        """The same in USD."""
        return usd(self.price)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Product(Reported):
    """A GPU product: a kind of machine that can be rented by the GPU."""

    # What it is chosen by: if one is passed over for a price that nobody could read, another looks like the cheapest.
    must_fit: ClassVar[tuple[str, ...]] = (
        "name",
        "available_deploy",
        "max_root_fs",
        "regions",
        "price",
        "spot_price",
    )

    id: str
    name: str | None = None
    """Such as ``RTX 4090 24GB``; several products may share one name."""

    cpu_per_gpu: int | None = None
    memory_per_gpu: int | None = None
    """GB."""

    disk_per_gpu: int | None = None
    """GB."""

    available_deploy: bool | None = None
    """False: a create would fail for want of stock. True is no promise."""

    min_root_fs: int | None = attrs.field(default=None, metadata=wire("minRootFS"))
    """GB."""

    max_root_fs: int | None = attrs.field(default=None, metadata=wire("maxRootFS"))
    """GB."""

    min_local_storage: int | None = None
    """GB."""

    max_local_storage: int | None = None
    """GB."""

    regions: tuple[str, ...] = ()
    """*Names* of clusters, ``CODE`` or ``CODE (Place)``; none at all means everywhere."""

    price: int | None = None
    """On demand, 1/100000 USD per GPU per hour."""

    spot_price: int | None = None
    """Spot, 1/100000 USD per GPU per hour; 0 or None: not offered as spot."""

    monthly_price: tuple[MonthlyPrice, ...] = ()
    billing_methods: tuple[BillingMethod, ...] = ()
    inventory_state: InventoryState | None = None
    extra: Mapping[str, Json] = extra_field()

    @property
    def price_usd(self) -> Decimal | None:
        """On demand, USD per GPU per hour; None if not offered so.

        >>> Product(id="p", price=35000).price_usd
        Decimal('0.35')
        """
        return usd(self.price)

    @property
    def spot_price_usd(self) -> Decimal | None:
        """Spot, USD per GPU per hour; None if not offered as spot."""
        return usd(self.spot_price)

    def offered_in(self, region: str) -> bool:
        """Whether the product exists in the region of that code or name.

        >>> Product(id="p", regions=("US-CA-06 (California)",)).offered_in("US-CA-06")
        True
        """
        code = region_code(region)
        return not self.regions or any(region_code(name) == code for name in self.regions)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ProductList(Model):
    """All products that match."""

    data: tuple[Product, ...] | None
    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[Product, ...]:
        """The products."""
        return self.data or ()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ProductQuery(Model):
    """Which products to list. What is None is not asked for."""

    cluster_id: str | None = None
    """Id (not name) of a cluster."""

    gpu_num: int | None = None
    """0 to 8 GPUs on one machine; 0 is any."""

    product_name: str | None = None
    """Part of the name."""

    min_cpu_per_gpu: int | None = None
    min_memory_per_gpu: int | None = None
    """GB."""

    min_root_fs_size: int | None = attrs.field(default=None, metadata=wire("minRootFSSize"))
    """GB."""

    billing_method: BillingMethod | None = None
    """The cloud's default is on demand."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CpuProduct(Model):
    """A machine without GPUs."""

    id: str
    name: str | None = None
    cpu_num: int | None = None
    memory_size: int | None = None
    """GB."""

    rootfs_size: int | None = None
    """GB."""

    local_volume_size: int | None = None
    """GB."""

    available_deploy: bool | None = None
    price: int | None = None
    """1/100000 USD per hour."""

    extra: Mapping[str, Json] = extra_field()

    @property
    def price_usd(self) -> Decimal | None:
        """USD per hour."""
        return usd(self.price)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CpuProductList(Model):
    """All CPU products."""

    data: tuple[CpuProduct, ...] | None
    extra: Mapping[str, Json] = extra_field()

    @staticmethod
    def one_form(found: Json) -> Json:
        """Read the bare list the documents draw as the wrapped one that is sent."""
        return {"data": found} if isinstance(found, list) else found

    @property
    def items(self) -> tuple[CpuProduct, ...]:
        """The products."""
        return self.data or ()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Cluster(Reported):
    """A place where machines stand. Requests name it by id, products by name: map through the list."""

    must_fit: ClassVar[tuple[str, ...]] = ("name",)

    id: str
    name: str | None = None
    """``CODE`` or ``CODE (Place)``."""

    available_gpu_type: tuple[str, ...] = ()
    support_network_storage: bool | None = None
    support_instance_network: bool | None = None
    extra: Mapping[str, Json] = extra_field()

    @property
    def region(self) -> str:
        """The code in the name, or the id where there is no name.

        >>> Cluster(id="us-ca-nas-2", name="US-CA-06 (California)").region
        'US-CA-06'
        """
        return region_code(self.name) if self.name else self.id


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ClusterList(Model):
    """All clusters."""

    data: tuple[Cluster, ...] | None
    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[Cluster, ...]:
        """The clusters."""
        return self.data or ()
