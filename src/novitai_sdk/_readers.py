"""Readers: for each model one function that reads the usual JSON in a straight line.

The converter's hooks are general: they ask the hook of each field in turn, collect every mistake and say where it is. A
reader is written for one model instead, as text, and compiled once: it takes values as they are where they have their
usual form, asks the hook about any other, and gives up at the first mistake. Who calls it then has the hooks do the
whole once more. So a reader decides nothing; it only spares time, two thirds of what the hooks take.

>>> @attrs.frozen(kw_only=True)
... class Disk:
...     size: int
...     label: str | None = None
>>> def refuse(value, kind):
...     raise TypeError("unusual")
>>> steps = [
...     Step(names=("size",), attribute="size", form=Form("whole", refuse, int)),
...     Step(names=("label",), attribute="label", form=Form("text", refuse, str), default=None),
... ]
>>> print(written(Disk, steps).text)
def read(wire):
    get = wire.get
    made = new(kind)
    v = wire['size']
    if v.__class__ is not int:
        v = hook1(v, kind1)
    set_size(made, v)
    v = get('label')
    if v is not None and v.__class__ is not str:
        v = hook2(v, kind2)
    set_label(made, v)
    return made
<BLANKLINE>
>>> compiled(Disk, steps)({"size": 60})
Disk(size=60, label=None)
"""

import linecache
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from .models._base import Secret

__all__ = ["REQUIRED", "Form", "Reader", "Step", "compiled", "written"]

Reader = Callable[[Any], Any]
"""Takes a JSON object, returns a model, and raises whatever comes of a mistake."""

Hook = Callable[[Any, Any], Any]
Keep = Callable[[Any], Mapping[str, Any]]
"""Collects the fields of an object that are not known."""

REQUIRED: Final = object()
"""The default of a field that must be there."""

_TAKEN_AS_IT_IS: Final = {"text": "str", "whole": "int", "truth": "bool", "object": "dict"}


@attrs.frozen
class Form:
    """The form a value usually has, and the hook that is asked about any other.

    ``usual`` is one of ``text``, ``whole``, ``truth``, ``object`` (taken as they are), ``any`` (everything is),
    ``secret`` (a text, to be wrapped), ``member`` (found in the table of its *enum*), ``model`` (read by its *reader*),
    ``list`` (of *item*) and ``other`` (always the hook's).
    """

    usual: str
    hook: Hook
    kind: Any
    enum: Any = None
    reader: Reader | None = None
    item: "Form | None" = None


@attrs.frozen(kw_only=True)
class Step:
    """How one field is read."""

    names: tuple[str, ...]
    """On the wire; the first that is there counts."""

    attribute: str
    form: Form
    default: Any = REQUIRED
    """A value or an attrs factory, for what is absent or null."""


@attrs.frozen
class Source:
    """A function as text, and the values its names stand for."""

    text: str
    names: Mapping[str, Any]


class _Writer:
    """Takes lines, and gives values names that the lines can use."""

    def __init__(self) -> None:
        self.lines = ["def read(wire):"]
        self.names: dict[str, Any] = {}

    def put(self, *lines: str) -> None:
        self.lines.extend(f"    {line}" for line in lines)

    def name(self, name: str, value: Any) -> str:
        self.names[name] = value
        return name


def written(
    kind: Any,
    steps: Sequence[Step],
    *,
    one_form: Callable[[Any], Any] | None = None,
    keep: Keep | None = None,
) -> Source:
    """Write the reader of *kind*, which keeps what it does not know by *keep*."""
    writer = _Writer()
    if one_form is not None:
        writer.put(
            f"wire = {writer.name('one_form', one_form)}(wire)",
            "if wire.__class__ is not dict:",
            "    raise TypeError('not an object')",
        )
    writer.put("get = wire.get")
    writer.name("kind", kind)
    plain = _is_plain(kind, steps)
    if plain:
        writer.put(f"made = {writer.name('new', object.__new__)}(kind)")
    for number, step in enumerate(steps, 1):
        _find(writer, number, step)
        if plain:
            # The setters of the slots: a frozen class makes its own `__init__` go a longer way for each field.
            setter = writer.name(f"set_{step.attribute}", getattr(kind, step.attribute).__set__)
            writer.put(f"{setter}(made, v)")
        else:
            writer.put(f"f{number} = v")
    finish = _finish_plain if plain else _finish
    finish(writer, kind, steps, keep)
    return Source("\n".join(writer.lines) + "\n", writer.names)


def compiled(
    kind: Any,
    steps: Sequence[Step],
    *,
    one_form: Callable[[Any], Any] | None = None,
    keep: Keep | None = None,
) -> Reader:
    """Return the reader of *kind*, see `written`."""
    source = written(kind, steps, one_form=one_form, keep=keep)
    file = f"<reader of {kind.__module__}.{kind.__qualname__}>"
    # So that a traceback can show the line.
    linecache.cache[file] = (len(source.text), None, source.text.splitlines(keepends=True), file)
    names = dict(source.names)
    # The text is made of names of fields, by this module alone: nothing that was received gets into it.
    exec(compile(source.text, file, "exec"), names)
    reader: Reader = names["read"]
    return reader


def _find(writer: _Writer, number: int, step: Step) -> None:
    """Put into `v` what a field gets."""
    first, *others = step.names
    required = step.default is REQUIRED
    if others:
        missing = writer.name("missing", attrs.NOTHING)
        writer.put(f"v = get({first!r}, {missing})")
        for name in others:
            writer.put(f"if v is {missing}:", f"    v = get({name!r}, {missing})")
        absent = f"raise KeyError({first!r})" if required else "v = None"
        writer.put(f"if v is {missing}:", f"    {absent}")
    else:
        writer.put(f"v = wire[{first!r}]" if required else f"v = get({first!r})")
    cases = _cases(writer, number, step.form)
    if step.default is None:
        # It is null already; only what is left for the hook must not be.
        cases = [*cases[:-1], *(_unless_null(*case) for case in cases[-1:])]
    elif not required:
        cases = [("v is None", _default(writer, number, step.default)), *cases]
    for word, (test, value) in zip(["if", *["elif"] * len(cases)], cases, strict=False):
        head = f"{word} {test}:" if test else "else:" if word == "elif" else ""
        writer.put(*([head, f"    v = {value}"] if head else [f"v = {value}"]))


def _unless_null(test: str, value: str) -> tuple[str, str]:
    return (f"v is not None and {test}" if test else "v is not None"), value


def _default(writer: _Writer, number: int, default: Any) -> str:
    if isinstance(default, cast(Any, attrs.Factory)):  # a function in its stubs, a class in truth
        return f"{writer.name(f'default{number}', default.factory)}()"
    return writer.name(f"default{number}", default)


def _cases(writer: _Writer, number: int, form: Form) -> list[tuple[str, str]]:
    """What `v` becomes, and when: pairs of a test and a value; no test means always."""
    hook, kind = writer.name(f"hook{number}", form.hook), writer.name(f"kind{number}", form.kind)
    asked = f"{hook}(v, {kind})"
    if form.usual == "any":
        return []
    if form.usual in _TAKEN_AS_IT_IS:
        return [(f"v.__class__ is not {_TAKEN_AS_IT_IS[form.usual]}", asked)]
    if form.usual == "member":
        # A member that counts as false, such as one for an empty text, is the hook's to judge.
        table = writer.name(f"members{number}", form.enum._value2member_map_)
        text = "int" if issubclass(form.enum, int) else "str"
        return [(f"v.__class__ is {text} and (m := {table}.get(v))", "m"), ("", asked)]
    if form.usual == "secret":
        return [("v.__class__ is str", f"{writer.name('secret', Secret)}(v)"), ("", asked)]
    if form.usual == "model":
        read = writer.name(f"read{number}", form.reader)
        return [("v.__class__ is dict", f"{read}(v)"), ("", asked)]
    if form.usual == "list" and form.item is not None:
        items = f"tuple([{_item(writer, number, form.item)} for i in v])"
        return [("v.__class__ is list", items), ("", asked)]
    return [("", asked)]


def _item(writer: _Writer, number: int, form: Form) -> str:
    """What an item of a list becomes."""
    hook = writer.name(f"item_hook{number}", form.hook)
    asked = f"{hook}(i, {writer.name(f'item_kind{number}', form.kind)})"
    if form.usual in _TAKEN_AS_IT_IS:
        return f"i if i.__class__ is {_TAKEN_AS_IT_IS[form.usual]} else {asked}"
    if form.usual == "model":
        read = writer.name(f"item_read{number}", form.reader)
        return f"{read}(i) if i.__class__ is dict else {asked}"
    return asked


def _is_plain(kind: Any, steps: Sequence[Step]) -> bool:
    """Whether making one is nothing but setting its slots."""
    read = {step.attribute: step.form.usual for step in steps}
    return not hasattr(kind, "__attrs_post_init__") and all(
        (field.converter is None or (field.converter is Secret and read[field.name] == "secret"))
        and field.validator is None
        and hasattr(getattr(kind, field.name, None), "__set__")
        and (field.name in read or field.metadata.get("extra"))
        for field in attrs.fields(kind)
    )


def _finish_plain(writer: _Writer, kind: Any, steps: Sequence[Step], keep: Keep | None) -> None:
    extra = next((field for field in attrs.fields(kind) if field.metadata.get("extra")), None)
    if extra is not None and keep is not None:
        setter = writer.name(f"set_{extra.name}", getattr(kind, extra.name).__set__)
        kept = _kept(writer, steps, keep)
        writer.put(f"{setter}(made, {{}} if known.issuperset(wire) else {kept})")
    writer.put("return made")


def _finish(writer: _Writer, kind: Any, steps: Sequence[Step], keep: Keep | None) -> None:
    fields = {field.name: field for field in attrs.fields(kind)}
    given = [f"{fields[step.attribute].alias}=f{number}" for number, step in enumerate(steps, 1)]
    if keep is not None:
        kept = _kept(writer, steps, keep)
        writer.put("if not known.issuperset(wire):")
        writer.put(f"    return kind({', '.join([*given, f'extra={kept}'])})")
    writer.put(f"return kind({', '.join(given)})")


def _kept(writer: _Writer, steps: Sequence[Step], keep: Keep) -> str:
    writer.name("known", frozenset(name for step in steps for name in step.names))
    return f"{writer.name('keep', keep)}(wire)"
