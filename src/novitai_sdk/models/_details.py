"""One thing that is wrong with one field of an input."""

from collections.abc import Mapping

import attrs

from ._base import OFF_WIRE, Json, Model, extra_field
from ._shown import repr_of_json


def _was_given(detail: "ValidationErrorDetail") -> bool:
    return detail.value is not None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ValidationErrorDetail(Model):
    """One thing that is wrong with one field.

    >>> ValidationErrorDetail(field="gpuNum", message="GPU number must be at most 8", value=10)
    ValidationErrorDetail(field='gpuNum', message='GPU number must be at most 8', value=10)
    """

    field: str
    """Wire name, dotted where it is nested; empty when the whole body is wrong."""

    message: str
    """What is wrong, in one sentence."""

    value: Json = attrs.field(default=None, hash=False, repr=repr_of_json)
    """What was given, shortened where it is long or deep; None when nothing was given, or null."""

    given: bool = attrs.field(
        default=attrs.Factory(_was_given, takes_self=True), repr=False, metadata=OFF_WIRE
    )
    """Whether there was a value at all: False tells a missing field from one that is null."""

    extra: Mapping[str, Json] = extra_field()
