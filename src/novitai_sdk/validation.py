"""Judging what came from outside: data in, a value or every problem out. Nothing here raises for bad data.

>>> result = validate_create_instance({"name": "bad name!", "productName": "RTX 4090 24GB", "gpuNum": "2"})
>>> for problem in result.error.details:
...     print(f"{problem.field}: {problem.message}")
name: Name must contain only alphanumeric characters, hyphens, and underscores
templateId: Template ID is required
>>> result.value["gpu_num"], result.value["rootfs_size"]
(2, 60)
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, cast

import attrs

from .models import DEFAULT_REGIONS, CreateInstanceRequest, ValidationErrorDetail
from .models._base import Model
from .models._rules import FAILED, ID, LONGEST_ID, Rule, as_regions, create_rules, examine, wrong
from .models._shown import repr_of_json

if TYPE_CHECKING:
    from .models import (
        DeleteInstanceRequest,
        ListInstancesQuery,
        StartInstanceRequest,
        StopInstanceRequest,
        UpdateLastUsedTimeRequest,
        ValidationErrorResponse,
    )

__all__ = [
    "Invalid",
    "Valid",
    "ValidationFailure",
    "ValidationResult",
    "validate_create_instance",
    "validate_delete_instance",
    "validate_instance_id",
    "validate_last_used",
    "validate_list_query",
    "validate_start_instance",
    "validate_stop_instance",
]

_T = TypeVar("_T")
_BAD_ID: Final = "Invalid instance ID"


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ValidationFailure(Model):
    """Why an input was refused."""

    message: str
    """The sentence over all problems: ``Validation failed``, or ``Invalid instance ID``."""

    details: tuple[ValidationErrorDetail, ...]
    """Every problem, in the order of the fields."""

    def to_response(
        self, *, request_id: str = "unknown", now: datetime | None = None
    ) -> "ValidationErrorResponse":
        """Return the body that answers such an input: code ``VALIDATION_ERROR``, at *now* (the current time)."""
        from .models import ValidationErrorResponse

        return ValidationErrorResponse.of(self, request_id=request_id, now=now)


@attrs.frozen(eq=False, repr=False)
class Valid(Model, Generic[_T]):
    """The input keeps to every rule."""

    value: _T
    """What it stands for, defaults applied."""

    error: None = None


@attrs.frozen(eq=False, repr=False)
class Invalid(Model):
    """The input breaks at least one rule.

    A request that exists is valid, so there is none here. What was valid is a mapping instead: correct the rest, and
    ``CreateInstanceRequest(**{**result.value, "name": "a-good-name"})`` makes the request.
    """

    value: Mapping[str, object] = attrs.field(repr=repr_of_json)
    """The fields that are valid, by their Python names, defaults applied."""

    error: ValidationFailure


ValidationResult: TypeAlias = Valid[_T] | Invalid
"""What a validation found; looking at ``error`` tells type checkers which ``value`` it is."""


def validate_create_instance(
    data: object, *, regions: Sequence[str] = DEFAULT_REGIONS
) -> ValidationResult[CreateInstanceRequest]:
    """Judge the body of a create; *regions* are those it may name.

    Raises ValueError when *regions* is empty or a single text.
    """
    allowed = as_regions(regions)

    def make(**values: Any) -> CreateInstanceRequest:
        return CreateInstanceRequest(**values, regions=allowed)

    return _judge(data, create_rules(allowed), make)


def validate_instance_id(value: object) -> ValidationResult[str]:
    """Judge an instance id: letters, digits, ``-`` and ``_``, at most 255 of them."""
    if isinstance(value, str):
        if len(value) > LONGEST_ID:
            problem = f"Instance ID must be at most {LONGEST_ID} characters long"
            return _refused(_BAD_ID, wrong("instanceId", value, problem).details)
        if ID.fullmatch(value):
            return Valid(str.__str__(value))
    problem = "Instance ID must contain only alphanumeric characters, hyphens, and underscores"
    return _refused(_BAD_ID, wrong("instanceId", value, problem).details)


# The other requests and their rules are loaded when the first of them is judged: few programs judge any.
def validate_start_instance(data: object) -> "ValidationResult[StartInstanceRequest]":
    """Judge the body of a start."""
    from .models._verbs import START_RULES, StartInstanceRequest

    return _judge(data, START_RULES, StartInstanceRequest)


def validate_stop_instance(data: object) -> "ValidationResult[StopInstanceRequest]":
    """Judge the body of a stop."""
    from .models._verbs import STOP_RULES, StopInstanceRequest

    return _judge(data, STOP_RULES, StopInstanceRequest)


def validate_delete_instance(data: object) -> "ValidationResult[DeleteInstanceRequest]":
    """Judge the body of a delete."""
    from .models._verbs import DELETE_RULES, DeleteInstanceRequest

    return _judge(data, DELETE_RULES, DeleteInstanceRequest)


def validate_last_used(data: object) -> "ValidationResult[UpdateLastUsedTimeRequest]":
    """Judge the body that tells when an instance was last used; a time without a zone is read as UTC."""
    from .models._verbs import LAST_USED_RULES, UpdateLastUsedTimeRequest

    return _judge(data, LAST_USED_RULES, UpdateLastUsedTimeRequest)


def validate_list_query(data: object) -> "ValidationResult[ListInstancesQuery]":
    """Judge the query of a list. Numbers may be texts, as they are in a URL."""
    from .models._verbs import LIST_RULES, ListInstancesQuery

    return _judge(data, LIST_RULES, ListInstancesQuery)


def _judge(data: object, rules: Sequence[Rule], make: Callable[..., _T]) -> ValidationResult[_T]:
    if not isinstance(data, Mapping):
        return _refused(FAILED, wrong("", data, '"value" must be of type object').details)
    values, details = examine(rules, cast("Mapping[str, object]", data))
    if details:
        return _refused(FAILED, details, values)
    return Valid(make(**values))


def _refused(
    message: str,
    details: tuple[ValidationErrorDetail, ...],
    values: Mapping[str, object] | None = None,
) -> Invalid:
    return Invalid(values or {}, ValidationFailure(message=message, details=details))
