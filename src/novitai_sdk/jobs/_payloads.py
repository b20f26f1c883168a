"""Payloads of a program's own, to JSON and back.

They are written as the service contract has it, names in camelCase and times in UTC, with what payloads have and the
contract has not: None that means something, enumerations of every kind, tuples of several types, unions, keys that are
no texts, generic classes, days, lengths of time, bytes, sets, paths. What is read is what was written: where JSON
cannot tell two things apart, whoever asks compares.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs

from .. import _values as values
from .._convert import _fields, make_converter, not_fitting
from .._once import once
from ..models import Secret
from ..models._base import Json, Model

__all__ = ["read_payload", "written_payload"]

Hook = Callable[[Any, Any], Any]


def written_payload(payload: object) -> dict[str, Json]:
    """Return *payload* as a store gives it back, or raise what `explain` explains."""
    body: Any = _converter.unstructure(payload)
    try:
        text = _to_json(body)
    except (TypeError, ValueError):
        raise not_fitting(type(payload), dict(_not_json(body))) from None
    found: dict[str, Json] = _from_json(text)
    return found


def read_payload(body: Mapping[str, Json], kind: type[Any]) -> Any:
    """Return the payload of *kind* that was written as *body*, or raise what `explain` explains."""
    return _converter.structure(body, kind)


def _strange(value: object) -> Any:
    raise TypeError(
        f"{type(value).__name__} is a type that JSON has not: say it as a text, a number, or an attrs class of such"
    )


_to_json: Final = json.JSONEncoder(default=_strange, allow_nan=False).encode
_from_json: Final = json.JSONDecoder().decode


def _not_json(body: Mapping[str, Any]) -> Iterator[tuple[str, Exception]]:
    for name, value in body.items():
        try:
            _to_json(value)
        except (TypeError, ValueError) as error:
            yield name, error


# -- single values, read ---------------------------------------------------------------------------


def _made_by(read: Hook, plain: type[Any]) -> Hook:
    """Have what *read* reads made into what is asked for, such as an enumeration of texts."""

    def structure(value: Any, kind: Any) -> Any:
        found = read(value, None)
        return found if kind is plain else kind(found)

    return structure


def _from_text(make: Callable[[str], Any], wanted: str) -> Hook:
    def structure(value: Any, _: Any) -> Any:
        text = values.text(value, None)
        try:
            return make(text)
        except ValueError:
            raise ValueError(f"expected {wanted}") from None

    return structure


def _as_it_is(value: Any, _: Any) -> Any:
    return value


def _path(value: Any, kind: Any) -> Any:
    return kind(values.text(value, None))


def _decimal(value: Any, _: Any) -> Decimal:
    # Of any length: it is the program's own, and the bounds of what the cloud may call an amount are not for it.
    try:
        found = Decimal(value if isinstance(value, str) else str(values.number(value, None)))
    except InvalidOperation:
        raise ValueError("expected an amount") from None
    if not found.is_finite():
        raise ValueError("expected an amount")
    return found


def _length(value: Any, _: Any) -> timedelta:
    return timedelta(seconds=values.number(value, None))


_READ: Final[Mapping[Any, Hook]] = {
    str: _made_by(values.text, str),
    int: _made_by(values.whole, int),
    float: _made_by(values.number, float),
    bool: values.truth,
    date: _from_text(date.fromisoformat, "a day such as 2026-06-30"),
    datetime: values.iso_time,
    timedelta: _length,
    Decimal: _decimal,
    UUID: _from_text(UUID, "a UUID"),
    bytes: _from_text(lambda text: base64.b64decode(text, validate=True), "bytes in base64"),
    PurePath: _path,
    Path: _path,
}


# -- single values, written ------------------------------------------------------------------------


def _time(moment: datetime) -> str:
    # Without a zone it would mean one time here and another to the process that reads it.
    if moment.utcoffset() is None:
        raise ValueError(
            f"{moment.isoformat()} has no time zone: say datetime(..., tzinfo=timezone.utc)"
        )
    if moment.microsecond % 1000 == 0:
        return values.to_wire_time(moment)
    return f"{moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat()}Z"


def _text(value: str) -> Any:
    return value.value if isinstance(value, Enum) else value


def _secret(_: Secret) -> Any:
    raise ValueError("secrets are not stored: keep its name, and read the secret in the handler")


_WRITE: Final[Mapping[Any, Callable[[Any], Any]]] = {
    str: _text,
    date: date.isoformat,
    datetime: _time,
    timedelta: timedelta.total_seconds,
    UUID: str,
    bytes: lambda value: base64.b64encode(value).decode(),
    PurePath: str,
    Path: str,
    Decimal: str,
    Secret: _secret,
}


# -- what is made of others ------------------------------------------------------------------------


class _Payloads:
    """The hooks of a converter for types that are made of others."""

    def __init__(self) -> None:
        made = make_converter()
        self.unstructure, self.structure = made.unstructure, made.structure
        self.of: Callable[[Any], Hook] = made.get_structure_hook
        for kind, read in _READ.items():
            made.register_structure_hook(kind, read)
        for kind, write in _WRITE.items():
            made.register_unstructure_hook(kind, write)
        made.register_structure_hook_func(_is_anything, _as_it_is)
        made.register_structure_hook_factory(_is_choice, self._choice)
        made.register_structure_hook_factory(_has_keys, self._keyed)
        made.register_structure_hook_factory(_is_payload, self._reader)
        made.register_unstructure_hook_func(_is_mapping, self._write_mapping)
        made.register_unstructure_hook_func(_is_set, self._write_set)
        made.register_unstructure_hook_factory(_is_payload, self._writer)

    def _reader(self, kind: Any) -> Hook:
        return _Reader(kind, self.of)

    def _choice(self, kind: Any) -> Hook:
        """One of several types: the one that reads a value and would write it so."""
        readers = [(self.of(one), one) for one in get_args(kind)]

        def structure(value: Any, _: Any) -> Any:
            readable: list[Any] = []
            for read, one in readers:
                try:
                    found = read(value, one)
                    if _from_json(_to_json(self.unstructure(found))) == value:
                        return found
                except Exception:  # noqa: BLE001, S112 - hooks raise what they like; the next may read it
                    continue
                readable.append(found)
            if readable:
                return readable[0]
            raise values.refuse(value, f"one of {kind}")

        return structure

    def _keyed(self, kind: Any) -> Hook:
        """Objects whose keys stand for something else than texts."""
        key_kind, inner = get_args(kind)
        read_key = self.of(key_kind)
        items = cast(Any, Mapping)[str, inner]
        read_items = self.of(items)

        def key_of(text: str) -> Any:
            try:
                return read_key(text, key_kind)
            except Exception:  # noqa: BLE001 - hooks raise what they like; a number says no more than a text here
                return read_key(_from_json(text), key_kind)

        def structure(value: Any, _: Any) -> Any:
            return {key_of(key): item for key, item in read_items(value, items).items()}

        return structure

    def _write_mapping(self, value: Mapping[Any, Any]) -> dict[Any, Any]:
        return {self._write_key(key): self.unstructure(item) for key, item in value.items()}

    def _write_key(self, key: object) -> Any:
        written = self.unstructure(key)
        if isinstance(written, str | int | float | None):
            return written
        raise TypeError(f"a key of type {type(key).__name__} cannot be made a text")

    def _write_set(self, value: "set[Any] | frozenset[Any]") -> list[Any]:
        return [self.unstructure(item) for item in value]

    def _writer(self, kind: Any) -> Callable[[Any], Any]:
        plan = [(name, field.name, field.default is None) for name, field in _carried(kind)]

        def unstructure(value: Any) -> dict[str, Any]:
            written: dict[str, Any] = {}
            failures: dict[str, Exception] = {}
            for name, attribute, may_be_left_out in plan:
                inner = getattr(value, attribute)
                if inner is None and may_be_left_out:
                    continue
                try:
                    written[name] = self.unstructure(inner)
                except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is kept
                    failures[name] = error
            if failures:
                raise not_fitting(kind, failures)
            return written

        return unstructure


class _Json:
    whole: Json


# When the annotations of a class are resolved, so is the name by which it contains itself.
_RESOLVED: Final = get_type_hints(_Json)["whole"]


def _is_anything(kind: Any) -> bool:
    return kind is object or kind == _RESOLVED or isinstance(kind, TypeVar)


def _is_choice(kind: Any) -> bool:
    known = values.is_optional(kind) or values.is_json(kind) or values.is_id(kind)
    return values.is_union(kind) and not known


def _has_keys(kind: Any) -> bool:
    return values.is_mapping(kind) and get_args(kind)[0] is not str


def _is_mapping(kind: Any) -> bool:
    return issubclass(kind, Mapping)


def _is_set(kind: Any) -> bool:
    return issubclass(kind, set | frozenset)


def _is_payload(kind: Any) -> bool:
    # The library's own models go on as the contract has them.
    return attrs.has(kind) and not issubclass(get_origin(kind) or kind, Model)


def _carried(kind: Any) -> "list[tuple[str, attrs.Attribute[Any]]]":
    return [(name, field) for name, field in _fields(kind) if field.init]


class _Reader:
    """How one class of payloads is read."""

    def __init__(self, kind: Any, hook_of: Callable[[Any], Hook]) -> None:
        self._kind = kind
        self._hook_of = hook_of

    # Not before something is read: a class may be among its own fields.
    @once
    def _plan(self) -> "list[tuple[str, attrs.Attribute[Any], Hook, Any]]":
        attrs.resolve_types(get_origin(self._kind) or self._kind)
        given = _type_arguments(self._kind)
        plan: list[tuple[str, attrs.Attribute[Any], Hook, Any]] = []
        failures: dict[str, Exception] = {}
        for name, field in _carried(self._kind):
            kind = _filled_in(field.type, given)
            try:
                plan.append((name, field, self._hook_of(kind), kind))
            except Exception:  # noqa: BLE001 - a converter raises what it likes about types it does not know
                failures[name] = TypeError(f"values of type {_named(kind)} cannot be read")
        if failures:
            raise not_fitting(self._kind, failures)
        return plan

    def __call__(self, value: Any, _: Any) -> Any:
        wire = values.an_object(value)
        arguments: dict[str, Any] = {}
        failures: dict[str, Exception] = {}
        for name, field, read, kind in self._plan:
            required = field.default is attrs.NOTHING
            if name not in wire:
                if required:
                    failures[name] = KeyError(name)
                continue
            try:
                arguments[cast(str, field.alias)] = read(wire[name], kind)
            except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is kept
                # Null that the type does not have says what an absent field says.
                if required or wire[name] is not None:
                    failures[name] = error
        if failures:
            raise not_fitting(self._kind, failures)
        return self._kind(**arguments)


def _named(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def _type_arguments(kind: Any) -> dict[Any, Any]:
    """What the type variables of a generic class, and of those it is made from, stand for."""
    found: dict[Any, Any] = {}
    made: Any = get_origin(kind) or kind
    bases: list[Any] = [
        base for one in made.__mro__ for base in one.__dict__.get("__orig_bases__", ())
    ]
    for alias in [kind, *bases]:
        parameters = getattr(get_origin(alias), "__parameters__", ())
        for parameter, argument in zip(parameters, get_args(alias), strict=False):
            found.setdefault(parameter, _filled_in(argument, found))
    return found


def _filled_in(kind: Any, given: Mapping[Any, Any]) -> Any:
    """Return *kind* with what its type variables stand for."""
    if isinstance(kind, TypeVar):
        return given.get(kind, kind)
    parameters: tuple[Any, ...] = getattr(kind, "__parameters__", ()) if get_args(kind) else ()
    return kind[tuple(given.get(one, one) for one in parameters)] if parameters else kind


_converter: Final = _Payloads()
