"""Whether what a request is made of is of the kinds its model names.

Hints bind nobody, and what is sent as another kind is refused late, or taken for something else.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, cast, get_args

import attrs

from ..._convert import camel
from ..._values import is_enum, is_optional, is_sequence
from ...models import Secret
from ...models._base import LOST

__all__ = ["HALF", "Tell", "Wrong", "can_be_sent", "revealed", "wrong_kinds"]

Tell = Callable[[str, str, object], object]
"""Is told the path of a field, what is wrong with it, and its value."""

Wrong = bool
"""Whether something is not what it could be looked into as: a model, or a list of models."""

HALF: Final = "must not have half a character in it (a lone surrogate)"


def revealed(value: object) -> object:
    """Return the text behind a secret, None behind one that is lost, and anything else as it is."""
    if not isinstance(value, Secret):
        return value
    return None if value.lost else value.reveal()


_SIMPLE: Final[dict[type, tuple[str, Callable[[object], bool]]]] = {
    str: ("a text", lambda value: isinstance(value, str)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    bool: ("True or False", lambda value: isinstance(value, bool)),
    datetime: ("a datetime", lambda value: isinstance(value, datetime)),
    Secret: (
        "a text",
        lambda value: isinstance(value, Secret) and isinstance(revealed(value), str),
    ),
}


@attrs.frozen
class _Kind:
    """What a field may be: one thing of *of*, or a list of such things."""

    of: Any
    optional: bool
    listed: bool


@cache
def _plan(model: Any) -> tuple[tuple[str, str, _Kind], ...]:
    """The fields of *model* that have a kind: attribute, name on the wire, and kind."""
    found = ((one.name, _wire(one), _kind(one.type)) for one in attrs.fields(model))
    return tuple(
        (attribute, name, kind)
        for attribute, name, kind in found
        if attrs.has(kind.of) or kind.of in _SIMPLE
    )


def _wire(field: "attrs.Attribute[Any]") -> str:
    return str(field.metadata.get("wire") or camel(field.name))


def _kind(declared: Any) -> _Kind:
    optional = is_optional(declared)
    if optional:
        declared = next(one for one in get_args(declared) if one is not type(None))
    listed = is_sequence(declared)
    of: Any = get_args(declared)[0] if listed else declared
    # A plain text is as good as the member it is the value of; which of them may be sent is a limit.
    return _Kind(str if is_enum(of) else of, optional, listed)


def wrong_kinds(model: Any, value: object, path: str, tell: Tell) -> Wrong:
    """Tell of everything in *value* that is not of the kind its *model* names."""
    wrong = False
    for attribute, name, kind in _plan(model):
        inner = getattr(value, attribute)
        if inner is None:
            if not kind.optional:
                tell(f"{path}{name}", "is required", None)
                wrong = wrong or kind.listed or kind.of not in _SIMPLE
        elif not kind.listed:
            wrong = _wrong(kind.of, inner, f"{path}{name}", tell) or wrong
        elif isinstance(inner, tuple | list):
            for index, one in enumerate(cast(Sequence[object], inner)):
                wrong = _wrong(kind.of, one, f"{path}{name}[{index}]", tell) or wrong
        else:
            tell(f"{path}{name}", f"must be a list, not {type(inner).__name__}", inner)
            wrong = True
    return wrong


def _wrong(kind: Any, value: object, where: str, tell: Tell) -> Wrong:
    if kind is str and type(value) is str and value.isascii():  # most of all there is
        return False
    if kind in _SIMPLE:
        named, fits = _SIMPLE[kind]
        if isinstance(value, Secret) and value.lost:
            tell(where, LOST, value)
        elif not fits(value):
            tell(where, f"must be {named}, not {type(revealed(value)).__name__}", value)
        elif not can_be_sent(value):
            tell(where, HALF, value)
        return False
    if isinstance(value, kind):
        return wrong_kinds(kind, value, f"{where}.", tell)
    tell(where, f"must be of {kind.__name__}, not {type(value).__name__}", value)
    return True


def can_be_sent(value: object) -> bool:
    """Whether a text, hidden or not, can be written in UTF-8; anything else can."""
    text = revealed(value)
    if not isinstance(text, str) or text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
