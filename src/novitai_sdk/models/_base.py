"""What every model is made of: open enumerations, secrets, wire names, kept extras."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, IntEnum
from typing import Any, Final, TypeAlias, TypeVar, cast

import attrs

# Annotations in the model modules are evaluated at once (no `from __future__`): the converter reads
# them as they are, and resolving strings for forty classes would be paid at the first call.
Json: TypeAlias = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""Any JSON value."""

JsonObject: TypeAlias = Mapping[str, Json]
"""A JSON object."""

MASK: Final = "***"
LOST: Final = "came out of a pickle, and a pickle does not carry secrets: give it anew"

# How many unknown values of one enumeration are remembered. A peer that sends a fresh word with
# every reply must not make this process grow; past the limit a value is still kept, only not shared.
_REMEMBERED: Final = 256

_E = TypeVar("_E", bound=Enum)


class _Text(Enum):
    """What stands in a secret whose text is not there."""

    LEFT_BEHIND = "left behind"


class Secret:
    """A text that shows itself as ``***`` everywhere but in :meth:`reveal`.

    Masked in ``repr``, ``str``, ``format``, logs and tracebacks. A pickle does not carry the text: what comes out of
    one is ``lost``, and equal only to others that are. A copy is the secret itself.

    >>> key = Secret("sk-123")
    >>> print(key, repr(key), f"{key:>5}")
    *** Secret('***')   ***
    >>> key.reveal()
    'sk-123'
    """

    __slots__ = ("_text",)

    def __init__(self, text: "str | Secret") -> None:
        self._text: str | _Text = text._text if isinstance(text, Secret) else text

    @property
    def lost(self) -> bool:
        """Whether it came out of a pickle, so that there is no text to reveal."""
        return self._text is _Text.LEFT_BEHIND

    def reveal(self) -> str:
        """Return the text itself. Raises ValueError for one that came out of a pickle."""
        if self._text is _Text.LEFT_BEHIND:
            raise ValueError(f"this secret {LOST}")
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce__(self) -> "tuple[type[Secret], tuple[_Text]]":
        return Secret, (_Text.LEFT_BEHIND,)


# The value of a variable such as DEBUG=1 is no secret, and masked it would make every message unreadable.
_SHORTEST: Final = 6


def secrets_in(value: object) -> Iterator[Secret]:
    """Yield the secrets in a model and all it holds, but for texts too short to be any, and for those that are lost."""
    if isinstance(value, Secret):
        if not value.lost and len(value.reveal()) >= _SHORTEST:
            yield value
    elif isinstance(value, Mapping):
        for one in cast("Mapping[object, object]", value).values():
            yield from secrets_in(one)
    elif isinstance(value, tuple | list):
        for one in cast("Sequence[object]", value):
            yield from secrets_in(one)
    else:
        for field in getattr(type(value), "__attrs_attrs__", ()):
            yield from secrets_in(getattr(value, field.name))


_strangers: Final[dict[type[Enum], dict[object, Enum]]] = {}


def _stand_in(cls: type[_E], member: _E, value: object) -> _E:
    # Not among the members the class itself looks up: what is found there is known, and that costs nothing to tell.
    strangers = _strangers.setdefault(cls, {})
    found = strangers.get(value)
    if found is not None:
        return cast(_E, found)
    member._name_ = str(value)
    member._value_ = value
    return cast(_E, strangers.setdefault(value, member)) if len(strangers) < _REMEMBERED else member


class OpenStr(str, Enum):
    """A text enumeration that keeps values it does not know.

    An unknown value becomes a member of its own, equal to its text, whose ``known`` is False.
    """

    @classmethod
    def _missing_(cls, value: object) -> "OpenStr | None":
        if not isinstance(value, str):
            return None
        return _stand_in(cls, str.__new__(cls, value), str(value))

    @property
    def known(self) -> bool:
        """Whether this value was known when this version of the library was made."""
        return self._name_ in type(self).__members__

    def __str__(self) -> str:
        return str(self._value_)

    def __format__(self, spec: str) -> str:
        return format(str(self._value_), spec)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}.{self._name_}" if self.known else f"{name}({self._value_!r})"


class OpenInt(IntEnum):
    """A whole-number enumeration that keeps values it does not know."""

    @classmethod
    def _missing_(cls, value: object) -> "OpenInt | None":
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        return _stand_in(cls, int.__new__(cls, value), int(value))

    @property
    def known(self) -> bool:
        """Whether this value was known when this version of the library was made."""
        return self._name_ in type(self).__members__

    def __str__(self) -> str:
        return str(int(self))

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}.{self._name_}" if self.known else f"{name}({int(self)})"


class Model:
    """What all models do alike: compare, hash and show themselves by their fields.

    Written once here rather than generated for each class: generating them is half of what it costs to make a class,
    and there are a hundred. The fields keep their say: ``eq``, ``hash`` and ``repr`` of a field mean what attrs means
    by them.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in attrs.fields(type(self))  # type: ignore[arg-type]  # every model is an attrs class
            if field.eq
        )

    def __hash__(self) -> int:
        kept = (
            getattr(self, field.name)
            for field in attrs.fields(type(self))  # type: ignore[arg-type]  # every model is an attrs class
            if (field.eq if field.hash is None else field.hash)
        )
        return hash((type(self), *kept))

    def __repr__(self) -> str:
        shown = (
            f"{field.name}={(repr if field.repr is True else field.repr)(getattr(self, field.name))}"
            for field in attrs.fields(type(self))  # type: ignore[arg-type]  # every model is an attrs class
            if field.repr
        )
        return f"{type(self).__qualname__}({', '.join(shown)})"


def wire(name: str) -> dict[str, object]:
    """Metadata for a field whose wire name is not the camelCase of its Python name."""
    return {"wire": name}


OFF_WIRE: Final[Mapping[str, object]] = {"wire": None}
"""Metadata for a field that is never sent and never read."""


def _nothing() -> dict[str, Json]:
    return {}


# Typed Any because type checkers read a field specifier by its declared return type, as they do for attrs.field.
def extra_field() -> Any:
    """The field in which a model keeps the wire fields it does not know.

    Left out of ``repr`` (an unknown field may hold a secret) and of the hash (mappings have none).
    """
    return attrs.field(factory=_nothing, repr=False, hash=False, metadata={"extra": True})
