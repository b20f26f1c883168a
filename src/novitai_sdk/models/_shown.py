"""How values are shown to people: without the credentials they may carry, and never longer than can be read."""

import math
import re
from collections.abc import Mapping
from itertools import islice
from typing import Final, cast

from ._base import MASK, Json, Secret

# Long enough to show whole whatever is only a little too long; the largest field allows 200 characters.
_LONGEST: Final = 1000
_LONGEST_INSIDE: Final = 100
_WIDEST: Final = 10
_DEEPEST: Final = 3
# Python refuses to write integers of more than some thousands of digits, and nobody reads them.
_MOST_BITS: Final = 4096

# User and password before the host; query and fragment, where web services put their tokens.
_USER: Final = r"(?<=://)[^/?#\s]*@"
_TAIL: Final = r"([?#]).*"


def without_credentials(text: str) -> str:
    """Return a URL with everything masked that may be a credential; other texts as they are.

    >>> without_credentials("https://me:pw@host/lab?token=abc")
    'https://***@host/lab?***'
    """
    if "://" not in text:
        return text
    return re.sub(_TAIL, rf"\1{MASK}", re.sub(_USER, f"{MASK}@", text), flags=re.DOTALL)


def repr_of_url(value: str | None) -> str:
    """Return what ``repr`` shows of a field that holds a URL."""
    return repr(value if value is None else without_credentials(value))


def repr_of_json(value: object) -> str:
    """Return what ``repr`` shows of a field that holds anything, which may be an address or have some in it.

    >>> repr_of_json({"port": 8888, "seen": ["https://me:pw@host/lab?token=abc"]})
    "{'port': 8888, 'seen': ['https://***@host/lab?***']}"
    """
    return repr(_without_credentials_in(value))


def _without_credentials_in(value: object) -> object:
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {key: _without_credentials_in(item) for key, item in items}
    if isinstance(value, list):
        return [_without_credentials_in(item) for item in cast("list[object]", value)]
    if isinstance(value, tuple):
        return tuple(_without_credentials_in(item) for item in cast("tuple[object, ...]", value))
    return value


def bounded(value: object) -> Json:
    """Return *value* as JSON that is short, shallow and can be printed and encoded, whatever it was.

    >>> bounded(float("nan")), bounded("x" * 10_000_000)[-24:], bounded(b"raw")
    ('NaN', 'x… (10000000 characters)', '<bytes>')
    """
    return _bounded(value, _DEEPEST)


def _bounded(value: object, depth: int) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _short(value, _LONGEST if depth == _DEEPEST else _LONGEST_INSIDE)
    if isinstance(value, int):
        bits = value.bit_length()
        return int(value) if bits <= _MOST_BITS else f"<integer of {bits} bits>"
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, dict):
        return _bounded_object(cast("dict[object, object]", value), depth)
    if isinstance(value, list | tuple):
        return _bounded_list(cast("list[object] | tuple[object, ...]", value), depth)
    return f"<{type(value).__name__}>"


def _bounded_object(value: dict[object, object], depth: int) -> Json:
    if not depth:
        return "{…}" if value else {}
    first = islice(value.items(), _WIDEST)
    shown = {str(_bounded(key, 0)): _bounded(item, depth - 1) for key, item in first}
    left = len(value) - _WIDEST
    return {**shown, "…": f"{left} more"} if left > 0 else shown


def _bounded_list(value: list[object] | tuple[object, ...], depth: int) -> Json:
    if not depth:
        return "[…]" if value else []
    shown = [_bounded(item, depth - 1) for item in value[:_WIDEST]]
    left = len(value) - _WIDEST
    return [*shown, f"… {left} more"] if left > 0 else shown


def _short(text: str, most: int) -> str:
    # A lone surrogate can be neither printed nor sent; its escape can.
    head = str.__str__(text)[:most].encode("utf-8", "backslashreplace").decode()
    return head if len(text) <= most else f"{head}… ({len(text)} characters)"
