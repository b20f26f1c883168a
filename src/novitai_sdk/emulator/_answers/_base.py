"""What every answer of the emulated cloud is made with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from ...cloud._route import AnyRoute
from .._checks import Rule
from .._state import Account, Refused, World

__all__ = [
    "ANSWERS",
    "DEFAULT_PAGE",
    "Call",
    "Fields",
    "Operation",
    "Wire",
    "answers",
    "invalid",
    "page_of",
    "part",
]

Fields = Mapping[str, Any]
Wire = dict[str, Any]
_T = TypeVar("_T")

DEFAULT_PAGE: Final = 10


@attrs.frozen(kw_only=True)
class Call:
    """One request that passed its checks."""

    world: World
    account: Account
    fields: Fields
    cut: int | None = None
    """A fault: lists end after so many entries, while ``total`` goes on promising more."""


Answerer = Callable[[Call], Any]


@attrs.frozen(kw_only=True)
class Operation:
    """A route, the rules of its request, and the function that answers it."""

    route: AnyRoute
    rules: Sequence[Rule]
    answer: Answerer


ANSWERS: Final[dict[tuple[str, str], Operation]] = {}
"""Every operation the emulator knows, by method and path."""


def answers(route: AnyRoute, rules: Sequence[Rule] = ()) -> Callable[[Answerer], Answerer]:
    """Make a function the answer to *route*, once the request keeps to *rules*."""

    def keep(answer: Answerer) -> Answerer:
        ANSWERS[route.method, route.url] = Operation(route=route, rules=rules, answer=answer)
        return answer

    return keep


def invalid(field: str, message: str) -> Refused:
    """Return the refusal of a field."""
    return Refused(
        400, "VALIDATOR_PARAM", f"invalid parameter {field}: {message}", {field: message}
    )


def part(part: str | None, text: str) -> bool:
    """Whether *text* holds *part*, in whatever case; nothing is part of everything."""
    return not part or part.lower() in text.lower()


def page_of(call: Call, things: Sequence[_T], index: int) -> tuple[Sequence[_T], int | str]:
    """Return one page of *things*, the first having index 0, and the total."""
    size = call.fields.get("pageSize") or DEFAULT_PAGE
    start = max(0, index) * size
    total = len(things)
    page = things[: call.cut][start : start + size]
    return page, str(total) if call.world.quirks.total_as_text else total
