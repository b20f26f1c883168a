"""Which product a create rents: available, priced in the mode that was asked for, cheapest, always the same."""

from decimal import Decimal
from typing import Any

import pytest
from faces import WANTED, Face
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk import (
    BillingMode,
    CreateInstanceRequest,
    NoSuitableProduct,
    ValidationError,
    cloud,
)
from novitai_sdk.emulator import faults
from novitai_sdk.instances import Region
from novitai_sdk.instances._catalog import pick

REGIONS = (Region(code="US-WEST-01", cluster_id="us-west-1"),)


def product(product_id: str, **known: Any) -> cloud.Product:
    values: dict[str, Any] = {
        "name": "RTX 4090 24GB", "available_deploy": True, "price": 35000, "spot_price": 18000,
        "regions": ("US-WEST-01 (Oregon)",), **known,
    }  # fmt: skip
    return cloud.Product(id=product_id, **values)


def wanted(**others: Any) -> CreateInstanceRequest:
    return CreateInstanceRequest(**{**WANTED, **others})


def test_the_cheapest_in_the_asked_billing_mode_wins():
    dear_spot = product("a", price=10000, spot_price=9000)
    cheap_spot = product("b", price=50000, spot_price=8000)
    assert pick([dear_spot, cheap_spot], REGIONS, wanted()).product.id == "b"
    on_demand = wanted(billing_mode="onDemand")
    choice = pick([dear_spot, cheap_spot], REGIONS, on_demand)
    assert choice.product.id == "a"
    assert choice.billing_mode is BillingMode.ON_DEMAND
    assert choice.price == Decimal("0.1")
    assert choice.hourly_price == Decimal("0.2")
    assert "$0.2 per hour" in str(choice)


@given(st.permutations(["a", "b", "c", "d"]))
def test_equal_prices_always_give_the_same_choice(order: list[str]):
    assert pick([product(name) for name in order], REGIONS, wanted()).product.id == "a"


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"available_deploy": False}, "sold out"),
        ({"available_deploy": None}, "sold out"),
        ({"spot_price": 0}, "has no spot price"),
        ({"spot_price": None}, "has no spot price"),
        ({"regions": ("CN-HK-01",)}, "not offered in US-WEST-01"),
        ({"max_root_fs": 90}, "root disk of at most 90 GB"),
    ],
)
def test_what_is_passed_over_is_named_with_its_reason(known: dict[str, Any], reason: str):
    with pytest.raises(NoSuitableProduct) as caught:
        pick([product("a", **known)], REGIONS, wanted())
    assert caught.value.candidates == (f"RTX 4090 24GB (a): {reason}",)
    assert pick([product("a", **known), product("z")], REGIONS, wanted()).product.id == "z"


def test_a_product_without_regions_is_everywhere():
    assert pick([product("a", regions=())], REGIONS, wanted()).region.cluster_id == "us-west-1"


def test_an_exact_name_goes_before_one_that_contains_it():
    longer = product("a", name="RTX 4090 24GB Super", spot_price=1)
    assert pick([longer, product("b")], REGIONS, wanted()).product.id == "b"
    assert (
        pick([longer, product("b")], REGIONS, wanted(product_name="rtx 4090  24gb")).product.id
        == "b"
    )
    assert pick([longer], REGIONS, wanted(product_name="RTX 4090")).product.id == "a"


def test_a_region_the_cloud_does_not_have_is_named():
    with pytest.raises(NoSuitableProduct, match="no region US-WEST-01"):
        pick([product("a")], (), wanted())


def test_the_catalogue_lists_what_there_is(face: Face):
    async def story(client: Any, done: Any) -> None:
        everywhere = await done(client.catalog.products())
        here = await done(client.catalog.products("US-WEST-01"))
        assert {one.id for one in here} < {one.id for one in everywhere}
        prices = [one.price_usd for one in here]
        assert prices == sorted(prices)
        assert all(isinstance(price, Decimal) for price in prices)
        spot = await done(client.catalog.products(billing_mode="spot"))
        assert all(one.spot_price_usd for one in spot)

        regions = await done(client.catalog.regions())
        assert {"CN-HK-01", "US-WEST-01", "EU-WEST-01"} <= {one.code for one in regions}
        assert all(one.cluster_id for one in regions)

        templates = await done(client.catalog.templates())
        assert "tf-training-template-1" in {one.id for one in templates}

        choice = await done(client.catalog.choose(wanted(product_name="A100-SXM4-40GB")))
        assert choice.product.name == "A100-SXM4-40GB"
        with pytest.raises(TypeError, match="takes a CreateInstanceRequest, not dict"):
            await done(client.catalog.choose(WANTED))

    face.tell(story)


@pytest.mark.parametrize("region", [5, b"US-WEST-01", ["US-WEST-01"], {}])
def test_what_is_no_region_is_refused_with_all_else_before_anything_is_asked(
    face: Face, region: Any
):
    async def story(client: Any, done: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            await done(client.catalog.products(region, billing_mode="barter"))
        assert [one.field for one in caught.value.details] == ["region", "billingMode"]

    face.cloud.order(faults.dropped(times=None))
    face.tell(story)


@pytest.mark.parametrize("request_", [None, {"name": "x"}, "RTX 4090 24GB"])
def test_what_is_no_request_is_refused_before_anything_is_asked(face: Face, request_: Any):
    async def story(client: Any, done: Any) -> None:
        with pytest.raises(TypeError, match=r"choose\(\) takes a CreateInstanceRequest, not"):
            await done(client.catalog.choose(request_))

    face.cloud.order(faults.dropped(times=None))
    face.tell(story)


def test_more_gpus_than_a_machine_of_it_has_are_refused_with_the_reason(face: Face):
    async def story(client: Any, done: Any) -> None:
        many = {
            **WANTED,
            "product_name": "RTX 3090 24GB",
            "region": "CN-HK-01",
            "billing_mode": "onDemand",
        }
        assert (await done(client.catalog.choose(wanted(**{**many, "gpu_num": 4})))).gpu_num == 4
        with pytest.raises(NoSuitableProduct) as caught:
            await done(client.instances.create(**{**many, "gpu_num": 8}))
        expected = "RTX 3090 24GB (3090.8c30g): not offered with 8 GPUs in one machine"
        assert caught.value.candidates == (expected,)
        assert face.cloud.calls("instances.create") == 0

    face.tell(story)


def test_a_blank_name_rents_nothing(face: Face):
    async def story(client: Any, done: Any) -> None:
        with pytest.raises(ValidationError, match="Product name is required"):
            await done(client.instances.create(**{**WANTED, "product_name": " "}))
        assert face.cloud.requests == ()

    face.tell(story)


def test_nothing_to_rent_in_a_region_is_told_from_no_such_region(face: Face):
    async def story(client: Any, done: Any) -> None:
        face.cloud.order(faults.garbled_reply("products.list", body=b'{"data": []}'))
        assert await done(client.catalog.products("US-WEST-01")) == ()
        with pytest.raises(ValidationError, match="Region must be one of: AS-SGP-02, CN-HK-01"):
            await done(client.catalog.products("us-west-1"))
        with pytest.raises(ValidationError, match="Billing mode must be either"):
            await done(client.catalog.products(billing_mode="on_demand"))

    face.tell(story)
