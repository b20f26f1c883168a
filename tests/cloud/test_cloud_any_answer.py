"""Whatever the cloud answers ends in the model that was promised or in one of our errors."""

import json
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from novitai_sdk._convert import camel
from novitai_sdk._replies import read
from novitai_sdk._transport import Reply
from novitai_sdk.cloud import ROUTES, AnyRoute
from novitai_sdk.errors import CallError


def names_in(kind: Any, seen: set[Any]) -> set[str]:
    """The wire names of a model and of all models in it."""
    found: set[str] = set()
    if attrs.has(kind) and kind not in seen:
        seen.add(kind)
        for field in attrs.fields(kind):
            found |= {
                field.metadata.get("wire") or camel(field.name),
                *field.metadata.get("also", ()),
            }
            found |= names_in(field.type, seen)
    for inner in getattr(kind, "__args__", ()):
        found |= names_in(inner, seen)
    return found


# Names the models know, so that what they hold is read and not kept as unknown.
NAMES = sorted(set().union(*(names_in(route.answer, set()) for route in ROUTES)))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "0", "-1", "17", "1767225600", "9" * 400, "running", "1e999", "١٢"])
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=12,
)


def outcome(route: AnyRoute, body: bytes) -> object:
    reply = Reply(status=200, headers={"content-type": "application/json"}, body=body)
    try:
        return read(route, reply, lambda: 0.0)
    except CallError as error:
        return error


def is_promised(route: AnyRoute, found: object) -> bool:
    if isinstance(found, CallError):
        return bool(str(found))
    return found is None if route.answer is None else isinstance(found, route.answer)


@settings(max_examples=max(2000, settings().max_examples))
@given(route=st.sampled_from(ROUTES), document=DOCUMENTS)
def test_any_document_is_the_answer_or_an_error(route: AnyRoute, document: Any) -> None:
    found = outcome(route, json.dumps(document).encode())
    assert is_promised(route, found)
    assert repr(found)


@given(route=st.sampled_from(ROUTES), body=st.binary(max_size=40))
def test_any_bytes_are_the_answer_or_an_error(route: AnyRoute, body: bytes) -> None:
    assert is_promised(route, outcome(route, body))
