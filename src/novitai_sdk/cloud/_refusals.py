"""Reading the cloud's refusals.

Most domain errors arrive as HTTP 400, so the class is chosen by reason, then by message, then by status. Reading
never raises: an error page of a proxy, an empty body or a broken one ends as a refusal with what could be read.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import attrs

from ..errors import (
    ApiError,
    InsufficientBalance,
    InvalidState,
    NoCapacity,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestRefused,
    ServerFailed,
    Unauthorized,
)

Meaning = type[ApiError]

# Reasons of the API's error table. The set is open: what is not here is judged by message and status.
_BY_REASON: Final[Mapping[str, Meaning]] = {
    **dict.fromkeys(("UNAUTHORIZED", "INVALID_API_KEY", "MISSING_API_KEY", "GET_TOKEN_FAILED"), Unauthorized),
    **dict.fromkeys(
        (
            "FORBIDDEN", "API_NOT_ALLOWED", "NO_PERMISSION", "PERMISSION_DENIED", "IDENTIFY_NOT_DONE",
            "TEMPLATE_IS_PRIVATE",
        ),
        PermissionDenied,
    ),
    **dict.fromkeys(
        (
            "API_NOT_FOUND", "RESOURCE_NOT_FOUND", "IMAGE_NOT_FOUND", "NETWORK_NOT_FOUND", "NETWORK_STORAGE_NOT_FOUND",
            "JOB_NOT_FOUND", "TEMPLATE_NOT_FOUND", "SERVERLESS_ENDPOINT_NOT_FOUND", "SERVERLESS_WORKER_NOT_FOUND",
            "SERVERLESS_PRODUCT_NOT_FOUND", "INSTANCE_LOCAL_STORAGE_NOT_FOUND", "ORDER_NOT_FOUND",
        ),
        NotFound,
    ),
    **dict.fromkeys(
        (
            "INSUFFICIENT_RESOURCE", "MIGRATE_INSUFFICIENT_RESOURCE", "CLUSTER_STATUS", "NODE_STATUS",
            "IMAGE_PREWARM_NO_NODES_AVAILABLE",
        ),
        NoCapacity,
    ),
    **dict.fromkeys(
        (
            "CONFLICT", "OPERATION_LIMIT", "DEPENDENT_RESOURCE_STATE", "GPU_SPEC_USED", "NETWORK_IN_USE",
            "NETWORK_STORAGE_IN_USE", "NETWORK_STORAGE_UNAVAILABLE", "IMAGE_AUTH_IN_USE",
            "PREPAID_INSTANCE_NOT_SUPPORT_RELEASE", "CREATING_INSTANCE_NOT_SUPPORT_RENEWAL",
            "MIGRATION_JOB_NOT_BREAKABLE",
        ),
        InvalidState,
    ),
    **dict.fromkeys(("RATE_LIMIT_EXCEEDED", "SEND_CODE_TOO_FAST"), RateLimited),
    **dict.fromkeys(
        ("CREATE_INSTANCE_LIMIT", "CREATE_GPU_NUM_LIMIT", "NETWORK_MAX_LIMIT", "IMAGE_PREWARM_NUM_LIMIT"),
        PermissionDenied,
    ),
    **dict.fromkeys(
        (
            "BALANCE_NOT_ENOUGH", "EXPIRED_OR_BALANCE_NOT_ENOUGH", "WALLET_NOT_FOUND", "BUDGET_NOT_ENOUGH",
            "NOT_ENOUGH_BUDGET", "MEMBER_BUDGET_NOT_ENOUGH", "NOT_ENOUGH_BALANCE",
        ),
        InsufficientBalance,
    ),
    "INVALID_COMMAND_PARAM": RequestRefused,
}  # fmt: skip

# Words for anything, each with what it means if nothing else tells more.
_GENERIC: Final[Mapping[str, Meaning]] = {
    "UNKNOWN": ServerFailed,
    "VALIDATOR_PARAM": RequestRefused,
    "REQUEST": RequestRefused,
}

# "not fount" is how the API spells some of its own answers.
_BY_MESSAGE: Final[tuple[tuple[str, Meaning], ...]] = (
    ("insufficient_resource", NoCapacity),
    ("insufficient resource", NoCapacity),
    ("invalid state change", InvalidState),
    ("not found", NotFound),
    ("not fount", NotFound),
)

_BY_STATUS: Final[Mapping[int, Meaning]] = {
    400: RequestRefused,
    401: Unauthorized,
    402: InsufficientBalance,
    403: PermissionDenied,
    404: NotFound,
    # Said by something in between that gave up waiting: what was asked may have reached the cloud.
    408: ServerFailed,
    409: InvalidState,
    422: RequestRefused,
    429: RateLimited,
}

# Statuses that leave nothing to the message: "user not found" with a 401 is about the key.
_PLAIN_BY_STATUS: Final = frozenset({Unauthorized, InsufficientBalance, RateLimited, ServerFailed})

_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,99}", re.ASCII)
_WORD: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", re.ASCII)
_REQUEST_ID: Final = re.compile(r"request-?id|trace-?id", re.IGNORECASE)
_SECONDS: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_TAG: Final = re.compile(r"<[^>]{0,200}>")
_LONGEST_MESSAGE: Final = 500
_LONGEST_READ: Final = 2000
_LONGEST_WAIT: Final = 1e9
"""Seconds: 31 years, which nobody waits, and a number that can be reckoned with."""


@attrs.frozen(kw_only=True)
class Refusal:
    """What could be read of a refusal."""

    meaning: Meaning
    status: int
    message: str
    reason: str | None = None
    metadata: Mapping[str, str] = attrs.field(factory=dict[str, str])
    request_id: str | None = None
    retry_after: float | None = None

    def error(self, **context: Any) -> ApiError:
        """Return the error to raise."""
        return self.meaning(
            self.message,
            status=self.status,
            reason=self.reason,
            metadata=self.metadata,
            request_id=self.request_id,
            retry_after=self.retry_after,
            **context,
        )


def read_refusal(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> Refusal:
    """Read a refusal; *now* is seconds since 1970, for a Retry-After that names a date."""
    own = _object(body)
    fields = own or {}
    said = _said(fields)
    reason = _reason(fields, said or "", status)
    # A page in place of an answer is not the cloud's: that it finds nothing says nothing about the cloud.
    foreign = own is None and bool(body.strip())
    return Refusal(
        meaning=ApiError if foreign and status == 404 else _meaning(status, reason, said or ""),
        status=status,
        message=said or _stand_in(status, body, foreign=foreign),
        reason=reason,
        metadata=_metadata(fields),
        request_id=request_id(headers),
        retry_after=read_retry_after(headers.get("retry-after"), now=now),
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """The id the cloud gave a request, under whichever name it came."""
    return next((short(headers[name]) for name in headers if _REQUEST_ID.search(name)), None)


def read_retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds to wait by a Retry-After header: a number of seconds or a date (RFC 9110, 10.2.3); None if unreadable.

    >>> read_retry_after("2", now=0.0)
    2.0
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return max(0.0, (moment - epoch).total_seconds() - now)


def _object(body: bytes) -> Mapping[str, object] | None:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, object], found) if isinstance(found, dict) else None


def _said(fields: Mapping[str, object]) -> str | None:
    for name in ("message", "error", "reason", "title"):
        value = fields.get(name)
        if isinstance(value, str) and (clean := short(value)):
            return clean
    return None


def _stand_in(status: int, body: bytes, *, foreign: bool) -> str:
    if not foreign:
        return f"the cloud answered {status} without a message"
    # The start of a proxy's page tells more than nothing; markup and control characters tell nothing.
    text = body[:_LONGEST_READ].decode("utf-8", "replace")
    said = short(_TAG.sub(" ", text), cut=len(body) > _LONGEST_READ)
    return f"the cloud answered {status} with something that is not its own: {said}"


def short(text: str, longest: int = _LONGEST_MESSAGE, *, cut: bool = False) -> str:
    """Foreign words fit to be shown: in one line, without what a terminal obeys, and not without end."""
    clean = _clean(text[:_LONGEST_READ])
    cut = cut or len(text) > _LONGEST_READ or len(clean) > longest
    # The mark tells those who mask secrets, too, that one may have been cut in two.
    return clean[:longest] + "…" if cut else clean


def _clean(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def excerpt(body: bytes) -> str:
    """The start of what cannot be read, fit to be shown."""
    text = body[:_LONGEST_READ].decode("utf-8", "replace")
    return short(text, 80, cut=len(body) > _LONGEST_READ)


def shown(text: str) -> tuple[str, str]:
    """How *text* looks in the message of an error that repeats it, and in one made of a page."""
    return _clean(text), _clean(_TAG.sub(" ", text))


def is_known_reason(reason: str) -> bool:
    """Whether it is a word of the API's own table."""
    return reason in _BY_REASON or reason in _GENERIC


def _reason(fields: Mapping[str, object], message: str, status: int) -> str | None:
    given = [fields.get(name) for name in ("reason", "code")]
    reasons = [value for value in given if isinstance(value, str) and _REASON.fullmatch(value)]
    # A word for anything must not hide one that means something.
    known = [reason for reason in reasons if reason in _BY_REASON]
    telling = [reason for reason in reasons if reason not in _GENERIC]
    if reasons:
        return (known or telling or reasons)[0]
    # The text of a server fault is not its reason: "lookup failed: RESOURCE_NOT_FOUND" does not make a thing gone.
    found = _WORD.search(message) if status < 500 else None
    return found.group() if found else None


def _metadata(fields: Mapping[str, object]) -> Mapping[str, str]:
    found = fields.get("metadata")
    if not isinstance(found, dict):
        return {}
    return {
        short(key): short(str(value))
        for key, value in list(cast(dict[str, object], found).items())[:50]
        if not isinstance(value, dict | list)
    }


def _meaning(status: int, reason: str | None, message: str) -> Meaning:
    if reason is not None and reason in _BY_REASON:
        return _BY_REASON[reason]
    by_status = ServerFailed if status >= 500 else _BY_STATUS.get(status, ApiError)
    if by_status in _PLAIN_BY_STATUS:
        return by_status
    if reason == "UNKNOWN":  # the API's word for a fault of its own, whatever the status
        return ServerFailed
    lowered = message.lower()
    by_message = next((meaning for words, meaning in _BY_MESSAGE if words in lowered), None)
    return by_message or _GENERIC.get(reason or "", by_status)
