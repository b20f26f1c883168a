"""An event as the bytes of a webhook."""

import json
import random
from typing import Final

from .._convert import record_converter
from ..errors import ValidationError
from ..models import Json, ValidationErrorDetail, WebhookEvent
from ..models._rules import FAILED

__all__ = ["LARGEST_BODY", "message_id", "to_body"]

LARGEST_BODY: Final = 256 * 1024
"""Bytes of a body at most; receivers like less than 20 kB."""

_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
# Of the operating system: two processes forked from one must not come to the same ids.
_CHANCE: Final = random.SystemRandom()


def message_id(now: float) -> str:
    """Return a fresh message id; ids sort by the time they were made (*now*, seconds since 1970)."""
    return f"msg_{int(now * 1000):013d}{''.join(_CHANCE.choices(_ALPHABET, k=16))}"


def to_body(event: WebhookEvent | Json) -> str:
    """Return the exact text that is signed and sent: compact JSON in the contract's order, all ASCII.

    Raises ValidationError for what is not JSON or larger than 256 kB.
    """
    found = record_converter.unstructure(event) if isinstance(event, WebhookEvent) else event
    try:
        body = json.dumps(found, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(f"The payload is not JSON: {error}") from error
    if len(body) > LARGEST_BODY:
        raise _refused(f"The payload has {len(body)} bytes, more than {LARGEST_BODY}")
    return body


def _refused(message: str) -> ValidationError:
    detail = ValidationErrorDetail(field="payload", message=message)
    return ValidationError(FAILED, (detail,))
