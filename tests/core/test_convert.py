"""Between JSON and values: what is read, what is refused and with which words, and what is written."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import attrs
import pytest
from cattrs import BaseValidationError, Converter
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk import _convert
from novitai_sdk._convert import (
    camel,
    cloud_converter,
    converter,
    explain,
    make_converter,
    record_converter,
    to_wire_time,
)
from novitai_sdk.cloud import (
    Created,
    EndpointCreated,
    Instance,
    JobStarted,
    Network,
    PrewarmCreated,
    StorageCreated,
    TemplateKept,
)
from novitai_sdk.errors import ValidationError
from novitai_sdk.models import (
    InstanceDetails,
    Job,
    Json,
    JsonObject,
    OpenInt,
    OpenStr,
    Secret,
    TemplateId,
)
from novitai_sdk.models._base import OFF_WIRE, extra_field, wire

UTC = timezone.utc


class Word(OpenStr):
    ONE = "one"


class Level(OpenInt):
    LOW = 1


class Closed(Enum):
    LEFT = "left"


@attrs.frozen(kw_only=True)
class Inner:
    size_gb: int
    note: str | None = None


@attrs.frozen(kw_only=True)
class Outer:
    """One of everything the models are made of."""

    name: str
    count: int = 0
    ratio: float | None = None
    flag: bool | None = None
    price: Decimal | None = None
    at: datetime | None = None
    word: Word | None = None
    level: Level | None = None
    secret: Secret | None = None
    inner: Inner | None = None
    several: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] = attrs.field(factory=dict[str, Inner])
    anything: Json = None
    payload: JsonObject | None = None
    template_id: TemplateId | None = None
    other_id: str | None = attrs.field(default=None, metadata={**wire("Id"), "also": ("id2",)})
    hidden: str | None = attrs.field(default=None, metadata=OFF_WIRE)
    extra: Mapping[str, Json] = extra_field()


FULL: dict[str, Any] = {
    "name": "n",
    "count": 1,
    "ratio": 0.5,
    "flag": True,
    "price": "1.50",
    "at": "2026-01-02T03:04:05.678Z",
    "word": "one",
    "level": 1,
    "secret": "s",
    "inner": {"sizeGb": 3},
    "several": [{"sizeGb": 1}, {"sizeGb": 2, "note": "x"}],
    "byName": {"a": {"sizeGb": 4}},
    "anything": {"deep": [None, 1.5, "x"]},
    "payload": {"a": 1},
    "templateId": 5,
    "Id": "i",
}


def lines(value: Any, kind: Any = Outer, using: Converter = converter) -> list[str]:
    """What is said of a value that is refused."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what it says is what is tested
        using.structure(value, kind)
    return explain(caught.value)


# -- there and back ----------------------------------------------------------------------------------


def test_everything_comes_back_as_it_went() -> None:
    value = converter.structure(FULL, Outer)
    assert converter.unstructure(value) == FULL
    assert converter.structure(converter.unstructure(value), Outer) == value
    assert value.several == (Inner(size_gb=1), Inner(size_gb=2, note="x"))
    assert value.by_name == {"a": Inner(size_gb=4)}
    assert value.hidden is None


def test_what_is_absent_stays_absent_and_null_means_absent() -> None:
    value = converter.structure({**dict.fromkeys(FULL), "name": "n"}, Outer)
    assert value == Outer(name="n")
    assert converter.unstructure(value) == {"name": "n", "count": 0, "several": [], "byName": {}}


def test_what_is_unknown_is_kept_and_given_back() -> None:
    given_ = {"name": "n", "new": {"a": [None]}, "word": "two", "level": 9, "extra": 1, "hidden": 2}
    value = converter.structure(given_, Outer)
    assert value.extra == {"new": {"a": [None]}, "extra": 1, "hidden": 2}
    assert (value.word, value.level) == ("two", 9)
    assert (value.word.known, value.level.known) == (False, False)
    written = converter.unstructure(value)
    assert {name: written[name] for name in given_} == given_


def test_an_extra_field_never_overrides_one_that_is_known() -> None:
    value = Outer(name="n", extra={"name": "other", "more": 1})
    assert converter.unstructure(value) | {"more": 1} == converter.unstructure(value)
    assert converter.unstructure(value)["name"] == "n"


def test_a_tuple_of_several_types_is_read_place_by_place() -> None:
    assert converter.structure([1, "a"], tuple[int, str]) == (1, "a")
    assert converter.structure([], tuple[()]) == ()
    assert converter.structure([1, 2, 3], tuple[int, ...]) == (1, 2, 3)
    with pytest.raises(Exception, match="tuple"):
        converter.structure([1, "a", "b"], tuple[int, str])


def test_a_field_may_go_by_a_second_name() -> None:
    assert converter.structure({"name": "n", "id2": "x"}, Outer).other_id == "x"
    assert converter.structure({"name": "n", "id2": "x", "Id": "y"}, Outer).other_id == "y"
    assert converter.unstructure(Outer(name="n", other_id="x"))["Id"] == "x"


def test_a_value_that_is_one_already_is_taken_as_it_is() -> None:
    value = Outer(name="n")
    assert converter.structure(value, Outer) is value
    assert converter.structure({"name": "n", "inner": Inner(size_gb=1)}, Outer).inner == Inner(
        size_gb=1
    )


@pytest.mark.parametrize("template_id", ["tf-1", 7, 7.5])
def test_an_id_that_may_be_either_stays_what_it_was(template_id: Any) -> None:
    found = converter.structure({"name": "n", "templateId": template_id}, Outer).template_id
    assert (found, type(found)) == (template_id, type(template_id))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("using", [converter, cloud_converter], ids=["contract", "cloud"])
@pytest.mark.parametrize("kind", [Outer, InstanceDetails, Job, Instance])
@given(st.dictionaries(st.sampled_from(sorted({*FULL, "id", "status", "type"})), ANYTHING))
def test_whatever_comes_is_a_value_or_a_list_of_problems(
    kind: Any, using: Converter, fields: dict[str, Any]
) -> None:
    try:
        value = using.structure(fields, kind)
    except Exception as error:  # noqa: BLE001 - whatever is raised, it must explain itself
        said = explain(error)
        assert said
        assert all(isinstance(line, str) and line for line in said)
    else:
        using.unstructure(value)


# -- what is refused ---------------------------------------------------------------------------------


def test_all_problems_are_told_at_once_each_with_its_path() -> None:
    wrong = {
        "count": "5",
        "ratio": math.nan,
        "flag": 1,
        "price": "much",
        "at": "2026-01-02",
        "word": 5,
        "level": "low",
        "secret": 1,
        "inner": [],
        "several": [{"sizeGb": 1}, {}, {"sizeGb": "x", "note": 1}],
        "byName": {"a": {"sizeGb": None}, "b": 1},
        "payload": [],
        "templateId": True,
    }
    assert lines(wrong) == [
        "required field missing @ $.name",
        "expected a whole number, got str @ $.count",
        "expected a finite number, got float @ $.ratio",
        "expected true or false, got int @ $.flag",
        "expected an amount @ $.price",
        "expected an ISO-8601 time with a zone @ $.at",
        "expected a text, got int @ $.word",
        "expected a whole number, got str @ $.level",
        "expected a text, got int @ $.secret",
        "expected an object, got list @ $.inner",
        "required field missing @ $.several[1].sizeGb",
        "expected a whole number, got str @ $.several[2].sizeGb",
        "expected a text, got int @ $.several[2].note",
        "expected a whole number, got NoneType @ $.byName['a'].sizeGb",
        "expected an object, got int @ $.byName['b']",
        "expected an object, got list @ $.payload",
        "expected a text or a number, got bool @ $.templateId",
    ]


@pytest.mark.parametrize("value", [[], "x", None, 5])
def test_what_is_no_object_is_no_model(value: Any) -> None:
    assert lines(value) == [f"expected an object, got {type(value).__name__}"]


def test_a_model_with_rules_of_its_own_says_which_one_is_broken() -> None:
    @attrs.frozen(kw_only=True)
    class Even:
        number: int

        def __attrs_post_init__(self) -> None:
            if self.number % 2:
                raise ValidationError(f"{self.number} is odd")

    @attrs.frozen(kw_only=True)
    class Pair:
        even: Even

    own = make_converter()
    assert own.structure({"even": {"number": 2}}, Pair) == Pair(even=Even(number=2))
    assert lines({"even": {"number": 3}}, Pair, using=own) == ["3 is odd @ $.even"]


def test_what_is_no_list_is_no_list() -> None:
    assert lines({"name": "n", "several": {}}) == ["expected a list, got dict @ $.several"]
    assert lines({"name": "n", "byName": []}) == ["expected an object, got list @ $.byName"]


def test_no_number_is_too_large_to_be_explained() -> None:
    assert lines({"name": "n", "ratio": 10**400}) == [
        "expected a number of ordinary size @ $.ratio"
    ]
    assert lines({"name": "n", "price": "NaN"}) == ["expected an amount, got str @ $.price"]
    assert converter.structure({"name": "n", "count": 2.0}, Outer).count == 2
    assert lines({"name": "n", "count": 2.5}) == ["expected a whole number, got float @ $.count"]
    assert lines({"name": "n", "count": True}) == ["expected a whole number, got bool @ $.count"]


def test_a_closed_enumeration_refuses_what_it_does_not_know() -> None:
    assert converter.structure("left", Closed) is Closed.LEFT
    assert converter.unstructure(Closed.LEFT) == "left"
    assert explain(ValueError("said")) == ["said"]
    with pytest.raises(ValueError, match="right"):
        converter.structure("right", Closed)


def test_an_error_without_words_is_told_by_its_kind() -> None:
    class Silent(ValueError):
        pass

    own = make_converter()

    def refuse(*_: Any) -> Any:
        raise Silent

    own.register_structure_hook(Decimal, refuse)
    assert lines({"name": "n", "price": 1}, using=own) == ["Silent @ $.price"]


# -- times -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02t03:04:05z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02 03:04:05.6Z", datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)),
        ("2026-01-02T03:04:05.678Z", datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)),
        ("2026-01-02T03:04:05.678901234Z", datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05-0530", datetime(2026, 1, 2, 8, 34, 5, tzinfo=UTC)),
    ],
)
def test_a_time_of_any_zone_becomes_utc(text: str, moment: datetime) -> None:
    found = converter.structure(text, datetime)
    assert found == moment
    assert found.utcoffset() == timedelta(0)
    assert converter.structure(moment, datetime) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05",
        "2026-01-02",
        "2026-13-02T03:04:05Z",
        "2026-02-30T03:04:05Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:04:60Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "٢٠٢٦-01-02T03:04:05Z",
        "2026-01-02T03:04:05Z\n",
        "",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|must be|range|in \d|month|day|hour|second"):
        converter.structure(text, datetime)


def test_a_number_is_no_time_of_the_contract() -> None:
    with pytest.raises(TypeError, match="ISO-8601"):
        converter.structure(1_767_225_600, datetime)


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    there = timezone(timedelta(hours=2))
    assert (
        converter.unstructure(datetime(2026, 1, 2, 3, tzinfo=there)) == "2026-01-02T01:00:00.000Z"
    )
    assert to_wire_time(datetime(9, 1, 2, tzinfo=UTC)) == "0009-01-02T00:00:00.000Z"


MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - the zone comes from the strategy


@given(MOMENTS)
def test_times_come_back_to_the_millisecond(moment: datetime) -> None:
    back = converter.structure(converter.unstructure(moment), datetime)
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)


# -- the cloud's habits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        ("16", int, 16),
        (" +16.0 ", int, 16),
        (16.0, int, 16),
        ("0.5", float, 0.5),
        ("1e3", float, 1000.0),
        (5, str, "5"),
        (5, Decimal, Decimal(5)),
        (0.1, Decimal, Decimal("0.1")),
        (" 35000 ", Decimal, Decimal(35000)),
        ("1767225600", datetime, datetime(2026, 1, 1, tzinfo=UTC)),
        (1_767_225_600, datetime, datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00Z", datetime, datetime(2026, 1, 1, tzinfo=UTC)),
        ("-1767225600", datetime, datetime(1914, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_cloud_writes_numbers_and_times_as_texts(value: Any, kind: Any, read: Any) -> None:
    found = cloud_converter.structure(value, kind)
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", int),
        ("1.5", int),
        ("9" * 19, int),
        (True, int),
        ("nan", float),
        ("1e999", float),
        (True, str),
        (None, str),
        (True, Decimal),
        ("Infinity", Decimal),
        ("1e999999999", Decimal),
        ("1e-999999999", Decimal),
        ("0e999999999", Decimal),
        ("9" * 5000, Decimal),
        ("soon", datetime),
        ("9" * 18, datetime),
        (1e300, datetime),
        ([], datetime),
    ],
)
def test_what_the_cloud_never_means_is_refused(value: Any, kind: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="expected"):
        cloud_converter.structure(value, kind)


def test_the_cloud_writes_nothing_in_many_ways() -> None:
    nothing = {"name": "n", "ratio": "", "word": "", "price": "", "inner": "", "flag": ""}
    assert cloud_converter.structure(nothing, Outer) == Outer(name="n")
    for never in ("", "0", "-1", 0, -1, None):
        assert cloud_converter.structure({"name": "n", "at": never}, Outer).at is None
    # An empty text is a text.
    kept = cloud_converter.structure({"name": "", "secret": "", "inner": None}, Outer)
    assert (kept.name, kept.secret) == ("", Secret(""))


MADE = [
    (Created, "id"),
    (Created, "instanceId"),
    (EndpointCreated, "id"),
    (JobStarted, "jobId"),
    (Network, "Id"),
    (PrewarmCreated, "id"),
    (StorageCreated, "storageId"),
    (TemplateKept, "templateId"),
]


@pytest.mark.parametrize(("kind", "name"), MADE)
def test_the_id_of_what_was_made_is_a_text_or_a_number_and_not_a_word_for_none(
    kind: Any, name: str
) -> None:
    for found in ("0f1e2d3c4b5a6978", "nullify", "107672", 107672):
        made = cloud_converter.structure({name: found}, kind)
        assert str(found) in cloud_converter.unstructure(made).values()
    for none in ("", "\t", "0", 0, "null", "undefined", "None", "nil"):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - what it says is what is tested
            cloud_converter.structure({name: none}, kind)
        assert "expected an id, got" in explain(caught.value)[0]


def test_a_time_is_written_as_seconds_for_the_cloud() -> None:
    assert cloud_converter.unstructure(datetime(2026, 1, 1, tzinfo=UTC)) == "1767225600"


# -- secrets -----------------------------------------------------------------------------------------


def test_secrets_are_written_for_who_asked_and_masked_in_records() -> None:
    value = Outer(name="n", secret=Secret("s"))
    assert converter.unstructure(value)["secret"] == "s"
    assert record_converter.unstructure(value)["secret"] == "***"
    assert converter.structure({"name": "n", "secret": Secret("s")}, Outer).secret == Secret("s")


# -- for users ---------------------------------------------------------------------------------------


def test_hooks_of_ones_own_win_and_stay_ones_own() -> None:
    own = make_converter()
    own.register_structure_hook(datetime, lambda value, _: datetime.fromtimestamp(value, UTC))
    own.register_unstructure_hook(datetime, lambda moment: int(moment.timestamp()))
    own.register_structure_hook(Inner, lambda value, _: Inner(size_gb=int(value)))
    found = own.structure({"name": "n", "at": 5, "several": ["1", "2"]}, Outer)
    assert (found.at, found.several) == (
        datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC),
        (Inner(size_gb=1), Inner(size_gb=2)),
    )
    assert own.unstructure(found)["at"] == 5
    assert lines({"name": "n", "at": 5}) == ["expected an ISO-8601 time, got int @ $.at"]


def test_models_can_be_part_of_classes_of_ones_own() -> None:
    @attrs.define
    class Mine:
        title: str
        made_at: datetime
        outer: Outer

    own = make_converter()
    data = {"title": "t", "madeAt": "2026-01-01T00:00:00.000Z", "outer": {"name": "n"}}
    value = own.structure(data, Mine)
    assert value.outer == Outer(name="n")
    assert own.unstructure(value)["madeAt"] == "2026-01-01T00:00:00.000Z"


def test_each_converter_is_a_new_one() -> None:
    assert make_converter() is not make_converter()
    assert isinstance(converter, Converter)


def test_wire_names_are_in_camel_case() -> None:
    assert [camel(name) for name in ("id", "rootfs_size", "a_b_c")] == ["id", "rootfsSize", "aBC"]


def test_what_the_module_does_not_have_it_does_not_have() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'colour'"):
        _ = _convert.colour  # type: ignore[attr-defined]  # that it is refused is the point


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        ([7] * 1000, tuple[Instance, ...]),
        (dict.fromkeys(map(str, range(1000)), 7), dict[str, Instance]),
    ],
)
def test_of_what_is_wrong_with_a_reply_no_more_is_gathered_than_is_told(wire, kind):
    """A few KB can unpack to millions of wrong entries: an error for each would take all memory."""
    with pytest.raises(BaseValidationError) as caught:
        cloud_converter.structure(wire, kind)
    told = explain(caught.value)
    assert len(told) == 21
    assert "perhaps more" in told[-1]
