"""Single values as they come over the wire, and how strictly they are taken.

Each function takes a value and the type that is wanted, as the converter's hooks do, and raises TypeError or ValueError
with what was expected.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin

from .models._base import Json, JsonObject, OpenInt, OpenStr, Secret

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Texts, not patterns: compiled with the first use and kept by `re`, they cost an import of this library nothing. ASCII
# by a flag of their own: one given with each call costs more than the search.
_ISO: Final = (
    r"(?a)(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:?\d\d)"
)
_WHOLE: Final = r"(?a)\s*[+-]?\d{1,18}(\.0*)?\s*"
_NUMBER: Final = r"(?a)\s*[+-]?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,3})?\s*"
_MOST_DIGITS: Final = 40
# What the cloud writes where it means "no time".
NO_TIME: Final = frozenset({"", "0", "-1"})
_LONGEST_ID: Final = 255
# What programs write where they have no id, their zero among it.
_NO_ID: Final = frozenset({"", "0", "null", "undefined", "none", "nil"})


def refuse(value: object, wanted: str) -> TypeError:
    return TypeError(f"expected {wanted}, got {type(value).__name__}")


def text(value: Any, _: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise refuse(value, "a text")


def truth(value: Any, _: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise refuse(value, "true or false")


def whole(value: Any, _: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise refuse(value, "a whole number")


def number(value: Any, _: Any) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError("expected a number of ordinary size") from None
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise refuse(value, "a finite number")


def either_id(value: Any, _: Any) -> str | int | float:
    """A template id: a text or a number, and it stays what it was."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    raise refuse(value, "a text or a number")


def iso_time(value: Any, _: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise refuse(value, "an ISO-8601 time")
    # datetime.fromisoformat knows neither "Z" nor milliseconds of any length before Python 3.11.
    found = re.fullmatch(_ISO, value)
    if found is None:
        raise ValueError("expected an ISO-8601 time with a zone")
    *numbers, fraction, zone = found.groups()
    micro = int((fraction or "0").ljust(6, "0")[:6])
    moment = datetime(*map(int, numbers), micro, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]  # six groups of digits
    if zone in "Zz":
        return moment
    sign = -1 if zone[0] == "-" else 1
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * sign
    try:
        return moment - offset
    except OverflowError:
        raise ValueError("expected a time between the years 1 and 9999") from None


def to_wire_time(moment: datetime) -> str:
    """Write a time as the contract does: UTC, milliseconds, ``Z``.

    >>> to_wire_time(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc))
    '2026-01-02T03:04:05.678Z'
    """
    utc = moment.astimezone(timezone.utc)
    return f"{utc.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def secret(value: Any, _: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    return Secret(text(value, None))


# -- the same, as the cloud writes them ----------------------------------------------------------


def loose_text(value: Any, _: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value, None)


def loose_secret(value: Any, _: Any) -> Secret:
    return value if isinstance(value, Secret) else Secret(loose_text(value, None))


def can_name(text: str) -> bool:
    """Whether *text* can be an id the cloud gave: in one line, and not without end."""
    return text.isprintable() and 0 < len(text) <= _LONGEST_ID


def an_id(value: Any, _: Any) -> str:
    found = loose_text(value, None)
    if found.strip().lower() in _NO_ID:
        raise ValueError(f"expected an id, got {found.strip()!r}")
    # It goes into requests, messages and files; what cannot is looked for by what the machine carries.
    if not can_name(found):
        raise ValueError(f"expected an id, got {found[:20]!r}")
    return found


def _is_short_number(value: Any) -> bool:
    """Whether it is nothing but a few digits, as most numbers of the cloud are."""
    return value.__class__ is str and len(value) < 19 and value.isdecimal() and value.isascii()


def loose_whole(value: Any, _: Any) -> int:
    if _is_short_number(value):
        return int(value)
    if isinstance(value, str) and re.fullmatch(_WHOLE, value):
        return int(value.strip().split(".")[0])
    return whole(value, None)


def loose_number(value: Any, _: Any) -> float:
    if _is_short_number(value):
        return float(value)
    if isinstance(value, str) and re.fullmatch(_NUMBER, value):
        return number(float(value), None)
    return number(value, None)


def amount(value: Any, _: Any) -> Decimal:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        text = str(value).strip()
        try:
            amount = Decimal(text if len(text) <= _MOST_DIGITS else "")
        except InvalidOperation:
            raise ValueError("expected an amount") from None
        # Nine digits of an exponent are an overflow where it is divided, and a gigabyte where it is written out.
        if amount.is_finite() and abs(int(amount.as_tuple().exponent)) <= _MOST_DIGITS:
            return amount
    raise refuse(value, "an amount")


def epoch_time(value: Any, _: Any) -> datetime:
    if _is_short_number(value) and len(value) < 11:  # until 2286, which every platform can count to
        return datetime.fromtimestamp(int(value), timezone.utc)
    if isinstance(value, str) and "-" in value[1:]:
        return iso_time(value, None)
    seconds = loose_number(value, None)
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("expected seconds since 1970") from None


def to_epoch(moment: datetime) -> str:
    return str(int((moment - _EPOCH).total_seconds()))


def an_object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast(Mapping[str, Any], value)
    raise refuse(value, "an object")


# -- classes of types ------------------------------------------------------------------------------


def is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def is_optional(kind: Any) -> bool:
    return is_union(kind) and NoneType in get_args(kind) and not is_json(kind)


def is_json(kind: Any) -> bool:
    return kind in (Json, JsonObject)


def is_id(kind: Any) -> bool:
    return is_union(kind) and set(get_args(kind)) <= {str, int, float}


def is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def is_open(kind: Any) -> bool:
    # Python 3.10 calls tuple[str, ...] a type, and does not ask whose subclass it is.
    plain = get_origin(kind) is None and isinstance(kind, type)
    return plain and issubclass(kind, OpenStr | OpenInt)


def is_sequence(kind: Any) -> bool:
    """Whether it is a tuple of any length; those of several types are another matter."""
    return get_origin(kind) is tuple and get_args(kind)[-1:] == (Ellipsis,)


def is_mapping(kind: Any) -> bool:
    return get_origin(kind) in (Mapping, dict) and not is_json(kind)
