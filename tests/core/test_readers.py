"""Reading in a straight line and reading with care give the same, whatever comes."""

import linecache
import traceback
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novitai_sdk import cloud, models
from novitai_sdk._calling import Moded
from novitai_sdk._convert import _fields, _Model, cloud_converter, converter, make_converter
from novitai_sdk.cloud import Route
from novitai_sdk.models._base import Json, OpenStr, Secret, extra_field, wire

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
TIMES = st.sampled_from(
    ["", "0", "-1", 0, -1, "1790000000", 1790000000, "99999999999", "2026-01-02T03:04:05.678Z"]
)
USUAL: Mapping[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=6) | st.integers(),
    int: st.integers() | st.sampled_from(["16", "007", "1.0", "٣", " 5 ", "", "9" * 30, 2.0, True]),
    float: st.floats() | st.integers() | st.sampled_from(["1.5", "1e5", "", "nan", "x"]),
    bool: st.booleans(),
    Decimal: st.sampled_from(["1.50", "0", 3, 0.25, "", "NaN"]),
    datetime: TIMES,
    Secret: st.text(max_size=6),
}


@cache
def usual(kind: Any) -> st.SearchStrategy[Any]:
    """What the wire may bring for *kind*: mostly what is meant, now and then anything."""
    return st.one_of(*[_meant(kind)] * 6, ANYTHING)


def _meant(kind: Any) -> st.SearchStrategy[Any]:
    origin = get_origin(kind)
    if kind in USUAL:
        return USUAL[kind]
    if origin in (Union, UnionType) and kind != Json:
        inner = [usual(one) for one in get_args(kind) if one is not NoneType]
        return st.one_of(*inner, st.none(), st.just(""))
    if origin is tuple:
        return st.lists(usual(get_args(kind)[0]), max_size=2)
    if attrs.has(kind):
        return objects(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from([member.value for member in kind]) | st.sampled_from(["new", "", 9])
    return ANYTHING


@cache
def objects(kind: Any) -> st.SearchStrategy[Any]:
    spellings = {
        spelling: usual(field.type)
        for name, field in _fields(kind)
        for spelling in (name, *field.metadata.get("also", ()))
    }
    required = {
        name: usual(field.type) for name, field in _fields(kind) if field.default is attrs.NOTHING
    }
    unknown = st.dictionaries(st.text(max_size=3).map("x-".__add__), ANYTHING, max_size=1)
    known = st.fixed_dictionaries(
        required, optional={name: spellings[name] for name in spellings if name not in required}
    )
    return st.builds(lambda one, two: {**one, **two}, known, unknown)


def model_of(kind: Any, using: Any) -> _Model:
    return using.get_structure_hook(kind).__self__


CASES = [
    pytest.param(kind, using, id=f"{using_name}.{name}")
    for using_name, module, using in (
        ("cloud", cloud, cloud_converter),
        ("contract", models, converter),
    )
    for name in module.__all__
    if isinstance(kind := getattr(module, name), type)
    and attrs.has(kind)
    and not issubclass(kind, Moded | Route)  # nouns and routes are not read
]


@pytest.mark.parametrize(("kind", "using"), CASES)
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_both_ways_of_reading_agree(kind: Any, using: Any, data: st.DataObject) -> None:
    model = model_of(kind, using)
    found = data.draw(objects(kind) if data.draw(st.integers(0, 9)) else ANYTHING)
    try:
        careful = model._with_care(found)
    except Exception:  # noqa: BLE001 - it may be anything: what counts is that the other way refuses as well
        with pytest.raises(Exception):  # noqa: B017, PT011 - see above
            model.reader()(found)
        return
    try:
        straight = model.reader()(found)
    except Exception:  # noqa: BLE001 - left to care, which has an answer
        return
    assert type(straight) is type(careful)
    assert repr(straight) == repr(careful)
    assert straight == careful or repr(straight).count("nan")
    assert using.unstructure(straight).keys() == using.unstructure(careful).keys()


class Word(OpenStr):
    ONE = "one"


@attrs.frozen(kw_only=True)
class Part:
    size: int
    password: Secret = attrs.field(default=Secret(""), converter=Secret)
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class Whole:
    id: str = attrs.field(metadata={**wire("Id"), "also": ("id",)})
    word: Word | None = None
    parts: tuple[Part, ...] = ()
    names: tuple[str, ...] | None = None
    at: datetime | None = None
    level: int = 3
    extra: Mapping[str, Json] = extra_field()


FULL = {
    "id": "a",
    "word": "one",
    "parts": [{"size": 1, "password": "s"}, {"size": 2, "new": []}],
    "names": ["x", "y"],
    "at": "1790000000",
    "level": 4,
}


def test_what_is_usual_is_read_in_a_straight_line() -> None:
    """Otherwise everything above would hold for readers that never read."""
    model = model_of(Whole, cloud_converter)
    straight = model.reader()(FULL)
    assert straight == model._with_care(FULL)
    assert straight.word is Word.ONE
    assert straight.parts[1].extra == {"new": []}
    assert model.reader()({"Id": "b"}) == Whole(id="b")


def test_a_model_read_often_is_still_refused_with_every_problem() -> None:
    used = make_converter()
    wrong = {"id": 5, "level": "x"}
    seen = set()
    for _ in range(200):
        with pytest.raises(Exception, match="Whole") as caught:
            used.structure(wrong, Whole)
        seen.add(str(caught.value))
    assert seen == {"not a Whole (2 sub-exceptions)"}


def test_a_hook_of_ones_own_is_asked_by_both_ways() -> None:
    used = make_converter()
    used.register_structure_hook(str, lambda value, _: f"<{value}>")
    used.register_structure_hook(Part, lambda value, _: Part(size=len(value)))
    found = {"id": "a", "parts": [{"a": 1, "b": 2}], "names": ["x"]}
    expected = Whole(id="<a>", parts=(Part(size=2),), names=("<x>",))
    assert [used.structure(found, Whole) for _ in range(200)] == [expected] * 200


def test_a_reader_shows_its_lines_in_a_traceback() -> None:
    reader = model_of(Whole, make_converter()).reader()
    try:
        reader({"id": "a", "level": "x"})
    except TypeError as error:
        shown = "".join(traceback.format_exception(error))
    assert "v = hook6(v, kind6)" in shown
    assert any(file.startswith("<reader of ") for file in linecache.cache)
