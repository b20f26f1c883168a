"""Where two values differ that should be the same: a payload, and what comes of it when it is stored and read."""

from collections import abc
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from reprlib import repr as shown
from types import NoneType
from typing import Any, Final, get_args, get_origin

import attrs

__all__ = ["differences"]

_ANY_SEQUENCE: Final = (abc.Sequence, abc.Collection, abc.Iterable, abc.Reversible)
_PLAIN: Final = frozenset({str, int, bool, float, NoneType})


def differences(given: Any, back: Any, path: str, kind: Any = None) -> Iterator[str]:
    """Say of each value in *given* that is another one in *back*, which came of it, where it is and what became of it.

    Attrs classes are compared by the fields that count for their equality, also where the class compares by identity:
    what comes back is never the same object.

    Args:
        given: What was stored.
        back: What was read.
        path: What *given* is called.
        kind: What it is annotated as.

    >>> list(differences((1, 2), [1, 3], "Pair.at"))
    ['Pair.at is of type tuple, and would come back of type list']
    """
    mine: Hashable = given.__class__
    fields = _counting(mine) if back.__class__ is mine else None
    if fields is not None:
        for name, type_ in fields:
            one, other = getattr(given, name), getattr(back, name)
            # Nearly all are: no path has to be made for them.
            if not (one.__class__ in _PLAIN and other.__class__ is one.__class__ and one == other):
                yield from differences(one, other, f"{path}.{name}", type_)
    elif _both(given, back, Mapping):
        yield from _in_mappings(given, back, path, kind)
    # Whoever annotates a sequence as any gets any.
    elif (
        _both(given, back, list)
        or _both(given, back, tuple)
        or (_both(given, back, (list, tuple)) and _is_any_sequence(kind))
    ):
        yield from _in_sequences(given, back, path, kind)
    elif not _equal(given, back):
        yield _difference(given, back, path)


def _in_mappings(
    given: Mapping[Any, Any], back: Mapping[Any, Any], path: str, kind: Any
) -> Iterator[str]:
    if given.keys() != back.keys():
        yield f"the keys of {path} are {shown(list(given))}, and would come back as {shown(list(back))}"
        return
    for key, value in given.items():
        yield from differences(value, back[key], f"{path}[{key!r}]", kind)


def _in_sequences(given: Sequence[Any], back: Sequence[Any], path: str, kind: Any) -> Iterator[str]:
    if len(given) != len(back):
        yield _difference(given, back, path)
        return
    for index, (one, other) in enumerate(zip(given, back, strict=True)):
        yield from differences(one, other, f"{path}[{index}]", kind)


# Remembered: this is asked of every payload and of all attrs classes in it.
@lru_cache(maxsize=1000)
def _counting(kind: Any) -> tuple[tuple[str, Any], ...] | None:
    """The fields that two of an attrs class are compared by, and their types; None for any other class."""
    if not attrs.has(kind):
        return None
    by_identity = kind.__eq__ is object.__eq__
    return tuple(
        (field.name, field.type)
        for field in attrs.fields(kind)
        # What is no argument is made anew: a lock, say, which only matters to who compares it.
        if field.eq and (field.init or not by_identity)
    )


def _both(given: object, back: object, kinds: Any) -> bool:
    return isinstance(given, kinds) and isinstance(back, kinds)


def _is_any_sequence(kind: Any) -> bool:
    mine = get_origin(kind) or kind
    return mine in _ANY_SEQUENCE or any(map(_is_any_sequence, get_args(kind)))


def _equal(given: Any, back: Any) -> bool:
    if isinstance(given, datetime) and isinstance(back, datetime):
        # Two times in the hour that a clock repeats are never equal to one in another zone.
        return not given - back
    return bool(given == back)


def _difference(given: object, back: object, path: str) -> str:
    if type(given) is type(back):
        return f"{path} is {shown(given)}, and would come back as {shown(back)}"
    was, would_be = type(given).__name__, type(back).__name__
    return f"{path} is of type {was}, and would come back of type {would_be}"
