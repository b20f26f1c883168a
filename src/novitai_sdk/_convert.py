"""Between JSON and models: the one place that knows the habits of the wire.

Two converters share one machinery:

* ``converter`` speaks the service contract: camelCase names, ISO-8601 UTC times with milliseconds and ``Z``,
  strict types.
* ``cloud_converter`` speaks the cloud's API: numbers may be texts, times are seconds since 1970 in a text, and
  an empty text stands for nothing.

In both, what is absent stays absent on the way out, null means absent on the way in, unknown fields are kept in
``extra`` and given back, and unknown values of an enumeration survive.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, cast, get_args, get_origin

import attrs
from cattrs import Converter, transform_error
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)

from ._drift import note_field, note_value
from .errors import ValidationError
from .models._base import MASK, Json, JsonObject, OpenInt, OpenStr, Secret

Group = TypeVar("Group", bound=BaseValidationError)

Structure = Callable[[Any, Any], Any]
Unstructure = Callable[[Any], Any]

__all__ = ["cloud_converter", "converter", "explain", "record_converter", "to_wire_time"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Texts, not patterns: compiled with the first use and kept by `re`, they cost an import of this library nothing.
_ISO: Final = r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:?\d\d)"
_WHOLE: Final = r"\s*[+-]?\d{1,18}(\.0*)?\s*"
_NUMBER: Final = r"\s*[+-]?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,3})?\s*"
# What the cloud writes where it means "no time".
_NO_TIME: Final = frozenset({"", "0", "-1"})


# -- single values ------------------------------------------------------------------------------


def _refuse(value: object, wanted: str) -> TypeError:
    return TypeError(f"expected {wanted}, got {type(value).__name__}")


def _text(value: Any, _: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise _refuse(value, "a text")


def _truth(value: Any, _: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _refuse(value, "true or false")


def _whole(value: Any, _: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise _refuse(value, "a whole number")


def _number(value: Any, _: Any) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError("expected a number of ordinary size") from None
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise _refuse(value, "a finite number")


def _either_id(value: Any, _: Any) -> str | int | float:
    """A template id: a text or a number, and it stays what it was."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    raise _refuse(value, "a text or a number")


def _iso_time(value: Any, _: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise _refuse(value, "an ISO-8601 time")
    # datetime.fromisoformat knows neither "Z" nor milliseconds of any length before Python 3.11.
    found = re.fullmatch(_ISO, value, re.ASCII)
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


def _secret(value: Any, _: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    return Secret(_text(value, None))


# -- the same, as the cloud writes them ----------------------------------------------------------


def _loose_text(value: Any, _: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value, None)


def _loose_whole(value: Any, _: Any) -> int:
    if isinstance(value, str) and re.fullmatch(_WHOLE, value, re.ASCII):
        return int(value.strip().split(".")[0])
    return _whole(value, None)


def _loose_number(value: Any, _: Any) -> float:
    if isinstance(value, str) and re.fullmatch(_NUMBER, value, re.ASCII):
        return _number(float(value), None)
    return _number(value, None)


def _decimal(value: Any, _: Any) -> Decimal:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            amount = Decimal(str(value).strip())
        except InvalidOperation:
            raise ValueError("expected an amount") from None
        if amount.is_finite():
            return amount
    raise _refuse(value, "an amount")


def _epoch_time(value: Any, _: Any) -> datetime:
    if isinstance(value, str) and "-" in value[1:]:
        return _iso_time(value, None)
    seconds = _loose_number(value, None)
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("expected seconds since 1970") from None


def _to_epoch(moment: datetime) -> str:
    return str(int((moment - _EPOCH).total_seconds()))


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast(Mapping[str, Any], value)
    raise _refuse(value, "an object")


# -- classes of types ------------------------------------------------------------------------------


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _is_optional(kind: Any) -> bool:
    return _is_union(kind) and NoneType in get_args(kind) and not _is_json(kind)


def _is_json(kind: Any) -> bool:
    return kind in (Json, JsonObject)


def _is_id(kind: Any) -> bool:
    return _is_union(kind) and set(get_args(kind)) <= {str, int, float}


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _is_open(kind: Any) -> bool:
    # Python 3.10 calls tuple[str, ...] a type, and does not ask whose subclass it is.
    plain = get_origin(kind) is None and isinstance(kind, type)
    return plain and issubclass(kind, OpenStr | OpenInt)


def _is_sequence(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) in (Mapping, dict) and not _is_json(kind)


def _json(value: Any, kind: Any) -> Any:
    if kind == JsonObject:
        _object(value)
    return value


def _present(kind: Any) -> Any:
    """What an optional value is when it is there."""
    # Evaluated from its parts: there is no other spelling of a union whose members are known only here.
    return Union[tuple(arg for arg in get_args(kind) if arg is not NoneType)]  # noqa: UP007


def _optional(inner: Any, hook: Structure, blank_is_none: bool) -> Structure:
    nothing: frozenset[Any] = frozenset()
    if blank_is_none and inner not in (str, Secret):
        nothing = frozenset({*_NO_TIME, 0, -1}) if inner is datetime else frozenset({""})

    def structure(value: Any, _: Any) -> Any:
        if value is None or (isinstance(value, str | int) and value in nothing):
            return None
        return hook(value, inner)

    return structure


def _optional_factory(converter: Converter, blank_is_none: bool) -> Callable[[Any], Structure]:
    def factory(kind: Any) -> Structure:
        inner = _present(kind)
        return _optional(inner, converter.get_structure_hook(inner), blank_is_none)

    return factory


def _member(value: Any, kind: Any) -> Any:
    return kind((_whole if issubclass(kind, int) else _text)(value, None))


def _member_at(model: str, field: str) -> Structure:
    """Like `_member`, and an unknown value is noted with its place."""

    def structure(value: Any, kind: Any) -> Any:
        known: dict[object, Any] = kind._value2member_map_
        plain = (_whole if issubclass(kind, int) else _text)(value, None)
        found = known.get(plain)
        if found is None:
            note_value(model, field, plain)
            return _member(plain, kind)
        return found

    return structure


def _sequence(kind: Any, hook: Structure) -> Structure:
    inner = get_args(kind)[0]

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise _refuse(value, "a list")
        items: list[Any] = []
        failures: list[Exception] = []
        for index, item in enumerate(cast(Sequence[Any], value)):
            try:
                items.append(hook(item, inner))
            except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is kept
                _note(error, IterableValidationNote(f"in item {index}", index, inner))
                failures.append(error)
        if failures:
            raise _several(IterableValidationError, "a list with wrong items", failures, kind)
        return tuple(items)

    return structure


def _sequence_factory(converter: Converter) -> Callable[[Any], Structure]:
    def factory(kind: Any) -> Structure:
        return _sequence(kind, converter.get_structure_hook(get_args(kind)[0]))

    return factory


def _placed(converter: Converter, model: str, field: str, kind: Any) -> Structure:
    """The hook of a field of the cloud's: unknown values of enumerations are noted with their place."""
    if _is_open(kind):
        return _member_at(model, field)
    if _is_optional(kind) and _is_open(inner := _present(kind)):
        return _optional(inner, _member_at(model, field), blank_is_none=True)
    if _is_sequence(kind) and _is_open(get_args(kind)[0]):
        return _sequence(kind, _member_at(model, field))
    return converter.get_structure_hook(kind)


def _mapping_factory(converter: Converter) -> Callable[[Any], Structure]:
    def factory(kind: Any) -> Structure:
        key_kind, inner = get_args(kind)
        key_hook = converter.get_structure_hook(key_kind)
        hook = converter.get_structure_hook(inner)

        def structure(value: Any, _: Any) -> Any:
            items: dict[Any, Any] = {}
            failures: list[Exception] = []
            for key, item in _object(value).items():
                try:
                    items[key_hook(key, key_kind)] = hook(item, inner)
                except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is kept
                    _note(error, IterableValidationNote(f"at {key}", key, inner))
                    failures.append(error)
            if failures:
                raise _several(
                    IterableValidationError, "an object with wrong values", failures, kind
                )
            return items

        return structure

    return factory


def _note(error: Exception, note: Any) -> None:
    # The attribute of PEP 678, by the way that types of every Python version know.
    vars(error)["__notes__"] = [*getattr(error, "__notes__", ()), note]


def _several(group: type[Group], message: str, failures: Sequence[Exception], kind: Any) -> Group:
    # cattrs makes its groups of three, in __new__; the __init__ above it is typed as taking two.
    return group(message, failures, kind)  # pyright: ignore[reportCallIssue]


# -- models ----------------------------------------------------------------------------------------


def camel(name: str) -> str:
    """Return the wire name of a Python name.

    >>> camel("rootfs_size")
    'rootfsSize'
    """
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _wire_name(field: "attrs.Attribute[Any]") -> str | None:
    name: str | None = field.metadata.get("wire", camel(field.name))
    return name


def _fields(kind: Any) -> list[tuple[str, "attrs.Attribute[Any]"]]:
    return [
        (name, field)
        for field in attrs.fields(kind)
        if not field.metadata.get("extra") and (name := _wire_name(field)) is not None
    ]


def _keeps_extra(kind: Any) -> bool:
    return any(field.metadata.get("extra") for field in attrs.fields(kind))


def _model_factory(converter: Converter, notes_drift: bool) -> Callable[[Any], Structure]:
    def hook_of(kind: Any, name: str, inner: Any) -> Structure:
        if notes_drift:
            return _placed(converter, kind.__name__, name, inner)
        return converter.get_structure_hook(inner)

    def factory(kind: Any) -> Structure:
        plan = [
            (
                name,
                field.metadata.get("also", ()),
                field.alias or field.name,
                field.type,
                hook_of(kind, name, field.type),
                field.default is attrs.NOTHING,
            )
            for name, field in _fields(kind)
        ]
        known = {name for name, also, *_ in plan for name in (name, *also)}
        keeps = _keeps_extra(kind)
        # Where more than one form has been seen on the wire, the model says which one it means.
        one_form: Callable[[Any], Any] | None = getattr(kind, "one_form", None)

        def structure(value: Any, _: Any) -> Any:
            if isinstance(value, kind):
                return value
            wire = _object(one_form(value) if one_form else value)
            arguments: dict[str, Any] = {}
            failures: list[Exception] = []
            for name, also, target, inner, hook, required in plan:
                found = next((key for key in (name, *also) if key in wire), None)
                if found is None or (wire[found] is None and not required):
                    if required:
                        failures.append(_missing(name, inner))
                    continue
                try:
                    arguments[target] = hook(wire[found], inner)
                except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is kept
                    _note(error, AttributeValidationNote(f"in {name}", name, inner))
                    failures.append(error)
            if failures:
                raise _several(ClassValidationError, f"not a {kind.__name__}", failures, kind)
            if keeps and not known.issuperset(wire):
                arguments["extra"] = {key: wire[key] for key in wire if key not in known}
                if notes_drift:
                    note_field(kind.__name__, arguments["extra"])
            try:
                return kind(**arguments)
            except ValidationError as error:
                wrong = f"not a {kind.__name__}"
                raise _several(ClassValidationError, wrong, [error], kind) from None

        return structure

    return factory


def _missing(name: str, kind: Any) -> Exception:
    error = KeyError(name)
    _note(error, AttributeValidationNote(f"in {name}", name, kind))
    return error


def _model_writer(converter: Converter) -> Callable[[Any], Unstructure]:
    def factory(kind: Any) -> Unstructure:
        plan = [(name, field.name) for name, field in _fields(kind)]
        keeps = _keeps_extra(kind)

        def unstructure(value: Any) -> dict[str, Any]:
            written: dict[str, Any] = {}
            for name, attribute in plan:
                inner = getattr(value, attribute)
                if inner is not None:
                    written[name] = converter.unstructure(inner)
            if keeps:
                for name, inner in value.extra.items():
                    written.setdefault(name, inner)
            return written

        return unstructure

    return factory


# -- the converters ----------------------------------------------------------------------------------


def _make(
    values: Mapping[Any, Structure], *, blank_is_none: bool, notes_drift: bool = False
) -> Converter:
    converter = Converter(detailed_validation=True)
    for kind, hook in values.items():
        converter.register_structure_hook(kind, hook)
    # The hook of `str` would be found for every enumeration of texts before any rule is asked; so these are
    # found first.
    converter.register_structure_hook(OpenStr, _member)
    converter.register_structure_hook(OpenInt, _member)
    converter.register_structure_hook_func(_is_json, _json)
    converter.register_structure_hook_func(_is_id, _either_id)
    factories: Sequence[tuple[Callable[[Any], bool], Callable[[Any], Structure]]] = (
        (_is_optional, _optional_factory(converter, blank_is_none)),
        (_is_sequence, _sequence_factory(converter)),
        (_is_mapping, _mapping_factory(converter)),
        (attrs.has, _model_factory(converter, notes_drift)),
    )
    for predicate, factory in factories:
        converter.register_structure_hook_factory(predicate, factory)
    converter.register_unstructure_hook_factory(attrs.has, _model_writer(converter))
    converter.register_unstructure_hook(Secret, Secret.reveal)
    converter.register_unstructure_hook(Decimal, str)
    converter.register_unstructure_hook_func(_is_enum, lambda member: member.value)
    return converter


def make_converter() -> Converter:
    """Return a new converter for the service contract, to be extended with hooks of your own.

    * names are camelCase on the wire and snake_case here
    * times are ISO-8601 UTC with milliseconds and ``Z``; any zone is read
    * absent stays absent, null is read as absent, nothing is written as null
    * unknown fields and unknown enumeration values are kept and given back
    * secrets are written in clear, since a converter writes for those who asked for the value
    """
    made = _make(
        {
            str: _text,
            bool: _truth,
            int: _whole,
            float: _number,
            Decimal: _decimal,
            datetime: _iso_time,
            Secret: _secret,
        },
        blank_is_none=False,
    )
    made.register_unstructure_hook(datetime, to_wire_time)
    return made


def _make_record_converter() -> Converter:
    made = make_converter()
    # What is stored may be read by whoever reads the disk; a secret is loaded again from where it lives.
    made.register_unstructure_hook(Secret, lambda _: MASK)
    return made


def _make_cloud_converter() -> Converter:
    made = _make(
        {
            str: _loose_text,
            bool: _truth,
            int: _loose_whole,
            float: _loose_number,
            Decimal: _decimal,
            datetime: _epoch_time,
            Secret: _secret,
        },
        blank_is_none=True,
        notes_drift=True,
    )
    made.register_unstructure_hook(datetime, _to_epoch)
    return made


converter: Final[Converter] = make_converter()
"""The converter of the service contract, public as ``novitai_sdk.converter``."""

if TYPE_CHECKING:
    record_converter: Converter
    """The contract's converter with secrets masked: for what is stored or logged."""

    cloud_converter: Converter
    """The converter of the cloud's API."""

_LATER: Final = {
    "record_converter": _make_record_converter,
    "cloud_converter": _make_cloud_converter,
}


def __getattr__(name: str) -> Converter:
    # Made when the engine asks for them: whoever only imports this library pays for the one it offers.
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _LATER[name]()
    return made


def explain(error: BaseException) -> list[str]:
    """Turn what a converter raised into lines, each with the path of the field at fault."""
    if isinstance(error, BaseValidationError):
        return [str(line) for line in transform_error(error, path="$", format_exception=_say)]
    return [str(error)]


def _say(error: BaseException, kind: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    return str(error) or type(error).__name__
