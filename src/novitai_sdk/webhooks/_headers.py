"""Headers of a webhook that come from outside, and what may not be among them."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ..errors import ValidationError
from ..models import ValidationErrorDetail
from ..models._rules import FAILED

__all__ = ["check_headers", "merged"]

# A token and a field value of RFC 9110, sections 5.6.2 and 5.5; texts, so that they are compiled with the first use.
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE: Final = r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|"
# They say where a request ends and where it goes. Beside those of the connection itself, two servers in a row could
# read one request as two.
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)  # fmt: skip


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ValidationError naming every header that cannot be sent, without its value: it may be a credential."""
    details = tuple(
        ValidationErrorDetail(field=f"headers.{name}", message=problem)
        for name, problem in _problems(headers)
    )
    if details:
        raise ValidationError(FAILED, details)


def _problems(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        if not re.fullmatch(_NAME, name):
            yield ascii(name), "Header name must consist of letters, digits and !#$%&'*+-.^_`|~"
        elif name.lower() in _OF_THE_CONNECTION:
            yield name, "Header is set by the connection itself"
        elif not re.fullmatch(_VALUE, value):
            yield name, "Header value must be visible ASCII, without line breaks or space around it"


def merged(*layers: Mapping[str, str]) -> dict[str, str]:
    """Return one set of headers; of the same name in any case, the last layer's stands.

    >>> merged({"Content-Type": "a", "X": "b"}, {"content-type": "c"})
    {'X': 'b', 'content-type': 'c'}
    """
    found: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for name, value in layer.items():
            found.pop(name.lower(), None)
            found[name.lower()] = (name, value)
    return dict(found.values())
