"""What numbers and texts a store can hold, whichever store it is; asked before anything is stored."""

from collections.abc import Iterator
from typing import Final, TypeGuard

__all__ = [
    "MOST",
    "attempts_problems",
    "is_number",
    "is_text",
    "is_whole",
    "key_problems",
    "priority_problems",
    "timeout_problems",
]

MOST: Final = 2**53
"""Up to which a file, floats, and readers of JSON in other languages tell whole numbers apart."""


def is_whole(value: object, least: int, most: int = MOST) -> TypeGuard[int]:
    """Whether *value* is a whole number from *least* to *most*; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: object) -> TypeGuard[float]:
    """Whether *value* is a number that seconds can be counted by; infinity is one."""
    # NaN is not equal to itself. A whole number may be too large for a float.
    return (isinstance(value, float) and value == value) or is_whole(value, -MOST)


def is_text(value: object) -> TypeGuard[str]:
    """Whether *value* is a text that a file can hold: one with half a character in it is not."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def attempts_problems(value: object) -> Iterator[str]:
    """What is wrong with how often a job is to be tried."""
    if not is_whole(value, 1):
        yield f"max_attempts is {value!r}, not a whole number from 1 to 2**53"


def priority_problems(value: object) -> Iterator[str]:
    """What is wrong with a priority."""
    if not is_whole(value, 1, 4):
        yield f"priority {value!r} is not 1 to 4"


def key_problems(value: object) -> Iterator[str]:
    """What is wrong with the key of a job; None is no key."""
    if value is not None and not is_text(value):
        yield f"key {value!r} is not a text that can be stored"


def timeout_problems(value: object) -> Iterator[str]:
    """What is wrong with how long somebody wants to wait; None is for ever."""
    # Nothing is ever over by NaN.
    if value is not None and not is_number(value):
        yield f"timeout is {value!r}: a number of seconds is expected, or None"
