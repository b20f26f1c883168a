"""Turning a reply into what the route promises, or into the error it is instead. Nothing else is ever raised."""

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

from ._convert import cloud_converter, explain
from ._transport import Reply
from .cloud._refusals import excerpt, read_refusal, read_retry_after, request_id, short
from .cloud._route import Route
from .errors import ApiError, NotFound, UnexpectedReply
from .models._base import Json

__all__ = ["Clock", "as_it_came", "json_of", "read"]

A = TypeVar("A")
B = TypeVar("B")

Clock = Callable[[], float]
"""Seconds since 1970: asked only where a Retry-After names a date."""

SUCCESS: Final = frozenset({200, 201, 202, 204})

_DEEPEST: Final = 100
# More lines than anybody reads; lists within lists make as many as their lengths multiplied.
_MOST_PROBLEMS: Final = 50


def as_it_came(route: Route[Any, Any], reply: Reply, clock: Clock) -> Reply:
    """Return the reply itself. Raises ApiError for a refusal, so that what can be tried again is."""
    if reply.status >= 400:
        raise _refused(reply, clock)
    return reply


def json_of(route: Route[Any, Any], reply: Reply, clock: Clock) -> Json:
    """Return the JSON of a success, None for an empty one."""
    _check_status(route, reply, clock)
    return cast(Json, _json(route, reply, clock)) if reply.body.strip() else None


def read(route: Route[B, A], reply: Reply, clock: Clock) -> A:
    """Return the answer the route promises."""
    if reply.status != 200:
        _check_status(route, reply, clock)
    if route.answer is None:
        if _complains(_json(route, reply, clock, lenient=True), promised=False):
            raise _refused(reply, clock)
        return cast(A, None)  # a route without an answer has A = None
    found = _json(route, reply, clock, lenient=not route.promises)
    # Anything at all can be read as what promises nothing, a refusal too.
    if not route.promises and _complains(found, promised=False):
        raise _refused(reply, clock)
    try:
        return cloud_converter.structure(found, route.answer)
    except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is explained
        problems = _first_of(explain(error))
    # Some refusals come with a 200; without what was promised they are refusals all the same.
    if _complains(found, promised=True):
        raise _refused(reply, clock)
    # Not a body that is empty: that is how answers look which something in between has lost.
    if found in route.nothing and reply.body.strip():
        raise _nothing(reply)
    raise _unexpected(route, reply, clock, problems)


def _first_of(problems: list[str]) -> list[str]:
    more = len(problems) - _MOST_PROBLEMS
    return [*problems[:_MOST_PROBLEMS], f"and {more} more"] if more > 0 else problems


def _check_status(route: Route[Any, Any], reply: Reply, clock: Clock) -> None:
    if reply.status in SUCCESS:
        return
    if 300 <= reply.status < 400:
        raise _redirected(route, reply, clock)
    if reply.status < 300:
        problem = f"status {reply.status} is not part of the contract"
        raise _unexpected(route, reply, clock, [problem])
    raise _refused(reply, clock)


def _json(route: Route[Any, Any], reply: Reply, clock: Clock, *, lenient: bool = False) -> object:
    """The JSON of a reply; an empty body stands for an empty object, and so does, *lenient*, what is not JSON."""
    text = reply.body.strip()
    if not text:
        return {}
    try:
        found: object = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise _too_deep(route, reply, clock) from None
    except ValueError:
        # Writes are documented to answer nothing; what they answer all the same need not be JSON. A page is not
        # an answer of the cloud, though, but of something in between.
        if lenient and not text.startswith(b"<"):
            return {}
        problem = f"not JSON: {excerpt(text)}"
        raise _unexpected(route, reply, clock, [problem]) from None
    if text.count(b"{") + text.count(b"[") > _DEEPEST and _depth(found) > _DEEPEST:
        raise _too_deep(route, reply, clock)
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _depth(value: object) -> int:
    # Level by level: a function that called itself would meet the limit this one is here to keep from others.
    level, depth = _inside(value), 1
    while level and depth <= _DEEPEST:
        level, depth = [below for one in level for below in _inside(one)], depth + 1
    return depth


def _inside(value: object) -> list[object]:
    """The objects and lists in an object or a list."""
    if isinstance(value, dict):
        inner = list(cast(dict[str, object], value).values())
    elif isinstance(value, list):
        inner = cast(list[object], value)
    else:
        return []
    return [one for one in inner if isinstance(one, dict | list)]


def _complains(found: object, *, promised: bool) -> bool:
    """Whether the body of a success is a refusal; where something was *promised*, only if that is missing."""
    if not isinstance(found, dict):
        return False
    fields = cast(dict[str, object], found)
    if promised:
        return isinstance(fields.get("error"), str) or isinstance(fields.get("message"), str)
    # A message alone may say "success".
    code = fields.get("code")
    return bool(fields.get("error") or fields.get("reason")) or (
        isinstance(code, int) and code >= 400
    )


def _refused(reply: Reply, clock: Clock) -> ApiError:
    return read_refusal(reply.status, reply.headers, reply.body, now=clock()).error()


def _nothing(reply: Reply) -> NotFound:
    return NotFound(
        "no such thing: the cloud answered 200 with nothing in it",
        status=reply.status,
        request_id=request_id(reply.headers),
    )


def _redirected(route: Route[Any, Any], reply: Reply, clock: Clock) -> UnexpectedReply:
    # Only where to, without path and query: they may hold what is nobody else's business.
    parts = _split(reply.headers.get("location", ""))
    to = f"to {parts.scheme}://{parts.hostname}" if parts and parts.hostname else "to another path"
    advice = f"it redirects {to}, which is not followed: the API key goes to the base URL only. Is that right?"
    return _unexpected(route, reply, clock, [advice])


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _too_deep(route: Route[Any, Any], reply: Reply, clock: Clock) -> UnexpectedReply:
    return _unexpected(route, reply, clock, [f"nested deeper than {_DEEPEST} levels"])


def _unexpected(
    route: Route[Any, Any], reply: Reply, clock: Clock, problems: list[str]
) -> UnexpectedReply:
    message = (
        f"{route.method} {route.path} answered {reply.status} with something else than promised"
    )
    return UnexpectedReply(
        message,
        status=reply.status,
        problems=[short(problem) for problem in problems],
        request_id=request_id(reply.headers),
        retry_after=read_retry_after(reply.headers.get("retry-after"), now=clock()),
    )
