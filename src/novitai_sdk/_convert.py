"""Between JSON and models: the one place that knows the habits of the wire.

Two converters share one machinery:

* ``converter`` speaks the service contract: camelCase names, ISO-8601 UTC times with milliseconds and ``Z``,
  strict types.
* ``cloud_converter`` speaks the cloud's API: numbers may be texts, times are seconds since 1970 in a text, and
  an empty text stands for nothing. Of a list it tells the first few mistakes only.

In both, what is absent stays absent on the way out, null means absent on the way in, unknown fields are kept in
``extra`` and given back, and unknown values of an enumeration survive.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, cast, get_args

import attrs
from cattrs import Converter, transform_error
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)

from . import _overdue
from . import _values as values
from ._drift import forget_since, note_field, note_value, noted, noted_here
from ._values import to_wire_time
from .errors import ValidationError
from .models._base import MASK, JsonObject, OpenInt, OpenStr, Secret

if TYPE_CHECKING:
    from ._readers import Form, Reader

Group = TypeVar("Group", bound=BaseValidationError)

Structure = Callable[[Any, Any], Any]
Unstructure = Callable[[Any], Any]

__all__ = [
    "cloud_converter",
    "converter",
    "explain",
    "not_fitting",
    "record_converter",
    "to_wire_time",
]


# What its own hooks take as it is. What a user's hook takes is that hook's to say.
_USUAL: Final[Mapping[Structure, str]] = {
    values.text: "text",
    values.loose_text: "text",
    values.whole: "whole",
    values.loose_whole: "whole",
    values.truth: "truth",
    values.secret: "secret",
    values.loose_secret: "secret",
}


def _json(value: Any, kind: Any) -> Any:
    if kind == JsonObject:
        values.an_object(value)
    return value


def _present(kind: Any) -> Any:
    """What an optional value is when it is there."""
    # Evaluated from its parts: there is no other spelling of a union whose members are known only here.
    return Union[tuple(arg for arg in get_args(kind) if arg is not NoneType)]  # noqa: UP007


def _member(value: Any, kind: Any) -> Any:
    return kind((values.whole if issubclass(kind, int) else values.text)(value, None))


class _Hooks:
    """The hooks of one converter for types that are made of others, and what each is made of."""

    def __init__(
        self, converter: Converter, *, blank_is_none: bool, notes_drift: bool, most: float
    ) -> None:
        self.notes_drift = notes_drift
        self._most = most
        self._converter = converter
        self._blank_is_none = blank_is_none
        self._inner: dict[Structure, tuple[Structure, Any]] = {}
        self._models: dict[Structure, _Model] = {}
        self._members: set[Structure] = {_member}

    def of(self, kind: Any) -> Structure:
        """The hook of any type."""
        return self._converter.get_structure_hook(kind)

    def at(self, model: str, field: str, kind: Any, *, is_id: bool = False) -> Structure:
        """The hook of a field; the cloud's note with their place what enumerations do not know."""
        if is_id:
            return values.an_id
        if self.notes_drift and values.is_open(kind):
            return self._member_at(model, field)
        if self.notes_drift and values.is_optional(kind) and values.is_open(_present(kind)):
            return self._optional(_present(kind), self._member_at(model, field))
        if self.notes_drift and values.is_sequence(kind) and values.is_open(get_args(kind)[0]):
            return self._sequence(kind, self._member_at(model, field))
        return self.of(kind)

    def _member_at(self, model: str, field: str) -> Structure:
        """Like `_member`, and an unknown value is noted."""

        def structure(value: Any, kind: Any) -> Any:
            known: dict[object, Any] = kind._value2member_map_
            plain = (values.whole if issubclass(kind, int) else values.text)(value, None)
            found = known.get(plain)
            if found is None:
                note_value(model, field, plain)
                return _member(plain, kind)
            return found

        self._members.add(structure)
        return structure

    def optional(self, kind: Any) -> Structure:
        """What may be null."""
        return self._optional(_present(kind), self.of(_present(kind)))

    def _optional(self, inner: Any, hook: Structure) -> Structure:
        nothing: frozenset[Any] = frozenset()
        if self._blank_is_none and inner not in (str, Secret):
            nothing = frozenset({*values.NO_TIME, 0, -1} if inner is datetime else {""})

        def structure(value: Any, _: Any) -> Any:
            if value is None or (isinstance(value, str | int) and value in nothing):
                return None
            return hook(value, inner)

        self._inner[structure] = hook, inner
        return structure

    def sequence(self, kind: Any) -> Structure:
        """Tuples, from lists."""
        return self._sequence(kind, self.of(get_args(kind)[0]))

    def _sequence(self, kind: Any, hook: Structure) -> Structure:
        inner = get_args(kind)[0]

        def structure(value: Any, _: Any) -> Any:
            if not isinstance(value, list | tuple):
                raise values.refuse(value, "a list")
            items: list[Any] = []
            failures: list[Exception] = []
            for index, item in enumerate(cast(Sequence[Any], value)):
                try:
                    items.append(hook(item, inner))
                except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is kept
                    _note(error, IterableValidationNote(f"in item {index}", index, inner))
                    failures.append(error)
                    if len(failures) >= self._most:
                        failures.append(ValueError("and perhaps more"))
                        break
            if failures:
                raise _several(IterableValidationError, "a list with wrong items", failures, kind)
            return tuple(items)

        self._inner[structure] = hook, inner
        return structure

    def mapping(self, kind: Any) -> Structure:
        """Objects whose keys are data."""
        key_kind, inner = get_args(kind)
        key_hook, hook = self.of(key_kind), self.of(inner)

        def structure(value: Any, _: Any) -> Any:
            items: dict[Any, Any] = {}
            failures: list[Exception] = []
            for key, item in values.an_object(value).items():
                try:
                    items[key_hook(key, key_kind)] = hook(item, inner)
                except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is kept
                    _note(error, IterableValidationNote(f"at {key}", key, inner))
                    failures.append(error)
                    if len(failures) >= self._most:
                        failures.append(ValueError("and perhaps more"))
                        break
            if failures:
                raise _several(
                    IterableValidationError, "an object with wrong values", failures, kind
                )
            return items

        return structure

    def model(self, kind: Any) -> Structure:
        """Models, from objects with one field each."""
        model = _Model(kind, self)
        self._models[model.structure] = model
        return model.structure

    def form(self, hook: Structure, kind: Any) -> "Form":
        """What *kind* usually looks like on the wire, as far as its *hook* is one of these."""
        from ._readers import Form

        if hook in self._models:
            return Form("model", hook, kind, reader=self._models[hook].reader())
        if hook not in self._inner:
            usual = "member" if hook in self._members else _usual(hook, kind)
            return Form(usual, hook, kind, enum=kind)
        inner = self.form(*self._inner[hook])
        if values.is_sequence(kind):
            return Form("list", hook, kind, item=inner)
        return attrs.evolve(inner, hook=hook, kind=kind)


def _usual(hook: Structure, kind: Any) -> str:
    if hook is _json:
        return "object" if kind == JsonObject else "any"
    return _USUAL.get(hook, "other")


def _note(error: Exception, note: Any) -> None:
    # The attribute of PEP 678, by the way that types of every Python version know.
    vars(error)["__notes__"] = [*getattr(error, "__notes__", ()), note]


def _several(group: type[Group], message: str, failures: Sequence[Exception], kind: Any) -> Group:
    # cattrs makes its groups of three, in __new__; the __init__ above it is typed as taking two.
    return group(message, failures, kind)  # pyright: ignore[reportCallIssue]


def not_fitting(kind: Any, failures: Mapping[str, Exception]) -> Exception:
    """Make one exception, which `explain` explains, of what is wrong with the fields of a *kind*, by their names."""
    for name, error in failures.items():
        _note(error, AttributeValidationNote(f"in {name}", name, kind))
    return _several(ClassValidationError, f"not a {kind.__name__}", list(failures.values()), kind)


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


def _may_differ(kind: Any) -> frozenset[str]:
    """The wire names of the fields that are left out where they do not fit; none unless a model has `must_fit`."""
    must_fit: Sequence[str] | None = getattr(kind, "must_fit", None)
    if must_fit is None:
        return frozenset()
    return frozenset(
        name
        for name, field in _fields(kind)
        if field.name not in must_fit and field.default is not attrs.NOTHING
    )


# A reader costs about as much as this many readings with care; most programs read most models less often.
_OFTEN: Final = 64


class _Model:
    """How one model is read: in a straight line if it is read often, and with care if that fails."""

    def __init__(self, kind: Any, hooks: _Hooks) -> None:
        self._kind = kind
        self._hooks = hooks
        self._plan = [
            (
                name,
                field.metadata.get("also", ()),
                field,
                hooks.at(kind.__name__, name, field.type, is_id=field.metadata.get("id", False)),
            )
            for name, field in _fields(kind)
        ]
        self._known = frozenset(key for name, also, *_ in self._plan for key in (name, *also))
        self._keeps = _keeps_extra(kind)
        self._may_differ = _may_differ(kind)
        # Where more than one form has been seen on the wire, the model says which one it means.
        self._one_form: Callable[[Any], Any] | None = getattr(kind, "one_form", None)
        self._reader: Reader | None = None
        self._read = 0
        # One object, not a new one with each look: hooks are told apart by it.
        self.structure: Structure = self._structure

    def _structure(self, value: Any, _: Any) -> Any:
        reader = self._reader
        if reader is None:
            self._read += 1
            if self._read < _OFTEN:
                return self._with_care(value)
            reader = self.reader()
        if value.__class__ is dict:
            before = noted_here() if noted else 0
            try:
                return reader(value)
            except Exception:  # noqa: BLE001 - what is wrong, and whether anything is, care will tell
                forget_since(before)
        return self._with_care(value)

    def reader(self) -> "Reader":
        """The straight line."""
        if self._reader is None:
            from ._readers import REQUIRED, Step, compiled

            steps = [
                Step(
                    names=(name, *also),
                    attribute=field.name,
                    form=self._hooks.form(hook, field.type),
                    default=REQUIRED if field.default is attrs.NOTHING else field.default,
                )
                for name, also, field, hook in self._plan
            ]
            keep = self._unknown if self._keeps else None
            self._reader = compiled(self._kind, steps, one_form=self._one_form, keep=keep)
        return self._reader

    def _with_care(self, value: Any) -> Any:
        _overdue.check()
        kind = self._kind
        if isinstance(value, kind):
            return value
        wire = values.an_object(self._one_form(value) if self._one_form else value)
        arguments: dict[str, Any] = {}
        kept: dict[str, Any] = {}
        failures: list[Exception] = []
        for name, also, field, hook in self._plan:
            required = field.default is attrs.NOTHING
            found = next((key for key in (name, *also) if key in wire), None)
            if found is None or (wire[found] is None and not required):
                if required:
                    failures.append(_missing(name, field.type))
                continue
            alias, before = field.alias or field.name, noted_here() if noted else 0
            try:
                arguments[alias] = hook(wire[found], field.type)
            except Exception as error:  # noqa: BLE001 - hooks raise what they like; all of it is kept
                if name not in self._may_differ:
                    _note(error, AttributeValidationNote(f"in {name}", name, cast(Any, field.type)))
                    failures.append(error)
                    continue
                kept[found] = wire[found]
                forget_since(before)
                self._note_misfit(name, error)
                if values.is_sequence(field.type):
                    arguments[alias] = _fitting(wire[found], field.type, hook)
        if failures:
            raise _several(ClassValidationError, f"not a {kind.__name__}", failures, kind)
        if self._keeps and not self._known.issuperset(wire):
            kept.update(self._unknown(wire))
        if kept:
            arguments["extra"] = kept
        try:
            return kind(**arguments)
        except ValidationError as error:
            wrong = f"not a {kind.__name__}"
            raise _several(ClassValidationError, wrong, [error], kind) from None

    def _unknown(self, wire: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of *wire* that the model does not know."""
        found = {key: wire[key] for key in wire if key not in self._known}
        if self._hooks.notes_drift:
            note_field(self._kind.__name__, found)
        return found

    def _note_misfit(self, name: str, error: Exception) -> None:
        """Note what is wrong with a value, and not the value: it may be secret."""
        if self._hooks.notes_drift:
            for problem in explain(error):
                note_value(self._kind.__name__, name, problem.removesuffix(" @ $"))


def _fitting(value: Any, kind: Any, hook: Structure) -> tuple[Any, ...]:
    """Return the items of what should be a list that fit, up to where there are too many others."""
    kept: list[Any] = []
    others = 0
    for item in cast("Sequence[Any]", value) if isinstance(value, list | tuple) else ():
        try:
            kept += hook([item], kind)
        except Exception:  # noqa: BLE001 - it is left out, whatever is wrong with it
            others += 1
            if others >= _MOST_LEFT_OUT:
                break
    return tuple(kept)


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


# A reply of some KB can hold a list of millions, and to tell what is wrong with each costs a thousand times what the
# list does: minutes, and gigabytes. Nobody reads beyond the first few.
_MOST_WRONG: Final = 20
_MOST_LEFT_OUT: Final = 1000


def _make(
    singles: Mapping[Any, Structure],
    *,
    blank_is_none: bool,
    notes_drift: bool = False,
    most: float = math.inf,
) -> Converter:
    converter = Converter(detailed_validation=True)
    for kind, hook in singles.items():
        converter.register_structure_hook(kind, hook)
    # The hook of `str` would be found for every enumeration of texts before any rule is asked; so these are
    # found first.
    converter.register_structure_hook(OpenStr, _member)
    converter.register_structure_hook(OpenInt, _member)
    converter.register_structure_hook_func(values.is_json, _json)
    converter.register_structure_hook_func(values.is_id, values.either_id)
    hooks = _Hooks(converter, blank_is_none=blank_is_none, notes_drift=notes_drift, most=most)
    factories: Sequence[tuple[Callable[[Any], bool], Callable[[Any], Structure]]] = (
        (values.is_optional, hooks.optional),
        (values.is_sequence, hooks.sequence),
        (values.is_mapping, hooks.mapping),
        (attrs.has, hooks.model),
    )
    for predicate, factory in factories:
        converter.register_structure_hook_factory(predicate, factory)
    converter.register_unstructure_hook_factory(attrs.has, _model_writer(converter))
    converter.register_unstructure_hook(Secret, Secret.reveal)
    converter.register_unstructure_hook(Decimal, str)
    converter.register_unstructure_hook_func(values.is_enum, lambda member: member.value)
    # As above. What is written is a plain text: to who writes YAML of it, a member of ours is none.
    converter.register_unstructure_hook(OpenStr, lambda member: member.value)
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
            str: values.text,
            bool: values.truth,
            int: values.whole,
            float: values.number,
            Decimal: values.amount,
            datetime: values.iso_time,
            Secret: values.secret,
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
            str: values.loose_text,
            bool: values.truth,
            int: values.loose_whole,
            float: values.loose_number,
            Decimal: values.amount,
            datetime: values.epoch_time,
            Secret: values.loose_secret,
        },
        blank_is_none=True,
        notes_drift=True,
        most=_MOST_WRONG,
    )
    made.register_unstructure_hook(datetime, values.to_epoch)
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
