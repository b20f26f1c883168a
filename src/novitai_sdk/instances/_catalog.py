"""What can be rented, where, and at what price."""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Generic

import attrs

from .. import cloud
from .._asked import check_request, region_problems
from .._calling import Belonging, Mode, dual
from ..cloud import Cloud, CloudClusters, CloudProducts, CloudTemplates, region_code
from ..cloud._refusals import short
from ..errors import NoSuitableProduct, ValidationError
from ..models import BillingMode, CreateInstanceRequest, ValidationErrorDetail
from ..models._rules import BILLING_MODE, FAILED
from ._recent import OFFERS_LAST, PLACES_LAST, Recent

__all__ = ["Catalog", "Choice", "Region", "choose", "pick"]

_CLOUD_MODE: Final[Mapping[BillingMode, cloud.BillingMethod]] = {
    BillingMode.SPOT: cloud.BillingMethod.SPOT,
    BillingMode.ON_DEMAND: cloud.BillingMethod.ON_DEMAND,
}


_MOST_TOLD: Final = 100
_LONGEST_WORD: Final = 200


@attrs.frozen(kw_only=True)
class Region:
    """A place where machines stand."""

    code: str
    """What a request names, such as ``US-WEST-01``."""

    cluster_id: str
    """What the cloud's own requests name."""

    place: str | None = None
    """Where that is, in words, if the cloud says."""

    gpu_types: tuple[str, ...] = ()
    """Families of GPUs that stand there."""


@attrs.frozen(kw_only=True)
class Choice:
    """The product a create will rent, and what it costs."""

    product: cloud.Product
    region: Region
    billing_mode: BillingMode
    gpu_num: int
    price: Decimal
    """USD per GPU per hour in the billing mode that was asked for."""

    @property
    def hourly_price(self) -> Decimal:
        """USD per hour for all its GPUs."""
        return self.price * self.gpu_num

    def __str__(self) -> str:
        gpus = f"{self.gpu_num} x {self.product.name}"
        return f"{gpus} in {self.region.code}, {self.billing_mode}, ${self.hourly_price:f} per hour"


class Catalog(Belonging[Mode], Generic[Mode]):
    """``client.catalog``: what can be rented."""

    __slots__ = ("_cloud",)

    def __init__(self, cloud: Cloud[Mode]) -> None:
        self._cloud = cloud

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._cloud.mode

    @dual
    async def products(
        self, region: str | None = None, *, billing_mode: BillingMode | str = BillingMode.ON_DEMAND
    ) -> tuple[cloud.Product, ...]:
        """Return the GPU products offered in *region* (everywhere: None), the cheapest on demand first.

        Prices are USD per GPU per hour: ``price_usd`` on demand, ``spot_price_usd`` as spot. Raises ValidationError for
        a region the cloud does not have, or that is no text, and for an unknown billing mode, and CallError.
        """
        judged = BILLING_MODE.check(BILLING_MODE.wire, billing_mode)
        problems = (*region_problems(region), *judged.details)
        if problems:
            raise ValidationError(FAILED, problems)
        method = _CLOUD_MODE[BillingMode(billing_mode)]
        found = await CloudProducts.list(self._cloud.products, billing_method=method)
        offered = [one for one in found if region is None or one.offered_in(region)]
        if region is not None and not offered:
            await self._check_region(region)
        return tuple(
            sorted(offered, key=lambda one: (one.price_usd or Decimal("Infinity"), one.id))
        )

    @dual
    async def templates(self) -> tuple[cloud.Template, ...]:
        """Return all templates this account can use. Raises CallError."""
        return await CloudTemplates.list(self._cloud.templates)

    @dual
    async def regions(self) -> tuple[Region, ...]:
        """Return the regions, by code. Raises CallError."""
        return regions_of(await CloudClusters.list(self._cloud.clusters))

    @dual
    async def choose(self, request: CreateInstanceRequest) -> Choice:
        """Return what creating *request* would rent now.

        Raises NoSuitableProduct, which says why each candidate was passed over, CallError, and TypeError for what is no
        request.
        """
        check_request(request)
        return await choose(self._cloud, request, Recent(float))

    async def _check_region(self, region: str) -> None:
        # Nothing to rent and nowhere to rent it look the same; only the second is a mistake.
        codes = [one.code for one in await Catalog.regions(self)]
        if region_code(region) not in codes:
            message = f"Region must be one of: {', '.join(_told(codes))}"
            detail = ValidationErrorDetail(field="region", message=message, value=region)
            raise ValidationError(FAILED, (detail,))


async def choose(cloud_: Cloud[Any], request: CreateInstanceRequest, recent: Recent) -> Choice:
    """Return what creating *request* would rent, by what *recent* knows of the cloud's offers."""

    session = cloud_._session

    def offered(**asked: Any) -> Awaitable[tuple[cloud.Product, ...]]:
        return recent.ask(
            ("products", *sorted(asked.items())),
            lambda: CloudProducts.list(cloud_.products, **asked),
            lasts=OFFERS_LAST,
            session=session,
        )

    clusters = await recent.ask(
        "clusters",
        lambda: CloudClusters.list(cloud_.clusters),
        lasts=PLACES_LAST,
        session=session,
    )
    mode = _CLOUD_MODE[request.billing_mode]
    products = await offered(
        product_name=request.product_name, gpu_num=request.gpu_num, billing_method=mode
    )
    fits = bool(products)
    if not products:
        # The cloud leaves out what has no price in this mode, or never so many GPUs. Asked without them,
        # it shows what there is, so that the error can say why none of it will do.
        products = await offered(product_name=request.product_name)
    if not products:
        products = await offered()  # whose names the error tells
    return pick(products, regions_of(clusters), request, fits=fits)


def regions_of(clusters: Iterable[cloud.Cluster]) -> tuple[Region, ...]:
    """Return the regions of *clusters*, by code."""
    return tuple(sorted(map(_region, clusters), key=lambda one: one.code))


def _region(cluster: cloud.Cluster) -> Region:
    _, _, place = (cluster.name or "").partition("(")
    return Region(
        code=cluster.region,
        cluster_id=cluster.id,
        place=place.rstrip(") ") or None,
        gpu_types=cluster.available_gpu_type,
    )


def pick(
    products: Sequence[cloud.Product],
    regions: Iterable[Region],
    request: CreateInstanceRequest,
    *,
    fits: bool = True,
) -> Choice:
    """Return the cheapest available product of the name that was asked for, with a price in the asked billing mode.

    The cloud searches names loosely, so products of exactly that name go before those that contain it. Of equal
    prices the smaller id wins: the same offers always give the same choice. Unless it *fits*, the cloud has left all of
    them out of what it has for this request, so none is chosen.
    """
    wanted = region_code(request.region)
    region = next((one for one in regions if one.code == wanted), None)
    if region is None:
        raise _nothing(request, f"the cloud has no region {request.region}", ())
    named = [one for one in products if _folded(request.product_name) in _folded(one.name or "")]
    if not named:
        names = sorted({one.name for one in products if one.name})
        raise _nothing(request, f"the cloud has nothing called {request.product_name!r}", names)
    exact = [one for one in named if _folded(one.name or "") == _folded(request.product_name)]
    judged = [(one, _passed_over(one, request, fits=fits)) for one in exact or named]
    fit = [one for one, reason in judged if reason is None]
    if not fit:
        why = [f"{one.name} ({one.id}): {reason}" for one, reason in judged]
        what = f"nothing called {request.product_name!r} can be rented in {request.region} now"
        offered = any(one.offered_in(request.region) for one, _ in judged)
        raise _nothing(request, what, why, offered=offered)
    best = min(fit, key=lambda one: (_price(one, request.billing_mode), one.id))
    price = _price(best, request.billing_mode)
    return Choice(
        product=best,
        region=region,
        billing_mode=request.billing_mode,
        gpu_num=request.gpu_num,
        price=price,
    )


def _price(product: cloud.Product, mode: BillingMode) -> Decimal:
    found = product.spot_price_usd if mode is BillingMode.SPOT else product.price_usd
    return Decimal(0) if found is None else found


def _passed_over(
    product: cloud.Product, request: CreateInstanceRequest, *, fits: bool
) -> str | None:
    if not product.offered_in(request.region):
        return f"not offered in {request.region}"
    if not product.available_deploy:
        return "sold out"
    # A price of zero means "not offered so"; taken for a price, it would always be the cheapest.
    if _price(product, request.billing_mode) <= 0:
        return f"has no {request.billing_mode} price"
    if product.max_root_fs is not None and request.rootfs_size > product.max_root_fs:
        return f"root disk of at most {product.max_root_fs} GB"
    gpus = "1 GPU" if request.gpu_num == 1 else f"{request.gpu_num} GPUs"
    return None if fits else f"not offered with {gpus} in one machine"


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _told(words: Iterable[str]) -> list[str]:
    """Return words of the cloud as an error lists them: they are the cloud's, and so is their number."""
    several = [short(word, _LONGEST_WORD) for word in words]
    more = len(several) - _MOST_TOLD
    return [*several[:_MOST_TOLD], f"and {more} more"] if more > 0 else several


def _nothing(
    request: CreateInstanceRequest, message: str, why: Iterable[str], *, offered: bool = False
) -> NoSuitableProduct:
    return NoSuitableProduct(
        message,
        product_name=request.product_name,
        region=request.region,
        candidates=tuple(_told(why)),
        offered=offered,
    )
