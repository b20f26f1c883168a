"""The bodies in which the service contract reports an error."""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final, Protocol

import attrs

from ._base import Json, Model, extra_field
from ._details import ValidationErrorDetail
from ._shown import repr_of_json

VALIDATION_ERROR: Final = "VALIDATION_ERROR"
"""The code of a request that was refused for its content."""

_FOR_A_SENTENCE: Final = "INTERNAL_SERVER_ERROR"
_BESIDE_A_SENTENCE: Final = ("timestamp", "requestId")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ErrorDetail(Model):
    """What went wrong with a request."""

    code: str
    """Such as ``INSTANCE_NOT_FOUND``."""

    message: str
    """For people."""

    timestamp: datetime
    """When, in UTC."""

    request_id: str = "unknown"
    """The caller's id of the request, ``unknown`` when it gave none."""

    details: Json = attrs.field(default=None, hash=False, repr=repr_of_json)
    """What else is known."""

    correlation_id: str | None = None
    """The id under which logs of several services find each other."""

    retryable: bool | None = None
    """True when the same request may succeed later."""

    retry_after: int | None = None
    """Milliseconds to wait before that."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ErrorResponse(Model):
    """The body of an answer that reports an error.

    Later versions answered whatever went wrong with 500 and a sentence in the place of the error, time and request
    beside it; that is read as an error of the code ``INTERNAL_SERVER_ERROR``.
    """

    error: ErrorDetail
    extra: Mapping[str, Json] = extra_field()

    @staticmethod
    def one_form(found: Json) -> Json:
        """Read an error that is a sentence as the object it used to be."""
        sentence = found.get("error") if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or not isinstance(sentence, str):
            return found
        inside = {name: found[name] for name in _BESIDE_A_SENTENCE if name in found}
        beside = {name: value for name, value in found.items() if name not in inside}
        return {**beside, "error": {**inside, "code": _FOR_A_SENTENCE, "message": sentence}}


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ValidationErrorBody(ErrorDetail):
    """What went wrong with a request that was refused for its content."""

    validation_errors: tuple[ValidationErrorDetail, ...] = ()
    """Every problem, in the order of the request's fields; empty where the service does not tell, as in production."""


class Failure(Protocol):
    """Whatever says why an input was refused: a result's ``error``, or a raised ValidationError."""

    @property
    def message(self) -> str:
        """The one sentence over all problems."""
        ...

    @property
    def details(self) -> tuple[ValidationErrorDetail, ...]:
        """Every problem."""
        ...


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ValidationErrorResponse(ErrorResponse):
    """The body of an answer that refuses a request for its content."""

    error: ValidationErrorBody

    @classmethod
    def of(
        cls, failure: Failure, *, request_id: str = "unknown", now: datetime | None = None
    ) -> "ValidationErrorResponse":
        """Return the body that reports *failure*, with the code ``VALIDATION_ERROR``.

        *failure* is the ``error`` of a validation result or a raised ValidationError; *now* is the current time unless
        given.
        """
        return cls(
            error=ValidationErrorBody(
                code=VALIDATION_ERROR,
                message=failure.message,
                timestamp=datetime.now(timezone.utc) if now is None else now,
                request_id=request_id,
                validation_errors=failure.details,
            )
        )
