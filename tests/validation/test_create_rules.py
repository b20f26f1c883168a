"""What a request to create an instance may say: every rule, its message, and everything at once."""

import json
import math
import time
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novitai_sdk._convert import converter
from novitai_sdk.errors import ValidationError
from novitai_sdk.models import BillingMode, CreateInstanceRequest, Secret, ValidationErrorDetail
from novitai_sdk.validation import Invalid, Valid, validate_create_instance

VALID: dict[str, Any] = {
    "name": "my-gpu-instance",
    "productName": "RTX 4090 24GB",
    "templateId": "tf-training-template-1",
    "gpuNum": 2,
    "rootfsSize": 100,
    "region": "US-WEST-01",
    "webhookUrl": "https://myapp.com/webhook",
}
INVALID: dict[str, Any] = {
    "name": "invalid name!",
    "productName": "",
    "templateId": "",
    "gpuNum": 10,
    "rootfsSize": 10,
    "region": "INVALID-REGION",
    "webhookUrl": "not-a-url",
}
PYTHON = {
    "name": "name",
    "productName": "product_name",
    "templateId": "template_id",
    "gpuNum": "gpu_num",
    "rootfsSize": "rootfs_size",
    "region": "region",
    "webhookUrl": "webhook_url",
    "billingMode": "billing_mode",
}

NAME = "Name must contain only alphanumeric characters, hyphens, and underscores"
NAME_SHORT = "Name must be at least 1 character long"
NAME_LONG = "Name must be at most 100 characters long"
PRODUCT = "Product name is required"
PRODUCT_LONG = "Product name must be at most 200 characters long"
TEMPLATE = "Template ID is required"
GPU = "GPU number must be an integer"
GPU_LOW = "GPU number must be at least 1"
GPU_HIGH = "GPU number must be at most 8"
SIZE = "Root filesystem size must be an integer"
SIZE_LOW = "Root filesystem size must be at least 20GB"
SIZE_HIGH = "Root filesystem size must be at most 1000GB"
REGION = "Region must be one of: CN-HK-01, US-WEST-01, EU-WEST-01"
WEBHOOK = "Webhook URL must be a valid HTTP or HTTPS URL"
BILLING = 'Billing mode must be either "spot" or "onDemand"'


def details_of(data: object, **options: Any) -> tuple[ValidationErrorDetail, ...]:
    result = validate_create_instance(data, **options)
    return () if result.error is None else result.error.details


def messages(field: str, value: object) -> list[str]:
    found = details_of({**VALID, field: value})
    assert {one.field for one in found} <= {field}
    return [one.message for one in found]


def value_of(field: str, value: object) -> Any:
    result = validate_create_instance({**VALID, field: value})
    assert isinstance(result, Valid)
    return getattr(result.value, PYTHON[field])


# -- the contract's two examples ----------------------------------------------------------------


def test_the_contracts_valid_example_passes() -> None:
    result = validate_create_instance(VALID)
    assert result.error is None
    assert result.value == CreateInstanceRequest(
        name="my-gpu-instance",
        product_name="RTX 4090 24GB",
        template_id="tf-training-template-1",
        gpu_num=2,
        rootfs_size=100,
        region="US-WEST-01",
        webhook_url="https://myapp.com/webhook",
    )


def test_the_contracts_invalid_example_gives_its_seven_problems_in_field_order() -> None:
    result = validate_create_instance(INVALID)
    assert result.error is not None
    assert result.error.message == "Validation failed"
    assert [(one.field, one.message, one.value) for one in result.error.details] == [
        ("name", NAME, "invalid name!"),
        ("productName", PRODUCT, ""),
        ("templateId", TEMPLATE, ""),
        ("gpuNum", GPU_HIGH, 10),
        ("rootfsSize", SIZE_LOW, 10),
        ("region", REGION, "INVALID-REGION"),
        ("webhookUrl", WEBHOOK, "not-a-url"),
    ]


def test_the_order_is_that_of_the_fields_whatever_the_order_of_the_body() -> None:
    backwards = dict(reversed(INVALID.items()))
    assert [one.field for one in details_of(backwards)] == list(INVALID)


# -- what is missing ----------------------------------------------------------------------------


def test_what_is_not_given_has_the_contracts_default() -> None:
    result = validate_create_instance({"name": "a", "productName": "b", "templateId": "c"})
    assert result.error is None
    request = result.value
    assert (request.gpu_num, request.rootfs_size, request.region) == (1, 60, "CN-HK-01")
    assert (request.webhook_url, request.billing_mode) == (None, BillingMode.SPOT)


def test_what_is_required_is_asked_for_and_has_no_value() -> None:
    found = details_of({})
    assert [(one.field, one.message) for one in found] == [
        ("name", '"name" is required'),
        ("productName", PRODUCT),
        ("templateId", TEMPLATE),
    ]
    assert not any(one.given for one in found)
    assert all("value" not in converter.unstructure(one) for one in found)


@pytest.mark.parametrize("field", [*VALID, "billingMode"])
def test_null_is_not_the_same_as_absent(field: str) -> None:
    (detail,) = details_of({**VALID, field: None})
    assert (detail.field, detail.value, detail.given) == (field, None, True)


def test_what_was_valid_is_kept_beside_what_was_not() -> None:
    result = validate_create_instance({"name": "no good", "gpuNum": "4", "region": "US-WEST-01"})
    assert isinstance(result, Invalid)
    assert result.value == {
        "gpu_num": 4,
        "rootfs_size": 60,
        "region": "US-WEST-01",
        "billing_mode": BillingMode.SPOT,
    }
    corrected = {**result.value, "name": "good", "product_name": "p", "template_id": 1}
    assert CreateInstanceRequest(**corrected).gpu_num == 4


def test_unknown_fields_are_dropped() -> None:
    result = validate_create_instance({**VALID, "surprise": object(), "regions": ["X"], 5: 5})
    assert result.error is None
    assert result.value.extra == {}


# -- name ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "A-b_9", "-", "x" * 100])
def test_names(name: str) -> None:
    assert value_of("name", name) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", [NAME_SHORT]),
        ("x" * 101, [NAME_LONG]),
        ("x " * 51, [NAME_LONG, NAME]),
        ("a b", [NAME]),
        ("naïve", [NAME]),
        ("name\n", [NAME]),
        ("\nname", [NAME]),
        ("a\x00", [NAME]),
        ("٣", [NAME]),
        ("\ud800", [NAME]),
        (5, ['"name" must be a string']),
        (True, ['"name" must be a string']),
        ([], ['"name" must be a string']),
    ],
)
def test_what_is_no_name(name: object, expected: list[str]) -> None:
    assert messages("name", name) == expected


# -- product name and template ------------------------------------------------------------------


def test_product_names() -> None:
    assert value_of("productName", "ü" * 200) == "ü" * 200
    assert messages("productName", "") == [PRODUCT]
    assert messages("productName", "x" * 201) == [PRODUCT_LONG]
    assert messages("productName", 5) == ['"productName" must be a string']
    assert messages("productName", "\ud800") == ["Product name must be valid Unicode text"]


@pytest.mark.parametrize("blank", [" ", "\t\n", "\u00a0", "\u3000" * 100])
def test_blanks_alone_name_no_product_and_no_template(blank: str) -> None:
    # A product is searched for by its words: none of them are in every name, and the cheapest of all would be rented.
    assert messages("productName", blank) == [PRODUCT]
    assert messages("templateId", blank) == [TEMPLATE]
    assert value_of("productName", f"{blank}RTX") == f"{blank}RTX"


@pytest.mark.parametrize("template", ["t", "107672", 107672, 1, "-1", "0.5", "x" * 255, 2**60])
def test_a_template_is_a_text_or_a_positive_integer_and_stays_what_it_was(template: object) -> None:
    kept = value_of("templateId", template)
    assert kept == template
    assert type(kept) is type(template)


def test_a_whole_number_is_whole_however_json_writes_it() -> None:
    assert repr(value_of("templateId", json.loads("1e3"))) == "1000"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", TEMPLATE),
        ("x" * 256, "Template ID must be at most 255 characters long"),
        ("\udfff", "Template ID must be valid Unicode text"),
        (True, '"templateId" must be a string or a number'),
        (math.nan, '"templateId" must be a string or a number'),
        (math.inf, '"templateId" must be a safe number'),
        (10**400, '"templateId" must be a safe number'),
        (10**300, '"templateId" must be a safe number'),
        (-math.inf, '"templateId" must be a safe number'),
        (-(10**400), '"templateId" must be a safe number'),
        (-1, "Template ID must be a positive integer"),
        (0, "Template ID must be a positive integer"),
        (-0.0, "Template ID must be a positive integer"),
        (0.5, "Template ID must be a positive integer"),
        (12.5, "Template ID must be a positive integer"),
        ({}, '"templateId" must be a string or a number'),
    ],
)
def test_what_is_no_template(template: object, expected: str) -> None:
    assert messages("templateId", template) == [expected]


# -- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", [2, 2.0, "2", " 2 ", "\t2\n", "2.0", "2.", "+2", "02", "2e0", "0.2E1", "20e-1"]
)
@pytest.mark.parametrize(("field", "factor"), [("gpuNum", 1), ("rootfsSize", 10)])
def test_a_numeric_text_stands_for_its_number(number: Any, field: str, factor: int) -> None:
    times_ten = f"{number.strip()}e1" if isinstance(number, str) else number * 10
    given_number = number if factor == 1 else times_ten
    if isinstance(given_number, str) and given_number.lower().count("e") == 2:
        given_number = "20"
    kept = value_of(field, given_number)
    assert (kept, type(kept)) == (2 * factor, int)


@pytest.mark.parametrize(
    "nothing",
    [
        "", " ", "two", "0x2", "0b1", "1_0", "2 2", "2,0", "١", "e1", ".", "+", "--2", "nan",
        "inf", "Infinity", "1e999999999", "1e" + "9" * 90, "2" * 500, "9" * 10_000_000, "\ud800",
        True, False, None, math.nan, math.inf, -math.inf, [], [2], {}, (2,), b"2", object(), 2j,
    ],
    ids=lambda value: repr(value)[:20].replace("\x00", ""),
)  # fmt: skip
def test_what_is_no_number_is_one_problem_at_once(nothing: object) -> None:
    started = time.perf_counter()
    assert messages("gpuNum", nothing) == [GPU]
    assert messages("rootfsSize", nothing) == [SIZE]
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, [GPU_LOW]),
        (-1, [GPU_LOW]),
        (9, [GPU_HIGH]),
        ("9", [GPU_HIGH]),
        (10**400, [GPU_HIGH]),
        (-(10**400), [GPU_LOW]),
        (10**5000, [GPU_HIGH]),
        (1e300, [GPU_HIGH]),
        ("1e300", [GPU_HIGH]),
        (2.5, [GPU]),
        ("2.5", [GPU]),
        (9.5, [GPU, GPU_HIGH]),
        (0.5, [GPU, GPU_LOW]),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) else str(value.bit_length()),
)
def test_gpu_numbers_out_of_bounds(number: object, expected: list[str]) -> None:
    assert messages("gpuNum", number) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(19, [SIZE_LOW]), (1001, [SIZE_HIGH]), (60.5, [SIZE]), (1000.5, [SIZE, SIZE_HIGH])],
)
def test_sizes_out_of_bounds(number: object, expected: list[str]) -> None:
    assert messages("rootfsSize", number) == expected


def test_the_bounds_themselves_are_inside() -> None:
    assert [value_of("gpuNum", n) for n in (1, 8)] == [1, 8]
    assert [value_of("rootfsSize", n) for n in (20, 1000)] == [20, 1000]


# -- region -------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", ["", "cn-hk-01", "CN-HK-01 ", "US-CA-06", 5, [], True])
def test_what_is_no_region(region: object) -> None:
    assert messages("region", region) == [REGION]


def test_the_regions_are_a_setting_and_the_message_follows() -> None:
    mine = ("EU-DE-01", "AS-IN-01")
    assert details_of({**VALID, "region": "AS-IN-01"}, regions=mine) == ()
    (detail,) = details_of(VALID, regions=mine)
    assert detail.message == "Region must be one of: EU-DE-01, AS-IN-01"


def test_the_default_region_is_one_of_those_allowed() -> None:
    body = {key: value for key, value in VALID.items() if key != "region"}
    for regions, expected in ((["A", "CN-HK-01"], "CN-HK-01"), (["A", "B"], "A")):
        result = validate_create_instance(body, regions=regions)
        assert result.error is None
        assert result.value.region == expected
        assert result.value.regions == tuple(regions)


@pytest.mark.parametrize("regions", [(), "CN-HK-01"])
def test_regions_that_are_no_list_are_a_mistake_of_the_program(regions: Any) -> None:
    with pytest.raises(ValueError, match="at least one region"):
        validate_create_instance(VALID, regions=regions)
    with pytest.raises(ValueError, match="at least one region"):
        CreateInstanceRequest(name="a", product_name="b", template_id="c", regions=regions)


# -- webhook ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "http://127.0.0.1:8080/hook",
        "http://[::1]/",
        "https://user:pass@example.com/hook?a=b&c[]=d#e",
        "https://example.com:443",
        "https://a.example.com/%20path",
        "https://example.com?x=1",
        "https://xn--mnchen-3ya.example/",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_webhook_urls(url: str) -> None:
    assert value_of("webhookUrl", url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "not-a-url",
        "example.com/hook",
        "//example.com",
        "ftp://example.com",
        "HTTP://example.com",
        "javascript:alert(1)",
        "http:example.com",
        "http://",
        "http:///path",
        "https://?query",
        "https://user@",
        "https://exa mple.com",
        " https://example.com",
        "https://example.com\n",
        "https://example.com/a\tb",
        "https://example.com/\x00",
        "https://münchen.example/",
        "https://example.com:99999/",
        "https://example.com:port/",
        "https://[::1/",
        "https://example.com/%zz",
        "https://example.com\\evil",
        "https://example.com/\ud800",
        "https://example.com/" + "x" * 2048,
        5,
        True,
        [],
        {"url": "https://example.com"},
    ],
)
def test_what_is_no_webhook_url(url: object) -> None:
    assert messages("webhookUrl", url) == [WEBHOOK]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:hush@exa mple.com/", "https://***@exa mple.com/"),
        ("https://me:hu/sh@example.com:port", "https://***@example.com:port"),
        ("https://me:hu sh@example.com", "https://***@example.com"),
        ("ftp://me:hush@example.com", "***@example.com"),
        ("me:hush@example.com", "***@example.com"),
        ("me:hush@://example.com", "***@://example.com"),
    ],
)
def test_what_is_no_url_is_shown_without_what_may_be_a_password(url: str, shown: str) -> None:
    (detail,) = details_of({**VALID, "webhookUrl": url})
    assert (detail.message, detail.value) == (WEBHOOK, shown)


# -- billing mode -------------------------------------------------------------------------------


def test_billing_modes() -> None:
    assert value_of("billingMode", "onDemand") is BillingMode.ON_DEMAND
    assert value_of("billingMode", BillingMode.SPOT) is BillingMode.SPOT
    for mode in ("monthly", "on_demand", "SPOT", "", 5, BillingMode.MONTHLY):
        assert messages("billingMode", mode) == [BILLING]


# -- bodies that are none -----------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, [], [VALID], "text", 5, True, math.nan, b"{}", object()])
def test_a_body_that_is_no_object_is_one_problem(body: object) -> None:
    result = validate_create_instance(body)
    assert isinstance(result, Invalid)
    (detail,) = result.error.details
    assert (detail.field, detail.message) == ("", '"value" must be of type object')
    assert result.value == {}


# -- what is told of what was given -------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = {
    "ten megabytes": "x" * 10_000_000,
    "a lone surrogate": "\ud800" * 10,
    "a great integer": 10**5000,
    "not a number": math.nan,
    "infinity": -math.inf,
    "deep": nested(100_000),
    "wide": list(range(1_000_000)),
    "a wide object": {str(n): n for n in range(100_000)},
    "odd keys": {"\ud800": 1, 5: "x" * 5000, None: [math.inf, {"a": {"b": {"c": {}}}}]},
    "no json": object(),
    "a secret": Secret("hush"),
    "a secret inside": [Secret("hush")],
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("field", [*VALID, "billingMode", None])
def test_what_is_told_of_a_value_is_short_and_can_be_printed_and_sent(
    field: str | None, value: object
) -> None:
    body = value if field is None else {**VALID, field: value}
    result = validate_create_instance(body)
    assert result.error is not None
    assert all(len(one.message) < 200 for one in result.error.details)
    response = converter.unstructure(result.error.to_response())
    sent = json.dumps(response, allow_nan=False, ensure_ascii=False).encode()
    assert len(sent) < 20_000
    assert b"hush" not in sent
    assert len(repr(result.error)) < 20_000
    if field is not None:
        with pytest.raises(ValidationError) as caught:
            attrs.evolve(REQUEST, **{PYTHON[field]: value})
        str(caught.value).encode()
        assert caught.value.details == result.error.details


def test_the_shortened_value_says_what_it_was_shortened_from() -> None:
    (long,) = details_of({**VALID, "productName": "x" * 5000})
    assert str(long.value).endswith("x… (5000 characters)")
    (wide,) = details_of({**VALID, "region": list(range(25))})
    assert wide.value == [*range(10), "… 15 more"]
    (deep,) = details_of({**VALID, "region": {"a": [[[1]], {}], "b": [[{}, []]]}})
    assert deep.value == {"a": [["[…]"], {}], "b": [[{}, []]]}
    (open_,) = details_of({**VALID, "region": {str(n): n for n in range(12)}})
    assert isinstance(open_.value, dict)
    assert open_.value["…"] == "2 more"
    (escaped,) = details_of({**VALID, "name": "a\ud800"})
    assert escaped.value == "a\\ud800"


def test_what_is_a_little_too_long_is_told_whole() -> None:
    (detail,) = details_of({**VALID, "productName": "x" * 201})
    assert detail.value == "x" * 201


# -- anything at all ----------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SURROGATES = st.text(st.characters(categories=["Cs", "Lu", "Nd"]))
NUMERIC = st.from_regex(r"\s?[+-]?[0-9.]{0,4}([eE][+-]?[0-9]{1,9})?\s?", fullmatch=True)
FIELD = st.sampled_from([*VALID, "billingMode"])


@given(ANYTHING | st.dictionaries(FIELD, ANYTHING | SURROGATES | NUMERIC))
@settings(max_examples=300)
def test_nothing_makes_validation_raise(data: object) -> None:
    result = validate_create_instance(data)
    if result.error is None:
        assert converter.unstructure(result.value).keys() <= {*VALID, "billingMode"}
    else:
        assert result.error.details
        order = ["", *PYTHON]
        places = [order.index(one.field) for one in result.error.details]
        assert places == sorted(places)
        json.dumps(converter.unstructure(result.error.to_response()), allow_nan=False)


@given(st.dictionaries(FIELD, ANYTHING | SURROGATES | NUMERIC))
@settings(max_examples=200)
def test_python_and_json_are_held_to_the_same_rules(changes: dict[str, Any]) -> None:
    # None is how Python says that an optional field is absent.
    data = {**VALID, **{key: value for key, value in changes.items() if value is not None}}
    result = validate_create_instance(data)
    arguments = {PYTHON[key]: value for key, value in data.items()}
    if result.error is None:
        assert CreateInstanceRequest(**arguments) == result.value
        return
    with pytest.raises(ValidationError) as caught:
        CreateInstanceRequest(**arguments)
    assert caught.value.details == result.error.details


@given(st.integers(-100, 100), st.sampled_from(["{}", " {} ", "{}.0", "{}e0"]))
def test_a_text_is_judged_as_the_number_it_stands_for(number: int, form: str) -> None:
    assert messages("gpuNum", form.format(number)) == messages("gpuNum", number)


# -- in Python ----------------------------------------------------------------------------------

REQUEST = CreateInstanceRequest(name="a", product_name="b", template_id="c")


def test_a_request_that_exists_is_valid() -> None:
    with pytest.raises(ValidationError) as caught:
        CreateInstanceRequest(**{PYTHON[key]: value for key, value in INVALID.items()})
    assert caught.value.message == "Validation failed"
    assert caught.value.details == details_of(INVALID)
    assert "gpuNum: GPU number must be at most 8" in str(caught.value)


def test_numeric_texts_become_numbers_in_python_too() -> None:
    request = CreateInstanceRequest(
        name="a",
        product_name="b",
        template_id="c",
        gpu_num=" 2 ",  # type: ignore[arg-type]  # what a form or an environment hands over
        rootfs_size="1e2",  # type: ignore[arg-type]  # the same
        billing_mode="onDemand",  # type: ignore[arg-type]  # the same
    )
    assert (request.gpu_num, request.rootfs_size) == (2, 100)
    assert request.billing_mode is BillingMode.ON_DEMAND
    assert hash(request) == hash(attrs.evolve(request))


def test_none_is_absent_only_where_a_field_may_be() -> None:
    assert attrs.evolve(REQUEST, webhook_url=None).webhook_url is None
    for field in ("name", "gpu_num", "region", "billing_mode"):
        with pytest.raises(ValidationError):
            attrs.evolve(REQUEST, **{field: None})


def test_a_request_carries_its_regions_where_nobody_sees_them() -> None:
    wide = attrs.evolve(REQUEST, regions=("CN-HK-01", "EU-DE-01"))
    assert wide == REQUEST
    assert "EU-DE-01" not in repr(wide)
    assert "regions" not in converter.unstructure(wide)
    moved = attrs.evolve(wide, region="EU-DE-01")
    assert attrs.evolve(moved, gpu_num=2).region == "EU-DE-01"
    with pytest.raises(ValidationError, match="Region must be one of: CN-HK-01, US-WEST-01"):
        attrs.evolve(REQUEST, region="EU-DE-01")


def test_a_refusal_can_be_pickled() -> None:
    import pickle

    with pytest.raises(ValidationError) as caught:
        attrs.evolve(REQUEST, gpu_num=9)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.details == caught.value.details
