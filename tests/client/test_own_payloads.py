"""Payloads of a program's own come back as they were enqueued, or are refused before anything is stored."""

import enum
import math
import threading
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk._convert import explain
from novitai_sdk.jobs import JobRefused, PlainJobContext
from novitai_sdk.jobs._carrying import as_stored
from novitai_sdk.jobs._payloads import read_payload
from novitai_sdk.models import Json, JsonObject, Secret

SOON = 10.0
UTC = timezone.utc
T = TypeVar("T")
V = TypeVar("V")


class Size(str, enum.Enum):
    BIG = "big"


class Level(enum.IntEnum):
    ONE = 1


class Permission(enum.IntFlag):
    READ = 1
    WRITE = 2


class Share(float, enum.Enum):
    HALF = 0.5


class Colour(enum.Enum):
    RED = "red"


class Corner(enum.Enum):
    TOP_LEFT = (0, 0)


class Name(str):
    """A text with a name of its own."""


class Point(NamedTuple):
    x: int
    label: str = ""


@attrs.frozen
class Car:
    name: str = ""


@attrs.frozen
class Truck(Car):
    pass


@attrs.frozen
class Dog:
    has_tail: bool


@attrs.frozen
class Fish:
    has_fins: bool


@attrs.frozen
class Tree:
    branches: "tuple[Tree, ...]" = ()


@attrs.frozen
class Box(Generic[T]):
    item: T
    more: list[T] = attrs.field(factory=list)


@attrs.frozen
class IdBox(Box[UUID]):
    pass


@attrs.frozen
class Chest(Box[V], Generic[V]):
    pass


@attrs.frozen
class Doubled:
    once: int
    twice: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "twice", self.once * 2)


@attrs.frozen(eq=False)
class Guarded:
    count: int
    lock: Any = attrs.field(init=False, factory=threading.Lock)


@attrs.frozen
class Traced:
    name: str
    told: Any = attrs.field(default=None, eq=False)


Count = NewType("Count", int)
ID = UUID("d6cfc569-ecde-4d2e-ae06-833155b7e498")
# The second of two times that clocks in Berlin show at half past two that night.
REPEATED = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)


def holding(kind: Any, **options: Any) -> Any:
    """A class of payloads with one field."""
    return attrs.make_class("Held", {"x": attrs.field(type=kind, **options)}, frozen=True)


def read_again(payload: Any) -> Any:
    body, problems = as_stored(payload)
    assert not problems
    return read_payload(body, type(payload))


# -- what comes back ----------------------------------------------------------------------------------


@attrs.frozen
class Train:
    epochs: int | None = 10
    width: int | None = attrs.field(kw_only=True)
    size: Size = Size.BIG
    level: Level | None = None
    allowed: Permission = Permission.READ | Permission.WRITE
    at: tuple[int, str] = (1, "a")
    by_id: dict[int, str] = attrs.field(factory=lambda: {1: "a"})
    which: list[int] | str = "all"
    doubled: Doubled = Doubled(2)
    every: timedelta = timedelta(minutes=5)


@pytest.mark.parametrize(
    "payload",
    [Train(None, width=None), Train(width=3, level=Level.ONE, which=[1])],
    ids=["none of what may be none", "something of everything"],
)
def test_a_handler_gets_what_was_enqueued(new, payload):
    seen: list[Any] = []
    client = new()

    @client.jobs.handler(Train)
    def train(train: Train, context: PlainJobContext) -> None:
        seen.append(train)

    job = client.jobs.enqueue(payload)
    assert client.jobs.wait(job.id, timeout=SOON).status == "completed"
    assert seen == [payload]
    assert type(seen[0].size) is Size
    assert type(seen[0].allowed) is Permission


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Size, Size.BIG),
        (Size | None, Size.BIG),
        (Level, Level.ONE),
        (Permission, Permission.READ | Permission.WRITE),
        (Share, Share.HALF),
        (Colour, Colour.RED),
        (Name, Name("a")),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2)),
        (tuple[()], ()),
        (dict[int, str], {1: "a"}),
        (dict[Level, int], {Level.ONE: 1}),
        (dict[bool, int], {True: 1}),
        (Mapping[date, Dog], {date(2026, 1, 2): Dog(has_tail=True)}),
        (list[int] | str, [1]),
        (list[str] | str, "ab"),
        (Dog | Fish, Fish(has_fins=False)),
        (Dog | Fish | None, None),
        (datetime | str, "soon"),
        (Box[int], Box(1, [2])),
        (Box[UUID], Box(ID)),
        (Box[Box[date]], Box(Box(date(2026, 1, 2)))),
        (IdBox, IdBox(ID, [ID])),
        (Chest[UUID], Chest(ID, [ID])),
        (Box, Box(1)),
        (Point, Point(1, "a")),
        (Tree, Tree((Tree(), Tree((Tree(),))))),
        (Doubled, Doubled(2)),
        (Count, Count(3)),
        (list[Count] | None, [Count(3)]),
        (Annotated[int | None, "at most ten"], None),
        (Annotated[tuple[int, str], "a pair"], (1, "a")),
        (Literal["a", 1, None], None),
        (Literal[Size.BIG], Size.BIG),
        (date, date(2026, 1, 2)),
        (datetime, datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
        (datetime, REPEATED),
        (UUID, ID),
        (bytes, b"\x00\xff"),
        (set[date], {date(2026, 1, 2)}),
        (frozenset[Size], frozenset([Size.BIG])),
        (timedelta, timedelta(days=-3, microseconds=7)),
        (Decimal, Decimal("1.50")),
        (Path, Path("a/b")),
        (PurePosixPath | None, PurePosixPath("/a")),
        (object, "a"),
        (Json, {"a": [1, None]}),
        (JsonObject, {"a": [1, None]}),
    ],
    ids=str,
)
def test_a_value_comes_back_as_what_it_is(kind, value):
    back = read_again(holding(kind)(value)).x
    assert type(back) is type(value)
    assert back == value or back - value == timedelta(0)


def test_a_time_is_written_to_the_millisecond_unless_that_would_lose_something():
    held = holding(datetime)
    whole, fine = (datetime(2026, 1, 2, 3, 4, 5, micro, tzinfo=UTC) for micro in (678_000, 678_901))
    assert as_stored(held(whole))[0] == {"x": "2026-01-02T03:04:05.678Z"}
    assert as_stored(held(fine))[0] == {"x": "2026-01-02T03:04:05.678901Z"}


@pytest.mark.parametrize(
    ("options", "written"),
    [({}, {"x": None}), ({"default": 10}, {"x": None}), ({"default": None}, {})],
    ids=["required", "another default", "by default"],
)
def test_none_is_stored_wherever_an_absent_field_would_not_say_so(options, written):
    payload = holding(int | None, **options)(None)
    assert as_stored(payload) == (written, [])
    assert read_again(payload) == payload


def test_null_for_a_field_that_cannot_be_none_still_says_its_default():
    assert read_payload({"x": None}, holding(int, default=10)).x == 10


def test_one_of_several_types_is_read_also_as_an_older_program_stored_it():
    either = holding(Dog | Fish)
    assert read_payload({"x": {"hasFins": True, "colour": "red"}}, either).x == Fish(has_fins=True)
    with pytest.raises(Exception, match="not a Held") as refused:
        read_payload({"x": 5}, either)
    assert "Dog" in explain(refused.value)[0]
    assert explain(refused.value)[0].endswith("got int @ $.x")


def test_a_sequence_of_any_kind_may_be_a_list_or_a_tuple():
    for value in ([1, 2], (1, 2)):
        assert list(read_again(holding(Sequence[int])(value)).x) == [1, 2]


def test_a_class_that_compares_by_identity_is_compared_by_what_it_holds():
    assert read_again(Guarded(3)).count == 3


@pytest.mark.parametrize("text", ["9.99999999999999999990E-21", "1E-100", "0." + "3" * 80])
def test_a_decimal_comes_back_however_long_it_is(text: str):
    kind = holding(Decimal)
    body, problems = as_stored(kind(Decimal(text)))
    assert not problems
    assert str(read_payload(body, kind).x) == text


def test_what_counts_for_no_equality_is_not_compared():
    assert read_again(Traced("a", told=(1, 2))).told == [1, 2]


LEAVES: Sequence[tuple[Any, st.SearchStrategy[Any]]] = (
    (int, st.integers()),
    (str, st.text()),
    (bool, st.booleans()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bytes, st.binary()),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=st.timezones(), min_value=datetime(1, 1, 3))),  # noqa: DTZ001 - a bound has none
    (timedelta, st.timedeltas(timedelta(days=-90_000), timedelta(days=90_000))),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (UUID, st.uuids()),
    (Permission, st.integers(0, 3).map(Permission)),
    (Size, st.just(Size.BIG)),
)
KEYS = [
    leaf for leaf in LEAVES if leaf[0] is not datetime
]  # two of the hour that repeats may be one time


def typed(
    leaves: Sequence[tuple[Any, st.SearchStrategy[Any]]] = LEAVES, depth: int = 2
) -> st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]]:
    """A type, and what makes values of it."""
    leaf = st.sampled_from(leaves)
    if not depth:
        return leaf
    inner = typed(depth=depth - 1)
    return st.one_of(
        leaf,
        inner.map(lambda one: (list[one[0]], st.lists(one[1], max_size=3))),
        inner.map(lambda one: (one[0] | None, st.none() | one[1])),
        inner.map(lambda one: (Box[one[0]], st.builds(Box, one[1], st.lists(one[1], max_size=2)))),
        st.tuples(inner, inner).map(
            lambda two: (tuple[two[0][0], two[1][0]], st.tuples(two[0][1], two[1][1]))
        ),
        st.tuples(st.sampled_from(KEYS), inner).map(
            lambda two: (
                dict[two[0][0], two[1][0]],
                st.dictionaries(two[0][1], two[1][1], max_size=3),
            )
        ),
    )


@given(st.data())
def test_whatever_a_payload_holds_comes_back(data: st.DataObject):
    kind, value_of = data.draw(typed())
    options = data.draw(st.sampled_from([{}, {"default": None}]))
    payload = holding(kind, **options)(data.draw(value_of))
    body, problems = as_stored(payload)
    assert not problems
    # Equal but for times in the hour that a clock repeats, which equal nothing in another zone.
    assert as_stored(read_payload(body, type(payload))) == (body, [])


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (Car, Truck(), r"Held\.x is of type Truck, and would come back of type Car"),
        (Car | Truck, Truck(), r"Held\.x is of type Truck, and would come back of type Car"),
        (Box, Box(Dog(has_tail=True)), r"Held\.x\.item is of type Dog, .* of type dict"),
        (
            datetime | str,
            "2026-01-02T03:04:05.000Z",
            r"Held\.x is of type str, .* of type datetime",
        ),
        (tuple[int, ...], [1], r"Held\.x is of type list, and would come back of type tuple"),
        (Any, (1,), r"Held\.x is of type tuple, and would come back of type list"),
        (dict[str, Any], {"a": {1: 2}}, r"the keys of Held\.x\['a'\] are \[1\], .* as \['1'\]"),
        (dict[tuple[int, int], int], {(1, 2): 3}, r"a key of type tuple cannot be .* @ \$\.x"),
        (list[Any], [1, b"a"], r"Held\.x\[1\] is of type bytes, and would come back of type str"),
        (Corner, Corner.TOP_LEFT, r"could not be read again: .* is not a valid Corner @ \$\.x"),
        (date, datetime(2026, 1, 2, tzinfo=UTC), r"expected a day such as 2026-06-30 @ \$\.x"),
        (int, None, r"Held could not be read again: expected a whole number, .* @ \$\.x"),
        (Dog, Dog(has_tail=1), r"expected true or false, got int @ \$\.x\.hasTail"),
        (list[complex] | None, None, r"values of type .*complex.* cannot be read @ \$\.x"),
        (complex, 1j, r"complex is a type that JSON has not: say it as a text, .* @ \$\.x"),
        (float, math.nan, r"not JSON compliant.* @ \$\.x"),
        (Any, Secret("sk-123456"), r"secrets are not stored: .* @ \$\.x"),
    ],
    ids=str,
)
def test_what_would_come_back_as_something_else_is_refused_by_its_name(new, kind, value, told):
    client, held = new(), holding(kind)
    client.jobs.declare(held)
    with pytest.raises(JobRefused, match=told) as refused:
        client.jobs.enqueue(held(value))
    assert "the payload of Held" in str(refused.value)
    assert client.jobs.stats().total_jobs == 0


def test_every_field_that_would_be_another_is_named(new):
    @attrs.frozen
    class Plan:
        epochs: int | None = 10
        cars: tuple[Car, ...] = ()
        start: datetime | None = None

    client = new()
    client.jobs.declare(Plan)
    with pytest.raises(JobRefused) as refused:
        client.jobs.enqueue(Plan(epochs=True, cars=(Truck(),), start=datetime(2026, 1, 2)))  # noqa: DTZ001 - the mistake
    assert "no time zone: say datetime(..., tzinfo=timezone.utc) @ $.start" in str(refused.value)
    with pytest.raises(JobRefused) as refused:
        client.jobs.enqueue(Plan(cars=(Car(), Truck(), Truck())))
    for path in ("Plan.cars[1]", "Plan.cars[2]"):
        assert f"{path} is of type Truck, and would come back of type Car" in str(refused.value)


def test_a_field_that_is_no_argument_is_refused_when_it_would_be_another():
    @attrs.define
    class Counted:
        name: str
        count: int = attrs.field(init=False, default=0)

    counted = Counted("a")
    assert read_again(counted) == counted
    counted.count = 5
    assert as_stored(counted)[1] == [
        "the payload of Counted would not come back as it is: Counted.count is 5, and would come back as 0"
    ]


def test_a_converter_that_changes_what_it_made_is_found_out():
    held = holding(str, converter=lambda text: f"{text}!")
    assert "Held.x is 'a!', and would come back as 'a!!'" in as_stored(held("a"))[1][0]
    shorter = holding(tuple[int, ...], converter=lambda numbers: numbers[1:])
    assert "Held.x is (2, 3), and would come back as (3,)" in as_stored(shorter((1, 2, 3)))[1][0]
